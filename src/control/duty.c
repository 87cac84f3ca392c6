// Who does what has to be done unasked: one node of those that live, by the hash.
#include "control/internal.h"

bool control_duty_sa(const struct control *c, uint64_t our_spi)
{
	return cluster_duty(&c->members, our_spi);
}

bool control_duty_tunnel(const struct control *c, const struct control_tunnel *t)
{
	static const struct siphash_key same_everywhere;

	return cluster_duty(&c->members, siphash(&same_everywhere, BYTES_OF(t->id.b)));
}
