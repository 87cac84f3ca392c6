// IKE_SA_INIT (RFC 7296 1.2):
//
//   HDR, [N(COOKIE)], SAi1, KEi, Ni, [N(NAT_DETECTION_*)]  -->
//                                <--  HDR, SAr1, KEr, Nr, [N(NAT_DETECTION_*)]
//                           or   <--  HDR, one of N(COOKIE), N(INVALID_KE_PAYLOAD), N(NO_PROPOSAL_CHOSEN)
#include "base/secret.h"
#include "ike/exchanges.h"

struct init_in {
	struct wire_ike_payloads in;
	struct wire_ike_sa offer;
	struct wire_ike_ke ke;
	struct bytes ni;
	bool proven;   /* its cookie is ours: it is where it says that it is */
	bool too_many; /* more proposals or transforms than are looked at */
};

static struct ike_ask ask_of(const struct ike_world *world, uint16_t ke_group)
{
	return (struct ike_ask){
		.phase = MODEL_PHASE_IKE,
		.ke_rule = IKE_KE_NEEDED,
		.ke_group = ke_group,
		.profiles = world->profiles,
	};
}

void ike_init_notify(const struct ike_event *ev, struct ike_out *out, const struct wire_ike_header *h, uint16_t type,
		     struct bytes data)
{
	struct wire_ike_builder b;
	struct bytes msg;

	/* RFC 7296 2.6: the responder's SPI stays zero while there is no SA. */
	wire_ike_begin(&b, SPACE_OF(out->room[0]), &(struct wire_ike_header){
		.spi_i = h->spi_i,
		.spi_r = h->spi_r,
		.major = 2,
		.exchange = h->exchange,
		.flags = IKE_FLAG_RESPONSE,
		.msg_id = h->msg_id,
	});
	wire_ike_put_plain_notify(&b, type, data);
	/* The source is not proven: never more than it sent (RFC 7296 2.21.1 leaves silence open). */
	if (wire_ike_finish(&b, &msg) == ERR_NONE && msg.len <= ev->msg.len)
		ike_out_send(out, msg, &ev->local, &ev->remote);
}

/* RFC 7296 2.5. IKEv1 is not answered at all: an answer would only keep its peer trying. */
static bool accept_version(const struct ike_event *ev, const struct wire_ike_header *h, struct ike_out *out)
{
	if (h->major == 2)
		return true;
	bool v1 = h->major == 1;
	ike_out_drop(out, v1 ? MODEL_DROP_ike_v1 : MODEL_DROP_ike_version);
	struct model_failure *f = ike_out_fail(out, ev, NULL, v1 ? MODEL_FAILURE_IKEV1 : MODEL_FAILURE_BAD_MESSAGE,
					       MODEL_STAGE_SA_INIT);
	ike_text_add(f->offered, sizeof(f->offered), "IKE version %u.%u", h->major, h->minor);
	ike_text_add(f->allowed, sizeof(f->allowed), "IKE version 2.0");
	if (h->major > 2 && (h->flags & IKE_FLAG_RESPONSE) == 0)
		ike_init_notify(ev, out, h, IKE_N_INVALID_MAJOR_VERSION, (struct bytes){ 0 });
	return false;
}

static bool accept_header(const struct ike_event *ev, struct ike_out *out, struct wire_ike_header *h)
{
	if (ev->msg.len > IKE_MESSAGE_MAX || wire_ike_header_parse(ev->msg, h) != ERR_NONE || h->spi_i == 0) {
		ike_out_drop(out, MODEL_DROP_ike_malformed);
		return false;
	}
	if (!accept_version(ev, h, out))
		return false;
	if (h->exchange != IKE_EX_SA_INIT || h->spi_r != 0) {
		ike_out_drop(out, MODEL_DROP_ike_unknown_spi);
		return false;
	}
	if ((h->flags & IKE_FLAG_RESPONSE) != 0 || (h->flags & IKE_FLAG_INITIATOR) == 0) {
		ike_out_drop(out, MODEL_DROP_ike_unexpected);
		return false;
	}
	/* RFC 7296 2.2: the first message has id 0. */
	if (h->msg_id != 0) {
		ike_out_drop(out, MODEL_DROP_ike_msgid);
		return false;
	}
	return true;
}

