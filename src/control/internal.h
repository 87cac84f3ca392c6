// The functions between the files of control; the tables that they share are in tables.h.
// The control thread only.
#pragma once

#include "control/tables.h"

/* loop.c */
/* What control_run does again and again: waits so long at most (0: not at all), then does all that is due. */
void control_turn(struct control *c, int wait_ms);

/* clock.c: the clock of records */
void control_clock_init(struct control *c);
void control_clock_read(struct control *c);
/* Of a cluster: before anything is read that may have expired. ERR_RANGE: this machine's clock is wrong; it is logged. */
MUST_USE enum err control_clock_load(struct control *c, struct store *s);
void control_clock_tick(struct control *c, struct bytes value); /* another node's tick: its time draws ours */
void control_tick_encode(uint64_t now_us, uint16_t slot, struct wr *w);

/* format.c */
/* What records are written in; ERR_VERSION: a newer program wrote them. The cause is logged. */
MUST_USE enum err control_format_load(struct control *c, struct store *s);

/* config.c */
MUST_USE enum err control_config_load(struct control *c, struct store *s, uint64_t *ret_rev);
void control_config_change(struct control *c, const struct store_row *row);
void control_config_publish(struct control *c); /* what changed since: routes, off-ramps */
/* Ends what has no record any more. */
void control_config_sweep(struct control *c, bool (*is_there)(const struct control *c, const struct model_key *key));
void control_config_free(struct control *c);
void control_config_put_account(struct control *c, const struct model_account *m);
/* NULL without memory. */
struct control_tunnel *control_config_put_tunnel(struct control *c, const struct model_tunnel *m);
/* Frees the entry of a tunnel that is no longer configured and has no SA left. */
void control_tunnel_idle(struct control *c, struct control_tunnel *t);
struct control_tunnel *control_tunnel_find(const struct control *c, const struct model_id *id);
struct control_account *control_account_find(const struct control *c, const struct model_id *id);
struct control_account *control_account_by_number(const struct control *c, uint32_t number);
bool control_find_tunnel(void *arg, const struct model_identity *id, const struct addr *local,
			 const struct addr *remote, struct ike_peer *ret);
void control_find_previous_psk(void *arg, const struct model_id *tunnel_id, struct secret *ret);

/* psk.c: pre-shared keys */
MUST_USE enum err control_psks_init(struct control *c);
void control_psk_put(struct control *c, struct control_tunnel *t, const struct model_psk *m); /* as the store has it */
/* The key of a tunnel and, after that, the one before it, empty where it has none; t NULL: there is no tunnel. Whether there is
 * one, and which keys it has, does not show in the time that it takes. */
void control_psk_open(struct control *c, struct control_tunnel *t, struct secret *ret);
void control_psk_open_previous(const struct control *c, const struct control_tunnel *t, struct secret *ret);
bool control_psks_wait(const struct control *c); /* some are still to be opened; each turn opens one tunnel's */
void control_psks_tick(struct control *c);
void control_psks_free(struct control *c);

/* sas.c */
void control_datagram(struct control *c, const struct fwd_punt *punt);
void control_datagram_forwarded(struct control *c, const struct fwd_punt *punt); /* by another node: it goes no further */
/* That its IKE SA was looked up in the store for: it is not looked up again. */
void control_datagram_looked_up(struct control *c, const struct fwd_punt *punt, bool forwarded);
void control_half_event(struct control *c, struct control_half *h, const struct ike_event *ev);
void control_half_arm(struct control *c, struct control_half *h);
void control_sa_event(struct control *c, struct control_sa *sa, const struct ike_event *ev);
/* A message, which waits if a step is under way. */
void control_sa_message(struct control *c, struct control_sa *sa, const struct ike_event *ev);
void control_sa_close(struct control *c, struct control_sa *sa, enum model_failure_code code);
/* Rekeys the IKE SA, or each of its Child SAs (spi 0) or one of them, as soon as the window is free. */
void control_sa_rekey(struct control *c, struct control_sa *sa, bool ike, uint32_t spi_in);
/* The same for what stands of a tunnel. ERR_CONFLICT: nothing does. */
MUST_USE enum err control_tunnel_rekey(struct control *c, struct control_tunnel *t, bool ike);
void control_sas_timers(struct control *c);
uint64_t control_sas_next_us(const struct control *c);
void control_notice(struct control *c, const struct fwd_notice *n);
/* The peer has this Child SA: sending may move to it. False: there is none, or it is replaced. */
bool control_proven(struct control *c, uint32_t spi_in);
struct control_sa *control_sa_find(const struct control *c, uint64_t our_spi);
struct control_child *control_child_find(const struct control *c, uint32_t spi_in);
/* Makes the entry of a record, and owns its encoding *made from then on; NULL without memory. */
struct control_sa *control_sa_add(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t mod_rev,
				  struct control_tunnel *t);
