// What befalls the nodes of a cluster. Which kinds of it there are in a run follows from its seed.
#pragma once

#include "process.h"

enum fault_kind {
	FAULT_CRASH,      /* a process dies, and is started again after a while */
	FAULT_FREEZE,     /* a node stands still, and then goes on with its old queues */
	FAULT_MESH,       /* a node, or one direction between two, is cut off from the mesh */
	FAULT_STORE,      /* a node is cut off from the store */
	FAULT_BOTH,
	FAULT_ELECTION,   /* the store has no leader */
	FAULT_WATCH,      /* a watch stands still, or loses its place */
	FAULT_UNKNOWN,    /* nobody hears what became of a transaction */
	FAULT_CLOCK,      /* a wall clock is set */
	FAULT_DRAIN,      /* a node drains, and is up again */
	FAULT_LOSS,       /* datagrams are lost, on both networks */
	FAULT_REPEAT,     /* and come twice */
	FAULT_SLOW,       /* everything takes longer */
	FAULT_AMNESIA,    /* a site starts without what it had stored */
	FAULT_CLOSE,      /* an end closes an IKE SA */
	FAULT_STORM,      /* SAs are rekeyed all the time */
	FAULT_REPLAY,     /* datagrams come again much later, some changed, some from elsewhere; fragments of nothing come */
	FAULT_ALL,        /* all nodes die at once */
	FAULT_ADMIN,      /* somebody changes what is configured */
	FAULT_NAT,        /* a NAT gives a site another port or address */
	FAULT_CNT
};

/* Of all kinds, or one at most of those under which no packet is lost. SAs are rekeyed in any case. */
enum fault_choice { FAULTS_NONE, FAULTS_HARMLESS, FAULTS_ANY };
void fault_begin(enum fault_choice choice);
bool fault_has(enum fault_kind k);
bool fault_flaps(void); /* NATs change their mappings faster than anybody follows (one check in ten seconds) */
const char *fault_text(enum fault_kind k);
void fault_step(unsigned honest); /* now and then something */
void fault_end(void);  /* all of it */
/* Others may believe that this node is dead and it does not know, or it may believe so of them: it is cut off, or knows nothing of a
 * process that has started, or so it was until just now. */
bool fault_crosses(const struct process *p);
