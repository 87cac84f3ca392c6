#include "model/identity.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/iana.h"
#include "base/text.h"

/* Longest text that any documented form can have: "ipsec@", two ids of 32, dots, the domain. */
#define FORM_LEN_MAX (6 + 32 + 1 + 32 + 1 + MODEL_DOMAIN_MAX)

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool equal_but_case(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

/* What stands before the first `mark`, which is taken too. A bad reader when there is none. */
static struct bytes take_until(struct rd *r, uint8_t mark)
{
	struct rd ahead = *r;
	size_t n = 0;
	while (rd_left(&ahead) > 0 && rd_u8(&ahead) != mark)
		n++;
	struct bytes head = rd_bytes(r, n);
	rd_skip(r, 1);
	return head;
}

static enum err parse_account(struct bytes text, struct model_identity *id)
{
	uint64_t number;
	if (text.len == MODEL_ID_TEXT_LEN)
		return model_id_parse(text, &id->account_id);
	if (text_u64_parse(text, UINT32_MAX, &number) != ERR_NONE || number == 0)
		return ERR_SYNTAX;
	id->account_is_number = true;
	id->account_number = (uint32_t)number;
	return ERR_NONE;
}

/* <tunnel>.<account>.<domain> */
static enum err parse_dotted(struct bytes data, const char *domain, struct model_identity *id)
{
	struct rd r = rd_of(data);
	struct bytes tunnel = take_until(&r, '.'), account = take_until(&r, '.');
	if (!equal_but_case(rd_rest(&r), bytes_str(domain)) || r.bad ||
	    model_id_parse(tunnel, &id->tunnel_id) != ERR_NONE)
		return ERR_SYNTAX;
	return parse_account(account, id);
}

/* ipsec@<tunnel>.<account>.<domain> */
static enum err parse_user(struct bytes data, const char *domain, struct model_identity *id)
{
	struct rd r = rd_of(data);
	if (!equal_but_case(take_until(&r, '@'), bytes_str("ipsec")) || r.bad)
		return ERR_SYNTAX;
	return parse_dotted(rd_rest(&r), domain, id);
}

/* <account>_<tunnel> */
static enum err parse_key(struct bytes data, struct model_identity *id)
{
	struct rd r = rd_of(data);
	enum err e = parse_account(take_until(&r, '_'), id);
	if (e != ERR_NONE || r.bad)
		return ERR_SYNTAX;
	return model_id_parse(rd_rest(&r), &id->tunnel_id);
}

static enum err parse_address(struct bytes data, size_t len, struct model_identity *id)
{
	if (data.len != len)
		return ERR_SYNTAX;
	id->by_address = true;
	id->addr = addr_from_bytes(data);
	return ERR_NONE;
}

enum err model_identity_parse(uint8_t type, struct bytes data, const char *domain, struct model_identity *ret)
{
	struct model_identity id = { .type = type };
	enum err e = ERR_UNSUPPORTED;

	if (type == IKE_ID_IPV4_ADDR)
		e = parse_address(data, 4, &id);
	else if (type == IKE_ID_IPV6_ADDR)
		e = parse_address(data, 16, &id);
	else if (type != IKE_ID_FQDN && type != IKE_ID_RFC822_ADDR && type != IKE_ID_KEY_ID)
		e = ERR_UNSUPPORTED;
	else if (data.len > FORM_LEN_MAX)
		e = ERR_SYNTAX;
	else if (type == IKE_ID_FQDN)
		e = parse_dotted(data, domain, &id);
	else if (type == IKE_ID_RFC822_ADDR)
		e = parse_user(data, domain, &id);
	else
		e = parse_key(data, &id);
	if (e == ERR_NONE)
		*ret = id;
	return e;
}

void model_identity_fqdn(uint32_t account_number, const struct model_id *tunnel, const char *domain,
			 char text[static MODEL_IDENTITY_TEXT_MAX])
{
	char id[MODEL_ID_TEXT_MAX];
	snprintf(text, MODEL_IDENTITY_TEXT_MAX, "%s.%" PRIu32 ".%s", model_id_text(tunnel, id), account_number,
		 domain);
}

void model_identity_user(uint32_t account_number, const struct model_id *tunnel, const char *domain,
			 char text[static MODEL_IDENTITY_TEXT_MAX])
{
	char id[MODEL_ID_TEXT_MAX];
	snprintf(text, MODEL_IDENTITY_TEXT_MAX, "ipsec@%s.%" PRIu32 ".%s", model_id_text(tunnel, id),
		 account_number, domain);
}

void model_identity_key(uint32_t account_number, const struct model_id *tunnel,
			char text[static MODEL_IDENTITY_TEXT_MAX])
{
	char id[MODEL_ID_TEXT_MAX];
	snprintf(text, MODEL_IDENTITY_TEXT_MAX, "%" PRIu32 "_%s", account_number, model_id_text(tunnel, id));
}

const char *model_identity_type_name(uint8_t type)
{
	switch (type) {
	case IKE_ID_IPV4_ADDR: return "ipv4";
	case IKE_ID_FQDN: return "fqdn";
	case IKE_ID_RFC822_ADDR: return "rfc822";
	case IKE_ID_IPV6_ADDR: return "ipv6";
	case IKE_ID_KEY_ID: return "keyid";
	}
	return "other";
}

/* ---- printing of what a stranger sent ---- */

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '\\';
}

