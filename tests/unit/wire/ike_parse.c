#include "wire/ike.h"

#include "strongswan_init.h"
#include "wire_test.h"

/* ---- every payload parser behind one signature ---- */

union view {
	struct wire_ike_sa sa;
	struct wire_ike_ke ke;
	struct bytes nonce;
	struct wire_ike_notify notify;
	struct wire_ike_delete del;
	struct wire_ike_id id;
	struct wire_ike_auth auth;
	struct wire_ike_tss tss;
	struct wire_ike_skf skf;
};

#define AS_PARSE(name, member)                                                                             \
	static enum err parse_##name(struct bytes b, union view *v)                                        \
	{                                                                                                  \
		return wire_ike_##name##_parse(b, &v->member);                                             \
	}
AS_PARSE(sa, sa)
AS_PARSE(ke, ke)
AS_PARSE(nonce, nonce)
AS_PARSE(notify, notify)
AS_PARSE(delete, del)
AS_PARSE(id, id)
AS_PARSE(auth, auth)
AS_PARSE(tss, tss)
AS_PARSE(skf, skf)

/* Parses a copy of exactly that size; on failure the view must be as it was. */
static enum err parse(enum err (*fn)(struct bytes, union view *), struct bytes body)
{
	union view v, before;
	struct bytes copy = exact_copy(body);

	memset(&v, 0xa5, sizeof(v));
	memset(&before, 0xa5, sizeof(before));
	enum err e = fn(copy, &v);
	if (e != ERR_NONE)
		assert_memory_equal(&v, &before, sizeof(v));
	exact_free(copy);
	return e;
}

static const uint8_t sa_body[] = {
	0x02, 0, 0, 0x2c, 1, 1, 0, 4, /* proposal 1: IKE, no SPI, 4 transforms */
	0x03, 0, 0, 0x0c, 1, 0, 0, 20, 0x80, 0x0e, 1, 0, /* AES-GCM-16-256 */
	0x03, 0, 0, 0x08, 2, 0, 0, 5,
	0x03, 0, 0, 0x08, 4, 0, 0, 14,
	0x00, 0, 0, 0x08, 4, 0, 0, 5,
	0x00, 0, 0, 0x20, 2, 3, 4, 2, 0xc0, 0xff, 0xee, 1, /* proposal 2: ESP */
	0x03, 0, 0, 0x0c, 1, 0, 0, 12, 0x80, 0x0e, 0, 0x80,
	0x00, 0, 0, 0x08, 3, 0, 0, 12,
};
static const uint8_t ke_body[] = { 0, 14, 0, 0, 0xaa, 0xbb };
static const uint8_t nonce_body[16] = { 1, 2, 3 };
static const uint8_t notify_body[] = { 3, 4, 0x40, 0x09, 1, 2, 3, 4, 0x99 };
static const uint8_t delete_body[] = { 3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
static const uint8_t id_body[] = { 2, 0, 0, 0, 'a', '.', 'b' };
static const uint8_t auth_body[] = { 2, 0, 0, 0, 0x11, 0x22 };
static const uint8_t tss_body[] = {
	2, 0, 0, 0,
	7, 17, 0, 16, 0, 53, 0, 54, 10, 0, 0, 0, 10, 0, 0, 255,
	8, 0, 0, 40, 0, 0, 0xff, 0xff,
	0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9,
};
static const uint8_t skf_body[] = { 0, 1, 0, 2, 0x55, 0x66 };

static const struct sample {
	enum err (*parse)(struct bytes, union view *);
	struct bytes body;
	size_t least; /* shorter ones are malformed */
	bool open_end; /* longer ones are well formed */
} samples[] = {
	{ parse_sa, { sa_body, sizeof(sa_body) }, sizeof(sa_body), false },
	{ parse_ke, { ke_body, sizeof(ke_body) }, 5, true },
	{ parse_nonce, { nonce_body, sizeof(nonce_body) }, 16, true },
	{ parse_notify, { notify_body, sizeof(notify_body) }, 8, true },
	{ parse_delete, { delete_body, sizeof(delete_body) }, sizeof(delete_body), false },
	{ parse_id, { id_body, sizeof(id_body) }, 5, true },
	{ parse_auth, { auth_body, sizeof(auth_body) }, 5, true },
	{ parse_tss, { tss_body, sizeof(tss_body) }, sizeof(tss_body), false },
	{ parse_skf, { skf_body, sizeof(skf_body) }, 5, true },
};

static void every_payload_refuses_each_truncation(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct sample *s = &samples[i];
		for (size_t n = 0; n <= s->body.len; n++) {
			enum err e = parse(s->parse, bytes_of(s->body.p, n));
			if ((e == ERR_NONE) != (n >= s->least))
				fail_msg("sample %zu cut to %zu bytes: %s", i, n, err_text(e));
		}
	}
}

