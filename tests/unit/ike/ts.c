#include "ike_test.h"

static struct wire_ike_ts ts(const char *first, const char *last)
{
	struct wire_ike_ts t = { .port_last = UINT16_MAX };
	t.first = endpoint(first, 0).addr;
	t.last = endpoint(last, 0).addr;
	return t;
}

static void the_peers_ranges_are_taken_as_they_are(void **state)
{
	struct wire_ike_tss i = { 2, { ts("10.1.0.0", "10.1.255.255"), ts("2001:db8::", "2001:db8::ffff") } };
	struct wire_ike_tss r = { 1, { ts("0.0.0.0", "255.255.255.255") } };
	struct ike_ts_lists l;

	(void)state;
	i.ts[0].protocol = 6;
	i.ts[0].port_first = 80;
	i.ts[0].port_last = 81;
	assert_true(ike_ts_narrow(&i, &r, &l));
	assert_int_equal(l.remote_cnt, 2);
	assert_int_equal(l.local_cnt, 1);
	assert_true(addr_eq(&l.remote[0].first, &i.ts[0].first) && addr_eq(&l.remote[0].last, &i.ts[0].last));
	assert_int_equal(l.remote[0].protocol, 6);
	assert_int_equal(l.remote[0].port_first, 80);
	assert_int_equal(l.remote[0].port_last, 81);
	assert_true(addr_eq(&l.local[0].last, &r.ts[0].last));
}

static void a_long_list_is_cut_at_what_a_child_holds(void **state)
{
	struct wire_ike_tss i = { .cnt = WIRE_IKE_TS_MAX }, r = { 1, { ts("0.0.0.0", "255.255.255.255") } };
	struct ike_ts_lists l;

	(void)state;
	for (unsigned n = 0; n < WIRE_IKE_TS_MAX; n++) {
		i.ts[n] = ts("10.0.0.0", "10.0.0.255");
		i.ts[n].protocol = (uint8_t)n;
	}
	assert_true(ike_ts_narrow(&i, &r, &l));
	assert_int_equal(l.remote_cnt, MODEL_TS_MAX);
	assert_int_equal(l.remote[MODEL_TS_MAX - 1].protocol, MODEL_TS_MAX - 1);
}

static void sides_without_a_common_family_are_unacceptable(void **state)
{
	struct wire_ike_tss v4 = { 1, { ts("10.0.0.0", "10.0.0.255") } }, v6 = { 1, { ts("2001:db8::", "2001:db8::1") } };
	struct wire_ike_tss none = { 0 };
	struct ike_ts_lists l;

	(void)state;
	assert_false(ike_ts_narrow(&v4, &v6, &l));
	assert_false(ike_ts_narrow(&v6, &v4, &l));
	assert_false(ike_ts_narrow(&none, &v4, &l));
	assert_false(ike_ts_narrow(&v4, &none, &l));
	assert_true(ike_ts_narrow(&v6, &v6, &l));
}

static void ranges_that_match_nothing_are_left_out(void **state)
{
	struct wire_ike_tss i = { 2, { ts("10.0.0.0", "10.0.0.255"), ts("10.9.0.0", "10.9.0.1") } };
	struct ike_ts_lists l;

	(void)state;
	i.ts[0].port_first = UINT16_MAX; /* OPAQUE */
	i.ts[0].port_last = 0;
	assert_true(ike_ts_narrow(&i, &i, &l));
	assert_int_equal(l.remote_cnt, 1);
	assert_int_equal(l.remote[0].first.b[1], 9);
	i.ts[1].last = i.ts[1].first;
	i.ts[1].first.b[3] = 9; /* runs backwards */
	assert_false(ike_ts_narrow(&i, &i, &l));
}

static void the_text_shows_ranges_protocols_and_ports(void **state)
{
	struct wire_ike_tss i = { 2, { ts("10.0.0.0", "10.0.0.255"), ts("10.9.0.0", "10.9.0.1") } };
	char text[512] = "";

	(void)state;
	i.ts[1].protocol = 17;
	i.ts[1].port_first = 53;
	i.ts[1].port_last = 53;
	ike_ts_text(&i, "TSi", text, sizeof(text));
	assert_string_equal(text, "TSi 10.0.0.0-10.0.0.255, 10.9.0.0-10.9.0.1 protocol 17 ports 53-53");
}

/* RFC 7296 1.3.1: what we ask for ourselves says it too; the scripted initiator wants it in each answer. */
static void our_requests_say_that_padding_against_traffic_analysis_is_not_wanted(void **state)
{
	const struct wire_ike_header h = { .spi_i = 1, .spi_r = 2, .major = 2, .exchange = IKE_EX_CREATE_CHILD_SA };
	const struct model_ts any = { .port_last = UINT16_MAX, .first = { .family = ADDR_V4 },
				      .last = { .b = { 255, 255, 255, 255 }, .family = ADDR_V4 } };
	const struct ike_ts_lists lists = { 1, 1, { any }, { any } };
	struct wire_ike_payloads in;
	struct wire_ike_builder b;
	struct wire_ike_header back;
	struct wire_ike_notify n;
	uint8_t room[256];
	struct bytes msg;

	(void)state;
	wire_ike_begin(&b, SPACE_OF(room), &h);
	ike_child_put_selectors(&b, &lists);
	assert_int_equal(wire_ike_finish(&b, &msg), ERR_NONE);
	assert_int_equal(wire_ike_header_parse(msg, &back), ERR_NONE);
	assert_int_equal(wire_ike_payloads_parse(back.next, bytes_of(msg.p + WIRE_IKE_HEADER_LEN,
								     msg.len - WIRE_IKE_HEADER_LEN), &in), ERR_NONE);
	assert_true(wire_ike_notify_find(&in, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, &n));
	assert_int_equal(n.data.len + n.spi.len, 0);
}

TESTS(cmocka_unit_test(our_requests_say_that_padding_against_traffic_analysis_is_not_wanted),
      cmocka_unit_test(the_peers_ranges_are_taken_as_they_are),
      cmocka_unit_test(a_long_list_is_cut_at_what_a_child_holds),
      cmocka_unit_test(sides_without_a_common_family_are_unacceptable),
      cmocka_unit_test(ranges_that_match_nothing_are_left_out),
      cmocka_unit_test(the_text_shows_ranges_protocols_and_ports))
