#include "crypt/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/must.h"

/* Without this the library asks the terminal for the password of an encrypted key. */
static int have_no_password(char *room, int cap, int writing, void *arg)
{
	(void)room;
	(void)cap;
	(void)writing;
	(void)arg;
	return -1;
}

static BIO *open_text(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	must(b != NULL);
	return b;
}

static X509 *read_cert(const char *pem)
{
	BIO *b = open_text(pem);
	X509 *cert = PEM_read_bio_X509(b, NULL, have_no_password, NULL);
	BIO_free(b);
	return cert;
}

static EVP_PKEY *read_key(const char *pem)
{
	BIO *b = open_text(pem);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, have_no_password, NULL);
	BIO_free(b);
	return key;
}

/* Rounded towards the past: what ends today has 0, what ended an hour ago -1. */
static int days_left(const X509 *cert)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
		return -1;
	return seconds < 0 ? days - 1 : days;
}

MUST_USE enum err crypt_pem_check(const char *cert_pem, const char *key_pem, const char **ret_why, int *ret_days)
{
	X509 *cert = read_cert(cert_pem);
	EVP_PKEY *key = read_key(key_pem);
	enum err e = ERR_SYNTAX;

	if (cert == NULL) {
		*ret_why = "the certificate is not in PEM (\"-----BEGIN CERTIFICATE-----\")";
	} else if (key == NULL) {
		*ret_why = "the key is not in PEM (\"-----BEGIN PRIVATE KEY-----\"), or it is encrypted, which cannot be used";
	} else if (X509_check_private_key(cert, key) != 1) {
		*ret_why = "the key is not that of the certificate";
		e = ERR_CONFLICT;
	} else {
		*ret_days = days_left(cert);
		e = ERR_NONE;
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return e;
}
