// Our own IKE_AUTH with a pre-shared key and the first Child SA (RFC 7296 1.2, 2.15, 2.21.2):
//
//   HDR, SK {IDi, [IDr], AUTH, SAi2, TSi, TSr, [N(INITIAL_CONTACT)], [N(MOBIKE_SUPPORTED)]}  -->
//                                <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr, [N(MOBIKE_SUPPORTED)]}
//                           or   <--  HDR, SK {IDr, AUTH, N(error)}                     the IKE SA stands
//                           or   <--  HDR, SK {N(AUTHENTICATION_FAILED)}
#include "base/secret.h"
#include "ike/exchanges.h"

/* ---- the request ---- */

static enum err put_auth(struct ike_ctx *c, struct wire_ike_builder *b)
{
	const struct ike_half *half = c->half_ret;
	const struct ike_start *start = half->start;
	uint8_t rest[4 + IKE_ID_MAX], auth[CRYPT_PRF_LEN_MAX];
	struct wr w = wr_of(SPACE_OF(rest));
	size_t len = crypt_prf_len(c->sa->suite.prf);

	wr_u8(&w, start->id_type);
	wr_zero(&w, 3);
	wr_put(&w, bytes_of(start->id, start->id_len));
	enum err e = ike_keys_auth(c->sa->suite.prf, secret_bytes(&start->peer.psk),
				   bytes_of(half->request, half->request_len), bytes_of(half->nr, half->nr_len),
				   bytes_of(c->sa->keys.pi, len), wr_bytes(&w), auth);
	if (e != ERR_NONE)
		return e;
	wire_ike_put_id(b, IKE_PL_IDI, start->id_type, bytes_of(start->id, start->id_len));
	if (start->gateway_id_type != 0)
		wire_ike_put_id(b, IKE_PL_IDR, start->gateway_id_type,
				bytes_of(start->gateway_id, start->gateway_id_len));
	wire_ike_put_auth(b, IKE_AUTH_PSK, bytes_of(auth, len));
	return ERR_NONE;
}

MUST_USE enum err ike_start_auth(struct ike_ctx *c)
{
	const struct ike_start *start = c->half->start;
	struct ike_request facts = {
		.kind = IKE_REQUEST_AUTH,
		.new_spi = ike_child_spi(c, IKE_RANDOM_OWN_SPI),
	};
	struct wire_ike_builder b;

	if (facts.new_spi == 0)
		return ERR_CONFLICT;
	ike_request_begin(c, IKE_EX_AUTH, &b);
	enum err e = put_auth(c, &b);
	if (e != ERR_NONE)
		return e;
	ike_child_put_offer(c, &b, (uint32_t)facts.new_spi, IKE_GROUP_NONE);
	ike_child_put_selectors(&b, &start->ts);
	if (start->initial_contact)
		wire_ike_put_plain_notify(&b, IKE_N_INITIAL_CONTACT, (struct bytes){ 0 });
	if (start->mobike) /* RFC 4555 3.1 */
		wire_ike_put_plain_notify(&b, IKE_N_MOBIKE_SUPPORTED, (struct bytes){ 0 });
	return ike_request_commit(c, &b, &facts) ? ERR_NONE : ERR_CRYPTO;
}

/* ---- the answer ---- */

/* No SA: the failure says why. */
static struct model_failure *end_start(struct ike_ctx *c, enum model_failure_code code)
{
	ike_out_count(c->out, MODEL_COUNTER_ike_failed);
	return ike_out_fail(c->out, c->ev, c->sa, code, MODEL_STAGE_AUTH);
}

static void say_id(char *text, size_t cap, uint8_t type, struct bytes id)
{
	char name[MODEL_IDENTITY_TEXT_MAX];

	model_identity_print(type, id, name);
	ike_text_add(text, cap, "%s", name);
}

/* The gateway did not take our AUTH: what we called ourselves is half of what has to agree. */
static enum ike_state be_refused(struct ike_ctx *c, uint16_t type)
{
	const struct ike_start *start = c->half->start;
	struct model_failure *f = end_start(c, MODEL_FAILURE_AUTH_REFUSED);

