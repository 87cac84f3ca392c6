#include "api/tunnel_json.h"

/* A field of the product that this version cannot carry out: false, null and absent are fine. */
static void refuse_true(const struct api_object *o, const char *key, const char *why)
{
	bool v = false;

	if (api_field_bool(o, key, API_NULL_ABSENT, &v) && v)
		api_field_fail(o, key, MODEL_CODE_UNSUPPORTED,
			       "\"%s\" is true, which this version does not support: %s.", key, why);
}

static void refuse_bgp(const struct api_object *o)
{
	struct api_object bgp;

	if (api_field_object(o, "bgp", API_NULL_ABSENT, &bgp))
		api_field_fail(o, "bgp", MODEL_CODE_UNSUPPORTED,
			       "\"bgp\" is given, but this version does not support BGP over tunnels: leave "
			       "it out and make static routes.");
}

static void refuse_custom_identity(const struct api_object *o)
{
	struct api_object custom;
	char fqdn[256];

	if (!api_field_object(o, "custom_remote_identities", API_NULL_ABSENT, &custom))
		return;
	if (!api_field_given(&custom, "fqdn_id"))
		return;
	if (api_field_text(&custom, "fqdn_id", MODEL_CODE_UNSUPPORTED, fqdn, sizeof(fqdn)) && fqdn[0] != 0)
		api_field_fail(o, "custom_remote_identities/fqdn_id", MODEL_CODE_UNSUPPORTED,
			       "\"custom_remote_identities.fqdn_id\" is \"%.80s\", but this version does not "
			       "support custom identities: leave it out and use one of \"remote_identities\".",
			       fqdn);
}

static void refuse_unsupported(const struct api_object *o)
{
	refuse_true(o, "automatic_return_routing", "send false and make static routes");
	refuse_bgp(o);
	refuse_custom_identity(o);
}

/* One of a few words. */
static void read_word(const struct api_object *o, const char *key, const char *choices,
		      enum err (*parse)(struct bytes, uint8_t *), uint8_t *ret)
{
	char word[32];

	if (!api_field_text(o, key, MODEL_CODE_HEALTH_CHECK, word, sizeof(word)))
		return;
	if (parse(bytes_str(word), ret) != ERR_NONE)
		api_field_fail(o, key, MODEL_CODE_HEALTH_CHECK, "\"%s\" is \"%s\"; send %s.", key, word,
			       choices);
}

/* Both forms are taken, whatever the header says. */
static void read_target(const struct api_object *o, struct model_health_check *h)
{
	struct api_object target;

	if (json_is_object(json_object_get(o->json, "target"))) {
		if (api_field_object(o, "target", API_NULL_REFUSED, &target))
			api_field_text(&target, "saved", MODEL_CODE_HEALTH_CHECK, h->target,
				       sizeof(h->target));
		return;
	}
	api_field_text(o, "target", MODEL_CODE_HEALTH_CHECK, h->target, sizeof(h->target));
}

static void read_health_check(const struct api_object *o, struct model_health_check *h)
{
	struct api_object hc;

	if (!api_field_object(o, "health_check", API_NULL_REFUSED, &hc))
		return;
	api_field_bool(&hc, "enabled", API_NULL_REFUSED, &h->enabled);
	read_word(&hc, "rate", "low, mid or high", model_rate_parse, &h->rate);
	read_word(&hc, "type", "reply or request", model_probe_parse, &h->type);
	read_word(&hc, "direction", "unidirectional or bidirectional", model_direction_parse, &h->direction);
	read_target(&hc, h);
}

const char *api_nearest(const char *typed, const char *const *names, size_t cnt)
{
	const char *best = names[0];

	for (size_t i = 1; i < cnt; i++)
		if (text_distance(typed, names[i]) < text_distance(typed, best))
			best = names[i];
	return best;
}

static void refuse_unknown_onramp(const struct api_object *o)
{
	static const char *const names[] = { "ike_lifetime", "child_lifetime", "dpd_delay",   "replay_window",
					     "mss_clamp",    "outer_mtu",      "start_action", "profile",
					     "esn",	     "child_rekey_bytes", "child_rekey_packets" };
	const char *key;
	json_t *value;

	/* the library's loop macro wants a table that may change */
	json_object_foreach ((json_t *)(uintptr_t)o->json, key, value) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			known = known || strcmp(key, names[i]) == 0;
		if (!known) {
			api_field_fail(o, key, MODEL_CODE_UNKNOWN_FIELD,
				       "\"onramp.%.64s\" is no setting of a tunnel; did you mean \"%s\"?",
				       key, api_nearest(key, names, ARRAY_LEN(names)));
			return;
		}
	}
}

