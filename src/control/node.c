// A slot for this node: claimed under a lease, kept, and claimed anew when it was lost. What the others' records say.
#include "control/node.h"

#include <stdlib.h>
#include <unistd.h>

#define START_TRIES 16
#define AGAIN_US 200000u
#define TICK_KEY UINT64_C(0x7469636b) /* "tick" */

static bool is_own(const struct control *c, const struct cluster_node *n)
{
	return n->incarnation == c->cfg.incarnation;
}

/* ---- which slot ---- */

/* A process of ours that was before, and whose lease has not lapsed yet: names are of one node. */
static bool is_former(const struct control_node *own, const struct cluster_member *m)
{
	return strcmp(m->n.name, own->self.name) == 0 && m->n.incarnation < own->self.incarnation;
}

/* The slot that we had; that of the process before; else the first free one from where the name falls. */
static uint16_t choose_slot(const struct control *c)
{
	const struct control_node *own = c->node;
	static const struct siphash_key everywhere = { 0 };

	if (own->slot != 0 && own->conflicts == 0 && cluster_member_at(&c->members, own->slot) == NULL)
		return own->slot;
	for (unsigned i = 0; i < c->members.cnt; i++)
		if (is_former(own, &c->members.m[i]))
			return c->members.m[i].slot;
	uint64_t at = siphash(&everywhere, bytes_str(own->self.name)) + own->conflicts;
	for (unsigned i = 0; i < CLUSTER_SLOT_MAX; i++) {
		uint16_t slot = (uint16_t)(1 + (at + i) % CLUSTER_SLOT_MAX);
		if (cluster_member_at(&c->members, slot) == NULL)
			return slot;
	}
	return 1; /* more slots than members can be known: not reached */
}

/* Our record into a slot that has none, or one of a former process. */
struct claim {
	struct model_key key;
	uint8_t room[CLUSTER_RECORD_MAX];
	struct store_put put;
};

static const struct store_txn *make_claim(const struct control_node *n, uint16_t slot, uint64_t mod_rev, struct claim *ret)
{
	struct wr w = wr_of(SPACE_OF(ret->room));

	cluster_node_encode(&n->self, &w);
	must(!w.bad);
	ret->key = model_key_node(slot);
	const struct store_txn *txn = store_put_txn(&ret->put, model_key_bytes(&ret->key), mod_rev, wr_bytes(&w));
	ret->put.txn.lease = n->lease;
	return txn;
}

static uint64_t rev_of_former(const struct control *c, uint16_t slot)
{
	const struct cluster_member *m = cluster_member_at(&c->members, slot);
	return m == NULL ? 0 : m->mod_rev;
}

/* ---- ours, or not ---- */

static void hold(struct control *c, uint64_t rev)
{
	struct control_node *n = c->node;

	if (n->phase != CONTROL_NODE_HELD || c->members.self != n->slot)
		log_info("this node is %s, in slot %u", n->self.name, n->slot);
	cluster_members_remove(&c->members, n->slot); /* the former process */
	n->phase = CONTROL_NODE_HELD;
	n->mod_rev = rev;
	n->until_us = n->asked_us + n->lease_us;
	n->next_us = n->asked_us + CONTROL_RENEW_US;
	n->conflicts = 0;
	c->world.node_slot = n->slot;
	cluster_members_self(&c->members, n->slot, true, n->self.state == CLUSTER_DRAINING);
}

static void lose(struct control *c, const char *why)
{
	struct control_node *n = c->node;

	log_warn("slot %u of this node is lost: %s; it is claimed anew", n->slot, why);
	n->phase = CONTROL_NODE_LOST;
	n->mod_rev = 0;
	n->next_us = c->now_us;
	cluster_members_self(&c->members, n->slot, false, n->self.state == CLUSTER_DRAINING);
}

/* ---- start: before the store thread ---- */

static void put_member(struct control *c, uint16_t slot, const struct cluster_node *n, uint64_t mod_rev)
{
	const struct cluster_member *known = cluster_member_at(&c->members, slot);

	if (known != NULL && known->n.incarnation != n->incarnation)
		control_mesh_forget(c, known->n.incarnation);
	if (known == NULL || known->n.incarnation != n->incarnation)
		c->use_epoch++;
	if (cluster_members_put(&c->members, slot, n, mod_rev, c->now_us) != ERR_NONE)
		log_error("the cluster has more than %d other nodes: %s is left out", CLUSTER_NODES_MAX, n->name);
}

