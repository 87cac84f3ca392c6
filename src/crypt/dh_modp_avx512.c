// Powers modulo a prime by AVX-512: Montgomery multiplication of digits of 52 bits, eight in a register
// (Gueron, Krasnov: "Software Implementation of Modular Exponentiation, Using Advanced Vector Instructions
// Architectures", 2012: almost Montgomery multiplication). Two engines: with IFMA, which multiplies such digits, and for CPUs
// without it with the fused multiply-add of doubles, whose fraction has 52 bits as well.
//
// Values are below 3p and R is far above 9p, so that a product (a*b + m*p)/R is below 3p again without a subtraction.
// The primes of RFC 3526 end with 64 ones. Hence -1/p modulo 2^52 is 1, so that m is the lowest digit itself; and with
// p+1 for p (whose lowest digit is 0), what remains of that digit after the reduction is its carry.
//
// Without IFMA a digit takes so long from the sums through m back to the sums that half of the time nothing can be done. There
// a multiple of p takes its place that ends with 104 ones, so that two digits are reduced at a time; the last two by p
// itself, else the product would be as long as that multiple.
#include <immintrin.h>
#include <stdlib.h>

#include "base/secret.h"
#include "crypt/dh_modp.h"
#include "crypt/mask.h"

/* The checks of the sanitizers, of unrolled loops over arrays of fixed lengths, would take the compiler minutes. */
#define UNCHECKED no_sanitize("address", "undefined")
#define TARGET __attribute__((target("avx512f"), UNCHECKED))
#define TARGET_IFMA __attribute__((target("avx512f,avx512ifma"), UNCHECKED))
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

/* The bits of an exponent of 2, which is known beforehand, are taken TEETH at a time, as far from each other as can be, and
 * BLOCKS times so often between two squares (Lim, Lee: "More Flexible Exponentiation with Precomputation", 1994). The
 * table is small enough to be in the cache soon. */
#define TEETH 5u
#define BLOCKS 4u
#define COMB_VALUES (1u << TEETH)

/* A number as digits of 52 bits, the lowest first; there are whole vectors of them. */
struct number {
	_Alignas(64) uint64_t d[DIGITS_MAX];
};

/* With which the sums begin, by digit, so that in the end nothing is left of the errors that they have taken in. */
struct errors {
	_Alignas(64) uint64_t e[2 * DIGITS_MAX + 8], o[2 * DIGITS_MAX + 8];
};

struct modulus {
	struct number p1;                      /* p + 1 */
	_Alignas(64) double over1[DIGITS_MAX]; /* (p + 1) / 2^52 */
	_Alignas(64) double over2[DIGITS_MAX]; /* (kp + 1) / 2^104, k being -1/p modulo 2^104 */
	struct errors of_mul, of_sqr;
};

/* The arithmetic of one engine for one length of the prime, with loops that the compiler can unroll. */
struct core {
	size_t len;       /* of the prime, in bytes */
	unsigned digits;  /* R is 2^(52 * digits) */
	unsigned vectors; /* of 8 digits, that hold them */
	void (*mul)(uint64_t *r, const uint64_t *a, const uint64_t *b, const struct modulus *m);
	void (*sqr)(uint64_t *r, const uint64_t *a, const struct modulus *m);
	void (*leave)(uint64_t *r, const uint64_t *a, const struct modulus *m); /* a / R modulo p, below p unless a is 0 modulo p */
	void (*pick)(uint64_t *r, const uint64_t *row, unsigned value, unsigned values);
};

struct state {
	struct modulus m;
	struct number one; /* R modulo p */
	struct number r2;  /* R * R modulo p */
	const struct core *core;
	size_t exponent_len, columns; /* of the exponents of 2; bits of a tooth in a block */
	uint64_t *table;   /* [block][value][8 * vectors]: 2^(sum of 2^(bit(tooth, block, 0)) for the bits of value) * R modulo p */
};

/* ---- the core ---- */

/* What explicit_bzero() does, of whole vectors: after each of hundreds of products its call costs a fifth of them. */
INLINE TARGET void wipe_doubles(double *p, const unsigned vectors)
{
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_pd(p + 8 * j, _mm512_setzero_pd());
	__asm__ volatile("" : : "r"(p) : "memory"); /* whoever reads it there finds the zeros */
}

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
INLINE TARGET void leave_fma(uint64_t *r, const uint64_t *a, const uint64_t *b, const uint64_t *p1,
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
	wipe_doubles(bs, vectors);
}

