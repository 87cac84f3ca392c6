#include "admin.h"

#include "cover.h"
#include "history.h"
#include "world_nat.h"

#define SECOND_US UINT64_C(1000000)
#define LATE_US (6 * SECOND_US) /* a site is told of a change so late */

enum change { CHANGE_THERE, CHANGE_KEY, CHANGE_ADDRESS, CHANGE_NAME, CHANGE_PROTECTION, CHANGE_ROUTE, CHANGE_CNT };

/* Its file is as the gateways have it, with the next start. */
static void tell_site(struct process *site)
{
	bool old = site->running.key != site->stored.key || site->running.generation != site->stored.generation ||
		   site->running.named != site->stored.named;

	site->file = site->stored;
	if (site->c == NULL || !old)
		return;
	history_add("%s is told what is configured", site->name);
	process_kill(site);
	site->start_us = world_now_us() + world_random(SECOND_US);
}

static void store(struct process *site, const char *what, enum cover cover)
{
	tunnel_store(site);
	cover_add(cover);
	history_add("revision %llu: the tunnel of %s %s", (unsigned long long)world_store_rev(all.ws), site->name, what);
	site->told_us = world_now_us() + world_random(LATE_US);
}

static void set_routes(struct process *site, unsigned routes)
{
	unsigned changed = site->stored.routes ^ routes;

	site->stored.routes = routes;
	for (unsigned i = 0; i < TUNNEL_ROUTES_MAX; i++)
		if ((changed >> i & 1) != 0)
			tunnel_store_route(site, i);
}

static void delete_tunnel(struct process *site)
{
	set_routes(site, 0);
	site->stored.there = false;
	store(site, "is deleted", COVER_deleted);
}

static void create_tunnel(struct process *site)
{
	site->stored.there = true;
	site->stored.generation++;
	site->stored.key++;
	site->stored.named = true; /* its id says which one is meant */
	store(site, "is created", COVER_created);
	site->stored.key_rev = world_store_rev(all.ws);
}

static void change_key(struct process *site)
{
	site->stored.key++;
	store(site, "has another key", COVER_new_key);
	site->stored.key_rev = world_store_rev(all.ws);
	if (site->c == NULL || world_random(2) == 0)
		return;
	history_add("%s is replaced", site->name); /* by one that has to set its tunnel up, and has the old key */
	process_kill(site);
	process_empty(site);
	site->start_us = world_now_us() + world_random(SECOND_US);
}

static void change_address(struct process *site)
{
	if (world_nat_is(site->who))
		return;
	site->addr.b[3] = (uint8_t)(site->addr.b[3] < 100 ? site->addr.b[3] + 100 : site->addr.b[3] - 100);
	if (site->c != NULL)
		process_kill(site);
	site->start_us = world_now_us() + world_random(SECOND_US);
	world_nat_put(site->who, WORLD_NAT_NONE, &site->addr);
	store(site, "has another endpoint", COVER_readdressed);
}

static void change_name(struct process *site)
{
	if (world_nat_is(site->who) || site->stored.generation != 0)
		return;
	site->stored.named = !site->stored.named;
	site->told_us = world_now_us();
	cover_add(COVER_renamed);
}

static void switch_protection(struct process *site)
{
	if ((all.settings.extended >> (process_site_number(site) - 1) & 1) != 0)
		return;
	site->stored.sequenced = !site->stored.sequenced;
	store(site, site->stored.sequenced ? "has replay_protection" : "has no replay_protection", COVER_protected);
}

void admin_change(struct process *site)
{
	if (world_store_is_away(all.ws))
		return;
	if (!site->stored.there) {
		create_tunnel(site);
		return;
	}
	switch ((enum change)world_random(CHANGE_CNT)) {
	case CHANGE_THERE:
		delete_tunnel(site);
		break;
	case CHANGE_KEY:
		change_key(site);
		break;
	case CHANGE_ADDRESS:
		change_address(site);
		break;
	case CHANGE_NAME:
		change_name(site);
		break;
	case CHANGE_PROTECTION:
		switch_protection(site);
		break;
	case CHANGE_ROUTE:
		cover_add(COVER_routed);
		set_routes(site, site->stored.routes ^ 1u << world_random(TUNNEL_ROUTES_MAX));
		break;
	case CHANGE_CNT:
		break;
	}
}

void admin_step(unsigned honest)
{
	for (unsigned i = 1; i <= honest; i++) {
		struct process *site = process_site(i);
		if (site->told_us == 0 || world_now_us() < site->told_us)
			continue;
		site->told_us = 0;
		tell_site(site);
	}
}

void admin_end(void)
{
	for (unsigned i = all.gateways; i < all.cnt; i++) {
		struct process *site = &all.p[i];
		if (site->told_us == 0)
			continue;
		site->told_us = 0;
		tell_site(site);
	}
}
