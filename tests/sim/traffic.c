#include "traffic.h"

#include "fault.h"
#include "history.h"
#include "worker.h"
#include "world_ip.h"

#define PACKETS_MAX 65536
#define PAUSE_US 400000u
#define CALM_PAUSE_US 60000u
#define NUMBERS_US 1000000u /* control waits no longer for the numbers of a packet */

struct packet {
	bool calm, come, to_nodes;
	uint64_t handed_us; /* to be numbered elsewhere; 0: it was not */
};

static bool on, calm;
static uint64_t cnt;
static unsigned sent, lost;
static struct packet packets[PACKETS_MAX];

void traffic_begin(bool wanted)
{
	on = wanted;
	calm = false;
	cnt = sent = lost = 0;
	memset(packets, 0, sizeof(packets));
}

void traffic_calm(bool now)
{
	calm = now;
}

/* What goes through another node is lost with the mesh, and without the store a new SA has no numbers. */
static bool may_be_lost(const struct packet *p)
{
	bool gathered = p->to_nodes && world_ip_is_narrow();

	if (fault_has(FAULT_MESH))
		return gathered || p->handed_us != 0;
	return p->handed_us != 0 && world_store_was_away(all.ws, p->handed_us, p->handed_us + NUMBERS_US);
}

void traffic_count(void)
{
	for (uint64_t i = 0; i < cnt; i++) {
		packets[i].calm = packets[i].calm && !may_be_lost(&packets[i]);
		bool gone = packets[i].calm && !packets[i].come;
		sent += packets[i].calm;
		lost += gone;
		if (gone)
			history_add("packet %llu did not come", (unsigned long long)i);
		packets[i].calm = false;
	}
}

unsigned traffic_sent(void)
{
	return sent;
}

unsigned traffic_lost(void)
{
	return lost;
}

void traffic_send(struct process *p)
{
	if (!on || p->c == NULL || process_is_frozen(p) || world_now_us() < p->packets_us)
		return;
	p->packets_us = world_now_us() + world_random(calm ? CALM_PAUSE_US : PAUSE_US);
	(void)world_enter(&p->clock);
	unsigned tunnels = p->kind == PROCESS_SITE ? 1 : all.cnt - all.gateways;
	struct fwd_child *child = worker_sender(p, 1 + (unsigned)world_random(tunnels));
	if (child != NULL) {
		must(cnt < PACKETS_MAX);
		packets[cnt] = (struct packet){ .calm = calm && (p->kind == PROCESS_GATEWAY || process_is_wanted(p)),
						  .to_nodes = p->kind == PROCESS_SITE };
		worker_send(p, child, cnt++);
	}
	(void)world_enter(NULL);
}

/* ---- what becomes of it ---- */

void traffic_sealed(const struct process *p, const struct fwd_child *child, uint64_t packet)
{
	if (packets[packet].calm)
		history_add("%s sends packet %llu on %08x", p->name, (unsigned long long)packet, fwd_child_spi_in(child));
}

void traffic_handed_over(uint64_t packet)
{
	packets[packet].handed_us = world_now_us();
}

void traffic_came(const struct process *p, uint64_t packet)
{
	(void)p;
	must(packet < cnt);
	packets[packet].come = true;
}

void traffic_dropped(const struct process *p, uint64_t packet, enum model_drop why)
{
	history_add("%s drops packet %llu: %s", p->name, (unsigned long long)packet, model_drop_name(why));
}

void traffic_overtaken(const struct process *p, uint64_t packet)
{
	if (packets[packet].come)
		return;
	history_add("%s: packet %llu comes behind its window", p->name, (unsigned long long)packet);
	packets[packet].calm = false;
}

void traffic_disturbed(uint64_t packet)
{
	packets[packet].calm = false;
}