/* ---- two digits at a time ---- */

/* A number as three sums of digits: e + 2^52 * o + 2^104 * n. Two digits lower, n is added to e. */
struct sums {
	__m512i e[VECTORS_MAX], o[VECTORS_MAX], n[VECTORS_MAX];
};

/* The multiples of the modulus with which the two lowest digits vanish, and what these leave to the digit above. */
struct factors {
	__m512d m0, m1;
	__m512i rest;
};

INLINE TARGET void begin_sums(struct sums *s, const struct errors *errors, const unsigned vectors)
{
	UNROLL for (unsigned j = 0; j < vectors; j++) {
		s->e[j] = _mm512_load_si512(errors->e + 8 * j);
		s->o[j] = _mm512_load_si512(errors->o + 8 * j);
		s->n[j] = _mm512_set1_epi64((long long)ERROR_HIGH);
	}
}

/* The products of a vector of digits with the two digits of a round. */
INLINE TARGET void add_products(struct sums *s, const unsigned j, __m512d a, __m512d b0, __m512d b1)
{
	__m512d high0 = high_half(a, b0), high1 = high_half(a, b1);

	s->e[j] = add_bits(s->e[j], low_half(a, b0, high0));
	s->o[j] = add_bits(add_bits(s->o[j], high0), low_half(a, b1, high1));
	s->n[j] = add_bits(s->n[j], high1);
}

INLINE TARGET __m512d lowest_digit(__m512i digits)
{
	return _mm512_broadcastsd_pd(_mm512_castpd512_pd128(to_doubles(digits)));
}

INLINE TARGET struct factors find_factors(const struct sums *s)
{
	const __m512i e = s->e[0], o = s->o[0];
	__m512i second = _mm512_add_epi64(_mm512_add_epi64(o, _mm512_maskz_srli_epi64(1, e, DIGIT_BITS)),
					  _mm512_alignr_epi64(e, e, 1));

	return (struct factors){
		.m0 = lowest_digit(e),
		.m1 = lowest_digit(second),
		.rest = _mm512_maskz_add_epi64(1, _mm512_srli_epi64(second, DIGIT_BITS), _mm512_alignr_epi64(o, o, 1)),
	};
}

/* That vector of some digits, two digits lower; from above moves in what balances the errors from then on. */
INLINE TARGET __m512i shift_two(const __m512i *digits, const uint64_t *above, const unsigned j, const unsigned vectors)
{
	return _mm512_alignr_epi64(j + 1 < vectors ? digits[j + 1] : _mm512_loadu_si512(above), digits[j], 2);
}

/* The sums without their digits i-2 and i-1: takes in the multiples of a vector of the modulus. */
INLINE TARGET void move_down(struct sums *s, const unsigned j, const unsigned i, const unsigned vectors, const struct factors *f,
			     const struct modulus *m, const struct errors *errors)
{
	const size_t above = 8 * (size_t)vectors + i - 2;
	__m512d p = _mm512_load_pd(m->over2 + 8 * j), high0 = high_half(p, f->m0), high1 = high_half(p, f->m1);
	__m512i e = shift_two(s->e, errors->e + above, j, vectors), o = shift_two(s->o, errors->o + above, j, vectors);

	e = _mm512_add_epi64(e, s->n[j]);
	if (j == 0)
		e = _mm512_add_epi64(e, f->rest);
	s->e[j] = add_bits(e, low_half(p, f->m0, high0));
	s->o[j] = add_bits(add_bits(o, high0), low_half(p, f->m1, high1));
	s->n[j] = _mm512_castpd_si512(high1);
}

/* The last two digits, by p itself; then the number as digits of 52 bits. */
INLINE TARGET void end_sums(struct sums *s, uint64_t *r, const struct modulus *m, const struct errors *errors,
			    const unsigned digits, const unsigned vectors)
{
	const size_t above = 8 * (size_t)vectors + digits - 2;
	__m512i acc[VECTORS_MAX], below = _mm512_setzero_si512();
	__m512d m0 = lowest_digit(s->e[0]), high0[VECTORS_MAX];

	UNROLL for (unsigned j = 0; j < vectors; j++) {
		__m512d p = _mm512_load_pd(m->over1 + 8 * j);
		high0[j] = high_half(p, m0);
		s->o[j] = add_bits(s->o[j], low_half(p, m0, high0[j]));
	}
	const struct factors f = find_factors(s);
	UNROLL for (unsigned j = 0; j < vectors; j++) {
		__m512d p = _mm512_load_pd(m->over1 + 8 * j), high1 = high_half(p, f.m1);
		__m512i e = shift_two(s->e, errors->e + above, j, vectors), o = shift_two(s->o, errors->o + above, j, vectors);
		e = add_bits(add_bits(_mm512_add_epi64(e, s->n[j]), high0[j]), low_half(p, f.m1, high1));
		o = add_bits(o, high1);
		acc[j] = _mm512_add_epi64(j == 0 ? _mm512_add_epi64(e, f.rest) : e, _mm512_alignr_epi64(o, below, 7));
		below = o;
	}
	carry(acc, vectors);
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_si512(r + 8 * j, acc[j]);
}

