#include "model/account.h"

#include "codec.h"

CODEC_OF(model_account_decode, struct model_account);

static struct model_account a_good_account(void)
{
	struct model_account a;
	model_account_init(&a);
	a.id = (struct model_id){ { 1, 2, 3 } };
	a.number = 123456789;
	strcpy(a.name, "Example Ltd");
	strcpy(a.offramp_netns, "hq-1");
	a.offramp_default = false;
	a.endpoint_cnt = 2;
	a.endpoints[0] = addr_from_v4_u32(0xc0000201);
	a.endpoints[1] = (struct addr){ { 0x20, 1, 0xd, 0xb8, [15] = 1 }, ADDR_V6 };
	a.created_us = 1;
	a.modified_us = 0x123456789abcdef0;
	return a;
}

static void record_comes_back_as_it_was(void **state)
{
	(void)state;
	struct model_account a = a_good_account(), b;
	uint8_t room[MODEL_ACCOUNT_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	assert_int_equal(model_account_encode(&a, &w), ERR_NONE);
	assert_int_equal(model_account_decode(wr_bytes(&w), &b), ERR_NONE);
	assert_true(model_id_eq(&a.id, &b.id));
	assert_int_equal(b.number, a.number);
	assert_string_equal(b.name, a.name);
	assert_string_equal(b.offramp_netns, a.offramp_netns);
	assert_false(b.offramp_default);
	assert_int_equal(b.endpoint_cnt, 2);
	assert_true(addr_eq(&a.endpoints[0], &b.endpoints[0]));
	assert_true(addr_eq(&a.endpoints[1], &b.endpoints[1]));
	assert_int_equal(b.created_us, a.created_us);
	assert_int_equal(b.modified_us, a.modified_us);
	codec_keeps_the_rules(&codec, wr_bytes(&w), (uint64_t)1 << 6);
}

static void biggest_account_fits_its_record(void **state)
{
	(void)state;
	struct model_account a = a_good_account();
	uint8_t room[MODEL_ACCOUNT_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	memset(a.name, 'n', sizeof(a.name) - 1);
	memset(a.offramp_netns, 'n', sizeof(a.offramp_netns) - 1);
	a.endpoint_cnt = MODEL_ACCOUNT_ENDPOINTS_MAX;
	for (size_t i = 0; i < a.endpoint_cnt; i++)
		a.endpoints[i] = (struct addr){ { 0x20, [15] = (uint8_t)i }, ADDR_V6 };
	assert_int_equal(model_account_encode(&a, &w), ERR_NONE);
	assert_int_equal(codec_try(&codec, wr_bytes(&w)), ERR_NONE);

	uint8_t more[2048];
	struct addr extra = addr_from_v4_u32(1);
	struct bytes rec = wr_bytes(&w);
	memcpy(more, rec.p, rec.len);
	struct wr v = wr_of(SPACE_OF(more));
	wr_reserve(&v, rec.len);
	tlv_addr(&v, 6, &extra); /* one endpoint too many */
	assert_int_equal(codec_try(&codec, wr_bytes(&v)), ERR_SYNTAX);
}

static void encode_says_when_room_ends(void **state)
{
	(void)state;
	struct model_account a = a_good_account();
	uint8_t room[40];
	struct wr w = wr_of(SPACE_OF(room));
	assert_int_equal(model_account_encode(&a, &w), ERR_FULL);
}

static void expect_problem(const struct model_account *a, int code, const char *field, const char *word)
{
	struct model_problem p;
	assert_int_equal(model_account_check(a, &p), ERR_RANGE);
	assert_int_equal(p.code, code);
	assert_string_equal(p.field, field);
	assert_non_null(strstr(p.text, word));
}

static void check_names_the_field(void **state)
{
	(void)state;
	struct model_account good = a_good_account(), a = good;
	struct model_problem p;

	assert_int_equal(model_account_check(&a, &p), ERR_NONE);
	a.name[0] = 0;
	expect_problem(&a, MODEL_CODE_NAME, "/name", "1 to 255");
	strcpy(a.name, "tab\there");
	expect_problem(&a, MODEL_CODE_NAME, "/name", "printable");
	a = good;
	a.number = 0;
	expect_problem(&a, MODEL_CODE_ACCOUNT, "/number", "0");
	a = good;
	static const char *const bad_netns[] = { "../etc", ".", "a b", "a/b", "-x" };
	for (size_t i = 0; i < ARRAY_LEN(bad_netns); i++) {
		strcpy(a.offramp_netns, bad_netns[i]);
		expect_problem(&a, MODEL_CODE_ACCOUNT, "/offramp_netns", "network namespace");
	}
	a = good;
	a.endpoints[1] = a.endpoints[0];
	expect_problem(&a, MODEL_CODE_ACCOUNT, "/endpoints", "192.0.2.1 stands there twice");
	a = good;
	a.endpoints[0] = addr_from_v4_u32(0xe0000001);
	expect_problem(&a, MODEL_CODE_ACCOUNT, "/endpoints", "224.0.0.1");
}

static void new_account_sends_unrouted_packets_to_the_offramp(void **state)
{
	(void)state;
	struct model_account a;
	model_account_init(&a);
	assert_true(a.offramp_default);
	assert_int_equal(a.endpoint_cnt, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_comes_back_as_it_was),
		cmocka_unit_test(biggest_account_fits_its_record),
		cmocka_unit_test(encode_says_when_room_ends),
		cmocka_unit_test(check_names_the_field),
		cmocka_unit_test(new_account_sends_unrouted_packets_to_the_offramp),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
