#include "check.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/secret.h"
#include "control/gather.h"
#include "fwd/state.h"
#include "cover.h"
#include "fault.h"
#include "history.h"
#include "keys.h"
#include "world_ip.h"
#include "world_nat.h"

static unsigned failures[CHECK_CNT];
static bool trying;            /* failures are only counted */

const char *check_text(enum check what)
{
	static const char *const text[CHECK_CNT] = { "iv", "answered", "store", "agree", "auth", "up", "anew", "packets", "numbers", "limit", "config", "place", "verdict", "gather" };
	return text[what];
}

void check_begin(void)
{
	memset(failures, 0, sizeof(failures));
	check_config_begin();
}

void check_fail(enum check what, const char *fmt, ...)
{
	char text[200];
	va_list args;

	failures[what]++;
	if (trying)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	history_add("WRONG (%s): %s", check_text(what), text);
	history_keep_last();
}

unsigned check_failures(enum check what)
{
	return failures[what];
}

unsigned check_all_failures(void)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < CHECK_CNT; i++)
		cnt += failures[i];
	return cnt;
}

/* ---- what is written ---- */

static const char *name_of(unsigned who)
{
	return who < all.cnt ? all.p[who].name : "the store";
}

static const struct process *some_gateway(void)
{
	const struct process *node = &all.p[0];

	for (unsigned i = 0; i < all.gateways && node->c == NULL; i++)
		node = &all.p[i];
	return node->c == NULL ? NULL : node;
}

/* Where both ends have begun to rekey an IKE SA, what the peer's is to become waits in the record of the old one (RFC 7296 2.8.2). */
static bool is_rival(void *arg, const struct world_event *e)
{
	const uint64_t *spi = arg;
	const struct process *node = some_gateway();
	uint64_t own;
	struct ike_sa sa;

	if (node == NULL) /* all are dead for a moment, and nobody opens a record */
		return true;
	if (!model_key_ike_parse(e->row.key, &own) || e->row.deleted || control_open_sa(node->c, &e->row, &sa) != ERR_NONE)
		return false;
	bool is = sa.rival.present && sa.rival.spi_r == *spi;
	secret_wipe(&sa, sizeof(sa));
	return is;
}

static bool is_told(const struct process *site, struct model_key key)
{
	return world_store_find(all.ws, model_key_bytes(&key), site->told_rev) != NULL;
}

/* A site has written an SA that it did not have. If it asked for it, the answer tells of what the gateways have committed; if it was
 * asked, its SPI was committed with the request. */
static void follow_site(void *arg, const struct world_event *e)
{
	const struct process *p = arg;
	struct model_child_sa child;
	struct ike_sa sa;
	uint64_t spi;
	uint32_t spi_in;

	if (e->row.deleted || e->row.create_rev != e->row.mod_rev || p->c == NULL)
		return;
	if (model_key_child_parse(e->row.key, &spi_in) && !bytes_eq(e->row.value, bytes_str(CONTROL_LARVAL))) {
		must(control_open_child(p->c, &e->row, &child) == ERR_NONE);
		history_add("%s has Child SA %08x, %08x out", p->name, spi_in, child.spi_out);
		if (!is_told(p, model_key_child(child.spi_out)))
			check_fail(CHECK_ANSWERED, "%s was answered a Child SA that is not in the store: %08x", p->name, child.spi_out);
		secret_wipe(&child, sizeof(child));
	} else if (model_key_ike_parse(e->row.key, &spi)) {
		must(control_open_sa(p->c, &e->row, &sa) == ERR_NONE);
		history_add("%s has IKE SA %016llx, %s", p->name, (unsigned long long)spi, sa.role == IKE_INITIATOR ? "asked for" : "offered");
		if (sa.role == IKE_INITIATOR && !is_told(p, model_key_ike(sa.spi_r)) &&
		    !world_store_any(all.ws, p->told_rev, is_rival, &sa.spi_r))
			check_fail(CHECK_ANSWERED, "%s was answered an IKE SA that is not in the store: %016llx", p->name,
				   (unsigned long long)sa.spi_r);
		secret_wipe(&sa, sizeof(sa));
	}
}

