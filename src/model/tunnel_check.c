#include "model/check.h"
#include "model/tunnel.h"

static enum err check_texts(const struct model_tunnel *t, struct model_problem *problem)
{
	if (!model_name_valid(t->name)) {
		model_problem_set(problem, MODEL_CODE_NAME, "/name",
				  "name must have 1 to 255 printable ASCII characters");
		return ERR_RANGE;
	}
	if (!model_free_text_valid(t->description)) {
		model_problem_set(problem, MODEL_CODE_TEXT, "/description",
				  "description must be UTF-8 text of at most %d bytes without control "
				  "characters",
				  MODEL_TUNNEL_DESCRIPTION_MAX - 1);
		return ERR_RANGE;
	}
	return ERR_NONE;
}

static enum err check_outer(const struct model_tunnel *t, struct model_problem *problem)
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
	const struct addr *ours = &t->cloudflare_endpoint, *theirs = &t->customer_endpoint;

	if (!model_addr_is_unicast(ours)) {
		model_problem_set(problem, MODEL_CODE_ENDPOINT, "/cloudflare_endpoint",
				  "cloudflare_endpoint %s is not a unicast address; give one of the "
				  "account's gateway addresses", addr_format(ours, a));
		return ERR_RANGE;
	}
	if (theirs->family == ADDR_NONE)
		return ERR_NONE;
	if (!model_addr_is_unicast(theirs)) {
		model_problem_set(problem, MODEL_CODE_ENDPOINT, "/customer_endpoint",
				  "customer_endpoint %s is not a unicast address; give the router's public "
				  "address or leave the field out", addr_format(theirs, a));
		return ERR_RANGE;
	}
	if (theirs->family != ours->family) {
		model_problem_set(problem, MODEL_CODE_ENDPOINT, "/customer_endpoint",
				  "customer_endpoint %s and cloudflare_endpoint %s are of two IP versions; "
				  "give both as IPv4 or both as "
				  "IPv6", addr_format(theirs, a), addr_format(ours, b));
		return ERR_RANGE;
	}
	if (addr_eq(theirs, ours)) {
		model_problem_set(problem, MODEL_CODE_ENDPOINT, "/customer_endpoint",
				  "customer_endpoint %s is the gateway's own address; give the router's "
				  "public address or leave the field out", addr_format(theirs, a));
		return ERR_RANGE;
	}
	return ERR_NONE;
}

static enum err check_interface4(const struct addr_prefix *p, struct model_problem *problem)
{
	static const char field[] = "/interface_address";
	char text[ADDR_PREFIX_TEXT_MAX];

	if (p->addr.family != ADDR_V4 || (p->len != 30 && p->len != 31)) {
		model_problem_set(problem, MODEL_CODE_INTERFACE_ADDRESS, field,
				  "interface_address %s must be an IPv4 address with /31 or /30, such as "
				  "10.0.0.0/31",
				  addr_prefix_format(p, text));
		return ERR_RANGE;
	}
	if (!model_prefix_is_interface_space(p)) {
		model_problem_set(problem, MODEL_CODE_INTERFACE_ADDRESS, field,
				  "interface_address %s must lie in 10.0.0.0/8, 172.16.0.0/12, "
				  "192.168.0.0/16 or 169.254.240.0/20", addr_prefix_format(p, text));
		return ERR_RANGE;
	}
	if (model_tunnel_customer_side(p).family == ADDR_NONE) {
		model_problem_set(problem, MODEL_CODE_INTERFACE_ADDRESS, field,
				  "interface_address %s is the network or broadcast address of its /30; give "
				  "one of the two addresses between them", addr_prefix_format(p, text));
		return ERR_RANGE;
	}
	return ERR_NONE;
}

static enum err check_interface6(const struct addr_prefix *p, struct model_problem *problem)
{
	static const char field[] = "/interface_address6";
	char text[ADDR_PREFIX_TEXT_MAX];

