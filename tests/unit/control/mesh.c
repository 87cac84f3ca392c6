// Two nodes and their mesh over loopback sockets: what one says comes to the other, once, and nothing else does.
#include "control/node.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cluster/link.h"
#include "cluster/pieces.h"
#include "io/udp.h"
#include "model/format.h"

enum { PATIENCE_MS = 10000 };

static const struct conf_cluster conf = { .mesh_address = { .port = 1 }, .site = "default" };
static struct control *a, *b; /* slots 1 and 2, incarnations 10 and 20 */
static struct addr_endpoint at_b;

static struct control *make_node(uint16_t slot, uint32_t incarnation, struct addr_endpoint *ret_at)
{
	struct control *c = calloc(1, sizeof(*c));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	const struct addr_endpoint any = { addr_from_v4_u32(0x7f000001), 0 };

	assert_non_null(c);
	c->cfg.cluster = &conf;
	c->cfg.incarnation = incarnation;
	c->now_us = 1000000000;
	memset(c->secret, 5, sizeof(c->secret));
	assert_int_equal(fwd_new(1, incarnation, &c->fwd), ERR_NONE);
	c->counters = fwd_control_counters(c->fwd);
	assert_int_equal(hmap_init(&c->children), ERR_NONE);
	assert_int_equal(io_udp_open(&any, &c->cfg.mesh_fd), ERR_NONE);
	assert_int_equal(getsockname(c->cfg.mesh_fd, (struct sockaddr *)&ss, &len), 0);
	*ret_at = io_sockaddr_to(&ss);
	cluster_members_init(&c->members, "default", c->now_us);
	cluster_members_self(&c->members, slot, true, false);
	assert_int_equal(control_mesh_start(c), ERR_NONE);
	return c;
}

static void introduce(struct control *to, uint16_t slot, uint32_t incarnation, const struct addr_endpoint *at)
{
	const struct cluster_node n = { .incarnation = incarnation, .state = CLUSTER_UP, .mesh = *at, .site = "default" };
	assert_int_equal(cluster_members_put(&to->members, slot, &n, 1, to->now_us), ERR_NONE);
}

static int begin(void **state)
{
	(void)state;
	struct addr_endpoint at_a;
	a = make_node(1, 10, &at_a);
	b = make_node(2, 20, &at_b);
	introduce(a, 2, 20, &at_b);
	introduce(b, 1, 10, &at_a);
	return 0;
}

static void free_node(struct control *c)
{
	control_mesh_free(c);
	hmap_fini(&c->children);
	fwd_free(c->fwd);
	free(c);
}

static int end(void **state)
{
	(void)state;
	free_node(a);
	free_node(b);
	return 0;
}

static uint64_t dropped(const struct control *c, enum model_drop d)
{
	return atomic_load(&c->counters->drop[d]);
}

static uint64_t taken(const struct control *c)
{
	return atomic_load(&c->counters->counter[MODEL_COUNTER_mesh_in]);
}

/* Until that many datagrams were taken. */
static void hear(struct control *c, uint64_t cnt)
{
	struct pollfd p = { .fd = c->cfg.mesh_fd, .events = POLLIN };
	while (taken(c) < cnt) {
		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		control_mesh_receive(c);
	}
}

static void pings_keep_the_other_alive(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		a->now_us += CLUSTER_PING_US;
		b->now_us += CLUSTER_PING_US;
		control_mesh_timers(a);
		hear(b, i + 1);
		control_mesh_timers(b);
		assert_true(cluster_alive(&b->members, 1));
	}
	for (unsigned i = 0; i < 6; i++) {
		b->now_us += CLUSTER_PING_US;
		control_mesh_timers(b);
	}
	assert_false(cluster_alive(&b->members, 1));
	control_mesh_forward(b, 1, &(struct fwd_punt){ .len = 28 });
	assert_int_equal(dropped(b, MODEL_DROP_mesh_gone), 1);
}

static void revision_comes_to_the_site(void **state)
{
	(void)state;
	control_mesh_applied(a, 77);
	control_mesh_timers(a);
	hear(b, 1);
	while (control_mesh_site_applied(b) != 77) /* the hint, then the ping, or the ping alone */
		hear(b, taken(b) + 1);
}

