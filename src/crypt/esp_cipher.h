// Protection of ESP packets, in bursts: the providers' border.
// A context belongs to one thread, unless crypt_esp_is_shared says otherwise.
// RFC 4303, 4106, 3602, 2404, 4868, 2410, 4304.
//
// Two backends give the same results: intel-ipsec-mb (on amd64, where the build found it) and OpenSSL
// (everywhere).
#pragma once

#include "crypt/suite.h"

#define CRYPT_ESP_LEN_MAX 65535 /* of a packet, as IP and UDP have it */

enum crypt_esp_choice { CRYPT_ESP_AUTO, CRYPT_ESP_IPSEC_MB, CRYPT_ESP_OPENSSL };

/* Which backend makes the contexts from now on. AUTO, which also holds without any call, is the fastest that
 * this machine runs. ERR_UNSUPPORTED: *ret_why says what is missing and what to do. */
MUST_USE enum err crypt_esp_choose(enum crypt_esp_choice choice, const char **ret_why);
const char *crypt_esp_chosen(void); /* "intel-ipsec-mb, AVX-512" */

/* The expanded keys of one SA in one direction; in locked memory (crypt/locked.h) but for what libcrypto has
 * of them. */
struct crypt_esp;

/* encr: key (and salt for GCM); integ: empty for AEAD. decrypt chooses the direction.
 * ERR_UNSUPPORTED, ERR_RANGE (key length), ERR_CRYPTO, ERR_MEMORY. */
MUST_USE enum err crypt_esp_new(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
				struct bytes integ, bool decrypt, struct crypt_esp **ret);
/* The same for an SA with extended sequence numbers: the ICV covers the upper half of the number, too, which does
 * not travel (RFC 4303 2.2.1, RFC 4106 5). */
MUST_USE enum err crypt_esp_new_esn(uint16_t encr_id, uint16_t key_bits, uint16_t integ_id, struct bytes encr,
				    struct bytes integ, bool decrypt, struct crypt_esp **ret);
void crypt_esp_free(struct crypt_esp *c); /* wipes; NULL is fine */

/* True when any number of threads may use the context at the same time: it is only read. */
bool crypt_esp_is_shared(const struct crypt_esp *c);

/* One packet, in place: esp points to the SPI; len covers SPI, sequence, IV, text and ICV:
 *   | SPI 4 | seq 4 | IV iv_len | text | ICV icv_len |
 * The caller has written SPI, sequence, IV and (when sealing) the padded text. */
struct crypt_esp_job {
	struct crypt_esp *ctx;
	uint8_t *esp;
	size_t len;
	enum err result; /* out: ERR_NONE, ERR_AUTH (open only), ERR_RANGE (length), ERR_CRYPTO, ERR_MEMORY */
	uint32_t seq_hi; /* of a context with extended sequence numbers: the upper half of the packet's */
};

/* Any mix of contexts of one direction and one backend (asserted). */
void crypt_esp_seal(struct crypt_esp_job *jobs, size_t cnt);
void crypt_esp_open(struct crypt_esp_job *jobs, size_t cnt);
