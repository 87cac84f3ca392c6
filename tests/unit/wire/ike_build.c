#include "wire/ike.h"

#include "wire_test.h"

static const struct wire_ike_header request = {
	.spi_i = 0x0102030405060708u,
	.spi_r = 0x1112131415161718u,
	.major = 2,
	.exchange = IKE_EX_AUTH,
	.flags = IKE_FLAG_INITIATOR,
	.msg_id = 1,
};

/* Parses a message's header and chain. */
static void parse_message(struct bytes msg, struct wire_ike_header *h, struct wire_ike_payloads *pls)
{
	struct rd r = rd_of(msg);
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	assert_int_equal(wire_ike_header_parse(msg, h), ERR_NONE);
	assert_int_equal(wire_ike_payloads_parse(h->next, rd_rest(&r), pls), ERR_NONE);
}

static const uint8_t key[256] = { 0xde, 0xad }, nonce[32] = { 7, 7 }, auth[32] = { 0xaa };
static const uint8_t spi[] = { 0xc0, 0xff, 0xee, 1 };
static const uint32_t spis[] = { 0xc0ffee01, 0xc0ffee02, 256 };

/* One payload of each kind; the order is that of no exchange. */
static void put_one_of_each(struct wire_ike_builder *b)
{
	const struct wire_ike_sa sa = {
		.cnt = 1,
		.p = { { .number = 1, .protocol = IKE_PROTO_ESP, .spi = BYTES_OF(spi), .cnt = 2,
			 .t = { { .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
				{ .type = IKE_TT_ESN, .id = IKE_ESN_NONE } } } },
	};
	const struct wire_ike_ts ts[] = {
		{ .protocol = IP_PROTO_TCP, .port_first = 1, .port_last = 65535, .first = addr_of("10.1.0.0"),
		  .last = addr_of("10.1.255.255") },
		{ .port_last = 65535, .first = addr_of("2001:db8::"), .last = addr_of("2001:db8::ffff") },
	};

	wire_ike_put_sa(b, &sa);
	wire_ike_put_ke(b, IKE_GROUP_MODP2048, BYTES_OF(key));
	wire_ike_put_nonce(b, BYTES_OF(nonce));
	wire_ike_put_notify(b, IKE_PROTO_ESP, BYTES_OF(spi), IKE_N_REKEY_SA, bytes_str("why"));
	wire_ike_put_id(b, IKE_PL_IDI, IKE_ID_FQDN, bytes_str("t.1.example"));
	wire_ike_put_id(b, IKE_PL_IDR, IKE_ID_IPV4_ADDR, bytes_of(spi, 4));
	wire_ike_put_auth(b, IKE_AUTH_PSK, BYTES_OF(auth));
	wire_ike_put_delete(b, IKE_PROTO_ESP, spis, ARRAY_LEN(spis));
	wire_ike_put_delete(b, IKE_PROTO_IKE, NULL, 0);
	wire_ike_put_tss(b, IKE_PL_TSI, ts, 2);
	wire_ike_put_tss(b, IKE_PL_TSR, ts + 1, 1);
}

static void check_keys(const struct wire_ike_payloads *pls)
{
	static struct wire_ike_sa sa;
	struct wire_ike_ke ke;
	struct bytes n;
	struct wire_ike_auth a;

	assert_int_equal(wire_ike_sa_parse(wire_ike_find(pls, IKE_PL_SA, 0)->body, &sa), ERR_NONE);
	assert_int_equal(sa.cnt, 1);
	assert_bytes(sa.p[0].spi, spi, sizeof(spi));
	assert_int_equal(sa.p[0].cnt, 2);
	assert_int_equal(sa.p[0].t[0].key_bits, 256);
	assert_int_equal(sa.p[0].t[1].type, IKE_TT_ESN);
	assert_int_equal(sa.p[0].t[1].key_bits, 0);
	assert_int_equal(wire_ike_ke_parse(wire_ike_find(pls, IKE_PL_KE, 0)->body, &ke), ERR_NONE);
	assert_int_equal(ke.group, IKE_GROUP_MODP2048);
	assert_bytes(ke.data, key, sizeof(key));
	assert_int_equal(wire_ike_nonce_parse(wire_ike_find(pls, IKE_PL_NONCE, 0)->body, &n), ERR_NONE);
	assert_bytes(n, nonce, sizeof(nonce));
	assert_int_equal(wire_ike_auth_parse(wire_ike_find(pls, IKE_PL_AUTH, 0)->body, &a), ERR_NONE);
	assert_int_equal(a.method, IKE_AUTH_PSK);
	assert_bytes(a.data, auth, sizeof(auth));
}

static void check_names(const struct wire_ike_payloads *pls)
{
	struct wire_ike_notify notify;
	struct wire_ike_id id;
	struct wire_ike_delete d;

	assert_true(wire_ike_notify_find(pls, IKE_N_REKEY_SA, &notify));
	assert_int_equal(notify.protocol, IKE_PROTO_ESP);
	assert_bytes(notify.spi, spi, sizeof(spi));
	assert_bytes(notify.data, "why", 3);
	assert_int_equal(wire_ike_id_parse(wire_ike_find(pls, IKE_PL_IDI, 0)->body, &id), ERR_NONE);
	assert_int_equal(id.type, IKE_ID_FQDN);
	assert_bytes(id.data, "t.1.example", 11);
	assert_int_equal(id.rest.len, 4 + 11);
	assert_int_equal(wire_ike_id_parse(wire_ike_find(pls, IKE_PL_IDR, 0)->body, &id), ERR_NONE);
	assert_int_equal(id.type, IKE_ID_IPV4_ADDR);
	assert_int_equal(wire_ike_delete_parse(wire_ike_find(pls, IKE_PL_DELETE, 0)->body, &d), ERR_NONE);
	assert_int_equal(d.cnt, 3);
	assert_int_equal(d.spis[2], 256);
	assert_int_equal(wire_ike_delete_parse(wire_ike_find(pls, IKE_PL_DELETE, 1)->body, &d), ERR_NONE);
	assert_int_equal(d.protocol, IKE_PROTO_IKE);
	assert_int_equal(d.cnt, 0);
}

static void check_selectors(const struct wire_ike_payloads *pls)
{
	struct wire_ike_tss tss;
	struct addr low = addr_of("10.1.0.0"), high = addr_of("2001:db8::ffff");

	assert_int_equal(wire_ike_tss_parse(wire_ike_find(pls, IKE_PL_TSI, 0)->body, &tss), ERR_NONE);
	assert_int_equal(tss.cnt, 2);
	assert_int_equal(tss.ts[0].protocol, IP_PROTO_TCP);
	assert_int_equal(tss.ts[0].port_first, 1);
	assert_true(addr_eq(&tss.ts[0].first, &low));
	assert_true(addr_eq(&tss.ts[1].last, &high));
	assert_int_equal(wire_ike_tss_parse(wire_ike_find(pls, IKE_PL_TSR, 0)->body, &tss), ERR_NONE);
	assert_int_equal(tss.cnt, 1);
	assert_int_equal(tss.ts[0].first.family, ADDR_V6);
}

static void plain_message_parses_to_what_was_put_in(void **state)
{
	uint8_t room[1024];
	struct wire_ike_builder b;
	struct wire_ike_header h;
	struct wire_ike_payloads pls;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(room), &request);
	put_one_of_each(&b);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	parse_message(msg, &h, &pls);
	assert_true(h.spi_i == request.spi_i && h.spi_r == request.spi_r);
	assert_int_equal(h.major, 2);
	assert_int_equal(h.minor, 0);
	assert_int_equal(h.exchange, IKE_EX_AUTH);
	assert_int_equal(h.flags, IKE_FLAG_INITIATOR);
	assert_int_equal(h.msg_id, 1);
	assert_int_equal(pls.cnt, 11);
	check_keys(&pls);
	check_names(&pls);
	check_selectors(&pls);
}

