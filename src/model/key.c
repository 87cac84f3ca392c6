#include "model/key.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define KEY_FORMAT __attribute__((format(printf, 1, 2)))

KEY_FORMAT static struct model_key make_key(const char *fmt, ...)
{
	struct model_key k = { 0 };
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(k.text, sizeof(k.text), fmt, ap);
	va_end(ap);
	must(n > 0 && (size_t)n < sizeof(k.text));
	return k;
}

/* Several of these are made in each handshake: by hand, for a format costs as much as a hash. */
static size_t add_text(struct model_key *k, size_t at, const char *text)
{
	size_t len = strlen(text);

	must(len < sizeof(k->text) - at);
	memcpy(k->text + at, text, len);
	return at + len;
}

static size_t add_hex(struct model_key *k, size_t at, struct bytes b)
{
	text_hex(b, k->text + at, sizeof(k->text) - at);
	return at + 2 * b.len;
}

static struct model_key make_hex_key(const char *kind, struct bytes b)
{
	struct model_key k = { 0 };
	add_hex(&k, add_text(&k, 0, kind), b);
	return k;
}

static struct model_key make_spi_key(const char *kind, uint32_t spi)
{
	uint8_t b[4];
	struct wr w = wr_of(SPACE_OF(b));
	wr_u32(&w, spi);
	return make_hex_key(kind, BYTES_OF(b));
}

static struct model_key join_ids(const char *kind, const struct model_id *a, const struct model_id *b)
{
	struct model_key k = { 0 };
	size_t at = add_hex(&k, add_text(&k, 0, kind), BYTES_OF(a->b));
	add_hex(&k, add_text(&k, at, "/"), BYTES_OF(b->b));
	return k;
}

struct model_key model_key_account(const struct model_id *account)
{
	char t[MODEL_ID_TEXT_MAX];
	return make_key(MODEL_KEY_ACCOUNTS "%s", model_id_text(account, t));
}

struct model_key model_key_account_number(uint32_t number)
{
	return make_key("cfg/acctnum/%" PRIu32, number);
}

struct model_key model_key_version(const struct model_id *account)
{
	char t[MODEL_ID_TEXT_MAX];
	return make_key("cfg/ver/%s", model_id_text(account, t));
}

struct model_key model_key_tunnel(const struct model_id *account, const struct model_id *tunnel)
{
	return join_ids("cfg/tun/", account, tunnel);
}

struct model_key model_key_psk(const struct model_id *account, const struct model_id *tunnel)
{
	return join_ids("cfg/psk/", account, tunnel);
}

struct model_key model_key_route(const struct model_id *account, const struct model_id *route)
{
	return join_ids("cfg/route/", account, route);
}

struct model_key model_key_token(const uint8_t hash[32])
{
	return make_hex_key(MODEL_KEY_TOKENS, bytes_of(hash, 32));
}

struct model_key model_key_ike(uint64_t our_spi)
{
	uint8_t b[8];
	struct wr w = wr_of(SPACE_OF(b));
	wr_u64(&w, our_spi);
	return make_hex_key(MODEL_KEY_IKE, BYTES_OF(b));
}

struct model_key model_key_child(uint32_t spi_in)
{
	return make_spi_key(MODEL_KEY_CHILD, spi_in);
}

struct model_key model_key_sequence(uint32_t spi_in)
{
	return make_spi_key(MODEL_KEY_SEQUENCE, spi_in);
}

struct model_key model_key_current(const struct model_id *tunnel)
{
	return make_hex_key(MODEL_KEY_CURRENT, BYTES_OF(tunnel->b));
}

static bool parse_hex(struct bytes key, const char *prefix, uint8_t *ret, size_t n)
{
	struct rd r = rd_of(key);

	if (!bytes_starts(key, bytes_str(prefix)))
		return false;
	rd_skip(&r, strlen(prefix));
	return text_hex_parse(rd_rest(&r), ret, n) == ERR_NONE;
}

bool model_key_ike_parse(struct bytes key, uint64_t *ret_spi)
{
	uint8_t b[8];
	struct rd r = rd_of(BYTES_OF(b));

	if (!parse_hex(key, MODEL_KEY_IKE, b, sizeof(b)))
		return false;
	*ret_spi = rd_u64(&r);
	return true;
}

static bool parse_esp_spi(struct bytes key, const char *prefix, uint32_t *ret_spi)
{
	uint8_t b[4];
	struct rd r = rd_of(BYTES_OF(b));

	if (!parse_hex(key, prefix, b, sizeof(b)))
		return false;
	*ret_spi = rd_u32(&r);
	return true;
}

bool model_key_child_parse(struct bytes key, uint32_t *ret_spi)
{
	return parse_esp_spi(key, MODEL_KEY_CHILD, ret_spi);
}

bool model_key_sequence_parse(struct bytes key, uint32_t *ret_spi)
{
	return parse_esp_spi(key, MODEL_KEY_SEQUENCE, ret_spi);
}

bool model_key_current_parse(struct bytes key, struct model_id *ret_tunnel)
{
	return parse_hex(key, MODEL_KEY_CURRENT, ret_tunnel->b, sizeof(ret_tunnel->b));
}

struct model_key model_key_tunnel_state(const struct model_id *account, const struct model_id *tunnel)
{
	return join_ids(MODEL_KEY_STATES, account, tunnel);
}

struct model_key model_key_why_all(const struct model_id *account, const struct model_id *tunnel)
{
	char a[MODEL_ID_TEXT_MAX], t[MODEL_ID_TEXT_MAX];
	return make_key(MODEL_KEY_WHY "%s/%s/", model_id_text(account, a), model_id_text(tunnel, t));
}

struct model_key model_key_why(const struct model_id *account, const struct model_id *tunnel, unsigned slot)
{
	char a[MODEL_ID_TEXT_MAX], t[MODEL_ID_TEXT_MAX];
	return make_key(MODEL_KEY_WHY "%s/%s/%u", model_id_text(account, a), model_id_text(tunnel, t), slot);
}

struct model_key model_key_unknown(unsigned slot)
{
	return make_key(MODEL_KEY_UNKNOWN "%u", slot);
}

struct model_key model_key_node(uint16_t slot)
{
	return make_key(MODEL_KEY_NODES "%03x", slot);
}

struct model_key model_key_prefix(const char *kind, const struct model_id *account)
{
	char t[MODEL_ID_TEXT_MAX];
	size_t len = strlen(kind);
	must(strchr(kind, '/') != NULL);
	return make_key("%s%s%s/", kind, kind[len - 1] == '/' ? "" : "/", model_id_text(account, t));
}
