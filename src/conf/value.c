#include "conf/table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/iana.h"
#include "base/text.h"
#include "conf/site.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static void *member_of(void *base, const struct conf_row *row)
{
	return (uint8_t *)base + row->offset;
}

static bool only_of(struct bytes b, const char *set)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.p[i] == 0 || strchr(set, b.p[i]) == NULL)
			return false;
	return true;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static struct bytes trim(struct bytes b)
{
	while (b.len > 0 && is_space(b.p[0]))
		b = bytes_of(b.p + 1, b.len - 1);
	while (b.len > 0 && is_space(b.p[b.len - 1]))
		b.len--;
	return b;
}

static enum err apply_text(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	char *dst = member_of(base, row);
	if (value.len >= row->max) {
		snprintf(why, CONF_WHY_MAX, "must have at most %" PRIu64 " characters", row->max - 1);
		return ERR_RANGE;
	}
	memset(dst, 0, (size_t)row->max);
	if (value.len != 0)
		memcpy(dst, value.p, value.len);
	return ERR_NONE;
}

static enum err apply_path(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if ((value.len == 0 && row->kind == CONF_PATH) || (value.len != 0 && value.p[0] != '/')) {
		snprintf(why, CONF_WHY_MAX, "must be an absolute path such as %s",
			 row->value[0] != 0 ? row->value : "/etc/onramp/file.pem");
		return ERR_RANGE;
	}
	return apply_text(row, value, base, why);
}

/* Labels of letters, digits and inner hyphens, 1 to 63 long, with single dots between them. RFC 1123 2.1. */
static bool is_domain(struct bytes b)
{
	size_t label = 0;
	for (size_t i = 0; i <= b.len; i++) {
		if (i < b.len && b.p[i] != '.') {
			label++;
			continue;
		}
		struct bytes l = { b.p + i - label, label };
		if (label == 0 || label > 63 || l.p[0] == '-' || l.p[label - 1] == '-' ||
		    !only_of(l, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-"))
			return false;
		label = 0;
	}
	return b.len > 0;
}

static enum err apply_domain(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if (!is_domain(value)) {
		snprintf(why, CONF_WHY_MAX, "must be a domain name without a dot at its end, such as "
					    "%s", row->value);
		return ERR_RANGE;
	}
	return apply_text(row, value, base, why);
}

static enum err apply_user(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if (value.len == 0 || !only_of(value, LETTERS DIGITS "_-") ||
	    !only_of(bytes_of(value.p, 1), LETTERS "_")) {
		snprintf(why, CONF_WHY_MAX, "must be the name of a user, such as %s", row->value);
		return ERR_RANGE;
	}
	return apply_text(row, value, base, why);
}

static enum err apply_level(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "error", LOG_LEVEL_ERROR },
		{ "warn", LOG_LEVEL_WARN },
		{ "info", LOG_LEVEL_INFO },
		{ "debug", LOG_LEVEL_DEBUG },
	};
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (bytes_eq(value, bytes_str(levels[i].name))) {
			*(enum log_level *)member_of(base, row) = levels[i].level;
			return ERR_NONE;
		}
	}
	snprintf(why, CONF_WHY_MAX, "must be error, warn, info or debug");
	return ERR_RANGE;
}

static enum err apply_esp_crypto(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	static const struct {
		const char *name;
		enum crypt_esp_choice choice;
	} choices[] = {
		{ "auto", CRYPT_ESP_AUTO },
		{ "ipsec-mb", CRYPT_ESP_IPSEC_MB },
		{ "openssl", CRYPT_ESP_OPENSSL },
	};
	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		if (bytes_eq(value, bytes_str(choices[i].name))) {
			*(enum crypt_esp_choice *)member_of(base, row) = choices[i].choice;
			return ERR_NONE;
		}
	}
	snprintf(why, CONF_WHY_MAX, "must be auto, ipsec-mb or openssl");
	return ERR_RANGE;
}