static void take_row(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	struct cluster_node n;
	uint16_t slot;

	enum err e = cluster_slot_of_key(row->key, &slot);
	if (e == ERR_NONE)
		e = cluster_node_decode(row->value, &n);
	if (e != ERR_NONE)
		log_error("the record %.*s of a node is not understood: %s", (int)row->key.len, (const char *)row->key.p,
			  err_text(e));
	else if (!is_own(c, &n))
		put_member(c, slot, &n, row->mod_rev);
}

static enum err list_nodes(struct control *c, struct store *s)
{
	cluster_members_init(&c->members, c->node->self.site, c->now_us);
	return store_range(s, bytes_str(MODEL_KEY_NODES), bytes_str(""), 0, take_row, c, NULL);
}

static enum err claim_first(struct control *c, struct store *s)
{
	struct control_node *n = c->node;
	struct claim claim;

	for (unsigned i = 0; i < START_TRIES; i++) {
		enum err e = list_nodes(c, s);
		if (e != ERR_NONE)
			return e;
		n->slot = 0;
		n->slot = choose_slot(c);
		/* Drained it was, and so it stays until the word comes that it is not. */
		const struct cluster_member *former = cluster_member_at(&c->members, n->slot);
		if (former != NULL && former->n.state == CLUSTER_DRAINING)
			n->self.state = CLUSTER_DRAINING;
		struct store_result r = store_commit(s, make_claim(n, n->slot, rev_of_former(c, n->slot), &claim));
		if (r.err == ERR_NONE) {
			hold(c, r.rev);
			return ERR_NONE;
		}
		if (r.err != ERR_CONFLICT)
			return r.err;
		n->conflicts++;
	}
	return ERR_CONFLICT;
}

/* Our clock may be slowed by one part in a hundred while it is drawn to that of the others (clock.c). */
static void take_lease(struct control_node *n, const struct store_lease *lease)
{
	n->lease = lease->id;
	n->lease_us = lease->ttl_ms * 990;
}

static enum err grant_first(struct control_node *n, struct store *s)
{
	struct store_lease lease;

	enum err e = store_lease_grant(s, CONTROL_LEASE_MS, &lease);
	if (e != ERR_NONE)
		return e;
	take_lease(n, &lease);
	return ERR_NONE;
}

static void take_first_tick(void *arg, const struct store_row *row)
{
	struct control *c = arg;
	c->node->tick_rev = row->mod_rev;
}

static void name_self(const struct control *c, struct cluster_node *self)
{
	const struct conf_cluster *conf = c->cfg.cluster;

	*self = (struct cluster_node){ .incarnation = c->cfg.incarnation, .state = CLUSTER_UP,
				       .format_oldest = MODEL_FORMAT_OLDEST, .format_newest = model_format_newest(),
				       .mesh = conf->mesh_address };
	_Static_assert(sizeof(self->name) >= CONF_NODE_NAME_MAX, "every name of the configuration fits");
	snprintf(self->name, sizeof(self->name), "%s", conf->node);
	snprintf(self->site, sizeof(self->site), "%s", conf->site);
	if (self->name[0] == 0 && gethostname(self->name, sizeof(self->name) - 1) != 0)
		snprintf(self->name, sizeof(self->name), "unnamed");
	self->name[sizeof(self->name) - 1] = 0;
}

enum err control_node_start(struct control *c, struct store *s)
{
	if (c->cfg.cluster == NULL)
		return ERR_NONE;
	c->node = calloc(1, sizeof(*c->node));
	if (c->node == NULL)
		return ERR_MEMORY;
	name_self(c, &c->node->self);
	c->node->asked_us = c->node->tick_seen_us = c->now_us;
	enum err e = grant_first(c->node, s);
	if (e == ERR_NONE)
		e = claim_first(c, s);
	if (e == ERR_NONE)
		e = store_get(s, bytes_str(MODEL_KEY_TICK), take_first_tick, c);
	if (e == ERR_NONE || e == ERR_NOTFOUND)
		e = control_cookie_load(c, s);
	if (e != ERR_NONE)
		log_error("this node cannot join the cluster: %s", err_text(e));
	return e;
}

