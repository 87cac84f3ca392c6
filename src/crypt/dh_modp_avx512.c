// Powers modulo a prime by AVX-512: Montgomery multiplication of digits of 52 bits, eight in a register
// (Gueron, Krasnov: "Software Implementation of Modular Exponentiation, Using Advanced Vector Instructions
// Architectures", 2012: almost Montgomery multiplication). Two engines: with IFMA, which multiplies such digits, and for CPUs
// without it with the fused multiply-add of doubles, whose fraction has 52 bits as well.
//
// Values are below 2p and R is at least 4p, so that a product (a*b + m*p)/R is below 2p again without a subtraction.
// The primes of RFC 3526 end with 64 ones. Hence -1/p modulo 2^52 is 1, so that m is the lowest digit itself; and with
// p+1 for p (whose lowest digit is 0), what remains of that digit after the reduction is its carry.
#include <immintrin.h>
#include <stdlib.h>

#include "base/secret.h"
#include "crypt/dh_modp.h"
#include "crypt/mask.h"

#define TARGET __attribute__((target("avx512f")))
#define TARGET_IFMA __attribute__((target("avx512f,avx512ifma")))
#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define DIGIT_BITS 52
#define DIGIT_MASK (((uint64_t)1 << DIGIT_BITS) - 1)
#define VECTORS_MAX 10
#define DIGITS_MAX (8 * VECTORS_MAX)
#define WORDS_MAX (CRYPT_MODP_LEN_MAX / 8)
#define WINDOW_VALUES 16u

/* A number as digits of 52 bits, the lowest first; there are whole vectors of them. */
struct number {
	_Alignas(64) uint64_t d[DIGITS_MAX];
};

/* The arithmetic of one engine for one length of the prime, with loops that the compiler can unroll. */
struct core {
	size_t len;       /* of the prime, in bytes */
	unsigned digits;  /* R is 2^(52 * digits) */
	unsigned vectors; /* of 8 digits, that hold them */
	void (*mul)(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *p1);
	void (*pick)(uint64_t *r, const uint64_t *row, unsigned value);
};

struct state {
	struct number p1;  /* p + 1 */
	struct number one; /* R modulo p */
	struct number r2;  /* R * R modulo p */
	const struct core *core;
	size_t windows;    /* of an exponent */
	uint64_t *table;   /* [window][value][8 * vectors]: 2^(value * 16^window) * R modulo p */
};

/* ---- the core ---- */

/* Carries what exceeds 52 bits of each digit to the next one. After the first round a digit is at most one too large; a
 * carry runs on through digits of 52 ones: the sum of the two sets of bits finds where each one ends. */
INLINE TARGET void carry(__m512i *acc, const unsigned vectors)
{
	const __m512i mask = _mm512_set1_epi64((long long)DIGIT_MASK), ones = _mm512_set1_epi64(-1);
	__m512i high = _mm512_setzero_si512();
	unsigned __int128 over = 0, full = 0;

	UNROLL for (unsigned j = 0; j < vectors; j++) {
		__m512i below = high;
		high = _mm512_srli_epi64(acc[j], DIGIT_BITS);
		acc[j] = _mm512_add_epi64(_mm512_and_si512(acc[j], mask), _mm512_alignr_epi64(high, below, 7));
	}
	UNROLL for (unsigned j = 0; j < vectors; j++) {
		over |= (unsigned __int128)_mm512_cmpgt_epu64_mask(acc[j], mask) << (8 * j + 1);
		full |= (unsigned __int128)_mm512_cmpeq_epu64_mask(acc[j], mask) << (8 * j);
	}
	unsigned __int128 add = (over + full) ^ full;
	UNROLL for (unsigned j = 0; j < vectors; j++) {
		__mmask8 here = (__mmask8)(add >> (8 * j));
		acc[j] = _mm512_and_si512(_mm512_mask_sub_epi64(acc[j], here, acc[j], ones), mask);
	}
}

/* r = a * b / R modulo p. A round adds the low halves of a * b[i] and m * (p+1), moves all down by a digit, then
 * adds the high halves. The first vector decides on m, hence its part that does not wait for m is summed apart. */
