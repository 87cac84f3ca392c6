#include "cluster/record.h"

#include "model/key.h"

enum { VERSION = 1 };

enum node_field { NODE_INCARNATION = 1, NODE_STATE, NODE_FORMAT_OLDEST, NODE_FORMAT_NEWEST, NODE_MESH, NODE_NAME, NODE_SITE,
		  NODE_FIELDS = NODE_SITE };
enum cookie_field { COOKIE_VERSION = 1, COOKIE_TURNED, COOKIE_SEALED, COOKIE_FIELDS = COOKIE_SEALED };

/* ---- unknown fields ---- */

static void keep(struct wr *rest, const struct tlv *t)
{
	tlv_bytes(rest, t->type, t->value);
}

static void put_rest(struct wr *w, const struct cluster_rest *rest)
{
	wr_put(w, bytes_of(rest->b, rest->len));
}

/* What every decoder ends with: each of the fields 1 to cnt was there once. */
static enum err close_fields(const struct rd *r, bool ok, uint32_t seen, unsigned cnt, const struct wr *rest,
			     struct cluster_rest *ret)
{
	const uint32_t all = ((1u << cnt) - 1) << 1;

	if (r->bad || !ok || seen != all)
		return ERR_SYNTAX;
	if (rest->bad)
		return ERR_FULL;
	ret->len = (uint16_t)wr_len(rest);
	return ERR_NONE;
}

/* A known field that comes a second time is a broken record. */
static bool note(uint32_t *seen, const struct tlv *t, unsigned cnt)
{
	uint32_t bit = t->type <= cnt ? 1u << t->type : 0;
	bool again = (*seen & bit) != 0;
	*seen |= bit;
	return !again;
}

/* ---- node ---- */

void cluster_node_encode(const struct cluster_node *n, struct wr *w)
{
	tlv_begin(w, VERSION);
	tlv_u32(w, NODE_INCARNATION, n->incarnation);
	tlv_u8(w, NODE_STATE, n->state);
	tlv_u16(w, NODE_FORMAT_OLDEST, n->format_oldest);
	tlv_u16(w, NODE_FORMAT_NEWEST, n->format_newest);
	tlv_endpoint(w, NODE_MESH, &n->mesh);
	tlv_text(w, NODE_NAME, n->name);
	tlv_text(w, NODE_SITE, n->site);
	put_rest(w, &n->rest);
}

static void take_node_field(const struct tlv *t, struct cluster_node *n, struct wr *rest, bool *ok)
{
	switch (t->type) {
	case NODE_INCARNATION: n->incarnation = tlv_get_u32(t, ok); break;
	case NODE_STATE: n->state = tlv_get_u8(t, ok); break;
	case NODE_FORMAT_OLDEST: n->format_oldest = tlv_get_u16(t, ok); break;
	case NODE_FORMAT_NEWEST: n->format_newest = tlv_get_u16(t, ok); break;
	case NODE_MESH: n->mesh = tlv_get_endpoint(t, ok); break;
	case NODE_NAME: tlv_get_text(t, n->name, sizeof(n->name), ok); break;
	case NODE_SITE: tlv_get_text(t, n->site, sizeof(n->site), ok); break;
	default: keep(rest, t); break;
	}
}

enum err cluster_node_decode(struct bytes b, struct cluster_node *ret)
{
	struct cluster_node n = { 0 };
	struct wr rest = wr_of(SPACE_OF(n.rest.b));
	struct rd r = rd_of(b);
	uint32_t seen = 0;
	uint16_t version;
	bool ok = true;

	enum err e = tlv_start(&r, VERSION, &version);
	if (e != ERR_NONE)
		return e;
	for (struct tlv t; ok && tlv_next(&r, &t);) {
		ok = note(&seen, &t, NODE_FIELDS);
		take_node_field(&t, &n, &rest, &ok);
	}
	ok = ok && n.incarnation != 0 && n.mesh.port != 0 && n.format_oldest <= n.format_newest;
	e = close_fields(&r, ok, seen, NODE_FIELDS, &rest, &n.rest);
	if (e == ERR_NONE)
		*ret = n;
	return e;
}

/* ---- cookie ---- */

void cluster_cookie_encode(const struct cluster_cookie *k, struct wr *w)
{
	tlv_begin(w, VERSION);
	tlv_u8(w, COOKIE_VERSION, k->version);
	tlv_u64(w, COOKIE_TURNED, k->turned_us);
	tlv_bytes(w, COOKIE_SEALED, BYTES_OF(k->sealed));
	put_rest(w, &k->rest);
}

enum err cluster_cookie_decode(struct bytes b, struct cluster_cookie *ret)
{
	struct cluster_cookie k = { 0 };
	struct wr rest = wr_of(SPACE_OF(k.rest.b));
	struct rd r = rd_of(b);
	uint32_t seen = 0;
	uint16_t version;
	bool ok = true;

	enum err e = tlv_start(&r, VERSION, &version);
	if (e != ERR_NONE)
		return e;
	for (struct tlv t; ok && tlv_next(&r, &t);) {
		ok = note(&seen, &t, COOKIE_FIELDS);
		switch (t.type) {
		case COOKIE_VERSION: k.version = tlv_get_u8(&t, &ok); break;
		case COOKIE_TURNED: k.turned_us = tlv_get_u64(&t, &ok); break;
		case COOKIE_SEALED: tlv_get_copy(&t, k.sealed, sizeof(k.sealed), &ok); break;
		default: keep(&rest, &t); break;
		}
	}
	e = close_fields(&r, ok, seen, COOKIE_FIELDS, &rest, &k.rest);
	if (e == ERR_NONE)
		*ret = k;
	return e;
}

/* ---- keys ---- */

enum err cluster_slot_of_key(struct bytes key, uint16_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	const struct bytes prefix = bytes_str(MODEL_KEY_NODES);
	unsigned slot = 0;

	if (!bytes_starts(key, prefix) || key.len != prefix.len + 3)
		return ERR_SYNTAX;
	for (size_t i = prefix.len; i < key.len; i++) {
		const char *d = memchr(digits, key.p[i], sizeof(digits) - 1);
		if (d == NULL)
			return ERR_SYNTAX;
		slot = slot << 4 | (unsigned)(d - digits);
	}
	if (slot == 0)
		return ERR_SYNTAX;
	*ret = (uint16_t)slot;
	return ERR_NONE;
}
