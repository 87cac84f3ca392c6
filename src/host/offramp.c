#include "host/offramp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "io/tun.h"

/* One account's device. routes: what the kernel has now; next: the set that is being told. */
struct offramp {
	struct offramp *next_offramp;
	uint32_t account;
	char netns[HOST_NETNS_MAX];
	char device[IO_TUN_NAME_MAX];
	int fds[HOST_FDS_MAX];
	struct addr_prefix *routes, *next;
	size_t route_cnt, next_cnt, next_cap;
};

struct host_offramps {
	struct offramp *first;
	unsigned queues, mtu;
	uint32_t table; /* into which routes go */
	bool install;
	const struct conf_site *site; /* NULL: a gateway */
};

MUST_USE enum err host_offramps_new(unsigned queues, unsigned mtu, bool routes, const struct conf_site *site,
				    struct host_offramps **ret)
{
	struct host_offramps *o = calloc(1, sizeof(*o));
	if (o == NULL)
		return ERR_MEMORY;
	must(queues != 0 && queues <= HOST_FDS_MAX);
	*o = (struct host_offramps){ .queues = queues, .mtu = mtu, .install = routes, .site = site,
				     .table = site != NULL ? site->route_table : IO_TABLE_MAIN };
	*ret = o;
	return ERR_NONE;
}

static struct offramp *find(struct host_offramps *o, uint32_t account)
{
	struct offramp *f = o->first;
	while (f != NULL && f->account != account)
		f = f->next_offramp;
	return f;
}

/* The kernel drops the device, and its routes with it, when the last descriptor is closed. */
static void drop(struct host_offramps *o, struct offramp *f)
{
	struct offramp **p = &o->first;
	while (*p != f)
		p = &(*p)->next_offramp;
	*p = f->next_offramp;
	for (unsigned i = 0; i < o->queues; i++)
		close(f->fds[i]);
	free(f->routes);
	free(f->next);
	free(f);
}

void host_offramps_free(struct host_offramps *o)
{
	if (o == NULL)
		return;
	while (o->first != NULL)
		drop(o, o->first);
	free(o);
}

