// P-384 in words of 64 bits, by the multiplication and the two carry chains of BMI2 and ADX: x86 CPUs since 2014.
//
// Numbers modulo p are in Montgomery form with R = 2^384 and always below p. Points are projective, and the addition is
// the complete one for curves with a = -3 of prime order (Renes, Costello, Batina: "Complete addition formulas for prime
// order elliptic curves", 2015): it needs no exceptions for equal points, opposite ones or infinity, and doubles too.
#include "crypt/dh_p384.h"

#include <cpuid.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <pthread.h>

#include "base/secret.h"
#include "crypt/mask.h"

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#define WORDS 6

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

struct number {
	uint64_t w[WORDS]; /* the least first */
};

struct point {
	struct number x, y, z;
};

/* The scalar's bits are dealt to TEETH rows; TABLES tables of 2^TEETH points each serve BITS / TEETH / TABLES columns. */
#define BITS 384
#define TEETH 4
#define TABLES 8
#define COLUMNS (BITS / TEETH / TABLES)
#define VALUES (1 << TEETH)
#define WINDOW_BITS 4
#define WINDOWS (BITS / WINDOW_BITS)

/* 2^384 - 2^128 - 2^96 + 2^32 - 1 */
static const struct number p = { { 0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe, UINT64_MAX, UINT64_MAX,
				   UINT64_MAX } };

static struct {
	struct number one, b, r2;           /* 1 and b of the curve in Montgomery form; R * R modulo p */
	struct point infinity;
	struct point table[TABLES][VALUES]; /* [t][v]: the sum of 2^(96i + 12t) * G over the bits i of v */
} k;
static pthread_once_t k_once = PTHREAD_ONCE_INIT;

/* ---- numbers ---- */

/* a, or a - p if that is not negative; high is the word above a. */
static inline void reduce(struct number *r, const struct number *a, uint64_t high)
{
	struct number d;
	i128 t = 0;

	UNROLL for (unsigned j = 0; j < WORDS; j++) {
		t += (i128)a->w[j] - p.w[j];
		d.w[j] = (uint64_t)t;
		t >>= 64;
	}
	uint64_t keep = ~crypt_mask_zero(high + (uint64_t)t); /* the difference is negative */
	UNROLL for (unsigned j = 0; j < WORDS; j++)
		r->w[j] = (a->w[j] & keep) | (d.w[j] & ~keep);
}

static inline void add_numbers(struct number *r, const struct number *a, const struct number *b)
{
	struct number s;
	u128 t = 0;

	UNROLL for (unsigned j = 0; j < WORDS; j++) {
		t += (u128)a->w[j] + b->w[j];
		s.w[j] = (uint64_t)t;
		t >>= 64;
	}
	reduce(r, &s, (uint64_t)t);
}

static inline void subtract(struct number *r, const struct number *a, const struct number *b)
{
	struct number d;
	i128 t = 0;
	u128 c = 0;

	UNROLL for (unsigned j = 0; j < WORDS; j++) {
		t += (i128)a->w[j] - b->w[j];
		d.w[j] = (uint64_t)t;
		t >>= 64;
	}
	uint64_t negative = ~crypt_mask_zero((uint64_t)t);
	UNROLL for (unsigned j = 0; j < WORDS; j++) {
		c += (u128)d.w[j] + (p.w[j] & negative);
		r->w[j] = (uint64_t)c;
		c >>= 64;
	}
}

static inline void triple(struct number *r, const struct number *a)
{
	struct number twice;

	add_numbers(&twice, a, a);
	add_numbers(r, &twice, a);
}

/* t += n * rdx, by two chains of carries side by side: one of the lower halves of the products, one of the upper ones. */
#define ADD_PRODUCT(n)                                                                                               \
	"xorl %k[lo], %k[lo]\n\t"                                                                                     \
	"mulxq (%[" #n "]), %[lo], %[hi]\n\tadcxq %[lo], %[t0]\n\tadoxq %[hi], %[t1]\n\t"                            \
	"mulxq 8(%[" #n "]), %[lo], %[hi]\n\tadcxq %[lo], %[t1]\n\tadoxq %[hi], %[t2]\n\t"                           \
	"mulxq 16(%[" #n "]), %[lo], %[hi]\n\tadcxq %[lo], %[t2]\n\tadoxq %[hi], %[t3]\n\t"                          \
	"mulxq 24(%[" #n "]), %[lo], %[hi]\n\tadcxq %[lo], %[t3]\n\tadoxq %[hi], %[t4]\n\t"                          \
	"mulxq 32(%[" #n "]), %[lo], %[hi]\n\tadcxq %[lo], %[t4]\n\tadoxq %[hi], %[t5]\n\t"                          \
	"mulxq 40(%[" #n "]), %[lo], %[hi]\n\tadcxq %[lo], %[t5]\n\tadoxq %[hi], %[t6]\n\t"                          \
	"movl $0, %k[lo]\n\tadcxq %[lo], %[t6]\n\tadoxq %[lo], %[t7]\n\tadcxq %[lo], %[t7]\n\t"

