// The routes of a site's tunnels: to fwd, and to the host.
#include "control/internal.h"

#include <stdlib.h>

/* The routes of a tunnel, and what is on the link of its addresses. Returns how many it put. */
static size_t add_routes(const struct control_tunnel *t, struct fwd_route *routes, struct addr_prefix *kernel,
			 size_t *kernel_cnt)
{
	const struct conf_tunnel *conf = t->starter->conf;
	size_t n = 0;

	for (unsigned i = 0; i < conf->routes.cnt; i++) {
		kernel[(*kernel_cnt)++] = conf->routes.p[i];
		routes[n++] = (struct fwd_route){ .prefix = conf->routes.p[i], .priority = 100, .tunnel_id = t->id };
	}
	for (unsigned i = 0; i < conf->addresses.cnt; i++) {
		const struct addr_prefix *p = &conf->addresses.p[i];
		if (p->len < 8 * addr_len(p->addr.family)) /* the kernel has it with the address */
			routes[n++] = (struct fwd_route){ .prefix = addr_prefix_mask(p), .priority = 100,
							  .tunnel_id = t->id };
	}
	return n;
}

void control_site_publish(struct control *c, const struct control_account *a)
{
	size_t room = 1, cnt = 0, kernel_cnt = 0;

	for (const struct control_tunnel *t = a->tunnels; t != NULL; t = t->next)
		if (t->starter != NULL)
			room += t->starter->conf->routes.cnt + t->starter->conf->addresses.cnt;
	struct fwd_route *routes = calloc(room, sizeof(*routes));
	struct addr_prefix *kernel = calloc(room, sizeof(*kernel));
	enum err e = routes == NULL || kernel == NULL ? ERR_MEMORY : ERR_NONE;
	for (const struct control_tunnel *t = a->tunnels; e == ERR_NONE && t != NULL; t = t->next)
		if (t->starter != NULL)
			cnt += add_routes(t, routes + cnt, kernel, &kernel_cnt);
	if (e == ERR_NONE)
		e = fwd_routes_set(c->fwd, a->m.number, routes, cnt);
	if (e == ERR_NONE)
		c->cfg.parent.set_routes(c->cfg.parent.arg, a->m.number, kernel, kernel_cnt);
	else
		log_error("the routes of the tunnels cannot be published: %s", err_text(e));
	free(routes);
	free(kernel);
}
