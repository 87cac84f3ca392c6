// Two nodes over one store and one peer: each message of an established IKE SA may come to either. The nodes learn of each other's commits
// only when the test lets them, so that each of them can lag behind.
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../exchange/duo.h"
#include "base/clock.h"
#include "control/internal.h"
#include "fwd/lookup.h"
#include "crypt/random.h"
#include "io/udp.h"
#include "wire/ike.h"

#define NODES 2
#define MAIL_MAX 64
#define TAG_SHIFT 48

struct mail {
	unsigned node; /* that sent it, or is to get it */
	size_t len;
	uint8_t b[IKE_REPLY_MAX];
};

struct node {
	struct control c;
	struct control_account account;
	struct control_tunnel tunnel;
	struct control_socket socket;
};

struct bench {
	struct node node[NODES];
	struct conf conf;
	struct store_thread *store;
	struct duo *duo;
	uint64_t spi;
	unsigned told;       /* the node to which rows go */
	unsigned reads;      /* results of reads of the test itself */
	struct bytes kept;   /* the last row's value, and its revisions */
	uint64_t kept_mod, kept_create;
	bool kept_deleted;
	uint8_t room[STORE_VALUE_MAX];
};

static uint64_t seed;
static struct mail sent[MAIL_MAX];
static unsigned sent_cnt;

/* Instead of crypt's: the same in each run. */
void crypt_random(void *dst, size_t n)
{
	uint8_t *p = dst;
	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		p[i] = (uint8_t)(seed >> 56);
	}
}

/* Instead of io's: fd is the number of the node. */
MUST_USE enum err io_udp_send(int fd, const struct addr_endpoint *to, bool marker, struct bytes msg)
{
	struct mail *m = &sent[sent_cnt++];
	struct wr w = wr_of(SPACE_OF(m->b));

	(void)to;
	(void)marker;
	must(sent_cnt <= MAIL_MAX);
	wr_put(&w, msg);
	must(!w.bad);
	m->node = (unsigned)fd;
	m->len = msg.len;
	return ERR_NONE;
}

/* ---- the nodes ---- */

static void make_node(struct bench *n, unsigned at, const struct ike_sa *sa)
{
	struct control *c = &n->node[at].c;
	struct control_tunnel *t = &n->node[at].tunnel;
	struct hmap *maps[] = { &c->tunnels, &c->sas, &c->children, &c->ops, &c->halves_by_spi, &c->halves_by_init,
				&c->sources, &c->buried, &c->reads, &c->lots, &c->relist.seen };
	const struct fwd_tunnel_config config = { .tunnel_id = sa->tunnel_id, .account_number = 7, .outer_mtu = 1500 };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		must(hmap_init(maps[i]) == ERR_NONE);
	must(fwd_new(1, at + 1, &c->fwd) == ERR_NONE && control_dh_new(1, &c->dh) == ERR_NONE);
	must(fwd_account_put(c->fwd, 7, true) == ERR_NONE && fwd_tunnel_put(c->fwd, &config) == ERR_NONE);
	must(control_steps_init(c) == ERR_NONE);
	c->clustered = true;
	c->format = MODEL_FORMAT_OLDEST;
	c->seal_keys.cnt = 1;
	c->store = n->store;
	c->counters = fwd_control_counters(c->fwd);
	c->cfg.conf = &n->conf;
	n->node[at].socket = (struct control_socket){ (int)at, sa->path.local };
	c->cfg.sockets = &n->node[at].socket;
	c->cfg.socket_cnt = 1;
	crypt_iv_space_init(&c->ike_iv, at + 1);
	c->read_budget = 100;
	c->next_tag = (uint64_t)(at + 1) << TAG_SHIFT;
	c->world = n->duo->end[1].world;
	c->world.node_slot = (uint16_t)(at + 1);
	c->now_us = n->duo->now_us;
	t->account = &n->node[at].account;
	t->id = t->m.id = sa->tunnel_id;
	t->configured = true;
	hmap_add(&c->tunnels, &t->by_id, siphash(&c->hash_key, BYTES_OF(t->id.b)));
}

static void free_node(struct node *d)
{
	struct control *c = &d->c;
	struct hmap *maps[] = { &c->tunnels, &c->ops };

	control_held_free(c);
	control_dh_free(c->dh);
	control_steps_free(c);
	control_sas_free(c);
	control_mirror_free(c);
	control_reads_free(c);
	control_park_free(c);
	control_relist_free(c);
	explain_history_free(&d->tunnel.why);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		hmap_fini(maps[i]);
	fwd_free(c->fwd);
}

static void put_sealed(const struct bench *n, struct store *s, struct model_key key, struct bytes record)
{
	uint8_t sealed[IKE_SA_RECORD_MAX + CRYPT_SEAL_OVERHEAD];
	size_t len;

	must(control_seal_record(&n->node[0].c, &key, record, SPACE_OF(sealed), &len) == ERR_NONE);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), bytes_of(sealed, len) };
	must(store_commit(s, &(struct store_txn){ .ops = &op, .op_cnt = 1 }).err == ERR_NONE);
}

