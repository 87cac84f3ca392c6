// Groups 5, 14, 15 and 16 (RFC 3526): safe primes with the generator 2.
#include "crypt/dh_modp.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/secret.h"
#include "crypt/dh_group.h"
#include "crypt/random.h"

static struct modp {
	BIGNUM *(*get_prime)(BIGNUM *);
	uint8_t prime_minus_1[CRYPT_MODP_LEN_MAX];
	void *state;       /* of the engine */
	atomic_bool ready; /* the two above are filled */
} modps[] = {
	[CRYPT_DH_MODP_1536] = { .get_prime = BN_get_rfc3526_prime_1536 },
	[CRYPT_DH_MODP_2048] = { .get_prime = BN_get_rfc3526_prime_2048 },
	[CRYPT_DH_MODP_3072] = { .get_prime = BN_get_rfc3526_prime_3072 },
	[CRYPT_DH_MODP_4096] = { .get_prime = BN_get_rfc3526_prime_4096 },
};
static pthread_mutex_t modps_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct crypt_modp_engine *find_engine(void)
{
#ifdef __x86_64__
	if (crypt_modp_ifma.usable())
		return &crypt_modp_ifma;
	if (crypt_modp_fma.usable())
		return &crypt_modp_fma;
#endif
	return &crypt_modp_bn;
}

const char *crypt_dh_engine(void)
{
	return find_engine()->name;
}

static bool make_modp(struct modp *m, const struct crypt_dh_group *g)
{
	BIGNUM *prime = m->get_prime(NULL);
	int len = g->public_len;

	m->state = prime == NULL ? NULL : find_engine()->new(prime, g->private_len);
	bool ok = m->state != NULL && BN_sub_word(prime, 1) == 1 &&
		  BN_bn2binpad(prime, m->prime_minus_1, len) == len;
	BN_free(prime);
	if (!ok && m->state != NULL)
		find_engine()->free(m->state);
	return ok;
}

/* The tables of a group are made at its first use, and stay. NULL: no memory. */
static const struct modp *find_modp(const struct crypt_dh_group *g)
{
	struct modp *m = &modps[g->index];

	if (atomic_load_explicit(&m->ready, memory_order_acquire))
		return m;
	must(pthread_mutex_lock(&modps_lock) == 0);
	bool ok = atomic_load(&m->ready) || make_modp(m, g);
	atomic_store(&m->ready, ok);
	must(pthread_mutex_unlock(&modps_lock) == 0);
	return ok ? m : NULL;
}

/* The top bit is set: 2^x is then neither 1 nor p-1, nor found by counting up. */
static enum err draw(const struct crypt_dh_group *g, uint8_t *private)
{
	crypt_random(private, g->private_len);
	private[0] |= 0x80;
	return ERR_NONE;
}

static enum err publish(const struct crypt_dh_group *g, struct bytes private, uint8_t *public)
{
	const struct modp *m = find_modp(g);
	uint8_t exponent[CRYPT_MODP_LEN_MAX] = { 0 }, two[CRYPT_MODP_LEN_MAX] = { 0 };
	enum err e = ERR_MEMORY;

	if (m != NULL && private.len <= g->private_len) {
		memcpy(exponent + g->private_len - private.len, private.p, private.len);
		e = find_engine()->power_of_2(m->state, bytes_of(exponent, g->private_len), public);
		secret_wipe(exponent, sizeof(exponent));
	} else if (m != NULL) {
		two[g->public_len - 1] = 2;
		e = find_engine()->power(m->state, bytes_of(two, g->public_len), private, public);
	}
	return e;
}

/* RFC 6989 2.1: 1 < y < p-1. In a group of a safe prime this leaves no small subgroup but that of 1 and p-1. */
static bool in_range(const struct modp *m, struct bytes y)
{
	uint8_t more_than_1 = y.p[y.len - 1] & 0xfe;

	for (size_t i = 0; i + 1 < y.len; i++)
		more_than_1 |= y.p[i];
	return more_than_1 != 0 && memcmp(y.p, m->prime_minus_1, y.len) < 0;
}

static enum err derive(const struct crypt_dh_group *g, struct bytes private, struct bytes public, struct bytes peer,
		       uint8_t *secret)
{
	const struct modp *m = find_modp(g);

	(void)public;
	if (m == NULL)
		return ERR_MEMORY;
	if (!in_range(m, peer))
		return ERR_RANGE;
	return find_engine()->power(m->state, peer, private, secret);
}

const struct crypt_dh_kind crypt_dh_modp = {
	.public_rule = "a number from 2 to p-2",
	.draw = draw,
	.publish = publish,
	.derive = derive,
};
