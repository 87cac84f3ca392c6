// Fragments of IKE messages (RFC 7383): in memory for as long as a message is not whole, bounded in number and time.
#include "control/internal.h"

#include <stdlib.h>

void control_frag_free(struct control *c, struct control_frags **owner)
{
	struct control_frags *f = *owner;

	if (f == NULL)
		return;
	heap_remove(&c->frag_timers, &f->timer);
	ike_frag_forget(&f->f);
	free(f);
	*owner = NULL;
}

/* Of too many the oldest goes: each belongs to a peer that has our keys, but half-open ones have proven no more. */
static void make_room(struct control *c)
{
	struct heap_node *n = heap_first(&c->frag_timers);

	if (c->frag_timers.cnt < CONTROL_FRAGS_MAX || n == NULL)
		return;
	control_frag_free(c, CONTAINER_OF(n, struct control_frags, timer)->owner);
	control_drop(c, MODEL_DROP_ike_fragment);
}

static void act(struct control *c, const struct ike_out *out)
{
	for (unsigned i = 0; i < out->cnt; i++) {
		const struct ike_action *a = &out->actions[i];
		if (a->kind == IKE_ACT_SEND)
			control_send(c, &a->send.local, &a->send.remote, a->send.marker, a->send.msg);
		else if (a->kind == IKE_ACT_DROP)
			control_drop(c, a->drop);
		else if (a->kind == IKE_ACT_COUNT)
			control_count(c, a->counter);
	}
}

/* Keeps the fragments where they were kept before, or puts them where the SA will find them. */
static bool keep(struct control *c, struct control_frags **owner, struct control_frags *f, const struct ike_sa *r)
{
	if (*owner != NULL)
		return true;
	make_room(c);
	if (heap_set(&c->frag_timers, &f->timer, c->now_us + IKE_FRAGS_LIFE_US) != ERR_NONE)
		return false;
	f->owner = owner;
	f->tunnel_id = r->tunnel_id;
	f->path = r->path;
	*owner = f;
	return true;
}

bool control_frag_take(struct control *c, struct control_frags **owner, const struct ike_sa *r, struct ike_event *ev,
		       struct space room)
{
	struct control_frags *f = *owner != NULL ? *owner : calloc(1, sizeof(*f));
	struct ike_out *out = calloc(1, sizeof(*out));
	enum ike_frag_result result = IKE_FRAG_DROPPED;

	if (f != NULL && out != NULL) {
		result = ike_frag_take(&f->f, r, ev, out);
		act(c, out);
		ike_out_wipe(out);
	} else {
		control_drop(c, MODEL_DROP_ike_busy);
	}
	free(out);
	if (result == IKE_FRAG_KEPT && keep(c, owner, f, r))
		return false;
	if (result == IKE_FRAG_WHOLE)
		ike_frag_join(&f->f, room, ev);
	if (*owner == NULL && f != NULL) {
		ike_frag_forget(&f->f);
		free(f);
	} else if (result == IKE_FRAG_WHOLE) {
		control_frag_free(c, owner);
	}
	return result == IKE_FRAG_WHOLE;
}

void control_frags_timers(struct control *c)
{
	struct heap_node *n;

	while ((n = heap_first(&c->frag_timers)) != NULL && n->at <= c->now_us) {
		struct control_frags *f = CONTAINER_OF(n, struct control_frags, timer);
		uint64_t end = f->f.since_us + IKE_FRAGS_LIFE_US; /* of the message that is there now */
		if (end > c->now_us && heap_set(&c->frag_timers, n, end) == ERR_NONE)
			continue;
		control_why_fragments(c, f);
		control_frag_free(c, f->owner);
		control_drop(c, MODEL_DROP_ike_fragment);
	}
}