/* ---- the store ---- */

static void take_done(void *arg, const struct store_done *done)
{
	struct bench *n = arg;
	uint64_t owner = done->tag >> TAG_SHIFT;

	if (done->tag == CONTROL_TAG_QUIET)
		return;
	if (owner == 0)
		n->reads++;
	else if (!control_read_done(&n->node[owner - 1].c, done) && !control_relist_done(&n->node[owner - 1].c, done) &&
		 !control_ivs_done(&n->node[owner - 1].c, done))
		control_op_committed(&n->node[owner - 1].c, done);
}

static void take_row(void *arg, const struct store_row *row)
{
	struct bench *n = arg;
	struct wr w = wr_of(SPACE_OF(n->room));

	wr_put(&w, row->value);
	n->kept = wr_bytes(&w);
	n->kept_mod = row->mod_rev;
	n->kept_create = row->create_rev;
	n->kept_deleted = row->deleted;
	if (n->told >= NODES)
		return;
	control_relist_row(&n->node[n->told].c, row);
	if (bytes_eq(row->key, bytes_str(MODEL_KEY_INCARNATION)))
		control_ivs_row(&n->node[n->told].c, row);
	control_mirror_change(&n->node[n->told].c, row);
}

static void poll_all(struct bench *n)
{
	struct pollfd p[1 + NODES] = { { store_thread_fd(n->store), POLLIN, 0 } };
	struct control_dh_done dh;
	uint64_t cnt;

	for (unsigned i = 0; i < NODES; i++)
		p[1 + i] = (struct pollfd){ control_dh_fd(n->node[i].c.dh), POLLIN, 0 };
	assert_true(poll(p, 1 + NODES, 10000) > 0);
	store_thread_poll(n->store, take_done, take_row, n);
	for (unsigned i = 0; i < NODES; i++) {
		if (p[1 + i].revents != 0)
			assert_int_equal(read(p[1 + i].fd, &cnt, sizeof(cnt)), sizeof(cnt));
		while (control_dh_take(n->node[i].c.dh, &dh))
			control_op_dh_done(&n->node[i].c, &dh);
	}
}

/* Until the node waits for nothing. What it reads goes to it alone. */
static void settle(struct bench *n, unsigned node)
{
	n->told = node;
	for (unsigned turns = 0; n->node[node].c.op_cnt != 0 || n->node[node].c.reads.cnt != 0; turns++) {
		assert_true(turns < 1000);
		poll_all(n);
	}
	n->told = NODES;
}

/* The node learns all that the store has, as from a list; deletions are told by learn_end. */
static void learn(struct bench *n, unsigned node)
{
	static const char *const prefixes[] = { MODEL_KEY_CHILD, MODEL_KEY_IKE, MODEL_KEY_CURRENT };
	unsigned before = n->reads;

	n->told = node;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		must(store_thread_list(n->store, bytes_str(prefixes[i]), bytes_str(""), 64, 1) == ERR_NONE);
	while (n->reads < before + ARRAY_LEN(prefixes))
		poll_all(n);
	control_mirror_settle(&n->node[node].c);
	n->told = NODES;
}

static void read_key(struct bench *n, unsigned node, struct model_key key)
{
	unsigned before = n->reads;

	n->told = node;
	must(store_thread_read(n->store, model_key_bytes(&key), 1) == ERR_NONE);
	while (n->reads == before)
		poll_all(n);
	n->told = NODES;
}

/* ---- the peer ---- */

/* What it has sent since. */
static unsigned take_mail(struct bench *n, struct mail *ret, unsigned max)
{
	struct duo *d = n->duo;
	unsigned cnt = 0;

	for (unsigned i = 0; i < d->flight_cnt; i++) {
		const struct duo_datagram *g = &d->flight[i];
		if (g->esp || g->to != 1)
			continue;
		must(cnt < max);
		ret[cnt] = (struct mail){ .len = g->len };
		memcpy(ret[cnt++].b, g->b, g->len);
	}
	d->flight_cnt = 0;
	return cnt;
}

static void post_by(struct bench *n, unsigned node, const struct mail *m, void (*take)(struct control *c, const struct fwd_punt *p))
{
	static struct fwd_punt p;
	const struct duo_sa *sa = &n->duo->end[0].sas[0];

	p = (struct fwd_punt){ .local = sa->r.path.remote, .remote = sa->r.path.local, .len = (uint16_t)m->len };
	memcpy(p.msg, m->b, m->len);
	n->node[node].c.now_us = n->duo->now_us;
	take(&n->node[node].c, &p);
	settle(n, node);
	n->node[node].c.now_us += 30000;
	control_held_run(&n->node[node].c);
}

static void post(struct bench *n, unsigned node, const struct mail *m)
{
	post_by(n, node, m, control_datagram);
}

/* To the peer. */
static void answer(struct bench *n, const struct mail *m)
{
	static struct duo_datagram g;
	const struct duo_sa *sa = &n->duo->end[0].sas[0];

	g = (struct duo_datagram){ .to = 0, .from = sa->r.path.remote, .dest = sa->r.path.local, .len = m->len };
	memcpy(g.b, m->b, m->len);
	duo_deliver(n->duo, &g);
}