INLINE TARGET_IFMA void multiply_ifma(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *p1,
				      const unsigned digits, const unsigned vectors)
{
	const __m512i zero = _mm512_setzero_si512();
	__m512i acc[VECTORS_MAX], va[VECTORS_MAX], vp[VECTORS_MAX];

	UNROLL for (unsigned j = 0; j < vectors; j++) {
		acc[j] = zero;
		va[j] = _mm512_load_si512(a + 8 * j);
		vp[j] = _mm512_load_si512(p1 + 8 * j);
	}
	for (unsigned i = 0; i < digits; i++) {
		__m512i bi = _mm512_set1_epi64((long long)b[i]);
		__m512i apart = _mm512_madd52hi_epu64(zero, va[0], bi);
		acc[0] = _mm512_add_epi64(acc[0], _mm512_madd52lo_epu64(zero, va[0], bi));
		__m512i m = _mm512_broadcastq_epi64(_mm512_castsi512_si128(acc[0]));
		apart = _mm512_add_epi64(apart, _mm512_maskz_srli_epi64(1, acc[0], DIGIT_BITS));
		apart = _mm512_madd52hi_epu64(apart, vp[0], m);
		acc[0] = _mm512_madd52lo_epu64(acc[0], vp[0], m);
		UNROLL for (unsigned j = 1; j < vectors; j++)
			acc[j] = _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(acc[j], va[j], bi), vp[j], m);
		UNROLL for (unsigned j = 0; j < vectors; j++)
			acc[j] = _mm512_alignr_epi64(j + 1 < vectors ? acc[j + 1] : zero, acc[j], 1);
		acc[0] = _mm512_add_epi64(acc[0], apart);
		UNROLL for (unsigned j = 1; j < vectors; j++)
			acc[j] = _mm512_madd52hi_epu64(_mm512_madd52hi_epu64(acc[j], va[j], bi), vp[j], m);
	}
	carry(acc, vectors);
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_si512(r + 8 * j, acc[j]);
}

/* The product of two digits as doubles, without IFMA. Rounded towards zero, a*b + 2^104 is 2^104 + 2^52 * the high half,
 * for which its lowest bit stands; what that leaves of a*b, plus 2^52, is exact. Integers are added to the sums as the bits of
 * these doubles, exponents too (ERROR_LOW and ERROR_HIGH): how many is known beforehand. All values are whole numbers, so
 * nothing is ever denormal and no instruction's time depends on them. */
#define TWO_52 0x1p52
#define TWO_104 0x1p104
#define ERROR_LOW ((uint64_t)(1023 + 52) << 52)
#define ERROR_HIGH ((uint64_t)(1023 + 104) << 52)
#define TO_ZERO (_MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)

INLINE TARGET __m512d high_half(__m512d a, __m512d b)
{
	return _mm512_fmadd_round_pd(a, b, _mm512_set1_pd(TWO_104), TO_ZERO);
}

INLINE TARGET __m512d low_half(__m512d a, __m512d b, __m512d high)
{
	return _mm512_fmadd_round_pd(a, b, _mm512_sub_pd(_mm512_set1_pd(TWO_104 + TWO_52), high), TO_ZERO);
}

INLINE TARGET __m512i add_bits(__m512i sum, __m512d half)
{
	return _mm512_add_epi64(sum, _mm512_castpd_si512(half));
}

/* The lowest 52 bits of each. */
INLINE TARGET __m512d to_doubles(__m512i digits)
{
	const __m512i mask = _mm512_set1_epi64((long long)DIGIT_MASK), exponent = _mm512_set1_epi64((long long)ERROR_LOW);
	__m512i bits = _mm512_or_si512(_mm512_and_si512(digits, mask), exponent);
	return _mm512_sub_pd(_mm512_castsi512_pd(bits), _mm512_set1_pd(TWO_52));
}

/* Less than nothing by all the errors that a sum takes in until it has moved from its place in vector j to that of the
 * lowest digit and is looked at there: two of both kinds a round, and in the last one that of a * b[i]. */
INLINE TARGET __m512i sums_at(const unsigned j)
{
	const uint64_t round = 2 * ERROR_LOW + 2 * ERROR_HIGH, at = 8 * (uint64_t)j;
#define SUM_AT(lane) (long long)(0 - ((at + (lane)) * round + ERROR_LOW))
	return _mm512_set_epi64(SUM_AT(7), SUM_AT(6), SUM_AT(5), SUM_AT(4), SUM_AT(3), SUM_AT(2), SUM_AT(1), SUM_AT(0));
#undef SUM_AT
}

/* As multiply_ifma. Each round waits long for m, hence the next round's products of a are computed meanwhile; those of a last
 * round that is none, with 0, leave their error alone. */