/* range: in the words of model_tunnel_check, which judges what fits the type */
static void read_u32(const struct api_object *o, const char *key, const char *range, uint32_t *ret)
{
	uint64_t v;

	if (api_field_number(o, key, MODEL_CODE_ONRAMP, UINT32_MAX, range, &v))
		*ret = (uint32_t)v;
}

static void read_u16(const struct api_object *o, const char *key, const char *range, uint16_t *ret)
{
	uint64_t v;

	if (api_field_number(o, key, MODEL_CODE_ONRAMP, UINT16_MAX, range, &v))
		*ret = (uint16_t)v;
}

/* "auto", "off" or a number, which are 0, 1 and itself in the record. */
static void read_mss_clamp(const struct api_object *o, uint16_t *ret)
{
	const json_t *j = json_object_get(o->json, "mss_clamp");
	json_int_t v = json_integer_value(j);
	char kind[API_KIND_MAX];

	if (j == NULL || api_failed(o->call))
		return;
	if (json_is_string(j) && strcmp(json_string_value(j), "auto") == 0)
		*ret = 0;
	else if (json_is_string(j) && strcmp(json_string_value(j), "off") == 0)
		*ret = 1;
	else if (json_is_integer(j) && v >= 536 && v <= 9000)
		*ret = (uint16_t)v;
	else
		api_field_fail(
			o, "mss_clamp", MODEL_CODE_ONRAMP,
			"\"onramp.mss_clamp\" is %s; send \"auto\", \"off\" or a number from 536 to 9000.",
			api_kind_text(j, kind));
}

static void read_start_action(const struct api_object *o, uint8_t *ret)
{
	char word[32];

	if (!api_field_text(o, "start_action", MODEL_CODE_ONRAMP, word, sizeof(word)))
		return;
	if (strcmp(word, "respond") == 0)
		*ret = MODEL_START_RESPOND;
	else
		api_field_fail(o, "start_action", MODEL_CODE_UNSUPPORTED,
			       "\"onramp.start_action\" is \"%s\"; only \"respond\" is available: this "
			       "gateway answers, starting from the gateway side is not available. Let the "
			       "router start the tunnel.",
			       word);
}

static void read_profile(const struct api_object *o, uint8_t *ret)
{
	char word[32];

	if (!api_field_text(o, "profile", MODEL_CODE_ONRAMP, word, sizeof(word)))
		return;
	if (model_profile_parse(bytes_str(word), ret) != ERR_NONE)
		api_field_fail(o, "profile", MODEL_CODE_ONRAMP,
			       "\"onramp.profile\" is \"%s\"; send \"magic\" or \"modern\" (the algorithms of each: "
			       "GET onramp/suites).",
			       word);
}

static void read_onramp(const struct api_object *o, struct model_tunnel_onramp *r)
{
	struct api_object on;

	if (!api_field_object(o, "onramp", API_NULL_REFUSED, &on))
		return;
	refuse_unknown_onramp(&on);
	read_u32(&on, "ike_lifetime", "300 to 604800 seconds", &r->ike_lifetime_s);
	read_u32(&on, "child_lifetime", "120 to 604800 seconds", &r->child_lifetime_s);
	read_u32(&on, "dpd_delay", "5 to 3600 seconds, or 0 for off", &r->dpd_delay_s);
	read_u16(&on, "replay_window", "32 to 4096 packets, or 0 for off", &r->replay_window);
	read_mss_clamp(&on, &r->mss_clamp);
	read_u16(&on, "outer_mtu", "576 (IPv6: 1280) to 9000 bytes", &r->outer_mtu);
	read_start_action(&on, &r->start_action);
	read_profile(&on, &r->profile);
	api_field_bool(&on, "esn", API_NULL_REFUSED, &r->esn);
	(void)api_field_number(&on, "child_rekey_bytes", MODEL_CODE_ONRAMP, INT64_MAX,
			       "1048576 to 1099511627776 bytes, or 0 for what suits the algorithms", &r->child_rekey_bytes);
	(void)api_field_number(&on, "child_rekey_packets", MODEL_CODE_ONRAMP, INT64_MAX,
			       "100 to 1099511627776 packets, or 0 for what suits the algorithms", &r->child_rekey_packets);
}

