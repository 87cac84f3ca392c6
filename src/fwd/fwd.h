// The forwarding state: SPI -> SA, tunnel -> SA to send on, account and prefix -> next hops. One writer, many readers.
// Everything here: the control thread only. What workers may call stands in fwd/lookup.h.
//
// Readers hold no lock: they see published pointers between two of their quiescent states (liburcu QSBR).
// What the writer retires is freed, and wiped, after every worker has passed one.
#pragma once

#include "base/addr.h"
#include "crypt/iv_space.h"
#include "fwd/punt.h"
#include "model/counter.h"
#include "model/drop.h"
#include "model/id.h"
#include "model/sa.h"

#define FWD_WORKERS_MAX 64

struct fwd;

/* incarnation: of this process, for the IV spaces. ERR_MEMORY. */
MUST_USE enum err fwd_new(unsigned worker_cnt, uint32_t incarnation, struct fwd **ret);
void fwd_free(struct fwd *f); /* after the workers have ended */

/* ---- accounts ---- */

/* ERR_MEMORY. Putting an account again changes its setting. */
MUST_USE enum err fwd_account_put(struct fwd *f, uint32_t account_number, bool offramp_default);
/* The TUN leads to the host itself, which routes (the site role): all that comes out of tunnels goes there, and neither way
 * counts as a hop. ERR_NOTFOUND. */
MUST_USE enum err fwd_account_set_host(struct fwd *f, uint32_t account_number, bool host);
/* The account's TUN: one queue descriptor a worker, mtu of the device. The state owns the descriptors and closes
 * the former ones. ERR_NOTFOUND: account. */
MUST_USE enum err fwd_account_offramp(struct fwd *f, uint32_t account_number, const int *fds, unsigned cnt, uint16_t mtu);
/* Its tunnels must be gone (asserted). */
void fwd_account_delete(struct fwd *f, uint32_t account_number);

struct fwd_route {
	struct addr_prefix prefix;       /* masked */
	uint32_t priority;
	uint16_t weight;                 /* 0: equal share */
	struct model_id tunnel_id;       /* whose customer side is the next hop */
};
/* Replaces all routes of the account. Of equal prefixes the lowest priority counts, equal ones are shared
 * by flow hash. Routes to tunnels that do not exist are left out. ERR_NOTFOUND: account; ERR_MEMORY. */
MUST_USE enum err fwd_routes_set(struct fwd *f, uint32_t account_number, const struct fwd_route *routes, size_t cnt);

/* Between the two, changes of tunnels and routes leave the accounts' tables as they are; the end makes each that is stale anew,
 * once for all changes. Until then a tunnel that was added gets no packets and one that was deleted drops them. ERR_MEMORY:
 * some account keeps its old table; the next end tries again. */
void fwd_hold(struct fwd *f);
MUST_USE enum err fwd_release(struct fwd *f);

/* ---- tunnels ---- */

struct fwd_tunnel_config {
	struct model_id tunnel_id;
	uint32_t account_number;
	struct addr_prefix interface4, interface6; /* ours, family none: not set. They are also connected routes. */
	uint16_t outer_mtu;
	uint16_t mss_clamp;     /* as in struct model_tunnel_onramp */
	uint16_t replay_window;
};
/* Adds or changes. ERR_NOTFOUND: account; ERR_MEMORY. */
MUST_USE enum err fwd_tunnel_put(struct fwd *f, const struct fwd_tunnel_config *c);
/* With all its SAs. */
void fwd_tunnel_delete(struct fwd *f, const struct model_id *tunnel_id);

/* ---- Child SAs ---- */

/* Installs both directions. The first one of a tunnel is sent on at once; a later one (rekey) only after
 * fwd_child_prove. ERR_EXISTS: spi_in is in use; ERR_NOTFOUND: tunnel; ERR_MEMORY; ERR_CRYPTO. */
MUST_USE enum err fwd_child_put(struct fwd *f, const struct model_child_sa *child);
/* The peer has it: send on this one from now on. Unknown SPIs are ignored. */
void fwd_child_prove(struct fwd *f, uint32_t spi_in);
void fwd_child_delete(struct fwd *f, uint32_t spi_in);
/* Its keys are used up: nothing is sent on it any more, each packet counted as esp_expired. Unknown SPIs are ignored. */
void fwd_child_end(struct fwd *f, uint32_t spi_in);
/* In a cluster, before the first SA: those that are sequenced wait for numbers from fwd_child_number. */
void fwd_share_numbers(struct fwd *f);
/* Workers number the packets of that SA, above `above` and up to `last`, and tell FWD_NOTICE_NUMBERS when they have come to ask_at.
 * After fwd_child_finish they do so with what control has given them alone, after fwd_child_unnumber with nothing: the rest they hand
 * over to control. All ignore SPIs that are unknown or not sequenced. */
void fwd_child_number(struct fwd *f, uint32_t spi_in, uint64_t above, uint64_t last, uint64_t ask_at);
void fwd_child_finish(struct fwd *f, uint32_t spi_in);
void fwd_child_unnumber(struct fwd *f, uint32_t spi_in);
/* That inbound number was taken by another node. */
void fwd_child_seen(struct fwd *f, uint32_t spi_in, uint64_t seq);
/* Up to this time of the monotonic clock, and no longer, workers number packets of sequenced SAs: a process that was stopped and
 * goes on asks first whether it still may. */
