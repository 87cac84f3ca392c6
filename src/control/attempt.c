// An attempt to start a tunnel of the site: how it ends, and when the next one begins.
#include "control/internal.h"

#include "crypt/random.h"

static uint32_t random_u32(void)
{
	uint32_t r;
	crypt_random(&r, sizeof(r));
	return r;
}

void control_attempt_wait(struct control *c, struct control_starter *s)
{
	if (heap_set(&c->waiting_starts, &s->waiting, s->machine.at_us) != ERR_NONE)
		log_error("tunnel %s: no memory for its timer", s->conf->name);
}

bool control_tunnel_stands(const struct control_tunnel *t)
{
	for (const struct control_sa *sa = t->sas; sa != NULL; sa = sa->next)
		if (sa->r.state == IKE_STATE_ESTABLISHED && !sa->r.closing)
			return true;
	return false;
}

void control_attempt_end(struct control *c, struct control_starter *s, bool clean)
{
	heap_remove(&c->fresh_starts, &s->fresh);
	start_machine_end(&s->machine, c->now_us, clean, random_u32());
	control_attempt_wait(c, s);
	log_debug("tunnel %s starts again in %llu ms", s->conf->name,
		  (unsigned long long)(s->machine.at_us - c->now_us) / 1000);
}

void control_site_drop_half(struct control *c, struct control_half *h)
{
	struct control_tunnel *t = control_tunnel_find(c, &h->h.sa.tunnel_id);

	control_half_remove(c, h);
	if (t != NULL && t->starter != NULL && t->starter->machine.state == START_TRYING)
		control_attempt_end(c, t->starter, true);
}

void control_site_failed(struct control *c, const struct model_id *tunnel_id)
{
	const struct control_tunnel *t = control_tunnel_find(c, tunnel_id);
	if (t != NULL && t->starter != NULL && t->starter->machine.state == START_TRYING)
		control_attempt_end(c, t->starter, false);
}

void control_site_up(struct control *c, struct control_tunnel *t)
{
	if (t->starter == NULL)
		return;
	start_machine_up(&t->starter->machine, c->now_us);
	heap_remove(&c->fresh_starts, &t->starter->fresh);
	heap_remove(&c->waiting_starts, &t->starter->waiting);
}

void control_site_check(struct control *c, struct control_tunnel *t, bool clean)
{
	if (t->starter != NULL && t->starter->machine.state == START_UP && !control_tunnel_stands(t))
		control_attempt_end(c, t->starter, clean);
}