/* What is forwarded is whole, whatever its length: the datagram is refused as IKE because it is all zero, once each. */
static void forwarded_datagram_comes_in_pieces_or_whole(void **state)
{
	(void)state;
	static struct fwd_punt p = { .natt = true };
	static const uint16_t lens[] = { 28, 1400, 1500, FWD_PUNT_MSG_MAX };
	const struct addr_endpoint peer = { addr_from_v4_u32(0xc6336407), 4500 };
	uint64_t datagrams = 0;
	p.local = p.remote = peer;
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		p.len = lens[i];
		control_mesh_forward(a, 2, &p);
		datagrams += cluster_pieces_cnt(1 + 1 + 2 * 7 + (size_t)lens[i]); /* kind, flags, endpoints */
		hear(b, datagrams);
		assert_int_equal(dropped(b, MODEL_DROP_ike_malformed), i + 1);
	}
	assert_int_equal(dropped(b, MODEL_DROP_mesh_malformed), 0);
	assert_int_equal(dropped(b, MODEL_DROP_mesh_pieces), 0);
}

/* What of SAs comes by the mesh must be of SAs, and goes to nodes that lag alone. */
static void row_comes_to_a_node_that_lags(void **state)
{
	const struct model_key child = model_key_child(0x01020304), tick = { MODEL_KEY_TICK };

	(void)state;
	control_mesh_row(a, 5, 5, model_key_bytes(&child), bytes_str(CONTROL_LARVAL));
	hear(b, 1);
	assert_int_equal(b->larval_spi, 0x01020304);
	control_mesh_row(a, 5, 5, model_key_bytes(&tick), bytes_str("x"));
	hear(b, 2);
	assert_int_equal(dropped(b, MODEL_DROP_mesh_unwanted), 1);
	cluster_members_applied(&a->members, 2, 5);
	control_mesh_row(a, 5, 5, model_key_bytes(&child), bytes_str(CONTROL_LARVAL));
	control_mesh_row(a, 6, 6, model_key_bytes(&child), bytes_str(CONTROL_LARVAL));
	hear(b, 3);
	assert_int_equal(atomic_load(&a->counters->counter[MODEL_COUNTER_mesh_out]), 3);
}

/* A tunnel, and what it takes to install its Child SAs. */
static struct control_tunnel *add_tunnel(struct control *c)
{
	static struct control_account account;
	struct control_tunnel *t = calloc(1, sizeof(*t));
	const struct fwd_tunnel_config config = { .tunnel_id = { { 7 } }, .account_number = 7, .outer_mtu = 1500 };
	struct hmap *maps[] = { &c->tunnels, &c->sas, &c->buried, &c->lots };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		assert_int_equal(hmap_init(maps[i]), ERR_NONE);
	c->seal_keys.cnt = 1;
	t->id = t->m.id = config.tunnel_id;
	t->configured = true;
	t->account = &account;
	hmap_add(&c->tunnels, &t->by_id, siphash(&c->hash_key, BYTES_OF(t->id.b)));
	assert_int_equal(fwd_account_put(c->fwd, 7, true), ERR_NONE);
	assert_int_equal(fwd_tunnel_put(c->fwd, &config), ERR_NONE);
	return t;
}

static void remove_tunnel(struct control *c, struct control_tunnel *t, uint32_t spi_in)
{
	struct hmap *maps[] = { &c->tunnels, &c->sas, &c->lots };

	control_child_remove(c, spi_in, 0);
	hmap_remove(&c->tunnels, &t->by_id);
	control_graves_free(c);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		hmap_fini(maps[i]);
	heap_fini(&c->child_timers);
	free(t);
}

