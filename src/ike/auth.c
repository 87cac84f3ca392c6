// IKE_AUTH with a pre-shared key and the first Child SA (RFC 7296 1.2):
//
//   HDR, SK {IDi, [N(INITIAL_CONTACT)], [IDr], AUTH, SAi2, TSi, TSr, [N(MOBIKE_SUPPORTED)]}  -->
//                                <--  HDR, SK {IDr, AUTH, SAr2, TSi, TSr, [N(MOBIKE_SUPPORTED)]}
//                           or   <--  HDR, SK {IDr, AUTH, N(NO_PROPOSAL_CHOSEN or TS_UNACCEPTABLE)}
//                           or   <--  HDR, SK {N(AUTHENTICATION_FAILED) or N(UNEXPECTED_NAT_DETECTED)}
//
// Childless (RFC 6023 3): without SA, TSi and TSr both ways; Child SAs follow by CREATE_CHILD_SA.
#include "base/secret.h"
#include "ike/exchanges.h"

/* Whether the peer may come in; code and texts for our own side only. */
struct verdict {
	bool ok;
	enum model_failure_code code;
	const char *story; /* what the peer has, NULL: the code says it all */
};

static void keep_identity(struct ike_sa *sa, const struct wire_ike_id *id)
{
	struct bytes data = id->data;
	struct wr w = wr_of(SPACE_OF(sa->id));

	if (data.len > sizeof(sa->id)) /* longer than any that is known; kept for the record of the failure */
		data.len = sizeof(sa->id);
	wr_put(&w, data);
	sa->id_type = id->type;
	sa->id_len = (uint16_t)data.len;
}

static bool find_peer(struct ike_ctx *c, const struct wire_ike_id *idi, struct ike_peer *ret)
{
	const struct ike_world *world = c->world;
	struct model_identity identity;

	if (model_identity_parse(idi->type, idi->data, world->domain, &identity) != ERR_NONE ||
	    !world->find_tunnel(world->arg, &identity, &c->ev->local.addr, &c->ev->remote.addr, ret))
		return false;
	c->sa->account_id = ret->account_id;
	c->sa->tunnel_id = ret->tunnel_id;
	c->sa->account_number = ret->account_number;
	return true;
}

#define BLANKS " \t\r\n"

/* How a key gets changed on its way into a router: by a paste, a file with a line end, a form that trims. */
static const struct blank {
	const char *head, *tail; /* NULL: blanks at its ends are cut off */
	const char *story;
} blanks[] = {
	{ NULL, NULL, "the key without the blanks or line end at its ends" },
	{ "", "\n", "the key with a line end behind it" },
	{ "", "\r\n", "the key with a DOS line end behind it" },
	{ "", " ", "the key with a blank behind it" },
	{ " ", "", "the key with a blank before it" },
};

static bool is_blank(uint8_t c)
{
	return c != 0 && strchr(BLANKS, c) != NULL;
}

