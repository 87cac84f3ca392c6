#include "api/tunnel_json.h"

#include "base/clock.h"
#include "model/identity.h"

static json_t *time_json(uint64_t us)
{
	char text[CLOCK_TEXT_MAX];
	return json_string(clock_text(us, text));
}

static json_t *addr_json(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	return json_string(addr_format(a, text));
}

static json_t *prefix_json(const struct addr_prefix *p)
{
	char text[ADDR_PREFIX_TEXT_MAX];
	return json_string(addr_prefix_format(p, text));
}

static json_t *target_json(const struct api_call *c, const struct model_tunnel *t)
{
	struct addr effective = model_tunnel_health_target(t);
	json_t *o;

	if (!c->object_target)
		return json_string(t->health_check.target);
	o = json_pack("{s:s}", "saved", t->health_check.target);
	json_object_set_new(o, "effective",
			    effective.family == ADDR_NONE ? json_string("") : addr_json(&effective));
	return o;
}

static json_t *health_check_json(const struct api_call *c, const struct model_tunnel *t)
{
	const struct model_health_check *h = &t->health_check;

	return json_pack("{s:b, s:s, s:s, s:s, s:o}", "enabled", h->enabled, "rate", model_rate_name(h->rate),
			 "type", model_probe_name(h->type), "direction", model_direction_name(h->direction),
			 "target", target_json(c, t));
}

static json_t *mss_clamp_json(uint16_t v)
{
	return v == 0 ? json_string("auto") : v == 1 ? json_string("off") : json_integer(v);
}

static json_t *onramp_json(const struct model_tunnel_onramp *r)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:o, s:i, s:s, s:s, s:b, s:I, s:I}", "ike_lifetime", (int)r->ike_lifetime_s,
			 "child_lifetime", (int)r->child_lifetime_s, "dpd_delay", (int)r->dpd_delay_s,
			 "replay_window", (int)r->replay_window, "mss_clamp", mss_clamp_json(r->mss_clamp),
			 "outer_mtu", (int)r->outer_mtu, "start_action", "respond",
			 "profile", model_profile_name(r->profile), "esn", r->esn,
			 "child_rekey_bytes", (json_int_t)r->child_rekey_bytes,
			 "child_rekey_packets", (json_int_t)r->child_rekey_packets);
}

/* hex_id is the key id, written in hex. */
static json_t *identities_json(const struct api_call *c, const struct model_tunnel *t)
{
	char fqdn[MODEL_IDENTITY_TEXT_MAX], user[MODEL_IDENTITY_TEXT_MAX], key[MODEL_IDENTITY_TEXT_MAX];
	char hex[2 * MODEL_IDENTITY_TEXT_MAX];
	const char *domain = c->server->conf->identity_domain;

	model_identity_fqdn(c->account.number, &t->id, domain, fqdn);
	model_identity_user(c->account.number, &t->id, domain, user);
	model_identity_key(c->account.number, &t->id, key);
	text_hex(bytes_str(key), hex, sizeof(hex));
	return json_pack("{s:s, s:s, s:s}", "hex_id", hex, "fqdn_id", fqdn, "user_id", user);
}

json_t *api_psk_metadata_json(const struct model_tunnel *t)
{
	json_t *o = json_object();

	if (t->psk_set_us != 0)
		json_object_set_new(o, "last_generated_on", time_json(t->psk_set_us));
	return o;
}

json_t *api_tunnel_json(struct api_call *c, const struct model_tunnel *t)
{
	char id[MODEL_ID_TEXT_MAX];
	json_t *o = json_pack("{s:s, s:s, s:o}", "id", model_id_text(&t->id, id), "name", t->name,
			      "cloudflare_endpoint", addr_json(&t->cloudflare_endpoint));

	if (t->customer_endpoint.family != ADDR_NONE)
		json_object_set_new(o, "customer_endpoint", addr_json(&t->customer_endpoint));
	json_object_set_new(o, "interface_address", prefix_json(&t->interface_address));
	if (t->interface_address6.addr.family != ADDR_NONE)
		json_object_set_new(o, "interface_address6", prefix_json(&t->interface_address6));
	if (t->has_description)
		json_object_set_new(o, "description", json_string(t->description));
	json_object_set_new(o, "created_on", time_json(t->created_us));
	json_object_set_new(o, "modified_on", time_json(t->modified_us));
	json_object_set_new(o, "allow_null_cipher", json_boolean(t->allow_null_cipher));
	json_object_set_new(o, "replay_protection", json_boolean(t->replay_protection));
	json_object_set_new(o, "automatic_return_routing", json_false());
	json_object_set_new(o, "psk_metadata", api_psk_metadata_json(t));
	json_object_set_new(o, "remote_identities", identities_json(c, t));
	json_object_set_new(o, "health_check", health_check_json(c, t));
	json_object_set_new(o, "onramp", onramp_json(&t->onramp));
	if (t->allow_null_cipher)
		api_message(c, API_MESSAGE_UNENCRYPTED,
			    "UNENCRYPTED: tunnel \"%.255s\" has allow_null_cipher: a router that offers NULL "
			    "encryption gets it, and its traffic crosses the Internet readable by anyone.",
			    t->name);
	return o;
}
