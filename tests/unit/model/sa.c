#include "model/sa.h"

#include "codec.h"

CODEC_OF(model_child_decode, struct model_child_sa);

static struct model_ts a_ts(uint8_t seed)
{
	return (struct model_ts){
		.protocol = 6,
		.port_first = 80,
		.port_last = 443,
		.first = addr_from_v4_u32(0x0a000000u + seed),
		.last = addr_from_v4_u32(0x0a0000ffu + seed),
	};
}

static struct model_child_sa a_child(void)
{
	struct model_child_sa c = {
		.spi_in = 0x01020304,
		.spi_out = 0xa0b0c0d0,
		.ike_spi = 0x1122334455667788,
		.account_id = { { 1 } },
		.tunnel_id = { { 2 } },
		.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256, .group = IKE_GROUP_MODP2048 },
		.path = {
			.local = { addr_from_v4_u32(0xc0000201), 4500 },
			.remote = { addr_from_v4_u32(0xcb007101), 61234 },
			.udp_encap = true,
		},
		.ts_local_cnt = 1,
		.ts_remote_cnt = 2,
		.ts_local = { a_ts(0) },
		.ts_remote = { a_ts(1), a_ts(2) },
		.created_us = 10,
		.expires_us = 20,
		.sequenced = true,
		.seq_out_first = UINT64_C(1) << 40,
	};
	for (size_t i = 0; i < MODEL_CHILD_KEY_MAX; i++) {
		c.keys_in.encr[i] = (uint8_t)i;
		c.keys_out.encr[i] = (uint8_t)(0x80 + i);
	}
	memset(c.keys_in.integ, 3, sizeof(c.keys_in.integ));
	memset(c.keys_out.integ, 4, sizeof(c.keys_out.integ));
	return c;
}

static void assert_ts_equal(const struct model_ts *a, const struct model_ts *b)
{
	assert_int_equal(a->protocol, b->protocol);
	assert_int_equal(a->port_first, b->port_first);
	assert_int_equal(a->port_last, b->port_last);
	assert_true(addr_eq(&a->first, &b->first));
	assert_true(addr_eq(&a->last, &b->last));
}

static void record_comes_back_in(uint16_t format)
{
	struct model_child_sa c = a_child(), d;
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	assert_int_equal(model_child_encode(&c, format, &w), ERR_NONE);
	assert_int_equal(model_child_decode(wr_bytes(&w), &d), ERR_NONE);
	assert_int_equal(d.spi_in, c.spi_in);
	assert_int_equal(d.spi_out, c.spi_out);
	assert_true(d.ike_spi == c.ike_spi);
	assert_true(model_id_eq(&c.account_id, &d.account_id));
	assert_true(model_id_eq(&c.tunnel_id, &d.tunnel_id));
	assert_memory_equal(&c.suite, &d.suite, sizeof(c.suite));
	assert_memory_equal(&c.keys_in, &d.keys_in, sizeof(c.keys_in));
	assert_memory_equal(&c.keys_out, &d.keys_out, sizeof(c.keys_out));
	assert_true(addr_endpoint_eq(&c.path.local, &d.path.local));
	assert_true(addr_endpoint_eq(&c.path.remote, &d.path.remote));
	assert_true(d.path.udp_encap);
	assert_int_equal(d.ts_local_cnt, 1);
	assert_int_equal(d.ts_remote_cnt, 2);
	assert_ts_equal(&c.ts_local[0], &d.ts_local[0]);
	assert_ts_equal(&c.ts_remote[1], &d.ts_remote[1]);
	assert_int_equal(d.created_us, 10);
	assert_int_equal(d.expires_us, 20);
	assert_true(d.sequenced);
	assert_int_equal(d.seq_out_first, UINT64_C(1) << 40);
	if (format == MODEL_FORMAT_NEWEST)
		codec_keeps_the_rules(&codec, wr_bytes(&w), (uint64_t)1 << 10 | (uint64_t)1 << 11);
}

static void record_comes_back_as_it_was_in_each_format(void **state)
{
	(void)state;
	for (uint16_t format = MODEL_FORMAT_OLDEST; format <= MODEL_FORMAT_NEWEST; format++)
		record_comes_back_in(format);
}