static enum err apply_number(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	uint64_t v;
	if (text_u64_parse(value, row->max, &v) != ERR_NONE || v < row->min) {
		snprintf(why, CONF_WHY_MAX, "must be a number from %" PRIu64 " to "
									     "%" PRIu64, row->min, row->max);
		return ERR_RANGE;
	}
	*(unsigned *)member_of(base, row) = (unsigned)v;
	return ERR_NONE;
}

/* As ip(8) and nft(8) take them. */
static enum err apply_mark(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	bool hex = value.len > 2 && value.p[0] == '0' && value.p[1] == 'x';
	struct bytes digits = hex ? bytes_of(value.p + 2, value.len - 2) : value;
	char text[16] = "";

	if (digits.len < sizeof(text) && only_of(digits, hex ? DIGITS "abcdefABCDEF" : DIGITS))
		snprintf(text, sizeof(text), "%.*s", (int)digits.len, (const char *)digits.p);
	unsigned long v = strtoul(text, NULL, hex ? 16 : 10);
	if (text[0] == 0 || v > UINT32_MAX) {
		snprintf(why, CONF_WHY_MAX, "must be a firewall mark, a number of 32 bits such as 23 or 0x17; 0 is none");
		return ERR_RANGE;
	}
	*(unsigned *)member_of(base, row) = (unsigned)v;
	return ERR_NONE;
}

static enum err apply_count(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	uint64_t v;
	if (text_u64_parse(value, row->max, &v) != ERR_NONE || (v != 0 && v < row->min)) {
		snprintf(why, CONF_WHY_MAX, "must be 0 or a number from %" PRIu64 " to %" PRIu64, row->min, row->max);
		return ERR_RANGE;
	}
	*(uint64_t *)member_of(base, row) = v;
	return ERR_NONE;
}

static enum err apply_bool(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (bytes_eq(value, bytes_str(words[i]))) {
			*(bool *)member_of(base, row) = (i & 1) != 0;
			return ERR_NONE;
		}
	}
	snprintf(why, CONF_WHY_MAX, "must be yes or no");
	return ERR_RANGE;
}

static enum err take_address(struct bytes text, struct conf *c, char *why)
{
	struct addr a;
	if (addr_parse(text, &a) != ERR_NONE || addr_is_multicast(&a) || addr_is_unspecified(&a)) {
		snprintf(why, CONF_WHY_MAX, "\"%.*s\" is not a unicast IP address such as 192.0.2.1",
			 (int)(text.len < 64 ? text.len : 64), (const char *)text.p);
		return ERR_RANGE;
	}
	for (size_t i = 0; i < c->gateway_address_cnt; i++) {
		if (addr_eq(&a, &c->gateway_addresses[i])) {
			snprintf(why, CONF_WHY_MAX, "has an address twice: "
						    "%.*s", (int)text.len, (const char *)text.p);
			return ERR_RANGE;
		}
	}
	if (c->gateway_address_cnt == CONF_ADDRESSES_MAX) {
		snprintf(why, CONF_WHY_MAX, "may have at most %d addresses", CONF_ADDRESSES_MAX);
		return ERR_RANGE;
	}
	c->gateway_addresses[c->gateway_address_cnt++] = a;
	return ERR_NONE;
}

typedef enum err take_fn(struct bytes text, struct conf *c, char *why);

/* A list with commas or spaces between its members; a comma may end a line that goes on in the next. */
static enum err apply_list(take_fn *take, struct bytes value, struct conf *c, char *why)
{
	enum err e = ERR_NONE;
	size_t start = 0;
	for (size_t i = 0; i <= value.len && e == ERR_NONE; i++) {
		if (i < value.len && value.p[i] != ',' && !is_space(value.p[i]))
			continue;
		if (i > start)
			e = take(bytes_of(value.p + start, i - start), c, why);
		start = i + 1;
	}
	return e;
}

