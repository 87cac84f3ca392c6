// Times of what we do unasked: rekeys before the end of a lifetime, tries after a refusal (RFC 7296 2.8, 2.25).
#include "ike/parts.h"

#define SECOND_US ((uint64_t)1000000)

/* 0 to below; 8 bytes of the event at `at`. */
static uint64_t random_below(const struct ike_ctx *c, unsigned at, uint64_t below)
{
	struct rd r = rd_of(bytes_of(&c->ev->random[at], 8));
	uint64_t v = rd_u64(&r);

	return below == 0 ? 0 : v % below;
}

/* Who started the tunnel goes first, as routers do: between 10 and 20 % before the end, the other side between 5 and
 * 10 %. Never so late that lost messages could run past the end, never in the first half. */
uint64_t ike_duty_soft(const struct ike_ctx *c, uint32_t lifetime_s, unsigned random_at)
{
	uint64_t life = lifetime_s * SECOND_US;
	uint64_t least = (c->sa->started ? 24 : 12) * SECOND_US;
	uint64_t part = c->sa->started ? life / 10 : life / 20;

	if (part < least)
		part = least;
	uint64_t margin = part + random_below(c, random_at, part);
	if (margin > life / 2)
		margin = life / 2;
	return c->ev->now_us + life - margin;
}

/* 1 s, 2 s, ... 64 s, and up to as much again, so that two sides in step fall out of it. */
uint64_t ike_duty_again(const struct ike_ctx *c, unsigned tries)
{
	uint64_t us = SECOND_US << (tries < 6 ? tries : 6);

	return c->ev->now_us + us + random_below(c, IKE_RANDOM_JITTER + 16, us);
}
