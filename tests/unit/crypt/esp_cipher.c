#include "crypt/esp_cipher.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "rig.h"

enum { PACKET_MAX = 9100, BURST = 64 };

static const uint8_t encr_key[CRYPT_ENCR_KEY_MAX] = { 1, 4, 9 };
static const uint8_t integ_key[CRYPT_INTEG_KEY_MAX] = { 16, 25 };

static enum crypt_esp_choice backend; /* whose turn it is */

/* What libcrypto takes from the heap. */
static unsigned long heap_calls;

static void *count_malloc(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	heap_calls++;
	return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file, (void)line;
	heap_calls++;
	return realloc(p, n);
}

static void count_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	free(p);
}

static struct crypt_esp *make(const struct rig_suite *s, bool decrypt)
{
	struct crypt_esp *c;

	assert_int_equal(crypt_esp_new(s->encr, s->bits, s->integ,
				       bytes_of(encr_key, crypt_encr_key_len(s->encr, s->bits)),
				       bytes_of(integ_key, crypt_integ_key_len(s->integ)), decrypt, &c),
			 ERR_NONE);
	return c;
}

static size_t get_front(const struct rig_suite *s)
{
	return 8 + crypt_encr_iv_len(s->encr);
}

static size_t get_len(const struct rig_suite *s, size_t text_len)
{
	return get_front(s) + text_len + crypt_icv_len(s->encr, s->integ);
}

static void every_suite_comes_back_at_every_size(void **state)
{
	static uint8_t packet[PACKET_MAX], before[PACKET_MAX];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		struct crypt_esp *seal = make(s, false), *open = make(s, true);
		size_t block = crypt_encr_block_len(s->encr), step = block > 4 ? block : 4;

		for (size_t text = step; get_len(s, text) <= PACKET_MAX;
		     text += text < 1600 ? step : 16 * 37) {
			fill(packet, sizeof(packet), (unsigned)text);
			memcpy(before, packet, sizeof(before));
			struct crypt_esp_job job = { .ctx = seal, .esp = packet, .len = get_len(s, text) };
			crypt_esp_seal(&job, 1);
			assert_int_equal(job.result, ERR_NONE);
			assert_memory_equal(packet, before, get_front(s));
			if (s->encr == IKE_ENCR_NULL)
				assert_memory_equal(packet, before, get_front(s) + text);
			else if (text >= 8)
				assert_memory_not_equal(packet + get_front(s), before + get_front(s), text);
			assert_memory_equal(packet + job.len, before + job.len, sizeof(packet) - job.len);
			job.ctx = open;
			crypt_esp_open(&job, 1);
			assert_int_equal(job.result, ERR_NONE);
			assert_memory_equal(packet, before, get_front(s) + text);
		}
		crypt_esp_free(seal);
		crypt_esp_free(open);
	}
}

static void open_rejects_a_flipped_bit_anywhere(void **state)
{
	uint8_t packet[256], sealed[256];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		struct crypt_esp *seal = make(s, false), *open = make(s, true);
		struct crypt_esp_job job = { .ctx = seal, .esp = packet, .len = get_len(s, 96) };

		fill(packet, sizeof(packet), 3);
		crypt_esp_seal(&job, 1);
		memcpy(sealed, packet, sizeof(sealed));
		job.ctx = open;
		for (size_t bit = 0; bit < 8 * job.len; bit++) {
			memcpy(packet, sealed, sizeof(packet));
			packet[bit / 8] ^= (uint8_t)(1u << bit % 8);
			crypt_esp_open(&job, 1);
			assert_int_equal(job.result, ERR_AUTH);
		}
		/* The context is as good as new after all these. */
		memcpy(packet, sealed, sizeof(packet));
		crypt_esp_open(&job, 1);
		assert_int_equal(job.result, ERR_NONE);
		crypt_esp_free(seal);
		crypt_esp_free(open);
	}
}

static void a_refused_packet_without_aead_is_not_decrypted(void **state)
{
	const struct rig_suite cbc = { IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128 };
	struct crypt_esp *open = make(&cbc, true);
	uint8_t packet[256], before[256];
	struct crypt_esp_job job = { .ctx = open, .esp = packet, .len = get_len(&cbc, 96) };
	(void)state;

	fill(packet, sizeof(packet), 3);
	memcpy(before, packet, sizeof(before));
	crypt_esp_open(&job, 1);
	assert_int_equal(job.result, ERR_AUTH);
	assert_memory_equal(packet, before, sizeof(packet));
	crypt_esp_free(open);
}

