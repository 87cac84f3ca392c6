// The other nodes: what they do with the SAs that all share, what nodes tell each other, and what of the store is read again.
// The control thread only. Without a cluster nothing of it is done but mirror, orphan, read and relist.
#pragma once

#include "base/heap.h"
#include "base/hmap.h"
#include "cluster/members.h"
#include "cluster/sequence.h"
#include "control/child.h"
#include "control/config.h"
#include "control/sa.h"
#include "store/thread.h"

/* An SA that is gone: what the store had of it up to that revision comes late (graves.c). */
struct control_buried {
	struct hmap_node node;
	bool child;
	uint64_t spi;                 /* ours */
	uint64_t rev;
	uint64_t until_us;
	struct model_id tunnel_id;    /* of a Child SA that was here; else zero */
};

/* ESP packets of one SPI that wait for its SA (park.c). */
struct control_stray {
	struct control_stray *next;
	struct addr_endpoint remote;
	uint8_t tos, worker;
	bool native;
	uint16_t len;
	uint8_t b[];
};

struct control_lot {
	struct hmap_node by_spi;
	struct heap_node timer;       /* until when they wait, or the store is not asked again */
	uint32_t spi;
	bool gone;                    /* the store does not have it: what comes is dropped */
	unsigned cnt;
	struct control_stray *first;  /* the oldest */
};

/* An SA that is looked up in the store, and the messages that wait for it (lookup.c). */
struct control_read {
	struct hmap_node by_tag;
	uint64_t tag;
	bool child;
	uint64_t spi;
	unsigned waiting_cnt;
	struct control_datagram *waiting; /* the oldest first */
};

/* The store's keys, listed again (relist.c). Of each prefix: its pages are read, what is here and not there goes, the list is forgotten. */
enum control_relist_phase { CONTROL_RELIST_READS, CONTROL_RELIST_SWEEPS, CONTROL_RELIST_FORGETS };
struct control_relist {
	bool on;
	bool lost;                    /* the configuration too */
	bool waits;                   /* for a page */
	enum control_relist_phase phase;
	size_t bucket;                /* where the next part of a sweep begins, or of what is forgotten */
	unsigned prefix;
	uint64_t tag;                 /* of that page */
	uint64_t rev;                 /* of the first page of the prefix */
	uint64_t next_us;
	struct hmap seen;             /* keys that are there */
	size_t after_len;
	uint8_t after[STORE_KEY_MAX];
};

/* ---- node.c: this node's slot in the cluster. Without a cluster there is none, and nothing is to be done ---- */

/* Reads who there is and claims a slot, before the store thread starts. ERR_CONFLICT: all that was tried was taken. */
MUST_USE enum err control_node_start(struct control *c, struct store *s);
/* False: it is another one's business. */
bool control_node_change(struct control *c, const struct store_row *row);
bool control_node_done(struct control *c, const struct store_done *done);
/* What the store did not have at that revision is gone. */
void control_node_sweep(struct control *c, bool (*is_there)(const struct control *c, const struct model_key *key), uint64_t rev);
void control_node_timers(struct control *c);
bool control_node_fresh(const struct control *c); /* the store's news come */
/* Whether this node may begin handshakes: with its lease, and not cut off from the others, to which their rest may go. */
bool control_node_starts(const struct control *c);
void control_node_drain(struct control *c, bool draining); /* with a cluster */
void control_node_leave(struct control *c); /* before the end */
void control_node_free(struct control *c);
#define CONTROL_TAG_NODE (UINT64_C(1) << 62) /* of its transactions */

/* ---- mesh.c: what the nodes of a cluster tell each other. Without a cluster nothing is sent. All of it may be lost ---- */

