#include "store/lease.h"

#include <stdlib.h>

#include "base/clock.h"
#include "crypt/random.h"

MUST_USE enum err store_leases_add(struct store_leases *l, uint64_t id, uint64_t ttl_ms)
{
	if (l->cnt == l->cap) {
		size_t cap = l->cap == 0 ? 8 : l->cap * 2;
		struct store_lease_due *v = realloc(l->v, cap * sizeof(*v));
		if (v == NULL)
			return ERR_MEMORY;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->cnt++] = (struct store_lease_due){ .id = id, .ttl_ms = ttl_ms, .due_ms = clock_mono_ms() + ttl_ms };
	return ERR_NONE;
}

uint64_t store_leases_new_id(void)
{
	uint64_t id;

	do {
		crypt_random(&id, sizeof(id));
		id >>= 1; /* SQL's numbers are signed */
	} while (id == 0);
	return id;
}

static struct store_lease_due *find_lease(const struct store_leases *l, uint64_t id)
{
	for (size_t i = 0; i < l->cnt; i++)
		if (l->v[i].id == id)
			return &l->v[i];
	return NULL;
}

bool store_leases_has(const struct store_leases *l, uint64_t id)
{
	return find_lease(l, id) != NULL;
}

bool store_leases_renew(struct store_leases *l, uint64_t id)
{
	struct store_lease_due *d = find_lease(l, id);

	if (d != NULL)
		d->due_ms = clock_mono_ms() + d->ttl_ms;
	return d != NULL;
}

void store_leases_remove(struct store_leases *l, uint64_t id)
{
	struct store_lease_due *d = find_lease(l, id);

	if (d != NULL)
		*d = l->v[--l->cnt];
}

uint64_t store_leases_lapsed(const struct store_leases *l)
{
	if (l->cnt == 0)
		return 0;
	uint64_t now = clock_mono_ms();
	for (size_t i = 0; i < l->cnt; i++)
		if (now >= l->v[i].due_ms)
			return l->v[i].id;
	return 0;
}

void store_leases_fini(struct store_leases *l)
{
	free(l->v);
	*l = (struct store_leases){ 0 };
}