static void message_without_payloads_is_its_header(void **state)
{
	uint8_t room[28];
	struct wire_ike_builder b;
	struct wire_ike_header h;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(room),
		       &(struct wire_ike_header){ .major = 2, .next = 99, .length = 12345 });
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	assert_int_equal(wire_ike_header_parse(msg, &h), ERR_NONE);
	assert_int_equal(h.next, IKE_PL_NONE);
	assert_int_equal(h.length, 28);
}

/* A cipher of one key bit, good enough to tell plaintext from ciphertext. */
static void flip(struct space text)
{
	for (size_t i = 0; i < text.cap; i++)
		text.p[i] ^= 0xff;
}

static void encrypted_message_opens_to_what_was_put_in(void **state)
{
	static const struct {
		size_t iv_len, block_len, icv_len;
	} ciphers[] = { { 8, 1, 16 }, { 16, 16, 16 }, { 16, 16, 12 }, { 8, 4, 16 }, { 0, 256, 0 } };
	uint8_t room[2048], iv[16];
	struct wire_ike_builder b;

	(void)state;
	memset(iv, 0x1f, sizeof(iv));
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
		struct wire_ike_header h;
		struct wire_ike_payloads pls, inner;
		struct wire_ike_sk sealed, opened;
		struct bytes msg, inside;

		wire_ike_begin(&b, SPACE_OF(room), &request);
		wire_ike_sk_open(&b, bytes_of(iv, ciphers[i].iv_len));
		put_one_of_each(&b);
		assert_int_equal(wire_ike_sk_close(&b, ciphers[i].block_len, ciphers[i].icv_len, &sealed),
				 ERR_NONE);
		assert_int_equal(sealed.text.cap % ciphers[i].block_len, 0);
		assert_int_equal(sealed.icv.cap, ciphers[i].icv_len);
		memset(sealed.icv.p, 0xcc, sealed.icv.cap);
		flip(sealed.text);
		assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);

		parse_message(msg, &h, &pls);
		assert_int_equal(pls.cnt, 1);
		assert_int_equal(pls.p[0].type, IKE_PL_SK);
		assert_int_equal(pls.p[0].next, IKE_PL_SA);
		assert_int_equal(wire_ike_sk_parse((struct space){ room, msg.len }, &pls.p[0],
						   ciphers[i].iv_len, ciphers[i].icv_len, &opened),
				 ERR_NONE);
		assert_memory_equal(&opened, &sealed, sizeof(opened));
		assert_bytes(opened.iv, iv, ciphers[i].iv_len);
		assert_int_equal(opened.aad.len, 32);
		flip(opened.text);
		assert_int_equal(wire_ike_sk_strip(bytes_of(opened.text.p, opened.text.cap), &inside),
				 ERR_NONE);
		assert_int_equal(wire_ike_payloads_parse(pls.p[0].next, inside, &inner), ERR_NONE);
		assert_int_equal(inner.cnt, 11);
		check_keys(&inner);
		check_names(&inner);
		check_selectors(&inner);
	}
}

