// Values by Python's hmac and hashlib, from the formulas of RFC 7296.
#include "ike_test.h"

#define SPI_I 0x1122334455667788u
#define SPI_R 0x99aabbccddeeff01u

static uint8_t ni[32], nr[32], secret[256];

static int fill(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 32; i++) {
		ni[i] = (uint8_t)(1 + i);
		nr[i] = (uint8_t)(101 + i);
	}
	memset(secret, 7, sizeof(secret));
	secret[0] = secret[1] = 0; /* leading zeroes count */
	return 0;
}

static const struct model_suite cbc = { IKE_ENCR_AES_CBC, 256, IKE_PRF_HMAC_SHA2_256, IKE_INTEG_HMAC_SHA2_256_128,
					IKE_GROUP_MODP2048, 0 };
static const struct model_suite gcm512 = { IKE_ENCR_AES_GCM_16, 256, IKE_PRF_HMAC_SHA2_512, IKE_INTEG_NONE,
					   IKE_GROUP_MODP2048, 0 };

static void keys_of_init_with_separate_integrity(void **state)
{
	struct ike_keys k;

	(void)state;
	assert_int_equal(ike_keys_of_init(&cbc, BYTES_OF(ni), BYTES_OF(nr), BYTES_OF(secret), SPI_I, SPI_R, &k), ERR_NONE);
	assert_hex(bytes_of(k.d, 32), "970a20ac7cd5e7f97170345184f0f6cce3b8580ae16a9fef23f2b8f39f6fa48a");
	assert_hex(bytes_of(k.ai, 32), "70f0807f7a3387bb156467e232ce3ec6f31ec80190fac4b5f0d8a7ef04b66dde");
	assert_hex(bytes_of(k.ar, 32), "c44d6d84c713272924782af5f5529803028cc42e5a0ee4ff816a4825100cdaba");
	assert_hex(bytes_of(k.ei, 32), "997cbaf993cab1c351001c8376879b96a9b2602688ce6a297d50a7f5cd8eb70f");
	assert_hex(bytes_of(k.er, 32), "ff87286b8015449bb82b0fe21aca8dfb4c5d16cf976b4d9d315d46fc3a0a5fc3");
	assert_hex(bytes_of(k.pi, 32), "c551d1830e88b21815ba4ad8cd7a6b587e038cd758805c3de4fdb9926c6b6f38");
	assert_hex(bytes_of(k.pr, 32), "e5379f86961fdca1878cb88266feb109e3c5d839fe489c8c01a3f69e1bc13efb");
}

static struct ike_sa make_gcm512(void)
{
	struct ike_sa sa = { .suite = gcm512 };
	must(ike_keys_of_init(&gcm512, BYTES_OF(ni), BYTES_OF(nr), BYTES_OF(secret), SPI_I, SPI_R, &sa.keys) == ERR_NONE);
	return sa;
}

static void keys_of_init_with_aead_have_a_salt_and_no_integrity_key(void **state)
{
	const uint8_t zero[32] = { 0 };
	struct ike_sa sa = make_gcm512();

	(void)state;
	assert_hex(bytes_of(sa.keys.d, 64), "7f6386ff764b4cfc0db7b20e7b42908e7dfa22e1729ef50ebc65f9b4cb228a18"
					    "10736477d490c92fdd1e865ce02db3195b47d92fc92c9df1fd358d74c813e815");
	assert_hex(bytes_of(sa.keys.ei, 36), "9661162d50e41d05456c675ac7223b084724b461da82140bef0a48b506356fa64bcc311a");
	assert_hex(bytes_of(sa.keys.er, 36), "73eb3e049ebcab79406cb78a08eb93a8d540531abf680384df0aa67915fa8cf4e0b5ee0d");
	assert_hex(bytes_of(sa.keys.pr, 64), "4e50344e98cb7f875c552b4153066a92646c59bf7bd26f78b855557222b041b4"
					     "a41a9d045be96f3210dcd4a1bcdd2b4a40d5f3a306366b98bd2fc81595e7677b");
	assert_memory_equal(sa.keys.ai, zero, 32);
}

