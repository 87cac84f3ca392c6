// The IKE SAs and half-open SAs, and the messages that wait for them.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"

/* ---- tables ---- */

/* A repeated IKE_SA_INIT has no SPI of ours yet: it is known by the peer's SPI and address (RFC 7296 2.1). */
static uint64_t hash_init(const struct control *c, uint64_t spi_i, const struct addr_endpoint *remote)
{
	uint8_t b[8 + 16 + 2];
	struct wr w = wr_of(SPACE_OF(b));
	wr_u64(&w, spi_i);
	wr_put(&w, bytes_of(remote->addr.b, sizeof(remote->addr.b)));
	wr_u16(&w, remote->port);
	return siphash(&c->hash_key, BYTES_OF(b));
}

struct control_half *control_half_find(const struct control *c, uint64_t our_spi)
{
	for (struct hmap_node *n = hmap_first(&c->halves_by_spi, control_spi_hash(c, our_spi)); n != NULL;
	     n = hmap_next(n)) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, by_spi);
		if (ike_sa_our_spi(&h->h.sa) == our_spi)
			return h;
	}
	return NULL;
}

struct control_half *control_half_of_init(const struct control *c, uint64_t spi_i, const struct addr_endpoint *remote)
{
	for (struct hmap_node *n = hmap_first(&c->halves_by_init, hash_init(c, spi_i, remote)); n != NULL;
	     n = hmap_next(n)) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, by_init);
		if (h->h.sa.spi_i == spi_i && addr_endpoint_eq(&h->h.sa.path.remote, remote))
			return h;
	}
	return NULL;
}

/* A peer's counts at its address, and is known by its first message. */
static bool add_peers(struct control *c, struct control_half *h)
{
	const struct ike_sa *sa = &h->h.sa;

	if (!control_source_add(c, &sa->path.remote.addr))
		return false;
	hmap_add(&c->halves_by_init, &h->by_init, hash_init(c, sa->spi_i, &sa->path.remote));
	return true;
}

static void remove_peers(struct control *c, struct control_half *h)
{
	hmap_remove(&c->halves_by_init, &h->by_init);
	control_source_remove(c, &h->h.sa.path.remote.addr);
}

void control_half_arm(struct control *c, struct control_half *h)
{
	if (heap_set(&c->half_timers, &h->timer, ike_half_timer(&h->h)) != ERR_NONE)
		log_error("no memory for the timer of a half-open IKE SA");
}

static void free_half(struct control_half *h)
{
	ike_half_wipe(&h->h);
	free(h);
}

bool control_half_add(struct control *c, const struct ike_half *half)
{
	struct control_half *h = malloc(sizeof(*h));
	if (h == NULL)
		return false;
	memset(h, 0, offsetof(struct control_half, h));
	h->h = *half;
	if (half->start == NULL && !add_peers(c, h)) {
		free_half(h);
		return false;
	}
	if (heap_set(&c->half_timers, &h->timer, ike_half_timer(half)) != ERR_NONE) {
		if (half->start == NULL)
			remove_peers(c, h);
		free_half(h);
		return false;
	}
	hmap_add(&c->halves_by_spi, &h->by_spi, control_spi_hash(c, ike_sa_our_spi(&half->sa)));
	return true;
}

void control_half_remove(struct control *c, struct control_half *h)
{
	hmap_remove(&c->halves_by_spi, &h->by_spi);
	heap_remove(&c->half_timers, &h->timer);
	control_frag_free(c, &h->frags);
	if (h->h.start == NULL)
		remove_peers(c, h);
	free_half(h);
}

void control_site_follow(struct control *c, struct control_sa *sa)
{
	const struct control_starter *s = sa->tunnel->starter;

	if (s != NULL && !addr_eq(&sa->r.path.local.addr, &s->ike.local.addr))
		sa->astray = c->astray = true;
}

struct control_sa *control_sa_add(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t mod_rev,
				  struct control_tunnel *t)
{
	struct control_sa *sa = calloc(1, sizeof(*sa));
	if (sa == NULL)
		return NULL;
	sa->r = *made;
	*made = (struct control_record){ 0 };
	sa->mod_rev = mod_rev;
	sa->tunnel = t;
	sa->next = t->sas;
	t->sas = sa;
	control_address_remote(c, t, &r->path.remote.addr);
	hmap_add(&c->sas, &sa->by_spi, control_spi_hash(c, sa->r.spi));
	control_sa_arm(c, sa, r);
	control_site_follow(c, sa);
	return sa;
}

