// The site role's part of the parent: which of our addresses reach the gateways, and that the gateways stay reachable.
// The parent process only. Each failure is logged with its remedy.
#pragma once

#include "conf/site.h"
#include "host/open.h"

/* Fills in the local_address of each tunnel that has none, by what the kernel routes now. A tunnel whose gateway has no route
 * keeps none until there is one (host_uplink_look). ERR_NOTFOUND: no tunnel has one. */
MUST_USE enum err host_site_addresses(struct conf_site *s);

/* Gateways that the tunnels' own routes would swallow are kept on the way that the kernel has to them without those; again when
 * that has changed. */
MUST_USE enum err host_site_pin(const struct conf_site *s);
void host_site_unpin(const struct conf_site *s);

/* Sockets of addresses that no tunnel has (any more). except: one that is kept nevertheless, for what is still on its way to
 * it; may be NULL. */
void host_site_close_unused(const struct conf_site *s, const struct addr *except, struct host_sockets *all);

/* ---- an uplink that changes (uplink.c) ---- */

struct host_uplink {
	int fd;           /* readable: host_uplink_take; -1: there is nothing to watch */
	uint64_t look_ms; /* when host_uplink_look is due, 0: it is not */
};

/* Only where a tunnel has no local_address in the file, or a gateway is kept on its way. */
MUST_USE enum err host_uplink_open(const struct conf_site *s, struct host_uplink *ret);
void host_uplink_take(struct host_uplink *u, uint64_t now_ms);
/* Looks which addresses reach the gateways now. A tunnel with another one gets its sockets, and the child is told. */
void host_uplink_look(struct host_uplink *u, struct conf_site *s, uint64_t now_ms, unsigned workers, struct host_sockets *all,
		      int child_fd);
