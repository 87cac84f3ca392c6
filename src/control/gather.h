// IP fragments that came to this node and may be another one's business: what waits, and what is known of the rest (gather.c).
// The control thread. RFC 791 3.2, RFC 8200 4.5.
#pragma once

#include "control/internal.h"
#include "io/fragment.h"

#define CONTROL_GATHER_DATAGRAMS_MAX 256
#define CONTROL_GATHER_PIECES_MAX 1024 /* of all that wait */
#define CONTROL_GATHER_WAIT_US 10000u
#define CONTROL_GATHER_UNIT 8          /* bytes: fragments begin at multiples of it */

struct control_piece {
	struct control_piece *next;
	size_t len;
	uint8_t b[];
};

struct control_datagram_parts {
	bool used, sent, whole;          /* sent: what comes now goes at once; whole: all of it came here */
	uint64_t key;                    /* the hash of what makes it one */
	uint64_t since_us;
	struct control_piece *first;     /* what waits */
	/* what came here, in units */
	uint32_t have, total;            /* total 0: the last fragment has not come */
	uint8_t here[(UINT16_MAX + 1) / CONTROL_GATHER_UNIT / 8]; /* bit set */
};

struct control_gather {
	struct control_datagram_parts datagrams[CONTROL_GATHER_DATAGRAMS_MAX];
	unsigned used_cnt, piece_cnt;
	struct control_budget budget;    /* of fragments that are sent on */
	uint8_t room[IO_FRAGMENT_MAX];
};
