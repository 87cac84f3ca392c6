// One gateway alone, and its sites: the tunnels come up, then for a while processes die without farewell and start again, datagrams are
// lost, repeated and overtake each other, and SAs are rekeyed at random; then quiet, after which everything must agree.
#include "history.h"
#include "keys.h"
#include "run.h"
#include "traffic.h"

#define SITES_MAX 3
#define SECOND_US UINT64_C(1000000)
#define UP_US (30 * SECOND_US)
#define FAULTS_US (40 * SECOND_US)
#define DEAD_US SECOND_US /* much less than the time after which the other end gives up */
#define QUIET_US (60 * SECOND_US)

static const struct world_faults quiet = { .net_us = 20000, .store_us = 10000, .dh_us = 10000 };

static void befall(unsigned sites)
{
	struct process *p = &all.p[world_random(sites + 1)];
	bool ike = world_random(4) == 0;

	if (p->c == NULL)
		return;
	if (world_link_of(p->store)->remote && world_random(4) == 0) {
		world_link_of(p->store)->quiet_us = world_now_us() + world_random(2 * SECOND_US);
		world_link_of(p->store)->lose = world_random(2) == 0;
		history_add("the watch of %s stands still", p->name);
	} else if (world_random(3) == 0) {
		process_kill(p);
		p->start_us = world_now_us() + world_random(DEAD_US);
	} else {
		unsigned tunnel = 1 + (unsigned)world_random(sites);
		(void)world_enter(&p->clock);
		enum err e = control_tunnel_rekey(p->c, process_tunnel(p, tunnel), ike);
		(void)world_enter(NULL);
		history_add("%s rekeys %s: %s", p->name, ike ? "the IKE SA" : "Child SAs", err_text(e));
	}
}

void run_single(uint64_t seed)
{
	world_begin(seed);
	check_begin();
	run_begin();
	unsigned sites = 1 + (unsigned)world_random(SITES_MAX);
	world_faults = quiet;
	traffic_begin(false);
	keys_begin();
	processes_init(1, false, sites, false, &tunnel_usual);
	bool etcd = world_choose("etcd", 2) == 0;
	if (etcd)
		process_over_etcd(&all.p[0]);
	check_follow();
	run_up(UP_US);
	unsigned inits = process_inits();
	bool lossy = world_random(2) == 0;
	world_faults.loss = lossy ? (unsigned)world_random(200) : 0;
	world_faults.repeat = (unsigned)world_random(100);
	world_faults.net_us = (unsigned)world_random(100000);
	world_faults.store_us = (unsigned)world_random(100000);
	world_faults.unknown = etcd ? (unsigned)world_random(150) : 0;
	for (uint64_t end = world_now_us() + FAULTS_US; world_now_us() < end;) {
		run_step();
		if (world_random(1000) == 0)
			befall(sites);
	}
	world_faults = quiet;
	history_add("quiet");
	run_for(QUIET_US);
	check_quiet(run_for);
	/* Of many that are lost all six of one request may be, and the SA ends as it should. */
	if (!lossy && process_inits() != inits)
		check_fail(CHECK_ANEW, "an IKE SA was set up anew");
	processes_fini();
}