/* The key as it would be after such a change; cut off at the longest that there is. */
static void change_key(const struct secret *psk, const struct blank *how, struct secret *ret)
{
	struct bytes key = secret_bytes(psk);
	uint8_t room[SECRET_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	while (how->tail == NULL && key.len > 0 && is_blank(key.p[key.len - 1]))
		key.len--;
	while (how->tail == NULL && key.len > 0 && is_blank(key.p[0])) {
		key.p++;
		key.len--;
	}
	if (how->head != NULL)
		wr_put(&w, bytes_str(how->head));
	wr_put(&w, key);
	if (how->tail != NULL)
		wr_put(&w, bytes_str(how->tail));
	if (w.bad || secret_set(ret, wr_bytes(&w)) != ERR_NONE)
		*ret = (struct secret){ 0 };
	secret_wipe(room, sizeof(room));
}

/* What the peer's AUTH has to be under a key, or under the decoy where there is none, so that the work is the same
 * for a known and an unknown identity. */
static bool auth_matches(struct ike_ctx *c, const struct secret *psk, const struct wire_ike_id *idi,
			 struct bytes auth)
{
	const struct ike_half *half = c->half;
	uint8_t good[CRYPT_PRF_LEN_MAX] = { 0 };
	bool real = psk->len != 0;
	struct bytes key = real ? secret_bytes(psk) : BYTES_OF(c->world->decoy_psk);
	size_t len = crypt_prf_len(c->sa->suite.prf);

	enum err e = ike_keys_auth(c->sa->suite.prf, key, bytes_of(half->request, half->request_len),
				   bytes_of(half->nr, half->nr_len), bytes_of(c->sa->keys.pi, len), idi->rest, good);
	bool same = bytes_eq_ct(auth, bytes_of(good, len));
	secret_wipe(good, sizeof(good));
	return e == ERR_NONE && same && real;
}

/* What a peer has that is refused, instead of the key. */
struct guess {
	const struct blank *blank; /* the key after such a change, NULL: it is none */
	bool previous;             /* the key of before */
};

/* Computed for every peer that is refused, known or not, so that refusals take the same time. */
static struct guess guess_key(struct ike_ctx *c, const struct ike_peer *known, const struct secret *psk, const struct wire_ike_id *idi,
			      struct bytes auth)
{
	const struct ike_world *world = c->world;
	struct secret previous = { 0 };
	struct guess g = { 0 };

	if (world->find_previous_psk != NULL)
		world->find_previous_psk(world->arg, known == NULL ? NULL : &known->tunnel_id, &previous);
	g.previous = auth_matches(c, &previous, idi, auth);
	secret_wipe(&previous, sizeof(previous));
	for (size_t i = 0; i < ARRAY_LEN(blanks); i++) {
		struct secret changed = { 0 };
		change_key(psk, &blanks[i], &changed);
		if (auth_matches(c, &changed, idi, auth) && psk->len != 0 && g.blank == NULL)
			g.blank = &blanks[i];
		secret_wipe(&changed, sizeof(changed));
	}
	return g;
}

/* All who are refused had the same work done for them up to the comparison. */
static struct verdict judge(struct ike_ctx *c, const struct wire_ike_id *idi, const struct wire_ike_auth *auth,
			    struct ike_peer *peer)
{
	bool known = find_peer(c, idi, peer);
	bool present = auth_matches(c, &peer->psk, idi, auth->data);
	const struct addr *local = &c->ev->local.addr, *remote = &c->ev->remote.addr;
	const struct guess guess = present ? (struct guess){ 0 } : guess_key(c, known ? peer : NULL, &peer->psk, idi, auth->data);

	if (auth->method == 0)
		return (struct verdict){ false, MODEL_FAILURE_EAP, NULL };
	if (auth->method != IKE_AUTH_PSK)
		return (struct verdict){ false, MODEL_FAILURE_NOT_PSK, NULL };
	if (!known)
		return (struct verdict){ false, MODEL_FAILURE_UNKNOWN_IDENTITY, NULL };
	if (peer->psk.len == 0)
		return (struct verdict){ false, MODEL_FAILURE_NO_PSK, NULL };
	if (!present && guess.blank != NULL)
		return (struct verdict){ false, MODEL_FAILURE_PSK_BLANK, guess.blank->story };
	if (!present && guess.previous)
		return (struct verdict){ false, MODEL_FAILURE_PREVIOUS_PSK, NULL };
	if (!present)
		return (struct verdict){ false, MODEL_FAILURE_WRONG_PSK, NULL };
	if (peer->gateway_endpoint.family != ADDR_NONE && !addr_eq(&peer->gateway_endpoint, local))
		return (struct verdict){ false, MODEL_FAILURE_WRONG_ENDPOINT, NULL };
	if (peer->customer_endpoint.family != ADDR_NONE && !addr_eq(&peer->customer_endpoint, remote))
		return (struct verdict){ false, MODEL_FAILURE_WRONG_PEER_ADDRESS, NULL };
	/* IKE_SA_INIT was answered before it was known for which tunnel. */
	if (!model_ike_suite_in_profile(&c->sa->suite, (enum model_profile)peer->settings.profile))
		return (struct verdict){ false, MODEL_FAILURE_PROFILE, NULL };
	return (struct verdict){ true, MODEL_FAILURE_UNKNOWN_IDENTITY, NULL };
}

/* IANA "IKEv2 Authentication Method" */
static const char *method_name(uint8_t method)
{
	switch (method) {
	case 1: return "RSA signature";
	case 3: return "DSS signature";
	case 9: case 10: case 11: return "ECDSA signature";
	case 13: return "none at all";
	case 14: return "digital signature";
	}
	return "not known here";
}

/* RFC 7296 2.21.2: one notify, the same for every reason, and no SA. */
static enum ike_state refuse(struct ike_ctx *c, const struct verdict *v, uint8_t method, const struct ike_peer *peer)
{
	enum model_failure_code code = v->code;
	char text[ADDR_TEXT_MAX];

	ike_reply_notify(c, IKE_N_AUTHENTICATION_FAILED, (struct bytes){ 0 });
	ike_out_count(c->out, MODEL_COUNTER_ike_failed);
	struct model_failure *f = ike_out_fail(c->out, c->ev, c->sa, code, MODEL_STAGE_AUTH);
	if (code == MODEL_FAILURE_WRONG_ENDPOINT) {
		ike_text_add(f->offered, sizeof(f->offered), "%s", addr_format(&c->ev->local.addr, text));
		ike_text_add(f->allowed, sizeof(f->allowed), "%s", addr_format(&peer->gateway_endpoint, text));
	} else if (code == MODEL_FAILURE_WRONG_PEER_ADDRESS) {
		ike_text_add(f->offered, sizeof(f->offered), "%s", addr_format(&c->ev->remote.addr, text));
		ike_text_add(f->allowed, sizeof(f->allowed), "%s", addr_format(&peer->customer_endpoint, text));
	} else if (code == MODEL_FAILURE_NOT_PSK) {
		ike_text_add(f->offered, sizeof(f->offered), "authentication method %u (%s)", method,
			     method_name(method));
		ike_text_add(f->allowed, sizeof(f->allowed), "pre-shared key");
	} else if (code == MODEL_FAILURE_PROFILE) {
		ike_select_explain_profile(&c->sa->suite, (enum model_profile)peer->settings.profile, f);
	} else if (v->story != NULL) {
		ike_text_add(f->offered, sizeof(f->offered), "%s", v->story);
	}
	return IKE_STATE_HALF_OPEN;
}

/* RFC 7296 2.23: ESP goes in UDP where there is a NAT, which needs port 4500 on both sides. */
static void take_path(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;

	sa->path.local = c->ev->local;
	sa->path.remote = c->ev->remote;
	sa->path.udp_encap = sa->path.udp_encap && c->ev->local.port == IKE_NATT_PORT;
}

static void fill_record(struct ike_ctx *c, const struct ike_peer *peer)
{
	struct ike_sa *sa = c->sa;

	sa->auth_verified = true;
	sa->allow_null = peer->allow_null;
	sa->allow_esn = peer->allow_esn;
	sa->fixed_peer = peer->customer_endpoint.family != ADDR_NONE;
	sa->profile = peer->settings.profile;
	sa->dpd_delay_s = peer->settings.dpd_delay_s;
	sa->child_lifetime_s = peer->settings.child_lifetime_s;
	sa->created_us = c->ev->now_us;
	sa->ike_lifetime_s = peer->settings.ike_lifetime_s;
	sa->expires_us = c->ev->now_us + sa->ike_lifetime_s * (uint64_t)1000000;
	sa->rekey_us = ike_duty_soft(c, sa->ike_lifetime_s, IKE_RANDOM_JITTER);
	take_path(c);
}

/* IDr is the gateway's address, whatever name the peer asked for: it knows whom it called, and the AUTH
 * payload covers what we answer (RFC 7296 3.5). */
static enum err put_own_auth(struct ike_ctx *c, const struct ike_peer *peer)
{
	const struct addr *own = &c->ev->local.addr;
	uint8_t type = own->family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR;
	uint8_t rest[4 + 16], auth[CRYPT_PRF_LEN_MAX];
	size_t len = crypt_prf_len(c->sa->suite.prf);
	struct wr w = wr_of(SPACE_OF(rest));

	wr_u8(&w, type);
	wr_zero(&w, 3);
	wr_put(&w, addr_bytes(own));
	enum err e = ike_keys_auth(c->sa->suite.prf, secret_bytes(&peer->psk),
				   bytes_of(c->half->response, c->half->response_len),
				   bytes_of(c->half->ni, c->half->ni_len), bytes_of(c->sa->keys.pr, len),
				   wr_bytes(&w), auth);
	if (e != ERR_NONE)
		return e;
	wire_ike_put_id(&c->reply, IKE_PL_IDR, type, addr_bytes(own));
	wire_ike_put_auth(&c->reply, IKE_AUTH_PSK, bytes_of(auth, len));
	return ERR_NONE;
}

/* RFC 7296 1.2: when the Child SA fails, the IKE SA stands nevertheless. */
static enum err put_first_child(struct ike_ctx *c, uint16_t refusal, const struct ike_child_plan *plan)
{
	uint32_t spi;

	if (refusal != 0) {
		wire_ike_put_plain_notify(&c->reply, refusal, (struct bytes){ 0 });
		return ERR_NONE;
	}
	enum err e = ike_child_add(c, plan, bytes_of(c->half->ni, c->half->ni_len), bytes_of(c->half->nr, c->half->nr_len),
				   (struct bytes){ 0 }, &spi);
	if (e != ERR_NONE)
		return e;
	ike_child_put_sa(c, plan, spi);
	ike_child_put_ts(c, plan);
	return ERR_NONE;
}

/* What works and yet should be known: only where nothing worse was found. */
static void note_oddities(struct ike_ctx *c)
{
	struct wire_ike_notify n;

	if (ike_out_has_failure(c->out))
		return;
	if (c->sa->nat_peer && c->ev->local.port != IKE_NATT_PORT)
		(void)ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_WRONG_PORT, MODEL_STAGE_AUTH);
	else if (wire_ike_notify_find(&c->in, IKE_N_USE_TRANSPORT_MODE, &n))
		(void)ike_out_fail(c->out, c->ev, c->sa, MODEL_FAILURE_TRANSPORT_MODE, MODEL_STAGE_CHILD);
}