/* The name comes from a record that people filled: it must stay one file name. */
static bool netns_ok(const char *name)
{
	return strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The inner addresses of a site live on its device. */
static void add_addresses(const struct offramp *f, const struct conf_tunnel *t)
{
	char text[ADDR_PREFIX_TEXT_MAX];

	for (unsigned i = 0; i < t->addresses.cnt; i++) {
		enum err e = io_address_add(f->netns, f->device, &t->addresses.p[i]);
		if (e != ERR_NONE)
			log_error("tunnel %s: cannot put %s on %s: %s", t->name,
				  addr_prefix_format(&t->addresses.p[i], text), f->device, strerror(errno));
	}
}

/* What the host lacks most often. */
static const char *remedy(enum err e, int why)
{
	if (e == ERR_NOTFOUND)
		return " (there is no such namespace: make it with ip netns add, and restart onrampd)";
	if (e != ERR_SYSTEM)
		return "";
	if (why == ENODEV)
		return " (/dev/net/tun is missing: modprobe tun, or give the container that device)";
	if (why == EPERM || why == EACCES)
		return " (onrampd must be started as root, and keep CAP_NET_ADMIN and the device /dev/net/tun)";
	if (why == EBUSY)
		return " (another process has a device of this name)";
	return "";
}

static enum err open_offramp(struct host_offramps *o, const struct host_msg *m, struct offramp **ret)
{
	struct offramp *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return ERR_MEMORY;
	f->account = m->account_number;
	snprintf(f->netns, sizeof(f->netns), "%s", m->netns);
	if (o->site != NULL)
		snprintf(f->device, sizeof(f->device), "%s", o->site->tun);
	else
		snprintf(f->device, sizeof(f->device), "onr-%u", m->account_number);
	enum err e = netns_ok(f->netns) ? io_tun_open(f->device, f->netns, o->mtu, o->queues, f->fds) : ERR_RANGE;
	if (e != ERR_NONE) {
		int why = errno;
		log_error("off-ramp of account %u: cannot open the TUN device %s%s%s: %s%s", f->account, f->device,
			  f->netns[0] ? " in namespace " : "", f->netns, e == ERR_SYSTEM ? strerror(why) : err_text(e),
			  remedy(e, why));
		free(f);
		return e;
	}
	for (unsigned i = 0; o->site != NULL && i < o->site->tunnel_cnt; i++)
		add_addresses(f, &o->site->tunnels[i]);
	f->next_offramp = o->first;
	o->first = f;
	*ret = f;
	return ERR_NONE;
}

static void want(struct host_offramps *o, const struct host_msg *m, int reply_fd)
{
	struct host_msg reply = { .kind = HOST_MSG_OFFRAMP, .account_number = m->account_number,
				  .mtu = (uint16_t)o->mtu };
	struct offramp *f = find(o, m->account_number);

	if (f != NULL && strcmp(f->netns, m->netns) != 0) {
		drop(o, f);
		f = NULL;
	}
	if (f == NULL)
		reply.error = (uint8_t)open_offramp(o, m, &f);
	enum err e = host_msg_send(reply_fd, &reply, f == NULL ? NULL : f->fds, f == NULL ? 0 : o->queues);
	if (e != ERR_NONE)
		log_warn("cannot hand the off-ramp of account %u to the gateway: %s", m->account_number, err_text(e));
}

/* The host's own default route is not taken away: a default route needs a namespace of the account's own. */
static bool installable(const struct offramp *f, const struct addr_prefix *p)
{
	return p->len != 0 || f->netns[0] != 0;
}

/* A site's default route is two halves: both are longer than the host's own, which stays for later. */
static unsigned split_default(const struct addr_prefix *p, struct addr_prefix half[2])
{
	half[0] = half[1] = *p;
	if (p->len != 0)
		return 1;
	half[0].len = half[1].len = 1;
	half[1].addr.b[0] = 0x80;
	return 2;
}

static int compare_prefixes(const void *a, const void *b)
{
	const struct addr_prefix *x = a, *y = b;
	int c = addr_cmp(&x->addr, &y->addr);
	return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

static void change_one(const struct host_offramps *o, const struct offramp *f, const struct addr_prefix *p, bool add)
{
	char text[ADDR_PREFIX_TEXT_MAX];
	enum err e = add ? io_route_add(f->netns, f->device, o->table, p) : io_route_delete(f->netns, f->device, o->table, p);
	if (e != ERR_NONE)
		log_warn("cannot %s the kernel route %s dev %s: %s", add ? "add" : "remove",
			 addr_prefix_format(p, text), f->device, strerror(errno));
}

static void change_route(const struct host_offramps *o, const struct offramp *f, const struct addr_prefix *p, bool add)
{
	struct addr_prefix half[2];

	if (o->site == NULL) {
		if (installable(f, p))
			change_one(o, f, p, add);
		return;
	}
	for (unsigned i = 0, cnt = split_default(p, half); i < cnt; i++)
		change_one(o, f, &half[i], add);
}

/* Several tunnels may have a prefix; the kernel has it once. Sorts. */
static size_t drop_doubles(struct addr_prefix *p, size_t cnt)
{
	size_t kept = 0;

	if (cnt != 0)
		qsort(p, cnt, sizeof(p[0]), compare_prefixes);
	for (size_t i = 0; i < cnt; i++)
		if (kept == 0 || !addr_prefix_eq(&p[kept - 1], &p[i]))
			p[kept++] = p[i];
	return kept;
}

/* Both lists are sorted: what is only in one of them is removed or added. */
static void apply_routes(const struct host_offramps *o, struct offramp *f)
{
	size_t i = 0, j = 0;

	f->next_cnt = drop_doubles(f->next, f->next_cnt);
	while (i < f->route_cnt || j < f->next_cnt) {
		int c = i == f->route_cnt ? 1 : j == f->next_cnt ? -1 : compare_prefixes(&f->routes[i], &f->next[j]);
		if (c < 0)
			change_route(o, f, &f->routes[i], false);
		else if (c > 0)
			change_route(o, f, &f->next[j], true);
		i += c <= 0;
		j += c >= 0;
	}
	free(f->routes);
	f->routes = f->next;
	f->route_cnt = f->next_cnt;
	f->next = NULL;
	f->next_cnt = f->next_cap = 0;
}

static void take_routes(struct host_offramps *o, const struct host_msg *m)
{
	struct offramp *f = find(o, m->account_number);

	if (f == NULL || !o->install)
		return;
	if (f->next_cnt + m->prefix_cnt > f->next_cap) {
		size_t cap = (f->next_cnt + m->prefix_cnt) * 2;
		struct addr_prefix *p = realloc(f->next, cap * sizeof(*p));
		if (p == NULL) {
			log_error("no memory for the kernel routes of account %u", f->account);
			return;
		}
		f->next = p;
		f->next_cap = cap;
	}
	for (unsigned i = 0; i < m->prefix_cnt; i++)
		f->next[f->next_cnt++] = m->prefixes[i];
	if (!m->more)
		apply_routes(o, f);
}

void host_offramps_take(struct host_offramps *o, const struct host_msg *m, int reply_fd)
{
	struct offramp *f;

	switch (m->kind) {
	case HOST_MSG_OFFRAMP_WANT:
		want(o, m, reply_fd);
		break;
	case HOST_MSG_OFFRAMP_DROP:
		f = find(o, m->account_number);
		if (f != NULL)
			drop(o, f);
		break;
	case HOST_MSG_ROUTES:
		take_routes(o, m);
		break;
	default:
		break;
	}
}
