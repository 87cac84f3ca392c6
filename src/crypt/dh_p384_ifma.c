// P-384 by AVX-512 IFMA: the six multiplications that stand side by side in a point addition run as lanes of one.
//
// Numbers modulo p are in Montgomery form with R = 2^416, 8 digits of 52 bits; what is multiplied is below 2^10 p, and
// a product is below 2p. Points are projective, and the addition is the complete one for curves with a = -3 of prime
// order (Renes, Costello, Batina: "Complete addition formulas for prime order elliptic curves", 2015): it needs no
// exceptions for equal points, opposite ones or infinity, and doubles too.
#include "crypt/dh_p384.h"

#include <immintrin.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <pthread.h>

#include "base/secret.h"
#include "crypt/mask.h"

#define TARGET __attribute__((target("avx512f,avx512ifma,sse4.1")))
#define INLINE TARGET static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define DIGITS 8
#define DIGIT_BITS 52
#define DIGIT_MASK (((uint64_t)1 << DIGIT_BITS) - 1)

/* Eight numbers side by side: d[i] has the digits i of all. */
struct lanes {
	__m512i d[DIGITS];
};

/* One number. */
struct number {
	uint64_t d[DIGITS];
};

/* Lanes of a point (X : Y : Z), ready for the addition: X, Y, Z, X+Y, Y+Z, X+Z, 0, 0. */
struct point {
	struct lanes l;
};

/* The scalar's bits are dealt to TEETH rows; TABLES tables of 2^TEETH points each serve BITS / TEETH / TABLES columns. */
#define BITS 384
#define TEETH 4
#define TABLES 8
#define COLUMNS (BITS / TEETH / TABLES)
#define VALUES (1 << TEETH)
#define WINDOW_BITS 4
#define WINDOWS (BITS / WINDOW_BITS)

static struct {
	struct number p, bias; /* bias: 32p, what is added before subtracting */
	struct lanes one;      /* in Montgomery form: 1 in each lane */
	struct lanes b;        /* and b of the curve */
	struct lanes r2;       /* R * R modulo p */
	struct point infinity;
	struct point table[TABLES][VALUES]; /* [t][v]: the sum of 2^(96i + 12t) * G over the bits i of v */
} k;
static pthread_once_t k_once = PTHREAD_ONCE_INIT;

/* ---- numbers in lanes ---- */

/* Digits of 52 bits again, of a sum that is not negative while its digits may be. */
INLINE void carry(struct lanes *a)
{
	const __m512i mask = _mm512_set1_epi64((long long)DIGIT_MASK);

	UNROLL for (unsigned j = 0; j + 1 < DIGITS; j++) {
		a->d[j + 1] = _mm512_add_epi64(a->d[j + 1], _mm512_srai_epi64(a->d[j], DIGIT_BITS));
		a->d[j] = _mm512_and_si512(a->d[j], mask);
	}
}

/* a * b / R modulo p. A round adds the low halves of a * b[i] and m * p, drops the digit that is 0 by then, and adds the
 * high halves. -1/p modulo 2^52 is 2^32 + 1. */
INLINE void multiply(struct lanes *r, const struct lanes *a, const struct lanes *b)
{
	struct lanes acc;

	UNROLL for (unsigned j = 0; j < DIGITS; j++)
		acc.d[j] = _mm512_setzero_si512();
	UNROLL for (unsigned i = 0; i < DIGITS; i++) {
		const __m512i bi = b->d[i];
		UNROLL for (unsigned j = 0; j < DIGITS; j++)
			acc.d[j] = _mm512_madd52lo_epu64(acc.d[j], a->d[j], bi);
		const __m512i m = _mm512_add_epi64(acc.d[0], _mm512_slli_epi64(acc.d[0], 32));
		UNROLL for (unsigned j = 0; j < DIGITS; j++)
			acc.d[j] = _mm512_madd52lo_epu64(acc.d[j], m, _mm512_set1_epi64((long long)k.p.d[j]));
		const __m512i over = _mm512_srli_epi64(acc.d[0], DIGIT_BITS);
		UNROLL for (unsigned j = 0; j + 1 < DIGITS; j++)
			acc.d[j] = acc.d[j + 1];
		acc.d[DIGITS - 1] = _mm512_setzero_si512();
		acc.d[0] = _mm512_add_epi64(acc.d[0], over);
		UNROLL for (unsigned j = 0; j < DIGITS; j++) {
			acc.d[j] = _mm512_madd52hi_epu64(acc.d[j], a->d[j], bi);
			acc.d[j] = _mm512_madd52hi_epu64(acc.d[j], m, _mm512_set1_epi64((long long)k.p.d[j]));
		}
	}
	carry(&acc);
	*r = acc;
}