	if (p->addr.family == ADDR_NONE)
		return ERR_NONE;
	struct addr peer = model_tunnel_customer_side(p);
	if (p->addr.family != ADDR_V6 || p->len != 127) {
		model_problem_set(problem, MODEL_CODE_INTERFACE_ADDRESS, field,
				  "interface_address6 %s must be an IPv6 address with /127, such as "
				  "fd00::a/127",
				  addr_prefix_format(p, text));
		return ERR_RANGE;
	}
	if (!model_addr_is_unicast(&p->addr) || !model_addr_is_unicast(&peer) ||
	    model_addr_is_link_local6(&p->addr)) {
		model_problem_set(problem, MODEL_CODE_INTERFACE_ADDRESS, field,
				  "interface_address6 %s is not a pair of routable unicast addresses; take "
				  "one out of your own global or fd00::/8 "
				  "space", addr_prefix_format(p, text));
		return ERR_RANGE;
	}
	return ERR_NONE;
}

static enum err check_health(const struct model_health_check *h, struct model_problem *problem)
{
	struct addr target;

	if (h->rate > MODEL_RATE_HIGH || h->type > MODEL_PROBE_REQUEST ||
	    h->direction > MODEL_DIRECTION_BIDIRECTIONAL) {
		model_problem_set(problem, MODEL_CODE_HEALTH_CHECK, "/health_check",
				  "health_check: rate must be low, mid or high, type reply or request, "
				  "direction unidirectional or bidirectional");
		return ERR_RANGE;
	}
	if (h->target[0] == 0)
		return ERR_NONE;
	if (addr_parse(bytes_str(h->target), &target) != ERR_NONE || !model_addr_is_unicast(&target)) {
		model_problem_set(problem, MODEL_CODE_HEALTH_CHECK, "/health_check/target",
				  "health_check.target must be a unicast IP address such as 203.0.113.1, or "
				  "empty for the default");
		return ERR_RANGE;
	}
	return ERR_NONE;
}

/* A number of the object "onramp": low to high, or one of the small values below `specials`. */
static enum err check_number(const char *name, uint32_t v, uint32_t low, uint32_t high, uint32_t specials,
			     const char *special_text, struct model_problem *problem)
{
	char field[MODEL_FIELD_MAX];
	if ((v >= low && v <= high) || v < specials)
		return ERR_NONE;
	snprintf(field, sizeof(field), "/onramp/%s", name);
	model_problem_set(problem, MODEL_CODE_ONRAMP, field, "onramp.%s is %u; it must be %u to "
							     "%u%s", name, v,
			  low, high, special_text);
	return ERR_RANGE;
}

static enum err check_onramp(const struct model_tunnel *t, struct model_problem *problem)
{
	const struct model_tunnel_onramp *o = &t->onramp;
	/* RFC 8200 5: a path that carries IPv6 has at least 1280 */
	uint32_t mtu_min = t->cloudflare_endpoint.family == ADDR_V6 ? 1280 : 576;
	enum err e = check_number("ike_lifetime", o->ike_lifetime_s, 300, 604800, 0, " seconds", problem);

	if (e == ERR_NONE)
		e = check_number("child_lifetime", o->child_lifetime_s, 120, 604800, 0, " seconds", problem);
	if (e == ERR_NONE)
		e = check_number("dpd_delay", o->dpd_delay_s, 5, 3600, 1, " seconds, or 0 for "
									    "off", problem);
	if (e == ERR_NONE)
		e = check_number("replay_window", o->replay_window, 32, 4096, 1, " packets, or 0 for off", problem);
	if (e == ERR_NONE)
		e = check_number("mss_clamp", o->mss_clamp, 536, 9000, 2,
				 ", or 0 for automatic, or 1 for off", problem);
	if (e == ERR_NONE)
		e = check_number("outer_mtu", o->outer_mtu, mtu_min, 9000, 0, " bytes", problem);
	if (e == ERR_NONE && o->start_action > MODEL_START_RESPOND) {
		model_problem_set(problem, MODEL_CODE_ONRAMP, "/onramp/start_action",
				  "onramp.start_action must be respond: the peer starts the tunnel");
		e = ERR_RANGE;
	}
	if (e == ERR_NONE && o->profile >= MODEL_PROFILE_CNT) {
		model_problem_set(problem, MODEL_CODE_ONRAMP, "/onramp/profile",
				  "onramp.profile must be magic or modern");
		e = ERR_RANGE;
	}
	return e;
}

