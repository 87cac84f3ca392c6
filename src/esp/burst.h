// Seal and open packets in bursts, in place, in buffers with room on both sides.
// A worker; each passes its own index, because a crypto context belongs to one thread.
// RFC 4303 2, 3.3, 3.4.
#pragma once

#include "esp/sa.h"
#include "model/drop.h"

#define ESP_BURST_MAX 64
#define ESP_HEADROOM 24 /* SPI, sequence number, IV of at most 16 */
#define ESP_TAILROOM 48 /* padding of at most 15, two bytes of trailer, ICV of at most 16 */

/* On success off and len are those of the other side of the work; on failure the packet is spoiled. */
struct esp_job {
	struct esp_sa *sa;
	struct space buf;    /* the whole buffer */
	size_t off, len;     /* seal: the inner packet in buf; open: the ESP packet, from the SPI on */
	uint8_t next_header; /* seal: given, IP_PROTO_IPIP or IP_PROTO_IPV6; open: found, one of these */
	bool ok;
	enum model_drop drop; /* without ok: why */
};

/* What an outbound SA puts in front of an inner packet, and the length of the sealed packet: a job whose buffer holds
 * just that is fine. */
size_t esp_front_len(const struct esp_sa *sa);
size_t esp_sealed_len(const struct esp_sa *sa, size_t inner_len);

/* At most ESP_BURST_MAX jobs of any mix of SAs. Headroom and tailroom are asserted. */
void esp_seal(struct esp_job *jobs, size_t cnt, unsigned worker);
void esp_open(struct esp_job *jobs, size_t cnt, unsigned worker);