void control_sa_remove(struct control *c, struct control_sa *sa);
void control_sa_arm(struct control *c, struct control_sa *sa, const struct ike_sa *r);
void control_sas_free(struct control *c);
/* The step of an SA has ended. The SA may be gone afterwards. */
void control_sa_idle(struct control *c, struct control_sa *sa);
/* False without memory. */
bool control_half_add(struct control *c, const struct ike_half *half);
void control_half_remove(struct control *c, struct control_half *h);
uint64_t control_spi_hash(const struct control *c, uint64_t spi);

/* record.c: records between steps, and the room for steps */
MUST_USE enum err control_record_make(const struct control *c, const struct ike_sa *sa,
				      struct control_record *ret); /* ERR_MEMORY */
/* The caller wipes *ret. */
void control_record_read(const struct control_record *r, struct ike_sa *ret);
void control_record_free(struct control_record *r);
struct control_step *control_step_take(struct control *c); /* NULL without memory */
void control_step_give(struct control *c, struct control_step *s); /* wipes what was used; NULL is fine */
/* What is to be done after the commit, without the room of a step. ERR_MEMORY. */
MUST_USE enum err control_step_park(struct control *c, struct control_op *op);
void control_step_unpark(struct control *c, struct control_op *op);
void control_parked_free(struct control_parked *p);
MUST_USE enum err control_steps_init(struct control *c); /* ERR_MEMORY */
void control_steps_free(struct control *c);

/* node.c: this node's slot in the cluster. Without a cluster there is none, and nothing is to be done */

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

/* mesh.c: what the nodes of a cluster tell each other. Without a cluster nothing is sent. All of it may be lost */

MUST_USE enum err control_mesh_start(struct control *c);
int control_mesh_fd(const struct control *c); /* -1: there is no cluster */
void control_mesh_receive(struct control *c);
void control_mesh_timers(struct control *c); /* last in a turn */
uint64_t control_mesh_next_us(const struct control *c);
void control_mesh_forget(struct control *c, uint32_t incarnation); /* that process is no member any more */
void control_mesh_free(struct control *c);
/* To the node with that slot: an IKE datagram that is its business. It is never forwarded again. */
void control_mesh_forward(struct control *c, uint16_t slot, const struct fwd_punt *p);
/* The peer has this Child SA: the others may send on it too (design section 6.7). */
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
/* An IP fragment, to the node that puts its datagram together (gather.c). */
void control_mesh_fragment(struct control *c, uint16_t slot, struct bytes packet);
/* A row that the store has since mod_rev, to the nodes of the site that have not installed what it had at rev. */
void control_mesh_row(struct control *c, uint64_t rev, uint64_t mod_rev, struct bytes key, struct bytes value);
/* An inner packet for the node that numbers the packets of a Child SA. */
void control_mesh_inner(struct control *c, uint16_t slot, uint32_t spi_in, struct bytes packet);

/* gather.c: IP fragments that came to different nodes. Without a cluster nothing is done */

MUST_USE enum err control_gather_start(struct control *c);
int control_gather_fd(const struct control *c, bool v6); /* -1: there is no cluster */
void control_gather_receive(struct control *c, bool v6);
void control_gather_take(struct control *c, struct bytes packet); /* another node has sent it here */
void control_gather_timers(struct control *c);
uint64_t control_gather_next_us(const struct control *c);
void control_gather_free(struct control *c);

/* source.c: half-open handshakes by their source */
bool control_source_add(struct control *c, const struct addr *a); /* false without memory */
void control_source_remove(struct control *c, const struct addr *a);
bool control_source_allowed(const struct control *c, const struct addr *a);

/* frag.c: fragments of IKE messages */

/* Takes a fragment for the SA with that record; owner is where it keeps its fragments. True: the message is whole, and *ev
 * carries it in room until the next call. */
