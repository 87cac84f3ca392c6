// onramp-many: tunnels in a store as a gateway would have them, each with a key, a route, an IKE SA and a Child SA, but no peer; and changes
// of them at a pace, as another node would make them.
//
//   onramp-many fill CONF ACCOUNT FIRST COUNT            while no gateway runs, or before
//   onramp-many change CONF ACCOUNT FIRST COUNT RATE SECONDS     rekeys their Child SAs: a line each, SPI and when it was committed (us)
//   onramp-many list CONF                                reads all keys of tunnels: how many, bytes, milliseconds; and which SAs
//                                                        there are: how many, and a sum over the commits that made them
//
// What it writes is made and sealed by the gateway's own code.
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/secret.h"
#include "bin/store.h"
#include "control/internal.h"
#include "crypt/random.h"
#include "model/format.h"
#include "model/state.h"

#define KEYS_OF_ONE 7       /* tunnel, key, route, state, IKE SA, Child SA, and in a cluster cur */
#define ONES_A_TXN (STORE_TXN_OPS_MAX / KEYS_OF_ONE)
#define TXNS_AT_ONCE 8
#define ROOM_OF_ONE 8192    /* of its values */
#define REPLY_LEN 320       /* of the last answer, as after a rekey of a Child SA */
#define FILL_SPI 0x10000000u /* Child SAs of the fill; a change makes others, from 0x20000000 on */
#define CHANGED_SPI 0x20000000u
#define DAY_US UINT64_C(86400000000)

struct many {
	struct conf conf;
	struct host_tls tls;
	struct store *store;
	struct crypt_seal_public to;
	uint8_t lock_key[CRYPT_SEAL_KEY_LEN];
	struct model_id account;
	uint64_t now_us;
};

/* What one transaction borrows. */
struct batch {
	struct model_key keys[STORE_TXN_OPS_MAX];
	struct store_op ops[STORE_TXN_OPS_MAX];
	size_t op_cnt, used;
	uint8_t room[ONES_A_TXN * ROOM_OF_ONE];
};

static void fail(const char *what, enum err e)
{
	fprintf(stderr, "onramp-many: %s: %s\n", what, err_text(e));
	exit(1);
}

static void need(enum err e, const char *what)
{
	if (e != ERR_NONE)
		fail(what, e);
}

static void open_all(struct many *m, const char *file)
{
	struct crypt_seal_ring ring = { 0 };
	char error[CONF_ERROR_MAX];

	log_init("onramp-many", LOG_LEVEL_WARN);
	if (conf_read(file, &m->conf, error) != ERR_NONE) {
		fprintf(stderr, "onramp-many: %s\n", error);
		exit(2);
	}
	need(host_open_etcd_tls(&m->conf, &m->tls), "the certificates");
	need(host_open_seal_keys(&m->conf, &ring), "seal_key");
	need(crypt_seal_public_of(&ring.key[0], &m->to), "seal_key");
	need(crypt_seal_sa_key(&ring.key[0], m->lock_key), "seal_key");
	secret_wipe(&ring, sizeof(ring));
	need(bin_store_open(&m->conf, &m->tls, &m->store), "the store");
	m->now_us = clock_unix_us();
}

/* ---- one tunnel ---- */

static bool is_cluster(const struct many *m)
{
	return m->conf.cluster.mesh_address.port != 0;
}

static struct addr address(uint32_t a)
{
	struct addr r = { .family = ADDR_V4 };
	struct wr w = wr_of(SPACE_OF(r.b));
	wr_u32(&w, a);
	return r;
}

/* Spread like a random one, and the same again for the same number. */
static struct model_id id_of(char kind, uint32_t i)
{
	static const struct siphash_key key = { 1, 2 };
	struct model_id id;
	struct wr w = wr_of(SPACE_OF(id.b));

	wr_u64(&w, siphash_u64(&key, (uint64_t)(unsigned char)kind << 32 | i));
	wr_u64(&w, (uint64_t)(unsigned char)kind << 32 | i);
	return id;
}

static uint64_t ike_spi(uint32_t i)
{
	static const struct siphash_key key = { 3, 4 };
	return siphash_u64(&key, i) | 1;
}

