// Sealing keys and what lies under them: PSKs in boxes to the public key, SAs and the store's secret under the symmetric one.
//
// A change of keys: the new key is put behind the old one in the file of every node, then before it, then the old one goes.
// Between two steps the nodes are started again, one after the other; no tunnel notices.
#include "control/internal.h"

#include "base/secret.h"

#define TRIES_MAX 4 /* of a change that another process was faster with */

MUST_USE enum err control_seal_record(const struct control *c, const struct model_key *key, struct bytes record,
				      struct space out, size_t *ret_len)
{
	return crypt_lock_seal(c->lock_keys[0], model_key_bytes(key), record, out, ret_len);
}

static enum err open_any(const struct control *c, const struct store_row *row, struct space out, size_t *ret_len,
			 unsigned *ret_which)
{
	enum err e = ERR_AUTH;

	for (unsigned i = 0; e == ERR_AUTH && i < c->seal_keys.cnt; i++) {
		e = crypt_lock_open(c->lock_keys[i], row->key, row->value, out, ret_len);
		if (e == ERR_NONE)
			*ret_which = i;
	}
	return e;
}

static enum err open_record(const struct control *c, const struct store_row *row, struct space out, size_t *ret_len)
{
	unsigned which;
	return open_any(c, row, out, ret_len, &which);
}

MUST_USE enum err control_open_sa(const struct control *c, const struct store_row *row, struct ike_sa *ret)
{
	static uint8_t room[IKE_SA_RECORD_MAX]; /* the control thread's own */
	size_t len = 0;

	enum err e = open_record(c, row, SPACE_OF(room), &len);
	if (e == ERR_NONE)
		e = ike_sa_decode(bytes_of(room, len), ret);
	secret_wipe(room, sizeof(room));
	return e;
}

MUST_USE enum err control_open_child(const struct control *c, const struct store_row *row, struct model_child_sa *ret)
{
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	size_t len = 0;

	enum err e = open_record(c, row, SPACE_OF(room), &len);
	if (e == ERR_NONE)
		e = model_child_decode(bytes_of(room, len), ret);
	secret_wipe(room, sizeof(room));
	return e;
}

/* ---- the store's secret ---- */

struct found {
	const struct control *c;
	uint8_t *secret;
	enum err err;       /* of opening it */
	unsigned which;
	uint64_t mod_rev;   /* 0: there is none */
};

static void read_secret(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	uint8_t text[CRYPT_SEAL_KEY_LEN];
	struct rd r;
	size_t len;

	f->mod_rev = row->mod_rev;
	f->err = open_any(f->c, row, SPACE_OF(text), &len, &f->which);
	if (f->err == ERR_NONE && len != sizeof(text))
		f->err = ERR_SYNTAX;
	r = rd_of(BYTES_OF(text));
	if (f->err == ERR_NONE)
		rd_copy(&r, f->secret, CRYPT_SEAL_KEY_LEN);
	secret_wipe(text, sizeof(text));
}

static enum err write_secret(const struct control *c, struct store *s, uint64_t mod_rev)
{
	static const struct model_key key = { MODEL_KEY_SECRET };
	uint8_t sealed[CRYPT_SEAL_KEY_LEN + CRYPT_SEAL_OVERHEAD];
	struct store_put put;
	size_t len;

	enum err e = control_seal_record(c, &key, BYTES_OF(c->secret), SPACE_OF(sealed), &len);
	if (e != ERR_NONE)
		return e;
	return store_commit(s, store_put_txn(&put, model_key_bytes(&key), mod_rev, bytes_of(sealed, len))).err;
}

/* One look at it, and what is to be written then. ERR_CONFLICT: another process was faster. */
static enum err take_secret(struct control *c, struct store *s)
{
	struct found f = { .c = c, .secret = c->secret };

