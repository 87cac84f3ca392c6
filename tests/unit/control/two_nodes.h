// Two nodes over one store and one peer: each message of an established IKE SA may come to either. The nodes learn of each other's commits
// only when the test lets them, so that each of them can lag behind. Random bytes and the socket are the rig's own.
// The thread of the test.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../exchange/duo.h"
#include "control/internal.h"

#define NODES 2
#define MAIL_MAX 64

struct mail {
	unsigned node; /* that sent it, or is to get it */
	size_t len;
	uint8_t b[IKE_REPLY_MAX];
};

struct node {
	struct control c;
	struct control_account account;
	struct control_tunnel tunnel;
	struct control_socket socket;
};

struct bench {
	struct node node[NODES];
	struct conf conf;
	struct store_thread *store;
	struct duo *duo;
	uint64_t spi;
	unsigned told;       /* the node to which rows go */
	unsigned reads;      /* results of reads of the test itself */
	struct bytes kept;   /* the last row's value, and its revisions */
	uint64_t kept_mod, kept_create;
	bool kept_deleted;
	uint8_t room[STORE_VALUE_MAX];
};

/* What the store says of whatever nodes ask of it; ERR_NONE: the truth. */
extern enum err two_nodes_spoilt;

/* All that the nodes have sent. */
extern struct mail sent[MAIL_MAX];
extern unsigned sent_cnt;

/* Both nodes have installed what the store has: an IKE SA with one Child SA. At the end no IV of a counter has come twice. */
int setup(void **state);
int teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* ---- the nodes ---- */

void make_node(struct bench *n, unsigned at, const struct ike_sa *sa);
void free_node(struct node *d);
/* What it has of the IKE SA. */
struct ike_sa sa_at(const struct bench *n, unsigned node);
uint32_t newest_child(const struct ike_sa *r);
bool installed(const struct bench *n, unsigned node, uint32_t spi_in);
uint64_t drops(const struct bench *n, unsigned node, enum model_drop d);
uint64_t count(const struct bench *n, unsigned node, enum model_counter k);

/* ---- the store ---- */

/* Waits for what the store and the helper threads have, and hands it to who asked. */
void poll_all(struct bench *n);
/* Until the node waits for nothing. What it reads goes to it alone. */
void settle(struct bench *n, unsigned node);
/* The node learns all that the store has, as from a list: of deletions nothing. */
void learn(struct bench *n, unsigned node);
/* One key, to n->kept and to the node; NODES: to none. */
void read_key(struct bench *n, unsigned node, struct model_key key);

/* ---- the peer ---- */

/* What it has sent since. */
unsigned take_mail(struct bench *n, struct mail *ret, unsigned max);
/* Something that it does unasked: what it sends. */
struct mail peer_asks(struct bench *n, enum ike_event_kind kind);
/* What it sends next of itself: a Delete that is due, a liveness check when all is quiet. */
struct mail peer_goes_on(struct bench *n);
/* A message of its to the node, and all that follows; take: the way by which it comes. */
void post(struct bench *n, unsigned node, const struct mail *m);
void post_by(struct bench *n, unsigned node, const struct mail *m, void (*take)(struct control *c, const struct fwd_punt *p));
/* To the peer. */
void answer(struct bench *n, const struct mail *m);
bool same(const struct mail *a, const struct mail *b);
