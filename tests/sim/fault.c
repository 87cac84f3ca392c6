#include "fault.h"

#include "admin.h"
#include "control/gather.h"
#include "cover.h"
#include "history.h"
#include "world_ip.h"
#include "world_nat.h"

#define SECOND_US UINT64_C(1000000)
#define SITE_DEAD_US SECOND_US /* much less than the time after which the other end gives up */
#define NODE_DEAD_US (8 * SECOND_US)
#define CROSS_US (3 * SECOND_US)  /* after a cut it has heard of the others again */
#define STRANGE_US 300000u     /* well below CLUSTER_DEAD_US */
#define ONE_IN 500             /* steps */
#define CLOCK_OFF_US INT64_C(20000000) /* with one that is far off a node does not start */

static bool has[FAULT_CNT];
static unsigned cut_from[WORLD_PROCESSES_MAX]; /* from one node alone; itself: from all */
static uint64_t cross_us[WORLD_PROCESSES_MAX];
static uint64_t missing_us[WORLD_PROCESSES_MAX]; /* since when it does not know of a process; 0: it knows all */
static uint64_t until_us[FAULT_CNT][WORLD_PROCESSES_MAX]; /* of what ends by itself; 0: it is not */

const char *fault_text(enum fault_kind k)
{
	static const char *const text[FAULT_CNT] = { "crash", "freeze", "mesh", "store", "both", "election", "watch", "unknown",
						     "clock", "drain", "loss", "repeat", "slow", "amnesia", "close", "storm", "replay", "all", "admin", "nat" };
	return text[k];
}

bool fault_has(enum fault_kind k)
{
	return has[k];
}

bool fault_flaps(void)
{
	return has[FAULT_NAT] && world_choose("NAT flaps", 2) == 0;
}

static void choose(enum fault_choice choice)
{
	static const enum fault_kind harmless_kinds[] = { FAULT_DRAIN, FAULT_ELECTION, FAULT_WATCH, FAULT_MESH, FAULT_UNKNOWN,
							  FAULT_REPEAT, FAULT_CLOCK };

	for (unsigned k = 0; k < FAULT_CNT; k++)
		has[k] = choice == FAULTS_ANY && world_choose(fault_text(k), k == FAULT_LOSS ? 4 : 3) == 0;
	uint64_t one = choice == FAULTS_HARMLESS ? world_choose("harmless", 2 * ARRAY_LEN(harmless_kinds)) : UINT64_MAX;
	if (one < ARRAY_LEN(harmless_kinds))
		has[harmless_kinds[one]] = true;
	for (unsigned k = 0; k < FAULT_CNT; k++)
		if (has[k])
			history_add("faults: %s", fault_text(k));
}

void fault_begin(enum fault_choice choice)
{
	memset(until_us, 0, sizeof(until_us));
	memset(cross_us, 0, sizeof(cross_us));
	memset(missing_us, 0, sizeof(missing_us));
	choose(choice);
	if (has[FAULT_LOSS]) {
		world_faults.loss = (unsigned)world_random(200);
		world_faults.mesh_loss = (unsigned)world_random(300);
	}
	if (has[FAULT_REPEAT]) {
		world_faults.repeat = (unsigned)world_random(200);
		world_faults.mesh_repeat = (unsigned)world_random(200);
	}
	if (has[FAULT_SLOW]) {
		world_faults.net_us = (unsigned)world_random(100000);
		world_faults.store_us = (unsigned)world_random(100000);
		world_faults.watch_us = (unsigned)world_random(400000);
		world_faults.mesh_us = (unsigned)world_random(50000);
	}
	world_faults.replay = has[FAULT_REPLAY] ? 20 : 0;
	if (has[FAULT_UNKNOWN])
		world_faults.unknown = (unsigned)world_random(150);
}

static bool is_stranger(const struct process *to, const struct process *p)
{
	return p != to && p->c != NULL && cluster_member_of(&to->c->members, p->incarnation) == NULL;
}

