// A gateway at rest, one good request to it, and ways to send something else in its place. After each shot the gateway is as it was.
// One thread.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../peer/peer_part.h"
#include "net.h"

enum exchange { X_INIT, X_AUTH, X_CHILD, X_REKEY_CHILD, X_REKEY_IKE, X_LIVENESS, X_DELETE_CHILD, X_DELETE_IKE, X_CNT };

struct range {
	struct net *n;
	struct gateway saved;
	/* the good request, before protection */
	struct wire_ike_header h;
	uint8_t first;
	uint8_t chain[PEER_MSG_MAX];
	size_t len;
	bool plain;            /* IKE_SA_INIT */
	struct gateway_sa *sa; /* the SA that it belongs to, NULL before there is one */
};

struct outcome {
	bool replied;
	uint16_t notify;       /* the error in the reply, 0: none */
	uint8_t notify_byte;   /* first byte of its data */
	unsigned drops, failures;
	bool accepted;         /* it had its effect */
};

/* Brings the pair to where the exchange may begin, and catches its request. */
struct range *make_range(enum exchange x);
void free_range(struct range *r);

void save(struct range *r); /* that is how the gateway is from now on */
void put_back(struct range *r);
unsigned sum_drops(const struct gateway *g);

/* ---- shooting ---- */

/* The message of that header and those payloads, protected where the good one was. */
size_t make_message(struct range *r, const struct wire_ike_header *h, uint8_t first, struct bytes chain, uint8_t room[static PEER_MSG_MAX]);
struct outcome shoot(struct range *r, const struct wire_ike_header *h, uint8_t first, struct bytes chain);
struct outcome shoot_bytes(struct range *r, struct bytes msg);

/* Refused: children, states and half-open SAs are as they were; the reason is told. */
void must_be_refused(struct range *r, const struct outcome *o);
void must_change_nothing(struct range *r, const struct outcome *o);

/* ---- chains as lists ---- */

struct item {
	uint8_t type;
	bool critical;
	int len_off; /* added to the length field */
	struct bytes body;
};

struct list {
	unsigned cnt;
	struct item i[32];
};

struct list to_list(const struct range *r); /* of the good request */
struct outcome shoot_list(struct range *r, const struct list *l);