/* "192.0.2.1:8080", "[2001:db8::1]:8080" */
static bool parse_endpoint(struct bytes value, struct addr_endpoint *ret)
{
	struct addr_endpoint ep;
	uint64_t port = 0;
	size_t colon = value.len;

	while (colon > 0 && value.p[colon - 1] != ':')
		colon--;
	struct bytes host = { value.p, colon == 0 ? 0 : colon - 1 };
	struct bytes digits = { value.p + colon, value.len - colon };
	bool brackets = host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
	if (brackets)
		host = bytes_of(host.p + 1, host.len - 2);
	if (addr_parse(host, &ep.addr) != ERR_NONE || brackets != (ep.addr.family == ADDR_V6) ||
	    addr_is_multicast(&ep.addr) || text_u64_parse(digits, 65535, &port) != ERR_NONE || port == 0)
		return false;
	ep.port = (uint16_t)port;
	*ret = ep;
	return true;
}

static enum err apply_endpoint(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if (parse_endpoint(value, member_of(base, row)))
		return ERR_NONE;
	snprintf(why, CONF_WHY_MAX, "must be an address and a port such as %s or [::1]:8080", row->value);
	return ERR_RANGE;
}

/* The address of a host: others are to reach us there. */
static enum err apply_endpoint_or_empty(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	struct addr_endpoint e = { 0 };

	if (value.len != 0 && (!parse_endpoint(value, &e) || addr_is_unspecified(&e.addr))) {
		snprintf(why, CONF_WHY_MAX, "must be a unicast address and a port such as 192.0.2.21:4700 or "
					    "[2001:db8::21]:4700");
		return ERR_RANGE;
	}
	*(struct addr_endpoint *)member_of(base, row) = e;
	return ERR_NONE;
}

static enum err apply_name(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if ((value.len == 0 && row->value[0] != 0) ||
	    !only_of(value, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS ".-_")) {
		snprintf(why, CONF_WHY_MAX, "must be a name of letters, digits, \".\", \"-\" and \"_\"");
		return ERR_RANGE;
	}
	return apply_text(row, value, base, why);
}

static enum err take_etcd_endpoint(struct bytes text, struct conf *c, char *why)
{
	struct addr_endpoint ep;

	if (!parse_endpoint(text, &ep)) {
		snprintf(why, CONF_WHY_MAX, "\"%.*s\" is not an address and a port such as 192.0.2.11:2379",
			 (int)(text.len < 64 ? text.len : 64), (const char *)text.p);
		return ERR_RANGE;
	}
	if (c->etcd_endpoint_cnt == CONF_ETCD_ENDPOINTS_MAX) {
		snprintf(why, CONF_WHY_MAX, "may have at most %d members", CONF_ETCD_ENDPOINTS_MAX);
		return ERR_RANGE;
	}
	c->etcd_endpoints[c->etcd_endpoint_cnt++] = ep;
	return ERR_NONE;
}

