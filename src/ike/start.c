// Our own IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.23):
//
//   HDR, [N(COOKIE)], SAi1, KEi, Ni, N(NAT_DETECTION_*)  -->
//                                <--  HDR, SAr1, KEr, Nr, [N(NAT_DETECTION_*)]         then IKE_AUTH is sent
//                           or   <--  HDR, N(COOKIE) or N(INVALID_KE_PAYLOAD)          then once more
//                           or   <--  HDR, N(NO_PROPOSAL_CHOSEN) or another error
#include "base/secret.h"
#include "ike/exchanges.h"

#define RESTARTS_MAX 4      /* cookies and other groups in a row */
#define REFUSED_WAIT_US 2000000u

static struct ike_offer offer_of(const struct ike_half *half)
{
	return (struct ike_offer){
		.phase = MODEL_PHASE_IKE,
		.profile = half->start->peer.settings.profile,
		.rows = half->start->ike_rows,
		.ke_group = half->group,
	};
}

/* ---- the request ---- */

/* RFC 7296 2.23: a hash that cannot fit makes the gateway see a NAT, so that it puts ESP in UDP. */
static enum err put_natd(const struct ike_half *half, struct wire_ike_builder *b)
{
	const struct ike_start *start = half->start;
	struct addr_endpoint own = start->local;

	if (start->encap == IKE_ENCAP_FORCED)
		own.port = 0;
	return ike_natd_put(b, half->sa.spi_i, 0, &own, &start->remote);
}

/* Into half->request. */
static enum err build_request(struct ike_half *half, struct bytes public)
{
	const struct ike_offer offer = offer_of(half);
	uint8_t room[IKE_INIT_MAX];
	struct wire_ike_builder b;
	struct wire_ike_sa sa;
	struct bytes msg;

	wire_ike_begin(&b, SPACE_OF(room), &(struct wire_ike_header){
		.spi_i = half->sa.spi_i,
		.major = 2,
		.exchange = IKE_EX_SA_INIT,
		.flags = IKE_FLAG_INITIATOR,
	});
	if (half->cookie_len != 0) /* RFC 7296 2.6: the first payload */
		wire_ike_put_plain_notify(&b, IKE_N_COOKIE, bytes_of(half->cookie, half->cookie_len));
	ike_offer_build(&offer, &sa);
	wire_ike_put_sa(&b, &sa);
	wire_ike_put_ke(&b, half->group, public);
	wire_ike_put_nonce(&b, bytes_of(half->ni, half->ni_len));
	wire_ike_put_plain_notify(&b, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, (struct bytes){ 0 });
	enum err e = put_natd(half, &b);
	if (e == ERR_NONE)
		e = wire_ike_finish(&b, &msg);
	if (e != ERR_NONE)
		return e;
	struct wr w = wr_of(SPACE_OF(half->request));
	wr_put(&w, msg);
	half->request_len = (uint16_t)msg.len;
	return ERR_NONE;
}

static void send_request(const struct ike_event *ev, struct ike_half *half, struct ike_out *out)
{
	struct wr w = wr_of(SPACE_OF(out->room[1]));

	wr_put(&w, bytes_of(half->request, half->request_len));
	half->tries++;
	half->resend_us = ev->now_us + ike_resend_delay(half->tries);
	ike_out_send(out, wr_bytes(&w), &half->start->local, &half->start->remote);
}

static void want_dh(struct ike_out *out, const struct ike_dh_job *job)
{
	ike_out_reset(out);
	ike_out_add(out, IKE_ACT_DH)->dh = *job;
}

/* True when ev->dh is a key pair of the group; else the step asks for one. */
static bool have_key_pair(const struct ike_event *ev, struct ike_out *out, uint16_t group)
{
	if (ev->dh == NULL) {
		want_dh(out, &(struct ike_dh_job){ .op = IKE_DH_GENERATE, .group = group });
		return false;
	}
	return ev->dh->private_len != 0 && ev->dh->public_len == crypt_dh_public_len(group);
}

static void keep_private(struct ike_half *half, const struct crypt_dh_result *dh)
{
	struct wr w = wr_of(SPACE_OF(half->private));

	wr_put(&w, bytes_of(dh->private, dh->private_len));
	half->private_len = dh->private_len;
}

void ike_start_step(const struct ike_world *world, const struct ike_start *start, const struct ike_event *ev,
		    struct ike_half *ret, struct ike_out *out)
{
	const struct ike_offer any = { .phase = MODEL_PHASE_IKE, .profile = start->peer.settings.profile,
				       .rows = start->ike_rows };
	struct ike_half half = { .start = start, .group = ike_offer_first_group(&any), .ni_len = IKE_NONCE_LEN };
	struct wr ni = wr_of(SPACE_OF(half.ni));