static bool same(const struct mail *a, const struct mail *b)
{
	return bytes_eq(bytes_of(a->b, a->len), bytes_of(b->b, b->len));
}

/* Something that the peer does unasked: what it sends. */
static struct mail peer_asks(struct bench *n, enum ike_event_kind kind)
{
	struct mail m[4];

	duo_event(n->duo, 0, kind);
	duo_run(n->duo, 1);
	unsigned cnt = take_mail(n, m, ARRAY_LEN(m));
	assert_int_equal(cnt, 1);
	return m[0];
}

/* What it sends next of itself: a Delete that is due, a liveness check when all is quiet. */
static struct mail peer_goes_on(struct bench *n)
{
	struct mail m[4];

	for (unsigned i = 0; i < 100; i++) {
		n->duo->now_us += 999000;
		duo_run(n->duo, 1000);
		unsigned cnt = take_mail(n, m, ARRAY_LEN(m));
		if (cnt != 0) {
			assert_int_equal(cnt, 1);
			return m[0];
		}
	}
	fail_msg("the peer is silent");
	return m[0];
}

/* ---- the frame ---- */

static int setup(void **state)
{
	static const struct store_role nobody = { .read = NULL };
	struct bench *n = calloc(1, sizeof(*n));
	struct store *s;
	struct ike_sa sa;
	uint8_t room[IKE_SA_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	seed = 1;
	sent_cnt = 0;
	must(n != NULL && (n->duo = malloc(sizeof(*n->duo))) != NULL && store_memory_new(&s) == ERR_NONE);
	duo_init(n->duo, 1);
	n->duo->now_us = clock_unix_us();
	n->duo->real_dh = true;
	duo_up(n->duo);
	must(duo_sa(n->duo, 1, &sa) && ike_sa_encode(&sa, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
	must(crypt_encr_is_aead(sa.suite.encr));
	n->spi = ike_sa_our_spi(&sa);
	put_sealed(n, s, model_key_ike(n->spi), wr_bytes(&w));
	for (unsigned i = 0; i < n->duo->end[1].child_cnt; i++) {
		const struct model_child_sa *child = &n->duo->end[1].children[i].sa;
		w = wr_of(SPACE_OF(room));
		must(model_child_encode(child, MODEL_FORMAT_OLDEST, &w) == ERR_NONE);
		put_sealed(n, s, model_key_child(child->spi_in), wr_bytes(&w));
	}
	must(store_thread_start(s, -1, &nobody, &n->store) == ERR_NONE);
	n->duo->flight_cnt = 0;
	n->told = NODES;
	n->conf = (struct conf){ .half_open_max = 100, .half_open_per_address = 100, .half_open_per_prefix = 100,
				 .cookie_threshold = 100, .identity_domain = "ipsec.example.net" };
	for (unsigned i = 0; i < NODES; i++)
		make_node(n, i, &sa);
	for (unsigned i = 0; i < NODES; i++)
		learn(n, i);
	*state = n;
	return 0;
}

/* Empty for what is sent in the clear. */
static struct bytes iv_of(const struct mail *m)
{
	struct wire_ike_header h;
	struct rd r = rd_of(bytes_of(m->b, m->len));

	must(wire_ike_header_parse(bytes_of(m->b, m->len), &h) == ERR_NONE);
	rd_skip(&r, WIRE_IKE_HEADER_LEN + 4);
	return h.exchange == IKE_EX_SA_INIT ? bytes_of(NULL, 0) : rd_bytes(&r, 8);
}

/* An IV of a counter never comes twice under a key, whoever sent and whatever was tried again. */
static void check_ivs(void)
{
	for (unsigned i = 0; i < sent_cnt; i++)
		for (unsigned k = 0; k < i; k++) /* the same message again is no new one */
			assert_true(iv_of(&sent[i]).len == 0 || !bytes_eq(iv_of(&sent[i]), iv_of(&sent[k])) ||
				    same(&sent[i], &sent[k]));
}

static int teardown(void **state)
{
	struct bench *n = *state;

	check_ivs();
	for (unsigned i = 0; i < NODES; i++)
		free_node(&n->node[i]);
	store_thread_stop(n->store);
	duo_fini(n->duo);
	free(n->duo);
	free(n);
	return 0;
}

static struct ike_sa sa_at(const struct bench *n, unsigned node)
{
	struct ike_sa r;
	const struct control_sa *sa = control_sa_find(&n->node[node].c, n->spi);

	assert_non_null(sa);
	control_record_read(&sa->r, &r);
	return r;
}

static uint64_t drops(const struct bench *n, unsigned node, enum model_drop d)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];
	fwd_counters_sum(n->node[node].c.fwd, drop, counter);
	return drop[d];
}

static uint64_t count(const struct bench *n, unsigned node, enum model_counter k)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];
	fwd_counters_sum(n->node[node].c.fwd, drop, counter);
	return counter[k];
}

