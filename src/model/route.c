#include "model/route.h"

#include "model/check.h"
#include "model/record.h"

const char *const model_region_names[MODEL_REGION_CNT] = {
	"AFR", "APAC", "EEUR", "ENAM", "ME", "OC", "SAM", "WEUR", "WNAM",
};

void model_route_init(struct model_route *r)
{
	*r = (struct model_route){ 0 };
}

static uint16_t region_set(const uint8_t *regions, size_t cnt)
{
	uint16_t set = 0;

	for (size_t i = 0; i < cnt; i++)
		set = (uint16_t)(set | 1u << regions[i]);
	return set;
}

void model_route_add_region(struct model_route *r, uint8_t region)
{
	must(region < MODEL_ROUTE_REGIONS_MAX);
	if ((region_set(r->regions, r->region_cnt) & 1u << region) == 0)
		r->regions[r->region_cnt++] = region;
}

/* Space that no packet on a network between sites may carry as destination. A shorter prefix that
 * merely includes such space (the default route) is fine. */
static bool prefix_is_routable(const struct addr_prefix *p)
{
	static const struct addr_prefix refused[] = {
		{ { { 0 }, ADDR_V4 }, 8 },     /* RFC 1122 3.2.1.3: this network */
		{ { { 127 }, ADDR_V4 }, 8 },   /* RFC 1122 3.2.1.3: loopback */
		{ { { 224 }, ADDR_V4 }, 3 },   /* RFC 1112: multicast, and the reserved space above it */
		{ { { 0 }, ADDR_V6 }, 127 },   /* RFC 4291 2.5.2, 2.5.3: unspecified, loopback */
		{ { .b = { [10] = 0xff, 0xff }, .family = ADDR_V6 }, 96 }, /* RFC 4291 2.5.5.2: IPv4-mapped */
		{ { { 0xfe, 0x80 }, ADDR_V6 }, 10 }, /* RFC 4291 2.5.6: link-local */
		{ { { 0xff }, ADDR_V6 }, 8 },  /* RFC 4291 2.7: multicast */
	};
	if (p->addr.family == ADDR_NONE)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (p->len >= refused[i].len && addr_prefix_contains(&refused[i], &p->addr))
			return false;
	return true;
}

static bool colo_name_valid(const char *name)
{
	return name[0] != 0 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == strlen(name);
}

static enum err check_nexthop(const struct model_route *r, struct model_problem *problem)
{
	char text[ADDR_TEXT_MAX];
	const struct addr *n = &r->nexthop;

	if (!model_addr_is_unicast(n) || model_addr_is_loopback(n) || model_addr_is_link_local6(n)) {
		model_problem_set(problem, MODEL_CODE_NEXTHOP, "/nexthop",
				  "nexthop %s is not a unicast address; give the customer side of a tunnel's "
				  "interface_address", addr_format(n, text));
		return ERR_RANGE;
	}
	if (n->family != r->prefix.addr.family) {
		model_problem_set(problem, MODEL_CODE_NEXTHOP, "/nexthop",
				  "nexthop %s has another IP version than the prefix; an IPv6 prefix goes to "
				  "the customer side of a tunnel's interface_address6", addr_format(n, text));
		return ERR_RANGE;
	}
	return ERR_NONE;
}

static enum err check_scope(const struct model_route *r, struct model_problem *problem)
{
	must(r->colo_name_cnt <= MODEL_ROUTE_COLOS_MAX);
	for (size_t i = 0; i < r->colo_name_cnt; i++) {
		if (colo_name_valid(r->colo_names[i]))
			continue;
		model_problem_set(problem, MODEL_CODE_SCOPE, "/scope/colo_names",
				  "scope.colo_names: each name must have 1 to %d letters or digits, such as "
				  "den01",
				  MODEL_ROUTE_COLO_MAX - 1);
		return ERR_RANGE;
	}
	if (region_set(r->regions, r->region_cnt) >> MODEL_REGION_CNT != 0) {
		model_problem_set(problem, MODEL_CODE_SCOPE, "/scope/colo_regions",
				  "scope.colo_regions must be of AFR, APAC, EEUR, ENAM, ME, OC, SAM, WEUR, "
				  "WNAM");
		return ERR_RANGE;
	}
	return ERR_NONE;
}