INLINE TARGET void store_doubles(double *to, const uint64_t *digits, const unsigned vectors)
{
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_pd(to + 8 * j, to_doubles(_mm512_load_si512(digits + 8 * j)));
}

/* r = a * b / R modulo p. The next round's factors are looked for as soon as its lowest digits are there. */
INLINE TARGET void multiply_fma(uint64_t *r, const uint64_t *a, const uint64_t *b, const struct modulus *m,
				const unsigned digits, const unsigned vectors)
{
	UNSET _Alignas(64) double as[DIGITS_MAX], bs[DIGITS_MAX];
	UNSET struct sums s;

	store_doubles(as, a, vectors);
	store_doubles(bs, b, vectors);
	begin_sums(&s, &m->of_mul, vectors);
	UNROLL for (unsigned j = 0; j < vectors; j++)
		add_products(&s, j, _mm512_load_pd(as + 8 * j), _mm512_set1_pd(bs[0]), _mm512_set1_pd(bs[1]));
	struct factors f = find_factors(&s);
	for (unsigned i = 2; i < digits; i += 2) {
		__m512d b0 = _mm512_set1_pd(bs[i]), b1 = _mm512_set1_pd(bs[i + 1]);
		struct factors next = f;
		UNROLL for (unsigned j = 0; j < vectors; j++) {
			move_down(&s, j, i, vectors, &f, m, &m->of_mul);
			add_products(&s, j, _mm512_load_pd(as + 8 * j), b0, b1);
			if (j == 0)
				next = find_factors(&s);
		}
		f = next;
	}
	end_sums(&s, r, m, &m->of_mul, digits, vectors);
	wipe_doubles(as, vectors);
	wipe_doubles(bs, vectors);
}

/* ---- squares ---- */

/* a as doubles, and twice what a is above a vector: its digits from the next vector on, of which the first takes nothing in
 * from below. */
struct doubled {
	_Alignas(64) double once[DIGITS_MAX], first[DIGITS_MAX], twice[DIGITS_MAX];
};

INLINE TARGET void double_digits(struct doubled *d, const uint64_t *a, const unsigned vectors)
{
	__m512i below = _mm512_setzero_si512();

	UNROLL for (unsigned j = 0; j < vectors; j++) {
		__m512i v = _mm512_load_si512(a + 8 * j), top = _mm512_srli_epi64(v, DIGIT_BITS - 1);
		__m512i in = _mm512_alignr_epi64(top, below, 7), shifted = _mm512_slli_epi64(v, 1);
		_mm512_store_pd(d->once + 8 * j, to_doubles(v));
		_mm512_store_pd(d->first + 8 * j, to_doubles(_mm512_mask_or_epi64(shifted, 0xfe, shifted, in)));
		_mm512_store_pd(d->twice + 8 * j, to_doubles(_mm512_or_si512(shifted, in)));
		below = top;
	}
}

INLINE TARGET __m512d factor_at(const struct doubled *d, const unsigned block, const unsigned j)
{
	return _mm512_load_pd((j == block ? d->once : j == block + 1 ? d->first : d->twice) + 8 * j);
}

/* The rounds with the digits of that vector: those below have met them already, those above count twice. */
INLINE TARGET void square_block(struct sums *s, struct factors *f, const struct doubled *d, const struct modulus *m,
				const unsigned block, const unsigned digits, const unsigned vectors)
{
	for (unsigned i = block == 0 ? 2 : 8 * block; i < 8 * block + 8 && i < digits; i += 2) {
		__m512d b0 = _mm512_set1_pd(d->once[i]), b1 = _mm512_set1_pd(d->once[i + 1]);
		struct factors next = *f;
		UNROLL for (unsigned j = 0; j < vectors; j++) {
			move_down(s, j, i, vectors, f, m, &m->of_sqr);
			if (j >= block)
				add_products(s, j, factor_at(d, block, j), b0, b1);
			if (j == 0)
				next = find_factors(s);
		}
		*f = next;
	}
}

