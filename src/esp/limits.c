#include "esp/limits.h"

#include "crypt/iv_space.h"
#include "crypt/suite.h"
#include "esp/replay.h"

static const uint64_t none = UINT64_MAX;
static const uint64_t aes_soft = UINT64_C(1) << 40, aes_hard = UINT64_C(1) << 42;

uint64_t esp_seq_end_of(const struct model_suite *suite)
{
	return suite->esn == IKE_ESN_YES ? ESP_SEQ_END : UINT64_C(1) << 32;
}

/* How many packets one key can have numbers and IVs for. */
static uint64_t count_numbers(const struct model_suite *suite)
{
	uint64_t ivs = UINT64_C(1) << CRYPT_IV_COUNTER_BITS, end = esp_seq_end_of(suite);

	return crypt_encr_is_aead(suite->encr) && ivs < end ? ivs : end - 1;
}

static uint64_t soften(uint64_t limit, bool started, uint32_t random)
{
	uint64_t part = limit / (started ? 10 : 20);

	/* random as a fraction, so that limits of any size spread */
	return limit == none ? none : limit - part - (uint64_t)((unsigned __int128)part * random >> 32);
}

static uint64_t lower(uint64_t wish, uint64_t limit)
{
	return wish != 0 && wish < limit ? wish : limit;
}

void esp_limits_make(const struct model_suite *suite, uint64_t packets, uint64_t bytes, bool started, uint32_t random,
		     struct esp_limits *ret)
{
	bool aes = suite->encr != IKE_ENCR_NULL;
	uint64_t numbers = count_numbers(suite);

	*ret = (struct esp_limits){
		.soft_packets = soften(lower(packets, none), started, random),
		.soft_bytes = soften(lower(bytes, aes ? aes_soft : none), started, random),
		.soft_numbers = soften(numbers / 2, started, random),
		.hard_bytes = aes ? aes_hard : none,
		.hard_numbers = numbers,
	};
}

enum esp_wear esp_limits_judge(const struct esp_limits *l, const struct esp_used *used)
{
	if (used->bytes >= l->hard_bytes || used->numbers >= l->hard_numbers)
		return ESP_WEAR_HARD;
	if (used->packets >= l->soft_packets || used->bytes >= l->soft_bytes || used->numbers >= l->soft_numbers)
		return ESP_WEAR_SOFT;
	return ESP_WEAR_FINE;
}
