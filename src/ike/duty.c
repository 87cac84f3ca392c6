// Times of what we do unasked: rekeys before the end of a lifetime, tries after a refusal (RFC 7296 2.8, 2.25).
#include "ike/ctx.h"

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

static enum ike_wear wear_of(const struct ike_ctx *c)
{
	uint32_t id = c->sa->rx_next > c->sa->tx_next ? c->sa->rx_next : c->sa->tx_next;

	if (c->ev->iv_wear == IKE_WEAR_ENDING || id >= IKE_IDS_ENDING)
		return IKE_WEAR_ENDING;
	return c->ev->iv_wear == IKE_WEAR_LOW || id >= IKE_IDS_LOW ? IKE_WEAR_LOW : IKE_WEAR_FINE;
}

/* RFC 7296 2.2: message ids do not wrap, the IKE SA is rekeyed or closed before; 2.8: likewise for all that wears its keys
 * out. A rekey that was refused has its own pauses. */
bool ike_duty_wear(struct ike_ctx *c)
{
	static const uint64_t spread_us = 30 * SECOND_US;
	struct ike_sa *sa = c->sa;
	uint64_t now = c->ev->now_us;

	switch (wear_of(c)) {
	case IKE_WEAR_FINE:
		break;
	case IKE_WEAR_LOW:
		if (sa->rekey_tries != 0 || (sa->rekey_us != 0 && sa->rekey_us <= now + spread_us))
			break;
		sa->rekey_us = now + random_below(c, IKE_RANDOM_JITTER + 24, spread_us);
		c->changed = true;
		break;
	case IKE_WEAR_ENDING:
		if (!ike_out_has_failure(c->out))
			(void)ike_out_fail(c->out, c->ev, sa, MODEL_FAILURE_EXPIRED, MODEL_STAGE_LIVE);
		return true;
	}
	return false;
}
