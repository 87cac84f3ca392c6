// Nodes of one cluster, and their sites.
#include <stdio.h>

#include "fault.h"
#include "history.h"
#include "keys.h"
#include "run.h"
#include "traffic.h"
#include "world_ip.h"

#define SITES_MAX 3
#define SECOND_US UINT64_C(1000000)
#define UP_US (30 * SECOND_US)
#define CALM_US (8 * SECOND_US)
#define FAULTS_US (40 * SECOND_US)
#define QUIET_US (60 * SECOND_US)

static const struct world_faults quiet = { .net_us = 20000, .store_us = 5000, .dh_us = 10000, .mesh_us = 2000, .watch_us = 10000 };

static unsigned some_sites(const char *what, unsigned one_in)
{
	unsigned set = 0;

	for (unsigned i = 0; i < SITES_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%s %u", what, i);
		set |= world_choose(name, one_in) == 0 ? 1u << i : 0;
	}
	return set;
}

/* Lifetimes end in the middle of things, messages go in fragments, and each first message comes twice. */
static struct tunnel_settings choose_settings(void)
{
	static const unsigned ways[] = { 44, 68, 128, 300 }; /* the first two: ESP goes in fragments as well, three or two */
	struct tunnel_settings s = tunnel_usual;

	if (world_choose("lifetimes", 4) == 0) {
		s.ike_lifetime_s = 60 + (uint32_t)world_choose("IKE lifetime", 100);
		s.child_lifetime_s = 30 + (uint32_t)world_choose("child lifetime", 60);
	}
	if (world_choose("fragments", 4) == 0)
		s.fragment_mtu = 300;
	if (world_choose("narrow", 3) == 0)
		s.way_mtu = ways[world_choose("way", ARRAY_LEN(ways))];
	s.cookies = world_choose("cookies", 4) == 0;
	s.mobike = world_choose("mobike", 3) != 0;
	s.rekey_packets = world_choose("rekey packets", 4) == 0 ? 100 : 0;
	s.sequenced = some_sites("sequenced", 2);
	s.extended = s.sequenced & some_sites("extended", 2);
	s.ports = some_sites("ports", 4);
	s.roaming = some_sites("roaming", 4);
	history_add("lifetimes of %u s and %u s, fragments of %u bytes, a way of %u%s%s, sequenced %x, extended %x, NATs %x and %x, packets %llu", s.ike_lifetime_s,
		    s.child_lifetime_s, s.fragment_mtu, s.way_mtu, s.cookies ? ", cookies" : "", s.mobike ? ", MOBIKE" : "", s.sequenced, s.extended, s.ports,
		    s.roaming, (unsigned long long)s.rekey_packets);
	return s;
}

/* The network is only slow, all live: SAs are rekeyed, and no packet is lost. */
static void pass_calm(unsigned honest, enum mutation m)
{
	traffic_calm(true);
	fault_begin(m == MUTATION_NONE ? FAULTS_HARMLESS : FAULTS_NONE);
	if (m == MUTATION_NONE && world_choose("slow calm", 3) == 0) {
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

/* Of many messages that are lost, or transactions, all six tries of one request may be, and the SA ends as it should. */
static bool may_start_anew(void)
{
	return fault_has(FAULT_LOSS) || fault_flaps() || fault_has(FAULT_AMNESIA) || fault_has(FAULT_CLOSE) || fault_has(FAULT_ADMIN) ||
	       (fault_has(FAULT_UNKNOWN) && fault_has(FAULT_ELECTION));
}

void run_cluster(uint64_t seed, enum mutation m)
{
	world_begin(seed);
	check_begin();
	run_begin();
	unsigned nodes = 3 + (unsigned)world_choose("nodes", 3), honest = 1 + (unsigned)world_choose("sites", SITES_MAX);
	world_faults = quiet;
	traffic_begin(true);
	keys_begin();
	const struct tunnel_settings settings = m == MUTATION_NONE ? choose_settings() : mutation_settings(m);
	processes_init(nodes, true, honest, true, &settings);
	world_ip_narrow(settings.way_mtu, &all.p[0].addr);
	check_follow();
	mutation_early(m);
	run_up(UP_US);
	unsigned inits = process_inits();
	mutation_late(m);
	pass_calm(honest, m);
	if (m == MUTATION_NONE)
		pass_faults(honest);
	history_add("quiet");
	run_for(m == MUTATION_NONE || m == MUTATION_SILENT || m == MUTATION_MUTE ? QUIET_US : SECOND_US);
	check_quiet(run_for);
	if (check_all_failures() == 0)
		pass_packets();
	if (!may_start_anew() && process_inits() != inits)
		check_fail(CHECK_ANEW, "an IKE SA was set up anew");
	for (unsigned i = 0; check_all_failures() != 0 && i < all.cnt; i++)
		process_tell_drops(&all.p[i]);
	processes_fini();
}