/* Nothing here is authenticated, so a message that is not well formed gets no answer (RFC 7296 2.21.1). */
static bool drop_malformed(const struct ike_event *ev, struct ike_out *out, const char *what)
{
	ike_out_drop(out, MODEL_DROP_ike_malformed);
	struct model_failure *f = ike_out_fail(out, ev, NULL, MODEL_FAILURE_BAD_MESSAGE, MODEL_STAGE_SA_INIT);
	ike_text_add(f->offered, sizeof(f->offered), "IKE_SA_INIT with %s", what);
	return false;
}

static bool read_payloads(const struct ike_event *ev, const struct wire_ike_header *h, struct ike_out *out,
			  struct init_in *ret)
{
	struct rd r = rd_of(ev->msg);
	uint8_t type = 0;

	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	if (ev->msg.len > IKE_INIT_MAX)
		return drop_malformed(ev, out, "more bytes than are read");
	if (wire_ike_payloads_parse(h->next, rd_rest(&r), &ret->in) != ERR_NONE)
		return drop_malformed(ev, out, "payload lengths that do not add up");
	uint16_t notify = ike_rules_check(IKE_EX_SA_INIT, false, &ret->in, &type);
	if (notify == IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD)
		ike_init_notify(ev, out, h, notify, bytes_of(&type, 1));
	if (notify != 0)
		return drop_malformed(ev, out, notify == IKE_N_INVALID_SYNTAX ? "a payload missing or there twice"
									      : "an unknown critical payload");
	if (wire_ike_nonce_parse(wire_ike_find(&ret->in, IKE_PL_NONCE, 0)->body, &ret->ni) != ERR_NONE)
		return drop_malformed(ev, out, "a nonce of a wrong length");
	if (wire_ike_ke_parse(wire_ike_find(&ret->in, IKE_PL_KE, 0)->body, &ret->ke) != ERR_NONE)
		return drop_malformed(ev, out, "a key exchange that is cut off");
	enum err e = wire_ike_sa_parse(wire_ike_find(&ret->in, IKE_PL_SA, 0)->body, &ret->offer);
	ret->too_many = e == ERR_RANGE;
	if (e != ERR_NONE && e != ERR_RANGE)
		return drop_malformed(ev, out, "proposals that cannot be read");
	return true;
}

static void ask_cookie(const struct ike_world *world, const struct ike_event *ev, const struct wire_ike_header *h,
		       const struct init_in *i, struct ike_out *out)
{
	uint8_t cookie[IKE_COOKIE_LEN];

	ike_cookie_make(world, i->ni, &ev->remote.addr, h->spi_i, cookie);
	ike_init_notify(ev, out, h, IKE_N_COOKIE, BYTES_OF(cookie));
	ike_out_drop(out, MODEL_DROP_ike_cookie);
	ike_out_count(out, MODEL_COUNTER_ike_cookies_sent);
}

/* RFC 7296 2.6: above the threshold nothing is computed or kept for an address that was not proven. */
static bool accept_cookie(const struct ike_world *world, const struct ike_event *ev, const struct wire_ike_header *h,
			  struct init_in *i, struct ike_out *out)
{
	struct wire_ike_notify n;

	i->proven = wire_ike_notify_find(&i->in, IKE_N_COOKIE, &n) &&
		    ike_cookie_check(world, n.data, i->ni, &ev->remote.addr, h->spi_i);
	if (i->proven || !world->want_cookie)
		return true;
	ask_cookie(world, ev, h, i, out);
	return false;
}

