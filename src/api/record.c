#include "api/record.h"

/* One row copied out of the store's call. */
struct copy {
	size_t len;
	uint64_t mod_rev;
	bool found;
	uint8_t value[STORE_VALUE_MAX];
};

static void copy_row(void *arg, const struct store_row *row)
{
	struct copy *c = arg;
	struct wr w = wr_of(SPACE_OF(c->value));

	wr_put(&w, row->value);
	must(!w.bad);
	c->len = wr_len(&w);
	c->mod_rev = row->mod_rev;
	c->found = true;
}

/* The copy stands in static room: there is one thread, and no caller keeps it over another call. */
static enum err get_row(struct store *s, const struct model_key *key, const struct copy **ret)
{
	static struct copy copy;

	if (s == NULL)
		return ERR_AWAY;
	copy.found = false;
	enum err e = store_get(s, model_key_bytes(key), copy_row, &copy);
	if (e == ERR_NONE && !copy.found)
		e = ERR_NOTFOUND;
	if (e == ERR_NONE)
		*ret = &copy;
	return e;
}

#define DEFINE_RECORD(noun, type)                                                                            \
	MUST_USE enum err api_record_##noun(struct store *s, const struct model_key *key, struct type *ret)  \
	{                                                                                                    \
		const struct copy *copy;                                                                     \
		enum err e = get_row(s, key, &copy);                                                         \
		return e != ERR_NONE ? e : type##_decode(bytes_of(copy->value, copy->len), ret);             \
	}

DEFINE_RECORD(account, model_account)
DEFINE_RECORD(token, model_token)
DEFINE_RECORD(psk, model_psk)
DEFINE_RECORD(state, model_tunnel_state)

MUST_USE enum err api_record_id(struct store *s, const struct model_key *key, struct model_id *ret)
{
	const struct copy *copy;
	enum err e = get_row(s, key, &copy);

	if (e != ERR_NONE)
		return e;
	struct rd r = rd_of(bytes_of(copy->value, copy->len));
	struct model_id id;
	rd_copy(&r, id.b, sizeof(id.b));
	if (!rd_done(&r))
		return ERR_SYNTAX;
	*ret = id;
	return ERR_NONE;
}

MUST_USE enum err api_record_u32(struct store *s, const struct model_key *key, uint32_t *ret,
				 uint64_t *ret_mod_rev)
{
	const struct copy *copy;
	enum err e = get_row(s, key, &copy);

	if (e != ERR_NONE)
		return e;
	struct rd r = rd_of(bytes_of(copy->value, copy->len));
	uint32_t v = rd_u32(&r);
	if (!rd_done(&r))
		return ERR_SYNTAX;
	*ret = v;
	*ret_mod_rev = copy->mod_rev;
	return ERR_NONE;
}

MUST_USE enum err api_record_rev(struct store *s, const struct model_key *key, uint64_t *ret_mod_rev)
{
	const struct copy *copy;
	enum err e = get_row(s, key, &copy);

	if (e == ERR_NONE || e == ERR_NOTFOUND)
		*ret_mod_rev = e == ERR_NONE ? copy->mod_rev : 0;
	return e == ERR_NOTFOUND ? ERR_NONE : e;
}
