// The IVs of all IKE SAs: one counter of the process, whatever SAs come and go. Before it ends the process takes another incarnation, under
// which it begins anew; as at the start, only an explicit success counts.
#include "control/internal.h"

#include "base/clock.h"

#define RETRY_US 1000000u
#define FIRST_TRIES 8

/* ---- at the start ---- */

struct counter {
	uint32_t value;
	uint64_t mod_rev;
};

static void read_counter(void *arg, const struct store_row *row)
{
	struct counter *c = arg;
	struct rd r = rd_of(row->value);
	uint32_t v = rd_u32(&r);
	*c = (struct counter){ rd_done(&r) ? v : 0, row->mod_rev };
}

/* Only an explicit success counts. */
MUST_USE enum err control_incarnation_take(struct store *s, uint32_t *ret)
{
	const struct bytes key = bytes_str(MODEL_KEY_INCARNATION);
	uint32_t next = 0;

	for (unsigned i = 0; i < FIRST_TRIES; i++) {
		struct counter c = { 0 };
		struct store_put put;
		uint8_t b[4];
		struct wr w = wr_of(SPACE_OF(b));
		enum err e = store_get(s, key, read_counter, &c);
		if (e != ERR_NONE && e != ERR_NOTFOUND)
			return e;
		next = crypt_iv_incarnation_next(c.value, next, clock_unix_us());
		if (next > CRYPT_IV_INCARNATION_MAX)
			return ERR_RANGE;
		wr_u32(&w, next);
		if (store_commit(s, store_put_txn(&put, key, c.mod_rev, BYTES_OF(b))).err == ERR_NONE) {
			*ret = next;
			return ERR_NONE;
		}
	}
	return ERR_CONFLICT;
}

/* ---- later ---- */

/* All IKE SAs draw from one space: none would last longer if it were rekeyed, so no step hears of its wear.
 * What a step did not use serves the next one: nobody can use IVs up with messages that are dropped. */
MUST_USE enum err control_ivs_lend(struct control *c, struct ike_event *ev)
{
	enum err e = c->iv_spare != 0 ? ERR_NONE : crypt_iv_space_take(&c->ike_iv, IKE_IV_CNT, &c->iv_spare);

	ev->iv_wear = IKE_WEAR_FINE;
	ev->iv = c->iv_spare;
	return e;
}

void control_ivs_used(struct control *c)
{
	c->iv_spare = 0;
}

void control_ivs_row(struct control *c, const struct store_row *row)
{
	struct rd r = rd_of(row->value);
	uint32_t value = rd_u32(&r);

	c->renewal.stored = rd_done(&r) ? value : 0;
	c->renewal.mod_rev = row->deleted ? 0 : row->mod_rev;
}

static void ask(struct control *c)
{
	c->renewal.tag = ++c->next_tag;
	c->renewal.writes = false;
	if (store_thread_read(c->store, bytes_str(MODEL_KEY_INCARNATION), c->renewal.tag) != ERR_NONE)
		c->renewal.tag = 0;
}

static void take(struct control *c)
{
	struct control_renewal *n = &c->renewal;
	struct store_put put;
	uint8_t b[4];
	struct wr w = wr_of(SPACE_OF(b));

	n->tag = 0;
	n->asked = crypt_iv_incarnation_next(n->stored, n->asked, clock_unix_us());
	if (n->asked > CRYPT_IV_INCARNATION_MAX)
		return;
	wr_u32(&w, n->asked);
	const uint64_t tag = ++c->next_tag;
	if (store_thread_submit(c->store, store_put_txn(&put, bytes_str(MODEL_KEY_INCARNATION), n->mod_rev, BYTES_OF(b)), tag) != ERR_NONE)
		return;
	n->tag = tag;
	n->writes = true;
}

bool control_ivs_done(struct control *c, const struct store_done *done)
{
	struct control_renewal *n = &c->renewal;

	if (n->tag == 0 || done->tag != n->tag)
		return false;
	n->tag = 0;
	if (done->result.err != ERR_NONE)
		return true; /* another number, a while later */
	if (!n->writes) {
		take(c);
		return true;
	}
	crypt_iv_space_init(&c->ike_iv, n->asked);
	c->iv_spare = 0;
	log_info("IKE goes on with incarnation %u", n->asked);
	return true;
}

void control_ivs_tick(struct control *c)
{
	if (!crypt_iv_space_is_low(&c->ike_iv) || c->renewal.tag != 0 || c->now_us < c->renewal.retry_us)
		return;
	c->renewal.retry_us = c->now_us + RETRY_US;
	ask(c);
}
