// How much one key of a Child SA may be used: when it is time for a rekey (soft), and when it ends (hard).
// Any thread; pure. RFC 7296 2.8, RFC 4303 3.3.3, RFC 4301 4.4.2.1.
//
// Bytes: AES has blocks of 128 bits, and what an attacker gains from s blocks under one key is below s^2 / 2^129, for GCM as
// for CBC (birthday bound; draft-irtf-cfrg-aead-limits for GCM). 2^36 blocks leave 2^-57, the margin of TLS (RFC 8446 5.5):
// that is 1 TiB and the soft limit; four times as much is the hard one. The rules for blocks of 64 bits do not apply, and
// without encryption there is no such bound. NIST SP 800-38D limits AES-GCM to 2^32 packets for random IVs (8.3); ours are
// counted (8.2.1).
// Numbers: half of what there is, 2^32 or with extended ones the IV space; the end is a packet before the first repetition.
#pragma once

#include "model/proposal.h"

struct esp_limits {
	uint64_t soft_packets, soft_bytes, soft_numbers; /* UINT64_MAX: none */
	uint64_t hard_bytes, hard_numbers;
};

/* Of the direction in which it is more. numbers: sequence numbers, those that an earlier process may have used included. */
struct esp_used {
	uint64_t packets, bytes, numbers;
};

enum esp_wear { ESP_WEAR_FINE, ESP_WEAR_SOFT, ESP_WEAR_HARD };

/* packets, bytes: what the tunnel wants, 0: no wish. The soft limits have jitter, so that the two sides, which count the same
 * packets, do not rekey at the same time (RFC 7296 2.8): who started the tunnel goes first, 10 to 20 % below, the other side
 * 5 to 10 %. */
void esp_limits_make(const struct model_suite *suite, uint64_t packets, uint64_t bytes, bool started, uint32_t random,
		     struct esp_limits *ret);
enum esp_wear esp_limits_judge(const struct esp_limits *l, const struct esp_used *used);

/* Sequence numbers of an SA are below this. */
uint64_t esp_seq_end_of(const struct model_suite *suite);