/* ---- points ---- */

#define LANES(a, b, c, d, e, f, g, h) _mm512_set_epi64(h, g, f, e, d, c, b, a)
/* Sources of two-register permutations: lanes of the first one, of the second one, and of the first one's empty lane. */
#define S(n) (8 + (n))
#define O 7

INLINE __m512i three_times(__m512i a)
{
	return _mm512_add_epi64(a, _mm512_slli_epi64(a, 1));
}

/* The operands of the second layer: Z1Z2 and X1Z2 + X2Z1, to be multiplied by b. */
INLINE void take_second(const struct lanes *r, struct lanes *ret)
{
	UNROLL for (unsigned j = 0; j < DIGITS; j++) {
		__m512i plus = _mm512_permutexvar_epi64(LANES(2, 5, O, O, O, O, O, O), r->d[j]);
		__m512i minus0 = _mm512_permutexvar_epi64(LANES(O, 0, O, O, O, O, O, O), r->d[j]);
		__m512i minus2 = _mm512_permutexvar_epi64(LANES(O, 2, O, O, O, O, O, O), r->d[j]);
		__m512i bias = _mm512_maskz_set1_epi64(0x02, (long long)k.bias.d[j]);
		ret->d[j] = _mm512_sub_epi64(_mm512_add_epi64(plus, bias), _mm512_add_epi64(minus0, minus2));
	}
	carry(ret);
}

/* The factors of the third layer out of the products r of the first one and s of the second one:
 *   XY = X1Y2 + X2Y1, YZ = Y1Z2 + Y2Z1, XZ = X1Z2 + X2Z1
 *   q = Y1Y2 + 3(b Z1Z2 - XZ)      v = 3(X1X2 - Z1Z2)
 *   m = Y1Y2 - 3(b Z1Z2 - XZ)      w = 3(b XZ - X1X2 - 3 Z1Z2) */
INLINE void take_third(const struct lanes *r, const struct lanes *s, struct lanes *a, struct lanes *b)
{
	const __mmask8 plus = 0x0c, minus = 0x33; /* the terms of q and v, of the other four */
	struct lanes f;                           /* XY, YZ, q, v, m, w */

	UNROLL for (unsigned j = 0; j < DIGITS; j++) {
		__m512i r1 = r->d[j], r3 = three_times(r1), s3 = three_times(s->d[j]);
		__m512i first = _mm512_permutexvar_epi64(LANES(3, 4, 1, O, 1, O, O, O), r1);
		__m512i x = _mm512_permutex2var_epi64(r1, LANES(0, 1, S(0), S(0), S(0), S(0), O, O), r3);
		__m512i z = _mm512_permutex2var_epi64(r1, LANES(1, 2, S(2), O, S(2), S(2), O, O), r3);
		__m512i xz = _mm512_permutex2var_epi64(r1, LANES(O, O, S(5), S(2), S(5), O, O, O), r3);
		__m512i bz = _mm512_permutexvar_epi64(LANES(O, O, 0, O, 0, 1, O, O), s3);
		__m512i sum = _mm512_add_epi64(first, _mm512_maskz_set1_epi64(0x3f, (long long)k.bias.d[j]));
		/* q + x + z - xz + bz; v + x - xz; m - x - z + xz - bz; w - x - 3z + bz; XY, YZ - x - z */
		sum = _mm512_mask_add_epi64(sum, plus, sum, _mm512_add_epi64(x, z));
		sum = _mm512_mask_sub_epi64(sum, minus, sum, _mm512_add_epi64(x, z));
		sum = _mm512_mask_sub_epi64(sum, 0x0c, sum, xz);
		sum = _mm512_mask_add_epi64(sum, 0x10, sum, xz);
		sum = _mm512_mask_sub_epi64(sum, 0x20, sum, _mm512_slli_epi64(z, 1));
		sum = _mm512_mask_add_epi64(sum, 0x24, sum, bz);
		f.d[j] = _mm512_mask_sub_epi64(sum, 0x10, sum, bz);
	}
	carry(&f);
	UNROLL for (unsigned j = 0; j < DIGITS; j++) {
		a->d[j] = _mm512_permutexvar_epi64(LANES(0, 1, 2, 3, 1, 0, O, O), f.d[j]);
		b->d[j] = _mm512_permutexvar_epi64(LANES(4, 5, 4, 5, 2, 3, O, O), f.d[j]);
	}
}