struct control_datagram *control_waiting_take(struct control_sa *sa)
{
	struct control_datagram *d = sa->waiting;

	if (d == NULL)
		return NULL;
	sa->waiting = d->next;
	sa->waiting_cnt--;
	return d;
}

void control_waiting_free(struct control_datagram *d)
{
	if (d->whole)
		secret_wipe(d->msg, (size_t)d->len + d->inner_len);
	free(d);
}

static void free_sa(struct control *c, struct control_sa *sa)
{
	for (struct control_datagram *d; (d = control_waiting_take(sa)) != NULL;)
		control_waiting_free(d);
	control_frag_free(c, &sa->frags);
	control_record_free(&sa->r);
	free(sa);
}

void control_sa_remove(struct control *c, struct control_sa *sa)
{
	struct control_tunnel *t = sa->tunnel;
	struct control_sa **p = &t->sas;

	must(!sa->busy);
	control_orphan_children(c, sa);
	control_bury(c, false, sa->r.spi, sa->mod_rev, 0);
	while (*p != sa)
		p = &(*p)->next;
	*p = sa->next;
	hmap_remove(&c->sas, &sa->by_spi);
	heap_remove(&c->sa_timers, &sa->timer);
	free_sa(c, sa);
	control_tunnel_check_up(c, t);
	control_tunnel_idle(c, t);
}

void control_sas_free(struct control *c)
{
	struct hmap_walk w;
	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w)) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		hmap_remove(&c->sas, &sa->by_spi);
		free_sa(c, sa);
	}
	for (struct hmap_node *n = hmap_walk_first(&c->halves_by_spi, &w); n != NULL;
	     n = hmap_walk_next(&c->halves_by_spi, &w))
		control_half_remove(c, CONTAINER_OF(n, struct control_half, by_spi));
	for (struct hmap_node *n = hmap_walk_first(&c->children, &w); n != NULL; n = hmap_walk_next(&c->children, &w)) {
		struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		control_seq_remove(c, child);
		hmap_remove(&c->children, n);
		control_use_free(child);
		free(child);
	}
	hmap_fini(&c->sas);
	hmap_fini(&c->halves_by_spi);
	hmap_fini(&c->halves_by_init);
	hmap_fini(&c->children);
	hmap_fini(&c->sources);
	heap_fini(&c->sa_timers);
	heap_fini(&c->half_timers);
	heap_fini(&c->child_timers);
	heap_fini(&c->frag_timers);
}

/* ---- messages that wait ---- */

/* A step is under way: the message waits its turn, a few at most; the peer repeats what is lost. */
void control_waiting_keep(struct control *c, struct control_sa *sa, const struct ike_event *ev)
{
	size_t len = ev->msg.len + ev->inner.len;
	struct control_datagram **last = &sa->waiting;
	struct control_datagram *d = sa->waiting_cnt == CONTROL_WAITING_MAX ? NULL : malloc(sizeof(*d) + len);
	if (d == NULL) {
		control_drop(c, MODEL_DROP_ike_busy);
		return;
	}
	*d = (struct control_datagram){
		.local = ev->local,
		.remote = ev->remote,
		.whole = ev->whole,
		.inner_first = ev->inner_first,
		.len = (uint16_t)ev->msg.len,
		.inner_len = (uint16_t)ev->inner.len,
	};
	struct wr w = wr_of((struct space){ d->msg, len });
	wr_put(&w, ev->msg);
	wr_put(&w, ev->inner);
	must(!w.bad);
	while (*last != NULL)
		last = &(*last)->next;
	*last = d;
	sa->waiting_cnt++;
}

void control_sa_arm(struct control *c, struct control_sa *sa, const struct ike_sa *r)
{
	uint64_t at = ike_sa_timer(r, control_sa_last_esp(c, r));
	if (heap_set(&c->sa_timers, &sa->timer, at) != ERR_NONE)
		log_error("no memory for the timer of an IKE SA");
}