static void every_counted_payload_refuses_bytes_left_over(void **state)
{
	uint8_t more[256] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct sample *s = &samples[i];
		memcpy(more, s->body.p, s->body.len);
		for (size_t extra = 1; extra <= 4; extra++) {
			enum err e = parse(s->parse, bytes_of(more, s->body.len + extra));
			assert_int_equal(e, s->open_end ? ERR_NONE : ERR_SYNTAX);
		}
	}
}

/* Whatever one byte says, the parser answers without leaving the block. */
static void every_payload_survives_every_value_of_every_byte(void **state)
{
	uint8_t changed[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct sample *s = &samples[i];
		unsigned refused = 0;
		for (size_t at = 0; at < s->body.len; at++) {
			memcpy(changed, s->body.p, s->body.len);
			for (unsigned v = 0; v < 256; v++) {
				changed[at] = (uint8_t)v;
				refused += parse(s->parse, bytes_of(changed, s->body.len)) != ERR_NONE;
			}
		}
		assert_true(s->open_end || refused > 500);
	}
}

/* ---- header ---- */

static const uint8_t header[] = {
	1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
	33, 0x21, 34, 0x28, 0, 0, 0, 7, 0, 0, 0, 28,
};

static void header_is_read_field_by_field(void **state)
{
	struct wire_ike_header h;

	(void)state;
	assert_int_equal(wire_ike_header_parse(BYTES_OF(header), &h), ERR_NONE);
	assert_true(h.spi_i == 0x0102030405060708u && h.spi_r == 0x1112131415161718u);
	assert_int_equal(h.next, IKE_PL_SA);
	assert_int_equal(h.major, 2);
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.exchange, IKE_EX_SA_INIT);
	assert_int_equal(h.flags, IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE);
	assert_int_equal(h.msg_id, 7);
	assert_int_equal(h.length, 28);
}

static void header_refuses_each_truncation(void **state)
{
	struct wire_ike_header h = { .msg_id = 99 };

	(void)state;
	for (size_t n = 0; n < sizeof(header); n++) {
		struct bytes copy = exact_copy(bytes_of(header, n));
		assert_int_equal(wire_ike_header_parse(copy, &h), ERR_SHORT);
		exact_free(copy);
	}
	assert_int_equal(h.msg_id, 99);
}

static void header_length_must_be_the_datagrams(void **state)
{
	static const uint32_t lies[] = { 0, 27, 29, 0xffff, 0x10000 + 28, UINT32_MAX };
	uint8_t msg[28];
	struct wire_ike_header h;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		memcpy(msg, header, sizeof(msg));
		struct wr w = wr_of(SPACE_OF(msg));
		(void)wr_reserve(&w, sizeof(msg));
		wr_set_u32(&w, 24, lies[i]);
		assert_int_equal(wire_ike_header_parse(BYTES_OF(msg), &h), ERR_SYNTAX);
	}
}

/* ---- chain ---- */

static void chain_gives_payloads_in_order(void **state)
{
	static const uint8_t chain[] = { 40, 0x80, 0, 5, 0xaa, 41, 0, 0, 4, 0, 0x7f, 0, 6, 1, 2 };
	struct wire_ike_payloads pls;

	(void)state;
	assert_int_equal(wire_ike_payloads_parse(33, BYTES_OF(chain), &pls), ERR_NONE);
	assert_int_equal(pls.cnt, 3);
	assert_int_equal(pls.p[0].type, 33);
	assert_true(pls.p[0].critical);
	assert_bytes(pls.p[0].body, "\xaa", 1);
	assert_int_equal(pls.p[1].type, 40);
	assert_false(pls.p[1].critical);
	assert_int_equal(pls.p[1].body.len, 0);
	assert_int_equal(pls.p[2].type, 41);
	assert_false(pls.p[2].critical); /* reserved bits are not the critical bit */
	assert_bytes(pls.p[2].body, "\1\2", 2);
}

