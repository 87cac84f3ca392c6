// Tunnels by where their peers are. Strangers make us ask, with each message that has no name or gives an address for one: so no question
// goes through all tunnels.
#include "control/internal.h"

static uint64_t hash_addr(const struct control *c, const struct addr *a)
{
	return siphash(&c->hash_key, addr_bytes(a));
}

/* has: under which it stands in the map; none: it does not. */
static void move(const struct control *c, struct hmap *m, struct hmap_node *n, struct addr *has, const struct addr *now)
{
	if (addr_eq(has, now))
		return;
	if (has->family != ADDR_NONE)
		hmap_remove(m, n);
	*has = *now;
	if (has->family != ADDR_NONE)
		hmap_add(m, n, hash_addr(c, has));
}

void control_address_customer(struct control *c, struct control_tunnel *t, const struct addr *customer)
{
	move(c, &c->by_customer, &t->by_customer, &t->customer, customer);
}

void control_address_remote(struct control *c, struct control_tunnel *t, const struct addr *remote)
{
	move(c, &c->by_remote, &t->by_remote, &t->last_remote, remote);
}

void control_address_forget(struct control *c, struct control_tunnel *t)
{
	const struct addr none = { 0 };

	control_address_customer(c, t, &none);
	control_address_remote(c, t, &none);
}

/* False: there are several. */
static bool is_only(struct control_tunnel **found, struct control_tunnel *t)
{
	if (*found != NULL && *found != t)
		return false;
	*found = t;
	return true;
}

/* local: NULL: any. False: there are several. */
static bool find_customer(const struct control *c, const struct addr *customer, const struct addr *local, struct control_tunnel **found)
{
	for (struct hmap_node *n = hmap_first(&c->by_customer, hash_addr(c, customer)); n != NULL; n = hmap_next(n)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_customer);
		if (t->configured && addr_eq(&t->customer, customer) && (local == NULL || addr_eq(&t->m.cloudflare_endpoint, local)) &&
		    !is_only(found, t))
			return false;
	}
	return true;
}

struct control_tunnel *control_address_find(const struct control *c, const struct addr *id, const struct addr *local)
{
	struct control_tunnel *found = NULL;

	return find_customer(c, id, local, &found) ? found : NULL;
}

struct control_tunnel *control_address_guess(const struct control *c, const struct addr *remote)
{
	struct control_tunnel *found = NULL;

	if (!find_customer(c, remote, NULL, &found))
		return NULL;
	for (struct hmap_node *n = hmap_first(&c->by_remote, hash_addr(c, remote)); n != NULL; n = hmap_next(n)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_remote);
		if (t->configured && addr_eq(&t->last_remote, remote) && !is_only(&found, t))
			return NULL;
	}
	return found;
}
