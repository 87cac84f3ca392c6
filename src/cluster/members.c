#include "cluster/members.h"

#include "model/format.h"

/* ---- rendezvous hashing ---- */

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014): every bit of the input moves every bit of the result. */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static unsigned bucket_of(uint64_t key)
{
	return (unsigned)(mix(key) % CLUSTER_BUCKETS);
}

static uint64_t weight_of(uint16_t slot, unsigned bucket)
{
	return mix((uint64_t)slot << 32 | bucket);
}

struct candidates {
	unsigned cnt;
	uint16_t slots[CLUSTER_NODES_MAX + 1];
};

/* Those that take duties; where all drain, all do. */
static void list_candidates(const struct cluster_members *m, bool draining, struct candidates *ret)
{
	ret->cnt = 0;
	if (m->self != 0 && m->held && (draining || !m->draining))
		ret->slots[ret->cnt++] = m->self;
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].alive && (draining || !m->m[i].draining))
			ret->slots[ret->cnt++] = m->m[i].slot;
}

static void share_out(struct cluster_members *m)
{
	struct candidates c;

	m->version++;
	list_candidates(m, false, &c);
	if (c.cnt == 0)
		list_candidates(m, true, &c);
	for (unsigned b = 0; b < CLUSTER_BUCKETS; b++) {
		uint16_t best = m->self;
		uint64_t most = 0;
		for (unsigned i = 0; i < c.cnt; i++) {
			uint64_t w = weight_of(c.slots[i], b);
			if (i == 0 || w > most) {
				best = c.slots[i];
				most = w;
			}
		}
		m->owner[b] = best;
	}
}

/* ---- questions ---- */

static struct cluster_member *find(struct cluster_members *m, uint16_t slot)
{
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].slot == slot)
			return &m->m[i];
	return NULL;
}

const struct cluster_member *cluster_member_at(const struct cluster_members *m, uint16_t slot)
{
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].slot == slot)
			return &m->m[i];
	return NULL;
}

const struct cluster_member *cluster_member_of(const struct cluster_members *m, uint32_t incarnation)
{
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].n.incarnation == incarnation)
			return &m->m[i];
	return NULL;
}

uint16_t cluster_chosen(const struct cluster_members *m, uint64_t key)
{
	return m->on ? m->owner[bucket_of(key)] : 0;
}

bool cluster_duty(const struct cluster_members *m, uint64_t key)
{
	return !m->on || (m->held && m->self != 0 && cluster_chosen(m, key) == m->self);
}

bool cluster_alive(const struct cluster_members *m, uint16_t slot)
{
	if (slot == m->self)
		return true;
	const struct cluster_member *n = cluster_member_at(m, slot);
	return n != NULL && n->alive;
}

/* A node that was not heard yet reads the store as it is now: it needs nobody to wait for it. */
static uint64_t least_applied(const struct cluster_members *m, bool site)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < m->cnt; i++) {
		const struct cluster_member *n = &m->m[i];
		if (n->alive && n->pinged && n->applied < least && (!site || strcmp(n->n.site, m->site) == 0))
			least = n->applied;
	}
	return least;
}

uint64_t cluster_site_applied(const struct cluster_members *m)
{
	return least_applied(m, true);
}

uint64_t cluster_all_applied(const struct cluster_members *m)
{
	return least_applied(m, false);
}

bool cluster_passed(const struct cluster_members *m, uint64_t rev)
{
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].alive && m->m[i].applied > rev)
			return true;
	return false;
}

bool cluster_cut(const struct cluster_members *m, uint64_t now_us)
{
	return m->cnt != 0 && now_us > m->heard_us && now_us - m->heard_us >= CLUSTER_CUT_US;
}

bool cluster_deaf(const struct cluster_members *m)
{
	unsigned heard = 0;

	for (unsigned i = 0; i < m->cnt; i++)
		heard += m->m[i].alive;
	return m->cnt != 0 && heard == 0;
}

bool cluster_whole(const struct cluster_members *m)
{
	for (unsigned i = 0; i < m->cnt; i++)
		if (!m->m[i].alive)
			return false;
	return true;
}

