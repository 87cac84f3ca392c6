#include "net.h"

#include <stdlib.h>

#define LATENCY_US 10000u
#define LATE_US 700000u
#define PEER_RESEND_US 1000000u
#define PEER_TRIES_MAX 12

void net_options(struct peer_options *o)
{
	static const char id[] = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2.1234567.ipsec.example.net";

	peer_options_init(o);
	o->id_type = IKE_ID_FQDN;
	o->id_len = sizeof(id) - 1;
	memcpy(o->id, id, sizeof(id) - 1);
	must(secret_set(&o->psk, bytes_str("correct horse battery staple")) == ERR_NONE);
	must(addr_parse(bytes_str("198.51.100.7"), &o->local.addr) == ERR_NONE);
	must(addr_parse(bytes_str("192.0.2.1"), &o->remote.addr) == ERR_NONE);
	o->local.port = o->remote.port = IKE_PORT;
	o->ask_name = "some.other.name"; /* tolerated */
}

void net_init(struct net *n, const struct peer_options *o)
{
	memset(n, 0, sizeof(*n));
	gateway_init(&n->g);
	peer_init(&n->p, o);
	n->log = calloc(NET_LOG_MAX, sizeof(*n->log));
	must(n->log != NULL);
}

void net_fini(struct net *n)
{
	gateway_fini(&n->g);
	peer_fini(&n->p);
	free(n->log);
}

/* ---- the wire ---- */

static void fly(struct net *n, const struct net_datagram *d, uint64_t delay_us)
{
	must(n->flight_cnt < NET_FLIGHT_MAX);
	struct net_datagram *f = &n->flight[n->flight_cnt++];
	*f = *d;
	f->at_us = n->g.now_us + delay_us;
}

static void put_on_wire(struct net *n, const struct net_datagram *d)
{
	enum net_fault fault = n->fault == NULL ? NET_FINE : n->fault(n->fault_arg, n->sent, d->to_gateway);

	n->sent++;
	switch (fault) {
	case NET_FINE:
		fly(n, d, LATENCY_US);
		break;
	case NET_DROP:
		break;
	case NET_TWICE:
		fly(n, d, LATENCY_US);
		fly(n, d, LATENCY_US + 1);
		break;
	case NET_LATE:
		fly(n, d, LATE_US);
		break;
	case NET_TWICE_LATE:
		fly(n, d, LATENCY_US);
		fly(n, d, LATE_US);
		break;
	}
}

static void send_from_peer(struct net *n, struct bytes list)
{
	struct bytes msg;

	while (peer_next(&list, &msg)) {
		struct net_datagram d = { .to_gateway = true, .from = n->p.local, .to = n->p.remote, .len = msg.len };
		if (n->peer_seen.addr.family != ADDR_NONE)
			d.from = n->peer_seen;
		must(msg.len <= sizeof(d.b));
		memcpy(d.b, msg.p, msg.len);
		put_on_wire(n, &d);
	}
}

static void send_from_gateway(struct net *n)
{
	for (unsigned i = 0; i < n->g.out_cnt; i++) {
		const struct gateway_datagram *o = &n->g.out[i];
		struct net_datagram d = { .from = o->local, .to = o->remote, .len = o->len };
		memcpy(d.b, o->b, o->len);
		put_on_wire(n, &d);
	}
	n->g.out_cnt = 0;
}

/* A datagram reaches the peer only at the address that it has. */
static bool reaches_peer(const struct net *n, const struct net_datagram *d)
{
	const struct addr_endpoint *at = n->peer_seen.addr.family != ADDR_NONE ? &n->peer_seen : &n->p.local;
	return addr_eq(&d->to.addr, &at->addr);
}

static void deliver(struct net *n, struct net_datagram *d)
{
	unsigned which;

	if (d->to_gateway) {
		if (n->log_cnt < NET_LOG_MAX)
			n->log[n->log_cnt++] = *d;
		gateway_input(&n->g, &d->to, &d->from, bytes_of(d->b, d->len));
		send_from_gateway(n);
		return;
	}
	if (!reaches_peer(n, d))
		return;
	enum peer_event e = peer_input(&n->p, bytes_of(d->b, d->len), &which);
	if (e != PEER_EV_IGNORED)
		n->last = e;
	if (e == PEER_EV_ANSWER)
		send_from_peer(n, bytes_of(n->p.ike[which].answer, n->p.ike[which].answer_len));
	if (e == PEER_EV_AGAIN)
		n->peer_tries[0] = 0, n->peer_resend_us[0] = 0;
}

