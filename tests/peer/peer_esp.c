#include "crypt/esp_cipher.h"
#include "crypt/random.h"
#include "peer.h"
#include "wire/esp.h"

static bool run(const struct peer_child *c, bool open, uint64_t seq, struct space packet, enum err *ret)
{
	size_t el = crypt_encr_key_len(c->suite.encr, c->suite.key_bits);
	size_t al = c->suite.integ == IKE_INTEG_NONE ? 0 : crypt_integ_key_len(c->suite.integ);
	struct crypt_esp *ctx;

	struct bytes encr = bytes_of(open ? c->encr_in : c->encr_out, el);
	struct bytes integ = bytes_of(open ? c->integ_in : c->integ_out, al);
	enum err e = c->esn ? crypt_esp_new_esn(c->suite.encr, c->suite.key_bits, c->suite.integ, encr, integ, open, &ctx)
			    : crypt_esp_new(c->suite.encr, c->suite.key_bits, c->suite.integ, encr, integ, open, &ctx);
	if (e != ERR_NONE)
		return false;
	struct crypt_esp_job job = { .ctx = ctx, .esp = packet.p, .len = packet.cap, .seq_hi = (uint32_t)(seq >> 32) };
	if (open)
		crypt_esp_open(&job, 1);
	else
		crypt_esp_seal(&job, 1);
	crypt_esp_free(ctx);
	*ret = job.result;
	return true;
}

static size_t seal(struct peer_child *c, struct bytes inner, size_t tfc, uint8_t next, struct space room)
{
	size_t iv_len = crypt_encr_iv_len(c->suite.encr), icv_len = crypt_icv_len(c->suite.encr, c->suite.integ);
	size_t block = crypt_encr_block_len(c->suite.encr);
	size_t pad = wire_esp_pad_len(inner.len + tfc, block);
	struct wr w = wr_of(room);
	uint8_t iv[16];
	enum err e;

	crypt_random(iv, sizeof(iv));
	if (crypt_encr_is_aead(c->suite.encr)) /* a counter, unique under this key */
		for (unsigned i = 0; i < 8; i++)
			iv[i] = (uint8_t)(c->seq >> (56 - 8 * i));
	wr_u32(&w, c->spi_out);
	wr_u32(&w, (uint32_t)++c->seq);
	wr_put(&w, bytes_of(iv, iv_len));
	wr_put(&w, inner);
	for (size_t i = 0; i < tfc; i++)
		wr_u8(&w, (uint8_t)(i * 31));
	for (size_t i = 1; i <= pad; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, (uint8_t)pad);
	wr_u8(&w, next);
	wr_zero(&w, icv_len);
	if (w.bad || !run(c, false, c->seq, (struct space){ room.p, wr_len(&w) }, &e) || e != ERR_NONE)
		return 0;
	return wr_len(&w);
}

size_t peer_esp_seal(struct peer_child *c, struct bytes inner, size_t tfc, struct space room)
{
	return seal(c, inner, tfc, inner.len > 0 && inner.p[0] >> 4 == 6 ? IP_PROTO_IPV6 : IP_PROTO_IPIP, room);
}

size_t peer_esp_dummy(struct peer_child *c, size_t len, struct space room)
{
	return seal(c, (struct bytes){ 0 }, len, IP_PROTO_NONE, room);
}

/* The number with this lower half that is nearest to the last one. */
static uint64_t extend(const struct peer_child *c, uint32_t lo)
{
	const uint64_t turn = UINT64_C(1) << 32, half = turn / 2;
	uint64_t seq = (c->seq_in & ~(turn - 1)) | lo;

	if (seq + half < c->seq_in)
		return seq + turn;
	return seq > c->seq_in + half && seq >= turn ? seq - turn : seq;
}

MUST_USE enum err peer_esp_open(struct peer_child *c, struct space packet, struct bytes *ret_inner)
{
	size_t head = WIRE_ESP_HEADER_LEN + crypt_encr_iv_len(c->suite.encr);
	size_t icv_len = crypt_icv_len(c->suite.encr, c->suite.integ);
	uint8_t next;
	enum err e;
	struct wire_esp h;

	if (packet.cap < head + icv_len + 2)
		return ERR_SHORT;
	if ((e = wire_esp_parse(bytes_of(packet.p, packet.cap), &h)) != ERR_NONE)
		return e;
	uint64_t seq = c->esn ? extend(c, h.seq) : h.seq;
	if (!run(c, true, seq, packet, &e))
		return ERR_CRYPTO;
	if (e != ERR_NONE)
		return e;
	c->seq_in = seq > c->seq_in ? seq : c->seq_in;
	e = wire_esp_strip(bytes_of(packet.p + head, packet.cap - head - icv_len), ret_inner, &next);
	if (e == ERR_NONE && ret_inner->len == 0)
		e = ERR_SHORT;
	if (e == ERR_NONE && next != (ret_inner->p[0] >> 4 == 6 ? IP_PROTO_IPV6 : IP_PROTO_IPIP))
		e = ERR_SYNTAX;
	return e;
}