/* A process that has started while the watch of this node stands still, or is slow, is a stranger to it: what that one says in the mesh is
 * not heard, and it is told nothing, so that it soon believes this node dead. */
static bool misses_one(const struct process *p)
{
	uint64_t *since_us = &missing_us[p->who];
	bool any = false;

	for (unsigned i = 0; p->c != NULL && i < all.gateways; i++)
		any = any || is_stranger(p, &all.p[i]);
	if (!any)
		*since_us = 0;
	else if (*since_us == 0)
		*since_us = world_now_us();
	return any && (world_link_of(p->store)->quiet_us > world_now_us() || world_now_us() - *since_us > STRANGE_US);
}

static void note_cuts(void)
{
	uint64_t until = world_now_us() + CROSS_US;

	for (unsigned i = 0; i < all.gateways; i++) {
		if (world_faults.mesh_loss != 0 || until_us[FAULT_MESH][i] != 0 || until_us[FAULT_STORE][i] != 0 ||
		    misses_one(&all.p[i]))
			cross_us[i] = until;
		if (until_us[FAULT_MESH][i] != 0 && cut_from[i] != i)
			cross_us[cut_from[i]] = until;
	}
}

bool fault_crosses(const struct process *p)
{
	return world_now_us() < cross_us[p->who];
}

static uint64_t between(uint64_t least_us, uint64_t most_us)
{
	return least_us + world_random(most_us - least_us);
}

static struct process *some_node(void)
{
	return &all.p[world_random(all.gateways)];
}

/* One node is always as it should be: what happens when none is has its end in the time after which a peer gives up. */
static bool is_well(const struct process *p)
{
	return p->c != NULL && !process_is_frozen(p) && until_us[FAULT_MESH][p->who] == 0 && until_us[FAULT_STORE][p->who] == 0 &&
	       world_link_of(p->store)->quiet_us <= world_now_us();
}

static bool may_ail(const struct process *p)
{
	unsigned well = 0;

	for (unsigned i = 0; i < all.gateways; i++)
		well += &all.p[i] != p && is_well(&all.p[i]);
	return p->kind == PROCESS_SITE || well != 0;
}

/* ---- cuts ---- */

static void set_mesh(unsigned who, bool out, bool in)
{
	for (unsigned i = 0; i < all.gateways; i++) {
		world_mesh_cut[who][i] = out;
		world_mesh_cut[i][who] = in;
	}
}

static void cut_mesh(unsigned who)
{
	unsigned other = (unsigned)world_random(all.gateways), which = (unsigned)world_random(4);

	cut_from[who] = which == 3 ? other : who;
	if (which == 3)
		world_mesh_cut[who][other] = true;
	else
		set_mesh(who, which != 1, which != 0);
	cover_add(COVER_mesh);
	history_add("%s is cut off from the mesh: %s", all.p[who].name,
		    which == 0 ? "out" : which == 1 ? "in" : which == 2 ? "both ways" : all.p[other].name);
}

static void begin_cut(enum fault_kind k)
{
	struct process *p = some_node();
	uint64_t us = between(SECOND_US / 2, 10 * SECOND_US);

	if (!may_ail(p) || until_us[FAULT_MESH][p->who] != 0 || until_us[FAULT_STORE][p->who] != 0)
		return;
	if (k != FAULT_STORE) {
		cut_mesh(p->who);
		until_us[FAULT_MESH][p->who] = world_now_us() + us;
	}
	if (k != FAULT_MESH) {
		cover_add(COVER_store);
		history_add("%s is cut off from the store", p->name);
		world_link_of(p->store)->cut = true;
		until_us[FAULT_STORE][p->who] = world_now_us() + us;
	}
}