static void tell_ike(const struct world_event *e)
{
	static const char *const states[] = { [IKE_STATE_ESTABLISHED] = "", [IKE_STATE_CLOSED] = ", closed" };
	const struct process *node = some_gateway();
	char children[120] = "";
	struct ike_sa sa;

	if (node == NULL || control_open_sa(node->c, &e->row, &sa) != ERR_NONE)
		return;
	for (unsigned i = 0, at = 0; i < sa.child_cnt && at + 12 < sizeof(children); i++)
		at += (unsigned)snprintf(children + at, sizeof(children) - at, " %08x%s", sa.children[i].spi_in, sa.children[i].replaced ? "-" : "");
	history_add("%s: revision %llu has %.*s%s%s:%s", name_of(e->who), (unsigned long long)e->row.mod_rev, (int)e->row.key.len,
		    (const char *)e->row.key.p, sa.state < ARRAY_LEN(states) && states[sa.state] != NULL ? states[sa.state] : "",
		    sa.closing ? ", closing" : "", children);
	secret_wipe(&sa, sizeof(sa));
}

static void follow_cluster(void *arg, const struct world_event *e)
{
	(void)arg;
	keys_stored(e);
	check_config_stored(e);
	history_mix(e->row.mod_rev, world_hash(e->row.key));
	if (bytes_starts(e->row.key, bytes_str(MODEL_KEY_IKE)) && !e->row.deleted)
		tell_ike(e);
	else if (bytes_starts(e->row.key, bytes_str(MODEL_KEY_IKE)) || bytes_starts(e->row.key, bytes_str(MODEL_KEY_CHILD)) ||
	    bytes_starts(e->row.key, bytes_str(MODEL_KEY_CURRENT)) || bytes_starts(e->row.key, bytes_str(MODEL_KEY_NODES)))
		history_add("%s: revision %llu %s %.*s", name_of(e->who), (unsigned long long)e->row.mod_rev,
			    e->row.deleted ? "without" : bytes_eq(e->row.value, bytes_str(CONTROL_LARVAL)) ? "larval" : "has",
			    (int)e->row.key.len, (const char *)e->row.key.p);
}

void check_follow(void)
{
	world_store_follow(all.ws, follow_cluster, NULL);
	for (unsigned i = all.gateways; i < all.cnt; i++)
		world_store_follow(all.p[i].ws, follow_site, &all.p[i]);
}

/* ---- at any time ---- */

static const struct process *process_at(const struct addr *a)
{
	unsigned who = world_nat_owner(a);
	return who < WORLD_PROCESSES_MAX ? &all.p[who] : NULL;
}

static void check_peers(const struct process *p)
{
	struct hmap_walk w;
	char text[ADDR_ENDPOINT_TEXT_MAX];

	for (struct hmap_node *n = hmap_walk_first(&p->c->sas, &w); n != NULL; n = hmap_walk_next(&p->c->sas, &w)) {
		const struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		const struct addr_endpoint *remote = &sa->r.path.remote;
		const struct process *site = p->kind == PROCESS_SITE ? p : process_at(&remote->addr);
		if (p->kind == PROCESS_GATEWAY && (site == NULL || !world_nat_was_ever(site->who, remote)))
			check_fail(CHECK_PLACE, "%s sends to %s, where nobody was", p->name, addr_endpoint_format(remote, text));
		if (site == NULL || !process_is_honest(site))
			check_fail(CHECK_AUTH, "%s has an IKE SA with a stranger", p->name);
	}
}

static bool is_of_traffic(uint8_t code)
{
	return code == MODEL_FAILURE_NO_ESP || code == MODEL_FAILURE_ESP_STOPPED || code == MODEL_FAILURE_ONE_WAY ||
	       code == MODEL_FAILURE_ANTI_REPLAY;
}

/* Packets go both ways through all tunnels, all the time, unless somebody takes their routes. */
static void check_verdicts(const struct process *p)
{
	for (unsigned site = 1; site <= all.cnt - all.gateways && !fault_has(FAULT_ADMIN); site++) {
		const struct control_tunnel *t = process_tunnel(p, site);
		for (unsigned i = 0; t != NULL && i < EXPLAIN_HISTORY_MAX; i++) {
			const struct model_failure *f = t->why.slots[i];
			if (f != NULL && is_of_traffic(f->code) && f->over_us == 0)
				check_fail(CHECK_VERDICT, "%s: site %u: %s: %s", p->name, site, model_failure_code_name(f->code), f->offered);
		}
	}
}