/* ---- what the store tells ---- */

static void take_own(struct control *c, uint16_t slot, const struct store_row *row)
{
	struct control_node *n = c->node;
	if (slot == n->slot && n->phase == CONTROL_NODE_HELD && row->mod_rev > n->mod_rev)
		n->mod_rev = row->mod_rev;
}

static void take_gone(struct control *c, uint16_t slot, const struct store_row *row)
{
	const struct control_node *n = c->node;
	const struct cluster_member *m = cluster_member_at(&c->members, slot);

	if (slot == n->slot && n->phase == CONTROL_NODE_HELD && row->mod_rev > n->mod_rev)
		lose(c, "its record is gone");
	if (m == NULL || row->mod_rev <= m->mod_rev)
		return;
	log_info("node %s left slot %u", m->n.name, slot);
	control_mesh_forget(c, m->n.incarnation);
	cluster_members_remove(&c->members, slot);
}

static void take_node(struct control *c, const struct store_row *row)
{
	const struct control_node *own = c->node;
	struct cluster_node n;
	uint16_t slot;

	if (cluster_slot_of_key(row->key, &slot) != ERR_NONE)
		return;
	const struct cluster_member *m = cluster_member_at(&c->members, slot);
	if (row->deleted) {
		take_gone(c, slot, row);
		return;
	}
	if (m != NULL && row->mod_rev <= m->mod_rev)
		return;
	enum err e = cluster_node_decode(row->value, &n);
	if (e != ERR_NONE) {
		log_error("the record of the node in slot %u is not understood: %s", slot, err_text(e));
		return;
	}
	if (is_own(c, &n)) {
		take_own(c, slot, row);
		return;
	}
	if (slot == own->slot && own->phase == CONTROL_NODE_HELD) {
		if (row->mod_rev <= own->mod_rev)
			return;
		lose(c, strcmp(n.name, own->self.name) == 0 ? "another process has the same name" : "another node took it");
	}
	if (m == NULL || m->n.incarnation != n.incarnation)
		log_info("node %s is in slot %u", n.name, slot);
	put_member(c, slot, &n, row->mod_rev);
}

void control_node_sweep(struct control *c, bool (*is_there)(const struct control *c, const struct model_key *key), uint64_t rev)
{
	for (unsigned i = c->members.cnt; i-- > 0;) { /* the last one takes the place of one that goes */
		const uint16_t slot = c->members.m[i].slot;
		const struct model_key key = model_key_node(slot);
		const struct store_row gone = { .key = model_key_bytes(&key), .mod_rev = rev, .deleted = true };
		if (!is_there(c, &key))
			take_gone(c, slot, &gone);
	}
}

bool control_node_change(struct control *c, const struct store_row *row)
{
	if (c->node == NULL)
		return false;
	if (bytes_starts(row->key, bytes_str(MODEL_KEY_NODES)))
		take_node(c, row);
	else if (bytes_eq(row->key, bytes_str(MODEL_KEY_COOKIE)))
		control_cookie_change(c, row);
	else if (bytes_eq(row->key, bytes_str(MODEL_KEY_FORMAT)))
		control_format_change(c, row);
	else if (bytes_eq(row->key, bytes_str(MODEL_KEY_TICK))) {
		c->node->tick_rev = row->deleted ? 0 : row->mod_rev;
		c->node->tick_seen_us = c->now_us;
		control_clock_tick(c, row->value);
	} else
		return false;
	return true;
}

/* ---- results ---- */

static void submit_claim(struct control *c)
{
	struct control_node *n = c->node;
	struct claim claim;

	n->slot = choose_slot(c);
	const struct store_txn *txn = make_claim(n, n->slot, rev_of_former(c, n->slot), &claim);
	n->phase = CONTROL_NODE_CLAIMING;
	if (store_thread_submit(c->store, txn, control_node_tag(NODE_TAG_CLAIM)) != ERR_NONE) {
		n->phase = CONTROL_NODE_LOST;
		n->next_us = c->now_us + AGAIN_US;
	}
}

