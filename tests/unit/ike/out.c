#include "ike_test.h"

static const uint8_t empty_message[WIRE_IKE_HEADER_LEN] = { [27] = WIRE_IKE_HEADER_LEN };

static struct ike_out *make_out(void)
{
	struct ike_out *out = malloc(sizeof(*out));
	must(out != NULL);
	memset(out, 0xee, sizeof(*out));
	memset(out->clear, 0, sizeof(out->clear));
	out->clear_len = 0;
	ike_out_reset(out);
	return out;
}

static void a_reset_result_says_nothing(void **state)
{
	struct ike_out *out = make_out();

	(void)state;
	assert_int_equal(out->cnt, 0);
	assert_false(out->changed || out->has_sa || out->has_rekeyed || ike_out_has_failure(out));
	free(out);
}

static void the_marker_stands_on_port_4500_only(void **state)
{
	struct ike_out *out = make_out();
	struct addr_endpoint a = endpoint("192.0.2.1", 500), b = endpoint("192.0.2.1", 4500), r = endpoint("198.51.100.7", 1);

	(void)state;
	ike_out_send(out, BYTES_OF(empty_message), &a, &r);
	ike_out_send(out, BYTES_OF(empty_message), &b, &r);
	assert_false(out->actions[0].send.marker);
	assert_true(out->actions[1].send.marker);
	free(out);
}

static void each_message_of_a_list_is_sent_by_itself(void **state)
{
	struct ike_out *out = make_out();
	struct addr_endpoint a = endpoint("192.0.2.1", 500), r = endpoint("198.51.100.7", 1);
	uint8_t list[28 + 40] = { 0 };

	(void)state;
	list[27] = 28;
	list[28 + 27] = 40;
	ike_out_send(out, BYTES_OF(list), &a, &r);
	assert_int_equal(out->cnt, 2);
	assert_ptr_equal(out->actions[0].send.msg.p, list);
	assert_int_equal(out->actions[0].send.msg.len, 28);
	assert_ptr_equal(out->actions[1].send.msg.p, list + 28);
	assert_int_equal(out->actions[1].send.msg.len, 40);
	free(out);
}

static void a_failure_carries_who_where_and_when(void **state)
{
	struct ike_out *out = make_out();
	struct ike_event ev = { .now_us = 1234, .local = endpoint("192.0.2.1", 500), .remote = endpoint("198.51.100.7", 9) };
	struct ike_sa sa = { .id_type = IKE_ID_FQDN, .id_len = 4, .id = "\x01""abc" };

	(void)state;
	memset(sa.tunnel_id.b, 5, 16);
	struct model_failure *f = ike_out_fail(out, &ev, &sa, MODEL_FAILURE_WRONG_PSK, MODEL_STAGE_AUTH);
	assert_true(ike_out_has_failure(out));
	assert_ptr_equal(f, &out->failure);
	assert_int_equal(f->code, MODEL_FAILURE_WRONG_PSK);
	assert_int_equal(f->stage, MODEL_STAGE_AUTH);
	assert_true(addr_endpoint_eq(&f->local, &ev.local) && addr_endpoint_eq(&f->remote, &ev.remote));
	assert_int_equal(f->first_us, 1234);
	assert_int_equal(f->cnt, 1);
	assert_true(model_id_eq(&f->tunnel_id, &sa.tunnel_id));
	for (const char *s = f->identity; *s != '\0'; s++)
		assert_in_range(*s, 0x20, 0x7e);
	assert_string_equal(f->offered, "");
	free(out);
}

/* A timer has no addresses: those of the SA stand in the record. */
static void a_failure_without_a_message_has_the_path_of_the_sa(void **state)
{
	struct ike_out *out = make_out();
	struct ike_event ev = { .kind = IKE_EV_TIMER };
	struct ike_sa sa = { .path = { endpoint("192.0.2.1", 4500), endpoint("198.51.100.7", 4500), true } };

	(void)state;
	struct model_failure *f = ike_out_fail(out, &ev, &sa, MODEL_FAILURE_LIVENESS, MODEL_STAGE_LIVE);
	assert_true(addr_endpoint_eq(&f->remote, &sa.path.remote));
	free(out);
}

static void text_is_cut_with_dots_and_never_runs_over(void **state)
{
	char text[12] = "";

	(void)state;
	ike_text_add(text, sizeof(text), "%s", "12345");
	ike_text_add(text, sizeof(text), "%d", 678901);
	assert_string_equal(text, "12345678901");
	ike_text_add(text, sizeof(text), "x");
	assert_string_equal(text, "12345678901"); /* full to the last place */
	text[8] = '\0';
	ike_text_add(text, sizeof(text), "abcdef");
	assert_string_equal(text, "12345678...");
	ike_text_add(text, sizeof(text), "more");
	assert_string_equal(text, "12345678...");
}

static void assert_wiped(const void *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(((const uint8_t *)p)[i], 0);
}

/* Keys and plaintext; what was sent in fragments is encrypted. */
static void wiping_leaves_no_secret_and_no_action(void **state)
{
	struct ike_out *out = make_out();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct space room = ike_out_clear_room(out, i == 0);
		assert_ptr_equal(room.p, out->room[i]);
		assert_int_equal(room.cap, sizeof(out->room[i]));
	}
	struct space scratch = ike_out_scratch(out, bytes_of(out->sent[0], 900));
	(void)ike_out_scratch(out, bytes_of(out->sent[0], 30)); /* the longest counts */
	ike_out_wipe(out);
	assert_wiped(&out->child, sizeof(out->child));
	assert_wiped(out->room, sizeof(out->room));
	assert_wiped(scratch.p, 900);
	assert_int_equal(out->cnt, 0);
	assert_false(out->changed || out->has_sa || out->has_half || out->has_rekeyed || out->has_redundant);
	free(out);
}

static bool has_secret(const struct ike_half *half)
{
	const uint8_t *p = (const uint8_t *)half;

	for (size_t i = 0; i < sizeof(*half); i++)
		if (p[i] == 0x5e)
			return true;
	return false;
}

static void a_wiped_half_open_sa_has_no_key_left(void **state)
{
	struct ike_half *half = calloc(1, sizeof(*half));

	(void)state;
	must(half != NULL);
	memset(&half->sa.keys, 0x5e, sizeof(half->sa.keys));
	memset(half->sa.request.private, 0x5e, sizeof(half->sa.request.private));
	memset(&half->sa.rival.keys, 0x5e, sizeof(half->sa.rival.keys));
	memset(half->private, 0x5e, sizeof(half->private));
	assert_true(has_secret(half));
	ike_half_wipe(half);
	assert_false(has_secret(half));
	free(half);
}

TESTS(cmocka_unit_test(a_reset_result_says_nothing), cmocka_unit_test(the_marker_stands_on_port_4500_only),
      cmocka_unit_test(each_message_of_a_list_is_sent_by_itself),
      cmocka_unit_test(a_failure_carries_who_where_and_when),
      cmocka_unit_test(a_failure_without_a_message_has_the_path_of_the_sa),
      cmocka_unit_test(text_is_cut_with_dots_and_never_runs_over), cmocka_unit_test(wiping_leaves_no_secret_and_no_action),
      cmocka_unit_test(a_wiped_half_open_sa_has_no_key_left))
