#include "world.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/siphash.h"
#include "control/dh.h"
#include "crypt/random.h"
#include "io/udp.h"
#include "store/thread.h"

#define START_US UINT64_C(1800000000000000)
#define DATAGRAMS_MAX 4096
#define IVS_MAX 65536
#define PAYLOAD_SK 46  /* RFC 7296 3.14 */
#define PAYLOAD_SKF 53 /* RFC 7383 2.5 */
#define EXCHANGE_SA_INIT 34

struct seen_iv {
	uint64_t sa, iv, message; /* hashes of the SA's SPIs with the direction, and of the whole message */
};

struct world_faults world_faults;
static uint64_t now_us, fates, keys;
static bool dying;
static unsigned inits, repeated, datagram_cnt, iv_cnt;
static struct world_datagram datagrams[DATAGRAMS_MAX];
static struct seen_iv ivs[IVS_MAX];

/* ---- clock and chance ---- */

static uint64_t next(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	uint64_t z = *state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void world_begin(uint64_t seed)
{
	fates = seed * 2;
	keys = ~seed * 2 + 1;
	now_us = 1000000;
	inits = repeated = datagram_cnt = iv_cnt = 0;
	dying = false;
}

void world_end(void)
{
	datagram_cnt = 0;
}

uint64_t world_now_us(void)
{
	return now_us;
}

void world_advance(uint64_t us)
{
	now_us += us;
}

uint64_t world_random(uint64_t below)
{
	return below == 0 ? 0 : next(&fates) % below;
}

static bool befalls(unsigned thousandths)
{
	return world_random(1000) < thousandths;
}

void world_dying(bool on)
{
	dying = on;
}

uint64_t clock_mono_ms(void)
{
	return now_us / 1000;
}

uint64_t clock_mono_ns(void)
{
	return now_us * 1000;
}

uint64_t clock_unix_us(void)
{
	return START_US + now_us;
}

void crypt_random(void *dst, size_t n)
{
	uint8_t *p = dst;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(next(&keys) >> 32);
}

/* ---- the network ---- */

unsigned world_repeated_ivs(void)
{
	return repeated;
}

unsigned world_inits(void)
{
	return inits;
}

static uint64_t hash_of(struct bytes b)
{
	static const struct siphash_key key = { 1, 2 };
	return siphash(&key, b);
}

/* The same message may be sent again (RFC 7296 2.1), another one under the same IV may not (RFC 5282 4). */
static void check_iv(struct bytes msg)
{
	uint8_t who[17];
	struct wr w = wr_of(SPACE_OF(who));
	bool fragment = msg.len > 16 && msg.p[16] == PAYLOAD_SKF;
	size_t at = 28 + (fragment ? 8 : 4);

	if (msg.len < at + 8)
		return;
	inits += msg.p[18] == EXCHANGE_SA_INIT && (msg.p[19] & 0x28) == 0x08; /* of the initiator, a request */
	if (msg.p[16] != PAYLOAD_SK && !fragment)
		return;
	wr_put(&w, bytes_of(msg.p, 16));
	wr_u8(&w, msg.p[19] & 0x08);
	const struct seen_iv v = { hash_of(BYTES_OF(who)), hash_of(bytes_of(msg.p + at, 8)), hash_of(msg) };
	for (unsigned i = 0; i < iv_cnt; i++) {
		if (ivs[i].sa == v.sa && ivs[i].iv == v.iv) {
			repeated += ivs[i].message != v.message;
			return;
		}
	}
	must(iv_cnt < IVS_MAX);
	ivs[iv_cnt++] = v;
}

static void post(const struct world_datagram *d)
{
	must(datagram_cnt < DATAGRAMS_MAX);
	datagrams[datagram_cnt] = *d;
	datagrams[datagram_cnt++].due_us = now_us + 1 + world_random(world_faults.net_us);
}

MUST_USE enum err io_udp_send(int fd, const struct addr_endpoint *to, bool marker, struct bytes msg)
{
	struct world_datagram d = { .from = (unsigned)fd, .to = *to, .marker = marker, .len = msg.len };
	struct wr w = wr_of(SPACE_OF(d.b));

	wr_put(&w, msg);
	must(!w.bad);
	check_iv(msg);
	if (!befalls(world_faults.loss))
		post(&d);
	if (befalls(world_faults.repeat))
		post(&d);
	return ERR_NONE;
}

bool world_take(struct world_datagram *ret)
{
	for (unsigned i = 0; i < datagram_cnt; i++) {
		if (datagrams[i].due_us > now_us)
			continue;
		*ret = datagrams[i];
		datagrams[i] = datagrams[--datagram_cnt];
		return true;
	}
	return false;
}

/* ---- Diffie-Hellman ---- */

struct dh_job {
	struct dh_job *next;
	uint64_t due_us;
	struct control_dh_done done;
};

struct control_dh {
	int fd;
	struct dh_job *first, **tail;
};

MUST_USE enum err control_dh_new(unsigned threads, struct control_dh **ret)
{
	struct control_dh *d = calloc(1, sizeof(*d));

	(void)threads;
	must(d != NULL);
	d->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* always readable: whoever runs is asked for what is due */
	must(d->fd >= 0);
	d->tail = &d->first;
	*ret = d;
	return ERR_NONE;
}

void control_dh_free(struct control_dh *d)
{
	if (d == NULL)
		return;
	for (struct dh_job *j = d->first, *after; j != NULL; j = after) {
		after = j->next;
		free(j);
	}
	close(d->fd);
	free(d);
}

MUST_USE enum err control_dh_submit(struct control_dh *d, uint64_t tag, const struct ike_dh_job *job, bool urgent)
{
	struct dh_job *j = calloc(1, sizeof(*j));

	(void)urgent;
	must(j != NULL);
	j->done.tag = tag;
	j->done.err = ike_dh_run(job, &j->done.result);
	j->due_us = now_us + world_random(world_faults.dh_us);
	*d->tail = j;
	d->tail = &j->next;
	return ERR_NONE;
}

int control_dh_fd(const struct control_dh *d)
{
	return d->fd;
}

bool control_dh_take(struct control_dh *d, struct control_dh_done *ret)
{
	struct dh_job *j = d->first;

	(void)!eventfd_write(d->fd, 1);
	if (j == NULL || j->due_us > now_us)
		return false;
	*ret = j->done;
	d->first = j->next;
	if (d->first == NULL)
		d->tail = &d->first;
	free(j);
	return true;
}

/* ---- the store's thread ---- */

enum job_kind { JOB_COMMIT, JOB_READ };

/* A transaction is applied at one time and its result is told at a later one: who dies in between has committed. */
struct store_job {
	struct store_job *next;
	enum job_kind kind;
	uint64_t tag, apply_us, tell_us;
	bool applied;
	struct store_result result;
	struct store_txn txn;
	struct store_cmp cmps[STORE_TXN_CMPS_MAX];
	struct store_op ops[STORE_TXN_OPS_MAX];
	size_t used;
	uint8_t room[];
};

struct store_watch {
	char prefix[32];
	uint64_t rev;
};

struct store_thread {
	struct store *s;
	int fd;
	struct store_job *first, **tail;
	uint64_t last_us, seen;
	unsigned watch_cnt;
	struct store_watch watch[STORE_THREAD_WATCH_MAX];
};

MUST_USE enum err store_thread_start(struct store *s, int ipc_fd, const struct store_role *role, struct store_thread **ret)
{
	struct store_thread *t = calloc(1, sizeof(*t));

	(void)role;
	must(t != NULL && ipc_fd < 0);
	t->s = s;
	t->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	must(t->fd >= 0);
	t->tail = &t->first;
	*ret = t;
	return ERR_NONE;
}

MUST_USE enum err store_thread_set_ipc(struct store_thread *t, int ipc_fd)
{
	(void)t;
	must(ipc_fd < 0);
	return ERR_NONE;
}

static struct bytes keep(struct store_job *j, struct bytes b)
{
	struct wr w = wr_of((struct space){ j->room + j->used, b.len });

	wr_put(&w, b);
	j->used += b.len;
	return wr_bytes(&w);
}

static void append(struct store_thread *t, struct store_job *j, uint64_t tag)
{
	uint64_t from = t->last_us > now_us ? t->last_us : now_us;

	j->tag = tag;
	j->apply_us = from + world_random(world_faults.store_us);
	j->tell_us = t->last_us = j->apply_us + world_random(world_faults.store_us);
	*t->tail = j;
	t->tail = &j->next;
}

MUST_USE enum err store_thread_submit(struct store_thread *t, const struct store_txn *txn, uint64_t tag)
{
	size_t len = 0;

	if (dying)
		return ERR_AWAY;
	for (size_t i = 0; i < txn->cmp_cnt; i++)
		len += txn->cmps[i].key.len;
	for (size_t i = 0; i < txn->op_cnt; i++)
		len += txn->ops[i].key.len + txn->ops[i].value.len;
	struct store_job *j = calloc(1, sizeof(*j) + len);
	must(j != NULL && txn->cmp_cnt <= ARRAY_LEN(j->cmps) && txn->op_cnt <= ARRAY_LEN(j->ops));
	for (size_t i = 0; i < txn->cmp_cnt; i++)
		j->cmps[i] = (struct store_cmp){ keep(j, txn->cmps[i].key), txn->cmps[i].mod_rev };
	for (size_t i = 0; i < txn->op_cnt; i++)
		j->ops[i] = (struct store_op){ txn->ops[i].kind, keep(j, txn->ops[i].key), keep(j, txn->ops[i].value) };
	j->txn = (struct store_txn){ .cmps = j->cmps, .cmp_cnt = txn->cmp_cnt, .ops = j->ops, .op_cnt = txn->op_cnt, .lease = txn->lease };
	append(t, j, tag);
	return ERR_NONE;
}

MUST_USE enum err store_thread_read(struct store_thread *t, struct bytes key, uint64_t tag)
{
	struct store_job *j = calloc(1, sizeof(*j) + key.len);

	must(j != NULL);
	j->kind = JOB_READ;
	j->ops[0].key = keep(j, key);
	append(t, j, tag);
	return ERR_NONE;
}

/* Only gateways of a cluster list, and have leases. */
MUST_USE enum err store_thread_list(struct store_thread *t, struct bytes prefix, struct bytes after, size_t limit, uint64_t tag)
{
	(void)t, (void)prefix, (void)after, (void)limit, (void)tag;
	return ERR_FULL;
}

MUST_USE enum err store_thread_grant(struct store_thread *t, uint64_t ttl_ms, uint64_t tag)
{
	(void)t, (void)ttl_ms, (void)tag;
	return ERR_FULL;
}

MUST_USE enum err store_thread_renew(struct store_thread *t, uint64_t lease, uint64_t tag)
{
	(void)t, (void)lease, (void)tag;
	return ERR_FULL;
}

uint64_t store_thread_seen(struct store_thread *t)
{
	return t->seen;
}

bool store_thread_lost(struct store_thread *t)
{
	(void)t;
	return false;
}

int store_thread_fd(const struct store_thread *t)
{
	return t->fd;
}

static void apply(struct store_thread *t)
{
	for (struct store_job *j = t->first; j != NULL && j->apply_us <= now_us; j = j->next) {
		if (!j->applied && j->kind == JOB_COMMIT)
			j->result = store_commit(t->s, &j->txn);
		j->applied = true;
	}
}

static void tell(struct store_thread *t, struct store_job *j, store_done_fn *done, store_row_fn *change, void *arg)
{
	struct store_done d = { .tag = j->tag, .result = j->result };

	if (j->kind == JOB_READ) {
		d.result.err = store_get(t->s, j->ops[0].key, change, arg);
		d.row_cnt = d.result.err == ERR_NONE;
		if (d.result.err == ERR_NOTFOUND) {
			const struct store_row none = { .key = j->ops[0].key, .mod_rev = t->seen, .deleted = true };
			change(arg, &none);
			d.result.err = ERR_NONE;
			d.row_cnt = 1;
		}
	}
	done(arg, &d);
}

void store_thread_poll(struct store_thread *t, store_done_fn *done, store_row_fn *change, void *arg)
{
	apply(t);
	while (t->first != NULL && t->first->tell_us <= now_us) {
		struct store_job *j = t->first;
		t->first = j->next;
		if (t->first == NULL)
			t->tail = &t->first;
		tell(t, j, done, change, arg);
		free(j);
	}
	for (unsigned i = 0; i < t->watch_cnt; i++) {
		struct store_watch *w = &t->watch[i];
		must(store_changes(t->s, bytes_str(w->prefix), w->rev, change, arg, &w->rev) == ERR_NONE);
		t->seen = w->rev;
	}
}

MUST_USE enum err store_thread_watch(struct store_thread *t, struct bytes prefix, uint64_t from_rev)
{
	struct store_watch *w = &t->watch[t->watch_cnt++];
	struct wr r = wr_of(SPACE_OF(w->prefix));

	must(t->watch_cnt <= ARRAY_LEN(t->watch) && prefix.len < sizeof(w->prefix));
	wr_put(&r, prefix);
	w->rev = from_rev;
	return ERR_NONE;
}

/* The engine stays: it is the next process's too. One that dies takes along what was not yet applied. */
void store_thread_stop(struct store_thread *t)
{
	if (t == NULL)
		return;
	for (struct store_job *j = t->first, *after; j != NULL; j = after) {
		after = j->next;
		if (!dying && !j->applied && j->kind == JOB_COMMIT)
			(void)!store_commit(t->s, &j->txn).rev;
		free(j);
	}
	close(t->fd);
	free(t);
}