/* X3 = XY*m - YZ*w, Y3 = q*m + v*w, Z3 = YZ*q + XY*v, and their sums. */
INLINE void take_point(const struct lanes *t, struct point *ret)
{
	UNROLL for (unsigned j = 0; j < DIGITS; j++) {
		__m512i other = _mm512_permutexvar_epi64(LANES(1, 3, 5, O, O, O, O, O), t->d[j]);
		__m512i own = _mm512_permutexvar_epi64(LANES(0, 2, 4, O, O, O, O, O), t->d[j]);
		__m512i xyz = _mm512_add_epi64(own, _mm512_maskz_set1_epi64(0x01, (long long)k.bias.d[j]));
		xyz = _mm512_mask_sub_epi64(xyz, 0x01, xyz, other);
		xyz = _mm512_mask_add_epi64(xyz, 0x06, xyz, other);
		ret->l.d[j] = _mm512_add_epi64(_mm512_permutexvar_epi64(LANES(0, 1, 2, 0, 1, 0, O, O), xyz),
					       _mm512_permutexvar_epi64(LANES(O, O, O, 1, 2, 2, O, O), xyz));
	}
	carry(&ret->l);
}

TARGET static void add(struct point *ret, const struct point *a, const struct point *b)
{
	struct lanes r, s, x, y;

	multiply(&r, &a->l, &b->l);
	take_second(&r, &s);
	multiply(&s, &s, &k.b);
	take_third(&r, &s, &x, &y);
	multiply(&r, &x, &y);
	take_point(&r, ret);
}

/* The point of a table; all of them are read. */
TARGET static void pick(struct point *ret, const struct point table[static VALUES], unsigned value)
{
	struct point sum;

	UNROLL for (unsigned j = 0; j < DIGITS; j++)
		sum.l.d[j] = _mm512_setzero_si512();
	for (unsigned v = 0; v < VALUES; v++) {
		const __m512i mask = _mm512_set1_epi64((long long)crypt_mask_zero(v ^ value));
		UNROLL for (unsigned j = 0; j < DIGITS; j++)
			sum.l.d[j] = _mm512_or_si512(sum.l.d[j], _mm512_and_si512(table[v].l.d[j], mask));
	}
	*ret = sum;
}

/* ---- bytes ---- */

static void read_number(const uint8_t b[static CRYPT_P384_LEN], struct number *ret)
{
	uint64_t words[7] = { 0 };
	struct rd r = rd_of(bytes_of(b, CRYPT_P384_LEN));

	for (unsigned i = 6; i-- > 0;)
		words[i] = rd_u64(&r);
	for (unsigned i = 0; i < DIGITS; i++) {
		unsigned at = DIGIT_BITS * i / 64, shift = DIGIT_BITS * i % 64;
		uint64_t high = shift > 64 - DIGIT_BITS ? words[at + 1] << (64 - shift) : 0;
		ret->d[i] = (words[at] >> shift | high) & DIGIT_MASK;
	}
}

/* n is at most p, which is written as 0. */
static void write_number(const struct number *n, uint8_t ret[static CRYPT_P384_LEN])
{
	uint64_t words[7] = { 0 }, differ = 0;
	struct wr w = wr_of((struct space){ ret, CRYPT_P384_LEN });

	for (unsigned i = 0; i < DIGITS; i++)
		differ |= n->d[i] ^ k.p.d[i];
	uint64_t keep = ~crypt_mask_zero(differ);
	for (unsigned i = 0; i < DIGITS; i++) {
		unsigned at = DIGIT_BITS * i / 64, shift = DIGIT_BITS * i % 64;
		words[at] |= (n->d[i] & keep) << shift;
		if (shift > 64 - DIGIT_BITS)
			words[at + 1] |= (n->d[i] & keep) >> (64 - shift);
	}
	for (unsigned i = 6; i-- > 0;)
		wr_u64(&w, words[i]);
	must(!w.bad && wr_len(&w) == CRYPT_P384_LEN);
	secret_wipe(words, sizeof(words));
}

TARGET static void fill_lanes(struct lanes *l, const struct number *n)
{
	for (unsigned j = 0; j < DIGITS; j++)
		l->d[j] = _mm512_set1_epi64((long long)n->d[j]);
}