enum err model_route_check(const struct model_route *r, struct model_problem *problem)
{
	char text[ADDR_PREFIX_TEXT_MAX];

	if (!prefix_is_routable(&r->prefix)) {
		model_problem_set(problem, MODEL_CODE_PREFIX, "/prefix",
				  "prefix %s is not unicast space; give an IPv4 or IPv6 network such as "
				  "10.1.0.0/16, or 0.0.0.0/0 for everything",
				  addr_prefix_format(&r->prefix, text));
		return ERR_RANGE;
	}
	enum err e = check_nexthop(r, problem);
	if (e != ERR_NONE)
		return e;
	if (r->priority > MODEL_ROUTE_PRIORITY_MAX) {
		model_problem_set(problem, MODEL_CODE_PRIORITY, "/priority",
				  "priority is %u; it must be 0 to %d, lower wins (health checks add 500000 "
				  "and more)",
				  r->priority, MODEL_ROUTE_PRIORITY_MAX);
		return ERR_RANGE;
	}
	if (r->weight > MODEL_ROUTE_WEIGHT_MAX) {
		model_problem_set(problem, MODEL_CODE_WEIGHT, "/weight",
				  "weight is %u; it must be 1 to %d, or 0 for an equal share", r->weight,
				  MODEL_ROUTE_WEIGHT_MAX);
		return ERR_RANGE;
	}
	if (!model_free_text_valid(r->description)) {
		model_problem_set(problem, MODEL_CODE_TEXT, "/description",
				  "description must be UTF-8 text of at most %d bytes without control "
				  "characters",
				  MODEL_ROUTE_DESCRIPTION_MAX - 1);
		return ERR_RANGE;
	}
	return check_scope(r, problem);
}

static bool has_colo(const struct model_route *r, const char *name)
{
	for (size_t i = 0; i < r->colo_name_cnt; i++)
		if (strcmp(r->colo_names[i], name) == 0)
			return true;
	return false;
}

/* Each name of a stands in b. */
static bool colos_within(const struct model_route *a, const struct model_route *b)
{
	for (size_t i = 0; i < a->colo_name_cnt; i++)
		if (!has_colo(b, a->colo_names[i]))
			return false;
	return true;
}

bool model_route_same(const struct model_route *a, const struct model_route *b)
{
	struct addr_prefix pa = addr_prefix_mask(&a->prefix), pb = addr_prefix_mask(&b->prefix);
	return addr_prefix_eq(&pa, &pb) && addr_eq(&a->nexthop, &b->nexthop) && a->priority == b->priority &&
	       region_set(a->regions, a->region_cnt) == region_set(b->regions, b->region_cnt) && colos_within(a, b) && colos_within(b, a);
}

enum { VERSION = 1 };
enum field {
	F_ID = 1,
	F_ACCOUNT,
	F_PREFIX,
	F_NEXTHOP,
	F_PRIORITY,
	F_WEIGHT,
	F_DESCRIPTION,
	F_SCOPE, /* empty: a scope was given; its members follow as fields of their own */
	F_COLO,
	F_REGIONS, /* a set */
	F_CREATED,
	F_MODIFIED,
	F_REGION_ORDER,
};
#define REQUIRED                                                                               \
	(MODEL_RECORD_BIT(F_ID) | MODEL_RECORD_BIT(F_ACCOUNT) | MODEL_RECORD_BIT(F_PREFIX) |   \
	 MODEL_RECORD_BIT(F_NEXTHOP) | MODEL_RECORD_BIT(F_PRIORITY))
