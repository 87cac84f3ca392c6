// Answers the api process's questions about live detail (model/live.h). A question that is not well formed is dropped.
#include "control/internal.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/secret.h"

static const struct control_sa *newest_sa(const struct control_tunnel *t)
{
	for (const struct control_sa *sa = t->sas; sa != NULL; sa = sa->next)
		if (sa->r.state == IKE_STATE_ESTABLISHED)
			return sa;
	return NULL;
}

static void fill_sa(const struct control *c, const struct control_sa *sa, struct model_live_tunnel *l)
{
	struct ike_sa record;
	const struct ike_sa *r = &record;

	control_record_read(&sa->r, &record);
	l->ike_suite = r->suite;
	l->path = r->path;
	l->start_port = r->start_port;
	l->nat_claimed = r->nat_peer;
	/* A NAT changes the port sooner or later; a peer that only claims one keeps it. */
	l->nat_seen = r->nat_peer && r->path.remote.port != IKE_PORT && r->path.remote.port != IKE_NATT_PORT;
	l->identity_type = r->id_type;
	model_identity_print(r->id_type, bytes_of(r->id, r->id_len), l->identity);
	for (unsigned i = 0; i < r->child_cnt; i++) {
		const struct control_child *child = control_child_find(c, r->children[i].spi_in);
		if (child != NULL && !r->children[i].replaced)
			l->child_suite = child->suite;
	}
	l->child_cnt = r->child_cnt;
	secret_wipe(&record, sizeof(record));
}

static struct model_live_tunnel live_of(const struct control *c, const struct control_tunnel *t)
{
	struct model_live_tunnel l = { .account_id = t->account->m.id, .tunnel_id = t->id, .up = t->up,
				       .since_us = t->since_us, .child_rekeys = t->child_rekeys,
				       .ike_rekeys = t->ike_rekeys };
	const struct model_failure *last = explain_history_last(&t->why);
	const struct control_sa *sa = newest_sa(t);
	struct fwd_tunnel_stats s;

	if (t->starter != NULL)
		snprintf(l.name, sizeof(l.name), "%s", t->starter->conf->name);
	if (last != NULL) {
		l.has_failure = true;
		l.failure = *last;
	}
	if (sa != NULL)
		fill_sa(c, sa, &l);
	if (fwd_tunnel_stats(c->fwd, &t->id, &s) == ERR_NONE) {
		l.in_packets = s.in_packets;
		l.in_bytes = s.in_bytes;
		l.out_packets = s.out_packets;
		l.out_bytes = s.out_bytes;
		l.last_in_us = s.last_in_us;
		l.effective_mtu = s.effective_mtu;
	}
	return l;
}

static int compare_tunnels(const void *a, const void *b)
{
	const struct control_tunnel *const *x = a, *const *y = b;
	return memcmp((*x)->id.b, (*y)->id.b, sizeof((*x)->id.b));
}

/* Pages go by tunnel id. False without memory. */
static bool sort_tunnels(struct control_account *a)
{
	size_t cnt = 0;

	if (a->sorted != NULL)
		return true;
	for (const struct control_tunnel *t = a->tunnels; t != NULL; t = t->next)
		cnt++;
	a->sorted = calloc(cnt + 1, sizeof(*a->sorted));
	if (a->sorted == NULL)
		return false;
	a->sorted_cnt = 0;
	for (struct control_tunnel *t = a->tunnels; t != NULL; t = t->next)
		a->sorted[a->sorted_cnt++] = t;
	if (cnt != 0)
		qsort(a->sorted, cnt, sizeof(*a->sorted), compare_tunnels);
	return true;
}