/* Adds a * word, then the multiple of p that makes the lowest word 0: -1/p modulo 2^64 is 2^32 + 1. The next round
 * begins a word higher. */
#define ROUND(i, t0_, t1_, t2_, t3_, t4_, t5_, t6_, t7_)                                                            \
	do {                                                                                                         \
		uint64_t word = b->w[i], lo, hi;                                                                     \
		__asm__(ADD_PRODUCT(a) "movq %[t0], %%rdx\n\tshlq $32, %%rdx\n\taddq %[t0], %%rdx\n\t" ADD_PRODUCT(p) \
			: "+d"(word), [lo] "=&r"(lo), [hi] "=&r"(hi), [t0] "+&r"(t0_), [t1] "+&r"(t1_), [t2] "+&r"(t2_), \
			  [t3] "+&r"(t3_), [t4] "+&r"(t4_), [t5] "+&r"(t5_), [t6] "+&r"(t6_), [t7] "+&r"(t7_)        \
			: [a] "r"(a), [p] "r"(&p), "m"(*a), "m"(p)                                                   \
			: "cc");                                                                                     \
	} while (0)

/* a * b / R modulo p. */
static void multiply(struct number *r, const struct number *a, const struct number *b)
{
	uint64_t t0 = 0, t1 = 0, t2 = 0, t3 = 0, t4 = 0, t5 = 0, t6 = 0, t7 = 0;

	ROUND(0, t0, t1, t2, t3, t4, t5, t6, t7);
	ROUND(1, t1, t2, t3, t4, t5, t6, t7, t0);
	ROUND(2, t2, t3, t4, t5, t6, t7, t0, t1);
	ROUND(3, t3, t4, t5, t6, t7, t0, t1, t2);
	ROUND(4, t4, t5, t6, t7, t0, t1, t2, t3);
	ROUND(5, t5, t6, t7, t0, t1, t2, t3, t4);
	const struct number n = { { t6, t7, t0, t1, t2, t3 } };
	reduce(r, &n, t4);
}

/* ---- points ---- */

/* With XY = X1Y2 + X2Y1, YZ and XZ likewise:
 *   q = Y1Y2 + 3(b Z1Z2 - XZ)      v = 3(X1X2 - Z1Z2)
 *   m = Y1Y2 - 3(b Z1Z2 - XZ)      w = 3(b XZ - X1X2 - 3 Z1Z2)
 *   X3 = XY*m - YZ*w, Y3 = q*m + v*w, Z3 = YZ*q + XY*v */
static void cross(struct number *r, const struct number *a1, const struct number *b1, const struct number *a2,
		  const struct number *b2, const struct number *aa, const struct number *bb)
{
	struct number s, t;

	add_numbers(&s, a1, b1);
	add_numbers(&t, a2, b2);
	multiply(&s, &s, &t);
	add_numbers(&t, aa, bb);
	subtract(r, &s, &t);
}

static void add(struct point *ret, const struct point *a, const struct point *b)
{
	struct number xx, yy, zz, xy, yz, xz, q, m, v, w, s, t;

	multiply(&xx, &a->x, &b->x);
	multiply(&yy, &a->y, &b->y);
	multiply(&zz, &a->z, &b->z);
	cross(&xy, &a->x, &a->y, &b->x, &b->y, &xx, &yy);
	cross(&yz, &a->y, &a->z, &b->y, &b->z, &yy, &zz);
	cross(&xz, &a->x, &a->z, &b->x, &b->z, &xx, &zz);
	multiply(&s, &k.b, &zz);
	subtract(&s, &s, &xz);
	triple(&s, &s);
	add_numbers(&q, &yy, &s);
	subtract(&m, &yy, &s);
	subtract(&v, &xx, &zz);
	triple(&v, &v);
	multiply(&w, &k.b, &xz);
	triple(&t, &zz);
	add_numbers(&t, &t, &xx);
	subtract(&w, &w, &t);
	triple(&w, &w);
	multiply(&s, &xy, &m);
	multiply(&t, &yz, &w);
	subtract(&ret->x, &s, &t);
	multiply(&s, &q, &m);
	multiply(&t, &v, &w);
	add_numbers(&ret->y, &s, &t);
	multiply(&s, &yz, &q);
	multiply(&t, &xy, &v);
	add_numbers(&ret->z, &s, &t);
}

/* The point of a table; all of them are read. */
static void pick(struct point *ret, const struct point table[static VALUES], unsigned value)
{
	struct point sum = { 0 };

	for (unsigned v = 0; v < VALUES; v++) {
		const uint64_t mask = crypt_mask_zero(v ^ value);
		UNROLL for (unsigned j = 0; j < WORDS; j++) {
			sum.x.w[j] |= table[v].x.w[j] & mask;
			sum.y.w[j] |= table[v].y.w[j] & mask;
			sum.z.w[j] |= table[v].z.w[j] & mask;
		}
	}
	*ret = sum;
}

/* ---- bytes ---- */

