// What tells a peer of a commit waits a little, until the other nodes of the site have that too: the peer's next packet may come to any.
// A node that still has not heard of a commit then gets its rows from here, whether or not a peer is told: while etcd elects a leader
// its watch may be silent for seconds.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"

#define TELL_US 10000u   /* a watch that works has told it by then */
#define HOLD_US 30000u   /* one slow node delays no handshake for longer */
#define HELD_MAX 1024    /* above, answers go at once */

struct control_held {
	struct control_held *next;
	struct control_news news;     /* news.child and news.numbers are the caller's: what follows stands for them */
	uint32_t child_spi;
	size_t child_len;             /* of its sealed record; 0: none */
	bool sequenced;
	struct cluster_sequence numbers;
	uint64_t tell_us, until_us;
	bool told;
	struct addr_endpoint local, remote;
	bool marker;
	size_t len;                   /* 0: there is no message, only the news */
	uint8_t b[];                  /* the message, and the record of the Child SA */
};

static void send_now(struct control *c, const struct ike_action *a)
{
	control_send(c, &a->send.local, &a->send.remote, a->send.marker, a->send.msg);
}

/* Its keys are not to be had later. 0: without it the others read the store. */
static size_t seal_child(const struct control *c, const struct model_child_sa *child, struct space out)
{
	const struct model_key key = model_key_child(child->spi_in);
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	size_t len = 0;

	if (model_child_encode(child, c->format, &w) != ERR_NONE || control_seal_record(c, &key, wr_bytes(&w), out, &len) != ERR_NONE)
		len = 0;
	secret_wipe(room, sizeof(room));
	return len;
}

/* What the others are told, if they have not heard it by then, with room for a message of that length. NULL: they need not be told, or
 * there is no room. */
static struct control_held *hold(struct control *c, const struct control_news *news, size_t len)
{
	uint8_t child[MODEL_CHILD_RECORD_MAX + CRYPT_SEAL_OVERHEAD];
	bool wait = c->held_cnt < HELD_MAX && control_mesh_site_applied(c) < news->rev;
	size_t child_len = wait && news->child != NULL ? seal_child(c, news->child, SPACE_OF(child)) : 0;
	struct control_held *h = wait ? malloc(sizeof(*h) + len + child_len) : NULL;

	if (h == NULL)
		return NULL;
	*h = (struct control_held){ .news = *news, .child_len = child_len, .tell_us = c->now_us + TELL_US,
				    .until_us = c->now_us + HOLD_US, .len = len };
	h->news.child = NULL;
	h->news.numbers = NULL;
	h->child_spi = news->child != NULL ? news->child->spi_in : 0;
	h->sequenced = news->child != NULL && news->child->sequenced;
	h->numbers = h->sequenced ? *news->numbers : (struct cluster_sequence){ 0 };
	memcpy(h->b + len, child, child_len);
	if (c->held == NULL)
		c->held_tail = &c->held;
	*c->held_tail = h;
	c->held_tail = &h->next;
	c->held_cnt++;
	return h;
}

void control_hold_send(struct control *c, const struct control_news *news, const struct ike_action *a)
{
	struct control_held *h = hold(c, news, a->send.msg.len);

	if (h == NULL) {
		send_now(c, a);
		return;
	}
	h->local = a->send.local;
	h->remote = a->send.remote;
	h->marker = a->send.marker;
	memcpy(h->b, a->send.msg.p, h->len);
}

void control_hold_news(struct control *c, const struct control_news *news)
{
	(void)hold(c, news, 0);
}

static void take_first(struct control *c, bool send)
{
	struct control_held *h = c->held;

	c->held = h->next;
	c->held_cnt--;
	if (send && h->len != 0)
		control_send(c, &h->local, &h->remote, h->marker, bytes_of(h->b, h->len));
	free(h);
}

static void tell_child(struct control *c, const struct control_held *h)
{
	const struct model_key child = model_key_child(h->child_spi), numbers = model_key_sequence(h->child_spi);
	uint8_t room[CLUSTER_SEQUENCE_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	control_mesh_row(c, h->news.rev, h->news.rev, model_key_bytes(&child), bytes_of(h->b + h->len, h->child_len));
	if (!h->sequenced)
		return;
	cluster_sequence_encode(&h->numbers, &w);
	control_mesh_row(c, h->news.rev, h->news.rev, model_key_bytes(&numbers), wr_bytes(&w));
}

/* The Child SA first, so that its IKE SA finds it. */
static void tell(struct control *c, struct control_held *h)
{
	uint8_t sealed[IKE_SA_RECORD_MAX + CRYPT_SEAL_OVERHEAD];
	size_t len;

	h->told = true;
	if (h->child_len != 0)
		tell_child(c, h);
	for (unsigned i = 0; i < ARRAY_LEN(h->news.ike); i++) {
		const struct control_sa *sa = h->news.ike[i] == 0 ? NULL : control_sa_find(c, h->news.ike[i]);
		const struct model_key key = model_key_ike(h->news.ike[i]);
		if (sa != NULL && control_seal_record(c, &key, bytes_of(sa->r.b, sa->r.len), SPACE_OF(sealed), &len) == ERR_NONE)
			control_mesh_row(c, h->news.rev, sa->mod_rev, model_key_bytes(&key), bytes_of(sealed, len));
	}
}

/* Commits come in order, and so do their answers. */
void control_held_run(struct control *c)
{
	uint64_t applied = c->held == NULL ? 0 : control_mesh_site_applied(c);

	while (c->held != NULL && c->held->news.rev <= applied)
		take_first(c, true);
	/* before what is overdue goes: a late turn may find it untold */
	for (struct control_held *h = c->held; h != NULL && h->tell_us <= c->now_us; h = h->next)
		if (!h->told)
			tell(c, h);
	while (c->held != NULL && c->held->until_us <= c->now_us)
		take_first(c, true);
}

uint64_t control_held_next_us(const struct control *c)
{
	const struct control_held *h = c->held;

	while (h != NULL && h->told)
		h = h->next;
	uint64_t tell_us = h != NULL ? h->tell_us : UINT64_MAX;
	return c->held != NULL && c->held->until_us < tell_us ? c->held->until_us : tell_us;
}

/* The end of the process: they are committed, so they may go. */
void control_held_free(struct control *c)
{
	while (c->held != NULL)
		take_first(c, true);
}
