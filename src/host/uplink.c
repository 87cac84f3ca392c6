#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "host/msg.h"
#include "host/site.h"
#include "host/swallow.h"
#include "io/tun.h"

#define AGAIN_MS 1000
#define SETTLE_MS 100 /* addresses and routes of one change come one after the other */

MUST_USE enum err host_uplink_open(const struct conf_site *s, struct host_uplink *ret)
{
	bool wanted = false;

	*ret = (struct host_uplink){ .fd = -1 };
	for (unsigned i = 0; i < s->tunnel_cnt; i++)
		wanted = wanted || s->tunnels[i].local_found || host_site_swallows(s, &s->tunnels[i].gateway);
	if (!wanted)
		return ERR_NONE;
	enum err e = io_route_watch(&ret->fd);
	if (e != ERR_NONE)
		log_error("cannot watch addresses and routes: %s", strerror(errno));
	return e;
}

void host_uplink_take(struct host_uplink *u, uint64_t now_ms)
{
	if (io_route_changed(u->fd) && u->look_ms == 0)
		u->look_ms = now_ms + SETTLE_MS;
}

/* Its sockets, which are opened if there are none, go to the child that carries the tunnels. */
static void move(struct conf_site *s, unsigned number, const struct addr *to, unsigned workers, struct host_sockets *all,
		 int child_fd)
{
	struct host_msg m = { .kind = HOST_MSG_MOVED, .tunnel = number, .prefix_cnt = 1 };
	struct conf_tunnel *t = &s->tunnels[number];
	const struct addr left = t->local_address;
	char text[ADDR_TEXT_MAX];
	int fds[HOST_FDS_MAX];
	unsigned cnt = 0;

	host_site_close_unused(s, NULL, all);
	if (!host_has_address(all, to)) {
		if (host_open_address(to, workers, s->native_esp, s->mark, all) != ERR_NONE)
			return; /* logged; the next change tries again */
		for (unsigned i = 0; i < all->cnt; i++)
			if (addr_eq(&all->s[i].local.addr, to))
				fds[cnt++] = all->s[i].fd;
	}
	log_info("tunnel %s: our address is now %s", t->name, addr_format(to, text));
	t->local_address = *to;
	m.prefixes[0] = (struct addr_prefix){ *to, (uint8_t)(8 * addr_len(to->family)) };
	if (child_fd < 0)
		return; /* a child that starts gets it all */
	enum err e = host_msg_send(child_fd, &m, fds, cnt);
	if (e != ERR_NONE) {
		log_error("tunnel %s cannot be moved: %s", t->name, err_text(e));
		t->local_address = left;
		if (cnt != 0)
			host_close_address(all, to);
	}
}

void host_uplink_look(struct host_uplink *u, struct conf_site *s, uint64_t now_ms, unsigned workers, struct host_sockets *all,
		      int child_fd)
{
	char text[ADDR_TEXT_MAX];
	struct addr now;

	u->look_ms = host_site_pin(s) == ERR_NONE ? 0 : now_ms + AGAIN_MS;
	for (unsigned i = 0; i < s->tunnel_cnt; i++) {
		struct conf_tunnel *t = &s->tunnels[i];
		if (!t->local_found)
			continue;
		/* Without a way it stays as it is until there is one. */
		enum err e = host_site_source(s, t, &now);
		if (e == ERR_RANGE)
			log_warn("tunnel %s: the kernel's routes lead to its gateway %s through the tunnels themselves; see "
				 "\"Rules and tables\" in doc/site.md", t->name, addr_format(&t->gateway, text));
		else if (e == ERR_NONE && !addr_eq(&now, &t->local_address))
			move(s, i, &now, workers, all, child_fd);
	}
}