static void chain_without_payloads_is_empty(void **state)
{
	struct wire_ike_payloads pls = { .cnt = 9 };

	(void)state;
	assert_int_equal(wire_ike_payloads_parse(0, bytes_of(header, 0), &pls), ERR_NONE);
	assert_int_equal(pls.cnt, 0);
	assert_int_equal(wire_ike_payloads_parse(0, bytes_of(header, 1), &pls), ERR_SYNTAX);
	assert_int_equal(wire_ike_payloads_parse(33, bytes_of(header, 0), &pls), ERR_SHORT);
}

static void chain_refuses_lengths_that_lie(void **state)
{
	static const uint16_t lies[] = { 0, 1, 2, 3, 5, 6, 7, 9, 10, 0x7fff, 0x8000, 0xffff };
	struct wire_ike_payloads pls = { .cnt = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		uint8_t chain[] = { 0, 0, (uint8_t)(lies[i] >> 8), (uint8_t)lies[i], 1, 2, 3, 4 };
		struct bytes copy = exact_copy(BYTES_OF(chain));
		enum err e = wire_ike_payloads_parse(40, copy, &pls);
		assert_int_equal(e, lies[i] > 8 ? ERR_SHORT : ERR_SYNTAX);
		exact_free(copy);
	}
	assert_int_equal(pls.cnt, 77);
}

static void chain_refuses_each_truncation(void **state)
{
	static const uint8_t chain[] = { 40, 0, 0, 6, 1, 2, 0, 0, 0, 7, 1, 2, 3 };
	struct wire_ike_payloads pls;

	(void)state;
	for (size_t n = 0; n < sizeof(chain); n++) {
		struct bytes copy = exact_copy(bytes_of(chain, n));
		assert_int_equal(wire_ike_payloads_parse(33, copy, &pls), ERR_SHORT);
		exact_free(copy);
	}
	assert_int_equal(wire_ike_payloads_parse(33, BYTES_OF(chain), &pls), ERR_NONE);
}

static void chain_takes_payloads_up_to_the_cap(void **state)
{
	uint8_t chain[4 * (WIRE_IKE_PAYLOADS_MAX + 1)];
	struct wire_ike_payloads pls;

	(void)state;
	for (size_t cnt = WIRE_IKE_PAYLOADS_MAX; cnt <= WIRE_IKE_PAYLOADS_MAX + 1; cnt++) {
		for (size_t i = 0; i < cnt; i++) {
			const uint8_t one[4] = { i + 1 == cnt ? 0 : 43, 0, 0, 4 };
			memcpy(chain + 4 * i, one, 4);
		}
		enum err e = wire_ike_payloads_parse(43, bytes_of(chain, 4 * cnt), &pls);
		assert_int_equal(e, cnt > WIRE_IKE_PAYLOADS_MAX ? ERR_RANGE : ERR_NONE);
	}
}

static void encrypted_payload_ends_the_chain(void **state)
{
	static const uint8_t types[] = { IKE_PL_SK, IKE_PL_SKF };
	static const uint8_t chain[] = { 35, 0, 0, 6, 1, 2, 0 };
	struct wire_ike_payloads pls;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(wire_ike_payloads_parse(types[i], bytes_of(chain, 6), &pls), ERR_NONE);
		assert_int_equal(pls.cnt, 1);
		assert_int_equal(pls.p[0].next, 35);
		assert_int_equal(wire_ike_payloads_parse(types[i], bytes_of(chain, 7), &pls), ERR_SYNTAX);
	}
}

static void find_and_count_tell_repeated_payloads_apart(void **state)
{
	static const uint8_t chain[] = { 40, 0, 0, 5, 1, 41, 0, 0, 5, 2, 0, 0, 0, 5, 3 };
	struct wire_ike_payloads pls;

	(void)state;
	assert_int_equal(wire_ike_payloads_parse(41, BYTES_OF(chain), &pls), ERR_NONE);
	assert_int_equal(wire_ike_count(&pls, 41), 2);
	assert_int_equal(wire_ike_count(&pls, 33), 0);
	assert_bytes(wire_ike_find(&pls, 41, 0)->body, "\1", 1);
	assert_bytes(wire_ike_find(&pls, 41, 1)->body, "\3", 1);
	assert_null(wire_ike_find(&pls, 41, 2));
	assert_null(wire_ike_find(&pls, 33, 0));
}

