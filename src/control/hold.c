// Answers that tell of new or ended Child SAs wait a little, until the other nodes of the site have them too: the peer's next packet may come to any.
#include "control/internal.h"

#include <stdlib.h>

#define HOLD_US 30000u   /* one slow node delays no handshake for longer */
#define HELD_MAX 1024    /* above, answers go at once */

static void send_now(struct control *c, const struct ike_action *a)
{
	control_send(c, &a->send.local, &a->send.remote, a->send.marker, a->send.msg);
}

void control_hold_send(struct control *c, uint64_t rev, const struct ike_action *a)
{
	size_t len = a->send.msg.len;
	struct control_held *h = c->held_cnt == HELD_MAX || control_mesh_site_applied(c) >= rev ? NULL : malloc(sizeof(*h) + len);

	if (h == NULL) {
		send_now(c, a);
		return;
	}
	*h = (struct control_held){ .rev = rev, .until_us = c->now_us + HOLD_US, .local = a->send.local,
				    .remote = a->send.remote, .marker = a->send.marker, .len = len };
	memcpy(h->msg, a->send.msg.p, len);
	if (c->held == NULL)
		c->held_tail = &c->held;
	*c->held_tail = h;
	c->held_tail = &h->next;
	c->held_cnt++;
}

static void take_first(struct control *c, bool send)
{
	struct control_held *h = c->held;

	c->held = h->next;
	c->held_cnt--;
	if (send)
		control_send(c, &h->local, &h->remote, h->marker, bytes_of(h->msg, h->len));
	free(h);
}

/* Commits come in order, and so do their answers. */
void control_held_run(struct control *c)
{
	uint64_t applied = c->held == NULL ? 0 : control_mesh_site_applied(c);

	while (c->held != NULL && (c->held->rev <= applied || c->held->until_us <= c->now_us))
		take_first(c, true);
}

uint64_t control_held_next_us(const struct control *c)
{
	return c->held == NULL ? UINT64_MAX : c->held->until_us;
}

/* The end of the process: they are committed, so they may go. */
void control_held_free(struct control *c)
{
	while (c->held != NULL)
		take_first(c, true);
}