/* RFC 4555 3.1 */
static void agree_on_mobike(struct ike_ctx *c)
{
	struct wire_ike_notify n;

	c->sa->mobike = wire_ike_notify_find(&c->in, IKE_N_MOBIKE_SUPPORTED, &n);
	if (c->sa->mobike)
		wire_ike_put_plain_notify(&c->reply, IKE_N_MOBIKE_SUPPORTED, (struct bytes){ 0 });
}

static enum ike_state admit(struct ike_ctx *c, const struct ike_peer *peer)
{
	bool childless = wire_ike_find(&c->in, IKE_PL_SA, 0) == NULL; /* the rules want all of it or nothing */
	struct ike_child_plan plan;
	struct wire_ike_notify n;

	if (ike_move_nat_forbidden(c)) { /* RFC 4555 3.9 */
		ike_reply_notify(c, IKE_N_UNEXPECTED_NAT_DETECTED, (struct bytes){ 0 });
		ike_out_count(c->out, MODEL_COUNTER_ike_failed);
		return IKE_STATE_HALF_OPEN;
	}
	fill_record(c, peer);
	uint16_t refusal = childless ? 0 : ike_child_decide(c, IKE_KE_IGNORED, IKE_GROUP_NONE, &plan);
	if (refusal == IKE_N_INVALID_SYNTAX) {
		ike_reply_notify(c, refusal, (struct bytes){ 0 });
		return IKE_STATE_HALF_OPEN;
	}
	enum err e = put_own_auth(c, peer);
	if (e == ERR_NONE && !childless)
		e = put_first_child(c, refusal, &plan);
	if (e != ERR_NONE) {
		/* The crypto library refused; nothing was sent, the peer repeats its request. */
		ike_out_reset(c->out);
		ike_out_drop(c->out, MODEL_DROP_ike_busy);
		c->drop = true;
		return IKE_STATE_HALF_OPEN;
	}
	agree_on_mobike(c);
	if (wire_ike_notify_find(&c->in, IKE_N_INITIAL_CONTACT, &n))
		(void)ike_out_add(c->out, IKE_ACT_INITIAL_CONTACT);
	ike_out_count(c->out, MODEL_COUNTER_ike_established);
	note_oddities(c);
	return IKE_STATE_ESTABLISHED;
}