static bool installed(const struct bench *n, unsigned node, uint32_t spi_in)
{
	struct fwd_child_stats s;
	return control_child_find(&n->node[node].c, spi_in) != NULL &&
	       fwd_child_stats(n->node[node].c.fwd, spi_in, &s) == ERR_NONE;
}

static uint32_t newest_child(const struct ike_sa *r)
{
	return r->children[r->child_cnt - 1].spi_in;
}

/* ---- tests ---- */

static void what_the_store_has_is_installed_at_both(void **state)
{
	struct bench *n = *state;

	for (unsigned i = 0; i < NODES; i++) {
		const struct ike_sa r = sa_at(n, i);
		assert_int_equal(r.child_cnt, 1);
		assert_true(installed(n, i, r.children[0].spi_in));
		assert_true(n->node[i].tunnel.up);
	}
}

static void a_request_repeated_to_the_other_node_gets_the_same_answer(void **state)
{
	struct bench *n = *state;
	const struct mail request = peer_asks(n, IKE_EV_REKEY_CHILD);

	post(n, 0, &request);
	assert_int_equal(sent_cnt, 1);
	assert_int_equal(sa_at(n, 0).child_cnt, 2);
	assert_int_equal(sa_at(n, 1).child_cnt, 1); /* it has not heard of it */
	post(n, 1, &request);
	assert_int_equal(sent_cnt, 2);
	assert_true(same(&sent[0], &sent[1]));
	assert_int_equal(count(n, 1, MODEL_COUNTER_ike_retransmit_answered), 1);
	assert_int_equal(sa_at(n, 1).child_cnt, 2);
	learn(n, 1);
	const struct ike_sa r = sa_at(n, 1);
	assert_true(installed(n, 1, newest_child(&r)));
	answer(n, &sent[1]);
	assert_int_equal(n->duo->end[0].child_cnt, 2);
}

static void a_liveness_check_is_answered_anywhere_without_a_write(void **state)
{
	struct bench *n = *state;

	/* The first request shows that the peer has its Child SA: that is news. */
	const struct mail first = peer_goes_on(n);
	post(n, 0, &first);
	answer(n, &sent[0]);
	read_key(n, NODES, model_key_ike(n->spi));
	uint64_t rev = n->kept_mod;
	for (unsigned i = 1; i < 6; i++) {
		const struct mail check = peer_goes_on(n);
		post(n, i % NODES, &check);
		assert_int_equal(sent_cnt, i + 1);
		assert_int_equal(sent[i].node, i % NODES);
		answer(n, &sent[i]);
		learn(n, 1);
	}
	read_key(n, NODES, model_key_ike(n->spi));
	assert_int_equal(n->kept_mod, rev);
	assert_int_equal(n->duo->end[0].failures[MODEL_FAILURE_LIVENESS], 0);
	/* Ids have gone on without the store: the next change is taken all the same. */
	const struct mail request = peer_asks(n, IKE_EV_REKEY_CHILD);
	post(n, 0, &request);
	assert_int_equal(sa_at(n, 0).child_cnt, 2);
}

static void a_node_that_lags_deletes_what_it_has_not_heard_of(void **state)
{
	struct bench *n = *state;
	const struct mail request = peer_asks(n, IKE_EV_REKEY_CHILD);
	post(n, 0, &request);
	const uint32_t old = sa_at(n, 0).children[0].spi_in;
	answer(n, &sent[0]);
	/* The peer deletes the Child SA that was replaced, at a node that knows of no replacement. */
	const struct mail ends = peer_goes_on(n);
	post(n, 1, &ends);
	const struct ike_sa r = sa_at(n, 1);
	assert_int_equal(r.child_cnt, 1);
	assert_int_not_equal(r.children[0].spi_in, old);
	assert_false(installed(n, 1, old));
	learn(n, 1);
	assert_true(installed(n, 1, r.children[0].spi_in));
	answer(n, &sent[sent_cnt - 1]);
	read_key(n, 0, model_key_child(old));
	assert_true(n->kept_deleted);
	assert_false(installed(n, 0, old));
}

static void an_end_is_answered_again_by_the_other_node(void **state)
{
	struct bench *n = *state;
	const struct mail request = peer_asks(n, IKE_EV_CLOSE);

	post(n, 0, &request);
	assert_int_equal(sa_at(n, 0).state, IKE_STATE_CLOSED);
	post(n, 1, &request);
	assert_int_equal(sent_cnt, 2);
	assert_true(same(&sent[0], &sent[1]));
	assert_int_equal(sa_at(n, 1).state, IKE_STATE_CLOSED);
	/* Three minutes later it is forgotten. */
	n->node[0].c.now_us += 170 * UINT64_C(1000000);
	control_sas_timers(&n->node[0].c);
	read_key(n, 0, model_key_ike(n->spi));
	assert_false(n->kept_deleted);
	n->node[0].c.now_us += 20 * UINT64_C(1000000);
	control_sas_timers(&n->node[0].c);
	read_key(n, 0, model_key_ike(n->spi));
	assert_true(n->kept_deleted);
	assert_null(control_sa_find(&n->node[0].c, n->spi));
	read_key(n, 1, model_key_ike(n->spi));
	assert_null(control_sa_find(&n->node[1].c, n->spi));
}