/* Picks the proposal, or sends the one notify that refuses. */
static bool choose_suite(const struct ike_world *world, const struct ike_event *ev, const struct wire_ike_header *h,
			 const struct init_in *i, struct ike_out *out, struct ike_choice *ret)
{
	struct ike_ask ask = ask_of(world, i->ke.group);
	enum model_failure_code code = MODEL_FAILURE_NO_PROPOSAL_IKE;
	char name[MODEL_TRANSFORM_TEXT_MAX];
	uint8_t group[2];

	if (!ike_select(&i->offer, &ask, ret, &code)) {
		ike_init_notify(ev, out, h, IKE_N_NO_PROPOSAL_CHOSEN, (struct bytes){ 0 });
		ike_out_count(out, MODEL_COUNTER_ike_failed);
		struct model_failure *f = ike_out_fail(out, ev, NULL, code, MODEL_STAGE_SA_INIT);
		if (i->too_many)
			ike_text_add(f->offered, sizeof(f->offered), "more proposals or transforms than are read");
		ike_select_explain(&i->offer, &ask, code, f);
		return false;
	}
	if (!ret->wrong_ke)
		return true;
	/* RFC 7296 1.2, 3.4: the peer tries again with the group that we name. */
	struct wr w = wr_of(SPACE_OF(group));
	wr_u16(&w, ret->suite.group);
	ike_init_notify(ev, out, h, IKE_N_INVALID_KE_PAYLOAD, BYTES_OF(group));
	struct model_failure *f = ike_out_fail(out, ev, NULL, MODEL_FAILURE_WRONG_GROUP, MODEL_STAGE_SA_INIT);
	ike_text_add(f->offered, sizeof(f->offered), "%s", model_transform_text(IKE_TT_KE, i->ke.group, 0, name));
	ike_text_add(f->allowed, sizeof(f->allowed), "%s", model_transform_text(IKE_TT_KE, ret->suite.group, 0, name));
	return false;
}

/* RFC 6989 2.5: a message with an invalid public value is dropped. */
static void drop_ke(const struct ike_event *ev, struct ike_out *out, const struct init_in *i)
{
	char name[MODEL_TRANSFORM_TEXT_MAX];

	ike_out_drop(out, MODEL_DROP_ike_malformed);
	struct model_failure *f = ike_out_fail(out, ev, NULL, MODEL_FAILURE_BAD_KE, MODEL_STAGE_SA_INIT);
	ike_text_add(f->offered, sizeof(f->offered), "%s, %zu bytes",
		     model_transform_text(IKE_TT_KE, i->ke.group, 0, name), i->ke.data.len);
	ike_text_add(f->allowed, sizeof(f->allowed), "%zu bytes, %s", crypt_dh_public_len(i->ke.group),
		     crypt_dh_public_rule(i->ke.group));
}

/* What an answer depends on besides the choice. */
struct reply {
	uint64_t spi_i, spi_r;
	bool natd, fragments, childless;
};

static enum err build_response(const struct ike_event *ev, const struct reply *reply, const struct ike_choice *choice,
			       struct bytes public, struct space room, struct bytes *ret)
{
	struct wire_ike_proposal answer = choice->answer;
	struct wire_ike_builder b;

	wire_ike_begin(&b, room, &(struct wire_ike_header){
		.spi_i = reply->spi_i,
		.spi_r = reply->spi_r,
		.major = 2,
		.exchange = IKE_EX_SA_INIT,
		.flags = IKE_FLAG_RESPONSE,
	});
	answer.spi = (struct bytes){ 0 }; /* RFC 7296 3.3.1: none in the first negotiation */
	wire_ike_put_proposal(&b, &answer);
	wire_ike_put_ke(&b, choice->suite.group, public);
	wire_ike_put_nonce(&b, bytes_of(&ev->random[IKE_RANDOM_NONCE], IKE_NONCE_LEN));
	if (reply->natd) {
		enum err e = ike_natd_put(&b, reply->spi_i, reply->spi_r, &ev->local, &ev->remote);
		if (e != ERR_NONE)
			return e;
	}
	if (reply->fragments) /* RFC 7383 2.3 */
		wire_ike_put_plain_notify(&b, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, (struct bytes){ 0 });
	if (reply->childless) /* RFC 6023 3 */
		wire_ike_put_plain_notify(&b, IKE_N_CHILDLESS_IKEV2_SUPPORTED, (struct bytes){ 0 });
	return wire_ike_finish(&b, ret);
}