static struct model_path path_of(const struct many *m, uint32_t i)
{
	return (struct model_path){ .local = { m->conf.gateway_addresses[0], IKE_NATT_PORT },
				    .remote = { address(0x64400000 + i), IKE_NATT_PORT },
				    .udp_encap = true };
}

static struct bytes write_done(struct batch *b, struct wr *w, enum err e)
{
	need(e, "a record");
	struct bytes made = wr_bytes(w);
	b->used += made.len;
	return made;
}

static struct wr write_begin(struct batch *b)
{
	return wr_of((struct space){ b->room + b->used, sizeof(b->room) - b->used });
}

static void put(struct batch *b, struct model_key key, struct bytes value)
{
	must(b->op_cnt < STORE_TXN_OPS_MAX);
	b->keys[b->op_cnt] = key;
	b->ops[b->op_cnt] = (struct store_op){ STORE_PUT, model_key_bytes(&b->keys[b->op_cnt]), value };
	b->op_cnt++;
}

static void put_sealed(const struct many *m, struct batch *b, struct model_key key, struct bytes record)
{
	struct space out = { b->room + b->used, sizeof(b->room) - b->used };
	size_t len;

	need(crypt_lock_seal(m->lock_key, model_key_bytes(&key), record, out, &len), "sealing");
	b->used += len;
	put(b, key, bytes_of(out.p, len));
}

static void put_config(const struct many *m, struct batch *b, uint32_t i)
{
	struct model_tunnel t;
	struct model_route r;
	struct model_psk psk = { .tunnel_id = id_of('t', i), .set_us = m->now_us };
	uint8_t text[43];
	size_t len;

	model_tunnel_init(&t);
	t.id = id_of('t', i);
	t.account_id = m->account;
	snprintf(t.name, sizeof(t.name), "many-%" PRIu32, i);
	t.cloudflare_endpoint = m->conf.gateway_addresses[0];
	t.interface_address = (struct addr_prefix){ address(0x0a800000 + 2 * i), 31 };
	t.onramp.dpd_delay_s = 0;
	t.psk_set_us = t.created_us = t.modified_us = m->now_us;
	struct wr w = write_begin(b);
	enum err e = model_tunnel_encode(&t, &w);
	put(b, model_key_tunnel(&m->account, &t.id), write_done(b, &w, e));

	crypt_random(text, sizeof(text));
	struct model_key key = model_key_psk(&m->account, &t.id);
	need(crypt_box_seal(&m->to, model_key_bytes(&key), BYTES_OF(text), SPACE_OF(psk.current), &len), "a PSK");
	psk.current_len = (uint16_t)len;
	w = write_begin(b);
	e = model_psk_encode(&psk, &w);
	put(b, key, write_done(b, &w, e));

	model_route_init(&r);
	r.id = id_of('r', i);
	r.account_id = m->account;
	r.prefix = (struct addr_prefix){ address(0xac100000 + i), 32 };
	r.nexthop = address(0x0a800000 + 2 * i + 1);
	r.priority = 100;
	w = write_begin(b);
	e = model_route_encode(&r, &w);
	put(b, model_key_route(&m->account, &r.id), write_done(b, &w, e));
}

static void put_child(const struct many *m, struct batch *b, uint32_t i, uint32_t spi)
{
	struct model_child_sa child = {
		.spi_in = spi, .spi_out = spi ^ 0x40000000, .ike_spi = ike_spi(i), .account_id = m->account, .tunnel_id = id_of('t', i),
		.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 }, .path = path_of(m, i), .ts_local_cnt = 1, .ts_remote_cnt = 1,
		.ts_local = { { .port_last = UINT16_MAX, .first = address(0), .last = address(UINT32_MAX) } },
		.ts_remote = { { .port_last = UINT16_MAX, .first = address(0), .last = address(UINT32_MAX) } },
		.created_us = m->now_us, .expires_us = m->now_us + DAY_US, .seq_out_first = is_cluster(m) ? 0 : CONTROL_SEQ_BLOCK };
	uint8_t room[MODEL_CHILD_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	crypt_random(&child.keys_in, 36);
	crypt_random(&child.keys_out, 36);
	need(model_child_encode(&child, model_format_newest(), &w), "a Child SA");
	put_sealed(m, b, model_key_child(spi), wr_bytes(&w));
}