static void read_number(const uint8_t b[static CRYPT_P384_LEN], struct number *ret)
{
	struct rd r = rd_of(bytes_of(b, CRYPT_P384_LEN));

	for (unsigned i = WORDS; i-- > 0;)
		ret->w[i] = rd_u64(&r);
}

static void write_number(const struct number *n, uint8_t ret[static CRYPT_P384_LEN])
{
	struct wr w = wr_of((struct space){ ret, CRYPT_P384_LEN });

	for (unsigned i = WORDS; i-- > 0;)
		wr_u64(&w, n->w[i]);
	must(!w.bad && wr_len(&w) == CRYPT_P384_LEN);
}

/* (x, y) as (x : y : 1). */
static void read_point(const uint8_t xy[static 2 * CRYPT_P384_LEN], struct point *ret)
{
	read_number(xy, &ret->x);
	read_number(xy + CRYPT_P384_LEN, &ret->y);
	multiply(&ret->x, &ret->x, &k.r2);
	multiply(&ret->y, &ret->y, &k.r2);
	ret->z = k.one;
}

/* r = a^(2^n) * b */
static void square_and_multiply(struct number *r, const struct number *a, unsigned n, const struct number *b)
{
	struct number t = *a;

	for (unsigned i = 0; i < n; i++)
		multiply(&t, &t, &t);
	multiply(r, &t, b);
}

/* 1/a = a^(p-2) (Fermat). From the top, p-2 has 255 ones, a zero, 32 ones, 64 zeroes, 30 ones, a zero and a one; xn is a to
 * the number of n ones. */
static void invert(struct number *r, const struct number *a)
{
	struct number x2, x3, x15, x30, x60, x120, t;

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
static void write_point(const struct point *a, uint8_t ret[static 2 * CRYPT_P384_LEN])
{
	const struct number unit = { { 1 } };
	struct number z, x, y;

	invert(&z, &a->z);
	multiply(&z, &z, &unit); /* the factor R goes with it */
	multiply(&x, &a->x, &z);
	multiply(&y, &a->y, &z);
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
static void take_curve(struct number *b, uint8_t generator[static 2 * CRYPT_P384_LEN])
{
	EC_GROUP *ec = EC_GROUP_new_by_curve_name(NID_secp384r1);
	BIGNUM *prime = BN_new(), *y = BN_new(), *x = BN_new();
	BN_CTX *ctx = BN_CTX_new();

	must(ec != NULL && prime != NULL && x != NULL && y != NULL && ctx != NULL);
	must(EC_GROUP_get_curve(ec, prime, NULL, x, ctx) == 1);
	take_constant(x, b);
	must(BN_one(x) == 1 && BN_lshift(x, x, 2 * BITS) == 1 && BN_mod(x, x, prime, ctx) == 1);
	take_constant(x, &k.r2);
	must(EC_POINT_get_affine_coordinates(ec, EC_GROUP_get0_generator(ec), x, y, ctx) == 1);
	must(BN_bn2binpad(x, generator, CRYPT_P384_LEN) == CRYPT_P384_LEN &&
	     BN_bn2binpad(y, generator + CRYPT_P384_LEN, CRYPT_P384_LEN) == CRYPT_P384_LEN);
	BN_CTX_free(ctx);
	BN_free(y);
	BN_free(x);
	BN_free(prime);
	EC_GROUP_free(ec);
}

static void fill_tables(struct point *at)
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

static void make_constants(void)
{
	uint8_t generator[2 * CRYPT_P384_LEN];
	const struct number unit = { { 1 } };
	struct number b;
	struct point at;

	take_curve(&b, generator);
	multiply(&k.b, &b, &k.r2);
	multiply(&k.one, &unit, &k.r2);
	k.infinity.y = k.one; /* (0 : 1 : 0) */
	read_point(generator, &at);
	fill_tables(&at);
}

/* ---- multiples ---- */

static unsigned bit_of(const uint8_t scalar[static CRYPT_P384_LEN], unsigned at)
{
	return (unsigned)scalar[CRYPT_P384_LEN - 1 - at / 8] >> at % 8 & 1;
}

static bool has_both;
static pthread_once_t has_once = PTHREAD_ONCE_INIT;

/* Once: in a virtual machine the instruction is a call to its host. */
static void ask_cpu(void)
{
	unsigned a, b, c, d;
	has_both = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_BMI2) != 0 && (b & bit_ADX) != 0;
}

static bool usable(void)
{
	must(pthread_once(&has_once, ask_cpu) == 0);
	return has_both;
}

static void base(const uint8_t scalar[static CRYPT_P384_LEN], uint8_t ret[static 2 * CRYPT_P384_LEN])
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

static void multiply_point(const uint8_t scalar[static CRYPT_P384_LEN], const uint8_t q[static 2 * CRYPT_P384_LEN],
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

const struct crypt_p384_engine crypt_p384_mulx = {
	.name = "mulx",
	.usable = usable,
	.base = base,
	.multiply = multiply_point,
};