	ike_out_reset(out);
	must(ev->kind == IKE_EV_START && start->ts.local_cnt <= MODEL_TS_MAX && start->ts.remote_cnt <= MODEL_TS_MAX);
	if (!have_key_pair(ev, out, half.group))
		return;
	half.sa = (struct ike_sa){
		.spi_i = ike_spi_make(&world->spi_key, world->node_slot, &ev->random[IKE_RANDOM_SPI]),
		.role = IKE_INITIATOR,
		.state = IKE_STATE_HALF_OPEN,
		.account_id = start->peer.account_id,
		.tunnel_id = start->peer.tunnel_id,
		.account_number = start->peer.account_number,
		.path = { .local = start->local, .remote = start->remote },
		.start_port = start->remote.port,
		.started = true,
		.encap = start->encap,
		.allow_null = start->peer.allow_null,
		.allow_esn = start->peer.allow_esn,
		.profile = start->peer.settings.profile,
		.pfs = start->pfs,
		.tx_next = 1, /* this is 0 (RFC 7296 2.2) */
		.created_us = ev->now_us,
		.last_in_us = ev->now_us,
	};
	half.expires_us = half.sa.expires_us = ev->now_us + 2 * (uint64_t)IKE_HALF_OPEN_US;
	wr_put(&ni, bytes_of(&ev->random[IKE_RANDOM_OWN_NONCE], IKE_NONCE_LEN));
	keep_private(&half, ev->dh);
	if (build_request(&half, bytes_of(ev->dh->public, ev->dh->public_len)) == ERR_NONE) {
		send_request(ev, &half, out);
		*ret = half;
		out->has_half = true;
	}
	secret_wipe(&half, sizeof(half));
}

/* ---- answers that ask for another request ---- */

static void drop(struct ike_ctx *c, enum model_drop reason)
{
	ike_out_reset(c->out);
	ike_out_drop(c->out, reason);
	c->drop = true;
}

/* The public value of the request that was sent: it stays with its private one. */
static bool own_public(const struct ike_half *half, struct wire_ike_ke *ret)
{
	struct wire_ike_payloads own;
	struct wire_ike_header h;
	struct bytes msg = bytes_of(half->request, half->request_len);
	struct rd r = rd_of(msg);

	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	return wire_ike_header_parse(msg, &h) == ERR_NONE &&
	       wire_ike_payloads_parse(h.next, rd_rest(&r), &own) == ERR_NONE &&
	       wire_ike_find(&own, IKE_PL_KE, 0) != NULL &&
	       wire_ike_ke_parse(wire_ike_find(&own, IKE_PL_KE, 0)->body, ret) == ERR_NONE;
}

static bool may_restart(struct ike_ctx *c)
{
	if (c->half->restarts < RESTARTS_MAX)
		return true;
	drop(c, MODEL_DROP_ike_unexpected);
	return false;
}

static void restart(struct ike_ctx *c, struct bytes public)
{
	struct ike_half *half = c->half_ret;
	uint8_t room[CRYPT_DH_PUBLIC_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	wr_put(&w, public); /* it may lie in the request that is made anew */
	half->restarts++;
	half->tries = 0;
	if (w.bad || build_request(half, wr_bytes(&w)) != ERR_NONE) {
		drop(c, MODEL_DROP_ike_busy);
		return;
	}
	send_request(c->ev, half, c->out);
	c->has_half = true;
}

static void take_cookie(struct ike_ctx *c, struct bytes cookie)
{
	struct ike_half *half = c->half_ret;
	struct wr w = wr_of(SPACE_OF(half->cookie));
	struct wire_ike_ke ke;

	if (!may_restart(c))
		return;
	if (cookie.len == 0 || cookie.len > sizeof(half->cookie) || !own_public(half, &ke)) {
		drop(c, MODEL_DROP_ike_malformed);
		return;
	}
	wr_put(&w, cookie);
	half->cookie_len = (uint8_t)cookie.len;
	restart(c, ke.data);
}

static void take_other_group(struct ike_ctx *c, struct bytes data)
{
	struct ike_half *half = c->half_ret;
	const struct ike_offer offer = offer_of(half);
	struct rd r = rd_of(data);
	uint16_t group = rd_u16(&r);

	if (!may_restart(c))
		return;
	/* RFC 7296 1.2: only one that was offered; the one that was sent cannot be wrong. */
	if (!rd_done(&r) || group == half->group || !ike_offer_has_group(&offer, group)) {
		drop(c, MODEL_DROP_ike_malformed);
		return;
	}
	if (!have_key_pair(c->ev, c->out, group))
		return;
	half->group = group;
	keep_private(half, c->ev->dh);
	restart(c, bytes_of(c->ev->dh->public, c->ev->dh->public_len));
}

/* RFC 7296 2.21.1: nothing proves who said no, so the real answer may still come, for a short while. */
static void take_refusal(struct ike_ctx *c, uint16_t type)
{
	struct ike_half *half = c->half_ret;
	enum model_failure_code code =
		type == IKE_N_NO_PROPOSAL_CHOSEN ? MODEL_FAILURE_START_NO_PROPOSAL : MODEL_FAILURE_START_REFUSED;

	half->tries = IKE_TRIES_MAX;
	half->resend_us = c->ev->now_us + REFUSED_WAIT_US;
	half->refused = true;
	c->has_half = true;
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, code, MODEL_STAGE_SA_INIT);
	ike_text_notify(f->offered, sizeof(f->offered), type);
	if (type == IKE_N_NO_PROPOSAL_CHOSEN)
		ike_select_explain_own(MODEL_PHASE_IKE, c->sa, c->half->start->ike_rows, true, f);
}

