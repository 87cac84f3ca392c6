// The cookie secret that all nodes of a cluster share (RFC 7296 2.6): a cookie that one gave out is good at the others.
#include "control/node.h"

#include "base/secret.h"
#include "crypt/random.h"

#define LIFE_US 120000000u  /* a secret serves so long as the newest, and so long again as the one before */
#define SETTLE_US 5000000u  /* after which every node that has news at all has the newest */
#define TRIES 8
#define DUTY_KEY UINT64_C(0x636f6f6b6965) /* "cookie" */

/* Both secrets as text, newest first. */
struct secrets {
	uint8_t b[32];
};

static struct secrets secrets_of(const struct ike_world *w)
{
	struct secrets s;
	struct wr out = wr_of(SPACE_OF(s.b));

	for (size_t i = 0; i < ARRAY_LEN(w->cookie_key); i++) {
		wr_u64(&out, w->cookie_key[i].k0);
		wr_u64(&out, w->cookie_key[i].k1);
	}
	must(!out.bad);
	return s;
}

static enum err seal(const struct control *c, struct secrets *s, struct cluster_cookie *k)
{
	size_t len;

	enum err e = crypt_lock_seal(c->secret, bytes_str(MODEL_KEY_COOKIE), BYTES_OF(s->b), SPACE_OF(k->sealed), &len);
	secret_wipe(s, sizeof(*s));
	must(e != ERR_NONE || len == sizeof(k->sealed));
	return e;
}

/* A record goes over into the world. Until SETTLE_US later cookies are made with the older secret, which
 * nodes to which this record comes later have as well. */
static enum err adopt(struct control *c, struct bytes value, uint64_t rev)
{
	struct control_node *n = c->node;
	struct cluster_cookie k;
	struct secrets s;
	size_t len;

	enum err e = cluster_cookie_decode(value, &k);
	if (e == ERR_NONE)
		e = crypt_lock_open(c->secret, bytes_str(MODEL_KEY_COOKIE), BYTES_OF(k.sealed), SPACE_OF(s.b), &len);
	if (e != ERR_NONE)
		return e;
	struct rd r = rd_of(bytes_of(s.b, len));
	for (size_t i = 0; i < ARRAY_LEN(c->world.cookie_key); i++) {
		c->world.cookie_key[i].k0 = rd_u64(&r);
		c->world.cookie_key[i].k1 = rd_u64(&r);
	}
	secret_wipe(&s, sizeof(s));
	if (!rd_done(&r))
		return ERR_SYNTAX;
	c->world.cookie_version = k.version;
	c->world.cookie_make = 1;
	n->settle_us = c->now_us + SETTLE_US;
	/* The clock of who turned it may be wrong: no secret stays for longer than it should. */
	c->cookie_turn_us = (k.turned_us < c->now_us ? k.turned_us : c->now_us) + LIFE_US;
	n->cookie = k;
	n->cookie_rev = rev;
	return ERR_NONE;
}

/* ---- start ---- */

struct found {
	struct control *c;
	enum err err;
};

static void take_row(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	f->err = adopt(f->c, row->value, row->mod_rev);
}

static struct store_result make(struct control *c, struct store *s)
{
	uint8_t room[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct cluster_cookie k = { .turned_us = c->now_us };
	struct secrets fresh;
	struct store_put put;

	crypt_random(fresh.b, sizeof(fresh.b));
	enum err e = seal(c, &fresh, &k);
	if (e != ERR_NONE)
		return (struct store_result){ .err = e };
	cluster_cookie_encode(&k, &w);
	return store_commit(s, store_put_txn(&put, bytes_str(MODEL_KEY_COOKIE), 0, wr_bytes(&w)));
}

enum err control_cookie_load(struct control *c, struct store *s)
{
	struct found f = { .c = c };
	enum err e = ERR_CONFLICT;

	for (unsigned i = 0; i < TRIES; i++) {
		e = store_get(s, bytes_str(MODEL_KEY_COOKIE), take_row, &f);
		if (e != ERR_NOTFOUND)
			break;
		e = make(c, s).err; /* of whatever became of it the next reading tells */
		if (e != ERR_NONE && e != ERR_CONFLICT && e != ERR_UNKNOWN_OUTCOME)
			break;
		e = ERR_CONFLICT;
	}
	return e != ERR_NONE ? e : f.err;
}

/* ---- later ---- */

void control_cookie_change(struct control *c, const struct store_row *row)
{
	if (row->deleted || row->mod_rev <= c->node->cookie_rev)
		return;
	enum err e = adopt(c, row->value, row->mod_rev);
	if (e != ERR_NONE)
		log_error("the cookie secret of the cluster cannot be read: %s", err_text(e));
}

static void turn(struct control *c)
{
	struct control_node *n = c->node;
	uint8_t room[CLUSTER_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct cluster_cookie k = n->cookie;
	struct ike_world next = { .cookie_key = { { 0 }, c->world.cookie_key[0] } };
	struct store_put put;

	crypt_random(&next.cookie_key[0], sizeof(next.cookie_key[0]));
	struct secrets s = secrets_of(&next);
	secret_wipe(&next, sizeof(next));
	k.version++;
	k.turned_us = c->now_us;
	enum err e = seal(c, &s, &k);
	cluster_cookie_encode(&k, &w);
	if (e == ERR_NONE)
		e = store_thread_submit(c->store, store_put_txn(&put, bytes_str(MODEL_KEY_COOKIE), n->cookie_rev, wr_bytes(&w)),
					control_node_tag(NODE_TAG_COOKIE));
	n->turning = e == ERR_NONE;
}

void control_cookie_timers(struct control *c)
{
	struct control_node *n = c->node;

	if (c->world.cookie_make != 0 && c->now_us >= n->settle_us)
		c->world.cookie_make = 0;
	if (c->now_us < c->cookie_turn_us || n->turning || !cluster_duty(&c->members, DUTY_KEY))
		return;
	/* What became of it the change tells; not before is it tried again. */
	c->cookie_turn_us = c->now_us + SETTLE_US;
	turn(c);
}