/* Each key of etcd is at most as long as the store's and this one's; a '/' at its end keeps "a" and "ab" apart. */
static enum err apply_etcd_prefix(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if (value.len == 0 || value.p[value.len - 1] != '/' ||
	    !only_of(value, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_./")) {
		snprintf(why, CONF_WHY_MAX, "must be letters, digits, \"-\", \"_\", \".\" and \"/\", with a \"/\" at its "
					    "end, such as %s", row->value);
		return ERR_RANGE;
	}
	return apply_text(row, value, base, why);
}

/* ---- kinds of the site's file ---- */

static enum err apply_address(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	struct addr a = { 0 };

	if (value.len != 0 &&
	    (addr_parse(value, &a) != ERR_NONE || addr_is_multicast(&a) || addr_is_unspecified(&a))) {
		snprintf(why, CONF_WHY_MAX, "must be a unicast IP address such as 192.0.2.1");
		return ERR_RANGE;
	}
	*(struct addr *)member_of(base, row) = a;
	return ERR_NONE;
}

static enum err set_identity(struct conf_identity *id, uint8_t type, struct bytes b)
{
	struct rd r = rd_of(b);

	if (b.len == 0 || b.len > CONF_IDENTITY_MAX)
		return ERR_RANGE;
	*id = (struct conf_identity){ .type = type, .len = (uint8_t)b.len };
	rd_copy(&r, id->b, b.len);
	return ERR_NONE;
}

static enum err parse_key_id(struct bytes text, struct conf_identity *id)
{
	uint8_t b[CONF_IDENTITY_MAX];

	if (!bytes_starts(text, bytes_str("0x")))
		return set_identity(id, IKE_ID_KEY_ID, text);
	struct bytes hex = bytes_of(text.p + 2, text.len - 2);
	if (hex.len / 2 > sizeof(b) || text_hex_parse(hex, b, hex.len / 2) != ERR_NONE)
		return ERR_RANGE;
	return set_identity(id, IKE_ID_KEY_ID, bytes_of(b, hex.len / 2));
}

static enum err parse_identity(struct bytes text, struct conf_identity *id)
{
	static const struct {
		const char *prefix;
		uint8_t type;
	} forms[] = {
		{ "fqdn:", IKE_ID_FQDN },
		{ "user:", IKE_ID_RFC822_ADDR },
		{ "keyid:", IKE_ID_KEY_ID },
	};
	struct addr a;

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		size_t n = strlen(forms[i].prefix);
		if (!bytes_starts(text, bytes_str(forms[i].prefix)))
			continue;
		struct bytes rest = bytes_of(text.p + n, text.len - n);
		return forms[i].type == IKE_ID_KEY_ID ? parse_key_id(rest, id) : set_identity(id, forms[i].type, rest);
	}
	if (addr_parse(text, &a) != ERR_NONE)
		return ERR_RANGE;
	return set_identity(id, a.family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR, addr_bytes(&a));
}

static enum err apply_identity(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	struct conf_identity id = { 0 };

	if (value.len != 0 && parse_identity(value, &id) != ERR_NONE) {
		snprintf(why, CONF_WHY_MAX, "must be fqdn:NAME, user:NAME@DOMAIN, keyid:TEXT, keyid:0xHEX or an IP "
					    "address, with at most %d characters", CONF_IDENTITY_MAX);
		return ERR_RANGE;
	}
	*(struct conf_identity *)member_of(base, row) = id;
	return ERR_NONE;
}

static enum err take_prefix(struct bytes text, struct conf_prefixes *list, char *why)
{
	struct addr_prefix p;

	if (addr_prefix_parse(text, &p) != ERR_NONE) {
		snprintf(why, CONF_WHY_MAX, "\"%.*s\" is not a prefix such as 10.0.0.0/24 or fd00::/64",
			 (int)(text.len < 64 ? text.len : 64), (const char *)text.p);
		return ERR_RANGE;
	}
	if (list->cnt == CONF_PREFIXES_MAX) {
		snprintf(why, CONF_WHY_MAX, "may have at most %d prefixes", CONF_PREFIXES_MAX);
		return ERR_RANGE;
	}
	if (list->cnt == list->cap) {
		unsigned cap = list->cap == 0 ? 4 : list->cap * 2;
		struct addr_prefix *all = realloc(list->p, cap * sizeof(*all));
		if (all == NULL) {
			snprintf(why, CONF_WHY_MAX, "is too long: %s", err_text(ERR_MEMORY));
			return ERR_MEMORY;
		}
		list->p = all;
		list->cap = cap;
	}
	list->p[list->cnt++] = p;
	return ERR_NONE;
}

static enum err apply_prefixes(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	struct conf_prefixes *list = member_of(base, row);
	enum err e = ERR_NONE;
	size_t start = 0;

	for (size_t i = 0; i <= value.len && e == ERR_NONE; i++) {
		if (i < value.len && value.p[i] != ',' && !is_space(value.p[i]))
			continue;
		if (i > start)
			e = take_prefix(bytes_of(value.p + start, i - start), list, why);
		start = i + 1;
	}
	return e;
}

