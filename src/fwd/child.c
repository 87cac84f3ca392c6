#include <stdlib.h>

#include "base/clock.h"
#include "base/secret.h"
#include "crypt/suite.h"
#include "fwd/state.h"

/* Counters of a key stay for so long after its SA's end, against wall clocks that are set back; later than
 * that the SA is not taken again. */
static const uint64_t key_grace_us = UINT64_C(24) * 3600 * 1000000;

/* ---- the counters of a key ---- */

static uint64_t hash_key(const struct fwd *f, const struct model_child_sa *c)
{
	uint8_t room[MODEL_CHILD_KEY_MAX + MODEL_CHILD_ICV_KEY_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	wr_put(&w, bytes_of(c->keys_out.encr, crypt_encr_key_len(c->suite.encr, c->suite.key_bits)));
	wr_put(&w, bytes_of(c->keys_out.integ, crypt_integ_key_len(c->suite.integ)));
	uint64_t hash = siphash(&f->hash_key, wr_bytes(&w));
	secret_wipe(room, sizeof(room));
	return hash;
}

/* One for each key for as long as the key can be used: a nonce must not repeat because an SA was installed
 * again. The caller is its user. */
static struct fwd_key_counter *get_key_counter(struct fwd *f, const struct model_child_sa *c)
{
	uint64_t hash = hash_key(f, c);
	struct hmap_node *n = hmap_first(&f->key_counters, hash);
	struct fwd_key_counter *k;

	if (n != NULL) {
		k = CONTAINER_OF(n, struct fwd_key_counter, node);
		if (k->expires_us != 0 && (c->expires_us == 0 || c->expires_us > k->expires_us))
			k->expires_us = c->expires_us;
	} else {
		k = fwd_zalloc(sizeof(*k)); /* its counters are on the packet road: one cache line */
		if (k == NULL)
			return NULL;
		esp_counter_init(&k->counter, f->incarnation, c->seq_out_used);
		k->expires_us = c->expires_us;
		hmap_add(&f->key_counters, &k->node, hash);
	}
	atomic_fetch_add(&k->users, 1);
	return k;
}

void fwd_key_counters_collect(struct fwd *f)
{
	uint64_t now = clock_unix_us();
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&f->key_counters, &w); n != NULL;
	     n = hmap_walk_next(&f->key_counters, &w)) {
		struct fwd_key_counter *k = CONTAINER_OF(n, struct fwd_key_counter, node);
		if (k->expires_us == 0 || now < k->expires_us + 2 * key_grace_us ||
		    atomic_load(&k->users) != 0)
			continue;
		hmap_remove(&f->key_counters, n);
		free(k);
	}
}

/* ---- making and freeing ---- */

static void free_child(struct fwd_retire *r)
{
	struct fwd_child *c = CONTAINER_OF(r, struct fwd_child, retire);
	esp_sa_free(c->in);
	esp_sa_free(c->out);
	free(atomic_load(&c->outer));
	atomic_fetch_sub(&c->key_counter->users, 1);
	free(c);
}

static enum err make_child(struct fwd *f, struct fwd_tunnel *t, const struct model_child_sa *child,
			   struct fwd_child **ret)
{
	struct fwd_child *c = fwd_zalloc(sizeof(*c));
	if (c == NULL)
		return ERR_MEMORY;
	c->spi_in = child->spi_in;
	c->spi_out = child->spi_out;
	c->tunnel = t;
	c->suite = child->suite;
	c->ts_local_cnt = child->ts_local_cnt;
	c->ts_remote_cnt = child->ts_remote_cnt;
	memcpy(c->ts_local, child->ts_local, sizeof(c->ts_local));
	memcpy(c->ts_remote, child->ts_remote, sizeof(c->ts_remote));
	FWD_PUBLISH(c->outer, fwd_outer_make(t, &c->suite, &child->path));
	c->key_counter = get_key_counter(f, child);
	if (c->key_counter == NULL) {
		free(atomic_load(&c->outer));
		free(c);
		return ERR_MEMORY;
	}
	enum err e = FWD_READ(c->outer) == NULL ? ERR_MEMORY : ERR_NONE;
	if (e == ERR_NONE)
		e = esp_sa_new_in(child, FWD_READ(t->config)->config.replay_window, f->worker_cnt, &c->in);
	if (e == ERR_NONE)
		e = esp_sa_new_out(child, &c->key_counter->counter, f->worker_cnt, &c->out);
	if (e != ERR_NONE) {
		free_child(&c->retire);
		return e;
	}
	c->sequenced = f->shares_numbers && child->sequenced;
	if (c->sequenced)
		esp_sa_allot(c->out, 0, 0);
	*ret = c;
	return ERR_NONE;
}

MUST_USE enum err fwd_child_put(struct fwd *f, const struct model_child_sa *child)
{
	struct fwd_tunnel *t = fwd_tunnel_find(f, &child->tunnel_id);
	struct fwd_child *c;

	must(child->ts_local_cnt <= MODEL_TS_MAX && child->ts_remote_cnt <= MODEL_TS_MAX);
	if (t == NULL)
		return ERR_NOTFOUND;
	if (fwd_spi_find(f, child->spi_in) != NULL)
		return ERR_EXISTS;
	if (child->expires_us != 0 && clock_unix_us() > child->expires_us + key_grace_us)
		return ERR_DENIED;
	enum err e = make_child(f, t, child, &c);
	if (e != ERR_NONE)
		return e;
	if (t->children == NULL)
		c->proven = ++f->proofs;
	c->next = t->children;
	t->children = c;
	hmap_add(&f->out_spis, &c->out_node, siphash_u64(&f->hash_key, c->spi_out));
	e = fwd_spi_add(f, c);
	if (e == ERR_NONE && (e = fwd_senders_order(f, t)) != ERR_NONE)
		fwd_spi_remove(f, c);
	if (e != ERR_NONE) {
		t->children = c->next;
		hmap_remove(&f->out_spis, &c->out_node);
		fwd_retire(f, &c->retire, free_child);
	}
	return e;
}

