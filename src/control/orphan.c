// Records of SAs whose tunnel is not configured any more, and that no node has in its tables: all that knew the tunnel were started again
// before the goodbye was over, or one that had not heard of the end has made an SA after it. One node deletes them, by its duty. A node
// that never knew the tunnel cannot tell that others still have its IKE SA, and deletes that before they have said goodbye: then the
// Child SAs are orphans too.
//
// A record may be newer than what this node knows of the configuration. So it is an orphan when all that the store had at its
// revision is installed here, and there is still no such tunnel: ids are not given out again.
#include "control/internal.h"

#include <stdlib.h>

#define ORPHANS_MAX 4096
#define LOOK_US 1000000u
#define CLOSED_US UINT64_C(180000000) /* a CLOSED one may still be answered for by those that have it */

struct control_orphan {
	struct control_orphan *next;
	bool child;
	uint64_t spi;
	uint32_t asked;               /* of a Child SA that the IKE SA has asked for: it is reserved; 0: none */
	uint64_t rev;
	uint64_t after_us;
	struct model_id tunnel_id;
};

static struct control_orphan **find(struct control *c, bool child, uint64_t spi)
{
	struct control_orphan **at = &c->orphans;

	while (*at != NULL && ((*at)->child != child || (*at)->spi != spi))
		at = &(*at)->next;
	return at;
}

static void drop(struct control *c, struct control_orphan **at)
{
	struct control_orphan *o = *at;

	*at = o->next;
	c->orphan_cnt--;
	free(o);
}

void control_orphan_forget(struct control *c, bool child, uint64_t spi)
{
	struct control_orphan **at = find(c, child, spi);
	if (*at != NULL)
		drop(c, at);
}

static void note(struct control *c, const struct control_orphan *as)
{
	struct control_orphan **at = find(c, as->child, as->spi), *o = *at;

	if (!c->clustered || (o == NULL && c->orphan_cnt == ORPHANS_MAX)) /* the next start finds them */
		return;
	if (o == NULL) {
		o = *at = calloc(1, sizeof(*o));
		if (o == NULL)
			return;
		c->orphan_cnt++;
	}
	struct control_orphan *next = o->next;
	*o = *as;
	o->next = next;
}

void control_orphan_ike(struct control *c, const struct ike_sa *r, uint64_t rev)
{
	note(c, &(struct control_orphan){ .spi = ike_sa_our_spi(r), .asked = control_asked_spi(r), .rev = rev, .tunnel_id = r->tunnel_id,
					  .after_us = c->now_us + (r->state == IKE_STATE_CLOSED ? CLOSED_US : LOOK_US) });
}

static void note_child(struct control *c, uint32_t spi_in, const struct model_id *tunnel_id, uint64_t rev)
{
	note(c, &(struct control_orphan){ .child = true, .spi = spi_in, .rev = rev, .tunnel_id = *tunnel_id,
					  .after_us = c->now_us + LOOK_US });
}

void control_orphan_child(struct control *c, const struct model_child_sa *m, uint64_t rev)
{
	note_child(c, m->spi_in, &m->tunnel_id, rev);
}

static void leave_child(struct control *c, const struct control_child *child)
{
	note_child(c, child->spi_in, &child->tunnel_id, child->rev);
	control_child_remove(c, child->spi_in, child->rev);
}

void control_orphan_children(struct control *c, const struct control_sa *sa)
{
	struct ike_sa r;

	if (!c->clustered || sa->tunnel->configured || sa->r.child_cnt == 0)
		return;
	control_record_read(&sa->r, &r);
	for (unsigned i = 0; i < r.child_cnt; i++) {
		const struct control_child *child = control_child_find(c, r.children[i].spi_in);
		if (child != NULL && child->ike_spi == sa->r.spi)
			leave_child(c, child);
	}
	ike_sa_wipe(&r);
}

void control_orphan_left(struct control *c, const struct control_child *child)
{
	const struct control_tunnel *t = control_tunnel_find(c, &child->tunnel_id);

	if ((t == NULL || !t->configured) && control_sa_find(c, child->ike_spi) == NULL)
		leave_child(c, child);
}

static bool is_orphan(const struct control *c, const struct control_orphan *o)
{
	const struct control_tunnel *t = control_tunnel_find(c, &o->tunnel_id);
	bool here = o->child ? control_child_find(c, (uint32_t)o->spi) != NULL : control_sa_find(c, o->spi) != NULL;

	return !here && (t == NULL || !t->configured);
}

/* Deletes a record as it was at rev, and with it what belongs to it (NULL: nothing does). False: not now. */
static bool delete_record(struct control *c, const struct model_key *key, const struct model_key *more, uint64_t rev)
{
	const struct store_cmp cmp = { model_key_bytes(key), rev };
	struct store_op ops[2] = { { .kind = STORE_DELETE, .key = model_key_bytes(key) } };
	struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = ops, .op_cnt = 1 };

	if (more != NULL)
		ops[txn.op_cnt++] = (struct store_op){ .kind = STORE_DELETE, .key = model_key_bytes(more) };
	return store_thread_submit(c->store, &txn, CONTROL_TAG_QUIET) == ERR_NONE;
}

bool control_orphan_end_child(struct control *c, uint32_t spi_in, uint64_t rev)
{
	const struct model_key key = model_key_child(spi_in), numbers = model_key_sequence(spi_in);

	return delete_record(c, &key, &numbers, rev);
}

static bool end_ike(struct control *c, const struct control_orphan *o)
{
	const struct model_key key = model_key_ike(o->spi), reserved = model_key_child(o->asked);

	return delete_record(c, &key, o->asked != 0 ? &reserved : NULL, o->rev);
}

static bool end(struct control *c, const struct control_orphan *o)
{
	return o->child ? control_orphan_end_child(c, (uint32_t)o->spi, o->rev) : end_ike(c, o);
}

void control_orphans_tick(struct control *c)
{
	if (c->orphans == NULL || c->now_us < c->orphans_us)
		return;
	c->orphans_us = c->now_us + LOOK_US;
	for (struct control_orphan **at = &c->orphans, *o; (o = *at) != NULL;) {
		bool known = c->seen_rev >= o->rev, due = known && c->now_us >= o->after_us && control_duty_sa(c, o->spi);
		if (known && !is_orphan(c, o)) {
			drop(c, at);
			continue;
		}
		if (due && end(c, o)) /* asked again until it is gone */
			o->after_us = c->now_us + 10 * LOOK_US;
		at = &o->next;
	}
}

void control_orphans_free(struct control *c)
{
	while (c->orphans != NULL)
		drop(c, &c->orphans);
}
