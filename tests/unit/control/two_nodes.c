// The rig of two nodes: its random bytes and its socket, the nodes, their store and their peer.
#include "two_nodes.h"

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypt/random.h"
#include "fwd/lookup.h"
#include "io/udp.h"
#include "wire/ike.h"

#define TAG_SHIFT 48 /* of a transaction's tag: whose it is */

static uint64_t seed;
struct mail sent[MAIL_MAX];
unsigned sent_cnt;
enum err two_nodes_spoilt;

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

void make_node(struct bench *n, unsigned at, const struct ike_sa *sa)
{
	struct control *c = &n->node[at].c;
	struct control_tunnel *t = &n->node[at].tunnel;
	struct hmap *maps[] = { &c->tunnels, &c->sas, &c->children, &c->ops, &c->halves_by_spi, &c->halves_by_init,
				&c->sources, &c->buried, &c->reads, &c->lots, &c->relist.seen, &c->by_customer, &c->by_remote };
	const struct fwd_tunnel_config config = { .tunnel_id = sa->tunnel_id, .account_number = 7, .outer_mtu = 1500 };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		must(hmap_init(maps[i]) == ERR_NONE);
	must(fwd_new(1, at + 1, &c->fwd) == ERR_NONE && control_dh_new(1, &c->dh) == ERR_NONE);
	must(fwd_account_put(c->fwd, 7, true) == ERR_NONE && fwd_tunnel_put(c->fwd, &config) == ERR_NONE);
	must(control_steps_init(c) == ERR_NONE);
	c->clustered = c->followed = true;
	c->format = MODEL_FORMAT_OLDEST;
	c->seal_keys.cnt = 1;
	c->store = n->store;
	c->counters = fwd_control_counters(c->fwd);
	c->cfg.conf = &n->conf;
	n->node[at].socket = (struct control_socket){ (int)at, sa->path.local };
	c->cfg.sockets = &n->node[at].socket;
	c->cfg.socket_cnt = 1;
	crypt_iv_space_init(&c->ike_iv, at + 1);
	c->read_budget.left = 100;
	c->next_tag = (uint64_t)(at + 1) << TAG_SHIFT;
	c->world = n->duo->end[1].world;
	c->world.node_slot = (uint16_t)(at + 1);
	c->now_us = n->duo->now_us;
	t->account = &n->node[at].account;
	t->id = t->m.id = sa->tunnel_id;
	t->configured = true;
	hmap_add(&c->tunnels, &t->by_id, siphash(&c->hash_key, BYTES_OF(t->id.b)));
}

void free_node(struct node *d)
{
	struct control *c = &d->c;
	struct hmap *maps[] = { &c->tunnels, &c->ops, &c->by_customer, &c->by_remote };

	control_held_free(c);
	control_dh_free(c->dh);
	control_steps_free(c);
	control_sas_free(c);
	control_graves_free(c);
	control_reads_free(c);
	control_park_free(c);
	control_relist_free(c);
	control_orphans_free(c);
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

static void take_done(void *arg, const struct store_done *told)
{
	struct bench *n = arg;
	struct store_done done = *told;
	uint64_t owner = done.tag >> TAG_SHIFT;

	if (done.tag == CONTROL_TAG_QUIET)
		return;
	if (owner == 0) {
		n->reads++;
		return;
	}
	if (two_nodes_spoilt != ERR_NONE)
		done.result.err = two_nodes_spoilt;
	struct control *c = &n->node[owner - 1].c;
	if (!control_read_done(c, &done) && !control_relist_done(c, &done) && !control_ivs_done(c, &done))
		control_op_committed(c, &done);
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
	if (!control_relist_row(&n->node[n->told].c, row))
		return;
	if (bytes_eq(row->key, bytes_str(MODEL_KEY_INCARNATION)))
		control_ivs_row(&n->node[n->told].c, row);
	control_mirror_change(&n->node[n->told].c, row);
}

void poll_all(struct bench *n)
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

void settle(struct bench *n, unsigned node)
{
	n->told = node;
	for (unsigned turns = 0; n->node[node].c.op_cnt != 0 || n->node[node].c.reads.cnt != 0; turns++) {
		assert_true(turns < 1000);
		poll_all(n);
	}
	n->told = NODES;
}

void learn(struct bench *n, unsigned node)
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

void read_key(struct bench *n, unsigned node, struct model_key key)
{
	unsigned before = n->reads;

	n->told = node;
	must(store_thread_read(n->store, model_key_bytes(&key), 1) == ERR_NONE);
	while (n->reads == before)
		poll_all(n);
	n->told = NODES;
}

/* ---- the peer ---- */

unsigned take_mail(struct bench *n, struct mail *ret, unsigned max)
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

void post_by(struct bench *n, unsigned node, const struct mail *m, void (*take)(struct control *c, const struct fwd_punt *p))
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

void post(struct bench *n, unsigned node, const struct mail *m)
{
	post_by(n, node, m, control_datagram);
}

void answer(struct bench *n, const struct mail *m)
{
	static struct duo_datagram g;
	const struct duo_sa *sa = &n->duo->end[0].sas[0];

	g = (struct duo_datagram){ .to = 0, .from = sa->r.path.remote, .dest = sa->r.path.local, .len = m->len };
	memcpy(g.b, m->b, m->len);
	duo_deliver(n->duo, &g);
}

bool same(const struct mail *a, const struct mail *b)
{
	return bytes_eq(bytes_of(a->b, a->len), bytes_of(b->b, b->len));
}

struct mail peer_asks(struct bench *n, enum ike_event_kind kind)
{
	struct mail m[4];

	duo_event(n->duo, 0, kind);
	duo_run(n->duo, 1);
	unsigned cnt = take_mail(n, m, ARRAY_LEN(m));
	assert_int_equal(cnt, 1);
	return m[0];
}

struct mail peer_goes_on(struct bench *n)
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

int setup(void **state)
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

int teardown(void **state)
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

struct ike_sa sa_at(const struct bench *n, unsigned node)
{
	struct ike_sa r;
	const struct control_sa *sa = control_sa_find(&n->node[node].c, n->spi);

	assert_non_null(sa);
	control_record_read(&sa->r, &r);
	return r;
}

uint64_t drops(const struct bench *n, unsigned node, enum model_drop d)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];
	fwd_counters_sum(n->node[node].c.fwd, drop, counter);
	return drop[d];
}

uint64_t count(const struct bench *n, unsigned node, enum model_counter k)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];
	fwd_counters_sum(n->node[node].c.fwd, drop, counter);
	return counter[k];
}

bool installed(const struct bench *n, unsigned node, uint32_t spi_in)
{
	struct fwd_child_stats s;
	return control_child_find(&n->node[node].c, spi_in) != NULL &&
	       fwd_child_stats(n->node[node].c.fwd, spi_in, &s) == ERR_NONE;
}

uint32_t newest_child(const struct ike_sa *r)
{
	return r->children[r->child_cnt - 1].spi_in;
}