/* ---- time ---- */

static void peer_timers(struct net *n)
{
	for (unsigned i = 0; i < 2; i++) {
		struct peer_ike *sa = &n->p.ike[i];
		if (sa->step == PEER_IDLE) {
			n->peer_tries[i] = 0;
			n->peer_resend_us[i] = 0;
			continue;
		}
		if (n->peer_resend_us[i] > n->g.now_us)
			continue;
		if (n->peer_tries[i]++ == PEER_TRIES_MAX) {
			sa->step = PEER_IDLE;
			n->dead++;
			continue;
		}
		n->peer_resend_us[i] = n->g.now_us + PEER_RESEND_US;
		send_from_peer(n, bytes_of(sa->request, sa->request_len));
	}
}

static uint64_t next_event(const struct net *n)
{
	uint64_t at = gateway_next_us(&n->g);

	for (unsigned i = 0; i < n->flight_cnt; i++)
		at = n->flight[i].at_us < at ? n->flight[i].at_us : at;
	for (unsigned i = 0; i < 2; i++)
		if (n->p.ike[i].step != PEER_IDLE && n->peer_resend_us[i] < at)
			at = n->peer_resend_us[i];
	return at;
}

/* One thing happens at the earliest time; false when that lies behind the limit. */
static bool tick(struct net *n, uint64_t limit_us)
{
	uint64_t at = next_event(n);

	if (at > limit_us)
		return false;
	if (at > n->g.now_us)
		n->g.now_us = at;
	for (unsigned i = 0; i < n->flight_cnt; i++) {
		if (n->flight[i].at_us > n->g.now_us)
			continue;
		struct net_datagram d = n->flight[i];
		n->flight[i] = n->flight[--n->flight_cnt];
		deliver(n, &d);
		return true;
	}
	peer_timers(n);
	gateway_timers(&n->g);
	send_from_gateway(n);
	return true;
}

static bool gateway_asks(const struct net *n)
{
	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++)
		if (n->g.sas[i].used && gateway_sa(&n->g, n->g.sas[i].spi).request.kind != IKE_REQUEST_NONE)
			return true;
	return false;
}

bool net_run(struct net *n)
{
	unsigned dead = n->dead;

	for (unsigned i = 0; i < 2; i++)
		n->peer_tries[i] = 0, n->peer_resend_us[i] = 0;
	send_from_gateway(n);
	for (unsigned i = 0; i < 100000; i++) {
		bool waiting = n->flight_cnt > 0 || n->p.ike[0].step != PEER_IDLE || n->p.ike[1].step != PEER_IDLE ||
			       gateway_asks(n);
		if (!waiting)
			return n->dead == dead;
		(void)tick(n, UINT64_MAX);
	}
	must(false);
	return false;
}

void net_sleep(struct net *n, uint64_t us)
{
	uint64_t until = n->g.now_us + us;

	send_from_gateway(n);
	while (tick(n, until))
		;
	n->g.now_us = until;
}

bool net_up(struct net *n)
{
	peer_start_init(&n->p);
	if (!net_run(n) || n->p.notify != 0)
		return false;
	peer_start_auth(&n->p);
	return net_run(n) && n->p.ike[0].up;
}

void net_must_up(struct net *n)
{
	must(net_up(n) && n->p.notify == 0);
}

/* ---- what must hold ---- */

static void check_ike(const struct net *n, const struct peer_ike *sa, enum ike_state state)
{
	struct ike_sa g = gateway_sa(&n->g, sa->spi_r);
	const struct peer_keys *k = &sa->keys;

	must(g.state == state && g.spi_i == sa->spi_i && g.auth_verified);
	must(g.suite.encr == sa->suite.encr && g.suite.key_bits == sa->suite.key_bits && g.suite.prf == sa->suite.prf &&
	     g.suite.integ == sa->suite.integ && g.suite.group == sa->suite.group);
	must(memcmp(g.keys.d, k->d, sizeof(k->d)) == 0 && memcmp(g.keys.ai, k->ai, sizeof(k->ai)) == 0 &&
	     memcmp(g.keys.ar, k->ar, sizeof(k->ar)) == 0 && memcmp(g.keys.ei, k->ei, sizeof(k->ei)) == 0 &&
	     memcmp(g.keys.er, k->er, sizeof(k->er)) == 0 && memcmp(g.keys.pi, k->pi, sizeof(k->pi)) == 0 &&
	     memcmp(g.keys.pr, k->pr, sizeof(k->pr)) == 0);
	must(g.rx_next == sa->tx_next && g.tx_next == sa->rx_next && g.request.kind == IKE_REQUEST_NONE);
}

