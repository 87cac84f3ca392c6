#include "ike_test.h"

#include "crypt/random.h"

static const struct model_suite suites[] = {
	{ IKE_ENCR_AES_GCM_16, 256, IKE_PRF_HMAC_SHA2_256, IKE_INTEG_NONE, IKE_GROUP_MODP2048, 0 },
	{ IKE_ENCR_AES_GCM_16, 128, IKE_PRF_HMAC_SHA2_256, IKE_INTEG_NONE, IKE_GROUP_MODP2048, 0 },
	{ IKE_ENCR_AES_CBC, 256, IKE_PRF_HMAC_SHA2_256, IKE_INTEG_HMAC_SHA2_256_128, IKE_GROUP_MODP2048, 0 },
};

static struct ike_sa make_sa(const struct model_suite *suite, enum ike_role role)
{
	struct ike_sa sa = { .spi_i = 11, .spi_r = 22, .role = (uint8_t)role, .suite = *suite };
	memset(&sa.keys, 0x5a, sizeof(sa.keys));
	memset(sa.keys.ei, 1, sizeof(sa.keys.ei));
	memset(sa.keys.ai, 2, sizeof(sa.keys.ai));
	return sa;
}

static struct bytes seal(const struct ike_sa *sa, const struct ike_event *ev, bool response, struct space room)
{
	struct wire_ike_builder b;
	struct bytes msg;

	ike_message_begin(sa, ev, response, IKE_EX_INFORMATIONAL, 3, room, &b);
	wire_ike_put_notify(&b, 0, (struct bytes){ 0 }, IKE_N_INITIAL_CONTACT, bytes_str("data"));
	must(ike_protect_close(sa, &b, &msg) == ERR_NONE);
	return msg;
}

static void what_one_side_seals_the_other_opens(void **state)
{
	struct ike_event ev = { .iv = 77 };
	uint8_t room[512], scratch[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		for (unsigned role = 0; role < 2; role++) {
			struct ike_sa a = make_sa(&suites[i], (enum ike_role)role), b = make_sa(&suites[i], (enum ike_role)!role);
			struct bytes inner, msg = seal(&a, &ev, role == IKE_RESPONDER, SPACE_OF(room));
			uint8_t first;
			assert_int_equal(ike_protect_open(&b, IKE_PL_SK, msg, SPACE_OF(scratch), &first, &inner), ERR_NONE);
			assert_int_equal(first, IKE_PL_NOTIFY);
			assert_int_equal(inner.len, 4 + 4 + 4);
			/* not with the keys of the other direction */
			assert_int_equal(ike_protect_open(&a, IKE_PL_SK, msg, SPACE_OF(scratch), &first, &inner), ERR_AUTH);
		}
	}
}

static void gcm_takes_the_counter_ivs_and_cbc_random_ones(void **state)
{
	struct ike_event ev = { .iv = 0x0102030405060708 };
	uint8_t room[512];

	(void)state;
	for (unsigned i = 0; i < IKE_RANDOM_LEN; i++)
		ev.random[i] = (uint8_t)i;
	struct ike_sa gcm = make_sa(&suites[0], IKE_RESPONDER), cbc = make_sa(&suites[2], IKE_RESPONDER);
	assert_hex(bytes_of(seal(&gcm, &ev, true, SPACE_OF(room)).p + 32, 8), "0102030405060708");
	assert_hex(bytes_of(seal(&gcm, &ev, false, SPACE_OF(room)).p + 32, 8), "0102030405060710"); /* behind those of the answer's fragments */
	assert_memory_equal(seal(&cbc, &ev, true, SPACE_OF(room)).p + 32, &ev.random[IKE_RANDOM_IV_REPLY], 16);
	assert_memory_equal(seal(&cbc, &ev, false, SPACE_OF(room)).p + 32, &ev.random[IKE_RANDOM_IV_REQUEST], 16);
}

static void flags_say_who_made_the_sa_and_what_is_an_answer(void **state)
{
	struct ike_event ev = { .iv = 1 };
	uint8_t room[512];

	(void)state;
	struct ike_sa r = make_sa(&suites[0], IKE_RESPONDER), i = make_sa(&suites[0], IKE_INITIATOR);
	assert_int_equal(seal(&r, &ev, true, SPACE_OF(room)).p[19], IKE_FLAG_RESPONSE);
	assert_int_equal(seal(&r, &ev, false, SPACE_OF(room)).p[19], 0);
	assert_int_equal(seal(&i, &ev, true, SPACE_OF(room)).p[19], IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR);
	assert_int_equal(seal(&i, &ev, false, SPACE_OF(room)).p[19], IKE_FLAG_INITIATOR);
}

/* Anything but one SK payload outside. */
static void clear_payloads_and_fragments_are_refused(void **state)
{
	static const uint8_t types[] = { IKE_PL_SKF, IKE_PL_NOTIFY, IKE_PL_NONE };
	struct ike_event ev = { .iv = 5 };
	uint8_t room[512], scratch[512], first;
	struct ike_sa r = make_sa(&suites[0], IKE_RESPONDER), i = make_sa(&suites[0], IKE_INITIATOR);
	struct bytes inner, msg;

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(types); t++) {
		msg = seal(&i, &ev, false, SPACE_OF(room));
		room[16] = types[t];
		enum err e = ike_protect_open(&r, IKE_PL_SK, msg, SPACE_OF(scratch), &first, &inner);
		assert_true(e == ERR_SYNTAX || e == ERR_SHORT);
	}
	msg = seal(&i, &ev, false, SPACE_OF(room));
	assert_int_equal(ike_protect_open(&r, IKE_PL_SK, msg, (struct space){ scratch, msg.len - 1 }, &first, &inner), ERR_LONG);
}

TESTS(cmocka_unit_test(what_one_side_seals_the_other_opens),
      cmocka_unit_test(gcm_takes_the_counter_ivs_and_cbc_random_ones),
      cmocka_unit_test(flags_say_who_made_the_sa_and_what_is_an_answer),
      cmocka_unit_test(clear_payloads_and_fragments_are_refused))
