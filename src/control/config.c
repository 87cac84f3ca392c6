// The configuration as control sees it: accounts, tunnels, PSKs and routes mirrored from the store, applied to fwd.
#include "control/internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/secret.h"

#define PREFIX_TUNNEL "cfg/tun/"
#define PREFIX_PSK "cfg/psk/"
#define PREFIX_ROUTE "cfg/route/"

/* ---- accounts ---- */

/* The account's entry, made if it is new: its tunnels may be seen before its own record. */
static struct control_account *need_account(struct control *c, const struct model_id *id)
{
	struct control_account *a = control_account_find(c, id);
	if (a != NULL)
		return a;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	a->m.id = *id;
	hmap_add(&c->accounts_by_id, &a->by_id, control_id_hash(c, id));
	return a;
}

static void install_tunnel(struct control *c, struct control_tunnel *t)
{
	const struct model_tunnel *m = &t->m;
	const struct fwd_tunnel_config f = { .tunnel_id = t->id, .account_number = t->account->m.number,
					     .interface4 = m->interface_address, .interface6 = m->interface_address6,
					     .outer_mtu = m->onramp.outer_mtu, .mss_clamp = m->onramp.mss_clamp,
					     .replay_window = m->onramp.replay_window };
	if (!t->account->configured || !t->configured)
		return;
	enum err e = fwd_tunnel_put(c->fwd, &f);
	t->installed = e == ERR_NONE;
	if (e != ERR_NONE)
		log_error("tunnel %s cannot be installed: %s", m->name, err_text(e));
	t->account->dirty = true;
}

void control_config_put_account(struct control *c, const struct model_account *m)
{
	struct control_account *a = need_account(c, &m->id);
	bool moved = a != NULL && a->configured && strcmp(a->m.offramp_netns, m->offramp_netns) != 0;
	if (a == NULL)
		return;
	enum err e = fwd_account_put(c->fwd, m->number, m->offramp_default);
	if (e != ERR_NONE) {
		log_error("account %u cannot be installed: %s", m->number, err_text(e));
		return;
	}
	if (!a->configured)
		hmap_add(&c->accounts_by_number, &a->by_number, siphash_u64(&c->hash_key, m->number));
	bool fresh = !a->configured;
	a->m = *m;
	a->configured = true;
	a->dirty = true;
	if (fresh || moved)
		c->cfg.parent.want_offramp(c->cfg.parent.arg, m->number, m->offramp_netns);
	if (fresh)
		for (struct control_tunnel *t = a->tunnels; t != NULL; t = t->next)
			install_tunnel(c, t);
}

/* ---- tunnels ---- */

static struct control_tunnel *need_tunnel(struct control *c, const struct model_id *account,
					  const struct model_id *id)
{
	struct control_tunnel *t = control_tunnel_find(c, id);
	struct control_account *a = need_account(c, account);
	if (t != NULL || a == NULL)
		return t;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->id = *id;
	t->account = a;
	t->next = a->tunnels;
	t->since_us = c->now_us;
	a->tunnels = t;
	control_order_forget(a);
	hmap_add(&c->tunnels, &t->by_id, control_id_hash(c, id));
	return t;
}

static void close_all(struct control *c, struct control_tunnel *t)
{
	for (struct control_sa *sa = t->sas, *next; sa != NULL; sa = next) {
		next = sa->next;
		if (control_duty_sa(c, sa->r.spi))
			control_sa_close(c, sa, MODEL_FAILURE_CONFIG_REMOVED);
	}
}

static bool allows_esn(const struct model_tunnel *t)
{
	return t->replay_protection && t->onramp.esn;
}

/* What an SA was negotiated under: a change of it ends the SA. */
static bool same_terms(const struct model_tunnel *a, const struct model_tunnel *b)
{
	return addr_eq(&a->cloudflare_endpoint, &b->cloudflare_endpoint) &&
	       addr_eq(&a->customer_endpoint, &b->customer_endpoint) &&
	       (b->allow_null_cipher || !a->allow_null_cipher) && (allows_esn(b) || !allows_esn(a)) &&
	       a->onramp.profile == b->onramp.profile;
}

/* IKE_SA_INIT is answered with algorithms of the profiles that tunnels here have. */
static void count_profile(struct control *c, const struct control_tunnel *t, bool more)
{
	uint32_t *cnt = &c->profile_cnt[t->m.onramp.profile];

	*cnt = more ? *cnt + 1 : *cnt - 1;
	c->world.profiles = 0;
	for (unsigned i = 0; i < MODEL_PROFILE_CNT; i++)
		if (c->profile_cnt[i] != 0)
			c->world.profiles |= MODEL_PROFILE_BIT(i);
}