/* ---- payloads ---- */

static void key_exchange_is_group_and_value(void **state)
{
	struct wire_ike_ke ke;

	(void)state;
	assert_int_equal(wire_ike_ke_parse(BYTES_OF(ke_body), &ke), ERR_NONE);
	assert_int_equal(ke.group, IKE_GROUP_MODP2048);
	assert_bytes(ke.data, "\xaa\xbb", 2);
}

static void nonce_has_16_to_256_bytes(void **state)
{
	static const uint8_t body[257];
	struct bytes nonce;

	(void)state;
	assert_int_equal(wire_ike_nonce_parse(bytes_of(body, 15), &nonce), ERR_RANGE);
	assert_int_equal(wire_ike_nonce_parse(bytes_of(body, 16), &nonce), ERR_NONE);
	assert_int_equal(wire_ike_nonce_parse(bytes_of(body, 256), &nonce), ERR_NONE);
	assert_int_equal(nonce.len, 256);
	assert_int_equal(wire_ike_nonce_parse(bytes_of(body, 257), &nonce), ERR_RANGE);
}

static void notify_splits_spi_and_data(void **state)
{
	struct wire_ike_notify n;

	(void)state;
	assert_int_equal(wire_ike_notify_parse(BYTES_OF(notify_body), &n), ERR_NONE);
	assert_int_equal(n.protocol, IKE_PROTO_ESP);
	assert_int_equal(n.type, IKE_N_REKEY_SA);
	assert_bytes(n.spi, "\1\2\3\4", 4);
	assert_bytes(n.data, "\x99", 1);
}

static void notify_spi_has_the_size_of_its_protocol(void **state)
{
	uint8_t body[4 + 255] = { 0, 0, 0x40, 0x09 };

	(void)state;
	for (unsigned protocol = 0; protocol <= 4; protocol++) {
		for (unsigned spi_len = 0; spi_len <= 255; spi_len++) {
			bool child = protocol == IKE_PROTO_AH || protocol == IKE_PROTO_ESP;
			body[0] = (uint8_t)protocol;
			body[1] = (uint8_t)spi_len;
			assert_int_equal(parse(parse_notify, BYTES_OF(body)),
					 child && spi_len != 0 && spi_len != 4 ? ERR_SYNTAX : ERR_NONE);
			if (spi_len > 0)
				assert_int_equal(parse(parse_notify, bytes_of(body, 3 + spi_len)), ERR_SHORT);
		}
	}
}

static void notify_find_passes_over_others_and_malformed_ones(void **state)
{
	static const uint8_t chain[] = {
		41, 0, 0, 8, 3, 9, 0x40, 0x04, /* malformed: SPI longer than the payload */
		41, 0, 0, 8, 0, 0, 0x40, 0x05,
		41, 0, 0, 9, 0, 0, 0x40, 0x04, 1,
		0, 0, 0, 9, 0, 0, 0x40, 0x04, 2,
	};
	struct wire_ike_payloads pls;
	struct wire_ike_notify n = { .protocol = 9 };

	(void)state;
	assert_int_equal(wire_ike_payloads_parse(41, BYTES_OF(chain), &pls), ERR_NONE);
	assert_false(wire_ike_notify_find(&pls, IKE_N_COOKIE, &n));
	assert_int_equal(n.protocol, 9);
	assert_true(wire_ike_notify_find(&pls, IKE_N_NAT_DETECTION_SOURCE_IP, &n));
	assert_bytes(n.data, "\1", 1);
}

static void delete_lists_child_spis(void **state)
{
	struct wire_ike_delete d;

	(void)state;
	assert_int_equal(wire_ike_delete_parse(BYTES_OF(delete_body), &d), ERR_NONE);
	assert_int_equal(d.protocol, IKE_PROTO_ESP);
	assert_int_equal(d.spi_len, 4);
	assert_int_equal(d.cnt, 2);
	assert_int_equal(d.spis[0], 0x01020304);
	assert_int_equal(d.spis[1], 0x05060708);
}

