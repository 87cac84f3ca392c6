// What the peer does wrong on purpose, one thing a run: --fault NAME.
// One thread. In a message before it is protected (edit), or on its way out (way).
#pragma once

#include "peer.h"

enum fault_way {
	FAULT_WAY_NONE,
	FAULT_WAY_ICV,      /* the last byte is another one */
	FAULT_WAY_FRAGMENT, /* the last fragment is not sent */
	FAULT_WAY_MARKER,   /* on port 4500 without the non-ESP marker */
};

struct fault {
	const char *name, *what;
	uint8_t exchange; /* of the requests that get it */
	enum fault_way way;
	/* of the payload of that type; false: it is not there */
	bool (*edit)(struct peer_edit *e, uint8_t type);
	uint8_t type;
};

/* NULL: there is none of that name. */
const struct fault *fault_find(const char *name);
/* The next one of the list, the first for NULL; NULL at its end. */
const struct fault *fault_next(const struct fault *f);

/* A peer_options edit; arg points to a pointer to the fault. */
void fault_edit(void *arg, struct peer_edit *e);

/* Changes a message that is about to be sent. False: it is lost. */
bool fault_send(const struct fault *f, struct space msg, bool is_last);