struct control_tunnel *control_config_put_tunnel(struct control *c, const struct model_tunnel *m)
{
	struct control_tunnel *t = need_tunnel(c, &m->account_id, &m->id);
	if (t == NULL) {
		log_error("no memory for tunnel %s", m->name);
		return NULL;
	}
	bool ended = t->configured && !same_terms(&t->m, m);
	if (t->configured)
		count_profile(c, t, false);
	t->m = *m;
	t->configured = true;
	control_address_customer(c, t, &m->customer_endpoint);
	count_profile(c, t, true);
	install_tunnel(c, t);
	if (ended)
		close_all(c, t);
	return t;
}

/* Its SAs say goodbye first; the entry goes with the last of them (see control_sa_remove). */
static void delete_tunnel(struct control *c, struct control_tunnel *t)
{
	if (t->configured)
		count_profile(c, t, false);
	control_why_gone(c, t);
	t->configured = false;
	t->has_psk = false;
	secret_wipe(&t->psk, sizeof(t->psk));
	close_all(c, t);
	if (t->installed) {
		fwd_tunnel_delete(c->fwd, &t->id);
		t->installed = false;
	}
	if (t->sas == NULL)
		control_tunnel_free(c, t);
}

/* ---- routes ---- */

static struct control_route *find_route(const struct control *c, const struct model_id *id)
{
	for (struct hmap_node *n = hmap_first(&c->routes, control_id_hash(c, id)); n != NULL; n = hmap_next(n)) {
		struct control_route *r = CONTAINER_OF(n, struct control_route, by_id);
		if (model_id_eq(&r->id, id))
			return r;
	}
	return NULL;
}

static void free_route(struct control *c, struct control_route *r)
{
	*r->at = r->next;
	if (r->next != NULL)
		r->next->at = r->at;
	hmap_remove(&c->routes, &r->by_id);
	free(r);
}

static void delete_route(struct control *c, struct control_account *a, const struct model_id *id)
{
	struct control_route *r = find_route(c, id);

	if (r == NULL)
		return;
	free_route(c, r);
	a->dirty = true;
}

static void put_route(struct control *c, const struct model_route *m)
{
	struct control_account *a = need_account(c, &m->account_id);
	struct control_route *r = calloc(1, sizeof(*r));
	if (a == NULL || r == NULL) {
		free(r);
		log_error("no memory for a route");
		return;
	}
	delete_route(c, a, &m->id);
	*r = (struct control_route){ .next = a->routes, .at = &a->routes, .id = m->id, .prefix = m->prefix, .nexthop = m->nexthop,
				     .priority = m->priority, .weight = m->weight };
	if (r->next != NULL)
		r->next->at = &r->next;
	a->routes = r;
	hmap_add(&c->routes, &r->by_id, control_id_hash(c, &r->id));
	a->dirty = true;
}

/* ---- the end of an account ---- */

static void delete_account(struct control *c, struct control_account *a)
{
	while (a->routes != NULL)
		free_route(c, a->routes);
	for (struct control_tunnel *t = a->tunnels, *next; t != NULL; t = next) {
		next = t->next;
		delete_tunnel(c, t);
	}
	if (!a->configured)
		return;
	c->cfg.parent.drop_offramp(c->cfg.parent.arg, a->m.number);
	fwd_account_delete(c->fwd, a->m.number);
	hmap_remove(&c->accounts_by_number, &a->by_number);
	a->configured = false; /* the entry stays for tunnels that still say goodbye */
}

/* ---- publishing ---- */

/* What a route can have as its next hop. */
struct side {
	struct addr addr;
	const struct control_tunnel *tunnel;
};

static int compare_sides(const void *a, const void *b)
{
	const struct side *x = a, *y = b;
	return addr_cmp(&x->addr, &y->addr);
}

/* The customer sides of the installed tunnels, in order. NULL without memory. */
static struct side *list_sides(const struct control_account *a, size_t *ret_cnt)
{
	size_t cnt = 0;