static void impossible_lengths_are_refused_and_nothing_is_touched(void **state)
{
	uint8_t packet[256], before[256];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		struct crypt_esp *seal = make(s, false), *open = make(s, true);
		size_t block = crypt_encr_block_len(s->encr);

		fill(packet, sizeof(packet), 3);
		memcpy(before, packet, sizeof(before));
		for (size_t len = 0; len < get_len(s, 64); len++) {
			bool possible = len > get_len(s, 0) && (len - get_len(s, 0)) % block == 0;
			struct crypt_esp_job job = { .ctx = seal, .esp = packet, .len = len };
			if (possible)
				continue;
			crypt_esp_seal(&job, 1);
			assert_int_equal(job.result, ERR_RANGE);
			job.ctx = open;
			crypt_esp_open(&job, 1);
			assert_int_equal(job.result, ERR_RANGE);
		}
		assert_memory_equal(packet, before, sizeof(packet));
		crypt_esp_free(seal);
		crypt_esp_free(open);
	}
}

static void each_packet_of_a_mixed_burst_has_its_own_result(void **state)
{
	static uint8_t packets[BURST][512], before[BURST][512];
	struct crypt_esp *seal[ARRAY_LEN(rig_suites)], *open[ARRAY_LEN(rig_suites)];
	struct crypt_esp_job jobs[BURST];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		seal[i] = make(&rig_suites[i], false);
		open[i] = make(&rig_suites[i], true);
	}
	for (size_t i = 0; i < BURST; i++) {
		size_t k = i % ARRAY_LEN(rig_suites);
		fill(packets[i], sizeof(packets[i]), (unsigned)i);
		memcpy(before[i], packets[i], sizeof(before[i]));
		jobs[i] = (struct crypt_esp_job){ .ctx = seal[k],
						  .esp = packets[i],
						  .len = get_len(&rig_suites[k], 16 * (i % 20 + 1)) };
	}
	crypt_esp_seal(jobs, BURST);
	for (size_t i = 0; i < BURST; i++) {
		assert_int_equal(jobs[i].result, ERR_NONE);
		jobs[i].ctx = open[i % ARRAY_LEN(rig_suites)];
		if (i % 5 == 0)
			packets[i][jobs[i].len - 1] ^= 1;
		if (i % 7 == 3)
			jobs[i].len = 11;
	}
	crypt_esp_open(jobs, BURST);
	for (size_t i = 0; i < BURST; i++) {
		assert_int_equal(jobs[i].result, i % 7 == 3 ? ERR_RANGE : i % 5 == 0 ? ERR_AUTH : ERR_NONE);
		if (jobs[i].result == ERR_NONE)
			assert_memory_equal(
				packets[i], before[i],
				jobs[i].len - crypt_icv_len(rig_suites[i % 8].encr, rig_suites[i % 8].integ));
	}
	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		crypt_esp_free(seal[i]);
		crypt_esp_free(open[i]);
	}
}

static void packets_take_nothing_from_the_heap(void **state)
{
	uint8_t packet[512];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		unsigned long fresh = heap_calls;
		struct crypt_esp *seal = make(s, false), *open = make(s, true);
		struct crypt_esp_job job = { .esp = packet, .len = get_len(s, 64) };

		/* The counter counts: libcrypto's contexts of AES come from the heap. */
		if (backend == CRYPT_ESP_OPENSSL && s->encr != IKE_ENCR_NULL)
			assert_true(heap_calls > fresh);
		fill(packet, sizeof(packet), 3);
		unsigned long before = heap_calls;
		for (int n = 0; n < 100; n++) {
			job.ctx = seal;
			crypt_esp_seal(&job, 1);
			assert_int_equal(job.result, ERR_NONE);
			if (n % 2 == 0)
				packet[20] ^= 1; /* every second one a forgery */
			job.ctx = open;
			crypt_esp_open(&job, 1);
			assert_int_equal(job.result, n % 2 == 0 ? ERR_AUTH : ERR_NONE);
		}
		assert_int_equal(heap_calls, before);
		crypt_esp_free(seal);
		crypt_esp_free(open);
	}
}

static struct crypt_esp *make_esn(const struct rig_suite *s, bool decrypt)
{
	struct crypt_esp *c;

	assert_int_equal(crypt_esp_new_esn(s->encr, s->bits, s->integ,
					   bytes_of(encr_key, crypt_encr_key_len(s->encr, s->bits)),
					   bytes_of(integ_key, crypt_integ_key_len(s->integ)), decrypt, &c),
			 ERR_NONE);
	return c;
}

