#include "crypt/esp_cipher.h"
#include "crypt/random.h"
#include "peer.h"
#include "wire/esp.h"

static bool run(const struct peer_child *c, bool open, struct space packet, enum err *ret)
{
	size_t el = crypt_encr_key_len(c->suite.encr, c->suite.key_bits);
	size_t al = c->suite.integ == IKE_INTEG_NONE ? 0 : crypt_integ_key_len(c->suite.integ);
	struct crypt_esp *ctx;

	if (crypt_esp_new(c->suite.encr, c->suite.key_bits, c->suite.integ,
			  bytes_of(open ? c->encr_in : c->encr_out, el),
			  bytes_of(open ? c->integ_in : c->integ_out, al), open, &ctx) != ERR_NONE)
		return false;
	struct crypt_esp_job job = { .ctx = ctx, .esp = packet.p, .len = packet.cap };
	if (open)
		crypt_esp_open(&job, 1);
	else
		crypt_esp_seal(&job, 1);
	crypt_esp_free(ctx);
	*ret = job.result;
	return true;
}

size_t peer_esp_seal(struct peer_child *c, struct bytes inner, struct space room)
{
	size_t iv_len = crypt_encr_iv_len(c->suite.encr), icv_len = crypt_icv_len(c->suite.encr, c->suite.integ);
	size_t block = crypt_encr_block_len(c->suite.encr);
	size_t pad = wire_esp_pad_len(inner.len, block);
	struct wr w = wr_of(room);
	uint8_t iv[16];
	enum err e;

	crypt_random(iv, sizeof(iv));
	if (crypt_encr_is_aead(c->suite.encr)) /* a counter, unique under this key */
		for (unsigned i = 0; i < 8; i++)
			iv[i] = (uint8_t)((uint64_t)c->seq >> (56 - 8 * i));
	wr_u32(&w, c->spi_out);
	wr_u32(&w, ++c->seq);
	wr_put(&w, bytes_of(iv, iv_len));
	wr_put(&w, inner);
	for (size_t i = 1; i <= pad; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, (uint8_t)pad);
	wr_u8(&w, inner.len > 0 && inner.p[0] >> 4 == 6 ? IP_PROTO_IPV6 : IP_PROTO_IPIP);
	wr_zero(&w, icv_len);
	if (w.bad || !run(c, false, (struct space){ room.p, wr_len(&w) }, &e) || e != ERR_NONE)
		return 0;
	return wr_len(&w);
}

MUST_USE enum err peer_esp_open(struct peer_child *c, struct space packet, struct bytes *ret_inner)
{
	size_t head = WIRE_ESP_HEADER_LEN + crypt_encr_iv_len(c->suite.encr);
	size_t icv_len = crypt_icv_len(c->suite.encr, c->suite.integ);
	uint8_t next;
	enum err e;

	if (packet.cap < head + icv_len + 2)
		return ERR_SHORT;
	if (!run(c, true, packet, &e))
		return ERR_CRYPTO;
	if (e != ERR_NONE)
		return e;
	e = wire_esp_strip(bytes_of(packet.p + head, packet.cap - head - icv_len), ret_inner, &next);
	if (e == ERR_NONE && ret_inner->len == 0)
		e = ERR_SHORT;
	if (e == ERR_NONE && next != (ret_inner->p[0] >> 4 == 6 ? IP_PROTO_IPV6 : IP_PROTO_IPIP))
		e = ERR_SYNTAX;
	return e;
}
