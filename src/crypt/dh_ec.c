// Groups 19, 20 and 21 (RFC 5903) over libcrypto's points. For a single scalar these take constant time: P-256 and
// P-521 have their own code, P-384 a ladder with blinded coordinates. That is slow: P-384 is ours wherever one of our
// engines runs.
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <pthread.h>

#include "base/secret.h"
#include "crypt/dh_group.h"
#include "crypt/dh_p384.h"
#include "crypt/random.h"

#define EC_PUBLIC_MAX 132 /* P-521 */

static struct curve {
	int nid;
	uint8_t top_mask; /* of the first byte of a private value: the order's bits */
	EC_GROUP *ec;
} curves[] = {
	[CRYPT_DH_EC_256] = { .nid = NID_X9_62_prime256v1, .top_mask = 0xff },
	[CRYPT_DH_EC_384] = { .nid = NID_secp384r1, .top_mask = 0xff },
	[CRYPT_DH_EC_521] = { .nid = NID_secp521r1, .top_mask = 0x01 },
};
static pthread_once_t curves_once = PTHREAD_ONCE_INIT;

/* What one operation needs; all of it is cleared when it is freed. */
struct work {
	BN_CTX *ctx;
	BIGNUM *k, *x, *y;
	EC_POINT *q, *r;
};

static void make_curves(void)
{
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		curves[i].ec = EC_GROUP_new_by_curve_name(curves[i].nid);
		must(curves[i].ec != NULL);
	}
}

static const struct curve *find_curve(const struct crypt_dh_group *g)
{
	must(pthread_once(&curves_once, make_curves) == 0);
	return &curves[g->index];
}

static bool work_begin(struct work *w, const struct curve *c)
{
	*w = (struct work){
		.ctx = BN_CTX_new(),
		.k = BN_new(),
		.x = BN_new(),
		.y = BN_new(),
		.q = EC_POINT_new(c->ec),
		.r = EC_POINT_new(c->ec),
	};
	return w->ctx != NULL && w->k != NULL && w->x != NULL && w->y != NULL && w->q != NULL && w->r != NULL;
}

static void work_end(struct work *w)
{
	EC_POINT_clear_free(w->r);
	EC_POINT_free(w->q);
	BN_clear_free(w->y);
	BN_clear_free(w->x);
	BN_clear_free(w->k);
	BN_CTX_free(w->ctx);
}

/* SP 800-56A 5.6.1.2.2: 1 to n-1. ERR_RANGE if it is not. */
static enum err take_private(const struct curve *c, struct bytes private, BIGNUM *k)
{
	if (BN_bin2bn(private.p, (int)private.len, k) == NULL)
		return ERR_MEMORY;
	BN_set_flags(k, BN_FLG_CONSTTIME);
	return BN_is_zero(k) || BN_cmp(k, EC_GROUP_get0_order(c->ec)) >= 0 ? ERR_RANGE : ERR_NONE;
}

/* Whole numbers of the order's length are drawn until one is in the range: each is as likely. */
static enum err draw(const struct crypt_dh_group *g, uint8_t *private)
{
	const struct curve *c = find_curve(g);
	BIGNUM *k = BN_new();
	enum err e = ERR_MEMORY;

	if (k == NULL)
		return e;
	do {
		crypt_random(private, g->private_len);
		private[0] &= c->top_mask;
		e = take_private(c, bytes_of(private, g->private_len), k);
	} while (e == ERR_RANGE);
	BN_clear_free(k);
	return e;
}

/* NULL: libcrypto has to do it. */
static const struct crypt_p384_engine *find_p384(void)
{
#ifdef __x86_64__
	if (crypt_p384_ifma.usable())
		return &crypt_p384_ifma;
	if (crypt_p384_mulx.usable())
		return &crypt_p384_mulx;
#endif
	return NULL;
}

const char *crypt_dh_p384_engine(void)
{
	const struct crypt_p384_engine *e = find_p384();
	return e == NULL ? "libcrypto" : e->name;
}

/* The private value's multiple of the peer's point, which is in w too, or of the generator if peer is empty. */
static enum err multiply(const struct crypt_dh_group *g, struct bytes private, struct bytes peer, struct work *w,
			 uint8_t *xy)
{
	const EC_GROUP *ec = find_curve(g)->ec;
	int half = g->public_len / 2;

	const struct crypt_p384_engine *ours = g->index == CRYPT_DH_EC_384 && private.len == CRYPT_P384_LEN ? find_p384() : NULL;

	if (ours != NULL) {
		if (peer.len == 0)
			ours->base(private.p, xy);
		else
			ours->multiply(private.p, peer.p, xy);
		return ERR_NONE;
	}
	bool ok = peer.len == 0 ? EC_POINT_mul(ec, w->r, w->k, NULL, NULL, w->ctx) == 1
				: EC_POINT_mul(ec, w->r, NULL, w->q, w->k, w->ctx) == 1;
	ok = ok && EC_POINT_get_affine_coordinates(ec, w->r, w->x, w->y, w->ctx) == 1 &&
	     BN_bn2binpad(w->x, xy, half) == half && BN_bn2binpad(w->y, xy + half, half) == half;
	return ok ? ERR_NONE : ERR_CRYPTO;
}

static enum err publish(const struct crypt_dh_group *g, struct bytes private, uint8_t *public)
{
	const struct curve *c = find_curve(g);
	struct work w;

	enum err e = work_begin(&w, c) ? take_private(c, private, w.k) : ERR_MEMORY;
	if (e == ERR_NONE)
		e = multiply(g, private, (struct bytes){ 0 }, &w, public);
	work_end(&w);
	return e;
}

/* RFC 6989 2.3: both coordinates are below p, and the point is on the curve; that of infinity has no coordinates
 * (0, 0 is not on these curves). The cofactor is 1, so that every such point has the full order. */
static enum err take_peer(const struct curve *c, struct bytes peer, struct work *w)
{
	size_t half = peer.len / 2;
	const BIGNUM *p = EC_GROUP_get0_field(c->ec);

	if (BN_bin2bn(peer.p, (int)half, w->x) == NULL || BN_bin2bn(peer.p + half, (int)half, w->y) == NULL)
		return ERR_MEMORY;
	if (BN_cmp(w->x, p) >= 0 || BN_cmp(w->y, p) >= 0)
		return ERR_RANGE;
	if (EC_POINT_set_affine_coordinates(c->ec, w->q, w->x, w->y, w->ctx) == 1 &&
	    EC_POINT_is_on_curve(c->ec, w->q, w->ctx) == 1)
		return ERR_NONE;
	ERR_clear_error(); /* a stranger's fault is not to fill the thread's list */
	return ERR_RANGE;
}

/* RFC 5903 7: the secret is the x coordinate alone. */
static enum err derive(const struct crypt_dh_group *g, struct bytes private, struct bytes public, struct bytes peer,
		       uint8_t *secret)
{
	const struct curve *c = find_curve(g);
	uint8_t xy[EC_PUBLIC_MAX];
	struct work w;

	(void)public;
	enum err e = work_begin(&w, c) ? take_peer(c, peer, &w) : ERR_MEMORY;
	if (e == ERR_NONE)
		e = take_private(c, private, w.k);
	if (e == ERR_NONE)
		e = multiply(g, private, peer, &w, xy);
	if (e == ERR_NONE)
		memcpy(secret, xy, g->secret_len);
	secret_wipe(xy, sizeof(xy));
	work_end(&w);
	return e;
}

const struct crypt_dh_kind crypt_dh_ec = {
	.public_rule = "a point of the curve",
	.draw = draw,
	.publish = publish,
	.derive = derive,
};