/* r = a * a / R modulo p, for the prime of group 14, which most peers use: each of its vectors of digits has code of its own. */
INLINE TARGET void square_five(uint64_t *r, const uint64_t *a, const struct modulus *m, const unsigned digits,
			       const unsigned vectors)
{
	UNSET struct doubled d;
	UNSET struct sums s;

	double_digits(&d, a, vectors);
	begin_sums(&s, &m->of_sqr, vectors);
	UNROLL for (unsigned j = 0; j < vectors; j++)
		add_products(&s, j, factor_at(&d, 0, j), _mm512_set1_pd(d.once[0]), _mm512_set1_pd(d.once[1]));
	struct factors f = find_factors(&s);
	square_block(&s, &f, &d, m, 0, digits, vectors);
	square_block(&s, &f, &d, m, 1, digits, vectors);
	square_block(&s, &f, &d, m, 2, digits, vectors);
	square_block(&s, &f, &d, m, 3, digits, vectors);
	square_block(&s, &f, &d, m, 4, digits, vectors);
	end_sums(&s, r, m, &m->of_sqr, digits, vectors);
	wipe_doubles(d.once, vectors);
	wipe_doubles(d.first, vectors);
	wipe_doubles(d.twice, vectors);
}

INLINE TARGET void square_other(uint64_t *r, const uint64_t *a, const struct modulus *m, const unsigned digits,
				const unsigned vectors)
{
	multiply_fma(r, a, a, m, digits, vectors);
}

/* What balances the errors that each digit takes in, from when it comes until it goes: those of the products, and of the
 * multiples of the modulus. */
static void balance_errors(struct errors *ret, const struct core *core, bool square)
{
	for (unsigned i = 0; i < core->digits; i += 2) {
		bool last = i + 2 == core->digits;
		for (unsigned lane = 0; lane < 8 * core->vectors; lane++) {
			uint64_t *e = &ret->e[i + lane], *o = &ret->o[i + lane];
			if (!square || lane / 8 >= i / 8) {
				e[0] -= ERROR_LOW;
				o[0] -= ERROR_LOW + ERROR_HIGH;
				e[2] -= ERROR_HIGH;
			}
			e[2] -= ERROR_LOW + ERROR_HIGH + (last ? ERROR_HIGH : 0);
			o[0] -= last ? ERROR_LOW : 0;
			o[2] -= ERROR_HIGH + (last ? 0 : ERROR_LOW);
		}
	}
}

/* The entry of a row; all of them are read. */
INLINE TARGET void pick_entry(uint64_t *r, const uint64_t *row, unsigned value, unsigned values, const unsigned vectors)
{
	__m512i acc[VECTORS_MAX];

	UNROLL for (unsigned j = 0; j < vectors; j++)
		acc[j] = _mm512_setzero_si512();
	for (unsigned v = 0; v < values; v++, row += 8 * (size_t)vectors) {
		__m512i mask = _mm512_set1_epi64((long long)crypt_mask_zero(v ^ value));
		UNROLL for (unsigned j = 0; j < vectors; j++)
			acc[j] = _mm512_or_si512(acc[j], _mm512_and_si512(_mm512_load_si512(row + 8 * j), mask));
	}
	UNROLL for (unsigned j = 0; j < vectors; j++)
		_mm512_store_si512(r + 8 * j, acc[j]);
}

/* 1 in digits: a product with it leaves Montgomery form. */
static const struct number unit = { { 1 } };

