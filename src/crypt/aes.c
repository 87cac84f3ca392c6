#include "crypt/aes.h"

#include <limits.h>
#include <pthread.h>

struct fetched {
	uint16_t encr, key_bits;
	const char *name;
	EVP_CIPHER *cipher;
};

/* Fetching walks the providers and takes locks: done once, kept until the process ends. */
static struct fetched ciphers[] = {
	{ .encr = IKE_ENCR_AES_GCM_16, .key_bits = 128, .name = "AES-128-GCM" },
	{ .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256, .name = "AES-256-GCM" },
	{ .encr = IKE_ENCR_AES_CBC, .key_bits = 128, .name = "AES-128-CBC" },
	{ .encr = IKE_ENCR_AES_CBC, .key_bits = 256, .name = "AES-256-CBC" },
};
static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		ciphers[i].cipher = EVP_CIPHER_fetch(NULL, ciphers[i].name, NULL);
}

static const EVP_CIPHER *find_cipher(uint16_t encr, uint16_t key_bits)
{
	must(pthread_once(&ciphers_once, fetch_all) == 0);
	for (size_t i = 0; i < ARRAY_LEN(ciphers); i++)
		if (ciphers[i].encr == encr && ciphers[i].key_bits == key_bits)
			return ciphers[i].cipher;
	return NULL;
}

bool crypt_aes_usable(uint16_t encr, uint16_t key_bits)
{
	return find_cipher(encr, key_bits) != NULL;
}

MUST_USE enum err crypt_aes_new(uint16_t encr, uint16_t key_bits, struct bytes key, bool decrypt,
				EVP_CIPHER_CTX **ret)
{
	const EVP_CIPHER *cipher = find_cipher(encr, key_bits);

	if (cipher == NULL)
		return ERR_UNSUPPORTED;
	if (key.len != key_bits / 8u)
		return ERR_RANGE;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return ERR_MEMORY;
	/* IKE and ESP pad by their own rules; GCM, whose 12 byte nonce is the library's default, has no padding. */
	if (EVP_CipherInit_ex2(ctx, cipher, key.p, NULL, !decrypt, NULL) != 1 ||
	    (encr == IKE_ENCR_AES_CBC && EVP_CIPHER_CTX_set_padding(ctx, 0) != 1)) {
		EVP_CIPHER_CTX_free(ctx);
		return ERR_CRYPTO;
	}
	*ret = ctx;
	return ERR_NONE;
}

/* Everything of GCM but the tag: nonce, associated data, text. */
static enum err run_gcm(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, struct bytes aad, struct space text)
{
	int n;

	if (aad.len > INT_MAX || text.cap > INT_MAX - CRYPT_AES_BLOCK_LEN)
		return ERR_RANGE;
	if (EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, -1, NULL) != 1)
		return ERR_CRYPTO;
	if (aad.len != 0 && EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.len) != 1)
		return ERR_CRYPTO;
	if (text.cap != 0 && EVP_CipherUpdate(ctx, text.p, &n, text.p, (int)text.cap) != 1)
		return ERR_CRYPTO;
	return ERR_NONE;
}

MUST_USE enum err crypt_gcm_seal(EVP_CIPHER_CTX *ctx, const uint8_t nonce[static CRYPT_GCM_NONCE_LEN],
				 struct bytes aad, struct space text, uint8_t tag[static CRYPT_GCM_TAG_LEN])
{
	uint8_t none[CRYPT_AES_BLOCK_LEN];
	int n;
	enum err e = run_gcm(ctx, nonce, aad, text);

	if (e != ERR_NONE)
		return e;
	if (EVP_CipherFinal_ex(ctx, none, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CRYPT_GCM_TAG_LEN, tag) != 1)
		return ERR_CRYPTO;
	return ERR_NONE;
}

MUST_USE enum err crypt_gcm_open(EVP_CIPHER_CTX *ctx, const uint8_t nonce[static CRYPT_GCM_NONCE_LEN],
				 struct bytes aad, struct space text,
				 const uint8_t tag[static CRYPT_GCM_TAG_LEN])
{
	uint8_t expected[CRYPT_GCM_TAG_LEN], none[CRYPT_AES_BLOCK_LEN];
	int n;
	enum err e = run_gcm(ctx, nonce, aad, text);

	if (e != ERR_NONE)
		return e;
	memcpy(expected, tag, sizeof(expected));
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CRYPT_GCM_TAG_LEN, expected) != 1)
		return ERR_CRYPTO;
	return EVP_CipherFinal_ex(ctx, none, &n) == 1 ? ERR_NONE : ERR_AUTH;
}

MUST_USE enum err crypt_cbc_run(EVP_CIPHER_CTX *ctx, const uint8_t iv[static CRYPT_AES_BLOCK_LEN],
				struct space text)
{
	int n;

	if (text.cap > INT_MAX - CRYPT_AES_BLOCK_LEN || text.cap % CRYPT_AES_BLOCK_LEN != 0)
		return ERR_RANGE;
	if (EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) != 1 ||
	    EVP_CipherUpdate(ctx, text.p, &n, text.p, (int)text.cap) != 1 || (size_t)n != text.cap)
		return ERR_CRYPTO;
	return ERR_NONE;
}