static void delete_of_the_ike_sa_has_no_spi(void **state)
{
	static const uint8_t good[] = { 1, 0, 0, 0 }, spi[] = { 1, 4, 0, 1, 1, 2, 3, 4 },
			     count[] = { 1, 0, 0, 1 };

	(void)state;
	assert_int_equal(parse(parse_delete, BYTES_OF(good)), ERR_NONE);
	assert_int_equal(parse(parse_delete, BYTES_OF(spi)), ERR_SYNTAX);
	assert_int_equal(parse(parse_delete, BYTES_OF(count)), ERR_SYNTAX);
}

static void delete_refuses_huge_and_lying_counts(void **state)
{
	uint8_t body[4 + 4 * (WIRE_IKE_SPIS_MAX + 1)] = { 3, 4 };

	(void)state;
	for (unsigned cnt = 0; cnt <= UINT16_MAX; cnt++) {
		body[2] = (uint8_t)(cnt >> 8);
		body[3] = (uint8_t)cnt;
		enum err want = cnt > WIRE_IKE_SPIS_MAX ? ERR_RANGE : cnt > 3 ? ERR_SHORT :
			       cnt == 3 ? ERR_NONE : ERR_SYNTAX;
		union view v;
		assert_int_equal(parse_delete(bytes_of(body, 16), &v), want);
	}
	body[2] = 0;
	body[3] = WIRE_IKE_SPIS_MAX;
	assert_int_equal(parse(parse_delete, bytes_of(body, sizeof(body) - 4)), ERR_NONE);
	body[3] = WIRE_IKE_SPIS_MAX + 1;
	assert_int_equal(parse(parse_delete, BYTES_OF(body)), ERR_RANGE);
}

static void delete_refuses_other_protocols_and_spi_sizes(void **state)
{
	uint8_t body[4 + 16] = { 0 };

	(void)state;
	for (unsigned protocol = 0; protocol < 256; protocol++) {
		for (unsigned spi_len = 0; spi_len <= 16; spi_len++) {
			bool child = (protocol == IKE_PROTO_ESP || protocol == IKE_PROTO_AH) && spi_len == 4;
			body[0] = (uint8_t)protocol;
			body[1] = (uint8_t)spi_len;
			body[3] = 1;
			assert_int_equal(parse(parse_delete, bytes_of(body, 4 + spi_len)),
					 child ? ERR_NONE : ERR_SYNTAX);
		}
	}
}

static void identity_keeps_its_text_and_its_whole_body(void **state)
{
	struct wire_ike_id id;

	(void)state;
	assert_int_equal(wire_ike_id_parse(BYTES_OF(id_body), &id), ERR_NONE);
	assert_int_equal(id.type, IKE_ID_FQDN);
	assert_bytes(id.data, "a.b", 3);
	assert_bytes(id.rest, id_body, sizeof(id_body));
}

static void identity_of_length_0_is_refused_for_every_type(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		const uint8_t body[] = { (uint8_t)type, 0, 0, 0 };
		assert_int_equal(parse(parse_id, BYTES_OF(body)), ERR_SHORT);
	}
}

static void identity_may_hold_any_bytes_up_to_the_longest_payload(void **state)
{
	static uint8_t body[UINT16_MAX - 4] = { IKE_ID_KEY_ID };
	struct wire_ike_id id;

	(void)state;
	assert_int_equal(wire_ike_id_parse(BYTES_OF(body), &id), ERR_NONE);
	assert_int_equal(id.data.len, sizeof(body) - 4);
}

static void identity_address_has_its_familys_length(void **state)
{
	uint8_t body[4 + 17] = { 0 };

	(void)state;
	for (size_t n = 1; n <= 17; n++) {
		body[0] = IKE_ID_IPV4_ADDR;
		assert_int_equal(parse(parse_id, bytes_of(body, 4 + n)), n == 4 ? ERR_NONE : ERR_SYNTAX);
		body[0] = IKE_ID_IPV6_ADDR;
		assert_int_equal(parse(parse_id, bytes_of(body, 4 + n)), n == 16 ? ERR_NONE : ERR_SYNTAX);
	}
}

static void auth_is_method_and_data(void **state)
{
	struct wire_ike_auth auth;

	(void)state;
	assert_int_equal(wire_ike_auth_parse(BYTES_OF(auth_body), &auth), ERR_NONE);
	assert_int_equal(auth.method, IKE_AUTH_PSK);
	assert_bytes(auth.data, "\x11\x22", 2);
}

/* ---- traffic selectors ---- */

