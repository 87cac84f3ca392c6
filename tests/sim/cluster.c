// Nodes of one cluster, and their sites.
#include "fault.h"
#include "history.h"
#include "run.h"
#include "traffic.h"

#define SITES_MAX 3
#define SECOND_US UINT64_C(1000000)
#define UP_US (30 * SECOND_US)
#define CALM_US (8 * SECOND_US)
#define FAULTS_US (40 * SECOND_US)
#define QUIET_US (60 * SECOND_US)

static const struct world_faults quiet = { .net_us = 20000, .store_us = 5000, .dh_us = 10000, .mesh_us = 2000, .watch_us = 10000 };

enum check run_breaks(enum mutation m)
{
	static const enum check breaks[MUTATION_CNT] = {
		[MUTATION_INCARNATION] = CHECK_IV, [MUTATION_ROW_LOST] = CHECK_ANSWERED, [MUTATION_ROW_HIDDEN] = CHECK_STORE,
		[MUTATION_SITE_EMPTY] = CHECK_ANEW, [MUTATION_RIGHT_KEY] = CHECK_AUTH, [MUTATION_SILENT] = CHECK_UP,
		[MUTATION_PACKETS] = CHECK_PACKETS,
	};
	return breaks[m];
}

const char *run_mutation_text(enum mutation m)
{
	static const char *const text[MUTATION_CNT] = {
		[MUTATION_INCARNATION] = "two nodes have the same incarnation",
		[MUTATION_ROW_LOST] = "Child SAs are answered and not written",
		[MUTATION_ROW_HIDDEN] = "a node does not hear of Child SAs",
		[MUTATION_SITE_EMPTY] = "a site starts without what it had",
		[MUTATION_RIGHT_KEY] = "a stranger has the right key",
		[MUTATION_SILENT] = "a site is cut off",
		[MUTATION_PACKETS] = "packets are lost in a calm time",
	};
	return text[m];
}

/* Before the tunnels are there. */
static void break_early(enum mutation m)
{
	for (unsigned i = 0; m == MUTATION_RIGHT_KEY && i < all.cnt; i++)
		if (all.p[i].kind == PROCESS_SITE && all.p[i].site_kind == SITE_WRONG_KEY)
			process_give_key(&all.p[i]);
}

static void break_late(enum mutation m)
{
	struct process *node = &all.p[1], *site = &all.p[all.gateways];

	switch (m) {
	case MUTATION_INCARNATION:
		process_copied = &all.p[0];
		process_kill(node);
		node->start_us = 0;
		break;
	case MUTATION_ROW_LOST:
		world_store_forget(all.ws, MODEL_KEY_CHILD);
		break;
	case MUTATION_ROW_HIDDEN:
		world_link_of(node->store)->hidden = MODEL_KEY_CHILD;
		break;
	case MUTATION_SITE_EMPTY:
		process_kill(site);
		process_empty(site);
		site->start_us = 0;
		break;
	case MUTATION_SILENT:
		run_silent = site->who;
		break;
	case MUTATION_PACKETS:
		world_faults.loss = 100;
		break;
	case MUTATION_NONE:
	case MUTATION_RIGHT_KEY:
	case MUTATION_CNT:
		break;
	}
}

/* Lifetimes end in the middle of things, messages go in fragments, and each first message comes twice. */
static struct process_settings choose_settings(enum mutation m)
{
	struct process_settings s = process_usual;

	if (m != MUTATION_NONE)
		return s;
	if (world_random(4) == 0) {
		s.ike_lifetime_s = 60 + (uint32_t)world_random(100);
		s.child_lifetime_s = 30 + (uint32_t)world_random(60);
	}
	if (world_random(4) == 0)
		s.fragment_mtu = 300;
	s.cookies = world_random(4) == 0;
	history_add("lifetimes of %u s and %u s, fragments of %u bytes%s", s.ike_lifetime_s, s.child_lifetime_s, s.fragment_mtu,
		    s.cookies ? ", cookies" : "");
	return s;
}

/* The network is only slow, all live: SAs are rekeyed, and no packet is lost. */
static void pass_calm(unsigned honest, enum mutation m)
{
	traffic_calm(true);
	fault_begin(m == MUTATION_NONE ? FAULTS_HARMLESS : FAULTS_NONE);
	if (m == MUTATION_NONE && world_random(3) == 0) {
		world_faults.net_us = (unsigned)world_random(60000);
		world_faults.mesh_us = (unsigned)world_random(30000);
		world_faults.watch_us = (unsigned)world_random(250000);
	}
	for (uint64_t end = world_now_us() + CALM_US; world_now_us() < end;) {
		run_step();
		fault_step(honest);
	}
	traffic_calm(false);
	fault_end();
	run_for(SECOND_US);
	world_faults = quiet;
	traffic_count();
	history_add("%u of %u packets are lost", traffic_lost(), traffic_sent());
	if (traffic_lost() != 0)
		check_fail(CHECK_PACKETS, "%u of %u packets are lost", traffic_lost(), traffic_sent());
}

/* What each node has installed is what the site has. */
static void pass_packets(void)
{
	traffic_calm(true);
	run_for(3 * SECOND_US);
	traffic_calm(false);
	run_for(SECOND_US);
	traffic_count();
	if (traffic_lost() != 0)
		check_fail(CHECK_PACKETS, "%u of %u packets are lost after all", traffic_lost(), traffic_sent());
}

static void pass_faults(unsigned honest)
{
	fault_begin(FAULTS_ANY);
	for (uint64_t end = world_now_us() + FAULTS_US; world_now_us() < end;) {
		run_step();
		fault_step(honest);
	}
	fault_end();
	world_faults = quiet;
}

void run_cluster(uint64_t seed, enum mutation m)
{
	world_begin(seed);
	check_begin();
	run_begin();
	unsigned nodes = 3 + (unsigned)world_random(3), honest = 1 + (unsigned)world_random(SITES_MAX);
	world_faults = quiet;
	traffic_begin(true);
	const struct process_settings settings = choose_settings(m);
	processes_init(nodes, true, honest, true, &settings);
	check_follow();
	break_early(m);
	run_up(UP_US);
	unsigned inits = process_inits();
	break_late(m);
	pass_calm(honest, m);
	if (m == MUTATION_NONE)
		pass_faults(honest);
	history_add("quiet");
	run_for(m == MUTATION_NONE || m == MUTATION_SILENT ? QUIET_US : SECOND_US);
	check_quiet(run_for);
	if (check_all_failures() == 0)
		pass_packets();
	/* Of many that are lost all six of one request may be, and the SA ends as it should. */
	if (!fault_has(FAULT_LOSS) && !fault_has(FAULT_AMNESIA) && !fault_has(FAULT_CLOSE) && process_inits() != inits)
		check_fail(CHECK_ANEW, "an IKE SA was set up anew");
	for (unsigned i = 0; check_all_failures() != 0 && i < all.cnt; i++)
		process_tell_drops(&all.p[i]);
	processes_fini();
}
