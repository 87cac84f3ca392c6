// The off-ramp devices of the accounts: TUN queues and kernel routes, kept by the parent over restarts of the gateway.
// The parent process only.
#pragma once

#include "conf/site.h"
#include "host/msg.h"

struct host_offramps;

/* mtu of each device; routes: whether kernel routes are installed. site: NULL for a gateway; else it is outlived, and names
 * the one device and its addresses. ERR_MEMORY. */
MUST_USE enum err host_offramps_new(unsigned queues, unsigned mtu, bool routes, const struct conf_site *site,
				    struct host_offramps **ret);
/* Closes the queues. A device, and its routes with it, goes when its last holder has closed it: the parent at its
 * end; a forked child calls this to hold none. NULL is fine. */
void host_offramps_free(struct host_offramps *o);

/* A message of the gateway: OFFRAMP_WANT (answered on reply_fd), OFFRAMP_DROP, ROUTES. Others are ignored. */
void host_offramps_take(struct host_offramps *o, const struct host_msg *m, int reply_fd);
