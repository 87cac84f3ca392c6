// What is configured, and what each node makes of it.
#include "base/secret.h"
#include "check.h"
#include "cover.h"
#include "fwd/state.h"

#define COMMIT_US 5000000u /* what a node has begun before it heard of a change may be committed for so long: etcd_timeout_ms, and a bit */

/* When a node has heard of a site's present key; 0: it has not, or there is no other one about. */
static uint64_t knows_us[WORLD_PROCESSES_MAX][WORLD_PROCESSES_MAX];

void check_config_begin(void)
{
	memset(knows_us, 0, sizeof(knows_us));
}

static bool has_old_key(const struct process *site)
{
	return site->kind == PROCESS_SITE && site->site_kind == SITE_HONEST && site->running.key != site->stored.key;
}

void check_config_always(void)
{
	for (unsigned i = 0; i < all.gateways; i++) {
		for (unsigned k = all.gateways; k < all.cnt; k++) {
			const struct process *node = &all.p[i], *site = &all.p[k];
			uint64_t *us = &knows_us[i][k];
			if (!has_old_key(site) || node->c == NULL || node->c->seen_rev < site->stored.key_rev)
				*us = 0;
			else if (*us == 0)
				*us = world_now_us();
		}
	}
}

static const struct process *site_of(const struct model_id *tunnel)
{
	for (unsigned k = all.gateways; k < all.cnt; k++) {
		const struct model_id id = tunnel_id(&all.p[k]);
		if (all.p[k].site_kind != SITE_FORGER && all.p[k].stored.there && model_id_eq(&id, tunnel))
			return &all.p[k];
	}
	return NULL;
}

/* Each IKE_AUTH says which IKE SA came last. */
void check_config_stored(const struct world_event *e)
{
	struct model_id tunnel;

	if (e->row.deleted || e->who >= all.gateways || !model_key_current_parse(e->row.key, &tunnel))
		return;
	const struct process *site = site_of(&tunnel);
	uint64_t us = site == NULL ? 0 : knows_us[e->who][site->who];
	if (us != 0 && has_old_key(site) && world_now_us() > us + COMMIT_US)
		check_fail(CHECK_CONFIG, "%s takes the old key of %s", all.p[e->who].name, site->name);
}

/* ---- after quiet ---- */

struct looking {
	const struct process *node;
	unsigned tunnels;
};

static void check_tunnel(void *arg, const struct store_row *row)
{
	struct looking *l = arg;
	uint8_t room[MODEL_TUNNEL_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct model_tunnel m;

	must(model_tunnel_decode(row->value, &m) == ERR_NONE);
	const struct control_tunnel *t = control_tunnel_find(l->node->c, &m.id);
	l->tunnels++;
	if (t == NULL || !t->configured || model_tunnel_encode(&t->m, &w) != ERR_NONE || !bytes_eq(wr_bytes(&w), row->value))
		check_fail(CHECK_CONFIG, "%s has tunnel %s otherwise than it is configured", l->node->name, m.name);
}

static void check_no_more(const struct process *node, unsigned tunnels)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&node->c->tunnels, &w); n != NULL; n = hmap_walk_next(&node->c->tunnels, &w))
		tunnels -= CONTAINER_OF(n, struct control_tunnel, by_id)->configured;
	if (tunnels != 0)
		check_fail(CHECK_CONFIG, "%s has a tunnel that is not configured", node->name);
}

static void check_key(const struct process *node, const struct process *site)
{
	struct control_tunnel *t = process_tunnel(node, process_site_number(site));
	struct secret present;
	char text[64];

	if (t == NULL)
		return;
	tunnel_key_text(site, site->stored.key, SPACE_OF(text));
	control_psk_open(node->c, t, &present);
	if (!bytes_eq(secret_bytes(&present), bytes_str(text)))
		check_fail(CHECK_CONFIG, "%s has another key of %s than is configured", node->name, site->name);
	secret_fini(&present);
}

/* A packet to behind that site goes there if it has the route, else to no tunnel. */
static void check_route(const struct process *node, const struct process *site, unsigned route)
{
	static const uint8_t head[16] = { 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 9, 9, 9 };
	const struct addr_prefix prefix = tunnel_route_prefix(site, route);
	const struct fwd_account *a = fwd_account_find(node->fwd, 1);
	bool wanted = (site->stored.routes >> route & 1) != 0;
	const struct model_id id = tunnel_id(site);
	uint8_t room[20];
	struct wr w = wr_of(SPACE_OF(room));
	struct wire_ip ip;

	wr_put(&w, BYTES_OF(head));
	wr_put(&w, addr_bytes(&prefix.addr));
	must(wire_ip_parse(wr_bytes(&w), &ip) == ERR_NONE);
	const struct fwd_hop hop = fwd_route_find(a, &ip);
	if ((hop.kind == FWD_HOP_TUNNEL) != wanted || (wanted && !model_id_eq(&hop.tunnel->id, &id)))
		check_fail(CHECK_CONFIG, "%s %s route %u to %s", node->name, wanted ? "does not have" : "still has", route, site->name);
}

static void check_left(void *arg, const struct store_row *row)
{
	const struct looking *l = arg;
	struct model_id tunnel = { 0 };
	struct model_child_sa child;
	struct ike_sa sa;
	uint64_t ike;
	uint32_t spi;

	if (model_key_ike_parse(row->key, &ike)) {
		must(control_open_sa(l->node->c, row, &sa) == ERR_NONE);
		tunnel = sa.tunnel_id;
		if (sa.state != IKE_STATE_CLOSED && site_of(&tunnel) == NULL)
			check_fail(CHECK_CONFIG, "IKE SA %016llx is left of a tunnel that was deleted", (unsigned long long)ike);
		secret_wipe(&sa, sizeof(sa));
	} else if (model_key_child_parse(row->key, &spi) && !bytes_eq(row->value, bytes_str(CONTROL_LARVAL))) {
		must(control_open_child(l->node->c, row, &child) == ERR_NONE);
		if (site_of(&child.tunnel_id) == NULL)
			check_fail(CHECK_CONFIG, "Child SA %08x is left of a tunnel that was deleted", spi);
		secret_wipe(&child, sizeof(child));
	}
}

void check_config_quiet(const struct process *node)
{
	struct looking l = { .node = node };

	world_store_each(node->ws, "cfg/tun/", check_tunnel, &l);
	check_no_more(node, l.tunnels);
	world_store_each(node->ws, MODEL_KEY_IKE, check_left, &l);
	world_store_each(node->ws, MODEL_KEY_CHILD, check_left, &l);
	for (unsigned k = all.gateways; k < all.cnt; k++) {
		const struct process *site = &all.p[k];
		if (site->site_kind != SITE_HONEST)
			continue;
		if (site->stored.there)
			check_key(node, site);
		for (unsigned i = 0; i < TUNNEL_ROUTES_MAX; i++)
			check_route(node, site, i);
	}
}