static void selectors_of_both_families_are_read(void **state)
{
	struct wire_ike_tss tss;
	struct addr low = addr_of("10.0.0.0"), high = addr_of("2001:db8::9");

	(void)state;
	assert_int_equal(wire_ike_tss_parse(BYTES_OF(tss_body), &tss), ERR_NONE);
	assert_int_equal(tss.cnt, 2);
	assert_int_equal(tss.ts[0].protocol, IP_PROTO_UDP);
	assert_int_equal(tss.ts[0].port_first, 53);
	assert_int_equal(tss.ts[0].port_last, 54);
	assert_true(addr_eq(&tss.ts[0].first, &low));
	assert_int_equal(tss.ts[1].port_last, 65535);
	assert_true(addr_eq(&tss.ts[1].last, &high));
}

static void selector_counts_that_lie_are_refused(void **state)
{
	uint8_t body[sizeof(tss_body)];

	(void)state;
	memcpy(body, tss_body, sizeof(body));
	for (unsigned cnt = 0; cnt < 256; cnt++) {
		body[0] = (uint8_t)cnt;
		assert_int_equal(parse(parse_tss, BYTES_OF(body)),
				 cnt < 2 ? ERR_SYNTAX : cnt == 2 ? ERR_NONE : ERR_SHORT);
	}
}

static void selectors_above_the_cap_are_refused(void **state)
{
	uint8_t body[4 + 16 * (WIRE_IKE_TS_MAX + 1)] = { 0 };

	(void)state;
	for (size_t i = 0; i <= WIRE_IKE_TS_MAX; i++)
		memcpy(body + 4 + 16 * i, tss_body + 4, 16);
	body[0] = WIRE_IKE_TS_MAX;
	assert_int_equal(parse(parse_tss, bytes_of(body, sizeof(body) - 16)), ERR_NONE);
	body[0] = WIRE_IKE_TS_MAX + 1;
	assert_int_equal(parse(parse_tss, BYTES_OF(body)), ERR_RANGE);
}

static void selector_lengths_that_do_not_fit_the_type_are_refused(void **state)
{
	uint8_t body[4 + 48];

	(void)state;
	for (unsigned len = 0; len <= UINT16_MAX; len++) {
		memset(body, 0, sizeof(body));
		memcpy(body, tss_body, 20);
		body[0] = 1;
		body[6] = (uint8_t)(len >> 8);
		body[7] = (uint8_t)len;
		size_t left = sizeof(body) - 4;
		union view v;
		enum err e = parse_tss(bytes_of(body, len >= 8 && len <= left ? 4 + len : sizeof(body)), &v);
		assert_int_equal(e, len == 16 ? ERR_NONE : len > left ? ERR_SHORT : ERR_SYNTAX);
	}
}

static void inverted_ranges_are_refused(void **state)
{
	uint8_t body[20];

	(void)state;
	memcpy(body, tss_body, sizeof(body));
	body[0] = 1;
	body[16 - 1] = 1; /* 10.0.0.1 to 10.0.0.255 */
	assert_int_equal(parse(parse_tss, BYTES_OF(body)), ERR_NONE);
	body[20 - 1] = 0; /* 10.0.0.1 to 10.0.0.0 */
	assert_int_equal(parse(parse_tss, BYTES_OF(body)), ERR_SYNTAX);
	body[20 - 1] = 1;
	body[9] = 55; /* ports 55 to 54 */
	assert_int_equal(parse(parse_tss, BYTES_OF(body)), ERR_SYNTAX);
}

static void opaque_ports_are_the_one_inverted_range_allowed(void **state)
{
	static const uint8_t body[] = {
		1, 0, 0, 0, 7, 17, 0, 16, 0xff, 0xff, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0
	};

	(void)state;
	assert_int_equal(parse(parse_tss, BYTES_OF(body)), ERR_NONE);
}

static void selectors_of_unknown_type_are_passed_over(void **state)
{
	static const uint8_t body[] = { 3, 0, 0, 0, 9, 0, 0, 4, 7, 0, 0, 16, 0, 0, 0, 0, 10, 0, 0, 0,
					10, 0, 0, 0, 200, 0, 0, 6, 1, 2 };
	struct wire_ike_tss tss;

	(void)state;
	assert_int_equal(wire_ike_tss_parse(BYTES_OF(body), &tss), ERR_NONE);
	assert_int_equal(tss.cnt, 1);
}

/* ---- a real one ---- */