/* Its watch is silent, because etcd elects a leader: the SA comes from the node that made it, before the peer hears of it. */
static void answer_waits_and_its_child_sa_comes_by_the_mesh(void **state)
{
	static const uint8_t message[28] = { 1 };
	struct ike_action send = { .kind = IKE_ACT_SEND };
	struct model_child_sa child = { .spi_in = 0x01020304, .spi_out = 5, .tunnel_id = { { 7 } },
					.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
					.created_us = 1, .expires_us = clock_unix_us() + UINT64_C(3600000000), .ts_local_cnt = 1, .ts_remote_cnt = 1,
					.path = { .local = { addr_from_v4_u32(0xc0000201), 4500 },
						  .remote = { addr_from_v4_u32(0xc0000202), 4500 }, .udp_encap = true } };
	const struct control_news news = { .rev = 9, .child = &child };
	struct control_tunnel *t = add_tunnel(b);
	struct pollfd p = { .fd = b->cfg.mesh_fd, .events = POLLIN };

	(void)state;
	child.ts_local[0] = child.ts_remote[0] =
		(struct model_ts){ .port_last = UINT16_MAX, .first = addr_from_v4_u32(0), .last = addr_from_v4_u32(UINT32_MAX) };
	a->seal_keys.cnt = 1;
	a->format = model_format_newest();
	assert_int_equal(hmap_init(&a->sas), ERR_NONE);
	cluster_members_heard(&a->members, 2, &(struct cluster_ping){ .applied = 8 }, a->now_us);
	send.send.msg = BYTES_OF(message);
	control_hold_send(a, &news, &send);
	control_held_run(a);
	assert_int_equal(poll(&p, 1, 0), 0);
	a->now_us = control_held_next_us(a);
	control_held_run(a);
	hear(b, 1);
	const struct control_child *got = control_child_find(b, child.spi_in);
	assert_non_null(got);
	assert_int_equal(got->rev, 9);
	assert_int_equal(dropped(a, MODEL_DROP_send_failed), 0);
	a->now_us = control_held_next_us(a); /* it is late, and the answer goes all the same; this node has no socket for it */
	control_held_run(a);
	assert_int_equal(dropped(a, MODEL_DROP_send_failed), 1);
	assert_int_equal(control_held_next_us(a), UINT64_MAX);
	/* No peer is told, and the turn comes too late for the one after it. */
	child.spi_in++;
	control_hold_news(a, &(struct control_news){ .rev = 10, .child = &child });
	a->now_us += 1000000;
	control_held_run(a);
	assert_int_equal(control_held_next_us(a), UINT64_MAX);
	hear(b, 2);
	assert_non_null(control_child_find(b, child.spi_in));
	assert_int_equal(dropped(a, MODEL_DROP_send_failed), 1);
	control_child_remove(b, child.spi_in - 1, 0);
	remove_tunnel(b, t, child.spi_in);
	hmap_fini(&a->sas);
}

static void send_raw(struct bytes datagram)
{
	struct pollfd p = { .fd = b->cfg.mesh_fd, .events = POLLIN };
	assert_int_equal(io_udp_send(a->cfg.mesh_fd, &at_b, false, datagram), ERR_NONE);
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	control_mesh_receive(b);
}

