// What must hold, judged from outside: by what was sent, what is stored, and what is installed.
#pragma once

#include "process.h"

enum check {
	CHECK_IV,       /* no IV twice under a key */
	CHECK_ANSWERED, /* what a site was answered is in the store */
	CHECK_STORE,    /* after quiet each node has what the store has, and nothing else */
	CHECK_AGREE,    /* after quiet both ends have the same SAs */
	CHECK_AUTH,     /* an SA stands only where the key is right */
	CHECK_UP,       /* after quiet every honest tunnel is up */
	CHECK_ANEW,     /* no tunnel was set up anew without need */
	CHECK_PACKETS,  /* in calm times no packet is lost */
	CHECK_NUMBERS,  /* no number twice, and none behind a later one, where the peer checks for replays */
	CHECK_LIMIT,    /* no key is used up, by all nodes together, and still there */
	CHECK_CONFIG,   /* nodes have what is configured; nothing is left of what is deleted, and no old key is good */
	CHECK_PLACE,    /* nodes send to where a peer is, and never to where it was not */
	CHECK_VERDICT,  /* where packets go both ways no node finds that they do not */
	CHECK_GATHER,   /* a datagram in IP fragments comes no more often than its fragments, and none waits for long */
	CHECK_CNT
};

void check_begin(void);
/* From now on the stores are watched. */
void check_follow(void);
void check_fail(enum check what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned check_failures(enum check what);
unsigned check_all_failures(void);
const char *check_text(enum check what);

void check_always(void); /* now and then */
/* What is on its way just then may take a moment more. */
void check_quiet(void (*more)(uint64_t us));
bool check_all_up(void);

/* check_config.c */
void check_config_begin(void);
void check_config_always(void);
void check_config_stored(const struct world_event *e);
void check_config_quiet(const struct process *node);