static enum err check_rekey(const char *name, uint64_t v, uint64_t low, const char *unit, struct model_problem *problem)
{
	char field[MODEL_FIELD_MAX];

	if (v == 0 || (v >= low && v <= MODEL_REKEY_MAX))
		return ERR_NONE;
	snprintf(field, sizeof(field), "/onramp/%s", name);
	model_problem_set(problem, MODEL_CODE_ONRAMP, field, "onramp.%s is %llu; it must be %llu to %llu %s, or 0 for "
			  "what suits the algorithms", name, (unsigned long long)v, (unsigned long long)low, (unsigned long long)MODEL_REKEY_MAX, unit);
	return ERR_RANGE;
}

static enum err check_numbering(const struct model_tunnel *t, struct model_problem *problem)
{
	const struct model_tunnel_onramp *o = &t->onramp;
	enum err e = check_rekey("child_rekey_bytes", o->child_rekey_bytes, MODEL_REKEY_BYTES_MIN, "bytes", problem);

	if (e == ERR_NONE)
		e = check_rekey("child_rekey_packets", o->child_rekey_packets, MODEL_REKEY_PACKETS_MIN, "packets", problem);
	/* The upper half of a number is concluded from the last one: that needs one sender. */
	if (e == ERR_NONE && o->esn && !t->replay_protection) {
		model_problem_set(problem, MODEL_CODE_ONRAMP, "/onramp/esn",
				  "onramp.esn must be false without replay_protection: extended sequence numbers need one "
				  "counter for all packets; set replay_protection to true too");
		e = ERR_RANGE;
	}
	return e;
}

enum err model_tunnel_check(const struct model_tunnel *t, struct model_problem *problem)
{
	enum err e = check_texts(t, problem);
	if (e == ERR_NONE)
		e = check_outer(t, problem);
	if (e == ERR_NONE)
		e = check_interface4(&t->interface_address, problem);
	if (e == ERR_NONE)
		e = check_interface6(&t->interface_address6, problem);
	if (e == ERR_NONE)
		e = check_health(&t->health_check, problem);
	if (e == ERR_NONE)
		e = check_onramp(t, problem);
	if (e == ERR_NONE)
		e = check_numbering(t, problem);
	return e;
}

static enum err check_clash(const char *field, const struct addr_prefix *a, const struct addr_prefix *b,
			    const char *other_name, struct model_problem *problem)
{
	char at[ADDR_PREFIX_TEXT_MAX], bt[ADDR_PREFIX_TEXT_MAX];
	if (a->addr.family == ADDR_NONE || b->addr.family == ADDR_NONE || !addr_prefix_overlaps(a, b))
		return ERR_NONE;
	model_problem_set(problem, MODEL_CODE_ADDRESS_CLASH, field,
			  "%s %s overlaps %s of tunnel \"%.40s\"; choose a pair of addresses that no tunnel "
			  "has",
			  field + 1, addr_prefix_format(a, at), addr_prefix_format(b, bt), other_name);
	return ERR_EXISTS;
}

enum err model_tunnel_check_pair(const struct model_tunnel *t, const struct model_tunnel *other,
				 struct model_problem *problem)
{
	if (!model_id_is_zero(&t->id) && model_id_eq(&t->id, &other->id))
		return ERR_NONE;
	if (strcmp(t->name, other->name) == 0) {
		model_problem_set(problem, MODEL_CODE_NAME_TAKEN, "/name",
				  "name \"%.40s\" belongs to another tunnel of this account; choose another "
				  "one",
				  t->name);
		return ERR_EXISTS;
	}
	enum err e = check_clash("/interface_address", &t->interface_address, &other->interface_address,
				 other->name, problem);
	if (e == ERR_NONE)
		e = check_clash("/interface_address6", &t->interface_address6, &other->interface_address6,
				other->name, problem);
	return e;
}