#define DEFINE_CORE(bits, digits, vectors, square)                                                                         \
	TARGET_IFMA static void mul_ifma_##bits(uint64_t *r, const uint64_t *a, const uint64_t *b, const struct modulus *m) \
	{                                                                                                             \
		multiply_ifma(r, a, b, m->p1.d, digits, vectors);                                                     \
	}                                                                                                             \
	static void sqr_ifma_##bits(uint64_t *r, const uint64_t *a, const struct modulus *m)                          \
	{                                                                                                             \
		mul_ifma_##bits(r, a, a, m);                                                                          \
	}                                                                                                             \
	static void leave_ifma_##bits(uint64_t *r, const uint64_t *a, const struct modulus *m)                        \
	{                                                                                                             \
		mul_ifma_##bits(r, a, unit.d, m);                                                                     \
	}                                                                                                             \
	TARGET static void mul_fma_##bits(uint64_t *r, const uint64_t *a, const uint64_t *b, const struct modulus *m)  \
	{                                                                                                             \
		multiply_fma(r, a, b, m, digits, vectors);                                                            \
	}                                                                                                             \
	TARGET static void sqr_fma_##bits(uint64_t *r, const uint64_t *a, const struct modulus *m)                    \
	{                                                                                                             \
		square(r, a, m, digits, vectors);                                                                     \
	}                                                                                                             \
	TARGET static void leave_fma_##bits(uint64_t *r, const uint64_t *a, const struct modulus *m)                  \
	{                                                                                                             \
		leave_fma(r, a, unit.d, m->p1.d, digits, vectors);                                                    \
	}                                                                                                             \
	TARGET static void pick_##bits(uint64_t *r, const uint64_t *row, unsigned value, unsigned values)             \
	{                                                                                                             \
		pick_entry(r, row, value, values, vectors);                                                           \
	}                                                                                                             \
	_Static_assert((digits) * DIGIT_BITS >= (bits) + 4 && (digits) <= 8 * (vectors) && (digits) % 2 == 0, "R is too small");
#define IFMA_ROW(bits, digits, vectors, square) { (bits) / 8, digits, vectors, mul_ifma_##bits, sqr_ifma_##bits, leave_ifma_##bits, pick_##bits },
#define FMA_ROW(bits, digits, vectors, square) { (bits) / 8, digits, vectors, mul_fma_##bits, sqr_fma_##bits, leave_fma_##bits, pick_##bits },
#define CORES(X) X(1536, 30, 4, square_other) X(2048, 40, 5, square_five) X(3072, 60, 8, square_other) X(4096, 80, 10, square_other)
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

/* Out of Montgomery form: (a + m*p) / R is at most p for a below R, and p itself only for a multiple of p, which no power
 * is. */
