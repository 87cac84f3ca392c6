// The site role: accounts and tunnels come from the file, and are started and started again.
#include "control/internal.h"

#include <stdlib.h>

#include "base/iana.h"
#include "base/secret.h"
#include "crypt/prf.h"

#define FRESH_MAX 64         /* attempts under way that are younger than FRESH_US: a gateway that does not answer holds up
			      * the others no longer than that */
#define FRESH_US 3000000u
#define TERMS_MAX 4096
#define LEAVE_US 2000000u    /* a gateway that does not answer holds up the end no longer */
#define ACCOUNT_NUMBER 1u

/* ---- the file's tunnels as the gateway knows its own ---- */

static void put_prefixes(struct wr *w, const struct conf_prefixes *list)
{
	wr_u16(w, (uint16_t)list->cnt);
	for (unsigned i = 0; i < list->cnt; i++) {
		wr_u8(w, list->p[i].addr.family);
		wr_put(w, bytes_of(list->p[i].addr.b, sizeof(list->p[i].addr.b)));
		wr_u8(w, list->p[i].len);
	}
}

static void put_identity(struct wr *w, const struct conf_identity *id)
{
	wr_u8(w, id->type);
	wr_u8(w, id->len);
	wr_put(w, bytes_of(id->b, id->len));
}

static void put_words(struct wr *w, uint8_t kind, const struct conf_words *words)
{
	for (unsigned i = 0; i < words->cnt; i++) {
		wr_u8(w, kind);
		wr_put(w, bytes_of(words->word[i], sizeof(words->word[i])));
	}
}

/* The id of a tunnel says under which terms its SAs were made: after a change in the file they belong to no tunnel any more,
 * and a new IKE SA takes their place. */
static enum err make_id(const struct control *c, const struct conf_tunnel *t, struct model_id *ret)
{
	uint8_t terms[TERMS_MAX];
	struct wr w = wr_of(SPACE_OF(terms));

	wr_put(&w, bytes_of(t->name, sizeof(t->name)));
	wr_put(&w, bytes_of(t->gateway.b, sizeof(t->gateway.b)));
	if (!t->local_found) /* that one may change */
		wr_put(&w, bytes_of(t->local_address.b, sizeof(t->local_address.b)));
	put_identity(&w, &t->gateway_id);
	put_identity(&w, &t->identity);
	put_prefixes(&w, &t->local_ts);
	put_prefixes(&w, &t->remote_ts);
	wr_u8(&w, (uint8_t)t->start_port);
	wr_u8(&w, (uint8_t)t->encap);
	wr_u8(&w, (uint8_t)t->profile);
	wr_u8(&w, t->null_encryption);
	wr_u32(&w, t->dpd_delay);
	wr_u32(&w, t->ike_lifetime);
	wr_u32(&w, t->child_lifetime);
	if (t->esn) /* only then, so that other tunnels have the ids that they always had */
		wr_u8(&w, t->esn);
	if (!t->mobike)
		wr_u8(&w, 0); /* never a value of the one before */
	put_words(&w, 'i', &t->ike_algorithms);
	put_words(&w, 'e', &t->esp_algorithms);
	return w.bad ? ERR_FULL : crypt_hkdf((struct bytes){ NULL, 0 }, BYTES_OF(c->secret), wr_bytes(&w), ret->b,
					     sizeof(ret->b));
}

static struct model_tunnel model_of(const struct conf_tunnel *t, const struct model_id *id)
{
	struct model_tunnel m;

	model_tunnel_init(&m);
	m.id = *id;
	m.account_id = model_live_site_account();
	snprintf(m.name, sizeof(m.name), "%s", t->name);
	m.cloudflare_endpoint = t->gateway;
	m.customer_endpoint = t->local_address;
	m.interface_address = m.interface_address6 = (struct addr_prefix){ 0 };
	m.allow_null_cipher = t->null_encryption;
	m.onramp.ike_lifetime_s = t->ike_lifetime;
	m.onramp.child_lifetime_s = t->child_lifetime;
	m.onramp.dpd_delay_s = t->dpd_delay;
	m.onramp.replay_window = (uint16_t)t->replay_window;
	m.onramp.mss_clamp = (uint16_t)t->mss_clamp;
	m.onramp.outer_mtu = (uint16_t)t->mtu;
	m.replay_protection = m.onramp.esn = t->esn;
	m.onramp.child_rekey_bytes = t->rekey_bytes;
	m.onramp.child_rekey_packets = t->rekey_packets;
	m.onramp.profile = t->profile == CONF_PROFILE_MODERN ? MODEL_PROFILE_MODERN : MODEL_PROFILE_MAGIC;
	return m;
}