/* Where the tunnels behind this id begin. */
static size_t find_behind(const struct control_account *a, const struct model_id *id)
{
	size_t low = 0, high = a->sorted_cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (memcmp(a->sorted[mid]->id.b, id->b, sizeof(id->b)) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool add_tunnels(const struct control *c, const struct model_live_request *q, struct model_live_reply *r)
{
	struct control_account *a = control_account_find(c, &q->account_id);

	if (a == NULL || !sort_tunnels(a))
		return false;
	for (size_t i = find_behind(a, &q->tunnel_id); i < a->sorted_cnt; i++) {
		if (!a->sorted[i]->configured)
			continue;
		struct model_live_tunnel l = live_of(c, a->sorted[i]);
		if (model_live_reply_add_tunnel(r, &l) != ERR_NONE)
			return true;
	}
	return false;
}

static void add_counters(const struct control *c, struct model_live_reply *r)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];
	char name[64];
	enum err e = ERR_NONE;

	fwd_counters_sum(c->fwd, drop, counter);
	for (unsigned i = 0; e == ERR_NONE && i < MODEL_COUNTER_CNT; i++)
		e = model_live_reply_add_counter(r, model_counter_name(i), counter[i]);
	for (unsigned i = 0; e == ERR_NONE && i < MODEL_DROP_CNT; i++) {
		snprintf(name, sizeof(name), "drop_%s", model_drop_name(i));
		e = model_live_reply_add_counter(r, name, drop[i]);
	}
	if (e == ERR_NONE)
		e = model_live_reply_add_counter(r, "half_open", c->halves_by_spi.cnt);
	if (e == ERR_NONE)
		e = model_live_reply_add_counter(r, "ike_sas", c->sas.cnt);
	if (e == ERR_NONE)
		e = model_live_reply_add_counter(r, "child_sas", c->children.cnt);
	must(e == ERR_NONE); /* the list is far smaller than a message */
}

/* The newest first, so that what does not fit is the oldest. near NULL: all, else those near that tunnel. */
static void add_unknown(const struct control *c, const struct model_id *near, struct model_live_reply *r)
{
	uint64_t before = UINT64_MAX;
	uint64_t told = 0; /* bit set: several may have one time */

	for (unsigned n = 0; n < CONTROL_UNKNOWN_MAX; n++) {
		const struct control_unknown *best = NULL;
		for (unsigned i = 0; i < CONTROL_UNKNOWN_MAX; i++) {
			const struct control_unknown *u = &c->unknown[i];
			if (u->f.cnt == 0 || (told & (uint64_t)1 << i) != 0 || u->f.last_us > before ||
			    (near != NULL && !model_id_eq(&u->f.near_tunnel_id, near)))
				continue;
			if (best == NULL || u->f.last_us > best->f.last_us)
				best = u;
		}
		if (best == NULL)
			return;
		told |= (uint64_t)1 << (best - c->unknown);
		before = best->f.last_us;
		if (model_live_reply_add_failure(r, &best->f) != ERR_NONE)
			return;
	}
}
_Static_assert(CONTROL_UNKNOWN_MAX <= 64, "the bit set above is too small");

static void add_why(const struct control *c, const struct control_tunnel *t, struct model_live_reply *r)
{
	uint8_t order[EXPLAIN_HISTORY_MAX];
	unsigned cnt = explain_history_order(&t->why, order);

	for (unsigned i = 0; i < cnt; i++)
		if (model_live_reply_add_failure(r, t->why.slots[order[i]]) != ERR_NONE)
			return;
	add_unknown(c, &t->id, r);
}

static enum err rekey(struct control *c, const struct model_live_request *q)
{
	struct control_tunnel *t = control_tunnel_find(c, &q->tunnel_id);

	if (t == NULL || !model_id_eq(&t->account->m.id, &q->account_id))
		return ERR_NOTFOUND;
	return control_tunnel_rekey(c, t, q->op == MODEL_LIVE_REKEY_IKE);
}

static void add_node(struct model_live_reply *r, const struct model_live_node *n)
{
	(void)!model_live_reply_add_node(r, n); /* there is room for all that a cluster may have */
}

