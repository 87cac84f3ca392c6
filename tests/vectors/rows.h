// The shapes of the computed known answers, and hex for all vector tests. Text fields are hex.
// Tests only.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/text.h"
#include "crypt/dh.h"

#define VEC_MAX 2048

struct dh_row {
	uint16_t group;
	const char *a, *b, *public_a, *public_b, *shared;
};

struct prf_row {
	uint16_t prf;
	const char *key, *seed;
	size_t len;
	const char *tail; /* the last 32 bytes */
};

struct ike_row {
	uint16_t encr, bits, integ;
	const char *encr_key, *integ_key, *aad, *iv, *text, *sealed, *icv;
};

struct esp_row {
	uint16_t encr, bits, integ;
	const char *encr_key, *integ_key;
	const char *packet; /* SPI, sequence, IV, text */
	const char *sealed; /* the same, encrypted, with the ICV */
};

struct seal_row {
	const char *private, *public, *sa_key, *aad, *text, *box, *locked;
};

/* The bytes of a hex text, in the caller's room. */
static inline struct bytes unhex(const char *hex, uint8_t room[static VEC_MAX])
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= VEC_MAX);
	assert_int_equal(text_hex_parse(bytes_str(hex), room, n), ERR_NONE);
	return bytes_of(room, n);
}

#define UNHEX(hex) unhex((hex), (uint8_t[VEC_MAX]){ 0 })

static inline void assert_hex(struct bytes b, const char *hex)
{
	struct bytes want = UNHEX(hex);

	assert_int_equal(b.len, want.len);
	if (want.len != 0)
		assert_memory_equal(b.p, want.p, want.len);
}

static inline void assert_dh_side(const struct dh_row *row, const char *private, const char *public, const char *peer)
{
	struct crypt_dh_key *key;
	uint8_t secret[CRYPT_DH_SECRET_MAX];
	size_t len;

	assert_int_equal(crypt_dh_from_private(row->group, UNHEX(private), &key), ERR_NONE);
	assert_hex(crypt_dh_public(key), public);
	assert_int_equal(crypt_dh_derive(key, UNHEX(peer), secret, &len), ERR_NONE);
	assert_hex(bytes_of(secret, len), row->shared);
	crypt_dh_free(key);
}

/* Either side computes what the row says. */
static inline void assert_dh(const struct dh_row *row)
{
	assert_dh_side(row, row->a, row->public_a, row->public_b);
	assert_dh_side(row, row->b, row->public_b, row->public_a);
}