MUST_USE enum err control_mesh_start(struct control *c);
int control_mesh_fd(const struct control *c); /* -1: there is no cluster */
void control_mesh_forget(struct control *c, uint32_t incarnation); /* that process is no member any more */
void control_mesh_free(struct control *c);
/* To the node with that slot: an IKE datagram that is its business. It is never forwarded again. */
void control_mesh_forward(struct control *c, uint16_t slot, const struct fwd_punt *p);
/* The peer has this Child SA: the others may send on it too. */
void control_mesh_proven(struct control *c, uint32_t spi_in);
/* This node has installed what the store has up to rev; told to the others of the site at the end of the turn. */
void control_mesh_applied(struct control *c, uint64_t rev);
/* To all: this node numbers the packets of that SA, up to out, by the store's revision rev. */
void control_mesh_taken(struct control *c, uint32_t spi_in, uint64_t rev, uint64_t out);
/* To the node that took it by revision rev: this one has ceased to. */
void control_mesh_left(struct control *c, uint16_t slot, uint32_t spi_in, uint64_t rev);
/* The least revision that the other live nodes of the site have installed; UINT64_MAX: there are none. */
uint64_t control_mesh_site_applied(const struct control *c);
/* Child SAs of which this node knows more use than the others (use.c): entries of WIRE_MESH_USED_LEN. */
void control_mesh_used(struct control *c, struct bytes list);
/* What have you seen of these tunnels: to all, and the answer to that slot (seen.c). */
void control_mesh_ask(struct control *c, uint32_t number, struct bytes list);
void control_mesh_seen(struct control *c, uint16_t slot, uint32_t number, struct bytes list);
/* What a router says about a packet that any of the nodes may have sent, and that came to this one (RFC 7690): to all. */
void control_mesh_too_big(struct control *c, const struct fwd_too_big *t);
/* An IP fragment, to the node that puts its datagram together (gather.c). */
void control_mesh_fragment(struct control *c, uint16_t slot, struct bytes packet);
/* A row that the store has since mod_rev, to the nodes of the site that have not installed what it had at rev. */
void control_mesh_row(struct control *c, uint64_t rev, uint64_t mod_rev, struct bytes key, struct bytes value);
/* An inner packet for the node that numbers the packets of a Child SA. */
void control_mesh_inner(struct control *c, uint16_t slot, uint32_t spi_in, struct bytes packet);

/* ---- mesh_take.c ---- */

void control_mesh_receive(struct control *c);
void control_mesh_timers(struct control *c); /* last in a turn */
uint64_t control_mesh_next_us(const struct control *c);

/* ---- gather.c: IP fragments that came to different nodes. Without a cluster nothing is done ---- */

MUST_USE enum err control_gather_start(struct control *c);
int control_gather_fd(const struct control *c, bool v6); /* -1: there is no cluster */
void control_gather_receive(struct control *c, bool v6);
void control_gather_take(struct control *c, struct bytes packet); /* another node has sent it here */
void control_gather_timers(struct control *c);
uint64_t control_gather_next_us(const struct control *c);
void control_gather_free(struct control *c);

/* ---- duty.c ---- */

/* We do what has to be done unasked with that IKE SA of ours. */
bool control_duty_sa(const struct control *c, uint64_t our_spi);
bool control_duty_tunnel(const struct control *c, const struct control_tunnel *t);

/* ---- graves.c: SAs that are gone ---- */

#define CONTROL_GRAVE_US UINT64_C(600000000) /* they are remembered so long: longer than any read takes */
/* Of an SA that was removed here: nothing that the store had of it up to rev brings it back. */
void control_bury(struct control *c, bool child, uint64_t spi, uint64_t rev, uint64_t until_us);
/* A Child SA, of which its tunnel is remembered. NULL: none of that SPI has ended here of late. */
void control_bury_child(struct control *c, const struct control_child *child, uint64_t rev);
const struct model_id *control_buried_tunnel(const struct control *c, uint32_t spi_in);
bool control_is_buried(const struct control *c, bool child, uint64_t spi, uint64_t rev);
void control_graves_tick(struct control *c);
void control_graves_free(struct control *c);

/* ---- mirror.c: what other nodes do ---- */

/* A row under ike/, child/ or cur/, from the watch, a read or a list: rows may come late and more than once. */
void control_mirror_change(struct control *c, const struct store_row *row);
/* Child SAs that the peer has, by the record of their IKE SA: sending moves there. fresh: it is new here. */
void control_children_prove(struct control *c, const struct ike_sa *r, bool fresh);
void control_mirror_settle(struct control *c); /* all rows that came together were told */
void control_mirror_tick(struct control *c);

/* ---- orphan.c: records of SAs whose tunnel is not configured any more ---- */