static bool takes_fragments(const struct init_in *i)
{
	struct wire_ike_notify n;

	return wire_ike_notify_find(&i->in, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, &n);
}

/* An address that is not proven gets nothing that is longer than what came from it: the last notify, which is only an
 * offer, stays out then; and where that is not enough a cookie is asked for. Known before the Diffie-Hellman is
 * done: only lengths matter. False: asked. */
static bool answer_fits(const struct ike_world *world, const struct ike_event *ev, const struct wire_ike_header *h,
			const struct init_in *i, const struct ike_choice *choice, struct ike_out *out)
{
	static const uint8_t public[CRYPT_DH_PUBLIC_MAX];
	struct ike_natd natd;
	struct bytes answer;

	if (i->proven || ike_natd_judge(&i->in, h, ev, &natd) != ERR_NONE)
		return true;
	const struct reply reply = { .natd = natd.present, .fragments = takes_fragments(i) };
	if (build_response(ev, &reply, choice, bytes_of(public, crypt_dh_public_len(i->ke.group)),
			   SPACE_OF(out->room[0]), &answer) != ERR_NONE || answer.len <= ev->msg.len)
		return true;
	ask_cookie(world, ev, h, i, out);
	return false;
}

static void fill_half(const struct ike_event *ev, const struct init_in *i, const struct reply *reply,
		      const struct ike_choice *choice, const struct ike_natd *natd, struct bytes response,
		      struct ike_half *ret)
{
	struct bytes nr = bytes_of(&ev->random[IKE_RANDOM_NONCE], IKE_NONCE_LEN);

	*ret = (struct ike_half){
		.sa = {
			.spi_i = reply->spi_i,
			.spi_r = reply->spi_r,
			.role = IKE_RESPONDER,
			.state = IKE_STATE_HALF_OPEN,
			.suite = choice->suite,
			/* A peer that says nothing of NAT and speaks on 4500 has decided for encapsulation. */
			.path = { .local = ev->local, .remote = ev->remote,
				  .udp_encap = natd->nat_peer || natd->nat_local || !natd->present },
			.start_port = ev->local.port,
			.nat_peer = natd->nat_peer,
			.nat_local = natd->nat_local,
			.fragments = reply->fragments,
			.rx_next = 1,
			.created_us = ev->now_us,
			.expires_us = ev->now_us + IKE_HALF_OPEN_US,
			.last_in_us = ev->now_us,
		},
		.expires_us = ev->now_us + IKE_HALF_OPEN_US,
		.ni_len = (uint16_t)i->ni.len,
		.nr_len = (uint16_t)nr.len,
		.request_len = (uint16_t)ev->msg.len,
		.response_len = (uint16_t)response.len,
	};
	struct wr ni = wr_of(SPACE_OF(ret->ni)), own = wr_of(SPACE_OF(ret->nr));
	struct wr request = wr_of(SPACE_OF(ret->request)), answer = wr_of(SPACE_OF(ret->response));
	wr_put(&ni, i->ni);
	wr_put(&own, nr);
	wr_put(&request, ev->msg);
	wr_put(&answer, response);
	must(!ni.bad && !own.bad && !request.bad && !answer.bad);
}