static void take_grant(struct control *c, const struct store_done *done)
{
	struct control_node *n = c->node;

	if (n->phase != CONTROL_NODE_GRANTING)
		return;
	if (done->result.err != ERR_NONE) {
		n->phase = CONTROL_NODE_LOST;
		n->next_us = c->now_us + CONTROL_RENEW_US;
		return;
	}
	take_lease(n, &done->lease);
	submit_claim(c);
}

static void take_claim(struct control *c, const struct store_done *done)
{
	struct control_node *n = c->node;

	if (n->phase != CONTROL_NODE_CLAIMING)
		return;
	if (done->result.err == ERR_NONE && c->now_us < n->asked_us + n->lease_us) {
		hold(c, done->result.rev);
		return;
	}
	/* A slot that is taken: the next one. Else, also with an unknown outcome, with a new lease: what was put under the
	 * old one goes with it. */
	n->conflicts += done->result.err == ERR_CONFLICT;
	n->phase = CONTROL_NODE_LOST;
	n->next_us = c->now_us + AGAIN_US;
}

static void take_renewed(struct control *c, const struct store_done *done)
{
	struct control_node *n = c->node;

	n->renewing = false;
	if (n->phase != CONTROL_NODE_HELD)
		return;
	if (done->result.err == ERR_NOTFOUND) {
		lose(c, "its lease has lapsed");
	} else if (done->result.err == ERR_NONE) {
		n->until_us = n->asked_us + n->lease_us;
		if (!c->members.held && c->now_us < n->until_us)
			log_info("the store is back, and the lease of slot %u stands", n->slot);
	} else if (n->next_us > c->now_us + AGAIN_US) {
		n->next_us = c->now_us + AGAIN_US; /* as while etcd's users are changed: it lasts for a few tries */
	}
}

static void take_written(struct control *c, const struct store_done *done)
{
	struct control_node *n = c->node;

	n->writing = false;
	if (n->phase != CONTROL_NODE_HELD)
		return;
	if (done->result.err == ERR_NONE && done->result.rev > n->mod_rev)
		n->mod_rev = done->result.rev;
	else if (done->result.err == ERR_CONFLICT)
		lose(c, "its record was changed");
	else if (done->result.err != ERR_NONE)
		n->dirty = true;
}

/* Somebody else wrote it. The watch tells of that, unless it was before a time of which the store tells nothing any more. */
static void read_after_conflict(struct control *c, const struct store_done *done, const char *key)
{
	if (done->result.err == ERR_CONFLICT &&
	    store_thread_read(c->store, bytes_str(key), control_node_tag(NODE_TAG_READ)) != ERR_NONE)
		log_warn("%s cannot be read now", key);
}

bool control_node_done(struct control *c, const struct store_done *done)
{
	if (c->node == NULL || done->tag < CONTROL_TAG_NODE || done->tag - CONTROL_TAG_NODE > NODE_TAG_READ)
		return false;
	switch ((enum control_node_tag)(done->tag - CONTROL_TAG_NODE)) {
	case NODE_TAG_RENEW: take_renewed(c, done); return true;
	case NODE_TAG_GRANT: take_grant(c, done); return true;
	case NODE_TAG_CLAIM: take_claim(c, done); return true;
	case NODE_TAG_WRITE: take_written(c, done); return true;
	case NODE_TAG_TICK:
		c->node->ticking = false;
		read_after_conflict(c, done, MODEL_KEY_TICK);
		return true;
	case NODE_TAG_COOKIE:
		c->node->turning = false;
		read_after_conflict(c, done, MODEL_KEY_COOKIE);
		return true;
	case NODE_TAG_FORMAT:
		read_after_conflict(c, done, MODEL_KEY_FORMAT);
		return true;
	case NODE_TAG_READ:
		return true;
	}
	return false;
}

/* ---- timers ---- */

static void keep_lease(struct control *c)
{
	struct control_node *n = c->node;

	if (c->now_us < n->next_us)
		return;
	if (n->phase == CONTROL_NODE_HELD && !n->renewing) {
		n->asked_us = c->now_us;
		n->next_us = c->now_us + CONTROL_RENEW_US;
		n->renewing = store_thread_renew(c->store, n->lease, control_node_tag(NODE_TAG_RENEW)) == ERR_NONE;
	} else if (n->phase == CONTROL_NODE_LOST) {
		n->asked_us = c->now_us;
		n->next_us = c->now_us + CONTROL_RENEW_US;
		if (store_thread_grant(c->store, CONTROL_LEASE_MS, control_node_tag(NODE_TAG_GRANT)) == ERR_NONE)
			n->phase = CONTROL_NODE_GRANTING;
	}
}