	enum err e = store_get(s, bytes_str(MODEL_KEY_SECRET), read_secret, &f);
	if (e != ERR_NONE && e != ERR_NOTFOUND)
		return e;
	if (e == ERR_NONE && f.err == ERR_NONE)
		return f.which == 0 ? ERR_NONE : write_secret(c, s, f.mod_rev);
	if (e == ERR_NONE && (f.err != ERR_AUTH || c->clustered)) {
		log_error("the store's secret cannot be opened: %s (is seal_key the one that the store was made with?)",
			  err_text(f.err));
		return f.err;
	}
	if (e == ERR_NONE)
		log_warn("the sealing key is not the one that the store was made with: tunnels are set up anew, and need "
			 "their keys again");
	/* What was derived from the sealing key itself when there was no secret in the store goes on. */
	struct rd r = rd_of(BYTES_OF(c->lock_keys[c->seal_keys.cnt - 1]));
	rd_copy(&r, c->secret, sizeof(c->secret));
	return write_secret(c, s, f.mod_rev);
}

MUST_USE enum err control_keys_load(struct control *c, struct store *s)
{
	enum err e = ERR_NONE;

	for (unsigned i = 0; e == ERR_NONE && i < c->seal_keys.cnt; i++)
		e = crypt_seal_sa_key(&c->seal_keys.key[i], c->lock_keys[i]);
	if (e != ERR_NONE)
		return e;
	unsigned tries = 0;
	do
		e = take_secret(c, s);
	while ((e == ERR_CONFLICT || e == ERR_UNKNOWN_OUTCOME) && ++tries < TRIES_MAX);
	return e;
}

/* ---- PSKs ---- */

struct found_psk {
	struct model_psk psk;
	enum err err;
	uint64_t mod_rev;
};

static void read_psk(void *arg, const struct store_row *row)
{
	struct found_psk *f = arg;

	f->mod_rev = row->mod_rev;
	f->err = model_psk_decode(row->value, &f->psk);
}

/* From one box into another. One that cannot be opened stays as it is. */
static enum err rebox(const struct control *c, const struct crypt_seal_public *to, const struct model_key *key,
		      struct space box, uint16_t *len)
{
	uint8_t text[SECRET_MAX];
	size_t text_len, box_len;
	unsigned which;

	if (*len == 0)
		return ERR_NONE;
	enum err e = crypt_box_open_any(&c->seal_keys, model_key_bytes(key), bytes_of(box.p, *len), SPACE_OF(text), &text_len,
					&which);
	if (e == ERR_AUTH)
		return ERR_NONE;
	if (e == ERR_NONE)
		e = crypt_box_seal(to, model_key_bytes(key), bytes_of(text, text_len), box, &box_len);
	secret_wipe(text, sizeof(text));
	if (e == ERR_NONE)
		*len = (uint16_t)box_len;
	return e;
}

static enum err reseal(struct control *c, struct store *s, const struct crypt_seal_public *to, struct control_tunnel *t)
{
	struct model_key key = model_key_psk(&t->account->m.id, &t->id);
	uint8_t room[MODEL_PSK_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct found_psk f = { 0 };
	struct store_put put;

	enum err e = store_get(s, model_key_bytes(&key), read_psk, &f);
	if (e == ERR_NONE)
		e = f.err;
	if (e == ERR_NONE)
		e = rebox(c, to, &key, SPACE_OF(f.psk.current), &f.psk.current_len);
	if (e == ERR_NONE)
		e = rebox(c, to, &key, SPACE_OF(f.psk.previous), &f.psk.previous_len);
	if (e == ERR_NONE)
		e = model_psk_encode(&f.psk, &w);
	if (e != ERR_NONE)
		return e;
	return store_commit(s, store_put_txn(&put, model_key_bytes(&key), f.mod_rev, wr_bytes(&w))).err;
}

MUST_USE enum err control_keys_reseal(struct control *c, struct store *s)
{
	struct crypt_seal_public to;
	struct hmap_walk w;
	unsigned done = 0, left = 0;

	enum err e = crypt_seal_public_of(&c->seal_keys.key[0], &to);
	for (struct hmap_node *n = hmap_walk_first(&c->tunnels, &w); e == ERR_NONE && n != NULL;
	     n = hmap_walk_next(&c->tunnels, &w)) {
		struct control_tunnel *t = CONTAINER_OF(n, struct control_tunnel, by_id);
		if (!t->psk_old_seal)
			continue;
		bool good = reseal(c, s, &to, t) == ERR_NONE;
		t->psk_old_seal = !good;
		*(good ? &done : &left) += 1;
	}
	if (done + left != 0)
		log_info("%u pre-shared keys lay under an older sealing key and are sealed again, %u could not be", done, left);
	return e;
}
