#include "model/tunnel.h"

#include "model/record.h"

static const char *const rate_names[] = { "low", "mid", "high" };
static const char *const probe_names[] = { "reply", "request" };
static const char *const direction_names[] = { "unidirectional", "bidirectional" };

void model_tunnel_init(struct model_tunnel *t)
{
	*t = (struct model_tunnel){
		.health_check = {
			.enabled = true,
			.rate = MODEL_RATE_MID,
			.type = MODEL_PROBE_REPLY,
			.direction = MODEL_DIRECTION_BIDIRECTIONAL,
		},
		.onramp = {
			.ike_lifetime_s = 86400,
			.child_lifetime_s = 28800,
			.dpd_delay_s = 30,
			.outer_mtu = 1500,
			.start_action = MODEL_START_RESPOND,
			.profile = MODEL_PROFILE_MAGIC,
		},
	};
}

struct addr model_tunnel_customer_side(const struct addr_prefix *interface_address)
{
	static const struct addr none;
	struct addr a = interface_address->addr;

	if (a.family == ADDR_V4 && interface_address->len == 31) {
		a.b[3] ^= 1;
		return a;
	}
	/* of a /30 the lowest and highest are network and broadcast address */
	if (a.family == ADDR_V4 && interface_address->len == 30) {
		unsigned host = a.b[3] & 3u;
		if (host == 0 || host == 3)
			return none;
		a.b[3] ^= 3;
		return a;
	}
	if (a.family == ADDR_V6 && interface_address->len == 127) { /* RFC 6164 */
		a.b[15] ^= 1;
		return a;
	}
	return none;
}

struct addr model_tunnel_health_target(const struct model_tunnel *t)
{
	bool to_endpoint = t->health_check.direction == MODEL_DIRECTION_UNIDIRECTIONAL;
	struct addr target;

	if (addr_parse(bytes_str(t->health_check.target), &target) == ERR_NONE)
		return target;
	if (to_endpoint && t->customer_endpoint.family != ADDR_NONE)
		return t->customer_endpoint;
	return model_tunnel_customer_side(&t->interface_address);
}

/* ---- names of the small enums ---- */

static enum err find_name(struct bytes text, const char *const *names, size_t cnt, uint8_t *ret)
{
	char lower[16];
	if (text.len >= sizeof(lower))
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++)
		lower[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] | 0x20 : text.p[i]);
	for (size_t i = 0; i < cnt; i++) {
		if (bytes_eq(bytes_of(lower, text.len), bytes_str(names[i]))) {
			*ret = (uint8_t)i;
			return ERR_NONE;
		}
	}
	return ERR_SYNTAX;
}

const char *model_rate_name(uint8_t v)
{
	return v < ARRAY_LEN(rate_names) ? rate_names[v] : "unknown";
}

const char *model_probe_name(uint8_t v)
{
	return v < ARRAY_LEN(probe_names) ? probe_names[v] : "unknown";
}

const char *model_direction_name(uint8_t v)
{
	return v < ARRAY_LEN(direction_names) ? direction_names[v] : "unknown";
}

enum err model_rate_parse(struct bytes text, uint8_t *ret)
{
	return find_name(text, rate_names, ARRAY_LEN(rate_names), ret);
}

enum err model_probe_parse(struct bytes text, uint8_t *ret)
{
	return find_name(text, probe_names, ARRAY_LEN(probe_names), ret);
}

enum err model_direction_parse(struct bytes text, uint8_t *ret)
{
	return find_name(text, direction_names, ARRAY_LEN(direction_names), ret);
}

/* ---- record ---- */

enum { VERSION = 1 };
enum field {
	F_ID = 1,
	F_ACCOUNT,
	F_NAME,
	F_DESCRIPTION,
	F_GATEWAY,
	F_CUSTOMER,
	F_INTERFACE,
	F_INTERFACE6,
	F_HEALTH,
	F_NULL_CIPHER,
	F_REPLAY,
	F_ONRAMP,
	F_PSK_SET,
	F_CREATED,
	F_MODIFIED,
};
#define REQUIRED                                                                               \
	(MODEL_RECORD_BIT(F_ID) | MODEL_RECORD_BIT(F_ACCOUNT) | MODEL_RECORD_BIT(F_NAME) |     \
	 MODEL_RECORD_BIT(F_GATEWAY) | MODEL_RECORD_BIT(F_INTERFACE))

enum health_field { H_ENABLED = 1, H_RATE, H_TYPE, H_DIRECTION, H_TARGET };
enum onramp_field {
	O_IKE_LIFETIME = 1,
	O_CHILD_LIFETIME,
	O_DPD_DELAY,
	O_REPLAY_WINDOW,
	O_MSS_CLAMP,
	O_OUTER_MTU,
	O_START_ACTION,
	O_PROFILE,
	O_ESN = 20,
	O_REKEY_BYTES,
	O_REKEY_PACKETS,
};

static void put_health(struct wr *w, const struct model_health_check *h)
{
	size_t mark = tlv_open(w, F_HEALTH);
	tlv_u8(w, H_ENABLED, h->enabled);
	tlv_u8(w, H_RATE, h->rate);
	tlv_u8(w, H_TYPE, h->type);
	tlv_u8(w, H_DIRECTION, h->direction);
	tlv_text(w, H_TARGET, h->target);
	tlv_close(w, mark);
}