bool control_frag_take(struct control *c, struct control_frags **owner, const struct ike_sa *r, struct ike_event *ev,
		       struct space room);
void control_frag_free(struct control *c, struct control_frags **owner);
void control_frags_timers(struct control *c);

/* commit.c: what a step commits */
MUST_USE enum err control_commit_submit(struct control *c, struct control_op *op); /* the result comes with op->tag */
/* The SPI of the Child SA that our request asks for, and that is reserved; 0: it asks for none. */
uint32_t control_asked_spi(const struct ike_sa *sa);
/* What found no room in that transaction, now that it was done. */
void control_commit_rest(struct control *c, struct control_op *op);

/* exec.c: steps and their actions */
struct control_op *control_op_new(struct control *c, enum control_op_kind kind, const struct ike_event *ev);
void control_op_run(struct control *c, struct control_op *op);
void control_op_dh_done(struct control *c, const struct control_dh_done *done);
void control_op_committed(struct control *c, const struct store_done *done);
/* Forgets it without any effect (the end of the process). */
void control_op_free(struct control *c, struct control_op *op);
void control_op_drop(struct control *c, struct control_op *op);
void control_keepalive(struct control *c, const struct model_path *path); /* RFC 3948 4 */
void control_send(struct control *c, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		  bool marker, struct bytes msg);

/* install.c: Child SAs. rev: of the commit that made it, or deleted it; 0: it is removed here alone. */
void control_child_install(struct control *c, const struct model_child_sa *child, uint32_t replaces, uint64_t rev);
void control_child_remove(struct control *c, uint32_t spi_in, uint64_t rev);
void control_children_timers(struct control *c);
/* The record of the marks, CONTROL_MARKS_LEN bytes. decode takes all that cluster_sequence_decode takes. False: none of that. */
void control_marks_encode(const struct control_marks *m, uint8_t ret[static CONTROL_MARKS_LEN]);
bool control_marks_decode(struct bytes record, struct control_marks *ret);
/* Once a second: raises the marks in the store of SAs that have used half of their block, and asks for the rekey of those that
 * have reached a soft limit, for the end of those at a hard one. */
void control_children_check(struct control *c);

/* use.c: how much of a key all nodes together have used */

/* What is to be told to the others in one turn. */
struct control_use_list {
	void (*send)(struct control *c, struct bytes list);
	unsigned sent;
	struct wr w;
	uint8_t b[WIRE_MESH_USED_MAX * WIRE_MESH_USED_LEN];
};
void control_use_begin(struct control_use_list *l, void (*send)(struct control *c, struct bytes list));
/* own: what this process has used. Told if it is more than a little. */
void control_use_look(struct control *c, struct control_use_list *l, struct control_child *child, const struct fwd_child_stats *own);
void control_use_end(struct control *c, struct control_use_list *l);
/* Of all processes that there were, with what the others may not have told yet. */
struct esp_used control_use_sum(const struct control *c, const struct control_child *child, const struct fwd_child_stats *own);
void control_use_take(struct control *c, const struct wire_mesh_used *u); /* another process, or another one of it, has told */
void control_use_free(struct control_child *child);

/* last valid ESP packet over the SA's children, 0: none */
uint64_t control_sa_last_esp(const struct control *c, const struct ike_sa *r);

/* mirror.c: what other nodes do */

/* A row under ike/, child/ or cur/, from the watch, a read or a list: rows may come late and more than once. */
void control_mirror_change(struct control *c, const struct store_row *row);
/* Of an SA that was removed here: nothing that the store had of it up to rev brings it back. */
void control_mirror_bury(struct control *c, bool child, uint64_t spi, uint64_t rev, uint64_t until_us);
/* A Child SA, of which its tunnel is remembered. NULL: none of that SPI has ended here of late. */
void control_mirror_bury_child(struct control *c, const struct control_child *child, uint64_t rev);
const struct model_id *control_mirror_buried_tunnel(const struct control *c, uint32_t spi_in);
/* Child SAs that the peer has, by the record of their IKE SA: sending moves there. fresh: it is new here. */
void control_children_prove(struct control *c, const struct ike_sa *r, bool fresh);
void control_mirror_settle(struct control *c); /* all rows that came together were told */
void control_mirror_tick(struct control *c);
void control_mirror_free(struct control *c);
/* We do what has to be done unasked with that IKE SA of ours. */
bool control_duty_sa(const struct control *c, uint64_t our_spi);
bool control_duty_tunnel(const struct control *c, const struct control_tunnel *t);

