#include "run.h"

#include "control/node.h"
#include "cover.h"
#include "history.h"
#include "traffic.h"
#include "world_ip.h"
#include "world_nat.h"

#define STEP_US 1000u
#define ROUTE_US 500000u
#define CHECK_US 100000u
#define EXCHANGE_AUTH 35

unsigned run_silent, run_mute;
static bool routed[WORLD_PROCESSES_MAX];
static uint64_t route_us, check_us;

void run_begin(void)
{
	run_silent = run_mute = WORLD_PROCESSES_MAX;
	route_us = check_us = 0;
	memset(routed, 0, sizeof(routed));
}

/* As a BGP speaker asks: nodes that are dead or frozen do not answer. Where none is ready nobody withdraws. */
void run_route(void)
{
	bool any = false;

	for (unsigned i = 0; i < all.gateways; i++) {
		const struct process *p = &all.p[i];
		(void)world_enter(&p->clock);
		routed[i] = p->c != NULL && !process_is_frozen(p) &&
			    cluster_ready(&p->c->members, control_node_fresh(p->c), p->c->now_us);
		(void)world_enter(NULL);
		any = any || routed[i];
		if (p->c != NULL && !process_is_frozen(p) && !routed[i])
			cover_add(COVER_withdrawn);
	}
	for (unsigned i = 0; !any && i < all.gateways; i++)
		routed[i] = all.p[i].c != NULL;
}

/* Any of the nodes that the router knows of. */
static struct process *spray(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < all.gateways; i++)
		cnt += routed[i];
	uint64_t which = world_random(cnt);
	for (unsigned i = 0; i < all.gateways; i++)
		if (routed[i] && which-- == 0)
			return &all.p[i];
	return NULL;
}

static struct process *find_site(struct world_datagram *d)
{
	unsigned who = world_nat_in(&d->to, &d->to);
	return who < WORLD_PROCESSES_MAX ? &all.p[who] : NULL;
}

static void arrive(struct process *to, const struct world_datagram *d)
{
	if (!d->esp && d->len >= 28)
		history_add("%s -> %s: exchange %u, %s %u%s", all.p[d->from].name, to->name, d->b[18],
			    (d->b[19] & 0x20) != 0 ? "response" : "request", (unsigned)(d->b[22] << 8 | d->b[23]),
			    to->c == NULL ? ", which is dead" : process_is_frozen(to) ? ", which is frozen" : "");
	if (!d->esp && d->len >= 28 && d->b[18] == EXCHANGE_AUTH && all.p[d->from].kind == PROCESS_SITE &&
	    all.p[d->from].running.key + 1 == all.p[d->from].stored.key && to->kind == PROCESS_GATEWAY)
		cover_add(COVER_old_key);
	if (to->c != NULL)
		process_deliver(to, d);
}

static void deliver(struct world_datagram *d)
{
	struct process *to = addr_eq(&all.p[0].addr, &d->to.addr) ? spray() : find_site(d);

	history_mix(d->from, d->len);
	if (to == NULL || to->who == run_silent || d->from == run_silent || (d->esp && d->from == run_mute))
		return;
	if (d->cut)
		world_ip_come(to->who, d);
	else
		arrive(to, d);
}

/* By the same hash the same node, at each of them: else pieces of one datagram may meet nowhere. */
static bool nodes_agree(void)
{
	const struct process *first = NULL;

	for (unsigned i = 0; i < all.gateways; i++) {
		const struct process *p = &all.p[i];
		if (p->c == NULL || process_is_frozen(p))
			continue;
		first = first == NULL ? p : first;
		if (memcmp(p->c->members.owner, first->c->members.owner, sizeof(p->c->members.owner)) != 0)
			return false;
	}
	return true;
}

static void take_wholes(void)
{
	const struct world_datagram *d;
	unsigned who;

	while (world_ip_whole(&who, &d))
		arrive(&all.p[who], d);
	if (world_ip_is_narrow() && !nodes_agree())
		world_ip_disturb(traffic_disturbed);
}

void run_step(void)
{
	struct world_datagram d;

	world_advance(STEP_US);
	if (world_now_us() >= route_us) {
		route_us = world_now_us() + ROUTE_US;
		run_route();
	}
	while (world_take(&d))
		deliver(&d);
	take_wholes();
	for (unsigned i = 0; i < all.cnt; i++) {
		struct process *p = &all.p[i];
		if (p->c == NULL && p->start_us <= world_now_us() && !process_start(p))
			p->start_us = world_now_us() + 500000 + world_random(500000);
		process_turn(p);
		traffic_send(p);
	}
	if (world_now_us() < check_us)
		return;
	check_us = world_now_us() + CHECK_US;
	check_always();
}

void run_for(uint64_t us)
{
	for (uint64_t end = world_now_us() + us; world_now_us() < end;)
		run_step();
}

void run_up(uint64_t us)
{
	for (uint64_t end = world_now_us() + us; world_now_us() < end && !check_all_up();)
		run_step();
	run_for(1000000);
	if (!check_all_up())
		check_fail(CHECK_UP, "the tunnels do not come up");
}