/* (x, y) as (x : y : 1). */
TARGET static void read_point(const uint8_t xy[static 2 * CRYPT_P384_LEN], struct point *ret)
{
	struct number x, y;
	struct lanes l, one = k.one;

	read_number(xy, &x);
	read_number(xy + CRYPT_P384_LEN, &y);
	for (unsigned j = 0; j < DIGITS; j++)
		l.d[j] = LANES((long long)x.d[j], (long long)y.d[j], 0, 0, 0, 0, 0, 0);
	multiply(&l, &l, &k.r2);
	for (unsigned j = 0; j < DIGITS; j++) {
		__m512i xyz = _mm512_mask_mov_epi64(l.d[j], 0x04, one.d[j]);
		ret->l.d[j] = _mm512_add_epi64(_mm512_permutexvar_epi64(LANES(0, 1, 2, 0, 1, 0, O, O), xyz),
					       _mm512_permutexvar_epi64(LANES(O, O, O, 1, 2, 2, O, O), xyz));
	}
	carry(&ret->l);
}

/* r = a^(2^n) * b */
TARGET static void square_and_multiply(struct lanes *r, const struct lanes *a, unsigned n, const struct lanes *b)
{
	struct lanes t = *a;

	for (unsigned i = 0; i < n; i++)
		multiply(&t, &t, &t);
	multiply(r, &t, b);
}

/* 1/a = a^(p-2) (Fermat). From the top, p-2 has 255 ones, a zero, 32 ones, 64 zeroes, 30 ones, a zero and a one; xn is a to
 * the number of n ones. */
TARGET static void invert(struct lanes *r, const struct lanes *a)
{
	struct lanes x2, x3, x15, x30, x60, x120, t;

	square_and_multiply(&x2, a, 1, a);
	square_and_multiply(&x3, &x2, 1, a);
	square_and_multiply(&t, &x3, 3, &x3);
	square_and_multiply(&t, &t, 6, &t);
	square_and_multiply(&x15, &t, 3, &x3);
	square_and_multiply(&x30, &x15, 15, &x15);
	square_and_multiply(&x60, &x30, 30, &x30);
	square_and_multiply(&x120, &x60, 60, &x60);
	square_and_multiply(&t, &x120, 120, &x120);
	square_and_multiply(&t, &t, 15, &x15);
	square_and_multiply(&x2, &x30, 2, &x2); /* 32 ones */
	square_and_multiply(&t, &t, 33, &x2);
	square_and_multiply(&t, &t, 94, &x30);
	square_and_multiply(r, &t, 2, a);
}

/* x = X/Z, y = Y/Z, out of Montgomery form. */
TARGET static void write_point(const struct point *a, uint8_t ret[static 2 * CRYPT_P384_LEN])
{
	struct lanes l, unit;
	struct number x, y;

	for (unsigned j = 0; j < DIGITS; j++) {
		l.d[j] = _mm512_permutexvar_epi64(_mm512_set1_epi64(2), a->l.d[j]);
		unit.d[j] = _mm512_set1_epi64(j == 0);
	}
	invert(&l, &l);
	multiply(&l, &l, &a->l);
	multiply(&l, &l, &unit);
	for (unsigned j = 0; j < DIGITS; j++) {
		x.d[j] = (uint64_t)_mm_cvtsi128_si64(_mm512_castsi512_si128(l.d[j]));
		y.d[j] = (uint64_t)_mm_extract_epi64(_mm512_castsi512_si128(l.d[j]), 1);
	}
	write_number(&x, ret);
	write_number(&y, ret + CRYPT_P384_LEN);
}

/* ---- what is made once ---- */

static void take_constant(const BIGNUM *n, struct number *ret)
{
	uint8_t b[CRYPT_P384_LEN];

	must(BN_bn2binpad(n, b, sizeof(b)) == (int)sizeof(b));
	read_number(b, ret);
}

/* Takes the curve from libcrypto. */
static void take_curve(struct number *b, struct number *r2, uint8_t generator[static 2 * CRYPT_P384_LEN])
{
	EC_GROUP *ec = EC_GROUP_new_by_curve_name(NID_secp384r1);
	BIGNUM *p = BN_new(), *y = BN_new(), *x = BN_new();
	BN_CTX *ctx = BN_CTX_new();

	must(ec != NULL && p != NULL && x != NULL && y != NULL && ctx != NULL);
	must(EC_GROUP_get_curve(ec, p, NULL, x, ctx) == 1);
	take_constant(p, &k.p);
	take_constant(x, b);
	must(BN_one(x) == 1 && BN_lshift(x, x, 2 * DIGITS * DIGIT_BITS) == 1 && BN_mod(x, x, p, ctx) == 1);
	take_constant(x, r2);
	must(EC_POINT_get_affine_coordinates(ec, EC_GROUP_get0_generator(ec), x, y, ctx) == 1);
	must(BN_bn2binpad(x, generator, CRYPT_P384_LEN) == CRYPT_P384_LEN &&
	     BN_bn2binpad(y, generator + CRYPT_P384_LEN, CRYPT_P384_LEN) == CRYPT_P384_LEN);
	BN_CTX_free(ctx);
	BN_free(y);
	BN_free(x);
	BN_free(p);
	EC_GROUP_free(ec);
}

