#include "esp/sa.h"

#include "crypt/locked.h"
#include "crypt/suite.h"
#include "esp/state.h"

void esp_counter_init(struct esp_counter *c, uint32_t incarnation, uint64_t seq_used)
{
	crypt_iv_space_init(&c->ivs, incarnation);
	atomic_init(&c->seq, seq_used);
}

void esp_counter_end(struct esp_counter *c)
{
	atomic_store(&c->seq, UINT64_MAX / 2); /* above every end, and additions do not bring it around */
}

static size_t get_size(const struct esp_sa *sa)
{
	return sizeof(*sa) + sa->worker_cnt * sizeof(sa->own[0]);
}

static enum err make_context(const struct model_suite *s, const struct model_child_keys *k, bool inbound,
			     struct crypt_esp **ret)
{
	struct bytes encr = bytes_of(k->encr, crypt_encr_key_len(s->encr, s->key_bits));
	struct bytes integ = bytes_of(k->integ, crypt_integ_key_len(s->integ));

	if (s->esn == IKE_ESN_YES)
		return crypt_esp_new_esn(s->encr, s->key_bits, s->integ, encr, integ, inbound, ret);
	return crypt_esp_new(s->encr, s->key_bits, s->integ, encr, integ, inbound, ret);
}

static enum err make_sa(const struct model_child_sa *child, bool inbound, unsigned worker_cnt,
			struct esp_sa **ret)
{
	const struct model_suite *s = &child->suite;
	const struct model_child_keys *keys = inbound ? &child->keys_in : &child->keys_out;
	struct crypt_esp *ctx;

	if (!crypt_suite_usable(s->encr, s->key_bits, s->integ) || s->esn > IKE_ESN_YES)
		return ERR_UNSUPPORTED;
	enum err e = make_context(s, keys, inbound, &ctx);
	if (e != ERR_NONE)
		return e;
	bool shared = crypt_esp_is_shared(ctx);
	struct esp_sa head = {
		.spi = inbound ? child->spi_in : child->spi_out,
		.inbound = inbound,
		.counter_iv = crypt_encr_is_aead(s->encr),
		.esn = s->esn == IKE_ESN_YES,
		.iv_len = (uint8_t)crypt_encr_iv_len(s->encr),
		.icv_len = (uint8_t)crypt_icv_len(s->encr, s->integ),
		.block_len = (uint8_t)crypt_encr_block_len(s->encr),
		.ctx = shared ? ctx : NULL,
		.suite = *s,
		.worker_cnt = shared ? 0 : worker_cnt,
	};
	struct esp_sa *sa = crypt_locked_take(get_size(&head));
	if (sa == NULL) {
		crypt_esp_free(ctx);
		return ERR_MEMORY;
	}
	*sa = head;
	if (!shared) {
		sa->own[0] = ctx;
		sa->keys = *keys;
	}
	*ret = sa;
	return ERR_NONE;
}

MUST_USE enum err esp_sa_new_out(const struct model_child_sa *child, struct esp_counter *counter,
				 unsigned worker_cnt, struct esp_sa **ret)
{
	struct esp_sa *sa;
	enum err e = make_sa(child, false, worker_cnt, &sa);

	if (e != ERR_NONE)
		return e;
	sa->counter = counter;
	atomic_init(&sa->last, UINT64_MAX);
	*ret = sa;
	return ERR_NONE;
}

MUST_USE enum err esp_sa_new_in(const struct model_child_sa *child, uint16_t replay_window,
				unsigned worker_cnt, struct esp_sa **ret)
{
	struct esp_sa *sa;

	if (replay_window > ESP_REPLAY_MAX)
		return ERR_RANGE;
	enum err e = make_sa(child, true, worker_cnt, &sa);
	if (e != ERR_NONE)
		return e;
	if (sa->esn && replay_window == 0)
		replay_window = ESP_REPLAY_ESN;
	e = esp_replay_init(&sa->replay, replay_window, child->seq_in_seen);
	if (e != ERR_NONE) {
		esp_sa_free(sa);
		return e;
	}
	*ret = sa;
	return ERR_NONE;
}

void esp_sa_free(struct esp_sa *sa)
{
	if (sa == NULL)
		return;
	crypt_esp_free(sa->ctx);
	for (unsigned i = 0; i < sa->worker_cnt; i++)
		crypt_esp_free(sa->own[i]);
	esp_replay_fini(&sa->replay);
	crypt_locked_give(sa, get_size(sa));
}

/* The counter first: whoever sees the new end sees no number of before (see take_allotted). */
void esp_sa_allot(struct esp_sa *sa, uint64_t above, uint64_t last)
{
	_Atomic uint64_t *seq = &sa->counter->seq;
	uint64_t at = atomic_load_explicit(seq, memory_order_relaxed);

	while (at < above && !atomic_compare_exchange_weak_explicit(seq, &at, above, memory_order_relaxed, memory_order_relaxed))
		;
	atomic_store_explicit(&sa->last, last, memory_order_release);
}

struct crypt_esp *esp_sa_own_context(struct esp_sa *sa, unsigned worker)
{
	struct crypt_esp *c = NULL;

	must(worker < sa->worker_cnt);
	if (sa->own[worker] == NULL && make_context(&sa->suite, &sa->keys, sa->inbound, &c) == ERR_NONE)
		sa->own[worker] = c;
	return sa->own[worker];
}

uint64_t esp_sa_seq_in(const struct esp_sa *sa)
{
	return atomic_load_explicit(&sa->replay.top, memory_order_relaxed);
}

void esp_sa_seen(struct esp_sa *sa, uint64_t seq)
{
	if (sa->replay.window != 0)
		(void)esp_replay_take(&sa->replay, seq);
}

bool esp_sa_is_low(const struct esp_sa *sa)
{
	return (sa->counter_iv && crypt_iv_space_is_low(&sa->counter->ivs)) ||
	       atomic_load_explicit(&sa->counter->seq, memory_order_relaxed) >= esp_seq_end(sa) / 4 * 3;
}