INLINE TARGET void multiply_fma(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *p1,
				const unsigned digits, const unsigned vectors)
{
	const __m512i top = _mm512_sub_epi64(_mm512_alignr_epi64(sums_at(0), sums_at(vectors - 1), 7),
					     _mm512_set1_epi64((long long)(2 * ERROR_HIGH)));
	const __m512i last = _mm512_set1_epi64((long long)ERROR_LOW);
	UNSET _Alignas(64) double bs[DIGITS_MAX + 8];
	__m512i acc[VECTORS_MAX], high[VECTORS_MAX];
	__m512d va[VECTORS_MAX], vp[VECTORS_MAX];

	_mm512_store_pd(bs + 8 * vectors, _mm512_setzero_pd());
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_pd(bs + 8 * j, to_doubles(_mm512_load_si512(b + 8 * j)));
	UNROLL for (unsigned j = 0; j < vectors; j++) {
		va[j] = to_doubles(_mm512_load_si512(a + 8 * j));
		vp[j] = to_doubles(_mm512_load_si512(p1 + 8 * j));
		__m512d b0 = _mm512_set1_pd(bs[0]), half = high_half(va[j], b0);
		high[j] = _mm512_castpd_si512(half);
		acc[j] = add_bits(sums_at(j), low_half(va[j], b0, half));
	}
	for (unsigned i = 1; i <= digits; i++) {
		__m512d bi = _mm512_set1_pd(bs[i]), next_high[VECTORS_MAX], next_low[VECTORS_MAX];
		__m512d m = _mm512_broadcastsd_pd(_mm512_castpd512_pd128(to_doubles(acc[0])));
		high[0] = _mm512_add_epi64(high[0], _mm512_maskz_srli_epi64(1, acc[0], DIGIT_BITS));
		UNROLL for (unsigned j = 0; j < vectors; j++) {
			next_high[j] = high_half(va[j], bi);
			next_low[j] = low_half(va[j], bi, next_high[j]);
		}
		UNROLL for (unsigned j = 0; j < vectors; j++) {
			__m512d half = high_half(vp[j], m);
			high[j] = add_bits(add_bits(high[j], half), next_low[j]);
			acc[j] = add_bits(acc[j], low_half(vp[j], m, half));
		}
		UNROLL for (unsigned j = 0; j < vectors; j++) {
			acc[j] = _mm512_add_epi64(_mm512_alignr_epi64(j + 1 < vectors ? acc[j + 1] : top, acc[j], 1), high[j]);
			high[j] = _mm512_castpd_si512(next_high[j]);
		}
	}
	UNROLL for (unsigned j = 0; j < vectors; j++)
		acc[j] = _mm512_sub_epi64(acc[j], _mm512_add_epi64(sums_at(j), last));
	carry(acc, vectors);
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_si512(r + 8 * j, acc[j]);
	secret_wipe(bs, vectors * sizeof(acc[0]));
}

/* The entry of a row; all of them are read. */
INLINE TARGET void pick_entry(uint64_t *r, const uint64_t *row, unsigned value, const unsigned vectors)
{
	__m512i acc[VECTORS_MAX];

	UNROLL for (unsigned j = 0; j < vectors; j++)
		acc[j] = _mm512_setzero_si512();
	for (unsigned v = 0; v < WINDOW_VALUES; v++, row += 8 * (size_t)vectors) {
		__m512i mask = _mm512_set1_epi64((long long)crypt_mask_zero(v ^ value));
		UNROLL for (unsigned j = 0; j < vectors; j++)
			acc[j] = _mm512_or_si512(acc[j], _mm512_and_si512(_mm512_load_si512(row + 8 * j), mask));
	}
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_si512(r + 8 * j, acc[j]);
}

#define DEFINE_CORE(bits, digits, vectors)                                                                            \
	TARGET_IFMA static void mul_ifma_##bits(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *p1) \
	{                                                                                                             \
		multiply_ifma(r, a, b, p1, digits, vectors);                                                          \
	}                                                                                                             \
	TARGET static void mul_fma_##bits(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *p1)      \
	{                                                                                                             \
		multiply_fma(r, a, b, p1, digits, vectors);                                                           \
	}                                                                                                             \
	TARGET static void pick_##bits(uint64_t *r, const uint64_t *row, unsigned value)                              \
	{                                                                                                             \
		pick_entry(r, row, value, vectors);                                                                   \
	}                                                                                                             \
	_Static_assert((digits) * DIGIT_BITS >= (bits) + 2 && (digits) <= 8 * (vectors), "R is too small");