static void put_ike(const struct many *m, struct batch *b, uint32_t i, uint32_t spi)
{
	static struct ike_sa sa;
	uint8_t room[IKE_SA_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	char name[MODEL_ID_TEXT_MAX];
	const struct model_id id = id_of('t', i);

	sa = (struct ike_sa){ .spi_i = ike_spi(i) ^ UINT64_MAX, .spi_r = ike_spi(i), .role = IKE_RESPONDER,
			      .state = IKE_STATE_ESTABLISHED, .auth_verified = true, .account_id = m->account, .tunnel_id = id,
			      .account_number = 1,
			      .suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256, .prf = IKE_PRF_HMAC_SHA2_256,
					 .group = IKE_GROUP_MODP2048 },
			      .path = path_of(m, i), .start_port = 500, .nat_peer = true, .fragments = true, .id_type = IKE_ID_FQDN,
			      .rx_next = 2, .reply = { .msg_id = 1, .len = REPLY_LEN }, .child_cnt = 1,
			      .children = { { .spi_in = spi, .spi_out = spi ^ 0x40000000 } }, .child_lifetime_s = 28800,
			      .ike_lifetime_s = 86400, .created_us = m->now_us, .expires_us = m->now_us + DAY_US, .last_in_us = m->now_us };
	crypt_random(&sa.keys, sizeof(sa.keys));
	crypt_random(sa.reply.b, REPLY_LEN);
	sa.id_len = (uint16_t)snprintf((char *)sa.id, sizeof(sa.id), "%s.1.%s", model_id_text(&id, name), m->conf.identity_domain);
	need(ike_sa_encode(&sa, model_format_newest(), &w), "an IKE SA");
	put_sealed(m, b, model_key_ike(ike_spi(i)), wr_bytes(&w));
	secret_wipe(&sa, sizeof(sa));
}

/* The nodes of a cluster know the SA that came last. */
static void put_rest(const struct many *m, struct batch *b, uint32_t i)
{
	const struct model_tunnel_state state = { .account_id = m->account, .tunnel_id = id_of('t', i), .up = MODEL_TUNNEL_UP,
						  .since_us = m->now_us };
	struct wr w = write_begin(b);

	enum err e = model_tunnel_state_encode(&state, &w);
	put(b, model_key_tunnel_state(&m->account, &state.tunnel_id), write_done(b, &w, e));
	if (!is_cluster(m))
		return;
	w = write_begin(b);
	wr_u64(&w, ike_spi(i));
	put(b, model_key_current(&state.tunnel_id), write_done(b, &w, ERR_NONE));
}

/* ---- fill ---- */

static void fill(struct many *m, uint32_t first, uint32_t cnt)
{
	static struct batch batches[TXNS_AT_ONCE];
	struct store_txn txns[TXNS_AT_ONCE];
	struct store_result results[TXNS_AT_ONCE];
	uint64_t begin = clock_mono_ns();

	for (uint32_t i = first; i < first + cnt;) {
		size_t n = 0;
		for (; n < TXNS_AT_ONCE && i < first + cnt; n++) {
			struct batch *b = &batches[n];
			b->op_cnt = b->used = 0;
			for (unsigned k = 0; k < ONES_A_TXN && i < first + cnt; k++, i++) {
				put_config(m, b, i);
				put_ike(m, b, i, FILL_SPI + i);
				put_child(m, b, i, FILL_SPI + i);
				put_rest(m, b, i);
			}
			txns[n] = (struct store_txn){ .ops = b->ops, .op_cnt = b->op_cnt };
		}
		store_commit_many(m->store, txns, n, results);
		for (size_t k = 0; k < n; k++)
			need(results[k].err, "a transaction");
	}
	printf("{\"tunnels\": %" PRIu32 ", \"seconds\": %.3f}\n", cnt, (double)(clock_mono_ns() - begin) / 1e9);
}

/* ---- change ---- */