	if (type != 0)
		ike_text_notify(f->offered, sizeof(f->offered), type);
	else
		ike_text_add(f->offered, sizeof(f->offered), "neither AUTH nor an error");
	say_id(f->allowed, sizeof(f->allowed), start->id_type, bytes_of(start->id, start->id_len));
	if (start->gateway_id_type == 0)
		return IKE_STATE_HALF_OPEN;
	ike_text_add(f->allowed, sizeof(f->allowed), ", and asked for ");
	say_id(f->allowed, sizeof(f->allowed), start->gateway_id_type,
	       bytes_of(start->gateway_id, start->gateway_id_len));
	return IKE_STATE_HALF_OPEN;
}

/* RFC 7296 2.21.2: the gateway believes that the SA stands; it is told, once. */
static enum ike_state reject_gateway(struct ike_ctx *c, enum model_failure_code code, const char *what)
{
	struct wire_ike_builder b;
	const struct ike_request facts = { .kind = IKE_REQUEST_LIVENESS };

	ike_request_done(c->sa);
	ike_request_begin(c, IKE_EX_INFORMATIONAL, &b);
	wire_ike_put_plain_notify(&b, IKE_N_AUTHENTICATION_FAILED, (struct bytes){ 0 });
	(void)ike_request_commit(c, &b, &facts);
	struct model_failure *f = end_start(c, code);
	ike_text_add(f->offered, sizeof(f->offered), "%s", what);
	return IKE_STATE_HALF_OPEN;
}

static enum ike_state reject_identity(struct ike_ctx *c, const struct wire_ike_id *idr)
{
	const struct ike_start *start = c->half->start;
	char name[MODEL_IDENTITY_TEXT_MAX];

	model_identity_print(idr->type, idr->data, name);
	enum ike_state next = reject_gateway(c, MODEL_FAILURE_WRONG_GATEWAY, name);
	char *expected = c->out->failure.allowed;
	if (start->gateway_id_type != 0)
		say_id(expected, MODEL_FAILURE_DETAIL_MAX, start->gateway_id_type,
		       bytes_of(start->gateway_id, start->gateway_id_len));
	else
		say_id(expected, MODEL_FAILURE_DETAIL_MAX,
		       start->remote.addr.family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR,
		       addr_bytes(&start->remote.addr));
	return next;
}

static bool is_expected(const struct ike_start *start, const struct wire_ike_id *idr)
{
	const struct addr *remote = &start->remote.addr;

	if (start->gateway_id_type != 0)
		return idr->type == start->gateway_id_type &&
		       bytes_eq(idr->data, bytes_of(start->gateway_id, start->gateway_id_len));
	return idr->type == (remote->family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR) &&
	       bytes_eq(idr->data, addr_bytes(remote));
}

static bool auth_matches(struct ike_ctx *c, const struct wire_ike_id *idr, struct bytes auth)
{
	const struct ike_half *half = c->half;
	uint8_t good[CRYPT_PRF_LEN_MAX] = { 0 };
	size_t len = crypt_prf_len(c->sa->suite.prf);

	enum err e = ike_keys_auth(c->sa->suite.prf, secret_bytes(&half->start->peer.psk),
				   bytes_of(half->response, half->response_len), bytes_of(half->ni, half->ni_len),
				   bytes_of(c->sa->keys.pr, len), idr->rest, good);
	bool same = bytes_eq_ct(auth, bytes_of(good, len));
	secret_wipe(good, sizeof(good));
	return e == ERR_NONE && same;
}

static void fill_record(struct ike_ctx *c, const struct wire_ike_id *idr)
{
	const struct model_tunnel_onramp *settings = &c->half->start->peer.settings;
	struct ike_sa *sa = c->sa;
	struct bytes id = idr->data;
	struct wr w = wr_of(SPACE_OF(sa->id));
	struct wire_ike_notify n;

	if (id.len > sizeof(sa->id))
		id.len = sizeof(sa->id);
	wr_put(&w, id);
	sa->id_type = idr->type;
	sa->id_len = (uint16_t)id.len;
	sa->auth_verified = true;
	sa->mobike = c->half->start->mobike && wire_ike_notify_find(&c->in, IKE_N_MOBIKE_SUPPORTED, &n);
	sa->dpd_delay_s = settings->dpd_delay_s;
	sa->child_lifetime_s = settings->child_lifetime_s;
	sa->ike_lifetime_s = settings->ike_lifetime_s;
	sa->created_us = c->ev->now_us;
	sa->expires_us = c->ev->now_us + sa->ike_lifetime_s * (uint64_t)1000000;
	sa->rekey_us = ike_duty_soft(c, sa->ike_lifetime_s, IKE_RANDOM_JITTER);
}