static void stranger_is_counted_and_gets_no_answer(void **state)
{
	(void)state;
	static const uint8_t ping[] = { WIRE_MESH_PING, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t datagram[WIRE_MESH_DATAGRAM_MAX + 8] = { 0 };
	struct cluster_link l;
	struct pollfd p = { .fd = a->cfg.mesh_fd, .events = POLLIN };
	size_t len;

	send_raw(bytes_of(datagram, 100));
	send_raw(BYTES_OF(datagram)); /* too long */
	assert_int_equal(dropped(b, MODEL_DROP_mesh_malformed), 2);
	assert_int_equal(cluster_link_init(&l, BYTES_OF(a->secret), 11), ERR_NONE); /* of the cluster, and no member */
	assert_int_equal(cluster_link_seal(&l, 20, BYTES_OF(ping), SPACE_OF(datagram), &len), ERR_NONE);
	send_raw(bytes_of(datagram, len));
	assert_int_equal(dropped(b, MODEL_DROP_mesh_stranger), 1);
	assert_int_equal(cluster_link_init(&l, bytes_str("another cluster"), 10), ERR_NONE);
	assert_int_equal(cluster_link_seal(&l, 20, BYTES_OF(ping), SPACE_OF(datagram), &len), ERR_NONE);
	send_raw(bytes_of(datagram, len));
	assert_int_equal(dropped(b, MODEL_DROP_mesh_auth), 1);
	assert_int_equal(cluster_link_init(&l, BYTES_OF(a->secret), 10), ERR_NONE);
	assert_int_equal(cluster_link_seal(&l, 20, BYTES_OF(ping), SPACE_OF(datagram), &len), ERR_NONE);
	send_raw(bytes_of(datagram, len));
	assert_int_equal(taken(b), 1);
	send_raw(bytes_of(datagram, len)); /* played again */
	assert_int_equal(dropped(b, MODEL_DROP_mesh_replay), 1);
	assert_int_equal(taken(b), 1);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void message_of_a_newer_program_is_counted(void **state)
{
	(void)state;
	static const uint8_t text[] = { 99, 1, 2, 3 };
	uint8_t datagram[64];
	struct cluster_link l;
	size_t len;
	assert_int_equal(cluster_link_init(&l, BYTES_OF(a->secret), 10), ERR_NONE);
	assert_int_equal(cluster_link_seal(&l, 20, BYTES_OF(text), SPACE_OF(datagram), &len), ERR_NONE);
	send_raw(bytes_of(datagram, len));
	assert_int_equal(dropped(b, MODEL_DROP_mesh_unwanted), 1);
}

/* Both nodes send on it. */
static struct model_child_sa install(struct control *c)
{
	struct model_child_sa m = {
		.spi_in = 0x1000, .spi_out = 0x9000, .tunnel_id = { { 7 } },
		.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
		.path = { .local = { addr_from_v4_u32(0xc0000201), 4500 }, .remote = { addr_from_v4_u32(0xc6336407), 4500 },
			  .udp_encap = true },
	};
	const struct fwd_tunnel_config t = { .tunnel_id = m.tunnel_id, .account_number = 1, .outer_mtu = 1500 };
	assert_int_equal(fwd_account_put(c->fwd, 1, true), ERR_NONE);
	assert_int_equal(fwd_tunnel_put(c->fwd, &t), ERR_NONE);
	assert_int_equal(fwd_child_put(c->fwd, &m), ERR_NONE);
	return m;
}

static uint16_t path_mtu(const struct control *c, const struct model_child_sa *m)
{
	struct fwd_tunnel_stats s;
	assert_int_equal(fwd_tunnel_stats(c->fwd, &m->tunnel_id, &s), ERR_NONE);
	return s.path_mtu;
}

/* The router's message goes to any node, which need not have sent the packet (RFC 7690). */
static void what_a_router_says_to_one_node_all_hear(void **state)
{
	(void)state;
	const struct model_child_sa m = install(a);
	(void)install(b);
	struct fwd_notice n = { .kind = FWD_NOTICE_TOO_BIG,
				.too_big = { .spi_out = m.spi_out, .mtu = 1400, .local = m.path.local, .remote = m.path.remote } };
	control_notice(a, &n);
	hear(b, 1);
	assert_int_equal(path_mtu(a, &m), 1400);
	assert_int_equal(path_mtu(b, &m), 1400);
	assert_int_equal(atomic_load(&b->counters->counter[MODEL_COUNTER_path_mtu_lowered]), 1);
	/* What is not believed goes no further, and what came from another node goes not back. */
	n.too_big.spi_out++;
	n.too_big.mtu = 1000;
	control_notice(a, &n);
	control_mesh_proven(a, 5);
	hear(b, 2);
	assert_int_equal(path_mtu(b, &m), 1400);
	control_mesh_proven(b, 5);
	hear(a, 1);
	assert_int_equal(dropped(a, MODEL_DROP_icmp_ignored), 1);
}

static void without_a_cluster_nothing_is_sent(void **state)
{
	(void)state;
	struct control *c = calloc(1, sizeof(*c));
	assert_non_null(c);
	assert_int_equal(control_mesh_start(c), ERR_NONE);
	assert_int_equal(control_mesh_fd(c), -1);
	control_mesh_forward(c, 3, &(struct fwd_punt){ .len = 1 });
	control_mesh_proven(c, 5);
	control_mesh_too_big(c, &(struct fwd_too_big){ .mtu = 1400 });
	control_mesh_applied(c, 5);
	control_mesh_inner(c, 3, 5, bytes_str("packet"));
	control_mesh_timers(c);
	assert_int_equal(control_mesh_site_applied(c), UINT64_MAX);
	control_mesh_free(c);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pings_keep_the_other_alive, begin, end),
		cmocka_unit_test_setup_teardown(revision_comes_to_the_site, begin, end),
		cmocka_unit_test_setup_teardown(forwarded_datagram_comes_in_pieces_or_whole, begin, end),
		cmocka_unit_test_setup_teardown(row_comes_to_a_node_that_lags, begin, end),
		cmocka_unit_test_setup_teardown(answer_waits_and_its_child_sa_comes_by_the_mesh, begin, end),
		cmocka_unit_test_setup_teardown(stranger_is_counted_and_gets_no_answer, begin, end),
		cmocka_unit_test_setup_teardown(message_of_a_newer_program_is_counted, begin, end),
		cmocka_unit_test_setup_teardown(what_a_router_says_to_one_node_all_hear, begin, end),
		cmocka_unit_test(without_a_cluster_nothing_is_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