void control_orphan_ike(struct control *c, const struct ike_sa *r, uint64_t rev);
void control_orphan_child(struct control *c, const struct model_child_sa *m, uint64_t rev);
/* That IKE SA goes here: what is left of its Child SAs, if its tunnel is not configured any more, has nobody else who would delete it. */
void control_orphan_children(struct control *c, const struct control_sa *sa);
/* A Child SA here that is installed no more; it may go. One of a deleted tunnel whose IKE SA is not here is an orphan: its record came
 * before the news of the end, that of its IKE SA behind them. */
void control_orphan_left(struct control *c, const struct control_child *child);
void control_orphan_forget(struct control *c, bool child, uint64_t spi); /* the store has it no more */
/* Deletes the record of a Child SA as it was at rev, and what is known of its numbers. False: not now. */
MUST_USE bool control_orphan_end_child(struct control *c, uint32_t spi_in, uint64_t rev);
void control_orphans_tick(struct control *c);
void control_orphans_free(struct control *c);

/* ---- lookup.c: SAs that are looked up in the store. ERR_FULL: too many ---- */

bool control_read_allowed(struct control *c); /* takes one out of the budget of reads */
MUST_USE enum err control_read_child(struct control *c, uint32_t spi_in);
MUST_USE enum err control_read_ike(struct control *c, uint64_t our_spi, const struct fwd_punt *waiting, bool forwarded);
uint64_t control_read_hash(const struct control *c, uint64_t tag);

/* ---- read.c: their rows come as changes, then what waited goes on ---- */

/* False: it was no look-up of these. */
bool control_read_done(struct control *c, const struct store_done *done);
void control_reads_free(struct control *c);

/* ---- relist.c: the whole store, read again beside the work ---- */

void control_relist_tick(struct control *c);
/* A row that came from wherever. False: it is older than one of the same key that came before it. A page of the list may be on its way
 * while the watch tells what has changed since. */
MUST_USE bool control_relist_row(struct control *c, const struct store_row *row);
bool control_relist_done(struct control *c, const struct store_done *done); /* false: it was no page of it */
uint64_t control_relist_next_us(const struct control *c); /* of the part that comes next */
void control_relist_free(struct control *c);

/* ---- park.c: ESP packets of SAs that another node has made a moment ago ---- */

void control_park_packet(struct control *c, const struct fwd_stray *s);
/* The SA is installed, or (found false) the store does not have it. */
void control_park_ready(struct control *c, uint32_t spi_in, bool found);
void control_park_timers(struct control *c);
uint64_t control_park_next_us(const struct control *c);
void control_park_free(struct control *c);

/* ---- seq.c, seq_step.c, seq_queue.c, seq_pass.c: the numbers of sequenced SAs in a cluster ---- */

MUST_USE enum err control_seq_start(struct control *c); /* before the first SA */
void control_seq_add(struct control *c, struct control_child *child); /* whose record says that it is sequenced */
void control_seq_remove(struct control *c, struct control_child *child);
void control_seq_row(struct control *c, const struct store_row *row, uint32_t spi_in);
bool control_seq_done(struct control *c, const struct store_done *done); /* false: it was nothing of these */
/* What our own commit said of the SA that it has made. */
void control_seq_made(struct control *c, uint32_t spi_in, uint64_t rev, const struct cluster_sequence *is);
/* From another node: it numbers now; it has left it to this one. */
void control_seq_taken(struct control *c, const struct cluster_member *by, uint32_t spi_in, uint64_t rev, uint64_t out);
void control_seq_left(struct control *c, uint16_t slot, uint32_t spi_in, uint64_t rev);
/* An inner packet: of a worker here; of another node, and then it goes no further. */
void control_seq_local(struct control *c, const struct fwd_inner *in);
void control_seq_inner(struct control *c, uint32_t spi_in, struct bytes packet);
/* How many of its numbers were given to nodes, but never all: the last ones may still be used. 0: it is not sequenced. */
uint64_t control_seq_used(const struct control_child *child);
void control_seq_low(struct control *c, uint32_t spi_in); /* half of its block is used */
void control_seq_check(struct control *c, const struct control_child *child, const struct fwd_child_stats *s); /* once a second */
void control_seq_turn(struct control *c); /* first in a turn */
void control_seq_timers(struct control *c); /* after all that may hand out packets */
uint64_t control_seq_next_us(const struct control *c);
void control_seq_free(struct control *c); /* after the Child SAs */