/* Each has the time for the same rekey come, and neither has heard of the other's. */
static void of_two_requests_for_the_same_only_one_leaves(void **state)
{
	struct bench *n = *state;
	const struct ike_event due = { .kind = IKE_EV_REKEY_CHILD, .now_us = n->duo->now_us };

	control_sa_event(&n->node[0].c, control_sa_find(&n->node[0].c, n->spi), &due);
	settle(n, 0);
	learn(n, 1);
	for (unsigned i = 0; i < NODES; i++) {
		const struct ike_event tick = { .kind = IKE_EV_TIMER, .now_us = n->node[i].c.now_us += 1 };
		control_sa_event(&n->node[i].c, control_sa_find(&n->node[i].c, n->spi), &tick);
		settle(n, i);
	}
	assert_int_equal(sent_cnt, 1);
	assert_int_equal(sent[0].node, 0);
	assert_int_equal(sa_at(n, 1).request.kind, IKE_REQUEST_REKEY_CHILD);
	/* Either can send it again: it is in the record, to the last byte. */
	for (unsigned i = 0; i < NODES; i++)
		assert_int_equal(sa_at(n, i).request.msg_id, sa_at(n, 0).request.msg_id);
}

static void an_answer_that_comes_before_its_request_is_known_is_taken(void **state)
{
	struct bench *n = *state;
	struct mail m[4];
	const struct ike_event due = { .kind = IKE_EV_REKEY_CHILD, .now_us = n->duo->now_us };
	const struct ike_event tick = { .kind = IKE_EV_TIMER, .now_us = n->duo->now_us + 1 };
	struct control *c = &n->node[0].c;

	control_sa_event(c, control_sa_find(c, n->spi), &due);
	settle(n, 0);
	control_sa_event(c, control_sa_find(c, n->spi), &tick);
	settle(n, 0);
	assert_int_equal(sent_cnt, 1);
	answer(n, &sent[0]);
	assert_int_equal(take_mail(n, m, ARRAY_LEN(m)), 1);
	assert_int_equal(sa_at(n, 1).request.kind, IKE_REQUEST_NONE);
	post(n, 1, &m[0]);
	const struct ike_sa r = sa_at(n, 1);
	assert_int_equal(r.child_cnt, 2);
	assert_true(installed(n, 1, newest_child(&r)));
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_msgid), 0);
	learn(n, 0);
	assert_true(installed(n, 0, newest_child(&r)));
}

static void rows_that_come_late_change_nothing(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	uint8_t old[STORE_VALUE_MAX];
	const struct model_key ike = model_key_ike(n->spi);

	read_key(n, NODES, ike);
	const struct store_row row = { .key = model_key_bytes(&ike), .value = bytes_of(old, n->kept.len),
				       .create_rev = n->kept_create, .mod_rev = n->kept_mod };
	memcpy(old, n->kept.p, n->kept.len);
	const struct mail request = peer_asks(n, IKE_EV_REKEY_CHILD);
	post(n, 0, &request);
	learn(n, 1);
	assert_int_equal(sa_at(n, 1).child_cnt, 2);
	control_mirror_change(c, &row);
	assert_int_equal(sa_at(n, 1).child_cnt, 2);
	/* The key is gone, and then the row comes once more. */
	const struct store_row gone = { .key = row.key, .mod_rev = row.mod_rev + 100, .deleted = true };
	control_mirror_change(c, &gone);
	assert_null(control_sa_find(c, n->spi));
	control_mirror_change(c, &row);
	assert_null(control_sa_find(c, n->spi));
}

static void a_child_sa_that_comes_again_goes_on_with_its_counters(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	uint8_t value[STORE_VALUE_MAX];
	const uint32_t spi = sa_at(n, 1).children[0].spi_in;
	const struct model_key key = model_key_child(spi);

	read_key(n, NODES, key);
	struct store_row row = { .key = model_key_bytes(&key), .value = bytes_of(value, n->kept.len),
				 .create_rev = n->kept_create, .mod_rev = n->kept_mod };
	memcpy(value, n->kept.p, n->kept.len);
	const struct store_row gone = { .key = row.key, .mod_rev = row.mod_rev + 1, .deleted = true };
	control_mirror_change(c, &gone);
	assert_false(installed(n, 1, spi));
	control_mirror_change(c, &row); /* late */
	assert_false(installed(n, 1, spi));
	row.create_rev = row.mod_rev = gone.mod_rev + 1;
	control_mirror_change(c, &row);
	assert_true(installed(n, 1, spi));
}

/* A read may give what was there before a deletion that has come by already. */
static void a_row_that_is_older_than_its_end_comes_to_nothing(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	uint8_t value[STORE_VALUE_MAX];
	const struct mail request = peer_asks(n, IKE_EV_REKEY_CHILD);

	post(n, 0, &request);
	const uint32_t spi = sa_at(n, 0).children[1].spi_in;
	const struct model_key key = model_key_child(spi);
	read_key(n, NODES, key);
	const struct store_row row = { .key = model_key_bytes(&key), .value = bytes_of(value, n->kept.len),
				       .create_rev = n->kept_create, .mod_rev = n->kept_mod };
	memcpy(value, n->kept.p, n->kept.len);
	const struct store_row gone = { .key = row.key, .mod_rev = row.mod_rev + 1, .deleted = true };
	assert_false(installed(n, 1, spi));
	control_mirror_change(c, &gone);
	control_mirror_change(c, &row);
	assert_false(installed(n, 1, spi));
}