	for (const struct control_tunnel *t = a->tunnels; t != NULL; t = t->next)
		cnt += 2;
	struct side *sides = calloc(cnt + 1, sizeof(*sides));
	cnt = 0;
	for (const struct control_tunnel *t = a->tunnels; sides != NULL && t != NULL; t = t->next) {
		const struct addr_prefix *const own[] = { &t->m.interface_address, &t->m.interface_address6 };
		for (size_t i = 0; i < ARRAY_LEN(own) && t->installed; i++)
			if (own[i]->addr.family != ADDR_NONE)
				sides[cnt++] = (struct side){ model_tunnel_customer_side(own[i]), t };
	}
	if (cnt != 0)
		qsort(sides, cnt, sizeof(*sides), compare_sides);
	*ret_cnt = cnt;
	return sides;
}

static const struct control_tunnel *find_nexthop(const struct side *sides, size_t cnt, const struct addr *nexthop)
{
	const struct side key = { .addr = *nexthop };
	const struct side *found = cnt == 0 ? NULL : bsearch(&key, sides, cnt, sizeof(*sides), compare_sides);
	return found == NULL ? NULL : found->tunnel;
}

/* The kernel's routes to the off-ramp: every prefix behind a tunnel, and the interface prefixes. */
static size_t add_kernel_prefixes(const struct control_account *a, struct addr_prefix *out)
{
	size_t n = 0;
	for (const struct control_route *r = a->routes; r != NULL; r = r->next)
		out[n++] = addr_prefix_mask(&r->prefix);
	for (const struct control_tunnel *t = a->tunnels; t != NULL; t = t->next) {
		if (!t->installed)
			continue;
		out[n++] = addr_prefix_mask(&t->m.interface_address);
		if (t->m.interface_address6.addr.family != ADDR_NONE)
			out[n++] = addr_prefix_mask(&t->m.interface_address6);
	}
	return n;
}

static void publish_account(struct control *c, struct control_account *a)
{
	size_t cnt = 0, n = 0, prefix_cnt = 0, side_cnt = 0;
	struct side *sides = list_sides(a, &side_cnt);

	for (const struct control_route *r = a->routes; r != NULL; r = r->next)
		cnt++;
	for (const struct control_tunnel *t = a->tunnels; t != NULL; t = t->next)
		prefix_cnt += 2;
	struct fwd_route *routes = calloc(cnt + 1, sizeof(*routes));
	struct addr_prefix *prefixes = calloc(cnt + prefix_cnt + 1, sizeof(*prefixes));
	enum err e = sides == NULL || routes == NULL || prefixes == NULL ? ERR_MEMORY : ERR_NONE;
	for (const struct control_route *r = a->routes; e == ERR_NONE && r != NULL; r = r->next) {
		const struct control_tunnel *t = find_nexthop(sides, side_cnt, &r->nexthop);
		if (t != NULL)
			routes[n++] = (struct fwd_route){ addr_prefix_mask(&r->prefix), r->priority, r->weight, t->id };
	}
	if (e == ERR_NONE)
		e = fwd_routes_set(c->fwd, a->m.number, routes, n);
	if (e == ERR_NONE)
		c->cfg.parent.set_routes(c->cfg.parent.arg, a->m.number, prefixes, add_kernel_prefixes(a, prefixes));
	else
		log_error("routes of account %u cannot be published: %s", a->m.number, err_text(e));
	free(sides);
	free(routes);
	free(prefixes);
}

/* Tables of thousands of routes take a while to make: many changes in a row share one making, which then has a tenth of this
 * thread's time. */
void control_config_publish(struct control *c)
{
	struct hmap_walk w;

	if (c->now_us < c->publish_us) {
		c->publish_due = true;
		return;
	}
	uint64_t begin_ns = clock_mono_ns();
	c->publish_due = false;
	for (struct hmap_node *n = hmap_walk_first(&c->accounts_by_id, &w); n != NULL;
	     n = hmap_walk_next(&c->accounts_by_id, &w)) {
		struct control_account *a = CONTAINER_OF(n, struct control_account, by_id);
		if (a->dirty && a->configured && c->cfg.site != NULL)
			control_site_publish(c, a);
		else if (a->dirty && a->configured)
			publish_account(c, a);
		a->dirty = false;
	}
	if (fwd_release(c->fwd) != ERR_NONE)
		log_error("no memory for the routes of an account");
	fwd_hold(c->fwd);
	c->publish_us = c->now_us + (clock_mono_ns() - begin_ns) / 1000 * 10;
}

/* ---- rows of the store ---- */

