// To show that each check can fail: one thing is broken on purpose, and the check has to see it.
#pragma once

#include "check.h"

/* The check that breaks, name, what is broken */
#define MUTATION_LIST(X)                                                                     \
	X(IV, INCARNATION, "two nodes have the same incarnation")                            \
	X(ANSWERED, ROW_LOST, "Child SAs are answered and not written")                      \
	X(STORE, ROW_HIDDEN, "a node does not hear of Child SAs")                            \
	X(ANEW, SITE_EMPTY, "a site starts without what it had")                             \
	X(AUTH, RIGHT_KEY, "a stranger has the right key")                                   \
	X(UP, SILENT, "a site is cut off")                                                   \
	X(PACKETS, PACKETS, "packets are lost in a calm time")                               \
	X(NUMBERS, LAWLESS, "a node numbers packets of SAs that another one numbers")        \
	X(NUMBERS, BLOCK_LOST, "blocks of numbers are given and not written")                \
	X(NUMBERS, DEAF_HOLDER, "who numbers an SA does not hear that another has taken it") \
	X(LIMIT, USE_UNTOLD, "nodes do not tell each other how much of a key they have used") \
	X(CONFIG, CONFIG_HIDDEN, "a node does not hear what is configured")                  \
	X(CONFIG, KEY_HIDDEN, "nodes do not hear of a new key")                              \
	X(PLACE, NOWHERE, "a peer answers from where it never was")                          \
	X(PLACE, LEFT_BEHIND, "a peer moves and says nothing")                               \
	X(PACKETS, UNGATHERED, "nodes keep IP fragments to themselves")                      \
	X(GATHER, TWICE, "IP fragments come to two nodes")                                   \
	X(VERDICT, MUTE, "packets of a site are lost")

#define MUTATION_ENUM(check, name, text) MUTATION_##name,
enum mutation { MUTATION_NONE, MUTATION_LIST(MUTATION_ENUM) MUTATION_CNT };
#undef MUTATION_ENUM

enum check mutation_breaks(enum mutation m);
const char *mutation_text(enum mutation m);
struct tunnel_settings mutation_settings(enum mutation m);
void mutation_early(enum mutation m); /* before the tunnels are there */
void mutation_late(enum mutation m);
