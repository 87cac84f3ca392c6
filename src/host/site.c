#include "host/site.h"

#include <errno.h>

#include "base/log.h"
#include "io/tun.h"
#include "io/udp.h"

MUST_USE enum err host_site_addresses(struct conf_site *s)
{
	char text[ADDR_TEXT_MAX];
	unsigned found = 0;

	for (unsigned i = 0; i < s->tunnel_cnt; i++) {
		struct conf_tunnel *t = &s->tunnels[i];
		if (t->local_address.family == ADDR_NONE && io_udp_source(&t->gateway, &t->local_address) != ERR_NONE)
			log_error("tunnel %s: the kernel has no route to the gateway %s (%s); the tunnel is left out until "
				  "onrampd is started again", t->name, addr_format(&t->gateway, text), strerror(errno));
		else
			found++;
	}
	return found != 0 ? ERR_NONE : ERR_NOTFOUND;
}

/* Its default route would swallow its own outer packets, and those of every other tunnel. */
static bool any_default(const struct conf_site *s)
{
	for (unsigned i = 0; s->install_routes && i < s->tunnel_cnt; i++)
		for (unsigned j = 0; j < s->tunnels[i].routes.cnt; j++)
			if (s->tunnels[i].routes.p[j].len == 0)
				return true;
	return false;
}

MUST_USE enum err host_site_pin(const struct conf_site *s)
{
	char text[ADDR_TEXT_MAX];
	bool pinned;

	for (unsigned i = 0; any_default(s) && i < s->tunnel_cnt; i++) {
		const struct conf_tunnel *t = &s->tunnels[i];
		if (t->local_address.family == ADDR_NONE || io_route_pin("", &t->gateway, &pinned) == ERR_NONE)
			continue;
		log_error("tunnel %s: cannot keep the gateway %s out of the default route: %s", t->name,
			  addr_format(&t->gateway, text), strerror(errno));
		return ERR_SYSTEM;
	}
	return ERR_NONE;
}

void host_site_unpin(const struct conf_site *s)
{
	for (unsigned i = 0; any_default(s) && i < s->tunnel_cnt; i++)
		if (io_route_unpin("", &s->tunnels[i].gateway) != ERR_NONE)
			log_warn("tunnel %s: the route to its gateway stays behind: %s", s->tunnels[i].name, strerror(errno));
}
