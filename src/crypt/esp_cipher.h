// Protection of ESP packets, in bursts: the provider's border. One backend here: OpenSSL EVP.
// A context belongs to one thread. RFC 4303, 4106, 3602, 2404, 4868, 2410.
#pragma once

#include "crypt/suite.h"

struct crypt_esp; /* the expanded keys of one SA, one direction, one thread */

/* encr: key (and salt for GCM); integ: empty for AEAD. decrypt chooses the direction.
 * ERR_UNSUPPORTED, ERR_RANGE (key length), ERR_CRYPTO, ERR_MEMORY. */
MUST_USE enum err crypt_esp_new(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
				struct bytes integ, bool decrypt, struct crypt_esp **ret);
void crypt_esp_free(struct crypt_esp *c); /* wipes; NULL is fine */

/* One packet, in place: esp points to the SPI; len covers SPI, sequence, IV, text and ICV:
 *   | SPI 4 | seq 4 | IV iv_len | text | ICV icv_len |
 * The caller has written SPI, sequence, IV and (when sealing) the padded text. */
struct crypt_esp_job {
	struct crypt_esp *ctx;
	uint8_t *esp;
	size_t len;
	enum err result; /* out: ERR_NONE, ERR_AUTH (open only), ERR_RANGE (lengths), ERR_CRYPTO */
};

void crypt_esp_seal(struct crypt_esp_job *jobs, size_t cnt);
void crypt_esp_open(struct crypt_esp_job *jobs, size_t cnt);