/* The two ids of "cfg/<kind>/<account>/<id>" behind its prefix. */
static bool parse_ids(struct bytes key, const char *prefix, struct model_id *account, struct model_id *id)
{
	struct rd r = rd_of(key);
	rd_skip(&r, strlen(prefix));
	struct bytes a = rd_bytes(&r, MODEL_ID_TEXT_LEN);
	rd_skip(&r, 1);
	struct bytes b = rd_bytes(&r, MODEL_ID_TEXT_LEN);
	return rd_done(&r) && model_id_parse(a, account) == ERR_NONE && model_id_parse(b, id) == ERR_NONE;
}

static enum err change_account(struct control *c, const struct store_row *row)
{
	struct model_account m;
	struct model_id id;
	struct rd r = rd_of(row->key);

	rd_skip(&r, strlen(MODEL_KEY_ACCOUNTS));
	if (row->deleted) {
		struct control_account *a = model_id_parse(rd_rest(&r), &id) == ERR_NONE ? control_account_find(c, &id)
											 : NULL;
		if (a != NULL)
			delete_account(c, a);
		return ERR_NONE;
	}
	enum err e = model_account_decode(row->value, &m);
	if (e == ERR_NONE)
		control_config_put_account(c, &m);
	return e;
}

static enum err change_tunnel(struct control *c, const struct store_row *row)
{
	struct model_id account, id;
	struct model_tunnel m;

	if (!parse_ids(row->key, PREFIX_TUNNEL, &account, &id))
		return ERR_SYNTAX;
	if (row->deleted) {
		struct control_tunnel *t = control_tunnel_find(c, &id);
		if (t != NULL)
			delete_tunnel(c, t);
		return ERR_NONE;
	}
	enum err e = model_tunnel_decode(row->value, &m);
	if (e == ERR_NONE)
		(void)control_config_put_tunnel(c, &m);
	return e;
}

static enum err change_psk(struct control *c, const struct store_row *row)
{
	struct model_id account, id;
	struct model_psk m;

	if (!parse_ids(row->key, PREFIX_PSK, &account, &id))
		return ERR_SYNTAX;
	struct control_tunnel *t = row->deleted ? control_tunnel_find(c, &id) : need_tunnel(c, &account, &id);
	if (t == NULL)
		return row->deleted ? ERR_NONE : ERR_MEMORY;
	if (row->deleted) {
		t->has_psk = false;
		control_tunnel_idle(c, t);
		return ERR_NONE;
	}
	enum err e = model_psk_decode(row->value, &m);
	if (e == ERR_NONE)
		control_psk_put(c, t, &m);
	return e;
}

static enum err change_route(struct control *c, const struct store_row *row)
{
	struct model_id account, id;
	struct model_route m;

	if (!parse_ids(row->key, PREFIX_ROUTE, &account, &id))
		return ERR_SYNTAX;
	if (row->deleted) {
		struct control_account *a = control_account_find(c, &account);
		if (a != NULL)
			delete_route(c, a, &id);
		return ERR_NONE;
	}
	enum err e = model_route_decode(row->value, &m);
	if (e == ERR_NONE)
		put_route(c, &m);
	return e;
}

static enum err change(struct control *c, const struct store_row *row)
{
	if (bytes_starts(row->key, bytes_str(MODEL_KEY_ACCOUNTS)))
		return change_account(c, row);
	if (bytes_starts(row->key, bytes_str(PREFIX_TUNNEL)))
		return change_tunnel(c, row);
	if (bytes_starts(row->key, bytes_str(PREFIX_PSK)))
		return change_psk(c, row);
	if (bytes_starts(row->key, bytes_str(PREFIX_ROUTE)))
		return change_route(c, row);
	return ERR_NONE; /* tokens and counters are the api's */
}

void control_config_change(struct control *c, const struct store_row *row)
{
	enum err e = change(c, row);
	if (e != ERR_NONE)
		log_error("record %.*s: %s; it is left out", (int)row->key.len, (const char *)row->key.p, err_text(e));
}

/* A record that cannot be read at the start is a reason not to start: a newer program wrote it, or it is damaged. */
struct load {
	struct control *c;
	enum err err;
};

static void load_row(void *arg, const struct store_row *row)
{
	struct load *l = arg;
	if (l->err != ERR_NONE)
		return;
	l->err = change(l->c, row);
	if (l->err != ERR_NONE)
		log_error("record %.*s: %s", (int)row->key.len, (const char *)row->key.p, err_text(l->err));
}