static void end_cuts(bool every)
{
	for (unsigned i = 0; i < all.gateways; i++) {
		if (until_us[FAULT_MESH][i] != 0 && (every || until_us[FAULT_MESH][i] <= world_now_us())) {
			history_add("%s is in the mesh again", all.p[i].name);
			set_mesh(i, false, false);
			until_us[FAULT_MESH][i] = 0;
		}
		if (until_us[FAULT_STORE][i] != 0 && (every || until_us[FAULT_STORE][i] <= world_now_us())) {
			history_add("%s has its store again", all.p[i].name);
			world_link_of(all.p[i].store)->cut = false;
			until_us[FAULT_STORE][i] = 0;
		}
	}
}

/* ---- one process ---- */

static void crash(unsigned honest)
{
	struct process *p = &all.p[world_random(all.gateways + honest)];

	if (p->c == NULL || !may_ail(p))
		return;
	process_kill(p);
	cover_add(COVER_crash);
	p->start_us = world_now_us() + world_random(p->kind == PROCESS_SITE ? SITE_DEAD_US : NODE_DEAD_US);
}

static void freeze(void)
{
	struct process *p = some_node();

	if (p->c == NULL || process_is_frozen(p) || !may_ail(p))
		return;
	p->frozen_us = world_now_us() + between(SECOND_US / 5, 20 * SECOND_US);
	world_link_of(p->store)->frozen = true;
	cover_add(COVER_freeze);
	history_add("%s stands still until %.3f", p->name, (double)p->frozen_us / 1e6);
}

static void thaw(bool every)
{
	for (unsigned i = 0; i < all.gateways; i++) {
		struct process *p = &all.p[i];
		if (p->frozen_us == 0 || (!every && process_is_frozen(p)))
			continue;
		history_add("%s goes on", p->name);
		p->frozen_us = 0;
		p->poked = true;
		world_link_of(p->store)->frozen = false;
	}
}

static void break_watch(void)
{
	struct process *p = some_node();
	struct world_link *l = world_link_of(p->store);

	if (!may_ail(p))
		return;
	l->quiet_us = world_now_us() + between(SECOND_US / 5, 5 * SECOND_US);
	l->lose = world_random(2) == 0;
	cover_add(COVER_watch);
	history_add("the watch of %s stands still until %.3f", p->name, (double)l->quiet_us / 1e6);
}

static void set_clock(void)
{
	struct process *p = some_node();
	int64_t us = (int64_t)world_random(20 * SECOND_US) - (int64_t)(10 * SECOND_US);

	if (p->clock.wall_us + us > CLOCK_OFF_US || p->clock.wall_us + us < -CLOCK_OFF_US)
		return;
	p->clock.wall_us += us;
	cover_add(COVER_clock);
	history_add("the clock of %s is set by %.3f s", p->name, (double)us / 1e6);
}

static void drain(struct process *p, bool draining)
{
	if (p->c == NULL || process_is_frozen(p) || p->c->members.draining == draining)
		return;
	(void)world_enter(&p->clock);
	control_node_drain(p->c, draining);
	(void)world_enter(NULL);
	if (draining)
		cover_add(COVER_drain);
	history_add("%s %s", p->name, draining ? "drains" : "is up again");
}

static struct process *some_site(unsigned honest)
{
	return &all.p[all.gateways + world_random(honest)];
}

static void forget(unsigned honest)
{
	struct process *p = some_site(honest);

	if (p->c == NULL)
		return;
	process_kill(p);
	process_empty(p);
	cover_add(COVER_amnesia);
	history_add("%s has lost what it had stored", p->name);
	p->start_us = world_now_us() + world_random(SITE_DEAD_US);
}

static void close_sa(unsigned honest)
{
	struct process *p = &all.p[world_random(all.gateways + honest)];
	unsigned site = 1 + (unsigned)world_random(honest);
	const struct control_tunnel *t = p->c == NULL || process_is_frozen(p) ? NULL : process_tunnel(p, site);

	if (t == NULL || t->sas == NULL || t->sas->r.state != IKE_STATE_ESTABLISHED)
		return;
	cover_add(COVER_closed);
	history_add("%s closes IKE SA %016llx", p->name, (unsigned long long)t->sas->r.spi);
	(void)world_enter(&p->clock);
	control_sa_close(p->c, t->sas, MODEL_FAILURE_REPLACED);
	(void)world_enter(NULL);
}