/* Whatever strangers send; a node that stood still has yet to look around. */
static void check_gather(const struct process *p)
{
	const struct control_gather *g = p->c->gather;
	unsigned used = 0, pieces = 0;

	for (unsigned i = 0; g != NULL && i < CONTROL_GATHER_DATAGRAMS_MAX; i++) {
		const struct control_datagram_parts *d = &g->datagrams[i];
		used += d->used;
		for (const struct control_piece *one = d->first; one != NULL; one = one->next)
			pieces++;
		if (d->first != NULL && !process_is_frozen(p) && p->c->now_us > d->since_us + CONTROL_GATHER_WAIT_US)
			check_fail(CHECK_GATHER, "%s keeps an IP fragment for longer than it should", p->name);
	}
	if (g != NULL && (used != g->used_cnt || pieces != g->piece_cnt || pieces > CONTROL_GATHER_PIECES_MAX))
		check_fail(CHECK_GATHER, "%s has %u IP fragments of %u datagrams, and believes it has %u of %u", p->name, pieces, used,
			   g->piece_cnt, g->used_cnt);
}

void check_always(void)
{
	static unsigned seen, wrong;

	for (unsigned i = 0; i < all.cnt; i++)
		if (all.p[i].c != NULL)
			check_peers(&all.p[i]);
	for (unsigned i = 0; i < all.gateways; i++)
		if (all.p[i].c != NULL) {
			check_verdicts(&all.p[i]);
			check_gather(&all.p[i]);
		}
	check_config_always();
	if (world_repeated_ivs() != seen && world_repeated_ivs() != 0)
		check_fail(CHECK_IV, "an IV was used twice");
	seen = world_repeated_ivs();
	if (world_ip_wrong() != wrong && world_ip_wrong() != 0)
		check_fail(CHECK_GATHER, "a datagram came twice, and its IP fragments once");
	wrong = world_ip_wrong();
}

/* ---- after quiet ---- */

struct counted {
	const struct process *p;
	unsigned sas, open_sas, children;
};

/* Of a tunnel that was deleted a node that has started since takes no IKE SA, which waits for its last answers. */
static bool is_over(const struct process *p, const struct store_row *row)
{
	struct ike_sa sa;

	must(control_open_sa(p->c, row, &sa) == ERR_NONE);
	const struct control_tunnel *t = control_tunnel_find(p->c, &sa.tunnel_id);
	bool over = sa.state == IKE_STATE_CLOSED && (t == NULL || !t->configured);
	secret_wipe(&sa, sizeof(sa));
	return over;
}

/* The table has what the store has. */
static void check_row(void *arg, const struct store_row *row)
{
	struct counted *n = arg;
	const struct control *c = n->p->c;
	uint64_t spi;
	uint32_t spi_in;

	if (model_key_ike_parse(row->key, &spi)) {
		const struct control_sa *sa = control_sa_find(c, spi);
		n->sas++;
		/* One that was replaced waits a while for the other end's Delete, which need not know of it (RFC 7296 2.8.2). */
		n->open_sas += sa != NULL && sa->r.state == IKE_STATE_ESTABLISHED;
		if (sa == NULL && !is_over(n->p, row))
			check_fail(CHECK_STORE, "%s does not have IKE SA %016llx", n->p->name, (unsigned long long)spi);
		else if (sa == NULL)
			n->sas--;
		else if (sa->mod_rev != row->mod_rev)
			check_fail(CHECK_STORE, "%s has IKE SA %016llx as of revision %llu, the store %llu", n->p->name,
				   (unsigned long long)spi, (unsigned long long)sa->mod_rev, (unsigned long long)row->mod_rev);
	} else if (model_key_child_parse(row->key, &spi_in)) {
		if (bytes_eq(row->value, bytes_str(CONTROL_LARVAL))) {
			check_fail(CHECK_STORE, "the SPI %08x is still reserved", spi_in);
			return;
		}
		n->children++;
		if (control_child_find(c, spi_in) == NULL)
			check_fail(CHECK_STORE, "%s does not have Child SA %08x", n->p->name, spi_in);
		if (fwd_child_find(&n->p->fwd->readers[0], spi_in) == NULL)
			check_fail(CHECK_STORE, "%s has not installed Child SA %08x", n->p->name, spi_in);
	}
}

static void pass_over(void *arg, const struct store_row *row)
{
	(void)arg, (void)row;
}