#define REPEATED MODEL_RECORD_BIT(F_COLO)

enum err model_route_encode(const struct model_route *r, struct wr *w)
{
	must(r->colo_name_cnt <= MODEL_ROUTE_COLOS_MAX);
	tlv_begin(w, VERSION);
	model_record_put_id(w, F_ID, &r->id);
	model_record_put_id(w, F_ACCOUNT, &r->account_id);
	tlv_prefix(w, F_PREFIX, &r->prefix);
	tlv_addr(w, F_NEXTHOP, &r->nexthop);
	tlv_u32(w, F_PRIORITY, r->priority);
	tlv_u16(w, F_WEIGHT, r->weight);
	if (r->has_description)
		tlv_text(w, F_DESCRIPTION, r->description);
	if (r->has_scope)
		tlv_bytes(w, F_SCOPE, bytes_of("", 0));
	for (size_t i = 0; i < r->colo_name_cnt; i++)
		tlv_text(w, F_COLO, r->colo_names[i]);
	tlv_u16(w, F_REGIONS, region_set(r->regions, r->region_cnt));
	tlv_u64(w, F_CREATED, r->created_us);
	tlv_u64(w, F_MODIFIED, r->modified_us);
	if (r->region_cnt > 1)
		tlv_bytes(w, F_REGION_ORDER, bytes_of(r->regions, r->region_cnt));
	return model_record_written(w);
}

static void take_colo(struct model_record *d, struct model_route *r)
{
	if (r->colo_name_cnt == MODEL_ROUTE_COLOS_MAX)
		d->bad = true;
	else
		model_record_text(d, r->colo_names[r->colo_name_cnt++], MODEL_ROUTE_COLO_MAX);
}

/* The set says which; a record of an older program has no order. */
struct regions {
	uint16_t set;
	uint16_t cnt;
	uint8_t order[MODEL_ROUTE_REGIONS_MAX];
};

static void put_in_order(struct model_route *r, const struct regions *g)
{
	for (size_t i = 0; i < g->cnt; i++)
		if (g->order[i] < MODEL_ROUTE_REGIONS_MAX && (g->set >> g->order[i] & 1) != 0)
			model_route_add_region(r, g->order[i]);
	for (uint8_t i = 0; i < MODEL_ROUTE_REGIONS_MAX; i++)
		if ((g->set >> i & 1) != 0)
			model_route_add_region(r, i);
}

static void get_field(struct model_record *d, unsigned type, struct model_route *r, struct regions *g)
{
	switch (type) {
	case F_ID: r->id = model_record_id(d); break;
	case F_ACCOUNT: r->account_id = model_record_id(d); break;
	case F_PREFIX: r->prefix = model_record_prefix(d); break;
	case F_NEXTHOP: r->nexthop = model_record_addr(d); break;
	case F_PRIORITY: r->priority = model_record_u32(d); break;
	case F_WEIGHT: r->weight = model_record_u16(d); break;
	case F_DESCRIPTION:
		r->has_description = true;
		model_record_text(d, r->description, sizeof(r->description));
		break;
	case F_SCOPE: r->has_scope = true; break;
	case F_COLO: take_colo(d, r); break;
	case F_REGIONS: g->set = model_record_u16(d); break;
	case F_REGION_ORDER: g->cnt = model_record_blob(d, g->order, sizeof(g->order)); break;
	case F_CREATED: r->created_us = model_record_u64(d); break;
	case F_MODIFIED: r->modified_us = model_record_u64(d); break;
	}
}

enum err model_route_decode(struct bytes record, struct model_route *ret)
{
	struct model_route r;
	struct model_record d;
	struct regions g = { 0 };
	enum err e = model_record_start(&d, record, VERSION);

	model_route_init(&r);
	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, REPEATED)) != 0;)
		get_field(&d, type, &r, &g);
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	put_in_order(&r, &g);
	if (e == ERR_NONE)
		*ret = r;
	return e;
}
