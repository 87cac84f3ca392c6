// The site role's part of the parent: which of our addresses reach the gateways, and that the gateways stay reachable.
// The parent process only. Each failure is logged with its remedy.
#pragma once

#include "conf/site.h"

/* Fills in the local_address of each tunnel that has none, by what the kernel routes now. A tunnel whose gateway has no route
 * keeps none, and is left out until the next start. ERR_NOTFOUND: no tunnel has one. */
MUST_USE enum err host_site_addresses(struct conf_site *s);

/* Gateways behind a default route through the tunnels are kept on the way that the kernel has to them now. */
MUST_USE enum err host_site_pin(const struct conf_site *s);
void host_site_unpin(const struct conf_site *s);
