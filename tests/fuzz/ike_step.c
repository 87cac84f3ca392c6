// ike/step.h: any message into each state of an IKE SA, in the clear and with the right keys around it.
//
//   0 | datagram                    to no SA
//   1 | datagram                    to a half-open SA (its SPIs are put in)
//   2 | datagram                    to an established SA (likewise)
//   3 | first payload | chain       inside a protected IKE_AUTH
//   4 | first payload | chain       the same with an AUTH payload that is right
//   5 | exchange | first | chain    a protected request to an established SA with two children
//   6 | first | chain               a protected answer to the gateway's own request
//   7 | exchange | first | chain    a protected request to a rekeyed SA
//   8 | (number | total | first | length | bytes)...  fragments of a request to an established SA
//   9 | first | chain               a protected request from another address, to an SA with MOBIKE
//  10 | first | chain               an answer to its reachability check
//  11 | first | chain               an answer to our own UPDATE_SA_ADDRESSES
#include "fuzz.h"

#include <stdlib.h>

#include "base/secret.h"
#include "ike/exchanges.h"
#include "ike/frag.h"

static struct ike_world world;
static struct ike_half half;
static struct ike_sa established, rekeyed_sa, mobile, checking, moving;
static struct ike_out *out;

static const struct addr_endpoint gateway = { { { 192, 0, 2, 1 }, ADDR_V4 }, 4500 };
static const struct addr_endpoint customer = { { { 198, 51, 100, 7 }, ADDR_V4 }, 4500 };

static bool find_tunnel(void *arg, const struct model_identity *id, const struct addr *local, const struct addr *remote,
			struct ike_peer *ret)
{
	(void)arg;
	(void)local;
	(void)remote;
	if (id->by_address || id->tunnel_id.b[0] != 0xb2)
		return false;
	*ret = (struct ike_peer){ .account_number = 7, .gateway_endpoint = gateway.addr, .allow_null = true };
	ret->settings = (struct model_tunnel_onramp){ .ike_lifetime_s = 86400, .child_lifetime_s = 28800 };
	must(secret_set(&ret->psk, bytes_str("fuzz")) == ERR_NONE);
	return true;
}

static struct ike_event make_event(struct bytes msg)
{
	struct ike_event ev = { .kind = IKE_EV_MESSAGE, .now_us = 1000000, .msg = msg, .local = gateway,
				.remote = customer, .iv = 40 };
	for (unsigned i = 0; i < IKE_RANDOM_LEN; i++)
		ev.random[i] = (uint8_t)(i * 5 + 1);
	return ev;
}

/* In place of the helper threads: any value will do for a secret. */
static bool give_dh(struct ike_event *ev, struct crypt_dh_result *dh)
{
	if (out->cnt != 1 || out->actions[0].kind != IKE_ACT_DH)
		return false;
	must(!out->has_sa && !out->changed && ev->dh == NULL);
	size_t len = crypt_dh_public_len(out->actions[0].dh.group);
	must(len != 0 && out->actions[0].dh.peer_public.len == len);
	memset(dh, 0x42, sizeof(*dh));
	dh->public_len = dh->secret_len = (uint16_t)len;
	ev->dh = dh;
	return true;
}

/* ---- what must hold of every result ---- */

static void check_text(const char *s, size_t cap)
{
	size_t len = strnlen(s, cap);
	must(len < cap);
	for (size_t i = 0; i < len; i++)
		must(s[i] >= 0x20 && s[i] <= 0x7e);
}