static void biggest_child_fits_its_record_and_one_selector_more_is_refused(void **state)
{
	(void)state;
	struct model_child_sa c = a_child();
	struct model_ts six = { 0, 0, 65535, { { 0x20 }, ADDR_V6 }, { { 0x3f }, ADDR_V6 } };
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	c.ts_local_cnt = c.ts_remote_cnt = MODEL_TS_MAX;
	for (size_t i = 0; i < MODEL_TS_MAX; i++)
		c.ts_local[i] = c.ts_remote[i] = six;
	c.path.local.addr = c.path.remote.addr = six.first;
	assert_int_equal(model_child_encode(&c, model_format_newest(), &w), ERR_NONE);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_NONE);
	model_ts_put(&w, 11, &six);
	assert_false(w.bad);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_SYNTAX);
}

/* A record from which any one of these fields is gone would decrypt with zero keys or pass too much. */
static void no_field_that_guards_traffic_may_be_missing(void **state)
{
	(void)state;
	struct model_child_sa c = a_child();
	uint8_t room[MODEL_CHILD_RECORD_MAX], cut[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	assert_int_equal(model_child_encode(&c, model_format_newest(), &w), ERR_NONE);
	for (uint16_t gone = 1; gone <= 14; gone++) {
		struct rd r = rd_of(wr_bytes(&w));
		struct wr v = wr_of(SPACE_OF(cut));
		struct tlv t;
		wr_u16(&v, rd_u16(&r));
		while (tlv_next(&r, &t))
			if (t.type != gone)
				tlv_bytes(&v, t.type, t.value);
		assert_int_equal(codec_try(&codec, wr_bytes(&v)), gone == 12 || gone == 14 ? ERR_NONE : ERR_SYNTAX);
	}
}

static void selector_with_two_families_is_refused(void **state)
{
	(void)state;
	struct model_ts ts = a_ts(0), got;
	uint8_t room[128];
	struct wr w = wr_of(SPACE_OF(room));
	ts.last = (struct addr){ { 0x20 }, ADDR_V6 };
	model_ts_put(&w, 1, &ts);
	assert_false(w.bad);
	assert_int_equal(model_ts_get(bytes_of(room + 4, wr_len(&w) - 4), &got), ERR_SYNTAX);
}

static void path_with_two_families_is_refused(void **state)
{
	(void)state;
	struct model_path p = a_child().path, got;
	uint8_t room[128];
	struct wr w = wr_of(SPACE_OF(room));
	p.remote.addr = (struct addr){ { 0x20 }, ADDR_V6 };
	model_path_put(&w, 1, &p);
	assert_false(w.bad);
	assert_int_equal(model_path_get(bytes_of(room + 4, wr_len(&w) - 4), &got), ERR_SYNTAX);
}

static void selector_contains_its_edges_and_no_more(void **state)
{
	(void)state;
	struct model_ts ts = a_ts(0);
	struct addr in = addr_from_v4_u32(0x0a000010), low = ts.first, high = ts.last;
	struct addr below = addr_from_v4_u32(0x09ffffff), above = addr_from_v4_u32(0x0a000100);
	struct addr six = { { 10 }, ADDR_V6 };

	assert_true(model_ts_contains(&ts, &in, 6, 80));
	assert_true(model_ts_contains(&ts, &low, 6, 443));
	assert_true(model_ts_contains(&ts, &high, 6, 100));
	assert_false(model_ts_contains(&ts, &below, 6, 80));
	assert_false(model_ts_contains(&ts, &above, 6, 80));
	assert_false(model_ts_contains(&ts, &in, 6, 79));
	assert_false(model_ts_contains(&ts, &in, 6, 444));
	assert_false(model_ts_contains(&ts, &in, 17, 80));
	assert_false(model_ts_contains(&ts, &six, 6, 80));
	ts.protocol = 0;
	assert_true(model_ts_contains(&ts, &in, 17, 80));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_comes_back_as_it_was_in_each_format),
		cmocka_unit_test(biggest_child_fits_its_record_and_one_selector_more_is_refused),
		cmocka_unit_test(no_field_that_guards_traffic_may_be_missing),
		cmocka_unit_test(selector_with_two_families_is_refused),
		cmocka_unit_test(path_with_two_families_is_refused),
		cmocka_unit_test(selector_contains_its_edges_and_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
