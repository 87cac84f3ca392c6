#include "mutation.h"

#include "history.h"
#include "run.h"
#include "worker.h"
#include "world_ip.h"
#include "world_nat.h"

#define SECOND_US UINT64_C(1000000)
#define EVERY_SITE 0xff

enum check mutation_breaks(enum mutation m)
{
	static const enum check breaks[MUTATION_CNT] = {
#define MUTATION_BREAKS(check, name, text) [MUTATION_##name] = CHECK_##check,
		MUTATION_LIST(MUTATION_BREAKS)
	};
	return breaks[m];
}

const char *mutation_text(enum mutation m)
{
	static const char *const texts[MUTATION_CNT] = {
#define MUTATION_TEXT(check, name, text) [MUTATION_##name] = text,
		MUTATION_LIST(MUTATION_TEXT)
	};
	return texts[m];
}

/* What the check is about is there in any case. */
struct tunnel_settings mutation_settings(enum mutation m)
{
	struct tunnel_settings s = tunnel_usual;

	if (mutation_breaks(m) == CHECK_NUMBERS)
		s.sequenced = EVERY_SITE;
	if (mutation_breaks(m) == CHECK_LIMIT)
		s.rekey_packets = MODEL_REKEY_PACKETS_MIN;
	if (mutation_breaks(m) == CHECK_PLACE)
		s.roaming = EVERY_SITE;
	if (m == MUTATION_UNGATHERED || m == MUTATION_TWICE)
		s.way_mtu = 68;
	return s;
}

void mutation_early(enum mutation m)
{
	for (unsigned i = all.gateways; m == MUTATION_RIGHT_KEY && i < all.cnt; i++)
		if (all.p[i].site_kind == SITE_WRONG_KEY)
			all.p[i].file.key = all.p[i].stored.key;
	if (m == MUTATION_MUTE)
		run_mute = all.p[all.gateways].who;
}

/* Each node leaves its numbers to the others for a while. */
static void pass_around(void)
{
	for (unsigned i = 0; i < all.gateways; i++) {
		struct process *p = &all.p[i];
		(void)world_enter(&p->clock);
		control_node_drain(p->c, true);
		(void)world_enter(NULL);
		run_for(SECOND_US);
		(void)world_enter(&p->clock);
		control_node_drain(p->c, false);
		(void)world_enter(NULL);
	}
}

static bool numbers_some(const struct process *p)
{
	struct fwd_child_stats stats;
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&p->c->children, &w); n != NULL; n = hmap_walk_next(&p->c->children, &w)) {
		const struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		if (fwd_child_stats(p->fwd, child->spi_in, &stats) == ERR_NONE && stats.numbered)
			return true;
	}
	return false;
}

static void cut_mesh(const struct process *p)
{
	for (unsigned i = 0; i < all.gateways; i++)
		world_mesh_cut[p->who][i] = world_mesh_cut[i][p->who] = true;
}

static void make_deaf(void)
{
	struct process *p = &all.p[0];

	for (unsigned i = 0; i < all.gateways && !numbers_some(p); i++)
		p = &all.p[i];
	history_add("%s is made deaf", p->name);
	world_link_of(p->store)->hidden = MODEL_KEY_SEQUENCE;
	cut_mesh(p);
}

static void restart(struct process *p)
{
	process_kill(p);
	p->start_us = 0;
}

static void use_old_key(struct process *site)
{
	for (unsigned i = 0; i < all.gateways; i++)
		world_link_of(all.p[i].store)->hidden = "cfg/psk/";
	site->stored.key++;
	tunnel_store(site);
	site->stored.key_rev = world_store_rev(all.ws);
	run_for(6 * SECOND_US);
	restart(site);
	process_empty(site);
}

void mutation_late(enum mutation m)
{
	struct process *node = &all.p[1], *site = process_site(1);

	switch (m) {
	case MUTATION_INCARNATION:
		process_copied = &all.p[0];
		restart(node);
		break;
	case MUTATION_ROW_LOST:
		world_store_forget(all.ws, MODEL_KEY_CHILD);
		break;
	case MUTATION_ROW_HIDDEN:
		world_link_of(node->store)->hidden = MODEL_KEY_CHILD;
		break;
	case MUTATION_SITE_EMPTY:
		restart(site);
		process_empty(site);
		break;
	case MUTATION_SILENT:
		run_silent = site->who;
		break;
	case MUTATION_PACKETS:
		world_faults.loss = 100;
		break;
	case MUTATION_LAWLESS:
		worker_lawless = node;
		break;
	case MUTATION_BLOCK_LOST:
		world_store_forget(all.ws, MODEL_KEY_SEQUENCE);
		pass_around();
		break;
	case MUTATION_DEAF_HOLDER:
		make_deaf();
		break;
	case MUTATION_USE_UNTOLD:
		for (unsigned i = 0; i < all.gateways; i++)
			cut_mesh(&all.p[i]);
		break;
	case MUTATION_CONFIG_HIDDEN:
		world_link_of(node->store)->hidden = MODEL_KEY_CFG;
		site->stored.routes = 1;
		tunnel_store_route(site, 0);
		break;
	case MUTATION_KEY_HIDDEN:
		use_old_key(site);
		break;
	case MUTATION_NOWHERE:
		world_nat_hide(site->who);
		break;
	case MUTATION_LEFT_BEHIND:
		run_silent = site->who;
		world_nat_forget(site->who);
		break;
	case MUTATION_UNGATHERED:
		world_ip_deaf = true;
		break;
	case MUTATION_TWICE:
		world_ip_twice = true;
		break;
	case MUTATION_NONE:
	case MUTATION_RIGHT_KEY:
	case MUTATION_MUTE:
	case MUTATION_CNT:
		break;
	}
}
