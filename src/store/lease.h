// The leases of an engine on one machine: which there are, and when they lapse. The keys are the engine's matter.
// Private to store/. The thread that owns the store.
#pragma once

#include "store/engine.h"

struct store_leases {
	struct store_lease_due {
		uint64_t id, ttl_ms, due_ms;
	} *v;
	size_t cnt, cap;
};

/* With its whole time before it. ERR_MEMORY. */
MUST_USE enum err store_leases_add(struct store_leases *l, uint64_t id, uint64_t ttl_ms);
/* A number for a new one: nobody can guess another's. */
uint64_t store_leases_new_id(void);
bool store_leases_has(const struct store_leases *l, uint64_t id);
bool store_leases_renew(struct store_leases *l, uint64_t id); /* false: there is none */
void store_leases_remove(struct store_leases *l, uint64_t id);
/* One that has lapsed, or 0. */
uint64_t store_leases_lapsed(const struct store_leases *l);
void store_leases_fini(struct store_leases *l);