enum ike_state ike_auth_request(struct ike_ctx *c)
{
	const struct wire_ike_payload *auth_payload = wire_ike_find(&c->in, IKE_PL_AUTH, 0);
	const struct wire_ike_payload *idr_payload = wire_ike_find(&c->in, IKE_PL_IDR, 0);
	struct wire_ike_id idi, idr;
	struct wire_ike_auth auth = { 0 }; /* RFC 7296 2.16: no AUTH payload asks for EAP */
	struct ike_peer peer = { 0 };

	if (wire_ike_id_parse(wire_ike_find(&c->in, IKE_PL_IDI, 0)->body, &idi) != ERR_NONE ||
	    (idr_payload != NULL && wire_ike_id_parse(idr_payload->body, &idr) != ERR_NONE)) {
		ike_reply_syntax(c, "an identification that cannot be read");
		return IKE_STATE_HALF_OPEN;
	}
	keep_identity(c->sa, &idi);
	if (auth_payload != NULL && wire_ike_auth_parse(auth_payload->body, &auth) != ERR_NONE) {
		ike_reply_syntax(c, "an AUTH payload that is cut off");
		return IKE_STATE_HALF_OPEN;
	}
	struct verdict v = judge(c, &idi, &auth, &peer);
	enum ike_state next = v.ok ? admit(c, &peer) : refuse(c, &v, auth.method, &peer);
	secret_wipe(&peer, sizeof(peer));
	return next;
}