static bool is_stored(const struct process *p, struct model_key key)
{
	return world_store_has(p->ws, model_key_bytes(&key), pass_over, NULL);
}

/* Where there is no cluster, one that is closed answers for a while, out of memory. */
static void check_tables(const struct process *p)
{
	bool node = p->kind == PROCESS_GATEWAY && all.clustered;
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&p->c->sas, &w); n != NULL; n = hmap_walk_next(&p->c->sas, &w)) {
		const struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		if ((node || sa->r.state != IKE_STATE_CLOSED) && !is_stored(p, model_key_ike(sa->r.spi)))
			check_fail(CHECK_STORE, "%s has IKE SA %016llx in state %u, as of revision %llu, and the store has none", p->name,
				   (unsigned long long)sa->r.spi, sa->r.state, (unsigned long long)sa->mod_rev);
	}
	for (struct hmap_node *n = hmap_walk_first(&p->c->children, &w); n != NULL; n = hmap_walk_next(&p->c->children, &w)) {
		const struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		if (!is_stored(p, model_key_child(child->spi_in)))
			check_fail(CHECK_STORE, "%s has Child SA %08x, and the store does not", p->name, child->spi_in);
	}
}

static struct counted check_process(const struct process *p)
{
	struct counted n = { .p = p };

	world_store_each(p->ws, "", check_row, &n);
	check_tables(p);
	if (p->kind == PROCESS_GATEWAY && all.clustered && p->c->sas.cnt > n.sas)
		check_fail(CHECK_STORE, "%s has an IKE SA twice", p->name);
	if (p->c->children.cnt > n.children)
		check_fail(CHECK_STORE, "%s has a Child SA twice", p->name);
	return n;
}

/* The other half of a site's Child SA. */
struct half {
	const struct process *gateway;
	uint32_t spi_out;
};

static void read_half(void *arg, const struct store_row *row)
{
	struct half *h = arg;
	struct model_child_sa m;

	if (control_open_child(h->gateway->c, row, &m) == ERR_NONE)
		h->spi_out = m.spi_out;
	secret_wipe(&m, sizeof(m));
}

/* Without UDP there is no port. */
static bool is_there(const struct process *site, const struct model_path *path)
{
	const struct addr here = world_nat_address(site->who);
	return path->udp_encap ? world_nat_is_now(site->who, &path->remote) : addr_eq(&path->remote.addr, &here);
}

/* Of the IKE SA and of what is installed. */
static void check_place(const struct process *p, const struct process *site)
{
	const struct control_tunnel *t = process_tunnel(p, process_site_number(site));
	char text[ADDR_ENDPOINT_TEXT_MAX];
	struct hmap_walk w;

	for (const struct control_sa *sa = t == NULL ? NULL : t->sas; sa != NULL; sa = sa->next)
		if (sa->r.state == IKE_STATE_ESTABLISHED && !world_nat_is_now(site->who, &sa->r.path.remote))
			check_fail(CHECK_PLACE, "%s has %s at %s, where it is not any more", p->name, site->name,
				   addr_endpoint_format(&sa->r.path.remote, text));
	for (struct hmap_node *n = t == NULL ? NULL : hmap_walk_first(&p->c->children, &w); n != NULL;
	     n = hmap_walk_next(&p->c->children, &w)) {
		const struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		const struct fwd_child *f = fwd_child_find(&p->fwd->readers[0], child->spi_in);
		if (f != NULL && model_id_eq(&child->tunnel_id, &t->id) && !is_there(site, &fwd_child_outer(f)->path))
			check_fail(CHECK_PLACE, "%s sends Child SA %08x to %s, where %s is not any more", p->name, child->spi_in,
				   addr_endpoint_format(&fwd_child_outer(f)->path.remote, text), site->name);
	}
}

struct pairing {
	const struct process *site, *gateway;
};

static void check_pair(void *arg, const struct store_row *row)
{
	const struct pairing *p = arg;
	struct half h = { .gateway = p->gateway };
	struct model_child_sa m;

	if (control_open_child(p->site->c, row, &m) != ERR_NONE)
		return;
	const struct model_key key = model_key_child(m.spi_out);
	if (!world_store_has(all.ws, model_key_bytes(&key), read_half, &h) || h.spi_out != m.spi_in)
		check_fail(CHECK_AGREE, "%s has Child SA %08x, and the gateways have no %08x", p->site->name, m.spi_in, m.spi_out);
	secret_wipe(&m, sizeof(m));
}