void fwd_number_until(struct fwd *f, uint64_t mono_ms);
/* The peer's address was confirmed. Unknown SPIs are ignored. */
void fwd_child_path(struct fwd *f, uint32_t spi_in, const struct model_path *path);

/* Lowers the MTU of the tunnel's path to what a router says, if its message quotes a packet of an SA that is sent on, with its
 * addresses (RFC 4301 8.2.2): in IPv4 never below 576; what IPv6 links may not have is ignored (RFC 8201 4). It holds for
 * FWD_PATH_AGE_MS from the last such word on (RFC 1191 6.3, RFC 8201 4). KNOWN: the path is known to be that narrow, and yet somebody sends
 * more; at most once a second. */
#define FWD_PATH_AGE_MS 600000
enum fwd_path_word { FWD_PATH_IGNORED, FWD_PATH_KNOWN, FWD_PATH_LOWERED };
enum fwd_path_word fwd_path_too_big(struct fwd *f, const struct fwd_too_big *t, uint64_t now_ms);
/* Paths whose word is old get their full MTU back; fwd_collect does it now and then. */
void fwd_paths_age(struct fwd *f, uint64_t now_ms);

struct fwd_child_stats {
	uint64_t in_packets, in_bytes, out_packets, out_bytes; /* inner bytes */
	uint64_t last_in_us;   /* 0: none */
	uint64_t seq_out;      /* the last outbound sequence number given out */
	bool numbered;         /* sequenced: workers here number its packets */
	uint64_t seq_in;       /* the highest inbound one that was taken; 0 without a window */
	uint16_t effective_mtu; /* largest inner packet */
};
/* ERR_NOTFOUND. */
MUST_USE enum err fwd_child_stats(const struct fwd *f, uint32_t spi_in, struct fwd_child_stats *ret);

/* The selectors of a child: ours and the peer's. ERR_NOTFOUND. */
struct fwd_child_selectors {
	uint8_t local_cnt, remote_cnt;
	struct model_ts local[MODEL_TS_MAX], remote[MODEL_TS_MAX];
};
MUST_USE enum err fwd_child_selectors(const struct fwd *f, uint32_t spi_in, struct fwd_child_selectors *ret);

/* The Child SA, by its inbound SPI, on which that packet to the tunnel leaves now; 0: on none. */
uint32_t fwd_tunnel_sends_on(const struct fwd *f, const struct model_id *tunnel, struct bytes packet);

struct fwd_tunnel_stats {
	uint64_t in_packets, in_bytes, out_packets, out_bytes; /* over all SAs since the gateway started */
	uint64_t in_now, out_now; /* packets of the SAs that it has */
	uint64_t last_in_us;
	uint64_t switches;      /* how often another worker sent than the one before */
	uint16_t effective_mtu; /* of the SA that is sent on; 0: none */
	uint16_t path_mtu;      /* of the path outside: as set, or as routers said */
	bool up;                /* has an SA to send on */
};
MUST_USE enum err fwd_tunnel_stats(const struct fwd *f, const struct model_id *tunnel_id, struct fwd_tunnel_stats *ret);

/* Whether every worker has done since `since` with the packets that it then had in hand. */
struct fwd_passing {
	uint64_t at[FWD_WORKERS_MAX];
};
void fwd_passing_begin(const struct fwd *f, struct fwd_passing *since);
bool fwd_passing_over(const struct fwd *f, const struct fwd_passing *since);

/* Wakes that worker: something lies in its returns or its seals (fwd/punt.h). */
void fwd_wake(struct fwd *f, unsigned worker);

/* ---- counters: each worker and the control thread have a block of their own ---- */

struct fwd_counters {
	_Alignas(64) _Atomic uint64_t drop[MODEL_DROP_CNT];
	_Atomic uint64_t counter[MODEL_COUNTER_CNT];
};
/* The control thread's own block; workers get theirs from fwd/lookup.h. */
struct fwd_counters *fwd_control_counters(struct fwd *f);
/* Sums over all blocks. */
void fwd_counters_sum(const struct fwd *f, uint64_t drop[static MODEL_DROP_CNT], uint64_t counter[static MODEL_COUNTER_CNT]);

/* Adds one; relaxed, by the owner of the block. */
static inline void fwd_count_drop(struct fwd_counters *c, enum model_drop d)
{
	atomic_fetch_add_explicit(&c->drop[d], 1, memory_order_relaxed);
}
static inline void fwd_count_drops(struct fwd_counters *c, enum model_drop d, uint64_t n)
{
	atomic_fetch_add_explicit(&c->drop[d], n, memory_order_relaxed);
}
static inline void fwd_count(struct fwd_counters *c, enum model_counter k, uint64_t n)
{
	atomic_fetch_add_explicit(&c->counter[k], n, memory_order_relaxed);
}

/* Frees what every worker has passed; call now and then from the loop. Never waits for a worker long: the
 * writer's own grace period is done by a helper thread of liburcu (call_rcu). */
void fwd_collect(struct fwd *f);
