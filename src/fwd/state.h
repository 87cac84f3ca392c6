// What the forwarding state is inside this folder.
// fwd/*.c only. Fields under "writer" belong to the control thread; the others are read by workers at any time,
// so they are constant, atomic, or reached through an atomic pointer to something constant.
#pragma once

#include <urcu-qsbr.h>

#include "base/hmap.h"
#include "base/siphash.h"
#include "fwd/lookup.h"
#include "fwd/lpm.h"

/* ---- retire.c ---- */

/* Zeroed, on a cache line of its own; free() takes it back. */
void *fwd_zalloc(size_t n);

/* Stands in everything that is taken away from readers. */
struct fwd_retire {
	struct rcu_head head;
	_Atomic(struct fwd *) fwd;
	void (*release)(struct fwd_retire *r);
};

/* Calls release, in another thread, when no worker can hold a pointer to it any more. */
void fwd_retire(struct fwd *f, struct fwd_retire *r, void (*release)(struct fwd_retire *r));
/* Waits for all of it. */
void fwd_retire_wait(struct fwd *f);
/* For what is one block of memory that begins with its struct fwd_retire. */
void fwd_retire_block(struct fwd *f, struct fwd_retire *r);

/* ---- Child SAs ---- */

/* The counters of one outbound key. Two keys may share one by accident of the hash: nothing repeats then. */
struct fwd_key_counter {
	struct hmap_node node; /* writer */
	struct esp_counter counter;
	_Atomic unsigned users;
	uint64_t expires_us;   /* writer; 0: never */
};

struct fwd_outer_box {
	struct fwd_retire retire;
	struct fwd_outer outer;
};

/* Which packets of a sequenced SA are numbered here. */
enum fwd_numbers { FWD_NUMBERS_NONE, FWD_NUMBERS_GIVEN, FWD_NUMBERS_ALL };

struct fwd_child {
	struct fwd_retire retire;
	uint32_t spi_in;
	struct esp_sa *in, *out;
	struct fwd_tunnel *tunnel;
	struct fwd_key_counter *key_counter;
	_Atomic(struct fwd_outer_box *) outer;
	uint8_t ts_local_cnt, ts_remote_cnt;
	bool sequenced;         /* numbers are allotted by control */
	_Atomic uint8_t numbers; /* enum fwd_numbers: whether workers here may use them */
	_Atomic uint64_t ask_at;
	struct model_ts ts_local[MODEL_TS_MAX], ts_remote[MODEL_TS_MAX];
	_Atomic bool told_first, told_low, told_numbers;
	_Atomic uint64_t told_address_ms;
	_Alignas(64) _Atomic uint64_t in_packets;
	_Atomic uint64_t in_bytes, last_in_us;
	_Alignas(64) _Atomic uint64_t out_packets;
	_Atomic uint64_t out_bytes;
	/* writer */
	struct model_suite suite;
	struct hmap_node out_node; /* by spi_out */
	uint32_t spi_out;
	struct fwd_child *next; /* of the tunnel, newest first */
	uint64_t proven;        /* grows with each proof; 0: not yet */
};

struct fwd_spi_table {
	struct fwd_retire retire;
	uint32_t mask;
	uint32_t used; /* writer: slots that are not NULL */
	uint32_t live; /* writer: slots that hold an SA */
	_Atomic(struct fwd_child *) slots[];
};

MUST_USE enum err fwd_spi_init(struct fwd *f);
void fwd_spi_fini(struct fwd *f);
MUST_USE enum err fwd_spi_add(struct fwd *f, struct fwd_child *c); /* ERR_MEMORY */
void fwd_spi_remove(struct fwd *f, const struct fwd_child *c);
struct fwd_child *fwd_spi_find(const struct fwd *f, uint32_t spi_in);
void fwd_spi_find_burst(const struct fwd *f, const uint32_t *spis, size_t cnt, struct fwd_child **ret);

/* Takes the child from its tunnel and the table; its memory goes later. */
void fwd_child_drop(struct fwd *f, struct fwd_child *c);
/* Drops the counters of keys that can never come back. */
void fwd_key_counters_collect(struct fwd *f);

/* ---- tunnels ---- */

struct fwd_config_box {
	struct fwd_retire retire;
	struct fwd_tunnel_config config;
};

/* In the order in which they are tried; an emptied slot is NULL. */
struct fwd_senders {
	struct fwd_retire retire;
	uint32_t cnt;
	_Atomic(struct fwd_child *) children[];
};