static void request_of_a_real_router_is_taken_whole(void **state)
{
	static struct wire_ike_sa sa;
	struct wire_ike_header h;
	struct wire_ike_payloads pls;
	struct wire_ike_ke ke;
	struct wire_ike_notify n;
	struct rd r = rd_of(BYTES_OF(strongswan_init));

	(void)state;
	rd_skip(&r, WIRE_IKE_HEADER_LEN);
	assert_int_equal(wire_ike_header_parse(BYTES_OF(strongswan_init), &h), ERR_NONE);
	assert_int_equal(h.exchange, IKE_EX_SA_INIT);
	assert_int_equal(wire_ike_payloads_parse(h.next, rd_rest(&r), &pls), ERR_NONE);
	assert_int_equal(pls.cnt, 8);
	assert_int_equal(wire_ike_sa_parse(wire_ike_find(&pls, IKE_PL_SA, 0)->body, &sa), ERR_NONE);
	assert_int_equal(sa.cnt, 2);
	assert_int_equal(sa.p[0].cnt, 38);
	assert_int_equal(sa.p[1].cnt, 47);
	assert_int_equal(wire_ike_ke_parse(wire_ike_find(&pls, IKE_PL_KE, 0)->body, &ke), ERR_NONE);
	assert_int_equal(ke.group, 31); /* Curve25519 */
	assert_int_equal(ke.data.len, 32);
	assert_true(wire_ike_notify_find(&pls, IKE_N_NAT_DETECTION_DESTINATION_IP, &n));
	assert_int_equal(n.data.len, 20);
	assert_true(wire_ike_notify_find(&pls, IKE_N_SIGNATURE_HASH_ALGORITHMS, &n));
	assert_int_equal(n.data.len, 8);
	assert_false(wire_ike_notify_find(&pls, IKE_N_COOKIE, &n));
}

/* ---- fragments and encrypted payloads ---- */