/* orphan.c: records of SAs whose tunnel is not configured any more */
void control_orphan_ike(struct control *c, const struct ike_sa *r, uint64_t rev);
void control_orphan_child(struct control *c, const struct model_child_sa *m, uint64_t rev);
void control_orphan_forget(struct control *c, bool child, uint64_t spi); /* the store has it no more */
void control_orphans_tick(struct control *c);
void control_orphans_free(struct control *c);

/* read.c: SAs that are looked up in the store. Their rows come as changes, then what waited goes on. ERR_FULL: too many. */
bool control_read_allowed(struct control *c); /* takes one out of the budget of reads */
MUST_USE enum err control_read_child(struct control *c, uint32_t spi_in);
MUST_USE enum err control_read_ike(struct control *c, uint64_t our_spi, const struct fwd_punt *waiting, bool forwarded);
/* False: it was no look-up of these. */
bool control_read_done(struct control *c, const struct store_done *done);
void control_reads_free(struct control *c);

/* relist.c: the whole store, read again beside the work */
void control_relist_tick(struct control *c);
void control_relist_row(struct control *c, const struct store_row *row); /* that came from wherever: its key is there */
bool control_relist_done(struct control *c, const struct store_done *done); /* false: it was no page of it */
void control_relist_free(struct control *c);

/* ivs.c: the IVs of IKE */
MUST_USE enum err control_ivs_lend(struct control *c, struct ike_event *ev); /* ERR_FULL */
void control_ivs_used(struct control *c);  /* the step has sealed with what was lent */
void control_ivs_tick(struct control *c);
void control_ivs_row(struct control *c, const struct store_row *row); /* of meta/incarnation */
bool control_ivs_done(struct control *c, const struct store_done *done); /* false: it was none of these */

/* hold.c: messages that wait for the site. */

/* What such a message tells of: a commit, of these IKE SAs (ours; 0: no more) and this new Child SA (NULL: none). */
struct control_news {
	uint64_t rev;
	uint64_t ike[3];
	const struct model_child_sa *child;
	const struct cluster_sequence *numbers; /* its record of them, if it is sequenced */
};
void control_hold_send(struct control *c, const struct control_news *news, const struct ike_action *send);
void control_hold_news(struct control *c, const struct control_news *news); /* of which no peer is told now */
void control_held_run(struct control *c);
uint64_t control_held_next_us(const struct control *c);
void control_held_free(struct control *c);

/* restore.c */
MUST_USE enum err control_restore(struct control *c, struct store *s);

/* keys.c: what is sealed in the store */

/* Takes the keys of the configuration, and the secret of the store; made by the first process. ERR_AUTH: it is sealed under
 * none of our keys; in a cluster only, elsewhere everything begins anew. */
MUST_USE enum err control_keys_load(struct control *c, struct store *s);
/* After the configuration: PSKs that lie under an older key are sealed again, to the first one. */
MUST_USE enum err control_keys_reseal(struct control *c, struct store *s);
MUST_USE enum err control_seal_record(const struct control *c, const struct model_key *key, struct bytes record,
				      struct space out, size_t *ret_len);
/* The IKE SA and the Child SA of a row. ERR_AUTH: under none of our keys; else the errors of their decoders. The caller wipes
 * *ret. */
MUST_USE enum err control_open_sa(const struct control *c, const struct store_row *row, struct ike_sa *ret);
MUST_USE enum err control_open_child(const struct control *c, const struct store_row *row, struct model_child_sa *ret);

/* state.c: up and down, and the store's copy */
void control_tunnel_check_up(struct control *c, struct control_tunnel *t);
void control_tunnel_dirty(struct control *c, struct control_tunnel *t);
void control_states_flush(struct control *c);
MUST_USE enum err control_states_load(struct control *c, struct store *s);

/* live.c: one socket of questions; closes it and sets it to -1 when the other side has. */
void control_live_serve(struct control *c, int *fd);