MUST_USE enum err control_config_load(struct control *c, struct store *s, uint64_t *ret_rev)
{
	/* One kind after the other: tokens are none of our business, and etcd looks at all keys of a list before it begins. */
	static const char *const kinds[] = { MODEL_KEY_ACCOUNTS, PREFIX_TUNNEL, PREFIX_PSK, PREFIX_ROUTE };
	struct load l = { .c = c };
	uint64_t rev = 0, first = 0;
	enum err e = ERR_NONE;

	for (size_t i = 0; e == ERR_NONE && i < ARRAY_LEN(kinds); i++) {
		e = store_range(s, bytes_str(kinds[i]), (struct bytes){ NULL, 0 }, 0, load_row, &l, &rev);
		if (i == 0)
			first = rev;
	}
	if (e == ERR_NONE)
		e = l.err;
	if (e == ERR_NONE)
		*ret_rev = first; /* what changed since is told by the watch */
	return e;
}

static void end_unless(struct control *c, struct model_key key, bool (*is_there)(const struct control *, const struct model_key *))
{
	if (!is_there(c, &key))
		control_config_change(c, &(struct store_row){ .key = model_key_bytes(&key), .deleted = true });
}

void control_config_sweep(struct control *c, bool (*is_there)(const struct control *c, const struct model_key *key))
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL; n = hmap_walk_next(&c->tunnels, &w)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		const struct model_id account = t->account->m.id, id = t->id;
		if (t->has_psk)
			end_unless(c, model_key_psk(&account, &id), is_there);
		t = control_tunnel_find(c, &id);
		if (t != NULL && t->configured)
			end_unless(c, model_key_tunnel(&account, &id), is_there);
	}
	for (struct hmap_node *n = hmap_walk_first(&c->accounts_by_id, &w); n != NULL; n = hmap_walk_next(&c->accounts_by_id, &w)) {
		const struct control_account *a = CONTAINER_OF(n, struct control_account, by_id);
		const struct model_id account = a->m.id;
		for (const struct control_route *r = a->routes, *next; r != NULL; r = next) {
			next = r->next;
			end_unless(c, model_key_route(&account, &r->id), is_there);
		}
		if (a->configured)
			end_unless(c, model_key_account(&account), is_there);
	}
}

void control_config_free(struct control *c)
{
	struct hmap_walk w;
	for (struct hmap_node *n = hmap_walk_first(&c->accounts_by_id, &w); n != NULL;
	     n = hmap_walk_next(&c->accounts_by_id, &w)) {
		struct control_account *a = CONTAINER_OF(n, struct control_account, by_id);
		while (a->tunnels != NULL)
			control_tunnel_free(c, a->tunnels);
		while (a->routes != NULL)
			free_route(c, a->routes);
		hmap_remove(&c->accounts_by_id, &a->by_id);
		free(a->sorted);
		free(a);
	}
	hmap_fini(&c->accounts_by_id);
	hmap_fini(&c->accounts_by_number);
	hmap_fini(&c->tunnels);
	hmap_fini(&c->by_customer);
	hmap_fini(&c->by_remote);
	hmap_fini(&c->routes);
}

/* ---- what a handshake asks ---- */

bool control_find_tunnel(void *arg, const struct model_identity *id, const struct addr *local,
			 const struct addr *remote, struct ike_peer *ret)
{
	struct control *c = arg;
	struct control_tunnel *t;

	(void)remote;
	if (id->by_address) {
		t = control_address_find(c, &id->addr, local);
	} else {
		t = control_tunnel_find(c, &id->tunnel_id);
		if (t != NULL && !(id->account_is_number ? t->account->m.number == id->account_number
							 : model_id_eq(&t->account->m.id, &id->account_id)))
			t = NULL;
	}
	if (t == NULL || !t->configured || !t->account->configured) {
		control_psk_open(c, NULL, &ret->psk);
		return false;
	}
	*ret = (struct ike_peer){ .account_id = t->account->m.id, .tunnel_id = t->id,
				  .account_number = t->account->m.number,
				  .gateway_endpoint = t->m.cloudflare_endpoint,
				  .customer_endpoint = t->m.customer_endpoint, .allow_null = t->m.allow_null_cipher,
				  .allow_esn = allows_esn(&t->m),
				  .settings = t->m.onramp };
	control_psk_open(c, t, &ret->psk);
	return true;
}

void control_find_previous_psk(void *arg, const struct model_id *tunnel_id, struct secret *ret)
{
	struct control *c = arg;
	const struct control_tunnel *t = tunnel_id == NULL ? NULL : control_tunnel_find(c, tunnel_id);

	control_psk_open_previous(c, t, ret);
}
