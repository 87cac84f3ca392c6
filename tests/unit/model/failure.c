#include "model/failure.h"

#include "codec.h"
#include "model/state.h"

CODEC_OF(model_failure_decode, struct model_failure);

static enum err decode_state(struct bytes record, void *ret)
{
	return model_tunnel_state_decode(record, ret);
}

static const struct codec state_codec = { decode_state, sizeof(struct model_tunnel_state) };

static struct model_failure a_failure(void)
{
	struct model_failure f = {
		.code = MODEL_FAILURE_WRONG_PSK,
		.stage = MODEL_STAGE_AUTH,
		.account_id = { { 1 } },
		.tunnel_id = { { 2 } },
		.local = { addr_from_v4_u32(0xc0000201), 500 },
		.remote = { { { 0x20, 1 }, ADDR_V6 }, 4500 },
		.first_us = 100,
		.last_us = 200,
		.cnt = 3,
	};
	strcpy(f.identity, "fqdn:x.1.example");
	strcpy(f.offered, "what was offered");
	strcpy(f.allowed, "what is allowed");
	f.offer_cnt = 2;
	f.offer[0] = (struct model_offered){ 1, 1, 12, 128 };
	f.offer[1] = (struct model_offered){ 2, 4, 1024, 0 };
	f.allow_cnt = 1;
	f.allow[0] = (struct model_offered){ 0, 1, 20, 256 };
	f.near_account_id = (struct model_id){ { 3 } };
	f.near_tunnel_id = (struct model_id){ { 4 } };
	f.near_account_number = 7;
	f.over_us = 300;
	return f;
}

static void assert_failures_equal(const struct model_failure *a, const struct model_failure *b)
{
	assert_int_equal(a->code, b->code);
	assert_int_equal(a->stage, b->stage);
	assert_true(model_id_eq(&a->account_id, &b->account_id));
	assert_true(model_id_eq(&a->tunnel_id, &b->tunnel_id));
	assert_true(addr_endpoint_eq(&a->local, &b->local));
	assert_true(addr_endpoint_eq(&a->remote, &b->remote));
	assert_string_equal(a->identity, b->identity);
	assert_string_equal(a->offered, b->offered);
	assert_string_equal(a->allowed, b->allowed);
	assert_int_equal(a->first_us, b->first_us);
	assert_int_equal(a->last_us, b->last_us);
	assert_int_equal(a->cnt, b->cnt);
	assert_int_equal(a->offer_cnt, b->offer_cnt);
	assert_int_equal(a->allow_cnt, b->allow_cnt);
	assert_memory_equal(a->offer, b->offer, sizeof(a->offer));
	assert_memory_equal(a->allow, b->allow, sizeof(a->allow));
	assert_true(model_id_eq(&a->near_account_id, &b->near_account_id));
	assert_true(model_id_eq(&a->near_tunnel_id, &b->near_tunnel_id));
	assert_int_equal(a->near_account_number, b->near_account_number);
	assert_int_equal(a->over_us, b->over_us);
}

static void every_code_comes_back_as_it_was(void **state)
{
	(void)state;
	for (unsigned code = 0; code < MODEL_FAILURE_CNT; code++) {
		struct model_failure f = a_failure(), g;
		uint8_t room[MODEL_FAILURE_RECORD_MAX];
		struct wr w = wr_of(SPACE_OF(room));
		f.code = (uint8_t)code;
		assert_int_equal(model_failure_encode(&f, &w), ERR_NONE);
		assert_int_equal(model_failure_decode(wr_bytes(&w), &g), ERR_NONE);
		assert_failures_equal(&f, &g);
	}
}