static enum err make_half(const struct ike_world *world, const struct ike_event *ev, const struct wire_ike_header *h,
			  const struct init_in *i, const struct ike_choice *choice, struct ike_half *ret,
			  struct ike_out *out)
{
	struct bytes nr = bytes_of(&ev->random[IKE_RANDOM_NONCE], IKE_NONCE_LEN), response;
	struct bytes public = bytes_of(ev->dh->public, ev->dh->public_len);
	struct space room = SPACE_OF(out->room[0]);
	struct reply reply = {
		.spi_i = h->spi_i,
		.spi_r = ike_spi_make(&world->spi_key, world->node_slot, &ev->random[IKE_RANDOM_SPI]),
		.fragments = takes_fragments(i),
		.childless = true,
	};
	struct ike_natd natd;
	struct ike_keys keys = { 0 };

	enum err e = ike_natd_judge(&i->in, h, ev, &natd);
	if (e != ERR_NONE)
		return e;
	reply.natd = natd.present;
	e = build_response(ev, &reply, choice, public, room, &response);
	if (e == ERR_NONE && response.len > ev->msg.len && !i->proven) {
		reply.childless = false;
		e = build_response(ev, &reply, choice, public, room, &response);
	}
	if (e == ERR_NONE)
		e = ike_keys_of_init(&choice->suite, i->ni, nr, bytes_of(ev->dh->secret, ev->dh->secret_len),
				     reply.spi_i, reply.spi_r, &keys);
	if (e != ERR_NONE)
		return e;
	fill_half(ev, i, &reply, choice, &natd, response, ret);
	ret->sa.keys = keys;
	secret_wipe(&keys, sizeof(keys));
	ike_out_send(out, response, &ev->local, &ev->remote);
	return ERR_NONE;
}

void ike_init_step(const struct ike_world *world, const struct ike_event *ev, struct ike_half *ret,
		   struct ike_out *out)
{
	UNSET struct init_in i;
	struct ike_choice choice;
	struct wire_ike_header h;

	ike_out_reset(out);
	must(ev->kind == IKE_EV_MESSAGE);
	i.in.cnt = i.offer.cnt = 0;
	i.proven = i.too_many = false;
	if (!accept_header(ev, out, &h) || !read_payloads(ev, &h, out, &i) ||
	    !accept_cookie(world, ev, &h, &i, out) || !choose_suite(world, ev, &h, &i, out, &choice))
		return;
	if (i.ke.data.len != crypt_dh_public_len(i.ke.group) || (ev->dh != NULL && ev->dh->secret_len == 0)) {
		drop_ke(ev, out, &i);
		return;
	}
	if (ev->dh == NULL && !answer_fits(world, ev, &h, &i, &choice, out))
		return;
	if (ev->dh == NULL) {
		ike_out_add(out, IKE_ACT_DH)->dh = (struct ike_dh_job){
			.op = IKE_DH_RESPOND,
			.group = i.ke.group,
			.peer_public = i.ke.data,
		};
		return;
	}
	if (make_half(world, ev, &h, &i, &choice, ret, out) == ERR_NONE)
		out->has_sa = true;
	else
		ike_out_drop(out, MODEL_DROP_ike_busy); /* the crypto library refused: the peer repeats */
}

enum ike_state ike_init_repeat(struct ike_ctx *c)
{
	const struct ike_half *half = c->half;
	struct bytes response = bytes_of(half->response, half->response_len);
	struct wr w = wr_of(SPACE_OF(c->out->room[0]));

	if (!bytes_eq(c->ev->msg, bytes_of(half->request, half->request_len))) {
		ike_out_drop(c->out, MODEL_DROP_ike_unexpected);
		return IKE_STATE_HALF_OPEN;
	}
	wr_put(&w, response);
	ike_out_send(c->out, wr_bytes(&w), &c->ev->local, &c->ev->remote);
	ike_out_count(c->out, MODEL_COUNTER_ike_retransmit_answered);
	return IKE_STATE_HALF_OPEN;
}