static void check_up(const struct process *p)
{
	const struct control_tunnel *t = process_tunnel(p, 0);

	const struct control_sa *sa = t->sas;

	while (sa != NULL && sa->r.state != IKE_STATE_ESTABLISHED)
		sa = sa->next;
	if (!t->up || sa == NULL)
		check_fail(CHECK_UP, "tunnel %s is not up at %s", t->m.name, p->name);
}

static bool is_up(const struct process *p, const struct process *site)
{
	const struct control_tunnel *t = process_tunnel(p, process_site_number(site));
	return t != NULL && t->up;
}

bool check_all_up(void)
{
	for (unsigned i = 0; i < all.gateways; i++)
		for (unsigned k = all.gateways; k < all.cnt; k++)
			if (process_is_wanted(&all.p[k]) &&
			    (all.p[i].c == NULL || all.p[k].c == NULL || !is_up(&all.p[i], &all.p[k]) || !is_up(&all.p[k], &all.p[k])))
				return false;
	return true;
}

/* Each node counts all moves, by the record, and the one that judges tells the others. Nodes may change that duty, and one that is started
 * again begins to count anew. */
static void check_flapping(const struct process *p, const struct process *site)
{
	const struct control_tunnel *t = process_tunnel(p, process_site_number(site));
	bool found = false;
	struct ike_sa r;

	for (unsigned i = 0; t != NULL && i < EXPLAIN_HISTORY_MAX; i++)
		found = found || (t->why.slots[i] != NULL && t->why.slots[i]->code == MODEL_FAILURE_NAT_FLAPPING);
	if (found)
		cover_add(COVER_flapping);
	for (const struct control_sa *sa = t == NULL || found ? NULL : t->sas; sa != NULL; sa = sa->next) {
		control_record_read(&sa->r, &r);
		unsigned moves = r.moves;
		ike_sa_wipe(&r);
		if (moves >= 2 * EXPLAIN_FLAPS && !fault_has(FAULT_CRASH) && !fault_has(FAULT_ALL))
			check_fail(CHECK_VERDICT, "%s does not know that the NAT of %s has changed its mapping %u times", p->name, site->name, moves);
	}
}

static void check_gateway(const struct process *p)
{
	check_config_quiet(p);
	keys_check(p);
	for (unsigned k = all.gateways; k < all.cnt; k++) {
		if (!process_is_wanted(&all.p[k]))
			continue;
		check_place(p, &all.p[k]);
		check_flapping(p, &all.p[k]);
		if (!is_up(p, &all.p[k]))
			check_fail(CHECK_UP, "the tunnel of %s is not up at %s", all.p[k].name, p->name);
	}
}

static void check_site(const struct process *p)
{
	struct pairing pair = { p, &all.p[0] };

	check_up(p);
	world_store_each(p->ws, MODEL_KEY_CHILD, check_pair, &pair);
}

static void check_now(void)
{
	struct counted gateways = { 0 }, sites = { 0 };

	for (unsigned i = 0; i < all.cnt; i++) {
		const struct process *p = &all.p[i];
		if (p->c == NULL)
			check_fail(CHECK_UP, "%s does not start", p->name);
		if (p->c == NULL || (p->kind == PROCESS_SITE && !process_is_wanted(p)))
			continue;
		const struct counted n = check_process(p);
		if (p->kind == PROCESS_GATEWAY) {
			gateways = n;
			check_gateway(p);
			continue;
		}
		sites.open_sas += n.open_sas;
		sites.children += n.children;
		check_site(p);
	}
	if (gateways.open_sas != sites.open_sas || gateways.children != sites.children)
		check_fail(CHECK_AGREE, "the gateways have %u IKE SAs and %u Child SAs, the sites %u and %u", gateways.open_sas,
			   gateways.children, sites.open_sas, sites.children);
}

/* Lifetimes may end at any time. */
void check_quiet(void (*more)(uint64_t us))
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned before[CHECK_CNT];
		memcpy(before, failures, sizeof(before));
		trying = true;
		check_now();
		trying = false;
		bool good = memcmp(before, failures, sizeof(before)) == 0;
		memcpy(failures, before, sizeof(before));
		if (good)
			return;
		more(700000);
	}
	check_now();
}