static uint8_t put_selectors(const struct conf_prefixes *list, struct model_ts *ts)
{
	must(list->cnt <= MODEL_TS_MAX);
	for (unsigned i = 0; i < list->cnt; i++) {
		ts[i] = (struct model_ts){ .port_last = UINT16_MAX };
		addr_prefix_range(&list->p[i], &ts[i].first, &ts[i].last);
	}
	return (uint8_t)list->cnt;
}

static enum ike_encap encap_of(const struct conf_tunnel *t)
{
	if (t->encap == CONF_ENCAP_NATIVE)
		return IKE_ENCAP_NATIVE;
	/* Who starts on 4500 does so because nothing else passes. */
	return t->encap == CONF_ENCAP_UDP || t->start_port != 0 ? IKE_ENCAP_FORCED : IKE_ENCAP_AUTO;
}

static void fill_identity(const struct conf_identity *id, const struct addr *address, uint8_t *type, uint16_t *len,
			  uint8_t b[static IKE_ID_MAX])
{
	struct bytes from = id->type != 0 ? bytes_of(id->b, id->len) : addr_bytes(address);
	struct rd r = rd_of(from);

	*type = id->type != 0 ? id->type : address->family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR;
	*len = (uint16_t)from.len;
	rd_copy(&r, b, from.len);
}

static bool is_address(const struct conf_identity *id, const struct addr *address)
{
	return id->type == (address->family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR) &&
	       bytes_eq(bytes_of(id->b, id->len), addr_bytes(address));
}

static void fill_start(const struct conf_tunnel *t, const struct control_tunnel *tunnel, struct ike_start *s)
{
	uint16_t port = t->start_port == 0 ? IKE_PORT : IKE_NATT_PORT;

	*s = (struct ike_start){
		.peer = { .account_id = tunnel->m.account_id, .tunnel_id = tunnel->id, .account_number = ACCOUNT_NUMBER,
			  .gateway_endpoint = t->gateway, .customer_endpoint = t->local_address,
			  .allow_null = t->null_encryption, .allow_esn = t->esn, .settings = tunnel->m.onramp, .psk = t->psk },
		.local = { t->local_address, port },
		.remote = { t->gateway, port },
		.encap = (uint8_t)encap_of(t),
		.pfs = IKE_PFS_PREFER,
		.ike_rows = t->ike_rows,
		.child_rows = t->child_rows,
		.mobike = t->mobike,
	};
	fill_identity(&t->identity, &t->local_address, &s->id_type, &s->id_len, s->id);
	/* Its address is what ike expects anyway, and is not asked for: a gateway that has another name then says which, where it
	 * would refuse to be asked for one that it does not have. */
	if (!is_address(&t->gateway_id, &t->gateway))
		fill_identity(&t->gateway_id, &t->gateway, &s->gateway_id_type, &s->gateway_id_len, s->gateway_id);
	s->ts.local_cnt = put_selectors(&t->local_ts, s->ts.local);
	s->ts.remote_cnt = put_selectors(&t->remote_ts, s->ts.remote);
}

static enum err add_tunnel(struct control *c, const struct conf_tunnel *t)
{
	struct control_starter *s = calloc(1, sizeof(*s));
	struct model_id id;

	enum err e = s == NULL ? ERR_MEMORY : make_id(c, t, &id);
	if (e == ERR_NONE) {
		const struct model_tunnel m = model_of(t, &id);
		s->tunnel = control_config_put_tunnel(c, &m);
		e = s->tunnel == NULL ? ERR_MEMORY : ERR_NONE;
	}
	if (e != ERR_NONE) {
		free(s);
		return e;
	}
	s->conf = t;
	fill_start(t, s->tunnel, &s->ike);
	start_machine_init(&s->machine, c->now_us);
	s->tunnel->starter = s;
	return ERR_NONE;
}

