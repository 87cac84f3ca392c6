#include "fwd/lookup.h"

#include "fwd/state.h"

struct fwd_child *fwd_child_find(const struct fwd_reader *r, uint32_t spi_in)
{
	return fwd_spi_find(r->fwd, spi_in);
}

void fwd_child_find_burst(const struct fwd_reader *r, const uint32_t *spis, size_t cnt, struct fwd_child **ret)
{
	fwd_spi_find_burst(r->fwd, spis, cnt, ret);
}

uint32_t fwd_child_spi_in(const struct fwd_child *c)
{
	return c->spi_in;
}

struct esp_sa *fwd_child_in(const struct fwd_child *c)
{
	return c->in;
}

struct esp_sa *fwd_child_out(const struct fwd_child *c)
{
	return c->out;
}

struct fwd_tunnel *fwd_child_tunnel(const struct fwd_child *c)
{
	return c->tunnel;
}

const struct fwd_outer *fwd_child_outer(const struct fwd_child *c)
{
	return &FWD_READ(c->outer)->outer;
}

/* ---- numbers of sequenced SAs ---- */

bool fwd_child_is_sequenced(const struct fwd_child *c)
{
	return c->sequenced;
}

bool fwd_numbers_stand(const struct fwd_reader *r, uint64_t mono_ms)
{
	return mono_ms < atomic_load_explicit(&r->fwd->number_until_ms, memory_order_relaxed);
}

bool fwd_child_is_numbered(const struct fwd_reader *r, const struct fwd_child *c, uint64_t mono_ms, bool given)
{
	/* In one order with fwd_passing_begin: who is not seen there sees here that it is over. */
	return atomic_load(&c->numbers) >= (given ? FWD_NUMBERS_GIVEN : FWD_NUMBERS_ALL) && fwd_numbers_stand(r, mono_ms);
}

bool fwd_child_wants_numbers(const struct fwd_child *c)
{
	return atomic_load_explicit(&c->key_counter->counter.seq, memory_order_relaxed) >=
	       atomic_load_explicit(&c->ask_at, memory_order_relaxed);
}

/* ---- selectors ---- */

/* What selectors call ports: for ICMP type and code stand there (RFC 7296 3.13.1). */
static void find_ports(const struct wire_ip *ip, uint16_t *ret_src, uint16_t *ret_dst)
{
	*ret_src = *ret_dst = 0;
	if (ip->protocol == IP_PROTO_ICMP || ip->protocol == IP_PROTO_ICMP6) {
		struct rd r = rd_of(ip->payload);
		if (ip->fragment_offset == 0)
			*ret_src = *ret_dst = rd_u16(&r);
		return;
	}
	(void)wire_ports(ip, ret_src, ret_dst);
}

static bool fits(const struct model_ts *ts, unsigned cnt, const struct addr *a, uint8_t protocol,
		 uint16_t port)
{
	for (unsigned i = 0; i < cnt; i++)
		if (model_ts_contains(&ts[i], a, protocol, port))
			return true;
	return false;
}

bool fwd_child_accepts(const struct fwd_child *c, const struct wire_ip *ip, enum model_drop *ret_why)
{
	uint16_t src, dst;

	find_ports(ip, &src, &dst);
	if (!fits(c->ts_remote, c->ts_remote_cnt, &ip->src, ip->protocol, src)) {
		*ret_why = MODEL_DROP_inner_source;
		return false;
	}
	if (!fits(c->ts_local, c->ts_local_cnt, &ip->dst, ip->protocol, dst)) {
		*ret_why = MODEL_DROP_inner_selector;
		return false;
	}
	return true;
}

struct fwd_child *fwd_tunnel_sender(const struct fwd_tunnel *t, const struct wire_ip *ip,
				    enum model_drop *ret_why)
{
	struct fwd_senders *s = FWD_READ(t->senders);
	enum model_drop why = MODEL_DROP_tunnel_down;
	uint16_t src, dst;

	find_ports(ip, &src, &dst);
	for (uint32_t i = 0; s != NULL && i < s->cnt; i++) {
		struct fwd_child *c = FWD_READ(s->children[i]);
		if (c == NULL)
			continue;
		if (fits(c->ts_local, c->ts_local_cnt, &ip->src, ip->protocol, src) &&
		    fits(c->ts_remote, c->ts_remote_cnt, &ip->dst, ip->protocol, dst))
			return c;
		why = MODEL_DROP_inner_selector;
	}
	*ret_why = why;
	return NULL;
}

/* ---- counters and notices ---- */