/* ---- the answer ---- */

struct init_answer {
	struct bytes nr;
	struct wire_ike_ke ke;
	struct model_suite suite;
};

static bool read_answer(struct ike_ctx *c, struct init_answer *ret)
{
	const struct ike_offer offer = offer_of(c->half);
	uint64_t no_spi;
	uint8_t type;

	return ike_rules_check(IKE_EX_SA_INIT, true, &c->in, &type) == 0 && c->h.spi_r != 0 &&
	       wire_ike_nonce_parse(wire_ike_find(&c->in, IKE_PL_NONCE, 0)->body, &ret->nr) == ERR_NONE &&
	       wire_ike_ke_parse(wire_ike_find(&c->in, IKE_PL_KE, 0)->body, &ret->ke) == ERR_NONE &&
	       ike_offer_take(&offer, wire_ike_find(&c->in, IKE_PL_SA, 0)->body, &ret->suite, &no_spi) &&
	       ret->suite.group == c->half->group && ret->ke.group == c->half->group &&
	       ret->ke.data.len == crypt_dh_public_len(c->half->group);
}

/* RFC 7296 2.23: on 4500, with ESP in UDP, as soon as a NAT is seen. RFC 4555 3.3: who may move goes there without one,
 * for there may be one on the next path. */
static void take_path(struct ike_ctx *c, const struct ike_natd *natd)
{
	const struct ike_start *start = c->half->start;
	struct ike_sa *sa = c->sa;
	bool nat = natd->present && (natd->nat_peer || natd->nat_local);

	sa->nat_peer = natd->nat_peer;
	sa->nat_local = natd->nat_local;
	sa->path.udp_encap = start->encap == IKE_ENCAP_FORCED || (start->encap == IKE_ENCAP_AUTO && nat);
	bool may_move = start->mobike && natd->present && start->encap != IKE_ENCAP_NATIVE;
	if (sa->path.udp_encap || may_move)
		sa->path.local.port = sa->path.remote.port = IKE_NATT_PORT;
}

static enum err take_keys(struct ike_ctx *c, const struct init_answer *a)
{
	struct ike_half *half = c->half_ret;
	struct wr nr = wr_of(SPACE_OF(half->nr)), response = wr_of(SPACE_OF(half->response));
	struct wire_ike_notify n;
	struct ike_natd natd;

	enum err e = ike_natd_judge(&c->in, &c->h, c->ev, &natd);
	if (e != ERR_NONE)
		return e;
	wr_put(&nr, a->nr);
	wr_put(&response, c->ev->msg);
	half->nr_len = (uint16_t)a->nr.len;
	half->response_len = (uint16_t)c->ev->msg.len;
	secret_wipe(half->private, sizeof(half->private));
	half->private_len = 0;
	c->sa->spi_r = c->h.spi_r;
	c->sa->suite = a->suite;
	c->sa->fragments = wire_ike_notify_find(&c->in, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, &n); /* RFC 7383 2.3 */
	c->sa->last_in_us = c->ev->now_us;
	ike_natd_seen_as(&c->in, c->sa->seen_as);
	take_path(c, &natd);
	return ike_keys_of_init(&c->sa->suite, bytes_of(half->ni, half->ni_len), a->nr,
				bytes_of(c->ev->dh->secret, c->ev->dh->secret_len), c->sa->spi_i, c->sa->spi_r,
				&c->sa->keys);
}