/* RFC 7383 2.5 */
static void abandoned_message_goes_out_in_fragments(void **state)
{
	uint8_t whole[2048], room[512], joined[2048];
	struct wr out = wr_of(SPACE_OF(joined));
	struct wire_ike_builder b;
	struct wire_ike_payloads pls, inner;
	struct wire_ike_header h;
	struct wire_ike_sk sealed, opened;
	struct wire_ike_skf skf;
	struct bytes chain, msg, inside;
	uint8_t first;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(whole), &request);
	wire_ike_sk_open(&b, bytes_of(nonce, 16));
	put_one_of_each(&b);
	assert_int_equal(wire_ike_sk_abandon(&b, &first, &chain), ERR_NONE);
	assert_int_equal(first, IKE_PL_SA);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_FULL); /* as plaintext it never goes out */
	struct rd r = rd_of(chain);
	uint16_t total = (uint16_t)((chain.len + 99) / 100);
	for (uint16_t n = 1; n <= total; n++) {
		size_t left = rd_left(&r);
		wire_ike_begin(&b, SPACE_OF(room), &request);
		wire_ike_skf_open(&b, n, total, first, bytes_of(nonce, 16));
		wr_put(&b.w, rd_bytes(&r, left < 100 ? left : 100));
		assert_int_equal(wire_ike_sk_close(&b, 16, 12, &sealed), ERR_NONE);
		assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
		parse_message(msg, &h, &pls);
		assert_int_equal(pls.cnt, 1);
		assert_int_equal(pls.p[0].type, IKE_PL_SKF);
		assert_int_equal(pls.p[0].next, n == 1 ? IKE_PL_SA : IKE_PL_NONE);
		assert_int_equal(wire_ike_skf_parse(pls.p[0].body, &skf), ERR_NONE);
		assert_int_equal(skf.number, n);
		assert_int_equal(skf.total, total);
		assert_int_equal(wire_ike_sk_parse((struct space){ room, msg.len }, &pls.p[0], 16, 12, &opened), ERR_NONE);
		assert_memory_equal(&opened, &sealed, sizeof(opened));
		assert_int_equal(opened.aad.len, 28 + 4 + 4);
		assert_int_equal(wire_ike_sk_strip(bytes_of(opened.text.p, opened.text.cap), &inside), ERR_NONE);
		wr_put(&out, inside);
	}
	assert_bytes(wr_bytes(&out), chain.p, chain.len);
	assert_int_equal(wire_ike_payloads_parse(first, wr_bytes(&out), &inner), ERR_NONE);
	assert_int_equal(inner.cnt, 11);
	check_keys(&inner);
}