/* site.c: tunnels that we start */
MUST_USE enum err control_site_load(struct control *c);
void control_site_free(struct control *c);
void control_site_publish(struct control *c, const struct control_account *a);
/* After the SAs were restored: tunnels without one start. */
void control_site_begin(struct control *c);
void control_site_timers(struct control *c);
uint64_t control_site_next_us(const struct control *c);
/* What became of an attempt, or of the tunnel's IKE SAs; do nothing for tunnels that the peer starts. */
void control_site_failed(struct control *c, const struct model_id *tunnel_id);
void control_site_up(struct control *c, struct control_tunnel *t);
void control_site_check(struct control *c, struct control_tunnel *t, bool clean);
/* Marks an SA whose local address is not its tunnel's any more: the next turn tells it. */
void control_site_follow(struct control *c, struct control_sa *sa);
/* The handshake was made from a former address: it is dropped, and another one begins. */
void control_site_drop_half(struct control *c, struct control_half *h);
/* Begins to take leave of the gateways; done: no SA is left. */
void control_site_leave(struct control *c);
bool control_site_left(const struct control *c);
uint32_t control_find_rows(void *arg, const struct model_id *tunnel_id, enum model_phase phase);
bool control_find_selectors(void *arg, const struct ike_sa *sa, uint32_t spi_in, struct ike_ts_lists *ret);

/* why.c: failures */
void control_failure(struct control *c, struct control_tunnel *t, const struct model_failure *f);
void control_why_half(struct control *c, const struct control_half *h); /* it expired */
void control_why_fragments(struct control *c, const struct control_frags *f); /* the rest did not come */
/* An IKE SA came up; replaced: another one of the tunnel stood. */
void control_why_start(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced);
/* One came up at another node, which judges by it: the others know of it. */
void control_why_started(struct control *c, struct control_tunnel *t, const struct model_path *path, bool replaced);
/* What all nodes have seen of the tunnel of that SA, its newest. */
void control_why_seen(struct control *c, const struct control_sa *sa, const struct explain_sample *s);
const struct control_sa *control_why_newest(const struct control_tunnel *t); /* established, and not about to end; NULL: none */
/* A handshake of it, or a Child SA, came to a good end. */
void control_why_settle(struct control *c, struct control_tunnel *t);
/* told: by MOBIKE, so it is no NAT that flaps. */
void control_why_path(struct control *c, struct control_tunnel *t, const struct model_path *path, bool told);
void control_why_gone(struct control *c, struct control_tunnel *t); /* the tunnel was deleted */
void control_why_tick(struct control *c);  /* once a turn: samples, closest tunnels */
void control_why_flush(struct control *c); /* what belongs to no tunnel, to the store */
MUST_USE enum err control_why_load(struct control *c, struct store *s);
/* A row of a tunnel's failures: another node's, or our own that comes back. */
void control_why_change(struct control *c, const struct store_row *row);

/* seen.c: what all nodes have seen of tunnels. Without a cluster nothing is done */

MUST_USE enum err control_seen_start(struct control *c);
void control_seen_timers(struct control *c);
/* From another node: what this one has seen of the tunnels of those IKE SAs; what that one has, which was asked. */
void control_seen_asked(struct control *c, uint16_t slot, uint32_t number, struct bytes list);
void control_seen_answered(struct control *c, const struct cluster_member *by, uint32_t number, struct bytes list);
void control_seen_free(struct control *c);

/* park.c: ESP packets of SAs that another node has made a moment ago */
void control_park_packet(struct control *c, const struct fwd_stray *s);
/* The SA is installed, or (found false) the store does not have it. */
void control_park_ready(struct control *c, uint32_t spi_in, bool found);
void control_park_timers(struct control *c);
uint64_t control_park_next_us(const struct control *c);
void control_park_free(struct control *c);

/* seq.c, seq_queue.c: the numbers of sequenced SAs in a cluster */

MUST_USE enum err control_seq_start(struct control *c); /* before the first SA */
void control_seq_add(struct control *c, struct control_child *child); /* whose record says that it is sequenced */
void control_seq_remove(struct control *c, struct control_child *child);
void control_seq_row(struct control *c, const struct store_row *row, uint32_t spi_in);
bool control_seq_done(struct control *c, const struct store_done *done); /* false: it was nothing of these */
/* From another node: it numbers now; it has left it to this one. */
/* What our own commit said of the SA that it has made. */
void control_seq_made(struct control *c, uint32_t spi_in, uint64_t rev, const struct cluster_sequence *is);
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

static inline void control_drop(struct control *c, enum model_drop d)
{
	fwd_count_drop(c->counters, d);
}

static inline void control_count(struct control *c, enum model_counter k)
{
	fwd_count(c->counters, k, 1);
}
