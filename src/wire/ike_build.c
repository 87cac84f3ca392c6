#include "wire/ike.h"

/* Offsets in the message header (RFC 7296 3.1) that are filled in afterwards. */
enum { NEXT_PAYLOAD_AT = 16, LENGTH_AT = 24 };

/* Fills in the length of the payload that began at `at`. */
static void close_payload(struct wr *w, size_t at)
{
	if (w->bad)
		return;
	size_t len = wr_len(w) - at;
	if (len > UINT16_MAX)
		w->bad = true;
	else
		wr_set_u16(w, at + 2, (uint16_t)len);
}

static void close_last(struct wire_ike_builder *b)
{
	if (b->payload_at != 0)
		close_payload(&b->w, b->payload_at);
	b->payload_at = 0;
}

void wire_ike_begin(struct wire_ike_builder *b, struct space room, const struct wire_ike_header *h)
{
	*b = (struct wire_ike_builder){ .w = wr_of(room), .h = *h, .next_at = NEXT_PAYLOAD_AT };
	wr_u64(&b->w, h->spi_i);
	wr_u64(&b->w, h->spi_r);
	wr_u8(&b->w, IKE_PL_NONE);
	wr_u8(&b->w, (uint8_t)(h->major << 4 | (h->minor & 0x0f)));
	wr_u8(&b->w, h->exchange);
	wr_u8(&b->w, h->flags);
	wr_u32(&b->w, h->msg_id);
	wr_u32(&b->w, 0);
}

/* Chains a payload to the one before. RFC 7296 2.5: not critical, as all types defined there. */
static size_t chain_payload(struct wire_ike_builder *b, uint8_t type)
{
	must(b->w.bad || b->next_at != 0); /* nothing can follow SK */
	close_last(b);
	wr_set_u8(&b->w, b->next_at, type);
	size_t at = wr_len(&b->w);
	wr_u8(&b->w, IKE_PL_NONE);
	wr_u8(&b->w, 0);
	wr_u16(&b->w, 0);
	b->next_at = at;
	return at;
}

void wire_ike_open(struct wire_ike_builder *b, uint8_t type)
{
	b->payload_at = chain_payload(b, type);
}

/* ---- payloads ---- */

void wire_ike_put_ke(struct wire_ike_builder *b, uint16_t group, struct bytes public_value)
{
	wire_ike_open(b, IKE_PL_KE);
	wr_u16(&b->w, group);
	wr_u16(&b->w, 0);
	wr_put(&b->w, public_value);
}

void wire_ike_put_nonce(struct wire_ike_builder *b, struct bytes nonce)
{
	wire_ike_open(b, IKE_PL_NONCE);
	wr_put(&b->w, nonce);
}

void wire_ike_put_notify(struct wire_ike_builder *b, uint8_t protocol, struct bytes spi, uint16_t type,
			 struct bytes data)
{
	must(spi.len <= UINT8_MAX);
	wire_ike_open(b, IKE_PL_NOTIFY);
	wr_u8(&b->w, protocol);
	wr_u8(&b->w, (uint8_t)spi.len);
	wr_u16(&b->w, type);
	wr_put(&b->w, spi);
	wr_put(&b->w, data);
}

void wire_ike_put_plain_notify(struct wire_ike_builder *b, uint16_t type, struct bytes data)
{
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, type, data);
}

void wire_ike_put_id(struct wire_ike_builder *b, uint8_t payload, uint8_t id_type, struct bytes data)
{
	wire_ike_open(b, payload);
	wr_u8(&b->w, id_type);
	wr_zero(&b->w, 3);
	wr_put(&b->w, data);
}

void wire_ike_put_auth(struct wire_ike_builder *b, uint8_t method, struct bytes data)
{
	wire_ike_open(b, IKE_PL_AUTH);
	wr_u8(&b->w, method);
	wr_zero(&b->w, 3);
	wr_put(&b->w, data);
}

void wire_ike_put_delete(struct wire_ike_builder *b, uint8_t protocol, const uint32_t *spis, uint8_t cnt)
{
	must(protocol != IKE_PROTO_IKE || cnt == 0);
	wire_ike_open(b, IKE_PL_DELETE);
	wr_u8(&b->w, protocol);
	wr_u8(&b->w, protocol == IKE_PROTO_IKE ? 0 : 4);
	wr_u16(&b->w, cnt);
	for (unsigned i = 0; i < cnt; i++)
		wr_u32(&b->w, spis[i]);
}

