// What site.c and uplink.c share. The parent process only.
#pragma once

#include "conf/site.h"

/* Whether a route of the tunnels, once in the kernel, would lead the gateway's own packets into them. */
bool host_site_swallows(const struct conf_site *s, const struct addr *gateway);
/* From which address the kernel reaches the gateway of a tunnel. ERR_SYSTEM with errno; ERR_RANGE: from an inner one, its way goes
 * through the tunnels. */
MUST_USE enum err host_site_source(const struct conf_site *s, const struct conf_tunnel *t, struct addr *ret);