/* The value never goes into a text. */
static void read_psk(const struct api_object *o, struct api_given_psk *psk)
{
	char text[MODEL_PSK_LEN_MAX + 1];

	if (api_field_text(o, "psk", MODEL_CODE_PSK, text, sizeof(text))) {
		if (text[0] == 0)
			api_field_fail(o, "psk", MODEL_CODE_PSK,
				       "\"psk\" is empty; send 1 to %d bytes, or leave it out and call "
				       "psk_generate.",
				       MODEL_PSK_LEN_MAX);
		must(secret_set(&psk->psk, bytes_str(text)) == ERR_NONE);
		psk->given = true;
	}
	secret_wipe(text, sizeof(text));
}

void api_tunnel_read(const struct api_object *o, struct model_tunnel *t, struct api_given_psk *psk)
{
	api_field_text(o, "name", MODEL_CODE_NAME, t->name, sizeof(t->name));
	if (api_field_text(o, "description", MODEL_CODE_TEXT, t->description, sizeof(t->description)))
		t->has_description = true;
	api_field_addr(o, "cloudflare_endpoint", MODEL_CODE_ENDPOINT, false, &t->cloudflare_endpoint);
	api_field_addr(o, "customer_endpoint", MODEL_CODE_ENDPOINT, true, &t->customer_endpoint);
	api_field_prefix(o, "interface_address", MODEL_CODE_INTERFACE_ADDRESS, false, &t->interface_address);
	api_field_prefix(o, "interface_address6", MODEL_CODE_INTERFACE_ADDRESS, true, &t->interface_address6);
	api_field_bool(o, "allow_null_cipher", API_NULL_REFUSED, &t->allow_null_cipher);
	api_field_bool(o, "replay_protection", API_NULL_ABSENT, &t->replay_protection);
	read_health_check(o, &t->health_check);
	read_onramp(o, &t->onramp);
	refuse_unsupported(o);
	read_psk(o, psk);
}

/* The addresses that a tunnel of the account may have as its gateway end. */
static void endpoint_pool(const struct api_call *c, const struct addr **ret, size_t *ret_cnt)
{
	bool own = c->account.endpoint_cnt != 0;

	*ret = own ? c->account.endpoints : c->server->conf->gateway_addresses;
	*ret_cnt = own ? c->account.endpoint_cnt : c->server->conf->gateway_address_cnt;
}

static void check_endpoint(struct api_call *c, const struct model_tunnel *t, const char *pointer)
{
	const struct addr *pool;
	size_t cnt;
	char text[ADDR_TEXT_MAX];
	struct model_problem problem = { .code = MODEL_CODE_ENDPOINT, .field = "/cloudflare_endpoint" };

	endpoint_pool(c, &pool, &cnt);
	for (size_t i = 0; i < cnt; i++)
		if (addr_eq(&pool[i], &t->cloudflare_endpoint))
			return;
	int at = snprintf(problem.text, sizeof(problem.text),
			  "cloudflare_endpoint %s is no gateway address of this account; use one of:",
			  addr_format(&t->cloudflare_endpoint, text));
	for (size_t i = 0; i < cnt && at > 0 && (size_t)at < sizeof(problem.text) - ADDR_TEXT_MAX - 2; i++)
		at += snprintf(problem.text + at, sizeof(problem.text) - (size_t)at, " %s",
			       addr_format(&pool[i], text));
	api_fail_problem(c, pointer, &problem);
}

void api_tunnel_check(struct api_call *c, const struct api_view *view, const struct model_tunnel *t,
		      const char *pointer)
{
	struct model_problem problem = { 0 };

	if (api_failed(c))
		return;
	if (model_tunnel_check(t, &problem) != ERR_NONE) {
		api_fail_problem(c, pointer, &problem);
		return;
	}
	check_endpoint(c, t, pointer);
	for (size_t i = 0; i < view->tunnel_cnt && !api_failed(c); i++)
		if (!model_id_eq(&view->tunnels[i].id, &t->id) &&
		    model_tunnel_check_pair(t, &view->tunnels[i], &problem) != ERR_NONE)
			api_fail_problem(c, pointer, &problem);
}