static void fragment_numbers_lie_within_the_total(void **state)
{
	static const struct {
		uint16_t number, total;
		enum err want;
	} rows[] = {
		{ 0, 0, ERR_SYNTAX }, { 0, 1, ERR_SYNTAX }, { 1, 0, ERR_SYNTAX }, { 1, 1, ERR_NONE },
		{ 2, 1, ERR_SYNTAX }, { 65535, 65535, ERR_NONE }, { 65535, 65534, ERR_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const uint8_t body[] = { (uint8_t)(rows[i].number >> 8), (uint8_t)rows[i].number,
					 (uint8_t)(rows[i].total >> 8), (uint8_t)rows[i].total, 1 };
		assert_int_equal(parse(parse_skf, BYTES_OF(body)), rows[i].want);
	}
}

static void encrypted_payload_splits_into_the_parts_of_the_cipher(void **state)
{
	uint8_t msg[28 + 4 + 4 + 8 + 16 + 12] = { 0 };
	struct wire_ike_sk sk;

	(void)state;
	for (unsigned fixed = 0; fixed <= 4; fixed += 4) {
		struct wire_ike_payload pl = { .type = fixed == 0 ? IKE_PL_SK : IKE_PL_SKF,
					       .body = { msg + 32, sizeof(msg) - 32 } };
		assert_int_equal(wire_ike_sk_parse(SPACE_OF(msg), &pl, 8, 12, &sk), ERR_NONE);
		assert_ptr_equal(sk.aad.p, msg);
		assert_int_equal(sk.aad.len, 32 + fixed);
		assert_ptr_equal(sk.iv.p, msg + 32 + fixed);
		assert_int_equal(sk.iv.len, 8);
		assert_ptr_equal(sk.text.p, msg + 40 + fixed);
		assert_int_equal(sk.text.cap, 20 - fixed);
		assert_ptr_equal(sk.icv.p, msg + sizeof(msg) - 12);
		assert_int_equal(sk.icv.cap, 12);
	}
}

static void encrypted_payload_without_room_for_its_parts_is_refused(void **state)
{
	uint8_t msg[28 + 4 + 64] = { 0 };
	struct wire_ike_sk sk = { .aad = { NULL, 77 } };

	(void)state;
	for (size_t n = 0; n <= 64; n++) {
		struct wire_ike_payload pl = { .type = IKE_PL_SK, .body = { msg + 32, n } };
		enum err e = wire_ike_sk_parse((struct space){ msg, 32 + n }, &pl, 16, 16, &sk);
		assert_int_equal(e, n < 33 ? ERR_SHORT : ERR_NONE);
		if (n < 33)
			assert_int_equal(sk.aad.len, 77);
	}
	struct wire_ike_payload pl = { .type = IKE_PL_SK, .body = { msg + 32, 64 } };
	assert_int_equal(wire_ike_sk_parse(SPACE_OF(msg), &pl, SIZE_MAX, 16, &sk), ERR_SHORT);
	assert_int_equal(wire_ike_sk_parse(SPACE_OF(msg), &pl, 16, SIZE_MAX, &sk), ERR_SHORT);
}

static void padding_is_taken_off_whatever_it_contains(void **state)
{
	uint8_t text[300];
	struct bytes inner = { NULL, 7 };

	(void)state;
	memset(text, 0x5a, sizeof(text));
	assert_int_equal(wire_ike_sk_strip(bytes_of(text, 0), &inner), ERR_SHORT);
	for (size_t n = 1; n <= sizeof(text); n++) {
		for (unsigned pad = 0; pad < 256; pad += 15) {
			text[n - 1] = (uint8_t)pad;
			inner.len = 7;
			enum err e = wire_ike_sk_strip(bytes_of(text, n), &inner);
			assert_int_equal(e, pad > n - 1 ? ERR_SYNTAX : ERR_NONE);
			assert_int_equal(inner.len, pad > n - 1 ? 7 : n - 1 - pad);
		}
		text[n - 1] = 0x5a;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_payload_refuses_each_truncation),
		cmocka_unit_test(every_counted_payload_refuses_bytes_left_over),
		cmocka_unit_test(every_payload_survives_every_value_of_every_byte),
		cmocka_unit_test(header_is_read_field_by_field),
		cmocka_unit_test(header_refuses_each_truncation),
		cmocka_unit_test(header_length_must_be_the_datagrams),
		cmocka_unit_test(chain_gives_payloads_in_order),
		cmocka_unit_test(chain_without_payloads_is_empty),
		cmocka_unit_test(chain_refuses_lengths_that_lie),
		cmocka_unit_test(chain_refuses_each_truncation),
		cmocka_unit_test(chain_takes_payloads_up_to_the_cap),
		cmocka_unit_test(encrypted_payload_ends_the_chain),
		cmocka_unit_test(find_and_count_tell_repeated_payloads_apart),
		cmocka_unit_test(key_exchange_is_group_and_value),
		cmocka_unit_test(nonce_has_16_to_256_bytes),
		cmocka_unit_test(notify_splits_spi_and_data),
		cmocka_unit_test(notify_spi_has_the_size_of_its_protocol),
		cmocka_unit_test(notify_find_passes_over_others_and_malformed_ones),
		cmocka_unit_test(delete_lists_child_spis),
		cmocka_unit_test(delete_of_the_ike_sa_has_no_spi),
		cmocka_unit_test(delete_refuses_huge_and_lying_counts),
		cmocka_unit_test(delete_refuses_other_protocols_and_spi_sizes),
		cmocka_unit_test(identity_keeps_its_text_and_its_whole_body),
		cmocka_unit_test(identity_of_length_0_is_refused_for_every_type),
		cmocka_unit_test(identity_may_hold_any_bytes_up_to_the_longest_payload),
		cmocka_unit_test(identity_address_has_its_familys_length),
		cmocka_unit_test(auth_is_method_and_data),
		cmocka_unit_test(selectors_of_both_families_are_read),
		cmocka_unit_test(selector_counts_that_lie_are_refused),
		cmocka_unit_test(selectors_above_the_cap_are_refused),
		cmocka_unit_test(selector_lengths_that_do_not_fit_the_type_are_refused),
		cmocka_unit_test(inverted_ranges_are_refused),
		cmocka_unit_test(opaque_ports_are_the_one_inverted_range_allowed),
		cmocka_unit_test(selectors_of_unknown_type_are_passed_over),
		cmocka_unit_test(request_of_a_real_router_is_taken_whole),
		cmocka_unit_test(fragment_numbers_lie_within_the_total),
		cmocka_unit_test(encrypted_payload_splits_into_the_parts_of_the_cipher),
		cmocka_unit_test(encrypted_payload_without_room_for_its_parts_is_refused),
		cmocka_unit_test(padding_is_taken_off_whatever_it_contains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