static void add_nodes(const struct control *c, struct model_live_reply *r)
{
	const struct cluster_members *m = &c->members;
	bool fresh = control_node_fresh(c);
	struct model_live_node n = { .slot = m->self, .incarnation = c->cfg.incarnation, .self = true, .alive = m->held,
				     .draining = m->draining, .fresh = fresh, .ready = cluster_ready(m, fresh, c->now_us) };

	snprintf(n.name, sizeof(n.name), "%s", c->cfg.cluster->node);
	snprintf(n.site, sizeof(n.site), "%s", m->site);
	addr_endpoint_format(&c->cfg.cluster->mesh_address, n.mesh);
	add_node(r, &n);
	for (unsigned i = 0; i < m->cnt; i++) {
		const struct cluster_member *o = &m->m[i];
		n = (struct model_live_node){ .slot = o->slot, .incarnation = o->n.incarnation, .alive = o->alive,
					      .draining = o->draining || o->n.state == CLUSTER_DRAINING, .fresh = o->fresh,
					      .applied = o->applied };
		snprintf(n.name, sizeof(n.name), "%s", o->n.name);
		snprintf(n.site, sizeof(n.site), "%s", o->n.site);
		addr_endpoint_format(&o->n.mesh, n.mesh);
		add_node(r, &n);
	}
}

/* What was asked is known to who asked by its number. */
static void begin(struct model_live_reply *r, struct space room, const struct model_live_request *q, enum err result)
{
	model_live_reply_begin(r, room, result);
	if (q->number != 0)
		model_live_reply_number(r, q->number);
}

static struct bytes answer(struct control *c, const struct model_live_request *q, struct space room)
{
	struct model_live_reply r;
	const struct control_tunnel *t;
	bool more = false;

	switch ((enum model_live_op)q->op) {
	case MODEL_LIVE_TUNNEL:
		t = control_tunnel_find(c, &q->tunnel_id);
		begin(&r, room, q, t == NULL ? ERR_NOTFOUND : ERR_NONE);
		if (t != NULL) {
			struct model_live_tunnel l = live_of(c, t);
			must(model_live_reply_add_tunnel(&r, &l) == ERR_NONE);
		}
		break;
	case MODEL_LIVE_TUNNELS:
		begin(&r, room, q, ERR_NONE);
		more = add_tunnels(c, q, &r);
		break;
	case MODEL_LIVE_COUNTERS:
		begin(&r, room, q, ERR_NONE);
		add_counters(c, &r);
		break;
	case MODEL_LIVE_UNKNOWN:
		begin(&r, room, q, ERR_NONE);
		add_unknown(c, NULL, &r);
		break;
	case MODEL_LIVE_WHY:
		t = control_tunnel_find(c, &q->tunnel_id);
		begin(&r, room, q, t == NULL ? ERR_NOTFOUND : ERR_NONE);
		if (t != NULL)
			add_why(c, t, &r);
		break;
	case MODEL_LIVE_REKEY_CHILD:
	case MODEL_LIVE_REKEY_IKE:
		begin(&r, room, q, rekey(c, q));
		break;
	case MODEL_LIVE_NODES:
	case MODEL_LIVE_NODE_DRAIN:
	case MODEL_LIVE_NODE_UNDRAIN:
		begin(&r, room, q, c->clustered ? ERR_NONE : ERR_UNSUPPORTED);
		if (c->clustered && q->op != MODEL_LIVE_NODES)
			control_node_drain(c, q->op == MODEL_LIVE_NODE_DRAIN);
		if (c->clustered)
			add_nodes(c, &r);
		break;
	default:
		begin(&r, room, q, ERR_UNSUPPORTED);
		break;
	}
	return model_live_reply_end(&r, more);
}

void control_live_serve(struct control *c, int *fd)
{
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	uint8_t in[512];
	struct model_live_request q;

	for (unsigned i = 0; i < 16; i++) {
		ssize_t n = recv(*fd, in, sizeof(in), MSG_DONTWAIT);
		if (n <= 0) {
			if (n == 0) { /* the other side ended; an api process's successor comes by the parent */
				close(*fd);
				*fd = -1;
			}
			return;
		}
		if (model_live_request_decode(bytes_of(in, (size_t)n), &q) != ERR_NONE)
			continue;
		struct bytes out = answer(c, &q, SPACE_OF(room));
		(void)!send(*fd, out.p, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}