static void finish(const struct state *s, struct number *a, uint8_t *ret)
{
	uint64_t words[WORDS_MAX];
	size_t cnt = s->core->len / 8;
	struct wr w = wr_of((struct space){ ret, s->core->len });

	s->core->leave(a->d, a->d, &s->m);
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

/* (kp + 1) / 2^bits, k being -1/p modulo 2^bits. */
static bool take_multiple(const BIGNUM *prime, unsigned bits, size_t len, double ret[static DIGITS_MAX])
{
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *two = BN_new(), *n = BN_new();
	struct number number;
	bool ok = ctx != NULL && two != NULL && n != NULL && BN_set_bit(two, (int)bits) == 1 &&
		  BN_mod_inverse(n, prime, two, ctx) != NULL && BN_sub(n, two, n) == 1 && BN_mul(n, n, prime, ctx) == 1 &&
		  BN_add_word(n, 1) == 1 && BN_rshift(n, n, (int)bits) == 1;

	if (ok)
		take_number(n, len, &number);
	for (size_t i = 0; ok && i < DIGITS_MAX; i++)
		ret[i] = (double)number.d[i];
	BN_free(n);
	BN_free(two);
	BN_CTX_free(ctx);
	return ok;
}

/* p+1 and its like, R and R * R modulo p. */
static bool take_prime(struct state *s, const BIGNUM *prime)
{
	size_t len = s->core->len;
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *n = BN_dup(prime), *r = BN_new();
	bool ok = ctx != NULL && n != NULL && r != NULL && BN_add_word(n, 1) == 1 && BN_one(r) == 1 &&
		  BN_lshift(r, r, (int)(DIGIT_BITS * s->core->digits)) == 1 && BN_mod(r, r, prime, ctx) == 1;

	if (ok) {
		take_number(n, len, &s->m.p1);
		must(s->m.p1.d[0] == 0 && s->m.p1.d[1] << 52 == 0); /* what the head of this file builds on */
		take_number(r, len, &s->one);
		ok = BN_mod_sqr(r, r, prime, ctx) == 1;
	}
	if (ok)
		take_number(r, len, &s->r2);
	ok = ok && take_multiple(prime, DIGIT_BITS, len, s->m.over1) && take_multiple(prime, 2 * DIGIT_BITS, len, s->m.over2);
	balance_errors(&s->m.of_mul, s->core, false);
	balance_errors(&s->m.of_sqr, s->core, true);
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
		s->core->mul(row + v * stride, row + (v - 1) * stride, base->d, &s->m);
	s->core->mul(base->d, row + (WINDOW_VALUES - 1) * stride, base->d, &s->m);
}

static void free_state(void *state)
{
	struct state *s = state;

	free(s->table);
	free(s);
}

static size_t bit_of(const struct state *s, size_t tooth, size_t block, size_t column)
{
	return (tooth * BLOCKS + block) * s->columns + column;
}

static void fill_table(struct state *s)
{
	size_t stride = 8 * (size_t)s->core->vectors, row = COMB_VALUES * stride;
	struct number base = { { 2 } };

	s->core->mul(base.d, base.d, s->r2.d, &s->m);
	for (size_t at = 0; at < TEETH * BLOCKS; at++) {
		uint64_t *entry = s->table + at % BLOCKS * row + ((size_t)1 << at / BLOCKS) * stride;
		memcpy(entry, base.d, stride * sizeof(*entry));
		for (size_t i = 0; i < s->columns; i++)
			s->core->sqr(base.d, base.d, &s->m);
	}
	for (size_t block = 0; block < BLOCKS; block++) {
		uint64_t *entries = s->table + block * row;
		memcpy(entries, s->one.d, stride * sizeof(*entries));
		for (size_t v = 1; v < COMB_VALUES; v++)
			if ((v & (v - 1)) != 0)
				s->core->mul(entries + v * stride, entries + (v & (v - 1)) * stride, entries + (v & -v) * stride, &s->m);
	}
}

static void *make_state(const struct core cores[static CORE_CNT], const BIGNUM *prime, size_t exponent_len)
{
	struct state *s = aligned_alloc(64, (sizeof(*s) + 63) / 64 * 64);

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < CORE_CNT; i++)
		if (cores[i].len == (size_t)BN_num_bytes(prime))
			s->core = &cores[i];
	must(s->core != NULL);
	s->exponent_len = exponent_len;
	s->columns = (8 * exponent_len + TEETH * BLOCKS - 1) / (TEETH * BLOCKS);
	s->table = aligned_alloc(64, BLOCKS * COMB_VALUES * 8 * (size_t)s->core->vectors * sizeof(*s->table));
	if (s->table == NULL || !take_prime(s, prime)) {
		free_state(s);
		return NULL;
	}
	fill_table(s);
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
	core->mul(y.d, y.d, s->r2.d, &s->m);
	fill_row(s, &y, row);
	size_t i = 2 * exponent.len - 1;
	core->pick(z.d, row, crypt_modp_digit(exponent, i), WINDOW_VALUES);
	while (i-- > 0) {
		for (unsigned k = 0; k < 4; k++)
			core->sqr(z.d, z.d, &s->m);
		core->pick(factor.d, row, crypt_modp_digit(exponent, i), WINDOW_VALUES);
		core->mul(z.d, z.d, factor.d, &s->m);
	}
	memset(z.d + 8 * core->vectors, 0, sizeof(z.d) - 64 * (size_t)core->vectors);
	finish(s, &z, ret);
	secret_wipe(&z, sizeof(z));
	secret_wipe(&factor, sizeof(factor));
	return ERR_NONE;
}

/* The bits of all teeth at a place; above the exponent there are none. */
static unsigned comb_value(const struct state *s, struct bytes exponent, size_t block, size_t column)
{
	unsigned value = 0;

	for (size_t tooth = 0; tooth < TEETH; tooth++) {
		size_t bit = bit_of(s, tooth, block, column);
		unsigned byte = bit < 8 * exponent.len ? exponent.p[exponent.len - 1 - bit / 8] : 0;
		value |= (byte >> bit % 8 & 1) << tooth;
	}
	return value;
}

static enum err power_of_2(const void *state, struct bytes exponent, uint8_t *ret)
{
	const struct state *s = state;
	const struct core *core = s->core;
	size_t row = COMB_VALUES * 8 * (size_t)core->vectors;
	struct number z = s->one, factor;

	must(exponent.len == s->exponent_len);
	for (size_t column = s->columns; column-- > 0;) {
		if (column + 1 != s->columns)
			core->sqr(z.d, z.d, &s->m);
		for (size_t block = 0; block < BLOCKS; block++) {
			core->pick(factor.d, s->table + block * row, comb_value(s, exponent, block, column), COMB_VALUES);
			core->mul(z.d, z.d, factor.d, &s->m);
		}
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
