// Where sites are: behind a NAT or not, and at which addresses they were seen. RFC 3948, RFC 4787.
#pragma once

#include "world.h"

enum world_nat {
	WORLD_NAT_NONE,
	WORLD_NAT_PORTS,   /* one address, other ports */
	WORLD_NAT_ADDRESS, /* when its mapping changes, its address does too */
};

void world_nat_begin(void);
/* A process with that address; called again it has moved there. */
void world_nat_put(unsigned who, enum world_nat kind, const struct addr *inside);
/* The address that others see of it at present. */
struct addr world_nat_address(unsigned who);
bool world_nat_is(unsigned who); /* it is behind one */
/* The mapping is forgotten: what comes to it is lost, and there is a new one with the next datagram from inside. */
void world_nat_forget(unsigned who);
/* To show that a check can fail: from the next change on it is at places that nobody knows of. */
void world_nat_hide(unsigned who);

/* What others see as the source of a datagram. */
struct addr_endpoint world_nat_out(unsigned who, const struct addr_endpoint *inside);
/* To whom a datagram comes, and where inside; WORLD_PROCESSES_MAX: nobody is there any more. */
unsigned world_nat_in(const struct addr_endpoint *outside, struct addr_endpoint *ret_inside);
/* Who has or had that address. */
unsigned world_nat_owner(const struct addr *outside);
/* Whether that process is, or was ever, there. */
bool world_nat_is_now(unsigned who, const struct addr_endpoint *outside);
bool world_nat_was_ever(unsigned who, const struct addr_endpoint *outside);