static void an_ike_sa_that_is_not_known_is_looked_up_once(void **state)
{
	struct bench *n = *state;
	const struct model_key ike = model_key_ike(n->spi);
	const struct store_row gone = { .key = model_key_bytes(&ike), .mod_rev = 3, .deleted = true };

	/* A node that has not heard of it yet. */
	control_mirror_change(&n->node[1].c, &gone);
	control_mirror_free(&n->node[1].c);
	must(hmap_init(&n->node[1].c.buried) == ERR_NONE);
	assert_null(control_sa_find(&n->node[1].c, n->spi));
	const struct mail check = peer_goes_on(n);
	post(n, 1, &check);
	assert_int_equal(sent_cnt, 1);
	answer(n, &sent[0]);
	/* One that there is not: dropped when the store has said so. */
	struct mail forged = check;
	uint8_t random[8] = { 9 };
	struct wr w = wr_of((struct space){ forged.b + 8, 8 });
	wr_u64(&w, ike_spi_make(&n->node[1].c.world.spi_key, 0, random));
	post(n, 1, &forged);
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_unknown_spi), 1);
	/* What another node has sent here is still that afterwards, and goes no further. */
	post_by(n, 1, &forged, control_datagram_forwarded);
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_forwarded), 1);
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_unknown_spi), 1);
	/* And no more of them than the budget has. */
	n->node[1].c.read_budget = 0;
	n->duo->now_us = n->node[1].c.now_us;
	n->node[1].c.read_fill_us = n->duo->now_us;
	post(n, 1, &forged);
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_looked_up), 1);
	assert_int_equal(sent_cnt, 1);
}

/* The node reads the whole store again, as it does now and then. */
static void list_again(struct bench *n, unsigned node)
{
	struct control *c = &n->node[node].c;

	n->told = node;
	control_relist_tick(c); /* the first sets the time */
	c->now_us = c->relist.next_us;
	control_relist_tick(c);
	for (unsigned turns = 0; c->relist.on; turns++) {
		assert_true(turns < 100);
		c->now_us += 1000000;
		control_relist_tick(c);
		while (c->relist.waits)
			poll_all(n);
	}
	n->told = NODES;
}

static void a_list_finds_what_the_watch_has_not_told(void **state)
{
	struct bench *n = *state;
	const uint32_t old = sa_at(n, 1).children[0].spi_in;
	const struct mail request = peer_asks(n, IKE_EV_REKEY_CHILD);

	post(n, 0, &request);
	answer(n, &sent[0]);
	const struct mail ends = peer_goes_on(n);
	post(n, 0, &ends);
	assert_true(installed(n, 1, old));
	list_again(n, 1);
	const struct ike_sa r = sa_at(n, 1);
	assert_int_equal(r.child_cnt, 1);
	assert_false(installed(n, 1, old));
	assert_true(installed(n, 1, newest_child(&r)));
	/* An IKE SA that is gone goes too, and what is there stays. */
	const struct model_key key = model_key_ike(n->spi);
	const struct store_op op = { .kind = STORE_DELETE, .key = model_key_bytes(&key) };
	must(store_thread_submit(n->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, 1) == ERR_NONE);
	list_again(n, 1);
	assert_null(control_sa_find(&n->node[1].c, n->spi));
	assert_true(installed(n, 1, newest_child(&r)));
}

/* The peer begins anew, with INITIAL_CONTACT, at that node. Returns our SPI of the new IKE SA. */
static uint64_t shake_hands(struct bench *n, unsigned node)
{
	struct mail m[4];
	struct wire_ike_header h;

	duo_start(n->duo);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(take_mail(n, m, ARRAY_LEN(m)), 1);
		unsigned before = sent_cnt;
		post(n, node, &m[0]);
		assert_true(sent_cnt > before);
		answer(n, &sent[before]);
	}
	must(wire_ike_header_parse(bytes_of(m[0].b, m[0].len), &h) == ERR_NONE);
	assert_non_null(control_sa_find(&n->node[node].c, h.spi_r));
	return h.spi_r;
}

static bool stands(const struct bench *n, unsigned node, uint64_t spi)
{
	const struct control_sa *sa = control_sa_find(&n->node[node].c, spi);
	return sa != NULL && sa->r.state == IKE_STATE_ESTABLISHED && !sa->r.closing;
}