TARGET static void fill_tables(struct point *at)
{
	for (unsigned bit = 0; bit < BITS; bit++) {
		if (bit % COLUMNS == 0)
			k.table[bit / COLUMNS % TABLES][1u << bit / COLUMNS / TABLES] = *at;
		add(at, at, at);
	}
	for (unsigned t = 0; t < TABLES; t++) {
		k.table[t][0] = k.infinity;
		for (unsigned v = 1; v < VALUES; v++)
			if ((v & (v - 1)) != 0)
				add(&k.table[t][v], &k.table[t][v & (v - 1)], &k.table[t][v & (0 - v)]);
	}
}

TARGET static void make_constants(void)
{
	uint8_t generator[2 * CRYPT_P384_LEN];
	struct number b, r2;
	struct point at;
	struct lanes unit;

	take_curve(&b, &r2, generator);
	for (unsigned j = 0; j < DIGITS; j++) {
		unit.d[j] = _mm512_set1_epi64(j == 0);
		k.bias.d[j] = 32 * k.p.d[j]; /* its digits may be longer: what it is added to is carried */
	}
	fill_lanes(&k.r2, &r2);
	fill_lanes(&k.b, &b);
	multiply(&k.b, &k.b, &k.r2);
	multiply(&k.one, &unit, &k.r2);
	for (unsigned j = 0; j < DIGITS; j++) /* (0 : 1 : 0) */
		k.infinity.l.d[j] = _mm512_maskz_mov_epi64(0x1a, k.one.d[j]);
	read_point(generator, &at);
	fill_tables(&at);
}

/* ---- multiples ---- */

static unsigned bit_of(const uint8_t scalar[static CRYPT_P384_LEN], unsigned at)
{
	return (unsigned)scalar[CRYPT_P384_LEN - 1 - at / 8] >> at % 8 & 1;
}

static bool usable(void)
{
	return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512ifma") != 0;
}

TARGET static void base(const uint8_t scalar[static CRYPT_P384_LEN], uint8_t ret[static 2 * CRYPT_P384_LEN])
{
	struct point sum, term;

	must(pthread_once(&k_once, make_constants) == 0);
	sum = k.infinity;
	for (unsigned column = COLUMNS; column-- > 0;) {
		add(&sum, &sum, &sum);
		for (unsigned t = 0; t < TABLES; t++) {
			unsigned value = 0;
			for (unsigned tooth = 0; tooth < TEETH; tooth++)
				value |= bit_of(scalar, (tooth * TABLES + t) * COLUMNS + column) << tooth;
			pick(&term, k.table[t], value);
			add(&sum, &sum, &term);
		}
	}
	write_point(&sum, ret);
	secret_wipe(&sum, sizeof(sum));
	secret_wipe(&term, sizeof(term));
}

TARGET static void multiply_point(const uint8_t scalar[static CRYPT_P384_LEN], const uint8_t q[static 2 * CRYPT_P384_LEN],
				  uint8_t ret[static 2 * CRYPT_P384_LEN])
{
	struct point table[VALUES], sum, term;

	must(pthread_once(&k_once, make_constants) == 0);
	table[0] = k.infinity;
	read_point(q, &table[1]);
	for (unsigned v = 2; v < VALUES; v++)
		add(&table[v], &table[v - 1], &table[1]);
	sum = k.infinity;
	for (unsigned i = 0; i < WINDOWS; i++) {
		for (unsigned n = 0; n < WINDOW_BITS; n++)
			add(&sum, &sum, &sum);
		pick(&term, table, (unsigned)scalar[i / 2] >> 4 * (1 - i % 2) & 15u);
		add(&sum, &sum, &term);
	}
	write_point(&sum, ret);
	secret_wipe(&sum, sizeof(sum));
	secret_wipe(&term, sizeof(term));
}

const struct crypt_p384_engine crypt_p384_ifma = {
	.name = "avx512-ifma",
	.usable = usable,
	.base = base,
	.multiply = multiply_point,
};