static void add(_Atomic uint64_t *n, uint64_t by)
{
	atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

void fwd_child_count_in(struct fwd_child *c, size_t packets, size_t bytes, uint64_t now_us)
{
	add(&c->in_packets, packets);
	add(&c->in_bytes, bytes);
	add(&c->tunnel->in_packets, packets);
	add(&c->tunnel->in_bytes, bytes);
	atomic_store_explicit(&c->last_in_us, now_us, memory_order_relaxed);
	atomic_store_explicit(&c->tunnel->last_in_us, now_us, memory_order_relaxed);
}

void fwd_child_count_out(struct fwd_child *c, size_t packets, size_t bytes, unsigned worker)
{
	struct fwd_tunnel *t = c->tunnel;

	if (atomic_load_explicit(&t->sender, memory_order_relaxed) != worker) {
		atomic_store_explicit(&t->sender, worker, memory_order_relaxed);
		add(&t->switches, 1);
	}
	add(&c->out_packets, packets);
	add(&c->out_bytes, bytes);
	add(&t->out_packets, packets);
	add(&t->out_bytes, bytes);
}

/* A plain look first: the common answer is no, and it must not take the cache line from the others. */
static bool claim_once(_Atomic bool *told)
{
	return !atomic_load_explicit(told, memory_order_relaxed) &&
	       !atomic_exchange_explicit(told, true, memory_order_relaxed);
}

bool fwd_child_claim(struct fwd_child *c, enum fwd_notice_kind kind, uint64_t now_ms)
{
	uint64_t last;

	switch (kind) {
	case FWD_NOTICE_FIRST:
		return claim_once(&c->told_first);
	case FWD_NOTICE_IV_LOW:
		return claim_once(&c->told_low);
	case FWD_NOTICE_NUMBERS:
		return claim_once(&c->told_numbers);
	case FWD_NOTICE_TOO_BIG: /* of no SA yet */
		break;
	case FWD_NOTICE_ADDRESS:
		last = atomic_load_explicit(&c->told_address_ms, memory_order_relaxed);
		return (last == 0 || now_ms - last >= 1000) &&
		       atomic_compare_exchange_strong_explicit(&c->told_address_ms, &last, now_ms,
							       memory_order_relaxed, memory_order_relaxed);
	}
	return false;
}

void fwd_child_withdraw(struct fwd_child *c, enum fwd_notice_kind kind)
{
	switch (kind) {
	case FWD_NOTICE_FIRST:
		atomic_store_explicit(&c->told_first, false, memory_order_relaxed);
		break;
	case FWD_NOTICE_IV_LOW:
		atomic_store_explicit(&c->told_low, false, memory_order_relaxed);
		break;
	case FWD_NOTICE_NUMBERS:
		atomic_store_explicit(&c->told_numbers, false, memory_order_relaxed);
		break;
	case FWD_NOTICE_ADDRESS:
		atomic_store_explicit(&c->told_address_ms, 0, memory_order_relaxed);
		break;
	case FWD_NOTICE_TOO_BIG:
		break;
	}
}

/* ---- tunnels and routes ---- */

bool fwd_account_is_host(const struct fwd_account *a)
{
	return atomic_load_explicit(&a->host, memory_order_relaxed);
}

const struct fwd_tunnel_config *fwd_tunnel_config(const struct fwd_tunnel *t)
{
	return &FWD_READ(t->config)->config;
}

struct fwd_account *fwd_tunnel_account(const struct fwd_tunnel *t)
{
	return t->account;
}

/* Starts at the hop that the hash names and goes on to the first tunnel that is up; with none up the named
 * one says why the packet is dropped. */
static struct fwd_tunnel *pick_hop(const struct fwd_next_hop *hops, uint32_t cnt, const struct wire_ip *ip)
{
	uint32_t at = 0;

	if (cnt > 1) {
		uint32_t point = (uint32_t)((uint64_t)wire_flow_hash(ip) * hops[cnt - 1].share_end >> 32);
		while (hops[at].share_end <= point)
			at++;
	}
	for (uint32_t i = 0; i < cnt; i++) {
		struct fwd_tunnel *t = hops[(at + i) % cnt].tunnel;
		if (FWD_READ(t->senders) != NULL)
			return t;
	}
	return hops[at].tunnel;
}

struct fwd_hop fwd_route_find(const struct fwd_account *a, const struct wire_ip *ip)
{
	const struct fwd_table *t = FWD_READ(a->table);
	uint32_t group = fwd_lpm_find(ip->version == 4 ? &t->v4 : &t->v6, &ip->dst);

	if (group == FWD_LPM_NONE) {
		bool offramp = atomic_load_explicit(&a->offramp_default, memory_order_relaxed);
		return (struct fwd_hop){ offramp ? FWD_HOP_OFFRAMP : FWD_HOP_NONE, NULL };
	}
	const struct fwd_group *g = &t->groups[group];
	return (struct fwd_hop){
		.kind = g->local ? FWD_HOP_LOCAL : FWD_HOP_TUNNEL,
		.tunnel = pick_hop(&t->hops[g->first], g->cnt, ip),
	};
}

struct addr fwd_inner_address(const struct fwd_account *a, const struct fwd_tunnel *t, uint8_t family)
{
	const struct fwd_table *table = FWD_READ(a->table);

	if (t != NULL) {
		const struct fwd_tunnel_config *c = fwd_tunnel_config(t);
		const struct addr *own = family == ADDR_V4 ? &c->interface4.addr : &c->interface6.addr;
		if (own->family == family)
			return *own;
	}
	return family == ADDR_V4 ? table->inner4 : table->inner6;
}

/* ---- off-ramps ---- */

struct fwd_queue fwd_offramp_queue(const struct fwd_reader *r, struct fwd_account *a)
{
	const struct fwd_offramp *o = FWD_READ(a->offramp);
	if (o == NULL)
		return (struct fwd_queue){ a, -1, false };
	return (struct fwd_queue){ a, o->fds[r->index % o->cnt], o->vnet };
}

uint64_t fwd_offramp_generation(const struct fwd_reader *r)
{
	return atomic_load(&r->fwd->offramp_generation);
}

bool fwd_queue_next(const struct fwd_reader *r, struct fwd_queue_walk *w, struct fwd_queue *ret)
{
	if (w->all == NULL) {
		w->all = FWD_READ(r->fwd->offramps);
		w->entry = 0;
		w->queue = r->index;
	}
	for (; w->all != NULL && w->entry < w->all->cnt; w->entry++, w->queue = r->index) {
		const struct fwd_offramp *o = w->all->e[w->entry].offramp;
		if (w->queue >= o->cnt)
			continue;
		*ret = (struct fwd_queue){ w->all->e[w->entry].account, o->fds[w->queue], o->vnet };
		/* A device with more queues than there are workers: none may stay unread. */
		w->queue += r->fwd->worker_cnt;
		return true;
	}
	return false;
}