MUST_USE enum err control_site_load(struct control *c)
{
	const struct conf_site *site = c->cfg.site;
	struct model_account a;
	enum err e = ERR_NONE;

	model_account_init(&a);
	a.id = model_live_site_account();
	a.number = ACCOUNT_NUMBER;
	snprintf(a.name, sizeof(a.name), "site");
	control_config_put_account(c, &a);
	e = fwd_account_set_host(c->fwd, ACCOUNT_NUMBER, true);
	for (unsigned i = 0; e == ERR_NONE && i < site->tunnel_cnt; i++)
		if (site->tunnels[i].local_address.family != ADDR_NONE)
			e = add_tunnel(c, &site->tunnels[i]);
	if (e != ERR_NONE)
		log_error("the tunnels of the file cannot be set up: %s", err_text(e));
	return e;
}

void control_site_free(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL; n = hmap_walk_next(&c->tunnels, &w)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		if (t->starter == NULL)
			continue;
		secret_wipe(t->starter, sizeof(*t->starter));
		free(t->starter);
		t->starter = NULL;
	}
	heap_fini(&c->waiting_starts);
	heap_fini(&c->fresh_starts);
}

/* ---- what a Child SA covers ---- */

bool control_find_selectors(void *arg, const struct ike_sa *sa, uint32_t spi_in, struct ike_ts_lists *ret)
{
	const struct control *c = arg;
	const struct control_tunnel *t = spi_in != 0 ? NULL : control_tunnel_find(c, &sa->tunnel_id);
	struct fwd_child_selectors s;

	if (t != NULL && t->starter != NULL) {
		*ret = t->starter->ike.ts;
		return true;
	}
	if (spi_in == 0 || fwd_child_selectors(c->fwd, spi_in, &s) != ERR_NONE)
		return false;
	*ret = (struct ike_ts_lists){ .local_cnt = s.local_cnt, .remote_cnt = s.remote_cnt };
	memcpy(ret->local, s.local, sizeof(ret->local));
	memcpy(ret->remote, s.remote, sizeof(ret->remote));
	return true;
}

uint32_t control_find_rows(void *arg, const struct model_id *tunnel_id, enum model_phase phase)
{
	const struct control_tunnel *t = control_tunnel_find(arg, tunnel_id);

	if (t == NULL || t->starter == NULL)
		return 0;
	return phase == MODEL_PHASE_IKE ? t->starter->ike.ike_rows : t->starter->ike.child_rows;
}

/* ---- starting ---- */

static void begin_attempt(struct control *c, struct control_starter *s)
{
	const struct ike_event ev = { .kind = IKE_EV_START, .now_us = c->now_us };

	start_machine_begin(&s->machine);
	heap_remove(&c->waiting_starts, &s->waiting);
	s->ike.initial_contact = !control_tunnel_stands(s->tunnel);
	struct control_op *op = control_op_new(c, OP_START, &ev);
	if (op == NULL || heap_set(&c->fresh_starts, &s->fresh, c->now_us + FRESH_US) != ERR_NONE) {
		if (op != NULL)
			control_op_free(c, op);
		control_attempt_end(c, s, false);
		return;
	}
	op->starter = s;
	control_op_run(c, op);
}

/* ---- another address of ours ---- */

/* In the loop's turn, not where the change is noticed: the store may not run yet, and a step may just be ending. */
static void follow_all(struct control *c)
{
	struct hmap_walk w;

	if (!c->astray)
		return;
	c->astray = false;
	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w)) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		const struct control_starter *s = sa->tunnel->starter;
		if (!sa->astray || sa->busy)
			continue;
		sa->astray = false;
		if (s == NULL || sa->r.state == IKE_STATE_CLOSED)
			continue;
		const struct ike_event ev = { .kind = IKE_EV_MOVED, .now_us = c->now_us,
					      .local = { .addr = s->ike.local.addr } };
		control_sa_event(c, sa, &ev);
	}
}

/* A handshake that has begun from the former address cannot come to its end. */
static void drop_halves(struct control *c, const struct ike_start *start)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->halves_by_spi, &w); n != NULL;
	     n = hmap_walk_next(&c->halves_by_spi, &w)) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, by_spi);
		if (h->h.start != start)
			continue;
		if (h->busy)
			h->stale = true;
		else
			control_site_drop_half(c, h);
	}
}

static struct control_starter *find_starter(const struct control *c, const struct conf_tunnel *conf)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL; n = hmap_walk_next(&c->tunnels, &w)) {
		struct control_starter *s = CONTAINER_OF(n, struct control_tunnel, by_id)->starter;
		if (s != NULL && s->conf == conf)
			return s;
	}
	return NULL;
}