/* ---- changes ---- */

void fwd_child_prove(struct fwd *f, uint32_t spi_in)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);

	if (c == NULL || c->proven != 0)
		return;
	c->proven = ++f->proofs;
	/* Without memory the order stays: the former SA goes on, the next change puts it right. */
	(void)!fwd_senders_order(f, c->tunnel);
}

void fwd_child_drop(struct fwd *f, struct fwd_child *c)
{
	struct fwd_tunnel *t = c->tunnel;
	struct fwd_senders *s = FWD_READ(t->senders);
	struct fwd_child **at = &t->children;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	hmap_remove(&f->out_spis, &c->out_node);
	fwd_spi_remove(f, c);
	/* In place first, which needs no memory; a shorter list if there is some. */
	for (uint32_t i = 0; s != NULL && i < s->cnt; i++)
		if (FWD_READ(s->children[i]) == c)
			FWD_PUBLISH(s->children[i], NULL);
	(void)!fwd_senders_order(f, t);
	fwd_retire(f, &c->retire, free_child);
}

void fwd_child_delete(struct fwd *f, uint32_t spi_in)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);
	if (c != NULL)
		fwd_child_drop(f, c);
}

void fwd_child_end(struct fwd *f, uint32_t spi_in)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);
	if (c != NULL)
		esp_counter_end(&c->key_counter->counter);
}

void fwd_share_numbers(struct fwd *f)
{
	f->shares_numbers = true;
}

void fwd_child_number(struct fwd *f, uint32_t spi_in, uint64_t above, uint64_t last, uint64_t ask_at)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);

	if (c == NULL || !c->sequenced)
		return;
	esp_sa_allot(c->out, above, last);
	atomic_store_explicit(&c->ask_at, ask_at, memory_order_relaxed);
	atomic_store_explicit(&c->told_numbers, false, memory_order_relaxed);
	FWD_PUBLISH(c->numbers, FWD_NUMBERS_ALL);
}

/* What a worker has in hand, or is given, keeps its numbers: they are ours. */
static void set_numbers(struct fwd *f, uint32_t spi_in, enum fwd_numbers numbers)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);
	if (c != NULL)
		atomic_store(&c->numbers, (uint8_t)numbers);
}

void fwd_child_finish(struct fwd *f, uint32_t spi_in)
{
	set_numbers(f, spi_in, FWD_NUMBERS_GIVEN);
}

void fwd_child_unnumber(struct fwd *f, uint32_t spi_in)
{
	set_numbers(f, spi_in, FWD_NUMBERS_NONE);
}

void fwd_child_seen(struct fwd *f, uint32_t spi_in, uint64_t seq)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);
	if (c != NULL)
		esp_sa_seen(c->in, seq);
}

void fwd_number_until(struct fwd *f, uint64_t mono_ms)
{
	atomic_store_explicit(&f->number_until_ms, mono_ms, memory_order_relaxed);
}

void fwd_child_path(struct fwd *f, uint32_t spi_in, const struct model_path *path)
{
	struct fwd_child *c = fwd_spi_find(f, spi_in);
	/* Without memory the old path stays, and the next packet from the new one tells again. */
	if (c != NULL)
		(void)!fwd_outer_set(f, c, path);
}

MUST_USE enum err fwd_child_selectors(const struct fwd *f, uint32_t spi_in, struct fwd_child_selectors *ret)
{
	const struct fwd_child *c = fwd_spi_find(f, spi_in);

	if (c == NULL)
		return ERR_NOTFOUND;
	ret->local_cnt = c->ts_local_cnt;
	ret->remote_cnt = c->ts_remote_cnt;
	memcpy(ret->local, c->ts_local, sizeof(ret->local));
	memcpy(ret->remote, c->ts_remote, sizeof(ret->remote));
	return ERR_NONE;
}

MUST_USE enum err fwd_child_stats(const struct fwd *f, uint32_t spi_in, struct fwd_child_stats *ret)
{
	const struct fwd_child *c = fwd_spi_find(f, spi_in);

	if (c == NULL)
		return ERR_NOTFOUND;
	*ret = (struct fwd_child_stats){
		.in_packets = atomic_load(&c->in_packets),
		.in_bytes = atomic_load(&c->in_bytes),
		.out_packets = atomic_load(&c->out_packets),
		.out_bytes = atomic_load(&c->out_bytes),
		.last_in_us = atomic_load(&c->last_in_us),
		.seq_out = atomic_load(&c->key_counter->counter.seq),
		.numbered = atomic_load(&c->numbers) == FWD_NUMBERS_ALL,
		.seq_in = esp_sa_seq_in(c->in),
		.effective_mtu = FWD_READ(c->outer)->outer.mtu,
	};
	return ERR_NONE;
}