static enum err apply_word(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	for (unsigned i = 0; row->words[i] != NULL; i++) {
		if (bytes_eq(value, bytes_str(row->words[i]))) {
			*(unsigned *)member_of(base, row) = i;
			return ERR_NONE;
		}
	}
	size_t len = (size_t)snprintf(why, CONF_WHY_MAX, "must be %s", row->words[0]);
	for (unsigned i = 1; row->words[i] != NULL && len < CONF_WHY_MAX; i++)
		len += (size_t)snprintf(why + len, CONF_WHY_MAX - len, "%s%s", row->words[i + 1] == NULL ? " or " : ", ",
					row->words[i]);
	return ERR_RANGE;
}

static enum err apply_words(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	struct conf_words words = { 0 };
	size_t start = 0;

	for (size_t i = 0; i <= value.len; i++) {
		if (i < value.len && value.p[i] != ',' && value.p[i] != '-' && !is_space(value.p[i]))
			continue;
		if (i - start >= CONF_WORD_LEN_MAX || (i > start && words.cnt == CONF_WORDS_MAX)) {
			snprintf(why, CONF_WHY_MAX, "may have at most %d words of %d characters", CONF_WORDS_MAX,
				 CONF_WORD_LEN_MAX - 1);
			return ERR_RANGE;
		}
		if (i > start)
			snprintf(words.word[words.cnt++], CONF_WORD_LEN_MAX, "%.*s", (int)(i - start),
				 (const char *)value.p + start);
		start = i + 1;
	}
	*(struct conf_words *)member_of(base, row) = words;
	return ERR_NONE;
}

static enum err apply_secret(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if (secret_set(member_of(base, row), value) != ERR_NONE) {
		snprintf(why, CONF_WHY_MAX, "must have at most %d characters", SECRET_MAX);
		return ERR_RANGE;
	}
	return ERR_NONE;
}

static enum err apply_device(const struct conf_row *row, struct bytes value, void *base, char *why)
{
	if (value.len == 0 || !only_of(value, LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "._-") || value.p[0] == '.') {
		snprintf(why, CONF_WHY_MAX, "must be the name of a network interface, such as %s", row->value);
		return ERR_RANGE;
	}
	return apply_text(row, value, base, why);
}

enum err conf_value_apply(const struct conf_row *row, struct bytes value, void *base,
			  char why[static CONF_WHY_MAX])
{
	value = trim(value);
	switch (row->kind) {
	case CONF_ADDRESSES: return apply_list(take_address, value, base, why);
	case CONF_DOMAIN: return apply_domain(row, value, base, why);
	case CONF_PATH:
	case CONF_PATH_OR_EMPTY: return apply_path(row, value, base, why);
	case CONF_USER: return apply_user(row, value, base, why);
	case CONF_LEVEL: return apply_level(row, value, base, why);
	case CONF_ESP_CRYPTO: return apply_esp_crypto(row, value, base, why);
	case CONF_NUMBER: return apply_number(row, value, base, why);
	case CONF_COUNT: return apply_count(row, value, base, why);
	case CONF_BOOL: return apply_bool(row, value, base, why);
	case CONF_ENDPOINT: return apply_endpoint(row, value, base, why);
	case CONF_ENDPOINT_OR_EMPTY: return apply_endpoint_or_empty(row, value, base, why);
	case CONF_NAME: return apply_name(row, value, base, why);
	case CONF_ETCD_ENDPOINTS: return apply_list(take_etcd_endpoint, value, base, why);
	case CONF_ETCD_PREFIX: return apply_etcd_prefix(row, value, base, why);
	case CONF_ADDRESS: return apply_address(row, value, base, why);
	case CONF_IDENTITY: return apply_identity(row, value, base, why);
	case CONF_PREFIXES: return apply_prefixes(row, value, base, why);
	case CONF_WORD: return apply_word(row, value, base, why);
	case CONF_WORDS: return apply_words(row, value, base, why);
	case CONF_SECRET: return apply_secret(row, value, base, why);
	case CONF_DEVICE: return apply_device(row, value, base, why);
	case CONF_MARK: return apply_mark(row, value, base, why);
	}
	must(false); /* a row of a kind that is none */
	return ERR_SYNTAX;
}