/* One that had no way to its gateway until now. */
static void begin_late(struct control *c, const struct conf_tunnel *conf)
{
	if (add_tunnel(c, conf) != ERR_NONE) {
		log_error("tunnel %s cannot be set up", conf->name);
		return;
	}
	struct control_starter *s = find_starter(c, conf);
	s->tunnel->account->dirty = true;
	control_config_publish(c);
	control_attempt_wait(c, s);
}

void control_move(struct control *c, unsigned tunnel)
{
	const struct conf_tunnel *conf = &c->cfg.site->tunnels[tunnel];
	struct control_starter *s = find_starter(c, conf);

	if (s == NULL) {
		begin_late(c, conf);
		return;
	}
	fill_start(conf, s->tunnel, &s->ike);
	drop_halves(c, &s->ike);
	for (struct control_sa *sa = s->tunnel->sas; sa != NULL; sa = sa->next)
		control_site_follow(c, sa);
}

/* ---- the mapping of a NAT before us (RFC 3948 4) ---- */

static void send_keepalive(struct control *c, const struct control_sa *sa)
{
	struct ike_sa r;

	if (!sa->r.path.udp_encap)
		return;
	control_record_read(&sa->r, &r);
	if (r.nat_local)
		control_keepalive(c, &r.path);
	ike_sa_wipe(&r);
}

/* Every ESP packet keeps it as well. */
static void keep_mapping(struct control *c, const struct control_tunnel *t)
{
	struct control_starter *s = t->starter;
	const struct control_sa *sa = t->sas;
	struct fwd_tunnel_stats stats;

	while (sa != NULL && (sa->r.state != IKE_STATE_ESTABLISHED || sa->r.closing))
		sa = sa->next;
	if (sa == NULL || fwd_tunnel_stats(c->fwd, &t->id, &stats) != ERR_NONE)
		return;
	if (stats.out_packets == s->sent_packets) {
		if (c->now_us - s->sent_us < c->cfg.site->nat_keepalive * (uint64_t)1000000)
			return;
		send_keepalive(c, sa);
	}
	s->sent_packets = stats.out_packets;
	s->sent_us = c->now_us;
}

static void keep_mappings(struct control *c)
{
	struct hmap_walk w;

	if (c->cfg.site == NULL || c->cfg.site->nat_keepalive == 0 || c->now_us < c->keepalive_us)
		return;
	c->keepalive_us = c->now_us + 1000000;
	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL; n = hmap_walk_next(&c->tunnels, &w)) {
		const struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		if (t->starter != NULL)
			keep_mapping(c, t);
	}
}

/* ---- the end ---- */

void control_site_leave(struct control *c)
{
	struct hmap_walk w;

	c->end_us = c->now_us + LEAVE_US;
	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w)) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		if (sa->r.state != IKE_STATE_CLOSED)
			control_sa_close(c, sa, MODEL_FAILURE_CNT);
	}
}

bool control_site_left(const struct control *c)
{
	struct hmap_walk w;

	if (c->now_us >= c->end_us)
		return true;
	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w)) {
		const struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		if (sa->r.state != IKE_STATE_CLOSED || sa->busy)
			return false;
	}
	return true;
}

void control_site_timers(struct control *c)
{
	struct heap_node *n;

	follow_all(c);
	keep_mappings(c);
	if (c->end_us != 0)
		return;
	while ((n = heap_first(&c->fresh_starts)) != NULL && n->at <= c->now_us)
		heap_remove(&c->fresh_starts, n);
	while ((n = heap_first(&c->waiting_starts)) != NULL && n->at <= c->now_us && c->fresh_starts.cnt < FRESH_MAX)
		begin_attempt(c, CONTAINER_OF(n, struct control_starter, waiting));
}

uint64_t control_site_next_us(const struct control *c)
{
	const struct heap_node *waiting = heap_first(&c->waiting_starts), *fresh = heap_first(&c->fresh_starts);
	bool room = c->fresh_starts.cnt < FRESH_MAX;

	if (c->end_us != 0)
		return c->end_us;
	if (c->astray)
		return c->now_us;
	if (room)
		return waiting == NULL ? UINT64_MAX : waiting->at;
	return fresh->at;
}

void control_site_begin(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); n != NULL; n = hmap_walk_next(&c->tunnels, &w)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		if (t->starter == NULL)
			continue;
		for (struct control_sa *sa = t->sas; sa != NULL; sa = sa->next)
			control_site_follow(c, sa);
		if (control_tunnel_stands(t))
			start_machine_up(&t->starter->machine, c->now_us);
		else
			control_attempt_wait(c, t->starter);
	}
}