#define IFMA_ROW(bits, digits, vectors) { (bits) / 8, digits, vectors, mul_ifma_##bits, pick_##bits },
#define FMA_ROW(bits, digits, vectors) { (bits) / 8, digits, vectors, mul_fma_##bits, pick_##bits },
#define CORES(X) X(1536, 30, 4) X(2048, 40, 5) X(3072, 60, 8) X(4096, 79, 10)
CORES(DEFINE_CORE)
static const struct core ifma_cores[] = { CORES(IFMA_ROW) }, fma_cores[] = { CORES(FMA_ROW) };
#define CORE_CNT ARRAY_LEN(ifma_cores)

/* ---- numbers ---- */

static void split_words(const uint64_t *words, size_t cnt, struct number *ret)
{
	for (size_t i = 0; i < DIGITS_MAX; i++) {
		size_t at = DIGIT_BITS * i / 64, shift = DIGIT_BITS * i % 64;
		uint64_t low = at < cnt ? words[at] >> shift : 0;
		uint64_t high = shift > 64 - DIGIT_BITS && at + 1 < cnt ? words[at + 1] << (64 - shift) : 0;
		ret->d[i] = (low | high) & DIGIT_MASK;
	}
}

static void join_words(const struct number *n, uint64_t *words, size_t cnt)
{
	memset(words, 0, cnt * sizeof(*words));
	for (size_t i = 0; i < DIGITS_MAX; i++) {
		size_t at = DIGIT_BITS * i / 64, shift = DIGIT_BITS * i % 64;
		if (at < cnt)
			words[at] |= n->d[i] << shift;
		if (shift > 64 - DIGIT_BITS && at + 1 < cnt)
			words[at + 1] |= n->d[i] >> (64 - shift);
	}
}

static void read_words(struct bytes number, uint64_t *words)
{
	struct rd r = rd_of(number);

	for (size_t i = number.len / 8; i-- > 0;)
		words[i] = rd_u64(&r);
	must(rd_done(&r));
}

/* Out of Montgomery form: (a + m*p) / R is at most p for a below 2p, and p itself only for a multiple of p, which no power
 * is. */
static void finish(const struct state *s, struct number *a, uint8_t *ret)
{
	static const struct number unit = { { 1 } };
	uint64_t words[WORDS_MAX];
	size_t cnt = s->core->len / 8;
	struct wr w = wr_of((struct space){ ret, s->core->len });

	s->core->mul(a->d, a->d, unit.d, s->p1.d);
	join_words(a, words, cnt);
	for (size_t i = cnt; i-- > 0;)
		wr_u64(&w, words[i]);
	must(!w.bad && wr_len(&w) == s->core->len);
	secret_wipe(words, sizeof(words));
}

/* ---- the engine ---- */

static bool can_ifma(void)
{
	return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512ifma") != 0;
}

static bool can_fma(void)
{
	return __builtin_cpu_supports("avx512f") != 0;
}

static void take_number(const BIGNUM *n, size_t len, struct number *ret)
{
	uint8_t b[CRYPT_MODP_LEN_MAX];
	uint64_t words[WORDS_MAX];

	must(BN_bn2binpad(n, b, (int)len) == (int)len);
	read_words(bytes_of(b, len), words);
	split_words(words, len / 8, ret);
}

/* p+1, R and R * R modulo p. */
static bool take_prime(struct state *s, const BIGNUM *prime)
{
	size_t len = s->core->len;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *n = BN_dup(prime), *r = BN_new();
	bool ok = ctx != NULL && n != NULL && r != NULL && BN_add_word(n, 1) == 1 && BN_one(r) == 1 &&
		  BN_lshift(r, r, (int)(DIGIT_BITS * s->core->digits)) == 1 && BN_mod(r, r, prime, ctx) == 1;

	if (ok) {
		take_number(n, len, &s->p1);
		must(s->p1.d[0] == 0 && s->p1.d[1] << 52 == 0); /* what the head of this file builds on */
		take_number(r, len, &s->one);
		ok = BN_mod_sqr(r, r, prime, ctx) == 1;
	}
	if (ok)
		take_number(r, len, &s->r2);
	BN_free(r);
	BN_free(n);
	BN_CTX_free(ctx);
	return ok;
}