static void take_answer(struct ike_ctx *c)
{
	struct init_answer a;

	if (!read_answer(c, &a)) {
		drop(c, MODEL_DROP_ike_malformed);
		return;
	}
	if (c->ev->dh == NULL) {
		want_dh(c->out, &(struct ike_dh_job){ .op = IKE_DH_DERIVE, .group = c->half->group,
						      .peer_public = a.ke.data,
						      .private = bytes_of(c->half->private, c->half->private_len) });
		return;
	}
	if (c->ev->dh->secret_len == 0) { /* RFC 6989 2.5 */
		drop(c, MODEL_DROP_ike_malformed);
		(void)ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_BAD_KE, MODEL_STAGE_SA_INIT);
		return;
	}
	if (take_keys(c, &a) != ERR_NONE || ike_start_auth(c) != ERR_NONE) {
		drop(c, MODEL_DROP_ike_busy);
		return;
	}
	c->has_half = true;
}

/* What can be said of an unprotected answer. */
static bool accept_message(struct ike_ctx *c)
{
	const struct ike_event *ev = c->ev;
	struct rd r = rd_of(ev->msg);

	if (ev->msg.len > IKE_INIT_MAX || wire_ike_header_parse(ev->msg, &c->h) != ERR_NONE || c->h.major != 2) {
		drop(c, MODEL_DROP_ike_malformed);
		return false;
	}
	if (c->h.spi_i != c->sa->spi_i) {
		drop(c, MODEL_DROP_ike_unknown_spi);
		return false;
	}
	if (c->h.exchange != IKE_EX_SA_INIT || (c->h.flags & IKE_FLAG_RESPONSE) == 0 ||
	    (c->h.flags & IKE_FLAG_INITIATOR) != 0 || c->h.msg_id != 0) {
		drop(c, MODEL_DROP_ike_unexpected);
		return false;
	}
	if (!addr_eq(&ev->local.addr, &c->sa->path.local.addr) ||
	    !addr_eq(&ev->remote.addr, &c->sa->path.remote.addr)) {
		drop(c, MODEL_DROP_ike_address);
		return false;
	}
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	if (wire_ike_payloads_parse(c->h.next, rd_rest(&r), &c->in) == ERR_NONE)
		return true;
	drop(c, MODEL_DROP_ike_malformed);
	return false;
}

void ike_start_message(struct ike_ctx *c)
{
	struct wire_ike_notify n;

	if (!accept_message(c))
		return;
	if (wire_ike_find(&c->in, IKE_PL_SA, 0) != NULL)
		take_answer(c);
	else if (wire_ike_notify_find(&c->in, IKE_N_COOKIE, &n))
		take_cookie(c, n.data);
	else if (wire_ike_notify_find(&c->in, IKE_N_INVALID_KE_PAYLOAD, &n))
		take_other_group(c, n.data);
	else if (ike_refusal_of(&c->in, &n) != 0 && !c->half->refused)
		take_refusal(c, n.type);
	else
		drop(c, MODEL_DROP_ike_unexpected);
}

/* ---- timer ---- */

static enum ike_state give_up(struct ike_ctx *c, enum model_stage stage)
{
	c->keep = true; /* the half-open SA goes */
	if (c->half->refused)
		return IKE_STATE_HALF_OPEN;
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_NO_ANSWER, stage);
	if (stage == MODEL_STAGE_SA_INIT)
		ike_text_add(f->offered, sizeof(f->offered), "no answer to IKE_SA_INIT on UDP %u",
			     c->sa->path.remote.port);
	else
		ike_text_add(f->offered, sizeof(f->offered), "IKE_SA_INIT was answered, IKE_AUTH on UDP %u was not",
			     c->sa->path.remote.port);
	return IKE_STATE_HALF_OPEN;
}

enum ike_state ike_start_timer(struct ike_ctx *c)
{
	struct ike_half *half = c->half_ret;
	bool init = c->sa->spi_r == 0;

	if (c->half->start == NULL) { /* a peer's: IKE_AUTH never came */
		c->keep = true;
		(void)ike_out_fail(c->out, c->ev, NULL, MODEL_FAILURE_HALF_OPEN_TIMEOUT, MODEL_STAGE_AUTH);
		return IKE_STATE_HALF_OPEN;
	}
	if (c->ev->now_us >= half->expires_us || (init ? half->tries : c->sa->request.tries) >= IKE_TRIES_MAX)
		return give_up(c, init ? MODEL_STAGE_SA_INIT : MODEL_STAGE_AUTH);
	if (init)
		send_request(c->ev, half, c->out);
	else
		ike_request_send(c);
	c->has_half = true;
	return IKE_STATE_HALF_OPEN;
}

uint64_t ike_half_timer(const struct ike_half *half)
{
	uint64_t at = half->sa.spi_r == 0 ? half->resend_us : half->sa.request.resend_us;

	if (half->start == NULL)
		return half->expires_us;
	return at < half->expires_us ? at : half->expires_us;
}