static void put_onramp(struct wr *w, const struct model_tunnel_onramp *o)
{
	size_t mark = tlv_open(w, F_ONRAMP);
	tlv_u32(w, O_IKE_LIFETIME, o->ike_lifetime_s);
	tlv_u32(w, O_CHILD_LIFETIME, o->child_lifetime_s);
	tlv_u32(w, O_DPD_DELAY, o->dpd_delay_s);
	tlv_u16(w, O_REPLAY_WINDOW, o->replay_window);
	tlv_u16(w, O_MSS_CLAMP, o->mss_clamp);
	tlv_u16(w, O_OUTER_MTU, o->outer_mtu);
	tlv_u8(w, O_START_ACTION, o->start_action);
	tlv_u8(w, O_PROFILE, o->profile);
	tlv_u8(w, O_ESN, o->esn);
	tlv_u64(w, O_REKEY_BYTES, o->child_rekey_bytes);
	tlv_u64(w, O_REKEY_PACKETS, o->child_rekey_packets);
	tlv_close(w, mark);
}

enum err model_tunnel_encode(const struct model_tunnel *t, struct wr *w)
{
	tlv_begin(w, VERSION);
	model_record_put_id(w, F_ID, &t->id);
	model_record_put_id(w, F_ACCOUNT, &t->account_id);
	tlv_text(w, F_NAME, t->name);
	if (t->has_description)
		tlv_text(w, F_DESCRIPTION, t->description);
	tlv_addr(w, F_GATEWAY, &t->cloudflare_endpoint);
	tlv_addr(w, F_CUSTOMER, &t->customer_endpoint);
	tlv_prefix(w, F_INTERFACE, &t->interface_address);
	if (t->interface_address6.addr.family != ADDR_NONE)
		tlv_prefix(w, F_INTERFACE6, &t->interface_address6);
	put_health(w, &t->health_check);
	tlv_u8(w, F_NULL_CIPHER, t->allow_null_cipher);
	tlv_u8(w, F_REPLAY, t->replay_protection);
	put_onramp(w, &t->onramp);
	tlv_u64(w, F_PSK_SET, t->psk_set_us);
	tlv_u64(w, F_CREATED, t->created_us);
	tlv_u64(w, F_MODIFIED, t->modified_us);
	return model_record_written(w);
}

static enum err get_health(struct bytes value, struct model_health_check *h)
{
	struct model_record d;
	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case H_ENABLED: h->enabled = model_record_bool(&d); break;
		case H_RATE: h->rate = model_record_u8(&d, MODEL_RATE_HIGH); break;
		case H_TYPE: h->type = model_record_u8(&d, MODEL_PROBE_REQUEST); break;
		case H_DIRECTION: h->direction = model_record_u8(&d, MODEL_DIRECTION_BIDIRECTIONAL); break;
		case H_TARGET: model_record_text(&d, h->target, sizeof(h->target)); break;
		}
	}
	return model_record_end(&d, 0);
}

static enum err get_onramp(struct bytes value, struct model_tunnel_onramp *o)
{
	struct model_record d;
	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case O_IKE_LIFETIME: o->ike_lifetime_s = model_record_u32(&d); break;
		case O_CHILD_LIFETIME: o->child_lifetime_s = model_record_u32(&d); break;
		case O_DPD_DELAY: o->dpd_delay_s = model_record_u32(&d); break;
		case O_REPLAY_WINDOW: o->replay_window = model_record_u16(&d); break;
		case O_MSS_CLAMP: o->mss_clamp = model_record_u16(&d); break;
		case O_OUTER_MTU: o->outer_mtu = model_record_u16(&d); break;
		case O_START_ACTION: o->start_action = model_record_u8(&d, MODEL_START_RESPOND); break;
		case O_PROFILE: o->profile = model_record_u8(&d, MODEL_PROFILE_CNT - 1); break;
		case O_ESN: o->esn = model_record_bool(&d); break;
		case O_REKEY_BYTES: o->child_rekey_bytes = model_record_u64(&d); break;
		case O_REKEY_PACKETS: o->child_rekey_packets = model_record_u64(&d); break;
		}
	}
	return model_record_end(&d, 0);
}

static enum err get_field(struct model_record *d, unsigned type, struct model_tunnel *t)
{
	switch (type) {
	case F_ID: t->id = model_record_id(d); break;
	case F_ACCOUNT: t->account_id = model_record_id(d); break;
	case F_NAME: model_record_text(d, t->name, sizeof(t->name)); break;
	case F_DESCRIPTION:
		t->has_description = true;
		model_record_text(d, t->description, sizeof(t->description));
		break;
	case F_GATEWAY: t->cloudflare_endpoint = model_record_addr(d); break;
	case F_CUSTOMER: t->customer_endpoint = model_record_addr(d); break;
	case F_INTERFACE: t->interface_address = model_record_prefix(d); break;
	case F_INTERFACE6: t->interface_address6 = model_record_prefix(d); break;
	case F_HEALTH: return get_health(d->field.value, &t->health_check);
	case F_NULL_CIPHER: t->allow_null_cipher = model_record_bool(d); break;
	case F_REPLAY: t->replay_protection = model_record_bool(d); break;
	case F_ONRAMP: return get_onramp(d->field.value, &t->onramp);
	case F_PSK_SET: t->psk_set_us = model_record_u64(d); break;
	case F_CREATED: t->created_us = model_record_u64(d); break;
	case F_MODIFIED: t->modified_us = model_record_u64(d); break;
	}
	return ERR_NONE;
}

enum err model_tunnel_decode(struct bytes record, struct model_tunnel *ret)
{
	struct model_tunnel t;
	struct model_record d;
	enum err e = model_record_start(&d, record, VERSION);

	model_tunnel_init(&t); /* what an older record lacks has its default */
	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;)
		e = get_field(&d, type, &t);
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = t;
	return e;
}