static size_t escaped_len(struct bytes data)
{
	size_t n = 0;
	for (size_t i = 0; i < data.len; i++)
		n += is_plain(data.p[i]) ? 1 : 4;
	return n;
}

/* Writes data so that only printable ASCII comes out and it can be read back: other bytes, and the
 * backslash, as \xNN. What does not fit ends with "...". */
static void print_escaped(struct bytes data, struct wr *w)
{
	static const char digits[] = "0123456789abcdef";
	size_t tail = escaped_len(data) <= (size_t)(w->end - w->p) ? 0 : 3;
	for (size_t i = 0; i < data.len; i++) {
		uint8_t c = data.p[i];
		if ((size_t)(w->end - w->p) < (is_plain(c) ? 1 : 4) + tail) {
			wr_put(w, bytes_str("..."));
			return;
		}
		if (!is_plain(c)) {
			wr_put(w, bytes_str("\\x"));
			wr_u8(w, (uint8_t)digits[c >> 4]);
			c = (uint8_t)digits[c & 15];
		}
		wr_u8(w, c);
	}
}

static void print_hex(struct bytes data, struct wr *w)
{
	char hex[2 * 64 + 1];
	struct bytes head = { data.p, data.len < 64 ? data.len : 64 };
	text_hex(head, hex, sizeof(hex));
	wr_put(w, bytes_str(hex));
	if (data.len > head.len)
		wr_put(w, bytes_str("..."));
}

void model_identity_print(uint8_t type, struct bytes data, char text[static MODEL_IDENTITY_TEXT_MAX])
{
	struct wr w = wr_of((struct space){ (uint8_t *)text, MODEL_IDENTITY_TEXT_MAX - 1 });
	struct addr a = addr_from_bytes(data);
	char room[ADDR_TEXT_MAX];

	if ((type == IKE_ID_IPV4_ADDR && a.family == ADDR_V4) ||
	    (type == IKE_ID_IPV6_ADDR && a.family == ADDR_V6)) {
		snprintf(text, MODEL_IDENTITY_TEXT_MAX, "%s:%s", model_identity_type_name(type),
			 addr_format(&a, room));
		return;
	}
	if (type == IKE_ID_FQDN || type == IKE_ID_RFC822_ADDR || type == IKE_ID_KEY_ID) {
		wr_put(&w, bytes_str(model_identity_type_name(type)));
		wr_u8(&w, ':');
		print_escaped(data, &w);
	} else {
		snprintf(room, sizeof(room), "type %u:", type);
		wr_put(&w, bytes_str(room));
		print_hex(data, &w);
	}
	must(!w.bad);
	text[wr_len(&w)] = 0;
}