static void of_two_handshakes_at_two_nodes_the_later_one_drops_the_earlier(void **state)
{
	struct bench *n = *state;
	uint64_t second = shake_hands(n, 0);

	assert_false(stands(n, 0, n->spi));
	assert_true(stands(n, 0, second));
	/* This node knows of the first one alone, as if all came at once. */
	assert_true(stands(n, 1, n->spi));
	uint64_t third = shake_hands(n, 1);
	assert_true(stands(n, 1, third));
	assert_non_null(control_sa_find(&n->node[1].c, second));
	assert_false(stands(n, 1, second));
	assert_false(stands(n, 1, n->spi));
	learn(n, 0);
	assert_false(stands(n, 0, second));
	assert_true(stands(n, 0, third));
	assert_int_equal(n->node[0].tunnel.cur_spi, third);
}

/* All duties are the other node's, or this one's. */
static void give_duties(struct bench *n, unsigned node, bool ours)
{
	struct cluster_members *m = &n->node[node].c.members;

	m->on = m->held = true;
	m->self = (uint16_t)(node + 1);
	for (unsigned i = 0; i < CLUSTER_BUCKETS; i++)
		m->owner[i] = (uint16_t)(ours ? node + 1 : NODES + 1);
}

static void what_is_due_is_done_by_whose_duty_it_is(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;

	give_duties(n, 1, false);
	c->now_us += 40 * UINT64_C(1000000); /* the peer is silent for longer than dpd_delay_s */
	control_sas_timers(c);
	settle(n, 1);
	assert_int_equal(sent_cnt, 0);
	/* The other node has died. */
	give_duties(n, 1, true);
	c->now_us += 1000000;
	control_sas_timers(c);
	settle(n, 1);
	control_held_run(c);
	assert_int_equal(sent_cnt, 1);
	assert_int_equal(sa_at(n, 1).request.kind, IKE_REQUEST_LIVENESS);
	/* Its answer may come to any. */
	answer(n, &sent[0]);
	struct mail m[4];
	assert_int_equal(take_mail(n, m, ARRAY_LEN(m)), 1);
	post(n, 0, &m[0]);
	assert_int_equal(sa_at(n, 0).request.kind, IKE_REQUEST_NONE);
}

static void the_end_of_a_lifetime_is_everybodys(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	const uint32_t spi = sa_at(n, 1).children[0].spi_in;
	struct fwd_child_stats s;

	give_duties(n, 1, false);
	c->now_us = control_child_find(c, spi)->expires_us + 1;
	control_children_timers(c);
	settle(n, 1);
	assert_int_equal(fwd_child_stats(c->fwd, spi, &s), ERR_NOTFOUND);
	assert_int_equal(sent_cnt, 0);
	/* The Delete is sent once the duty is ours. */
	give_duties(n, 1, true);
	c->now_us += 1000000;
	control_children_timers(c);
	settle(n, 1);
	assert_int_equal(sa_at(n, 1).request.kind, IKE_REQUEST_DELETE_CHILD);
}

static void a_rekey_of_a_child_sa_that_is_not_known_here_is_not_refused(void **state)
{
	struct bench *n = *state;

	/* Once the peer is known to have its first Child SA, a request that is refused changes nothing. */
	const struct mail check = peer_goes_on(n);
	post(n, 0, &check);
	answer(n, &sent[0]);
	learn(n, 1);
	const struct mail first = peer_asks(n, IKE_EV_REKEY_CHILD);
	post(n, 0, &first);
	answer(n, &sent[1]);
	const struct mail ends = peer_goes_on(n);
	post(n, 0, &ends);
	answer(n, &sent[sent_cnt - 1]);
	const struct mail second = peer_asks(n, IKE_EV_REKEY_CHILD);
	post(n, 1, &second);
	answer(n, &sent[sent_cnt - 1]);
	const struct ike_sa r = sa_at(n, 1);
	assert_int_equal(r.child_cnt, 2);
	assert_int_equal(r.child_rekeys, 2);
	assert_int_equal(n->duo->end[0].failures[MODEL_FAILURE_REKEY_REFUSED], 0);
}

static void before_its_ivs_end_a_node_takes_another_incarnation(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	uint8_t b[4];
	struct wr w = wr_of(SPACE_OF(b));
	const struct store_op op = { STORE_PUT, bytes_str(MODEL_KEY_INCARNATION), BYTES_OF(b) };

	wr_u32(&w, 1u << 29);
	control_ivs_tick(c);
	assert_int_equal(c->renewal.tag, 0); /* it has plenty */
	atomic_store(&c->ike_iv.next, UINT64_C(3) << (CRYPT_IV_COUNTER_BITS - 2));
	n->told = 1;
	control_ivs_tick(c);
	while (!c->renewal.writes) {
		poll_all(n);
		assert_int_not_equal(c->renewal.tag, 0);
	}
	/* Another process has got a far higher number meanwhile. */
	must(store_thread_submit(n->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, CONTROL_TAG_QUIET) == ERR_NONE);
	while (c->renewal.tag != 0)
		poll_all(n);
	uint32_t first = c->ike_iv.incarnation;
	assert_true(first > 2 && first < 1u << 29);
	assert_int_equal(atomic_load(&c->ike_iv.next), 0);
	atomic_store(&c->ike_iv.next, UINT64_C(3) << (CRYPT_IV_COUNTER_BITS - 2));
	c->now_us += 1000000;
	control_ivs_tick(c);
	while (c->renewal.tag != 0)
		poll_all(n);
	assert_int_equal(c->ike_iv.incarnation, (1u << 29) + 1);
	n->told = NODES;
	const struct mail check = peer_goes_on(n);
	post(n, 1, &check);
	answer(n, &sent[0]);
}

