#include "world_nat.h"

#include "cover.h"
#include "history.h"

#define PLACES_MAX 512
#define PORT_FIRST 20000
#define PORT_CNT 40000

/* An endpoint of a process as others see it. The present ones come last. */
struct place {
	unsigned who;
	bool gone, hidden;
	struct addr_endpoint inside, outside;
};

struct box {
	enum world_nat kind;
	struct addr inside, outside;
	unsigned changes;
	bool hides;
};

static struct place places[PLACES_MAX];
static unsigned cnt;
static struct box boxes[WORLD_PROCESSES_MAX];

void world_nat_begin(void)
{
	cnt = 0;
	memset(boxes, 0, sizeof(boxes));
}

static struct addr outside_of(unsigned who)
{
	struct box *b = &boxes[who];
	struct addr a = { .family = ADDR_V4, .b = { 203, 0, 113, (uint8_t)(who + 1) } };

	if (b->kind == WORLD_NAT_NONE)
		return b->inside;
	if (b->kind == WORLD_NAT_ADDRESS) {
		a.b[0] = 198;
		a.b[1] = (uint8_t)(18 + who % 2);
		a.b[2] = (uint8_t)who;
		a.b[3] = (uint8_t)(1 + b->changes % 250);
	}
	return a;
}

void world_nat_put(unsigned who, enum world_nat kind, const struct addr *inside)
{
	world_nat_forget(who);
	boxes[who].kind = kind;
	boxes[who].inside = *inside;
	boxes[who].outside = outside_of(who);
}

struct addr world_nat_address(unsigned who)
{
	return boxes[who].outside;
}

bool world_nat_is(unsigned who)
{
	return boxes[who].kind != WORLD_NAT_NONE;
}

void world_nat_forget(unsigned who)
{
	for (unsigned i = 0; i < cnt; i++)
		places[i].gone = places[i].gone || places[i].who == who;
	boxes[who].changes++;
	boxes[who].outside = outside_of(who);
}

void world_nat_hide(unsigned who)
{
	boxes[who].hides = true;
	world_nat_forget(who);
}

static const struct place *find_inside(unsigned who, const struct addr_endpoint *inside)
{
	for (unsigned i = cnt; i-- > 0;)
		if (places[i].who == who && !places[i].gone && addr_endpoint_eq(&places[i].inside, inside))
			return &places[i];
	return NULL;
}

static uint16_t some_port(const struct addr *a)
{
	struct addr_endpoint at = { .addr = *a };

	for (bool used = true; used;) {
		used = false;
		at.port = (uint16_t)(PORT_FIRST + world_random(PORT_CNT));
		for (unsigned i = 0; i < cnt; i++)
			used = used || addr_endpoint_eq(&places[i].outside, &at);
	}
	return at.port;
}

struct addr_endpoint world_nat_out(unsigned who, const struct addr_endpoint *inside)
{
	const struct place *p = find_inside(who, inside);
	struct box *b = &boxes[who];

	if (p != NULL || b->inside.family == ADDR_NONE)
		return p != NULL ? p->outside : *inside;
	must(cnt < PLACES_MAX);
	struct place *n = &places[cnt];
	*n = (struct place){ .who = who, .inside = *inside, .outside = *inside, .hidden = b->hides };
	if (b->kind != WORLD_NAT_NONE) {
		char text[ADDR_ENDPOINT_TEXT_MAX];
		n->outside = (struct addr_endpoint){ b->outside, some_port(&b->outside) };
		history_add("NAT: process %u, port %u, is seen as %s", who, inside->port, addr_endpoint_format(&n->outside, text));
		cover_add(COVER_mapped);
	}
	cnt++;
	return n->outside;
}

static const struct place *find_outside(const struct addr_endpoint *outside)
{
	for (unsigned i = cnt; i-- > 0;)
		if (!places[i].gone && addr_endpoint_eq(&places[i].outside, outside))
			return &places[i];
	return NULL;
}

/* Without a NAT it is there before it has sent anything. */
unsigned world_nat_in(const struct addr_endpoint *outside, struct addr_endpoint *ret_inside)
{
	const struct place *p = find_outside(outside);

	if (p != NULL) {
		*ret_inside = p->inside;
		return p->who;
	}
	*ret_inside = *outside;
	for (unsigned i = 0; i < WORLD_PROCESSES_MAX; i++)
		if (boxes[i].kind == WORLD_NAT_NONE && addr_eq(&boxes[i].inside, &outside->addr))
			return i;
	return WORLD_PROCESSES_MAX;
}

unsigned world_nat_owner(const struct addr *outside)
{
	for (unsigned i = cnt; i-- > 0;)
		if (addr_eq(&places[i].outside.addr, outside))
			return places[i].who;
	return WORLD_PROCESSES_MAX;
}

bool world_nat_is_now(unsigned who, const struct addr_endpoint *outside)
{
	const struct place *p = find_outside(outside);
	return p != NULL && p->who == who;
}

bool world_nat_was_ever(unsigned who, const struct addr_endpoint *outside)
{
	for (unsigned i = 0; i < cnt; i++)
		if (places[i].who == who && !places[i].hidden && addr_endpoint_eq(&places[i].outside, outside))
			return true;
	return false;
}