/* A lease counts from when it was asked for, so that nobody else has the slot while we still believe in it. */
static void judge_lease(struct control *c)
{
	const struct control_node *n = c->node;
	bool held = n->phase == CONTROL_NODE_HELD && c->now_us < n->until_us;

	if (c->members.held && !held)
		log_warn("the lease of slot %u could not be renewed in time: this node starts nothing until it is", n->slot);
	cluster_members_self(&c->members, n->slot, held, n->self.state == CLUSTER_DRAINING);
}

static void write_self(struct control *c)
{
	struct control_node *n = c->node;
	struct claim claim;

	if (!n->dirty || n->writing || n->phase != CONTROL_NODE_HELD)
		return;
	const struct store_txn *txn = make_claim(n, n->slot, n->mod_rev, &claim);
	if (store_thread_submit(c->store, txn, control_node_tag(NODE_TAG_WRITE)) != ERR_NONE)
		return;
	n->dirty = false;
	n->writing = true;
}

/* One node writes it. When it does not come, the others do, each after a while of its own. */
static void write_tick(struct control *c)
{
	struct control_node *n = c->node;
	uint64_t patience = cluster_duty(&c->members, TICK_KEY) ? CONTROL_TICK_US
								 : CONTROL_TICK_US * 3 / 2 + n->slot % 8 * (CONTROL_TICK_US / 16);
	uint8_t value[2 + 4 + 8 + 4 + 2];
	struct wr w = wr_of(SPACE_OF(value));
	struct store_put put;

	if (n->ticking || !c->members.held || c->now_us < n->tick_seen_us + patience)
		return;
	control_tick_encode(c->now_us, n->slot, &w);
	must(!w.bad);
	const struct store_txn *txn = store_put_txn(&put, bytes_str(MODEL_KEY_TICK), n->tick_rev, wr_bytes(&w));
	put.txn.loose = true;
	n->ticking = store_thread_submit(c->store, txn, control_node_tag(NODE_TAG_TICK)) == ERR_NONE;
}

void control_node_timers(struct control *c)
{
	if (c->node == NULL)
		return;
	judge_lease(c);
	keep_lease(c);
	write_self(c);
	write_tick(c);
	control_cookie_timers(c);
	control_format_timers(c);
}

/* ---- questions ---- */

bool control_node_fresh(const struct control *c)
{
	return c->node == NULL || c->now_us < c->node->tick_seen_us + CONTROL_STALE_US;
}

bool control_node_starts(const struct control *c)
{
	return c->node == NULL || (c->members.held && !cluster_cut(&c->members, c->now_us));
}

void control_node_drain(struct control *c, bool draining)
{
	struct control_node *n = c->node;
	uint8_t state = draining ? CLUSTER_DRAINING : CLUSTER_UP;

	if (n->self.state == state)
		return;
	n->self.state = state;
	n->dirty = true;
	cluster_members_self(&c->members, n->slot, c->members.held, draining);
	log_info("this node %s", draining ? "drains: its duties go to the others" : "is up again");
}

/* ---- end ---- */

/* The others need not wait for the lease to lapse. */
void control_node_leave(struct control *c)
{
	const struct control_node *n = c->node;

	if (n == NULL || n->phase != CONTROL_NODE_HELD || c->store == NULL)
		return;
	const struct model_key key = model_key_node(n->slot);
	const struct store_cmp cmp = { model_key_bytes(&key), n->mod_rev };
	const struct store_op op = { STORE_DELETE, model_key_bytes(&key), { NULL, 0 } };
	const struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 };
	if (store_thread_submit(c->store, &txn, control_node_tag(NODE_TAG_WRITE)) != ERR_NONE)
		log_warn("the record of this node stays until its lease lapses");
}

void control_node_free(struct control *c)
{
	free(c->node);
	c->node = NULL;
}
