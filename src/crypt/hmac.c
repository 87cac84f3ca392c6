/* The plain SHA calls are deprecated in favour of EVP, but EVP allocates and frees a state for every
 * copy of a keyed digest, which the packet road must not do for each packet. The rest of the folder
 * comes here for its hashes, so this is the only file that knows. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypt/hmac.h"

#include "base/secret.h"

#define HASH_BLOCK_MAX 128

size_t crypt_hash_len(enum crypt_hash hash)
{
	switch (hash) {
	case CRYPT_SHA1:
		return 20;
	case CRYPT_SHA256:
		return 32;
	case CRYPT_SHA384:
		return 48;
	case CRYPT_SHA512:
		return 64;
	}
	must_fail(__FILE__, __LINE__, "hash");
}

static size_t get_block_len(enum crypt_hash hash)
{
	return hash == CRYPT_SHA1 || hash == CRYPT_SHA256 ? 64 : 128;
}

bool crypt_hash_of_prf(uint16_t prf, enum crypt_hash *ret)
{
	switch (prf) {
	case IKE_PRF_HMAC_SHA2_256:
		*ret = CRYPT_SHA256;
		return true;
	case IKE_PRF_HMAC_SHA2_384:
		*ret = CRYPT_SHA384;
		return true;
	case IKE_PRF_HMAC_SHA2_512:
		*ret = CRYPT_SHA512;
		return true;
	default:
		return false;
	}
}

bool crypt_hash_of_integ(uint16_t integ, enum crypt_hash *ret)
{
	switch (integ) {
	case IKE_INTEG_HMAC_SHA1_96:
		*ret = CRYPT_SHA1;
		return true;
	case IKE_INTEG_HMAC_SHA2_256_128:
		*ret = CRYPT_SHA256;
		return true;
	default:
		return false;
	}
}

static void start(struct crypt_hash_state *s, enum crypt_hash hash)
{
	s->hash = hash;
	switch (hash) {
	case CRYPT_SHA1:
		SHA1_Init(&s->sha1);
		return;
	case CRYPT_SHA256:
		SHA256_Init(&s->sha256);
		return;
	case CRYPT_SHA384:
		SHA384_Init(&s->sha512);
		return;
	case CRYPT_SHA512:
		SHA512_Init(&s->sha512);
		return;
	}
	must_fail(__FILE__, __LINE__, "hash");
}

static void add(struct crypt_hash_state *s, struct bytes b)
{
	if (b.len == 0)
		return;
	switch (s->hash) {
	case CRYPT_SHA1:
		SHA1_Update(&s->sha1, b.p, b.len);
		return;
	case CRYPT_SHA256:
		SHA256_Update(&s->sha256, b.p, b.len);
		return;
	case CRYPT_SHA384:
		SHA384_Update(&s->sha512, b.p, b.len);
		return;
	case CRYPT_SHA512:
		SHA512_Update(&s->sha512, b.p, b.len);
		return;
	}
	must_fail(__FILE__, __LINE__, "hash");
}

static void finish(struct crypt_hash_state *s, uint8_t out[static CRYPT_HASH_LEN_MAX])
{
	switch (s->hash) {
	case CRYPT_SHA1:
		SHA1_Final(out, &s->sha1);
		return;
	case CRYPT_SHA256:
		SHA256_Final(out, &s->sha256);
		return;
	case CRYPT_SHA384:
		SHA384_Final(out, &s->sha512);
		return;
	case CRYPT_SHA512:
		SHA512_Final(out, &s->sha512);
		return;
	}
	must_fail(__FILE__, __LINE__, "hash");
}

void crypt_hash_run(enum crypt_hash hash, const struct bytes *parts, size_t cnt,
		    uint8_t out[static CRYPT_HASH_LEN_MAX])
{
	struct crypt_hash_state s;

	start(&s, hash);
	for (size_t i = 0; i < cnt; i++)
		add(&s, parts[i]);
	finish(&s, out);
	secret_wipe(&s, sizeof(s));
}

/* RFC 2104 2: a key longer than a block is hashed first; K xor ipad and K xor opad begin the two hashes. */
void crypt_hmac_init(struct crypt_hmac *h, enum crypt_hash hash, struct bytes key)
{
	uint8_t block[HASH_BLOCK_MAX] = { 0 };
	size_t len = get_block_len(hash);

	if (key.len > len)
		crypt_hash_run(hash, &key, 1, block);
	else if (key.len != 0)
		memcpy(block, key.p, key.len);
	for (size_t i = 0; i < len; i++)
		block[i] ^= 0x36;
	start(&h->inner, hash);
	add(&h->inner, bytes_of(block, len));
	for (size_t i = 0; i < len; i++)
		block[i] ^= 0x36 ^ 0x5c;
	start(&h->outer, hash);
	add(&h->outer, bytes_of(block, len));
	secret_wipe(block, sizeof(block));
}

void crypt_hmac_fini(struct crypt_hmac *h)
{
	secret_wipe(h, sizeof(*h));
}

void crypt_hmac_run(const struct crypt_hmac *h, const struct bytes *parts, size_t cnt,
		    uint8_t out[static CRYPT_HASH_LEN_MAX])
{
	struct crypt_hash_state s = h->inner;

	for (size_t i = 0; i < cnt; i++)
		add(&s, parts[i]);
	finish(&s, out);
	s = h->outer;
	add(&s, bytes_of(out, crypt_hash_len(s.hash)));
	finish(&s, out);
}