/* RFC 4303 2.2.1: it is part of what is checked, and of nothing that is sent. */
static void the_upper_half_of_an_extended_number_is_covered(void **state)
{
	uint8_t sealed[256], other[256], packet[256];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		struct crypt_esp *seal = make_esn(s, false), *open = make_esn(s, true), *plain = make(s, true);
		size_t len = get_len(s, 96), icv = crypt_icv_len(s->encr, s->integ);
		fill(sealed, sizeof(sealed), 3);
		memcpy(other, sealed, sizeof(other));
		struct crypt_esp_job jobs[2] = { { seal, sealed, len, ERR_COUNT, 0x01020304 }, { seal, other, len, ERR_COUNT, 0 } };
		crypt_esp_seal(jobs, 2);
		assert_true(jobs[0].result == ERR_NONE && jobs[1].result == ERR_NONE);
		assert_memory_equal(sealed, other, len - icv);
		assert_memory_not_equal(sealed + len - icv, other + len - icv, icv);
		for (uint32_t bit = 0; bit < 32; bit++) {
			memcpy(packet, sealed, sizeof(packet));
			struct crypt_esp_job job = { open, packet, len, ERR_COUNT, 0x01020304 ^ UINT32_C(1) << bit };
			crypt_esp_open(&job, 1);
			assert_int_equal(job.result, ERR_AUTH);
		}
		/* Upper half 0 is not the same as none. */
		memcpy(packet, other, sizeof(packet));
		struct crypt_esp_job wrong = { plain, packet, len, ERR_COUNT, 0 };
		crypt_esp_open(&wrong, 1);
		assert_int_equal(wrong.result, ERR_AUTH);
		struct crypt_esp_job right = { open, sealed, len, ERR_COUNT, 0x01020304 };
		crypt_esp_open(&right, 1);
		assert_int_equal(right.result, ERR_NONE);
		fill(packet, sizeof(packet), 3);
		assert_memory_equal(sealed, packet, len - icv);
		crypt_esp_free(seal);
		crypt_esp_free(open);
		crypt_esp_free(plain);
	}
}

static void assert_not_made(enum err want, uint16_t encr, uint16_t bits, uint16_t integ, size_t encr_len,
			    size_t integ_len)
{
	struct crypt_esp *c = NULL;

	assert_int_equal(crypt_esp_new(encr, bits, integ, bytes_of(encr_key, encr_len),
				       bytes_of(integ_key, integ_len), false, &c),
			 want);
	assert_null(c);
}

static void keys_of_a_wrong_length_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rig_suites); i++) {
		const struct rig_suite *s = &rig_suites[i];
		size_t encr = crypt_encr_key_len(s->encr, s->bits), integ = crypt_integ_key_len(s->integ);
		if (encr != 0)
			assert_not_made(ERR_RANGE, s->encr, s->bits, s->integ, encr - 1, integ);
		assert_not_made(ERR_RANGE, s->encr, s->bits, s->integ, encr, integ == 32 ? 31 : integ + 1);
		assert_not_made(ERR_RANGE, s->encr, s->bits, s->integ, encr == 0 ? 16 : 0, integ);
	}
}

static void suites_without_authentication_are_unsupported(void **state)
{
	(void)state;
	assert_not_made(ERR_UNSUPPORTED, IKE_ENCR_AES_CBC, 256, IKE_INTEG_NONE, 32, 0);
	assert_not_made(ERR_UNSUPPORTED, IKE_ENCR_NULL, 0, IKE_INTEG_NONE, 0, 0);
	assert_not_made(ERR_UNSUPPORTED, IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_HMAC_SHA1_96, 36, 20);
	assert_not_made(ERR_UNSUPPORTED, 3, 0, IKE_INTEG_HMAC_SHA1_96, 24, 20);
	assert_not_made(ERR_UNSUPPORTED, IKE_ENCR_AES_GCM_16, 192, IKE_INTEG_NONE, 28, 0);
	crypt_esp_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_comes_back_at_every_size),
		cmocka_unit_test(open_rejects_a_flipped_bit_anywhere),
		cmocka_unit_test(a_refused_packet_without_aead_is_not_decrypted),
		cmocka_unit_test(impossible_lengths_are_refused_and_nothing_is_touched),
		cmocka_unit_test(each_packet_of_a_mixed_burst_has_its_own_result),
		cmocka_unit_test(packets_take_nothing_from_the_heap),
		cmocka_unit_test(the_upper_half_of_an_extended_number_is_covered),
		cmocka_unit_test(keys_of_a_wrong_length_are_refused),
		cmocka_unit_test(suites_without_authentication_are_unsupported),
	};
	const char *why;
	int failed = 0;

	/* Only before libcrypto's first allocation. */
	if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
		return 1;
	for (backend = CRYPT_ESP_IPSEC_MB; backend <= CRYPT_ESP_OPENSSL; backend++) {
		if (crypt_esp_choose(backend, &why) != ERR_NONE) {
			print_message("left out: %s\n", why);
			continue;
		}
		print_message("%s\n", crypt_esp_chosen());
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