struct fwd_tunnel {
	struct fwd_retire retire;
	struct model_id id;
	struct fwd_account *account;
	_Atomic(struct fwd_config_box *) config;
	_Atomic(struct fwd_senders *) senders; /* NULL: down */
	_Alignas(64) _Atomic uint64_t in_packets;
	_Atomic uint64_t in_bytes, last_in_us;
	_Alignas(64) _Atomic uint64_t out_packets;
	_Atomic uint64_t out_bytes, switches;
	_Atomic unsigned sender; /* the worker that sent last */
	/* writer */
	struct hmap_node node;      /* by id */
	struct fwd_tunnel *next;    /* of the account */
	struct fwd_child *children;
	uint16_t learned_mtu;       /* of the path outside; 0: nothing learned */
	uint64_t learned_ms;
};

/* The MTU of the path outside, by its setting or by what was learned. */
uint16_t fwd_tunnel_path_mtu(const struct fwd_tunnel *t);
/* What stands around its packets, for the tunnel's present settings. NULL: no memory. */
struct fwd_outer_box *fwd_outer_make(const struct fwd_tunnel *t, const struct model_suite *suite,
				     const struct model_path *path);
/* A new one for that SA. ERR_MEMORY: nothing changed. */
MUST_USE enum err fwd_outer_set(struct fwd *f, struct fwd_child *c, const struct model_path *path);
/* Puts the tunnel's senders in order. ERR_MEMORY: they stay as they were. */
MUST_USE enum err fwd_senders_order(struct fwd *f, struct fwd_tunnel *t);

uint64_t fwd_tunnel_hash(const struct fwd *f, const struct model_id *id);
struct fwd_tunnel *fwd_tunnel_find(const struct fwd *f, const struct model_id *id);

/* ---- accounts ---- */

struct fwd_next_hop {
	struct fwd_tunnel *tunnel;
	uint32_t share_end; /* the sum of weights up to and with this one */
};

struct fwd_group {
	bool local;
	uint32_t first, cnt; /* next hops */
};

struct fwd_table {
	struct fwd_retire retire;
	struct fwd_lpm v4, v6;
	struct fwd_group *groups;
	struct fwd_next_hop *hops;
	struct addr inner4, inner6;
};

struct fwd_offramp {
	struct fwd_retire retire;
	uint16_t mtu;
	bool vnet;
	unsigned cnt;
	int fds[];
};

struct fwd_account {
	struct fwd_retire retire;
	uint32_t number;
	_Atomic bool offramp_default, host;
	_Atomic(struct fwd_table *) table;
	_Atomic(struct fwd_offramp *) offramp; /* NULL: none */
	/* writer */
	struct hmap_node node; /* by number */
	struct fwd_tunnel *tunnels;
	struct fwd_route *routes; /* as they were given, for tunnels that come later too */
	size_t route_cnt;
	bool stale;               /* the table is to be made again */
	struct fwd_tunnel *gone;  /* deleted, but the table names them still */
};

struct fwd_account *fwd_account_find(const struct fwd *f, uint32_t number);
void fwd_account_drop(struct fwd *f, struct fwd_account *a);
/* A new table of the account's tunnels and these routes, which the account has already or will have; while the tables are held
 * the account is only marked. ERR_MEMORY: the old one stays. */
MUST_USE enum err fwd_account_route(struct fwd *f, struct fwd_account *a, const struct fwd_route *routes,
				    size_t cnt);
/* Its table goes, and with it the tunnels that only the table still names. */
void fwd_account_unroute(struct fwd *f, struct fwd_account *a);

struct fwd_offramps {
	struct fwd_retire retire;
	size_t cnt;
	struct {
		struct fwd_account *account;
		const struct fwd_offramp *offramp;
	} e[];
};

/* ---- all ---- */

struct fwd_reader {
	_Alignas(64) struct fwd_counters counters;
	_Atomic uint64_t passes; /* odd: it holds no pointer, nor a packet */
	struct fwd *fwd;
	unsigned index;
	int wake_fd;
};

struct fwd {
	struct fwd_counters control;
	unsigned worker_cnt;
	uint32_t incarnation;
	struct fwd_reader *readers;
	_Atomic(struct fwd_spi_table *) spis;
	_Atomic(struct fwd_offramps *) offramps;
	_Atomic uint64_t offramp_generation;
	_Atomic uint64_t released;
	_Atomic uint64_t number_until_ms;
	/* writer */
	struct hmap accounts, tunnels, key_counters, out_spis;
	bool shares_numbers;
	size_t learned_cnt; /* tunnels with a learned MTU */
	struct siphash_key hash_key;
	bool held;
	uint64_t proofs;
	uint64_t collected_ms;
};

#define FWD_READ(p) atomic_load_explicit(&(p), memory_order_acquire)
#define FWD_PUBLISH(p, v) atomic_store_explicit(&(p), (v), memory_order_release)
