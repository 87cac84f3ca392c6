// Sizes of the algorithms, by their IANA numbers, and what each needs.
// Any thread; pure. RFC 5282, 4106 (GCM), 3602 (CBC), 4868, 2404 (HMAC), 7296 2.13.
#pragma once

#include "base/bytes.h"
#include "base/iana.h"

#define CRYPT_PRF_LEN_MAX 64
#define CRYPT_ENCR_KEY_MAX 36  /* AES-256 and the 4 byte salt of GCM */
#define CRYPT_INTEG_KEY_MAX 32
#define CRYPT_ICV_MAX 16
#define CRYPT_IV_MAX 16

/* Each gives 0 (or false) for a number that it does not know. */
bool crypt_encr_is_aead(uint16_t encr);
size_t crypt_encr_key_len(uint16_t encr, uint16_t key_bits); /* with the salt for GCM; 0 for NULL */
size_t crypt_encr_iv_len(uint16_t encr);                     /* on the wire: GCM 8, CBC 16, NULL 0 */
size_t crypt_encr_block_len(uint16_t encr);                  /* to which plaintext is padded: CBC 16, else 1 */
size_t crypt_integ_key_len(uint16_t integ);
size_t crypt_icv_len(uint16_t encr, uint16_t integ);         /* GCM-16: 16; HMAC: 16 or 12 */
size_t crypt_prf_len(uint16_t prf);                          /* also its preferred key length */

/* True when this build can run the combination (a test asks it for every row of the model's table). */
bool crypt_suite_usable(uint16_t encr, uint16_t key_bits, uint16_t integ);
