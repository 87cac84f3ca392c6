// IP fragments: datagrams to the nodes are cut on their way, each piece comes to any node, and each node's kernel puts together what has
// come to it, by the network or by what its control gives to it (io/fragment.h). RFC 791 3.2.
#pragma once

#include "io/fragment.h"
#include "world.h"

#define WORLD_IP_NODES_MAX 5

/* To show that checks can fail: nodes do not hear of the fragments that come to them; each comes to another node as well. */
extern bool world_ip_deaf, world_ip_twice;

void world_ip_begin(void);
/* From now on the way there has that MTU; 0: nothing is cut. */
void world_ip_narrow(unsigned mtu, const struct addr *to);
bool world_ip_is_narrow(void);
/* Its pieces, if it is too long for the way. False: it is not. */
bool world_ip_cut(const struct world_datagram *d, void (*post)(const struct world_datagram *piece));
/* Fragments of nothing, from a stranger. */
void world_ip_junk(unsigned cnt, void (*post)(const struct world_datagram *piece));

/* A piece has come to a node, whose kernel lives while its processes die. */
void world_ip_come(unsigned who, const struct world_datagram *piece);
/* The next datagram that a kernel has put together, until the next call; false: none. */
bool world_ip_whole(unsigned *ret_who, const struct world_datagram **ret);
/* How often datagrams came whole although not so many of their pieces came. */
unsigned world_ip_wrong(void);

/* A process's sockets for them. */
struct io_fragments world_ip_open(unsigned who);
bool world_ip_due(unsigned who);

/* The nodes do not agree on who gathers what: packets that come in pieces just now may be lost, or two nodes send their pieces to each
 * other, and both have them all. */
void world_ip_disturb(void (*lost)(uint64_t packet));
/* A node's process has ended, and with it what it knew of those that are on their way. */
void world_ip_forget(unsigned who);