static void check_child(struct net *n, const struct peer_child *c)
{
	struct gateway_child *g = gateway_child_find(&n->g, c->spi_out);

	must(g != NULL && g->sa.spi_out == c->spi_in && g->sa.ike_spi == n->p.ike[0].spi_r);
	must(ike_esp_spi_check(&n->g.world.spi_key, g->sa.spi_in));
	must(g->sa.suite.encr == c->suite.encr && g->sa.suite.key_bits == c->suite.key_bits &&
	     g->sa.suite.integ == c->suite.integ);
	must(memcmp(g->sa.keys_in.encr, c->encr_out, sizeof(c->encr_out)) == 0 &&
	     memcmp(g->sa.keys_out.encr, c->encr_in, sizeof(c->encr_in)) == 0 &&
	     memcmp(g->sa.keys_in.integ, c->integ_out, sizeof(c->integ_out)) == 0 &&
	     memcmp(g->sa.keys_out.integ, c->integ_in, sizeof(c->integ_in)) == 0);
	must(g->sa.ts_remote_cnt == c->tsi_cnt && g->sa.ts_local_cnt == c->tsr_cnt);
	for (unsigned i = 0; i < c->tsi_cnt; i++)
		must(addr_eq(&g->sa.ts_remote[i].first, &c->tsi[i].first) &&
		     addr_eq(&g->sa.ts_remote[i].last, &c->tsi[i].last));
}

void net_check(struct net *n)
{
	unsigned established = gateway_count(&n->g, IKE_STATE_ESTABLISHED);
	unsigned rekeyed = gateway_count(&n->g, IKE_STATE_REKEYED);

	must(established == n->p.ike[0].up && rekeyed == n->p.ike[1].up);
	if (n->p.ike[0].up)
		check_ike(n, &n->p.ike[0], IKE_STATE_ESTABLISHED);
	if (n->p.ike[1].up)
		check_ike(n, &n->p.ike[1], IKE_STATE_REKEYED);
	must(n->g.child_cnt == (n->p.ike[0].up ? n->p.child_cnt : 0));
	for (unsigned i = 0; n->p.ike[0].up && i < n->p.child_cnt; i++)
		check_child(n, &n->p.child[i]);
	if (n->p.ike[0].up)
		must(gateway_sa(&n->g, n->p.ike[0].spi_r).child_cnt == n->p.child_cnt);
}

void net_check_repeats(struct net *n)
{
	n->g.out_cnt = 0;
	for (unsigned i = 0; i < n->log_cnt; i++) {
		const struct net_datagram *d = &n->log[i];
		if (d->b[18] == IKE_EX_SA_INIT)
			continue; /* after IKE_AUTH this is a new handshake, which is the half-open limit's business */
		uint64_t before = gateway_fingerprint(&n->g);
		unsigned failures = n->g.failure_cnt;
		gateway_input(&n->g, &d->to, &d->from, bytes_of(d->b, d->len));
		must(gateway_fingerprint(&n->g) == before && n->g.failure_cnt == failures);
		if (n->g.out_cnt > 0) {
			/* only the last request of an SA is answered again, with what was kept */
			struct rd r = rd_of(bytes_of(d->b + 8, 8));
			struct ike_sa sa = gateway_sa(&n->g, rd_u64(&r));
			size_t used = 0;
			for (unsigned o = 0; o < n->g.out_cnt; used += n->g.out[o++].len)
				must(used + n->g.out[o].len <= sa.reply.len &&
				     memcmp(sa.reply.b + used, n->g.out[o].b, n->g.out[o].len) == 0);
			must(used == sa.reply.len);
		}
		n->g.out_cnt = 0;
	}
}
