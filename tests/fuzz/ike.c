// wire/ike.h: any bytes as an IKE message: header, chain, every payload by every parser that fits it, and
// SK as if its ciphertext were plaintext. What parsed is built again and must parse to the same.
#include "fuzz.h"

#include "wire/ike.h"

enum { IV_LEN = 8, ICV_LEN = 16 };

/* ---- building again ---- */

static uint8_t again_room[1 << 17];

/* The body of the one payload of a message that was just built. */
static struct bytes rebuilt_body(struct wire_ike_builder *b)
{
	static struct wire_ike_payloads pls;
	struct wire_ike_header h;
	struct bytes msg;

	must(wire_ike_finish(b, &msg) == ERR_NONE);
	must(wire_ike_header_parse(msg, &h) == ERR_NONE);
	struct rd r = rd_of(msg);
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	must(wire_ike_payloads_parse(h.next, rd_rest(&r), &pls) == ERR_NONE && pls.cnt == 1);
	return pls.p[0].body;
}

static struct wire_ike_builder begin_again(void)
{
	struct wire_ike_builder b;
	wire_ike_begin(&b, SPACE_OF(again_room), &(struct wire_ike_header){ .major = 2 });
	return b;
}

/* ---- payloads ---- */

static void check_sa(struct bytes body)
{
	static struct wire_ike_sa sa, again;

	if (wire_ike_sa_parse(body, &sa) != ERR_NONE)
		return;
	must(sa.cnt >= 1 && sa.cnt <= WIRE_IKE_PROPOSALS_MAX);
	struct wire_ike_builder b = begin_again();
	wire_ike_put_sa(&b, &sa);
	must(wire_ike_sa_parse(rebuilt_body(&b), &again) == ERR_NONE && again.cnt == sa.cnt);
	for (unsigned p = 0; p < sa.cnt; p++) {
		must_lie_within(sa.p[p].spi, body);
		must(sa.p[p].cnt >= 1 && again.p[p].cnt == sa.p[p].cnt &&
		     again.p[p].number == sa.p[p].number);
		must(again.p[p].protocol == sa.p[p].protocol && bytes_eq(again.p[p].spi, sa.p[p].spi));
		for (unsigned t = 0; t < sa.p[p].cnt; t++) {
			const struct wire_ike_transform *x = &sa.p[p].t[t], *y = &again.p[p].t[t];
			must(x->type == y->type && x->id == y->id && x->key_bits == y->key_bits);
			must(!y->unknown_attribute);
		}
	}
}

static void check_ke(struct bytes body)
{
	struct wire_ike_ke ke, again;

	if (wire_ike_ke_parse(body, &ke) != ERR_NONE)
		return;
	must_lie_within(ke.data, body);
	struct wire_ike_builder b = begin_again();
	wire_ike_put_ke(&b, ke.group, ke.data);
	must(wire_ike_ke_parse(rebuilt_body(&b), &again) == ERR_NONE);
	must(again.group == ke.group && bytes_eq(again.data, ke.data));
}

static void check_notify(struct bytes body)
{
	struct wire_ike_notify n;

	if (wire_ike_notify_parse(body, &n) != ERR_NONE)
		return;
	must_lie_within(n.spi, body);
	must_lie_within(n.data, body);
	struct wire_ike_builder b = begin_again();
	wire_ike_put_notify(&b, n.protocol, n.spi, n.type, n.data);
	must(bytes_eq(rebuilt_body(&b), body));
}

static void check_delete(struct bytes body)
{
	struct wire_ike_delete d;

	if (wire_ike_delete_parse(body, &d) != ERR_NONE)
		return;
	must(d.cnt <= WIRE_IKE_SPIS_MAX);
	struct wire_ike_builder b = begin_again();
	wire_ike_put_delete(&b, d.protocol, d.spis, d.cnt);
	must(bytes_eq(rebuilt_body(&b), body));
}

static void check_id(struct bytes body)
{
	struct wire_ike_id id, again;

	if (wire_ike_id_parse(body, &id) != ERR_NONE)
		return;
	must_lie_within(id.data, body);
	must(bytes_eq(id.rest, body));
	struct wire_ike_builder b = begin_again();
	wire_ike_put_id(&b, IKE_PL_IDI, id.type, id.data);
	must(wire_ike_id_parse(rebuilt_body(&b), &again) == ERR_NONE);
	must(again.type == id.type && bytes_eq(again.data, id.data));
}