bool cluster_ready(const struct cluster_members *m, bool fresh, uint64_t now_us)
{
	if (!m->on)
		return true;
	if (m->draining || m->self == 0 || cluster_cut(m, now_us))
		return false;
	if (fresh)
		return m->held;
	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].alive && m->m[i].fresh)
			return false;
	return true;
}

uint16_t cluster_format(const struct cluster_members *m)
{
	uint16_t least = model_format_newest();

	for (unsigned i = 0; i < m->cnt; i++)
		if (m->m[i].n.format_newest < least)
			least = m->m[i].n.format_newest;
	return least < MODEL_FORMAT_OLDEST ? MODEL_FORMAT_OLDEST : least;
}

/* ---- what happens ---- */

void cluster_members_init(struct cluster_members *m, const char *site, uint64_t now_us)
{
	*m = (struct cluster_members){ .on = true, .looked_us = now_us, .heard_us = now_us };
	for (size_t i = 0; i + 1 < sizeof(m->site) && site[i] != 0; i++)
		m->site[i] = site[i];
}

void cluster_members_self(struct cluster_members *m, uint16_t slot, bool held, bool draining)
{
	if (m->self == slot && m->held == held && m->draining == draining)
		return;
	m->self = slot;
	m->held = held;
	m->draining = draining;
	share_out(m);
}

enum err cluster_members_put(struct cluster_members *m, uint16_t slot, const struct cluster_node *n, uint64_t mod_rev,
			     uint64_t now_us)
{
	struct cluster_member *at = find(m, slot);

	if (at == NULL && m->cnt == CLUSTER_NODES_MAX)
		return ERR_FULL;
	if (m->cnt == 0)
		m->heard_us = now_us;
	bool is_new = at == NULL;
	if (is_new)
		at = &m->m[m->cnt++];
	/* Another process: what the one before said does not count for it. */
	if (is_new || at->n.incarnation != n->incarnation) {
		*at = (struct cluster_member){ .slot = slot, .heard_us = now_us, .alive = true };
		m->came++;
		m->gone += !is_new;
	}
	at->n = *n;
	at->mod_rev = mod_rev;
	at->draining = n->state == CLUSTER_DRAINING;
	share_out(m);
	return ERR_NONE;
}

void cluster_members_remove(struct cluster_members *m, uint16_t slot)
{
	struct cluster_member *at = find(m, slot);

	if (at == NULL)
		return;
	*at = m->m[m->cnt - 1];
	m->m[--m->cnt] = (struct cluster_member){ 0 };
	m->gone++;
	share_out(m);
}

void cluster_members_heard(struct cluster_members *m, uint16_t slot, const struct cluster_ping *p, uint64_t now_us)
{
	struct cluster_member *at = find(m, slot);

	if (at == NULL)
		return;
	bool changed = !at->alive || at->draining != p->draining;
	at->heard_us = m->heard_us = now_us;
	at->pinged = at->alive = true;
	at->draining = p->draining;
	at->fresh = p->fresh;
	if (p->applied > at->applied)
		at->applied = p->applied;
	if (changed)
		share_out(m);
}

void cluster_members_applied(struct cluster_members *m, uint16_t slot, uint64_t rev)
{
	struct cluster_member *at = find(m, slot);
	if (at != NULL && rev > at->applied)
		at->applied = rev;
}

bool cluster_members_look(struct cluster_members *m, uint64_t now_us)
{
	uint64_t away = now_us > m->looked_us ? now_us - m->looked_us : 0;
	uint64_t credit = away > 2 * CLUSTER_PING_US ? away - CLUSTER_PING_US : 0;
	bool died = false;

	m->looked_us = now_us;
	m->heard_us += credit;
	for (unsigned i = 0; i < m->cnt; i++) {
		struct cluster_member *n = &m->m[i];
		n->heard_us += credit;
		if (n->alive && now_us > n->heard_us && now_us - n->heard_us >= CLUSTER_DEAD_US) {
			n->alive = false;
			died = true;
		}
	}
	if (died)
		share_out(m);
	return died;
}
