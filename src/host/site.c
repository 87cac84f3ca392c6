#include "host/site.h"

#include <errno.h>

#include "base/log.h"
#include "host/swallow.h"
#include "io/tun.h"
#include "io/udp.h"

bool host_site_swallows(const struct conf_site *s, const struct addr *gateway)
{
	for (unsigned i = 0; s->install_routes && i < s->tunnel_cnt; i++)
		for (unsigned j = 0; j < s->tunnels[i].routes.cnt; j++)
			if (addr_prefix_contains(&s->tunnels[i].routes.p[j], gateway))
				return true;
	return false;
}

static bool is_inner(const struct conf_site *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->tunnel_cnt; i++)
		for (unsigned j = 0; j < s->tunnels[i].addresses.cnt; j++)
			if (addr_eq(&s->tunnels[i].addresses.p[j].addr, a))
				return true;
	return false;
}

MUST_USE enum err host_site_source(const struct conf_site *s, const struct conf_tunnel *t, struct addr *ret)
{
	struct addr a;

	enum err e = io_udp_source(&t->gateway, s->mark, &a);
	if (e == ERR_NONE && is_inner(s, &a))
		return ERR_RANGE;
	if (e == ERR_NONE)
		*ret = a;
	return e;
}

MUST_USE enum err host_site_addresses(struct conf_site *s)
{
	char text[ADDR_TEXT_MAX];
	unsigned found = 0;

	host_site_unpin(s); /* what a process that was killed has left */
	for (unsigned i = 0; i < s->tunnel_cnt; i++) {
		struct conf_tunnel *t = &s->tunnels[i];
		t->local_found = t->local_address.family == ADDR_NONE;
		if (t->local_found && host_site_source(s, t, &t->local_address) != ERR_NONE)
			log_error("tunnel %s: the kernel has no route to the gateway %s (%s); the tunnel starts when it has one",
				  t->name, addr_format(&t->gateway, text), strerror(errno));
		else
			found++;
	}
	return found != 0 ? ERR_NONE : ERR_NOTFOUND;
}

/* Of tunnels to the same gateway one is enough. */
static bool is_pinned(const struct conf_site *s, unsigned number)
{
	for (unsigned i = 0; i < number; i++)
		if (addr_eq(&s->tunnels[i].gateway, &s->tunnels[number].gateway))
			return false;
	return host_site_swallows(s, &s->tunnels[number].gateway);
}

MUST_USE enum err host_site_pin(const struct conf_site *s)
{
	char text[ADDR_TEXT_MAX];
	enum err e = ERR_NONE;

	for (unsigned i = 0; i < s->tunnel_cnt; i++) {
		const struct conf_tunnel *t = &s->tunnels[i];
		if (!is_pinned(s, i) || io_route_pin("", &t->gateway, s->tun, s->route_table) == ERR_NONE)
			continue;
		log_error("tunnel %s: cannot keep the gateway %s out of the tunnels' routes: %s", t->name,
			  addr_format(&t->gateway, text), strerror(errno));
		e = ERR_SYSTEM;
	}
	return e;
}

void host_site_unpin(const struct conf_site *s)
{
	for (unsigned i = 0; i < s->tunnel_cnt; i++)
		if (is_pinned(s, i) && io_route_unpin("", &s->tunnels[i].gateway, s->route_table) != ERR_NONE)
			log_warn("tunnel %s: the route to its gateway stays behind: %s", s->tunnels[i].name, strerror(errno));
}

static bool is_used(const struct conf_site *s, const struct addr *a)
{
	for (unsigned i = 0; i < s->tunnel_cnt; i++)
		if (addr_eq(&s->tunnels[i].local_address, a))
			return true;
	return false;
}

void host_site_close_unused(const struct conf_site *s, const struct addr *except, struct host_sockets *all)
{
	for (unsigned i = 0; i < all->cnt;) {
		const struct addr a = all->s[i].local.addr;
		if (is_used(s, &a) || (except != NULL && addr_eq(&a, except)))
			i++;
		else
			host_close_address(all, &a);
	}
}
