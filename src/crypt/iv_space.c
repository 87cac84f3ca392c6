#include "crypt/iv_space.h"

static const uint64_t counter_end = UINT64_C(1) << CRYPT_IV_COUNTER_BITS;

void crypt_iv_space_init(struct crypt_iv_space *s, uint32_t incarnation)
{
	must(incarnation >= 1 && incarnation <= CRYPT_IV_INCARNATION_MAX);
	atomic_init(&s->next, 0);
	s->incarnation = incarnation;
}

uint32_t crypt_iv_incarnation_next(uint32_t stored, uint32_t asked, uint64_t unix_us)
{
	static const uint64_t epoch_2025_s = 1735689600;
	uint64_t s = unix_us / 1000000, next = s > epoch_2025_s ? s - epoch_2025_s : 1;

	if (next <= stored)
		next = (uint64_t)stored + 1;
	if (next <= asked)
		next = (uint64_t)asked + 1;
	return next > UINT32_MAX ? UINT32_MAX : (uint32_t)next;
}

/* A compare-and-swap and not an addition: an addition past the end would wrap after enough tries,
 * and a wrapped counter repeats nonces. */
MUST_USE enum err crypt_iv_space_take(struct crypt_iv_space *s, uint32_t cnt, uint64_t *ret_first)
{
	uint64_t first = atomic_load_explicit(&s->next, memory_order_relaxed);

	must(cnt != 0);
	do {
		if (first > counter_end || cnt > counter_end - first)
			return ERR_FULL;
	} while (!atomic_compare_exchange_weak_explicit(&s->next, &first, first + cnt, memory_order_relaxed,
							memory_order_relaxed));
	*ret_first = (uint64_t)s->incarnation << CRYPT_IV_COUNTER_BITS | first;
	return ERR_NONE;
}

bool crypt_iv_space_is_low(const struct crypt_iv_space *s)
{
	return atomic_load_explicit(&s->next, memory_order_relaxed) >= counter_end / 4 * 3;
}

bool crypt_iv_space_is_ending(const struct crypt_iv_space *s)
{
	return atomic_load_explicit(&s->next, memory_order_relaxed) >= counter_end / 64 * 63;
}