static void record_keeps_the_rules(void **state)
{
	(void)state;
	struct model_failure f = a_failure();
	uint8_t room[MODEL_FAILURE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	assert_int_equal(model_failure_encode(&f, &w), ERR_NONE);
	codec_keeps_the_rules(&codec, wr_bytes(&w), 0);
}

static void code_of_a_newer_program_is_kept_as_unknown(void **state)
{
	(void)state;
	struct model_failure f;
	uint8_t room[128];
	struct wr w = wr_of(SPACE_OF(room));
	tlv_begin(&w, 1);
	tlv_text(&w, 1, "ike.of_the_future");
	tlv_u8(&w, 2, MODEL_STAGE_AUTH);
	assert_int_equal(model_failure_decode(wr_bytes(&w), &f), ERR_NONE);
	assert_string_equal(model_failure_code_name(f.code), "unknown");
	assert_non_null(strstr(model_failure_text(f.code), "does not know"));
	assert_int_equal(f.stage, MODEL_STAGE_AUTH);
}

static void bytes_that_are_not_printable_never_pass(void **state)
{
	(void)state;
	struct model_failure f = a_failure(), g;
	uint8_t room[MODEL_FAILURE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	strcpy(f.offered, "a\x1b[2J\xff z");
	assert_int_equal(model_failure_encode(&f, &w), ERR_NONE);
	assert_int_equal(model_failure_decode(wr_bytes(&w), &g), ERR_NONE);
	assert_string_equal(g.offered, "a?[2J? z");

	uint8_t other[128];
	struct wr v = wr_of(SPACE_OF(other));
	tlv_begin(&v, 1);
	tlv_text(&v, 1, "ike.ikev1");
	tlv_u8(&v, 2, 0);
	tlv_text(&v, 7, "\x1b[2J");
	assert_int_equal(codec_try(&codec, wr_bytes(&v)), ERR_SYNTAX);
}

static void biggest_failure_and_state_fit_their_records(void **state)
{
	(void)state;
	struct model_tunnel_state s = { .failure = a_failure(), .has_failure = true };
	struct model_failure *f = &s.failure;
	uint8_t room[MODEL_FAILURE_RECORD_MAX], more[MODEL_STATE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room)), v = wr_of(SPACE_OF(more));

	memset(f->identity, 'i', sizeof(f->identity) - 1);
	memset(f->offered, 'o', sizeof(f->offered) - 1);
	memset(f->allowed, 'a', sizeof(f->allowed) - 1);
	f->local.addr = f->remote.addr;
	f->offer_cnt = MODEL_OFFER_MAX;
	f->allow_cnt = MODEL_ALLOW_MAX;
	assert_int_equal(model_failure_encode(f, &w), ERR_NONE);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_NONE);
	assert_int_equal(model_tunnel_state_encode(&s, &v), ERR_NONE);
	assert_int_equal(codec_try(&state_codec, wr_bytes(&v)), ERR_NONE);
}

static void state_comes_back_with_and_without_a_failure(void **state)
{
	(void)state;
	for (int with = 0; with < 2; with++) {
		struct model_tunnel_state s = {
			.account_id = { { 1 } },
			.tunnel_id = { { 2 } },
			.up = MODEL_TUNNEL_UP,
			.since_us = 77,
			.has_failure = with == 1,
			.failure = a_failure(),
		};
		struct model_tunnel_state t;
		uint8_t room[MODEL_STATE_RECORD_MAX];
		struct wr w = wr_of(SPACE_OF(room));
		assert_int_equal(model_tunnel_state_encode(&s, &w), ERR_NONE);
		assert_int_equal(model_tunnel_state_decode(wr_bytes(&w), &t), ERR_NONE);
		assert_true(model_id_eq(&s.account_id, &t.account_id));
		assert_true(model_id_eq(&s.tunnel_id, &t.tunnel_id));
		assert_int_equal(t.up, MODEL_TUNNEL_UP);
		assert_int_equal(t.since_us, 77);
		assert_int_equal(t.has_failure, with);
		if (with)
			assert_failures_equal(&s.failure, &t.failure);
		codec_keeps_the_rules(&state_codec, wr_bytes(&w), 0);
	}
}

static void code_and_stage_names_are_never_null_and_codes_differ(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		assert_non_null(model_failure_code_name((uint8_t)i));
		assert_non_null(model_failure_text((uint8_t)i));
		assert_non_null(model_stage_name((uint8_t)i));
	}
	for (unsigned i = 0; i < MODEL_FAILURE_CNT; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(model_failure_code_name((uint8_t)i),
						model_failure_code_name((uint8_t)k));
	assert_string_equal(model_stage_name(MODEL_STAGE_SA_INIT), "sa_init");
	assert_string_equal(model_stage_name(MODEL_STAGE_DATA), "data");
	assert_string_equal(model_stage_name(5), "unknown");
	assert_string_equal(model_failure_code_name(MODEL_FAILURE_IKEV1), "ike.ikev1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_comes_back_as_it_was),
		cmocka_unit_test(record_keeps_the_rules),
		cmocka_unit_test(code_of_a_newer_program_is_kept_as_unknown),
		cmocka_unit_test(bytes_that_are_not_printable_never_pass),
		cmocka_unit_test(biggest_failure_and_state_fit_their_records),
		cmocka_unit_test(state_comes_back_with_and_without_a_failure),
		cmocka_unit_test(code_and_stage_names_are_never_null_and_codes_differ),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