static void kill_all(void)
{
	for (unsigned i = 0; i < all.gateways; i++) {
		if (all.p[i].c == NULL)
			continue;
		process_kill(&all.p[i]);
		all.p[i].start_us = world_now_us() + world_random(2 * SECOND_US);
	}
}

static void rekey(unsigned honest)
{
	struct process *p = &all.p[world_random(all.gateways + honest)];
	unsigned site = 1 + (unsigned)world_random(honest);
	bool ike = world_random(4) == 0;

	if (p->c == NULL || process_is_frozen(p) || process_tunnel(p, site) == NULL)
		return;
	(void)world_enter(&p->clock);
	enum err e = control_tunnel_rekey(p->c, process_tunnel(p, site), ike);
	(void)world_enter(NULL);
	cover_add(COVER_rekey);
	history_add("%s rekeys %s of site %u: %s", p->name, ike ? "the IKE SA" : "Child SAs",
		    p->kind == PROCESS_SITE ? process_site_number(p) : site, err_text(e));
}

static void change_mapping(unsigned honest)
{
	struct process *p = some_site(honest);

	if (!world_nat_is(p->who))
		return;
	world_nat_forget(p->who);
	history_add("the NAT of %s forgets it", p->name);
}

/* ---- all ---- */

static void befall(enum fault_kind k, unsigned honest)
{
	switch (k) {
	case FAULT_CRASH:
		crash(honest);
		break;
	case FAULT_FREEZE:
		freeze();
		break;
	case FAULT_MESH:
	case FAULT_STORE:
	case FAULT_BOTH:
		begin_cut(k);
		break;
	case FAULT_ELECTION:
		cover_add(COVER_election);
		history_add("the store has no leader for a while");
		world_store_stop(all.ws, world_now_us() + between(SECOND_US, 3 * SECOND_US));
		break;
	case FAULT_WATCH:
		break_watch();
		break;
	case FAULT_CLOCK:
		set_clock();
		break;
	case FAULT_DRAIN:
		drain(some_node(), world_random(2) == 0);
		break;
	case FAULT_AMNESIA:
		forget(honest);
		break;
	case FAULT_CLOSE:
		close_sa(honest);
		break;
	case FAULT_ALL:
		kill_all();
		break;
	case FAULT_ADMIN:
		admin_change(some_site(honest));
		break;
	case FAULT_NAT:
		change_mapping(honest);
		break;
	case FAULT_STORM:
	case FAULT_REPLAY:
	case FAULT_UNKNOWN:
	case FAULT_LOSS:
	case FAULT_REPEAT:
	case FAULT_SLOW:
	case FAULT_CNT:
		break;
	}
}

void fault_step(unsigned honest)
{
	end_cuts(false);
	thaw(false);
	note_cuts();
	if (has[FAULT_ADMIN])
		admin_step(honest);
	if (has[FAULT_ADMIN] && world_random(ONE_IN * 2) == 0)
		admin_change(some_site(honest));
	if (has[FAULT_REPLAY] && world_ip_is_narrow() && world_random(ONE_IN * 4) == 0)
		world_post_junk((unsigned)world_random(8 * CONTROL_GATHER_DATAGRAMS_MAX));
	if (fault_flaps() && world_random(ONE_IN * 3) == 0)
		change_mapping(honest);
	if (has[FAULT_STORM] && world_random(ONE_IN / 4) == 0)
		rekey(honest);
	if (world_random(ONE_IN) != 0)
		return;
	enum fault_kind k = (enum fault_kind)world_random(2 * FAULT_CNT);
	if (k >= FAULT_CNT)
		rekey(honest);
	else if (has[k])
		befall(k, honest);
}

void fault_end(void)
{
	note_cuts();
	end_cuts(true);
	thaw(true);
	for (unsigned i = 0; i < all.gateways; i++)
		drain(&all.p[i], false);
	admin_end();
}