/* Its records come one after the other, the one without the Child SAs first. */
static void a_rekey_of_the_ike_sa_elsewhere_lets_no_tunnel_go_down(void **state)
{
	struct bench *n = *state;
	const struct mail request = peer_asks(n, IKE_EV_REKEY_IKE);
	uint64_t since = n->node[1].tunnel.since_us;

	post(n, 0, &request);
	n->node[1].c.now_us += 1000;
	read_key(n, 1, model_key_ike(n->spi));
	assert_int_equal(control_sa_find(&n->node[1].c, n->spi)->r.child_cnt, 0);
	assert_true(n->node[1].tunnel.up);
	learn(n, 1);
	assert_true(n->node[1].tunnel.up);
	assert_int_equal(n->node[1].tunnel.since_us, since);
	assert_int_equal(n->node[1].tunnel.ike_rekeys, 1);
}

/* On which a packet of the tunnel would go out. */
static uint32_t sends_on(const struct bench *n, unsigned node, uint32_t any_spi)
{
	static const uint8_t packet[20] = { 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };
	struct fwd_reader *reader = fwd_reader_join(n->node[node].c.fwd, 0);
	struct wire_ip ip;
	enum model_drop why;

	assert_int_equal(wire_ip_parse(BYTES_OF(packet), &ip), ERR_NONE);
	const struct fwd_child *child = fwd_tunnel_sender(fwd_child_tunnel(fwd_child_find(reader, any_spi)), &ip, &why);
	assert_non_null(child);
	uint32_t spi = fwd_child_spi_in(child);
	fwd_reader_leave(reader);
	return spi;
}

/* A Child SA that was replaced stays a while, and of both the one that is read first comes to a tunnel that has none. */
static void a_node_that_starts_sends_on_the_child_sa_that_came_last(void **state)
{
	struct bench *n = *state;
	const struct mail check = peer_goes_on(n); /* it has the first one */
	struct ike_event tick = { .kind = IKE_EV_TIMER };
	struct mail reply;

	post(n, 0, &check);
	answer(n, &sent[0]);
	tick.now_us = n->node[0].c.now_us + 1;
	assert_int_equal(control_tunnel_rekey(&n->node[0].c, &n->node[0].tunnel, false), ERR_NONE);
	settle(n, 0);
	control_sa_event(&n->node[0].c, control_sa_find(&n->node[0].c, n->spi), &tick);
	settle(n, 0);
	answer(n, &sent[1]);
	assert_int_equal(take_mail(n, &reply, 1), 1);
	post(n, 0, &reply);
	const struct ike_sa r = sa_at(n, 0);
	assert_true(r.child_cnt == 2 && r.children[0].replaced && !r.children[0].unproven && !r.children[1].replaced && !r.children[1].unproven);
	for (unsigned first = 0; first < 2; first++) {
		free_node(&n->node[1]);
		n->node[1] = (struct node){ 0 };
		make_node(n, 1, &r);
		n->node[1].c.next_tag += 1000 * (first + 1); /* of another process */
		read_key(n, 1, model_key_child(r.children[first].spi_in));
		read_key(n, 1, model_key_child(r.children[1 - first].spi_in));
		read_key(n, 1, model_key_ike(n->spi));
		assert_int_equal(sends_on(n, 1, r.children[0].spi_in), r.children[1].spi_in);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_store_has_is_installed_at_both),
		TEST(a_request_repeated_to_the_other_node_gets_the_same_answer),
		TEST(a_liveness_check_is_answered_anywhere_without_a_write),
		TEST(a_node_that_lags_deletes_what_it_has_not_heard_of),
		TEST(an_end_is_answered_again_by_the_other_node),
		TEST(of_two_requests_for_the_same_only_one_leaves),
		TEST(an_answer_that_comes_before_its_request_is_known_is_taken),
		TEST(rows_that_come_late_change_nothing),
		TEST(a_child_sa_that_comes_again_goes_on_with_its_counters),
		TEST(a_row_that_is_older_than_its_end_comes_to_nothing),
		TEST(a_list_finds_what_the_watch_has_not_told),
		TEST(of_two_handshakes_at_two_nodes_the_later_one_drops_the_earlier),
		TEST(what_is_due_is_done_by_whose_duty_it_is),
		TEST(the_end_of_a_lifetime_is_everybodys),
		TEST(a_rekey_of_a_child_sa_that_is_not_known_here_is_not_refused),
		TEST(before_its_ivs_end_a_node_takes_another_incarnation),
		TEST(a_rekey_of_the_ike_sa_elsewhere_lets_no_tunnel_go_down),
		TEST(a_node_that_starts_sends_on_the_child_sa_that_came_last),
		TEST(an_ike_sa_that_is_not_known_is_looked_up_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
