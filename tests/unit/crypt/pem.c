// Certificates and keys as people put them into files.
#include "crypt/pem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

struct pair {
	char cert[4096], key[4096], locked[4096];
};

static void take_text(BIO *b, char *text, size_t cap)
{
	int n = BIO_read(b, text, (int)cap - 1);
	assert_true(n > 0);
	text[n] = 0;
	BIO_free(b);
}

/* Self-signed, from yesterday on, to so many hours from now. */
static void make_pair(struct pair *p, long hours)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem()), *l = BIO_new(BIO_s_mem());

	assert_true(key != NULL && cert != NULL && c != NULL && k != NULL && l != NULL);
	X509_gmtime_adj(X509_getm_notBefore(cert), -86400);
	X509_gmtime_adj(X509_getm_notAfter(cert), hours * 3600);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_true(PEM_write_bio_X509(c, cert) == 1);
	assert_true(PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1);
	assert_true(PEM_write_bio_PrivateKey(l, key, EVP_aes_256_cbc(), NULL, 0, NULL, (char *)(uintptr_t)"password") == 1);
	take_text(c, p->cert, sizeof(p->cert));
	take_text(k, p->key, sizeof(p->key));
	take_text(l, p->locked, sizeof(p->locked));
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void pair_is_good_for_some_days(void **state)
{
	static const struct {
		long hours;
		int days;
	} cases[] = { { 24 * 30 + 1, 30 }, { 25, 1 }, { 1, 0 }, { -1, -1 }, { -25, -2 } };
	struct pair p;
	const char *why = NULL;
	int days;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_pair(&p, cases[i].hours);
		assert_int_equal(crypt_pem_check(p.cert, p.key, &why, &days), ERR_NONE);
		assert_int_equal(days, cases[i].days);
	}
	assert_null(why);
}

static void what_is_wrong_is_said(void **state)
{
	struct pair a, b;
	const char *why;
	int days = 77;

	(void)state;
	make_pair(&a, 100);
	make_pair(&b, 100);
	assert_int_equal(crypt_pem_check(a.cert, b.key, &why, &days), ERR_CONFLICT);
	assert_non_null(strstr(why, "not that of the certificate"));
	assert_int_equal(crypt_pem_check(a.key, a.key, &why, &days), ERR_SYNTAX);
	assert_non_null(strstr(why, "the certificate is not in PEM"));
	assert_int_equal(crypt_pem_check("", "", &why, &days), ERR_SYNTAX);
	assert_int_equal(crypt_pem_check(a.cert, a.cert, &why, &days), ERR_SYNTAX);
	assert_non_null(strstr(why, "the key is not in PEM"));
	/* nobody is asked for the password: this test would wait for ever */
	assert_int_equal(crypt_pem_check(a.cert, a.locked, &why, &days), ERR_SYNTAX);
	assert_non_null(strstr(why, "encrypted"));
	assert_int_equal(days, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pair_is_good_for_some_days),
		cmocka_unit_test(what_is_wrong_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
