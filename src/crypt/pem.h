// A certificate and its private key, as people put them into files: whether the pair can be used, before TLS tries.
// Any thread; pure but for the clock. RFC 7468, RFC 5280 4.1.2.5.
#pragma once

#include "base/bytes.h"

/* The first certificate of a chain, and the key. ERR_SYNTAX, ERR_CONFLICT: *ret_why says what is wrong, to be put behind
 * "the certificate" or "the key" and their file. *ret_days: until the certificate ends, less than 0: it has ended. */
MUST_USE enum err crypt_pem_check(const char *cert_pem, const char *key_pem, const char **ret_why, int *ret_days);