static void encrypted_message_may_be_empty(void **state)
{
	uint8_t room[128];
	struct wire_ike_builder b;
	struct wire_ike_header h;
	struct wire_ike_payloads pls;
	struct wire_ike_sk sk;
	struct bytes msg, inside;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(room), &request);
	wire_ike_sk_open(&b, bytes_of(nonce, 16));
	assert_int_equal(wire_ike_sk_close(&b, 16, 16, &sk), ERR_NONE);
	assert_int_equal(sk.text.cap, 16);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	parse_message(msg, &h, &pls);
	assert_int_equal(pls.p[0].next, IKE_PL_NONE);
	assert_int_equal(wire_ike_sk_strip(bytes_of(sk.text.p, sk.text.cap), &inside), ERR_NONE);
	assert_int_equal(inside.len, 0);
}

static void padding_completes_the_block_at_every_length(void **state)
{
	uint8_t room[256];

	(void)state;
	for (size_t n = 0; n < 64; n++) {
		struct wire_ike_builder b;
		struct wire_ike_sk sk;
		wire_ike_begin(&b, SPACE_OF(room), &request);
		wire_ike_sk_open(&b, bytes_of(nonce, 16));
		wire_ike_open(&b, IKE_PL_NONCE);
		wr_zero(&b.w, n);
		assert_int_equal(wire_ike_sk_close(&b, 16, 16, &sk), ERR_NONE);
		size_t least = 4 + n + 1;
		assert_int_equal(sk.text.cap, (least + 15) / 16 * 16);
		assert_int_equal(sk.text.p[sk.text.cap - 1], sk.text.cap - least);
	}
}

static void plain_payload_may_stand_before_the_encrypted_one(void **state)
{
	uint8_t room[256];
	struct wire_ike_builder b;
	struct wire_ike_header h;
	struct wire_ike_payloads pls;
	struct wire_ike_sk sk;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(room), &request);
	wire_ike_put_nonce(&b, BYTES_OF(nonce));
	wire_ike_sk_open(&b, bytes_of(nonce, 8));
	wire_ike_put_auth(&b, IKE_AUTH_PSK, BYTES_OF(auth));
	assert_int_equal(wire_ike_sk_close(&b, 1, 16, &sk), ERR_NONE);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	parse_message(msg, &h, &pls);
	assert_int_equal(pls.cnt, 2);
	assert_int_equal(pls.p[0].type, IKE_PL_NONCE);
	assert_int_equal(pls.p[0].body.len, sizeof(nonce));
	assert_int_equal(pls.p[1].type, IKE_PL_SK);
	assert_int_equal(pls.p[1].next, IKE_PL_AUTH);
	assert_int_equal(sk.aad.len, 28 + 4 + sizeof(nonce) + 4);
}

/* Every size of room in a block of exactly that size: ERR_FULL or the whole message, never a byte beyond. */
static void room_that_is_too_small_is_told_at_the_end(void **state)
{
	uint8_t big[1024];
	struct wire_ike_builder b;
	struct bytes msg;
	struct wire_ike_sk sk;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(big), &request);
	wire_ike_sk_open(&b, bytes_of(nonce, 8));
	put_one_of_each(&b);
	assert_int_equal(wire_ike_sk_close(&b, 16, 16, &sk), ERR_NONE);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	size_t whole = msg.len;

	for (size_t n = 0; n <= whole; n++) {
		uint8_t *room = malloc(n == 0 ? 1 : n);
		wire_ike_begin(&b, (struct space){ room, n }, &request);
		wire_ike_sk_open(&b, bytes_of(nonce, 8));
		put_one_of_each(&b);
		assert_int_equal(wire_ike_sk_close(&b, 16, 16, &sk), n < whole ? ERR_FULL : ERR_NONE);
		assert_int_equal(wire_ike_finish(&b, &msg), n < whole ? ERR_FULL : ERR_NONE);
		free(room);
	}
}

static void payload_above_its_length_field_is_refused(void **state)
{
	static uint8_t room[1 << 17], value[UINT16_MAX];
	struct wire_ike_builder b;
	struct bytes msg;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(room), &request);
	wire_ike_put_nonce(&b, bytes_of(value, UINT16_MAX - 4));
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	wire_ike_begin(&b, SPACE_OF(room), &request);
	wire_ike_put_nonce(&b, bytes_of(value, UINT16_MAX - 3));
	wire_ike_put_nonce(&b, bytes_of(value, 16));
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_message_parses_to_what_was_put_in),
		cmocka_unit_test(message_without_payloads_is_its_header),
		cmocka_unit_test(encrypted_message_opens_to_what_was_put_in),
		cmocka_unit_test(abandoned_message_goes_out_in_fragments),
		cmocka_unit_test(encrypted_message_may_be_empty),
		cmocka_unit_test(padding_completes_the_block_at_every_length),
		cmocka_unit_test(plain_payload_may_stand_before_the_encrypted_one),
		cmocka_unit_test(room_that_is_too_small_is_told_at_the_end),
		cmocka_unit_test(payload_above_its_length_field_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
