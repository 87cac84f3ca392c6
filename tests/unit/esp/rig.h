// SAs made by hand, and buffers with room on both sides.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/iana.h"
#include "base/must.h"
#include "base/text.h"
#include "esp/burst.h"

#define BUF_LEN 4096

/* Named as in the API's list of phase 2 proposals. */
static const struct model_suite suite_gcm128 = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 128 };
static const struct model_suite suite_gcm256 = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 };
static const struct model_suite suite_cbc_sha256 = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256,
						     .integ = IKE_INTEG_HMAC_SHA2_256_128 };
static const struct model_suite suite_cbc_sha1 = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256,
						   .integ = IKE_INTEG_HMAC_SHA1_96 };
static const struct model_suite suite_null_sha256 = { .encr = IKE_ENCR_NULL,
						      .integ = IKE_INTEG_HMAC_SHA2_256_128 };
static const struct model_suite suite_null_sha1 = { .encr = IKE_ENCR_NULL, .integ = IKE_INTEG_HMAC_SHA1_96 };

/* Both directions have the same keys and SPI: what it seals it can open. */
static inline struct model_child_sa make_child(const struct model_suite *s)
{
	struct model_child_sa c = { .spi_in = 0x12345678, .spi_out = 0x12345678, .suite = *s };

	for (unsigned i = 0; i < MODEL_CHILD_KEY_MAX; i++)
		c.keys_in.encr[i] = c.keys_out.encr[i] = (uint8_t)i;
	for (unsigned i = 0; i < MODEL_CHILD_ICV_KEY_MAX; i++)
		c.keys_in.integ[i] = c.keys_out.integ[i] = (uint8_t)(100 + i);
	return c;
}

static inline struct esp_sa *make_out(const struct model_suite *s, struct esp_counter *counter)
{
	struct model_child_sa c = make_child(s);
	struct esp_sa *sa;
	assert_int_equal(esp_sa_new_out(&c, counter, 2, &sa), ERR_NONE);
	return sa;
}

static inline struct esp_sa *make_in(const struct model_suite *s, uint16_t window)
{
	struct model_child_sa c = make_child(s);
	struct esp_sa *sa;
	assert_int_equal(esp_sa_new_in(&c, window, 2, &sa), ERR_NONE);
	return sa;
}

/* A packet in a heap block of its own, so that a byte too far is seen. */
static inline struct esp_job make_job(struct esp_sa *sa, struct bytes packet)
{
	struct space buf = { malloc(BUF_LEN), BUF_LEN };
	assert_non_null(buf.p);
	memset(buf.p, 0xee, buf.cap);
	if (packet.len != 0)
		memcpy(buf.p + ESP_HEADROOM, packet.p, packet.len);
	return (struct esp_job){ .sa = sa, .buf = buf, .off = ESP_HEADROOM, .len = packet.len,
				 .next_header = IP_PROTO_IPIP };
}

static inline struct bytes job_bytes(const struct esp_job *j)
{
	return bytes_of(j->buf.p + j->off, j->len);
}