void wire_ike_put_tss(struct wire_ike_builder *b, uint8_t payload, const struct wire_ike_ts *ts, uint8_t cnt)
{
	wire_ike_open(b, payload);
	wr_u8(&b->w, cnt);
	wr_zero(&b->w, 3);
	for (unsigned i = 0; i < cnt; i++) {
		must(ts[i].first.family != ADDR_NONE && ts[i].first.family == ts[i].last.family);
		size_t len = WIRE_IKE_TS_HEADER_LEN + 4 + 2 * addr_len(ts[i].first.family);
		wr_u8(&b->w, ts[i].first.family == ADDR_V4 ? IKE_TS_IPV4_RANGE : IKE_TS_IPV6_RANGE);
		wr_u8(&b->w, ts[i].protocol);
		wr_u16(&b->w, (uint16_t)len);
		wr_u16(&b->w, ts[i].port_first);
		wr_u16(&b->w, ts[i].port_last);
		wr_put(&b->w, addr_bytes(&ts[i].first));
		wr_put(&b->w, addr_bytes(&ts[i].last));
	}
}

/* ---- encrypted payload and end ---- */

void wire_ike_sk_open(struct wire_ike_builder *b, struct bytes iv)
{
	must(b->sk_at == 0);
	b->sk_at = chain_payload(b, IKE_PL_SK);
	b->iv_at = wr_len(&b->w);
	wr_put(&b->w, iv);
	b->text_at = wr_len(&b->w);
}

void wire_ike_skf_open(struct wire_ike_builder *b, uint16_t number, uint16_t total, uint8_t first, struct bytes iv)
{
	must(b->sk_at == 0 && number >= 1 && number <= total);
	b->sk_at = chain_payload(b, IKE_PL_SKF);
	/* RFC 7383 2.5: in the first fragment the type of the first payload inside, in all others 0. */
	wr_set_u8(&b->w, b->sk_at, number == 1 ? first : IKE_PL_NONE);
	wr_u16(&b->w, number);
	wr_u16(&b->w, total);
	b->iv_at = wr_len(&b->w);
	wr_put(&b->w, iv);
	b->text_at = wr_len(&b->w);
}

MUST_USE enum err wire_ike_sk_abandon(struct wire_ike_builder *b, uint8_t *ret_first, struct bytes *ret_chain)
{
	close_last(b);
	if (b->w.bad)
		return ERR_FULL;
	must(b->sk_at != 0);
	struct rd r = rd_of(wr_bytes(&b->w));
	rd_skip(&r, b->sk_at);
	struct rd header = r;
	*ret_first = rd_u8(&header);
	rd_skip(&r, b->text_at - b->sk_at);
	*ret_chain = rd_rest(&r);
	b->w.bad = true; /* what is begun cannot be sent any more */
	return ERR_NONE;
}

MUST_USE enum err wire_ike_sk_close(struct wire_ike_builder *b, size_t block_len, size_t icv_len,
				    struct wire_ike_sk *ret)
{
	must(block_len > 0 && block_len <= 256);
	close_last(b);
	if (b->w.bad)
		return ERR_FULL;
	must(b->sk_at != 0);

	/* RFC 7296 3.14: payloads, padding and pad length together fill whole blocks. */
	size_t tail = (wr_len(&b->w) - b->text_at + 1) % block_len;
	size_t pad_len = tail == 0 ? 0 : block_len - tail;
	wr_zero(&b->w, pad_len);
	wr_u8(&b->w, (uint8_t)pad_len);
	size_t icv_at = wr_len(&b->w);
	wr_zero(&b->w, icv_len);
	close_payload(&b->w, b->sk_at);
	if (b->w.bad)
		return ERR_FULL;
	wr_set_u32(&b->w, LENGTH_AT, (uint32_t)wr_len(&b->w));

	struct wr again = wr_of((struct space){ b->w.start, wr_len(&b->w) });
	/* RFC 7383 2.5: number and total of a fragment are authenticated, too. */
	size_t aad_len = b->iv_at;
	struct bytes aad = { wr_reserve(&again, aad_len), aad_len };
	struct bytes iv = { wr_reserve(&again, b->text_at - aad_len), b->text_at - aad_len };
	struct space text = { wr_reserve(&again, icv_at - b->text_at), icv_at - b->text_at };
	struct space icv = { wr_reserve(&again, icv_len), icv_len };
	must(!again.bad);
	b->sk_at = 0;
	b->next_at = 0;
	*ret = (struct wire_ike_sk){ aad, iv, text, icv };
	return ERR_NONE;
}

MUST_USE enum err wire_ike_finish(struct wire_ike_builder *b, struct bytes *ret)
{
	close_last(b);
	if (b->w.bad)
		return ERR_FULL;
	must(b->sk_at == 0); /* an SK payload that was not closed is plaintext */
	wr_set_u32(&b->w, LENGTH_AT, (uint32_t)wr_len(&b->w));
	*ret = wr_bytes(&b->w);
	return ERR_NONE;
}
