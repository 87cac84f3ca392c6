// What workers ask of the forwarding state: SA by SPI, next hop by packet, SA to send on; and what they count.
// Workers. Every pointer from here is good until the worker's next fwd_reader_pass or fwd_reader_rest.
// Nothing here takes a lock or allocates.
#pragma once

#include "base/addr.h"
#include "esp/sa.h"
#include "fwd/fwd.h"
#include "fwd/punt.h"
#include "wire/ip.h"

struct fwd_reader;  /* one worker's seat */
struct fwd_account;
struct fwd_tunnel;
struct fwd_child;   /* a Child SA, both directions */

/* ---- the seat ---- */

/* Takes the seat for the calling thread, which counts as reading from now on. */
struct fwd_reader *fwd_reader_join(struct fwd *f, unsigned worker);
void fwd_reader_leave(struct fwd_reader *r);
/* The thread holds no pointer of the state now. */
void fwd_reader_pass(struct fwd_reader *r);
/* Around a wait: in between the thread holds none, and nobody waits for it. */
void fwd_reader_rest(struct fwd_reader *r);
void fwd_reader_resume(struct fwd_reader *r);
/* Readable when the worker has to look at fwd_offramp_generation; the worker reads it empty. */
int fwd_reader_wake_fd(const struct fwd *f, unsigned worker);
struct fwd_counters *fwd_reader_counters(struct fwd_reader *r);

/* ---- Child SAs ---- */

/* How packets of an SA travel outside now, and what fits. */
struct fwd_outer {
	struct model_path path;
	uint16_t mtu; /* largest inner packet */
};

struct fwd_child *fwd_child_find(const struct fwd_reader *r, uint32_t spi_in); /* NULL: none */
/* The same for a burst, which is faster with many SAs. */
void fwd_child_find_burst(const struct fwd_reader *r, const uint32_t *spis, size_t cnt, struct fwd_child **ret);
uint32_t fwd_child_spi_in(const struct fwd_child *c);
struct esp_sa *fwd_child_in(const struct fwd_child *c);
struct esp_sa *fwd_child_out(const struct fwd_child *c);
struct fwd_tunnel *fwd_child_tunnel(const struct fwd_child *c);
const struct fwd_outer *fwd_child_outer(const struct fwd_child *c);

/* One node numbers its packets; and whether that is this one now. given: a packet that control gave. */
bool fwd_child_is_sequenced(const struct fwd_child *c);
bool fwd_child_is_numbered(const struct fwd_reader *r, const struct fwd_child *c, uint64_t mono_ms, bool given);
/* That time has not come to which control has set fwd_number_until. */
bool fwd_numbers_stand(const struct fwd_reader *r, uint64_t mono_ms);
/* Numbers have come to where control wants to hear of it. */
bool fwd_child_wants_numbers(const struct fwd_child *c);

/* True when an inner packet that came on the SA fits its selectors; else *ret_why says which end does not.
 * Packets without ports have port 0, ICMP its type and code (RFC 7296 3.13.1). */
bool fwd_child_accepts(const struct fwd_child *c, const struct wire_ip *ip, enum model_drop *ret_why);

/* Packets and their inner bytes, counted for the SA and its tunnel. */
void fwd_child_count_in(struct fwd_child *c, size_t packets, size_t bytes, uint64_t now_us);
void fwd_child_count_out(struct fwd_child *c, size_t packets, size_t bytes, unsigned worker);

/* True when this notice is due, and then no other caller gets true for it; withdraw gives the turn back. */
bool fwd_child_claim(struct fwd_child *c, enum fwd_notice_kind kind, uint64_t now_ms);
void fwd_child_withdraw(struct fwd_child *c, enum fwd_notice_kind kind);

/* ---- tunnels and routes ---- */

/* What fwd_account_set_host was told. */
bool fwd_account_is_host(const struct fwd_account *a);
const struct fwd_tunnel_config *fwd_tunnel_config(const struct fwd_tunnel *t);
struct fwd_account *fwd_tunnel_account(const struct fwd_tunnel *t);

/* The SA to send a packet on: of those whose selectors contain it the one proven last. NULL: *ret_why is
 * tunnel_down (no SA at all) or inner_selector. */
struct fwd_child *fwd_tunnel_sender(const struct fwd_tunnel *t, const struct wire_ip *ip,
				    enum model_drop *ret_why);

enum fwd_hop_kind {
	FWD_HOP_NONE,    /* no route, and the account drops those */
	FWD_HOP_LOCAL,   /* an inner address of the gateway itself; tunnel: whose */
	FWD_HOP_TUNNEL,
	FWD_HOP_OFFRAMP,
};
struct fwd_hop {
	enum fwd_hop_kind kind;
	struct fwd_tunnel *tunnel;
};
/* Longest prefix; equal routes are shared by the flow's hash over the tunnels that are up. */
struct fwd_hop fwd_route_find(const struct fwd_account *a, const struct wire_ip *ip);

/* An inner address of the account's gateway in the family: the tunnel's own if t is not NULL and has one.
 * Family none: the account has none. */
struct addr fwd_inner_address(const struct fwd_account *a, const struct fwd_tunnel *t, uint8_t family);

/* ---- off-ramps ---- */

struct fwd_queue {
	struct fwd_account *account;
	int fd;
	bool vnet; /* a struct virtio_net_hdr stands in front of each packet */
};
/* The queue of the account's off-ramp that this worker writes to; fd -1: there is no off-ramp. */
struct fwd_queue fwd_offramp_queue(const struct fwd_reader *r, struct fwd_account *a);

/* Grows whenever the set of queues changes. */
uint64_t fwd_offramp_generation(const struct fwd_reader *r);

/* The queues that this worker reads, one call each: false at the end. Begin with a zeroed walk. The worker
 * duplicates a descriptor that it wants to keep. */
struct fwd_queue_walk {
	const struct fwd_offramps *all;
	size_t entry;
	unsigned queue;
};
bool fwd_queue_next(const struct fwd_reader *r, struct fwd_queue_walk *w, struct fwd_queue *ret);
