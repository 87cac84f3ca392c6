#include "wire/ike.h"

/* ---- header ---- */

MUST_USE enum err wire_ike_header_parse(struct bytes msg, struct wire_ike_header *ret)
{
	struct rd r = rd_of(msg);
	struct wire_ike_header h = { 0 };

	h.spi_i = rd_u64(&r);
	h.spi_r = rd_u64(&r);
	h.next = rd_u8(&r);
	uint8_t version = rd_u8(&r);
	h.major = version >> 4;
	h.minor = version & 0x0f;
	h.exchange = rd_u8(&r);
	h.flags = rd_u8(&r);
	h.msg_id = rd_u32(&r);
	h.length = rd_u32(&r);
	if (r.bad)
		return ERR_SHORT;
	if (h.length != msg.len)
		return ERR_SYNTAX;
	*ret = h;
	return ERR_NONE;
}

/* ---- payload chain ---- */

/* RFC 7296 3.2: next payload, critical bit and seven reserved ones, length with this header. */
static enum err read_payload(struct rd *r, uint8_t type, struct wire_ike_payload *ret)
{
	struct wire_ike_payload p = { .type = type };

	p.next = rd_u8(r);
	p.critical = (rd_u8(r) & 0x80) != 0;
	size_t len = rd_u16(r);
	if (r->bad)
		return ERR_SHORT;
	if (len < WIRE_IKE_PAYLOAD_HEADER_LEN)
		return ERR_SYNTAX;
	p.body = rd_bytes(r, len - WIRE_IKE_PAYLOAD_HEADER_LEN);
	if (r->bad)
		return ERR_SHORT;
	*ret = p;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_payloads_parse(uint8_t first, struct bytes chain, struct wire_ike_payloads *ret)
{
	struct rd r = rd_of(chain);
	struct wire_ike_payloads pls = { 0 };

	for (uint8_t type = first; type != IKE_PL_NONE;) {
		if (pls.cnt == WIRE_IKE_PAYLOADS_MAX)
			return ERR_RANGE;
		enum err e = read_payload(&r, type, &pls.p[pls.cnt]);
		if (e != ERR_NONE)
			return e;
		/* RFC 7296 3.14, RFC 7383 2.5: its next payload is the first one inside. */
		bool encrypted = type == IKE_PL_SK || type == IKE_PL_SKF;
		type = encrypted ? IKE_PL_NONE : pls.p[pls.cnt].next;
		pls.cnt++;
	}
	if (!rd_done(&r))
		return ERR_SYNTAX;
	*ret = pls;
	return ERR_NONE;
}

const struct wire_ike_payload *wire_ike_find(const struct wire_ike_payloads *pls, uint8_t type, unsigned n)
{
	for (unsigned i = 0; i < pls->cnt; i++) {
		if (pls->p[i].type != type)
			continue;
		if (n == 0)
			return &pls->p[i];
		n--;
	}
	return NULL;
}

unsigned wire_ike_count(const struct wire_ike_payloads *pls, uint8_t type)
{
	unsigned cnt = 0;
	for (unsigned i = 0; i < pls->cnt; i++)
		cnt += pls->p[i].type == type;
	return cnt;
}

/* ---- payloads ---- */

MUST_USE enum err wire_ike_ke_parse(struct bytes body, struct wire_ike_ke *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_ke ke = { 0 };

	ke.group = rd_u16(&r);
	rd_skip(&r, 2);
	ke.data = rd_rest(&r);
	if (r.bad || ke.data.len == 0)
		return ERR_SHORT;
	*ret = ke;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_nonce_parse(struct bytes body, struct bytes *ret)
{
	if (body.len < WIRE_IKE_NONCE_MIN || body.len > WIRE_IKE_NONCE_MAX)
		return ERR_RANGE;
	*ret = body;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_notify_parse(struct bytes body, struct wire_ike_notify *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_notify n = { 0 };

	n.protocol = rd_u8(&r);
	size_t spi_len = rd_u8(&r);
	n.type = rd_u16(&r);
	n.spi = rd_bytes(&r, spi_len);
	n.data = rd_rest(&r);
	if (r.bad)
		return ERR_SHORT;
	/* RFC 7296 3.10: the SPI of a Child SA or none. Of other protocols it is not judged: with an
	 * empty SPI the protocol is to be ignored, and what stands in IKE's is used by nobody. */
	if ((n.protocol == IKE_PROTO_ESP || n.protocol == IKE_PROTO_AH) && spi_len != 0 && spi_len != 4)
		return ERR_SYNTAX;
	*ret = n;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_delete_parse(struct bytes body, struct wire_ike_delete *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_delete d = { 0 };

	d.protocol = rd_u8(&r);
	d.spi_len = rd_u8(&r);
	size_t cnt = rd_u16(&r);
	if (r.bad)
		return ERR_SHORT;
	/* RFC 7296 3.11: no SPI for the IKE SA (the header names it), four bytes for AH and ESP. */
	bool ike = d.protocol == IKE_PROTO_IKE && d.spi_len == 0 && cnt == 0;
	bool child = (d.protocol == IKE_PROTO_ESP || d.protocol == IKE_PROTO_AH) && d.spi_len == 4;
	if (!ike && !child)
		return ERR_SYNTAX;
	if (cnt > WIRE_IKE_SPIS_MAX)
		return ERR_RANGE;
	for (; d.cnt < cnt; d.cnt++)
		d.spis[d.cnt] = rd_u32(&r);
	if (r.bad)
		return ERR_SHORT;
	if (!rd_done(&r))
		return ERR_SYNTAX;
	*ret = d;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_id_parse(struct bytes body, struct wire_ike_id *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_id id = { .rest = body };

	id.type = rd_u8(&r);
	rd_skip(&r, 3);
	id.data = rd_rest(&r);
	if (r.bad || id.data.len == 0)
		return ERR_SHORT;
	if ((id.type == IKE_ID_IPV4_ADDR && id.data.len != 4) ||
	    (id.type == IKE_ID_IPV6_ADDR && id.data.len != 16))
		return ERR_SYNTAX;
	*ret = id;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_auth_parse(struct bytes body, struct wire_ike_auth *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_auth auth = { 0 };

	auth.method = rd_u8(&r);
	rd_skip(&r, 3);
	auth.data = rd_rest(&r);
	if (r.bad || auth.data.len == 0)
		return ERR_SHORT;
	*ret = auth;
	return ERR_NONE;
}

/* RFC 7296 3.13.1: start 65535 with end 0 is OPAQUE, the one range that runs backwards. */
static bool ports_in_order(const struct wire_ike_ts *ts)
{
	return ts->port_first <= ts->port_last || (ts->port_first == UINT16_MAX && ts->port_last == 0);
}

/* One selector; one of a type that we do not know is passed over, *ret_known is false. */
static enum err read_selector(struct rd *r, struct wire_ike_ts *ret, bool *ret_known)
{
	struct wire_ike_ts ts = { 0 };

	uint8_t type = rd_u8(r);
	ts.protocol = rd_u8(r);
	size_t len = rd_u16(r);
	if (r->bad)
		return ERR_SHORT;
	if (len < WIRE_IKE_TS_HEADER_LEN)
		return ERR_SYNTAX;
	struct rd s = rd_sub(r, len - WIRE_IKE_TS_HEADER_LEN);
	if (s.bad)
		return ERR_SHORT;
	bool known = type == IKE_TS_IPV4_RANGE || type == IKE_TS_IPV6_RANGE;
	if (known) {
		size_t n = type == IKE_TS_IPV4_RANGE ? 4 : 16;
		ts.port_first = rd_u16(&s);
		ts.port_last = rd_u16(&s);
		ts.first = addr_from_bytes(rd_bytes(&s, n));
		ts.last = addr_from_bytes(rd_bytes(&s, n));
		if (!rd_done(&s) || !ports_in_order(&ts) || addr_cmp(&ts.first, &ts.last) > 0)
			return ERR_SYNTAX;
		*ret = ts;
	}
	*ret_known = known;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_tss_parse(struct bytes body, struct wire_ike_tss *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_tss tss = { 0 };

	unsigned cnt = rd_u8(&r);
	rd_skip(&r, 3);
	if (r.bad)
		return ERR_SHORT;
	if (cnt == 0) /* RFC 7296 2.9: one or more */
		return ERR_SYNTAX;
	for (unsigned i = 0; i < cnt; i++) {
		struct wire_ike_ts ts;
		bool known = false;
		enum err e = read_selector(&r, &ts, &known);
		if (e != ERR_NONE)
			return e;
		if (!known)
			continue;
		if (tss.cnt == WIRE_IKE_TS_MAX)
			return ERR_RANGE;
		tss.ts[tss.cnt++] = ts;
	}
	if (!rd_done(&r))
		return ERR_SYNTAX;
	*ret = tss;
	return ERR_NONE;
}

MUST_USE enum err wire_ike_skf_parse(struct bytes body, struct wire_ike_skf *ret)
{
	struct rd r = rd_of(body);
	struct wire_ike_skf skf = { 0 };

	skf.number = rd_u16(&r);
	skf.total = rd_u16(&r);
	skf.rest = rd_rest(&r);
	if (r.bad || skf.rest.len == 0)
		return ERR_SHORT;
	/* RFC 7383 2.5: numbers begin with 1 and do not exceed the total. */
	if (skf.number == 0 || skf.number > skf.total)
		return ERR_SYNTAX;
	*ret = skf;
	return ERR_NONE;
}

bool wire_ike_notify_find(const struct wire_ike_payloads *pls, uint16_t type, struct wire_ike_notify *ret)
{
	for (unsigned i = 0; i < pls->cnt; i++) {
		struct wire_ike_notify n;
		if (pls->p[i].type != IKE_PL_NOTIFY || wire_ike_notify_parse(pls->p[i].body, &n) != ERR_NONE)
			continue;
		if (n.type == type) {
			*ret = n;
			return true;
		}
	}
	return false;
}

/* ---- encrypted payload ---- */

MUST_USE enum err wire_ike_sk_parse(struct space msg, const struct wire_ike_payload *sk, size_t iv_len,
				    size_t icv_len, struct wire_ike_sk *ret)
{
	/* RFC 7383 2.5: a fragment's number and total stand before the IV and are authenticated too. */
	size_t fixed = sk->type == IKE_PL_SKF ? 4 : 0;
	struct rd r = rd_of(sk->body);

	rd_skip(&r, fixed);
	rd_skip(&r, iv_len);
	(void)rd_back(&r, icv_len);
	size_t text_len = rd_left(&r);
	if (text_len == 0) /* at least the pad length */
		return ERR_SHORT;

	/* The chain ends with SK, so its body is the end of the datagram. */
	must(sk->body.len <= msg.cap);
	struct wr w = wr_of(msg);
	size_t aad_len = msg.cap - sk->body.len + fixed;
	uint8_t *aad = wr_reserve(&w, aad_len), *iv = wr_reserve(&w, iv_len);
	uint8_t *text = wr_reserve(&w, text_len), *icv = wr_reserve(&w, icv_len);
	must(!w.bad && wr_len(&w) == msg.cap);
	*ret = (struct wire_ike_sk){
		.aad = { aad, aad_len },
		.iv = { iv, iv_len },
		.text = { text, text_len },
		.icv = { icv, icv_len },
	};
	return ERR_NONE;
}

MUST_USE enum err wire_ike_sk_strip(struct bytes text, struct bytes *ret)
{
	struct rd r = rd_of(text);
	struct bytes pad_len = rd_back(&r, 1);

	if (r.bad)
		return ERR_SHORT;
	(void)rd_back(&r, pad_len.p[0]); /* RFC 7296 3.14: its contents are not judged */
	if (r.bad)
		return ERR_SYNTAX;
	*ret = rd_rest(&r);
	return ERR_NONE;
}