/* base^0 to base^15 as one row; *base becomes its 16th power. */
static void fill_row(const struct state *s, struct number *base, uint64_t *row)
{
	size_t stride = 8 * (size_t)s->core->vectors;

	memcpy(row, s->one.d, stride * sizeof(*row));
	for (unsigned v = 1; v < WINDOW_VALUES; v++)
		s->core->mul(row + v * stride, row + (v - 1) * stride, base->d, s->p1.d);
	s->core->mul(base->d, row + (WINDOW_VALUES - 1) * stride, base->d, s->p1.d);
}

static void free_state(void *state)
{
	struct state *s = state;

	free(s->table);
	free(s);
}

static void *make_state(const struct core cores[static CORE_CNT], const BIGNUM *prime, size_t exponent_len)
{
	struct state *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);
	struct number base = { { 2 } };

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < CORE_CNT; i++)
		if (cores[i].len == (size_t)BN_num_bytes(prime))
			s->core = &cores[i];
	must(s->core != NULL);
	size_t row = WINDOW_VALUES * 8 * (size_t)s->core->vectors;
	s->windows = 2 * exponent_len;
	s->table = aligned_alloc(64, s->windows * row * sizeof(*s->table));
	if (s->table == NULL || !take_prime(s, prime)) {
		free_state(s);
		return NULL;
	}
	s->core->mul(base.d, base.d, s->r2.d, s->p1.d);
	for (size_t i = 0; i < s->windows; i++)
		fill_row(s, &base, s->table + i * row);
	return s;
}

static void *make_ifma(const BIGNUM *prime, size_t exponent_len)
{
	return make_state(ifma_cores, prime, exponent_len);
}

static void *make_fma(const BIGNUM *prime, size_t exponent_len)
{
	return make_state(fma_cores, prime, exponent_len);
}

static enum err power(const void *state, struct bytes base, struct bytes exponent, uint8_t *ret)
{
	const struct state *s = state;
	const struct core *core = s->core;
	_Alignas(64) uint64_t row[WINDOW_VALUES * DIGITS_MAX];
	struct number y, z, factor;
	uint64_t words[WORDS_MAX];

	must(base.len == core->len && exponent.len != 0);
	read_words(base, words);
	split_words(words, core->len / 8, &y);
	core->mul(y.d, y.d, s->r2.d, s->p1.d);
	fill_row(s, &y, row);
	size_t i = 2 * exponent.len - 1;
	core->pick(z.d, row, crypt_modp_digit(exponent, i));
	while (i-- > 0) {
		for (unsigned k = 0; k < 4; k++)
			core->mul(z.d, z.d, z.d, s->p1.d);
		core->pick(factor.d, row, crypt_modp_digit(exponent, i));
		core->mul(z.d, z.d, factor.d, s->p1.d);
	}
	memset(z.d + 8 * core->vectors, 0, sizeof(z.d) - 64 * (size_t)core->vectors);
	finish(s, &z, ret);
	secret_wipe(&z, sizeof(z));
	secret_wipe(&factor, sizeof(factor));
	return ERR_NONE;
}

static enum err power_of_2(const void *state, struct bytes exponent, uint8_t *ret)
{
	const struct state *s = state;
	const struct core *core = s->core;
	size_t row = WINDOW_VALUES * 8 * (size_t)core->vectors;
	struct number z = { { 0 } }, factor;

	must(2 * exponent.len == s->windows);
	core->pick(z.d, s->table, crypt_modp_digit(exponent, 0));
	for (size_t i = 1; i < s->windows; i++) {
		core->pick(factor.d, s->table + i * row, crypt_modp_digit(exponent, i));
		core->mul(z.d, z.d, factor.d, s->p1.d);
	}
	finish(s, &z, ret);
	secret_wipe(&z, sizeof(z));
	secret_wipe(&factor, sizeof(factor));
	return ERR_NONE;
}

const struct crypt_modp_engine crypt_modp_ifma = {
	.name = "avx512-ifma",
	.usable = can_ifma,
	.new = make_ifma,
	.free = free_state,
	.power = power,
	.power_of_2 = power_of_2,
};

const struct crypt_modp_engine crypt_modp_fma = {
	.name = "avx512-fma",
	.usable = can_fma,
	.new = make_fma,
	.free = free_state,
	.power = power,
	.power_of_2 = power_of_2,
};