static void check_auth(struct bytes body)
{
	struct wire_ike_auth auth, again;

	if (wire_ike_auth_parse(body, &auth) != ERR_NONE)
		return;
	must_lie_within(auth.data, body);
	struct wire_ike_builder b = begin_again();
	wire_ike_put_auth(&b, auth.method, auth.data);
	must(wire_ike_auth_parse(rebuilt_body(&b), &again) == ERR_NONE);
	must(again.method == auth.method && bytes_eq(again.data, auth.data));
}

static void check_tss(struct bytes body)
{
	struct wire_ike_tss tss, again;

	if (wire_ike_tss_parse(body, &tss) != ERR_NONE || tss.cnt == 0)
		return;
	must(tss.cnt <= WIRE_IKE_TS_MAX);
	for (unsigned i = 0; i < tss.cnt; i++)
		must(tss.ts[i].first.family == tss.ts[i].last.family &&
		     addr_cmp(&tss.ts[i].first, &tss.ts[i].last) <= 0);
	struct wire_ike_builder b = begin_again();
	wire_ike_put_tss(&b, IKE_PL_TSI, tss.ts, tss.cnt);
	must(wire_ike_tss_parse(rebuilt_body(&b), &again) == ERR_NONE && again.cnt == tss.cnt);
	for (unsigned i = 0; i < tss.cnt; i++)
		must(addr_eq(&again.ts[i].first, &tss.ts[i].first) &&
		     again.ts[i].protocol == tss.ts[i].protocol);
}

static void check_small(struct bytes body)
{
	struct bytes nonce;
	struct wire_ike_skf skf;

	if (wire_ike_nonce_parse(body, &nonce) == ERR_NONE)
		must(nonce.len >= WIRE_IKE_NONCE_MIN && nonce.len <= WIRE_IKE_NONCE_MAX);
	if (wire_ike_skf_parse(body, &skf) == ERR_NONE) {
		must(skf.number >= 1 && skf.number <= skf.total);
		must_lie_within(skf.rest, body);
	}
}

/* ---- message ---- */

static void check_payloads(const struct wire_ike_payloads *pls, struct bytes chain)
{
	struct wire_ike_notify n;

	for (unsigned i = 0; i < pls->cnt; i++) {
		struct bytes body = pls->p[i].body;
		must_lie_within(body, chain);
		must(wire_ike_find(pls, pls->p[i].type, 0) != NULL &&
		     wire_ike_count(pls, pls->p[i].type) > 0);
		/* A body is given to every parser: none may trust that the type was right. */
		check_sa(body);
		check_ke(body);
		check_notify(body);
		check_delete(body);
		check_id(body);
		check_auth(body);
		check_tss(body);
		check_small(body);
	}
	if (wire_ike_notify_find(pls, IKE_N_COOKIE, &n))
		must(n.type == IKE_N_COOKIE);
}

static void check_encrypted(struct bytes msg, const struct wire_ike_payload *sk)
{
	static uint8_t room[1 << 16];
	static struct wire_ike_payloads inner;
	struct space copy = copy_to(msg, SPACE_OF(room));
	struct wire_ike_sk parts;
	struct bytes inside;

	if (wire_ike_sk_parse(copy, sk, IV_LEN, ICV_LEN, &parts) != ERR_NONE)
		return;
	must(parts.aad.len + parts.iv.len + parts.text.cap + parts.icv.cap == msg.len);
	if (wire_ike_sk_strip(bytes_of(parts.text.p, parts.text.cap), &inside) != ERR_NONE)
		return;
	must_lie_within(inside, bytes_of(copy.p, copy.cap));
	if (wire_ike_payloads_parse(sk->next, inside, &inner) == ERR_NONE)
		check_payloads(&inner, inside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct wire_ike_payloads pls;
	struct bytes msg = bytes_of(data, len);
	struct wire_ike_header h;
	struct rd r = rd_of(msg);

	if (len > 1 << 16 || wire_ike_header_parse(msg, &h) != ERR_NONE)
		return 0;
	must(h.length == len);
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	if (wire_ike_payloads_parse(h.next, rd_rest(&r), &pls) != ERR_NONE)
		return 0;
	check_payloads(&pls, msg);
	if (pls.cnt > 0 && (pls.p[pls.cnt - 1].type == IKE_PL_SK || pls.p[pls.cnt - 1].type == IKE_PL_SKF))
		check_encrypted(msg, &pls.p[pls.cnt - 1]);
	return 0;
}
