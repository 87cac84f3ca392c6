// Powers modulo a prime over libcrypto's Montgomery multiplication: what every CPU can do.
#include <stdlib.h>

#include "base/secret.h"
#include "crypt/dh_modp.h"
#include "crypt/mask.h"

#define DIGIT_VALUES 16u

struct bn_state {
	BIGNUM *prime;
	BN_MONT_CTX *mont;
	size_t len;
	size_t digits;  /* of an exponent */
	uint8_t *table; /* [digit][value][len]: 2^(value * 16^digit), little-endian, in Montgomery form */
};

static uint8_t *entry(const struct bn_state *s, size_t digit, unsigned value)
{
	return s->table + (digit * DIGIT_VALUES + value) * s->len;
}

/* Each row ends with the base of the next one: 16 times the exponent. */
static bool fill_table(struct bn_state *s, BN_CTX *ctx)
{
	BIGNUM *base = BN_new(), *one = BN_new(), *power = BN_new();
	bool ok = base != NULL && one != NULL && power != NULL && BN_set_word(base, 2) == 1 && BN_one(one) == 1 &&
		  BN_to_montgomery(base, base, s->mont, ctx) == 1 && BN_to_montgomery(one, one, s->mont, ctx) == 1;

	for (size_t i = 0; ok && i < s->digits; i++) {
		ok = BN_copy(power, one) != NULL;
		for (unsigned v = 0; ok && v < DIGIT_VALUES; v++)
			ok = BN_bn2lebinpad(power, entry(s, i, v), (int)s->len) == (int)s->len &&
			     BN_mod_mul_montgomery(power, power, base, s->mont, ctx) == 1;
		ok = ok && BN_copy(base, power) != NULL;
	}
	BN_free(power);
	BN_free(one);
	BN_free(base);
	return ok;
}

static void free_state(void *state)
{
	struct bn_state *s = state;

	BN_free(s->prime);
	BN_MONT_CTX_free(s->mont);
	free(s->table);
	free(s);
}

static void *make_state(const BIGNUM *prime, size_t exponent_len)
{
	struct bn_state *s = calloc(1, sizeof(*s));
	BN_CTX *ctx = BN_CTX_new();

	if (s == NULL || ctx == NULL) {
		free(s);
		BN_CTX_free(ctx);
		return NULL;
	}
	s->len = (size_t)BN_num_bytes(prime);
	s->digits = 2 * exponent_len;
	s->prime = BN_dup(prime);
	s->mont = BN_MONT_CTX_new();
	s->table = malloc(s->digits * DIGIT_VALUES * s->len);
	bool ok = s->prime != NULL && s->mont != NULL && s->table != NULL &&
		  BN_MONT_CTX_set(s->mont, prime, ctx) == 1 && fill_table(s, ctx);
	BN_CTX_free(ctx);
	if (!ok) {
		free_state(s);
		s = NULL;
	}
	return s;
}

static enum err power(const void *state, struct bytes base, struct bytes exponent, uint8_t *ret)
{
	const struct bn_state *s = state;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *y = BN_bin2bn(base.p, (int)base.len, NULL), *x = BN_bin2bn(exponent.p, (int)exponent.len, NULL);
	BIGNUM *z = BN_new();
	enum err e = ERR_MEMORY;

	if (ctx != NULL && x != NULL && y != NULL && z != NULL) {
		BN_set_flags(x, BN_FLG_CONSTTIME);
		e = BN_mod_exp_mont_consttime(z, y, x, s->prime, ctx, s->mont) == 1 &&
				    BN_bn2binpad(z, ret, (int)s->len) == (int)s->len
			    ? ERR_NONE
			    : ERR_CRYPTO;
	}
	BN_clear_free(z);
	BN_clear_free(x);
	BN_free(y);
	BN_CTX_free(ctx);
	return e;
}

/* All entries of a row are read. */
static void pick(const struct bn_state *s, size_t digit, unsigned value, uint8_t *ret)
{
	memset(ret, 0, s->len);
	for (unsigned v = 0; v < DIGIT_VALUES; v++) {
		const uint8_t *from = entry(s, digit, v);
		uint8_t mask = (uint8_t)crypt_mask_zero(v ^ value);
		for (size_t i = 0; i < s->len; i++)
			ret[i] |= from[i] & mask;
	}
}

static enum err power_of_2(const void *state, struct bytes exponent, uint8_t *ret)
{
	const struct bn_state *s = state;
	uint8_t row[CRYPT_MODP_LEN_MAX];
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *z = BN_new(), *factor = BN_new();

	must(exponent.len * 2 == s->digits);
	pick(s, 0, crypt_modp_digit(exponent, 0), row);
	bool ok = ctx != NULL && z != NULL && factor != NULL && BN_lebin2bn(row, (int)s->len, z) != NULL;
	for (size_t i = 1; ok && i < s->digits; i++) {
		pick(s, i, crypt_modp_digit(exponent, i), row);
		ok = BN_lebin2bn(row, (int)s->len, factor) != NULL &&
		     BN_mod_mul_montgomery(z, z, factor, s->mont, ctx) == 1;
	}
	ok = ok && BN_from_montgomery(z, z, s->mont, ctx) == 1 && BN_bn2binpad(z, ret, (int)s->len) == (int)s->len;
	BN_clear_free(factor);
	BN_clear_free(z);
	BN_CTX_free(ctx);
	secret_wipe(row, sizeof(row));
	return ok ? ERR_NONE : ERR_CRYPTO;
}

static bool usable(void)
{
	return true;
}

const struct crypt_modp_engine crypt_modp_bn = {
	.name = "libcrypto",
	.usable = usable,
	.new = make_state,
	.free = free_state,
	.power = power,
	.power_of_2 = power_of_2,
};
