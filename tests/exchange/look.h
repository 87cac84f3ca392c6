// Reads and makes protected IKE messages with the keys of a record, apart from src/ike: for tests that look at what two
// ends say to each other, or say something themselves.
// One thread.
#pragma once

#include "duo.h"
#include "wire/ike.h"

#define LOOK_KEYS_MAX 64

/* The keys of all IKE SAs that the two ends have had lately: a closed one has wiped its own. */
struct look_keys {
	unsigned cnt;
	struct ike_sa sa[LOOK_KEYS_MAX]; /* the newest replaces the oldest */
};
void look_learn(struct look_keys *k, const struct duo *d);
/* The SA of these SPIs, NULL: never seen. */
const struct ike_sa *look_find(const struct look_keys *k, uint64_t spi_i, uint64_t spi_r);

/* A message, opened. */
struct look {
	struct wire_ike_header h;
	bool fragment;
	uint64_t iv;                    /* the first 8 bytes of it */
	struct wire_ike_payloads in;    /* borrows text; of a fragment: none */
	uint8_t text[IKE_MESSAGE_MAX];
};
/* False: it is not protected, under no SA of these, or not with its keys. */
bool look_open(const struct look_keys *k, struct bytes msg, struct look *ret);

/* The first error notify, 0: none. */
uint16_t look_error(const struct look *l);
bool look_deletes(const struct look *l, uint8_t protocol);

/* Protects a chain under the keys of the side that the header's initiator flag names. Returns the length. */
struct look_part {
	struct wire_ike_header h;
	uint8_t first;
	struct bytes chain;
	uint16_t number, total;         /* total 0: not in fragments */
	uint64_t iv;
};
size_t look_seal(const struct ike_sa *sa, const struct look_part *p, struct space room);
