// Pre-shared keys as control has them: from the boxes of the store to a lock of this process.
//
// A box costs a Diffie-Hellman to open: that is done once, and not in each handshake. The key then lies in memory under a key of
// this process, no more in reach than under the one that opens the box. At the start thousands of boxes would keep all tunnels
// waiting, which go on from their SAs and need no PSK for that: they are opened beside the work, or when a handshake asks.
#include "control/internal.h"

#include <stdlib.h>

#include "base/secret.h"
#include "crypt/random.h"

#define DECOY_LEN 43 /* as long as a generated key */

static const struct model_key decoy_key = { "decoy" };

MUST_USE enum err control_psks_init(struct control *c)
{
	struct crypt_seal_public own;
	uint8_t text[DECOY_LEN];

	crypt_random(c->psk_key, sizeof(c->psk_key));
	crypt_random(text, sizeof(text));
	enum err e = crypt_lock_seal(c->psk_key, model_key_bytes(&decoy_key), BYTES_OF(text), SPACE_OF(c->decoy), &c->decoy_len);
	if (e == ERR_NONE)
		e = crypt_seal_public_of(&c->seal_keys.key[0], &own);
	if (e == ERR_NONE)
		e = crypt_box_seal(&own, model_key_bytes(&decoy_key), BYTES_OF(text), SPACE_OF(c->decoy_box), &c->decoy_box_len);
	return e;
}

/* ---- from box to lock ---- */

/* Returns the new length, 0: it cannot be opened. */
static uint16_t relock(const struct control *c, struct control_tunnel *t, struct space room, uint16_t len)
{
	struct model_key key = model_key_psk(&t->account->m.id, &t->id);
	uint8_t text[SECRET_MAX];
	char id[MODEL_ID_TEXT_MAX];
	size_t text_len, locked_len = 0;
	unsigned which = 0;

	if (len == 0)
		return 0;
	enum err e = crypt_box_open_any(&c->seal_keys, model_key_bytes(&key), bytes_of(room.p, len), SPACE_OF(text), &text_len,
					&which);
	t->psk_old_seal = t->psk_old_seal || which != 0;
	if (e == ERR_NONE)
		e = crypt_lock_seal(c->psk_key, model_key_bytes(&key), bytes_of(text, text_len), room, &locked_len);
	secret_wipe(text, sizeof(text));
	if (e != ERR_NONE)
		log_error("the PSK of tunnel %s cannot be opened: %s (is seal_key the one that the database was made with?)",
			  model_id_text(&t->id, id), err_text(e));
	return e == ERR_NONE ? (uint16_t)locked_len : 0;
}

static void relock_both(struct control *c, struct control_tunnel *t)
{
	struct model_psk *m = &t->psk;

	t->psk_boxed = false;
	t->psk_old_seal = false;
	m->current_len = relock(c, t, SPACE_OF(m->current), m->current_len);
	m->previous_len = relock(c, t, SPACE_OF(m->previous), m->previous_len);
}

/* False: no memory. */
static bool put_off(struct control *c, const struct control_tunnel *t)
{
	struct control_boxes *b = &c->boxes;

	if (b->cnt == b->cap) {
		size_t cap = b->cap == 0 ? 256 : 2 * b->cap;
		struct model_id *more = realloc(b->ids, cap * sizeof(*more));
		if (more == NULL)
			return false;
		b->ids = more;
		b->cap = cap;
	}
	b->ids[b->cnt++] = t->id;
	return true;
}

/* What lies under an older sealing key is to be sealed again at the start: it is looked for there (control_keys_reseal). */
void control_psk_put(struct control *c, struct control_tunnel *t, const struct model_psk *m)
{
	t->psk = *m;
	t->has_psk = true;
	t->psk_boxed = c->store == NULL && c->seal_keys.cnt == 1 && put_off(c, t);
	if (!t->psk_boxed)
		relock_both(c, t);
}

bool control_psks_wait(const struct control *c)
{
	return c->boxes.cnt != 0;
}

void control_psks_tick(struct control *c)
{
	struct control_boxes *b = &c->boxes;

	if (b->cnt == 0)
		return;
	struct control_tunnel *t = control_tunnel_find(c, &b->ids[--b->cnt]);
	if (t != NULL && t->has_psk && t->psk_boxed)
		relock_both(c, t);
	if (b->cnt == 0)
		control_psks_free(c);
}

void control_psks_free(struct control *c)
{
	free(c->boxes.ids);
	c->boxes = (struct control_boxes){ 0 };
}

/* ---- what a handshake asks ---- */

static void open_decoy_box(const struct control *c)
{
	uint8_t text[SECRET_MAX];
	size_t len;

	must(crypt_box_open(&c->seal_keys.key[0], model_key_bytes(&decoy_key), bytes_of(c->decoy_box, c->decoy_box_len),
			    SPACE_OF(text), &len) == ERR_NONE); /* made here */
	secret_wipe(text, sizeof(text));
}

/* While boxes are left, each handshake opens two, of its tunnel or the decoy's. */
static void unbox(struct control *c, struct control_tunnel *t)
{
	unsigned boxes = 0;

	if (c->boxes.cnt == 0)
		return;
	if (t != NULL && t->has_psk && t->psk_boxed) {
		boxes = (t->psk.current_len != 0 ? 1u : 0u) + (t->psk.previous_len != 0 ? 1u : 0u);
		relock_both(c, t);
	}
	for (; boxes < 2; boxes++)
		open_decoy_box(c);
}

static void open_locked(const struct control *c, const struct control_tunnel *t, const uint8_t *locked, size_t len,
			struct secret *ret)
{
	struct model_key key = len == 0 ? decoy_key : model_key_psk(&t->account->m.id, &t->id);
	struct bytes box = len == 0 ? bytes_of(c->decoy, c->decoy_len) : bytes_of(locked, len);
	uint8_t text[SECRET_MAX];
	size_t text_len;

	*ret = (struct secret){ 0 };
	must(crypt_lock_open(c->psk_key, model_key_bytes(&key), box, SPACE_OF(text), &text_len) == ERR_NONE); /* locked here */
	if (len != 0)
		must(secret_set(ret, bytes_of(text, text_len)) == ERR_NONE);
	secret_wipe(text, sizeof(text));
}

void control_psk_open(struct control *c, struct control_tunnel *t, struct secret *ret)
{
	bool has = t != NULL && t->has_psk;

	unbox(c, t);
	open_locked(c, t, has ? t->psk.current : NULL, has ? t->psk.current_len : 0, ret);
}

void control_psk_open_previous(const struct control *c, const struct control_tunnel *t, struct secret *ret)
{
	bool has = t != NULL && t->has_psk;

	open_locked(c, t, has ? t->psk.previous : NULL, has ? t->psk.previous_len : 0, ret);
}