static void keys_of_a_rekey_take_the_old_prf_for_skeyseed_and_the_new_one_after_it(void **state)
{
	const struct model_suite fresh = { IKE_ENCR_AES_GCM_16, 128, IKE_PRF_HMAC_SHA2_256, IKE_INTEG_NONE,
					   IKE_GROUP_MODP2048, 0 };
	struct ike_sa old = make_gcm512();
	struct ike_keys k;

	(void)state;
	assert_int_equal(ike_keys_of_rekey(&old, &fresh, BYTES_OF(ni), BYTES_OF(nr), BYTES_OF(secret), SPI_I, SPI_R, &k),
			 ERR_NONE);
	assert_hex(bytes_of(k.d, 32), "608c9b2c89303747b4fcd3f84b54b6622cf69f8a4900264ac5c679ad51c17cd4");
	assert_hex(bytes_of(k.ei, 20), "aff1d813e317ad4b1ed57501673a36f5677492df");
}

static void keys_of_a_child_come_in_the_order_of_the_rfc(void **state)
{
	const struct model_suite gcm = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 };
	const struct model_suite sha1 = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256, .integ = IKE_INTEG_HMAC_SHA1_96 };
	struct ike_sa sa = make_gcm512();
	struct model_child_keys in, out;

	(void)state;
	assert_int_equal(ike_keys_of_child(&sa, &gcm, BYTES_OF(ni), BYTES_OF(nr), BYTES_OF(secret), &in, &out), ERR_NONE);
	assert_hex(bytes_of(in.encr, 36), "4559ab333d050e65c602863d1c8d9313ed72cc540539a83197fb5850681305ee865e2870");
	assert_hex(bytes_of(out.encr, 36), "bcece904559557e90d42fda5aceec42baddb2491b3c3490d1052a67acd34f632eb143223");
	assert_int_equal(ike_keys_of_child(&sa, &sha1, BYTES_OF(ni), BYTES_OF(nr), (struct bytes){ 0 }, &in, &out), ERR_NONE);
	assert_hex(bytes_of(in.encr, 32), "30ab24333c9a09a0d875cbde2ddcc125e65e463fa1fde3db38047fe01112a052");
	assert_hex(bytes_of(in.integ, 20), "e5876b10ded268b5894af27f53ba104978275ee7");
	assert_hex(bytes_of(out.encr, 32), "10aa72e072d16127f3b0d57bc48987172d01bbb98441fc4d6b1cbf3ea565ac6e");
	assert_hex(bytes_of(out.integ, 20), "118c850b2bd0f235db037999d30094747c651f7b");
}

static void auth_is_the_double_prf_of_the_rfc(void **state)
{
	static const uint8_t id[] = { 2, 0, 0, 0, 'p', 'e', 'e', 'r', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e' };
	uint8_t sk_p[32], auth[CRYPT_PRF_LEN_MAX];

	(void)state;
	memset(sk_p, 3, sizeof(sk_p));
	assert_int_equal(ike_keys_auth(IKE_PRF_HMAC_SHA2_256, bytes_str("a key"), bytes_str("message"), BYTES_OF(nr),
				       BYTES_OF(sk_p), BYTES_OF(id), auth),
			 ERR_NONE);
	assert_hex(bytes_of(auth, 32), "f379a7db65fc44865c083dd06f318d077b1ea03147f22c082471f6a8083a5107");
}

static void an_unknown_suite_is_refused_and_leaves_the_keys_alone(void **state)
{
	const struct model_suite no_prf = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256, .prf = 99 };
	const struct model_suite no_encr = { .encr = 99, .key_bits = 256, .prf = IKE_PRF_HMAC_SHA2_256 };
	struct ike_keys k = { .d = { 42 } };

	(void)state;
	assert_int_not_equal(ike_keys_of_init(&no_prf, BYTES_OF(ni), BYTES_OF(nr), BYTES_OF(secret), 1, 2, &k), ERR_NONE);
	assert_int_not_equal(ike_keys_of_init(&no_encr, BYTES_OF(ni), BYTES_OF(nr), BYTES_OF(secret), 1, 2, &k), ERR_NONE);
	assert_int_equal(k.d[0], 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_init_with_separate_integrity),
		cmocka_unit_test(keys_of_init_with_aead_have_a_salt_and_no_integrity_key),
		cmocka_unit_test(keys_of_a_rekey_take_the_old_prf_for_skeyseed_and_the_new_one_after_it),
		cmocka_unit_test(keys_of_a_child_come_in_the_order_of_the_rfc),
		cmocka_unit_test(auth_is_the_double_prf_of_the_rfc),
		cmocka_unit_test(an_unknown_suite_is_refused_and_leaves_the_keys_alone),
	};
	return cmocka_run_group_tests(tests, fill, NULL);
}