/* RFC 7296 1.2: without the Child SA the IKE SA stands; it is asked for again later. */
static void miss_child(struct ike_ctx *c, const char *what, uint16_t notify)
{
	struct model_failure *f =
		ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_CHILD_REFUSED, MODEL_STAGE_CHILD);

	if (what != NULL)
		ike_text_add(f->offered, sizeof(f->offered), "%s", what);
	else
		ike_text_notify(f->offered, sizeof(f->offered), notify);
	if (what == NULL && notify == IKE_N_NO_PROPOSAL_CHOSEN)
		ike_select_explain_own(MODEL_PHASE_CHILD, c->sa, ike_rows(c->world, c->sa, MODEL_PHASE_CHILD), false, f);
	else if (what == NULL && notify == IKE_N_TS_UNACCEPTABLE)
		ike_ts_lists_text(&c->half->start->ts, f->allowed, sizeof(f->allowed));
	c->sa->new_child_us = ike_duty_again(c, c->sa->child_tries++);
}

static void take_first_child(struct ike_ctx *c, const struct ike_request *q)
{
	const struct ike_half *half = c->half;
	struct ike_child_plan plan;
	struct wire_ike_notify n;
	const char *what;
	uint32_t spi;

	if (ike_refusal_of(&c->in, &n) != 0) {
		miss_child(c, NULL, n.type);
		return;
	}
	if (!ike_child_take(c, q, &half->start->ts, &plan, &what)) {
		miss_child(c, what, 0);
		ike_child_disown(c, (uint32_t)q->new_spi, 0);
		return;
	}
	if (ike_child_add(c, &plan, bytes_of(half->ni, half->ni_len), bytes_of(half->nr, half->nr_len),
			  (struct bytes){ 0 }, &spi) != ERR_NONE) {
		miss_child(c, "keys could not be made", 0);
		ike_child_disown(c, (uint32_t)q->new_spi, 0);
		return;
	}
	ike_out_add(c->out, IKE_ACT_CHILD_PROVEN)->spi = spi;
}

enum ike_state ike_start_auth_response(struct ike_ctx *c)
{
	const struct wire_ike_payload *id_payload = wire_ike_find(&c->in, IKE_PL_IDR, 0);
	const struct wire_ike_payload *auth_payload = wire_ike_find(&c->in, IKE_PL_AUTH, 0);
	struct ike_request q = c->sa->request;
	struct wire_ike_auth auth;
	struct wire_ike_notify n;
	struct wire_ike_id idr;

	if (auth_payload == NULL)
		return be_refused(c, ike_refusal_of(&c->in, &n));
	if (id_payload == NULL || wire_ike_id_parse(id_payload->body, &idr) != ERR_NONE ||
	    wire_ike_auth_parse(auth_payload->body, &auth) != ERR_NONE)
		return reject_gateway(c, MODEL_FAILURE_BAD_MESSAGE, "an IKE_AUTH answer without a good IDr or AUTH");
	if (auth.method != IKE_AUTH_PSK) {
		char what[32] = "";
		ike_text_add(what, sizeof(what), "AUTH by method %u", auth.method);
		return reject_gateway(c, MODEL_FAILURE_NOT_PSK, what);
	}
	if (!auth_matches(c, &idr, auth.data)) {
		char name[MODEL_IDENTITY_TEXT_MAX];
		model_identity_print(idr.type, idr.data, name);
		return reject_gateway(c, MODEL_FAILURE_WRONG_PSK, name);
	}
	if (!is_expected(c->half->start, &idr))
		return reject_identity(c, &idr);
	ike_request_done(c->sa);
	fill_record(c, &idr);
	take_first_child(c, &q);
	ike_out_count(c->out, MODEL_COUNTER_ike_established);
	ike_inform_next(c);
	secret_wipe(&q, sizeof(q));
	return IKE_STATE_ESTABLISHED;
}