static void check_record(const struct ike_sa *sa)
{
	uint8_t room[IKE_SA_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct ike_sa back;

	must(sa->auth_verified && sa->state != IKE_STATE_HALF_OPEN && sa->child_cnt <= IKE_CHILDREN_MAX);
	must(sa->state != IKE_STATE_CLOSED || sa->child_cnt == 0);
	must(ike_sa_encode(sa, MODEL_FORMAT_NEWEST, &w) == ERR_NONE && ike_sa_decode(wr_bytes(&w), &back) == ERR_NONE);
}

static void check_out(const struct ike_event *ev)
{
	unsigned sends = 0, drops = 0, failures = 0;

	for (unsigned i = 0; i < out->cnt; i++) {
		const struct ike_action *a = &out->actions[i];
		must(a->kind != IKE_ACT_DH);
		drops += a->kind == IKE_ACT_DROP;
		failures += a->kind == IKE_ACT_FAILURE;
		if (a->kind == IKE_ACT_SEND) {
			must(a->send.msg.len >= WIRE_IKE_HEADER_LEN && a->send.msg.len <= IKE_REPLY_MAX);
			sends += (a->send.msg.p[19] & IKE_FLAG_RESPONSE) != 0;
		}
		if (a->kind == IKE_ACT_CHILD_PUT) {
			uint8_t room[MODEL_CHILD_RECORD_MAX];
			struct wr w = wr_of(SPACE_OF(room));
			must(out->has_sa && model_child_encode(a->put.child, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
		}
	}
	must(sends <= 1 && failures <= 1 && drops <= 1);
	must(sends == 1 || drops == 1 || out->has_sa);
	if (failures == 1) {
		check_text(out->failure.identity, sizeof(out->failure.identity));
		check_text(out->failure.offered, sizeof(out->failure.offered));
		check_text(out->failure.allowed, sizeof(out->failure.allowed));
	}
	(void)ev;
}

/* ---- the doors ---- */

static void to_nothing(struct bytes msg)
{
	static struct ike_half ret;
	struct ike_event ev = make_event(msg);
	struct crypt_dh_result dh;

	world.want_cookie = msg.len % 2 == 1;
	ike_init_step(&world, &ev, &ret, out);
	if (give_dh(&ev, &dh))
		ike_init_step(&world, &ev, &ret, out);
	check_out(&ev);
	must(!out->has_sa || (ret.sa.state == IKE_STATE_HALF_OPEN && !ret.sa.auth_verified));
	for (unsigned i = 0; i < out->cnt && !out->has_sa; i++)
		must(out->actions[i].kind != IKE_ACT_SEND || out->actions[i].send.msg.len <= msg.len);
}

static void to_half(struct bytes msg)
{
	struct ike_event ev = make_event(msg);
	struct ike_half ret_half;
	struct ike_sa ret;

	ike_half_step(&world, &half, &ev, &ret_half, &ret, out);
	check_out(&ev);
	if (out->has_sa) {
		must(ret.state == IKE_STATE_ESTABLISHED);
		check_record(&ret);
	}
}

static void event_to_sa(const struct ike_sa *sa, struct ike_event ev)
{
	struct crypt_dh_result dh;
	struct ike_sa ret, rekeyed[2];

	ike_sa_step(&world, sa, &ev, &ret, rekeyed, out);
	if (give_dh(&ev, &dh))
		ike_sa_step(&world, sa, &ev, &ret, rekeyed, out);
	check_out(&ev);
	if (out->has_sa)
		check_record(&ret);
	if (out->has_rekeyed) {
		must(out->has_sa && (ret.state == IKE_STATE_REKEYED || ret.state == IKE_STATE_CLOSED));
		check_record(&rekeyed[0]);
	}
}

static void to_sa(const struct ike_sa *sa, struct bytes msg)
{
	event_to_sa(sa, make_event(msg));
}

/* A message of the peer: the SA from the other side. */
static struct bytes protect(const struct ike_sa *sa, bool response, uint8_t exchange, uint32_t msg_id, uint8_t first,
			    struct bytes chain, struct space room)
{
	struct ike_event ev = make_event((struct bytes){ 0 });
	struct ike_sa peer = *sa;
	struct wire_ike_builder b;
	struct bytes msg;

	peer.role = IKE_INITIATOR;
	ike_message_begin(&peer, &ev, response, exchange, msg_id, room, &b);
	wr_set_u8(&b.w, b.next_at, first);
	wr_put(&b.w, chain);
	if (ike_protect_close(&peer, &b, &msg) != ERR_NONE)
		return (struct bytes){ 0 };
	return msg;
}

/* One protected fragment; number and total are what they may be on the wire. */
static struct bytes protect_fragment(const struct ike_sa *sa, uint8_t number, uint8_t total, uint8_t first,
				     struct bytes part, struct space room)
{
	const uint8_t iv[8] = { number, total };
	struct ike_sa peer = *sa;
	struct wire_ike_builder b;
	struct bytes msg;

	peer.role = IKE_INITIATOR;
	wire_ike_begin(&b, room, &(struct wire_ike_header){ .spi_i = sa->spi_i, .spi_r = sa->spi_r, .major = 2, .msg_id = 2,
							    .exchange = IKE_EX_INFORMATIONAL, .flags = IKE_FLAG_INITIATOR });
	if (total == 0)
		total = 1;
	wire_ike_skf_open(&b, (uint16_t)(1 + number % total), total, first, BYTES_OF(iv));
	wr_put(&b.w, part);
	return ike_protect_close(&peer, &b, &msg) == ERR_NONE ? msg : (struct bytes){ 0 };
}

static void check_frags(const struct ike_frags *f)
{
	size_t bytes = 0;
	unsigned here = 0;

	must(f->total <= IKE_FRAGS_MAX && f->room_len <= sizeof(f->room) && f->head_len <= sizeof(f->head));
	for (unsigned i = 0; i < IKE_FRAGS_MAX; i++) {
		must(!f->piece[i].here || (i < f->total && f->piece[i].at + f->piece[i].len <= f->room_len));
		here += f->piece[i].here;
		bytes += f->piece[i].len;
	}
	must(here == f->cnt && bytes == f->room_len && (f->used || here == 0));
}

static void to_frags(struct rd *r)
{
	static struct ike_frags f;
	static uint8_t room[IKE_MESSAGE_MAX], joined[IKE_FRAG_JOIN_MAX];

	ike_frag_forget(&f);
	while (rd_left(r) >= 4) {
		uint8_t number = rd_u8(r), total = rd_u8(r), first = rd_u8(r);
		size_t len = rd_u8(r);
		struct bytes part = rd_bytes(r, len < rd_left(r) ? len : rd_left(r));
		struct ike_event ev = make_event(protect_fragment(&established, number, total, first, part, SPACE_OF(room)));
		must(ike_frag_is(ev.msg));
		enum ike_frag_result result = ike_frag_take(&f, &established, &ev, out);
		check_frags(&f);
		must(!out->has_sa && (result != IKE_FRAG_DROPPED || out->cnt > 0));
		if (result != IKE_FRAG_WHOLE)
			continue;
		ike_frag_join(&f, SPACE_OF(joined), &ev);
		check_frags(&f);
		event_to_sa(&established, ev);
	}
}

/* Puts the right value into an AUTH payload of 32 bytes. */
static void mend_auth(uint8_t first, struct space chain)
{
	struct wire_ike_payloads in;
	struct wire_ike_id idi;
	uint8_t good[CRYPT_PRF_LEN_MAX];

	if (wire_ike_payloads_parse(first, bytes_of(chain.p, chain.cap), &in) != ERR_NONE)
		return;
	const struct wire_ike_payload *id = wire_ike_find(&in, IKE_PL_IDI, 0), *auth = wire_ike_find(&in, IKE_PL_AUTH, 0);
	if (id == NULL || auth == NULL || auth->body.len != 36 || wire_ike_id_parse(id->body, &idi) != ERR_NONE)
		return;
	must(ike_keys_auth(half.sa.suite.prf, bytes_str("fuzz"), bytes_of(half.request, half.request_len),
			   BYTES_OF(half.nr), bytes_of(half.sa.keys.pi, 32), idi.rest, good) == ERR_NONE);
	memcpy(chain.p + (auth->body.p - chain.p) + 4, good, 32);
}

/* ---- the states, made once ---- */

static void make_half(void)
{
	static uint8_t request[1024];
	const struct wire_ike_sa offer = {
		.cnt = 1,
		.p = { { .number = 1, .protocol = IKE_PROTO_IKE, .cnt = 3,
			 .t = { { .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_bits = 128 },
				{ .type = IKE_TT_PRF, .id = IKE_PRF_HMAC_SHA2_256 },
				{ .type = IKE_TT_KE, .id = IKE_GROUP_MODP2048 } } } },
	};
	struct wire_ike_builder b;
	struct crypt_dh_result dh;
	struct bytes msg;
	uint8_t ke[256], ni[32];

	memset(ke, 3, sizeof(ke));
	memset(ni, 4, sizeof(ni));
	wire_ike_begin(&b, SPACE_OF(request), &(struct wire_ike_header){ .spi_i = 0x1111, .major = 2,
									 .exchange = IKE_EX_SA_INIT, .flags = IKE_FLAG_INITIATOR });
	wire_ike_put_sa(&b, &offer);
	wire_ike_put_ke(&b, IKE_GROUP_MODP2048, BYTES_OF(ke));
	wire_ike_put_nonce(&b, BYTES_OF(ni));
	must(wire_ike_finish(&b, &msg) == ERR_NONE);
	struct ike_event ev = make_event(msg);
	ike_init_step(&world, &ev, &half, out);
	must(give_dh(&ev, &dh));
	ike_init_step(&world, &ev, &half, out);
	must(out->has_sa);
}

static void make_moves(void)
{
	mobile = established;
	mobile.mobike = true;
	mobile.request = (struct ike_request){ 0 };
	checking = moving = mobile;
	checking.request = (struct ike_request){ .kind = IKE_REQUEST_ADDRESS, .tries = 1, .address_tries = 1, .len = 28 };
	checking.candidate = (struct ike_candidate){ .remote = customer, .local_port = 4500, .told = true };
	checking.path.remote.port = 4600;
	moving.request = (struct ike_request){ .kind = IKE_REQUEST_UPDATE, .tries = 1, .len = 28 };
	moving.started = true;
}

static void make_states(void)
{
	world = (struct ike_world){ .domain = "x.y", .find_tunnel = find_tunnel };
	out = calloc(1, sizeof(*out));
	must(out != NULL);
	make_half();
	established = half.sa;
	established.state = IKE_STATE_ESTABLISHED;
	established.auth_verified = true;
	established.rx_next = 2;
	established.fragments = true;
	established.expires_us = 86400000000;
	established.child_cnt = 2;
	established.children[0] = (struct ike_child_ref){ .spi_in = 0x10000001, .spi_out = 0x20000001 };
	established.children[1] = (struct ike_child_ref){ .spi_in = 0x10000002, .spi_out = 0x20000002, .unproven = true };
	established.tx_next = 1;
	established.request = (struct ike_request){ .kind = IKE_REQUEST_DELETE_CHILD, .child_spi = 0x10000001, .tries = 1,
						    .resend_us = 2000000, .len = 28 };
	rekeyed_sa = established;
	rekeyed_sa.state = IKE_STATE_REKEYED;
	rekeyed_sa.child_cnt = 0;
	rekeyed_sa.request = (struct ike_request){ 0 };
	make_moves();
}

/* Whatever it says: nobody is followed by one message alone. */
static void to_mobile(struct bytes msg)
{
	struct ike_event ev = make_event(msg);

	ev.remote.port = 5000;
	event_to_sa(&mobile, ev);
	for (unsigned i = 0; i < out->cnt; i++)
		must(out->actions[i].kind != IKE_ACT_PATH);
}

/* A datagram with the SPIs of the SA in front. */
static struct bytes with_spis(const struct ike_sa *sa, struct bytes datagram, struct space room)
{
	struct space copy = copy_to(datagram, room);
	struct wr w = wr_of(copy);

	if (copy.cap >= 16) {
		wr_u64(&w, sa->spi_i);
		wr_u64(&w, sa->spi_r);
	}
	return bytes_of(copy.p, copy.cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t room[IKE_MESSAGE_MAX], chain[IKE_MESSAGE_MAX];
	struct rd r = rd_of(bytes_of(data, len));

	if (out == NULL)
		make_states();
	uint8_t door = rd_u8(&r) % 12;
	uint8_t exchange = door == 5 || door == 7 ? rd_u8(&r) : 0;
	uint8_t first = door >= 3 && door != 8 ? rd_u8(&r) : 0;
	if (door == 8) {
		to_frags(&r);
		return 0;
	}
	struct bytes rest = rd_rest(&r);
	if (r.bad || rest.len > IKE_MESSAGE_MAX - 128)
		return 0;
	struct space copy = copy_to(rest, SPACE_OF(chain));
	struct bytes inner = bytes_of(copy.p, copy.cap);
	switch (door) {
	case 0:
		to_nothing(rest);
		break;
	case 1:
		to_half(with_spis(&half.sa, rest, SPACE_OF(room)));
		break;
	case 2:
		to_sa(&established, with_spis(&established, rest, SPACE_OF(room)));
		break;
	case 4:
		mend_auth(first, copy);
		to_half(protect(&half.sa, false, IKE_EX_AUTH, 1, first, inner, SPACE_OF(room)));
		break;
	case 3:
		to_half(protect(&half.sa, false, IKE_EX_AUTH, 1, first, inner, SPACE_OF(room)));
		break;
	case 5:
		to_sa(&established, protect(&established, false, exchange, 2, first, inner, SPACE_OF(room)));
		break;
	case 6:
		to_sa(&established, protect(&established, true, IKE_EX_INFORMATIONAL, 0, first, inner, SPACE_OF(room)));
		break;
	case 9:
		to_mobile(protect(&mobile, false, IKE_EX_INFORMATIONAL, 2, first, inner, SPACE_OF(room)));
		break;
	case 10:
		to_sa(&checking, protect(&checking, true, IKE_EX_INFORMATIONAL, 0, first, inner, SPACE_OF(room)));
		break;
	case 11:
		to_sa(&moving, protect(&moving, true, IKE_EX_INFORMATIONAL, 0, first, inner, SPACE_OF(room)));
		break;
	case 7:
		to_sa(&rekeyed_sa, protect(&rekeyed_sa, false, exchange, 2, first, inner, SPACE_OF(room)));
		break;
	}
	return 0;
}
