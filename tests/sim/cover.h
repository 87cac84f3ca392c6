// What a run has come by: a test that sweeps seeds fails where something that it is there for never happened (sim --need).
#pragma once

#include <stdbool.h>

struct process;

/* name, what it is */
#define COVER_LIST(X)                                                                          \
	X(crash, "a process dies")                                                             \
	X(freeze, "a node stands still")                                                       \
	X(mesh, "a node is cut off from the mesh")                                             \
	X(store, "a node is cut off from the store")                                           \
	X(election, "the store has no leader")                                                 \
	X(watch, "a watch stands still")                                                       \
	X(lost_place, "a watch has lost its place")                                            \
	X(unknown, "nobody hears what became of a transaction")                                \
	X(clock, "a clock is set")                                                             \
	X(drain, "a node drains")                                                              \
	X(amnesia, "a site forgets")                                                           \
	X(closed, "an end closes an IKE SA")                                                   \
	X(rekey, "somebody asks for a rekey")                                                  \
	X(cut, "a datagram goes in IP fragments")                                              \
	X(gathered, "one is put together where not all of its IP fragments came")              \
	X(copied, "a stranger sends a datagram again")                                         \
	X(withdrawn, "the router sends nothing to a node that lives")                          \
	X(conflict, "a commit comes second")                                                   \
	X(read, "something is looked up in the store")                                         \
	X(returned, "a packet has waited for its SA")                                          \
	X(inner, "a packet is numbered where it did not come in")                              \
	X(took_over, "a node takes the numbers of an SA over from another")                    \
	X(block, "a node takes the next block of numbers")                                     \
	X(mapped, "a NAT has given a site another address or port")                            \
	X(flapping, "a NAT that changes its mapping again and again is found out")             \
	X(worn, "a key is used up to the limit of its tunnel")                                 \
	X(created, "a tunnel is created")                                                      \
	X(deleted, "a tunnel is deleted")                                                      \
	X(new_key, "a tunnel gets another key")                                                \
	X(old_key, "a node that knows of a new key is asked with the old one")                 \
	X(readdressed, "a site gets another address, and its tunnel that endpoint")            \
	X(renamed, "a site gives another identity")                                            \
	X(protected, "replay_protection is switched")                                          \
	X(routed, "a route is added or removed")

#define COVER_ENUM(name, text) COVER_##name,
enum cover { COVER_LIST(COVER_ENUM) COVER_CNT };
#undef COVER_ENUM

void cover_add(enum cover what);
/* What it has counted and dropped itself, before it ends. */
void cover_process(const struct process *p);
void cover_print(void);
/* How much of what a sweep over clusters must come by has never happened; it is printed. */
unsigned cover_missing(void);