/* As a rekey by the peer does it: the new Child SA with its IKE SA's record, and the old one goes. */
static void change_one(struct many *m, uint32_t i, uint32_t old, uint32_t new)
{
	static struct batch b;

	b.op_cnt = b.used = 0;
	m->now_us = clock_unix_us();
	put_ike(m, &b, i, new);
	put_child(m, &b, i, new);
	put(&b, model_key_child(old), (struct bytes){ NULL, 0 });
	b.ops[2].kind = STORE_DELETE;
	const struct store_txn txn = { .ops = b.ops, .op_cnt = b.op_cnt };
	need(store_commit(m->store, &txn).err, "a change");
	printf("%08x %" PRIu64 " %" PRIu64 "\n", new, m->now_us, clock_unix_us());
}

static void change(struct many *m, uint32_t first, uint32_t cnt, double rate, double seconds)
{
	uint64_t begin = clock_mono_ns();
	uint32_t done = 0;

	for (double at; (at = (double)(clock_mono_ns() - begin) / 1e9) < seconds;) {
		if (at * rate < done) {
			poll(NULL, 0, 1);
			continue;
		}
		uint32_t i = first + done % cnt, round = done / cnt;
		change_one(m, i, round == 0 ? FILL_SPI + i : CHANGED_SPI + (round - 1) * 0x100000 + i, CHANGED_SPI + round * 0x100000 + i);
		done++;
	}
}

/* ---- list ---- */

struct counted {
	uint64_t keys, bytes;
	uint64_t ike, child, sum; /* of those that were not made anew the sum stays as it was */
};

static void count_row(void *arg, const struct store_row *row)
{
	static const struct siphash_key key = { 5, 6 };
	struct counted *c = arg;
	bool ike = bytes_starts(row->key, bytes_str(MODEL_KEY_IKE)), child = bytes_starts(row->key, bytes_str(MODEL_KEY_CHILD));

	c->keys++;
	c->bytes += row->key.len + row->value.len;
	c->ike += ike;
	c->child += child;
	if (ike || child)
		c->sum += siphash(&key, row->key) ^ siphash_u64(&key, row->create_rev);
}

static void list(struct many *m)
{
	static const char *const kinds[] = { "cfg/tun/", "cfg/psk/", "cfg/route/", "st/", MODEL_KEY_IKE, MODEL_KEY_CHILD, MODEL_KEY_CURRENT, "seq/" };
	struct counted c = { 0 };
	uint64_t begin = clock_mono_ns();

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		need(store_range(m->store, bytes_str(kinds[i]), (struct bytes){ NULL, 0 }, 0, count_row, &c, NULL), "the list");
	printf("{\"keys\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"ms\": %.1f, \"ike\": %" PRIu64 ", \"child\": %" PRIu64 ", \"sum\": %" PRIu64 "}\n",
	       c.keys, c.bytes, (double)(clock_mono_ns() - begin) / 1e6, c.ike, c.child, c.sum);
}

int main(int argc, char **argv)
{
	static struct many m;

	if (argc == 6 && strcmp(argv[1], "fill") == 0) {
		open_all(&m, argv[2]);
		need(model_id_parse(bytes_str(argv[3]), &m.account), "the account's id");
		fill(&m, (uint32_t)strtoul(argv[4], NULL, 10), (uint32_t)strtoul(argv[5], NULL, 10));
	} else if (argc == 8 && strcmp(argv[1], "change") == 0) {
		open_all(&m, argv[2]);
		need(model_id_parse(bytes_str(argv[3]), &m.account), "the account's id");
		change(&m, (uint32_t)strtoul(argv[4], NULL, 10), (uint32_t)strtoul(argv[5], NULL, 10), strtod(argv[6], NULL), strtod(argv[7], NULL));
	} else if (argc == 3 && strcmp(argv[1], "list") == 0) {
		open_all(&m, argv[2]);
		list(&m);
	} else {
		fprintf(stderr, "usage: onramp-many fill CONF ACCOUNT FIRST COUNT\n"
				"       onramp-many change CONF ACCOUNT FIRST COUNT RATE SECONDS\n"
				"       onramp-many list CONF\n");
		return 2;
	}
	store_free(m.store);
	host_tls_fini(&m.tls);
	return 0;
}
