// Three nodes that each see a share of a tunnel's traffic, over loopback sockets: the one whose duty it is finds what is wrong by what all have seen,
// and finds nothing where it cannot know.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/internal.h"
#include "fwd/lookup.h"
#include "io/udp.h"

enum { NODES = 3, SPI = 0x1000, QUIET_S = 30 };
#define S ((uint64_t)1000000)
#define IKE_SPI UINT64_C(0x0010000000000001)
#define T0 (1000000 * S)

struct node {
	struct control c;
	struct control_tunnel tunnel;
	struct control_sa sa;
	struct fwd_child *child;
	bool silent; /* neither sends nor hears */
};

static struct conf conf = { .identity_domain = "ipsec.example.net", .log_level = LOG_LEVEL_ERROR };
static const struct conf_cluster cluster = { .mesh_address = { .port = 1 }, .site = "default" };
static struct control_account account = { .configured = true, .m = { .number = 7, .id = { .b = { 0xac } } } };
static struct addr_endpoint mesh[NODES];
static struct node *node[NODES];
static struct node *judge; /* whose duty the tunnel is */
static struct node *other[NODES - 1];
static uint64_t now_us;

static void add_tunnel(struct node *n)
{
	const struct fwd_tunnel_config config = { .tunnel_id = { { 0xaa } }, .account_number = 7, .outer_mtu = 1500 };
	const struct model_path path = { .local = { addr_from_v4_u32(0xc6336401), 4500 }, .remote = { addr_from_v4_u32(0xcb007102), 4500 },
					 .udp_encap = true };
	struct model_child_sa child = { .spi_in = SPI, .spi_out = SPI + 1, .tunnel_id = config.tunnel_id, .path = path,
					.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 } };

	n->tunnel.id = n->tunnel.m.id = config.tunnel_id;
	n->tunnel.account = &account;
	n->tunnel.configured = n->tunnel.up = true;
	n->tunnel.sas = &n->sa;
	n->sa.tunnel = &n->tunnel;
	n->sa.r = (struct control_record){ .state = IKE_STATE_ESTABLISHED, .child_cnt = 1, .spi = IKE_SPI, .path = path,
					   .created_us = now_us, .last_in_us = now_us };
	hmap_add(&n->c.tunnels, &n->tunnel.by_id, siphash(&n->c.hash_key, BYTES_OF(n->tunnel.id.b)));
	hmap_add(&n->c.sas, &n->sa.by_spi, control_spi_hash(&n->c, IKE_SPI));
	must(fwd_account_put(n->c.fwd, 7, false) == ERR_NONE);
	must(fwd_tunnel_put(n->c.fwd, &config) == ERR_NONE && fwd_child_put(n->c.fwd, &child) == ERR_NONE);
	struct fwd_reader *reader = fwd_reader_join(n->c.fwd, 0); /* a thread is one of one state at a time */
	n->child = fwd_child_find(reader, SPI);
	fwd_reader_leave(reader);
}

static struct node *make_node(unsigned at)
{
	const struct addr_endpoint any = { addr_from_v4_u32(0x7f000001), 0 };
	struct node *n = calloc(1, sizeof(*n));
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	must(n != NULL);
	n->c.cfg.conf = &conf;
	n->c.cfg.cluster = &cluster;
	n->c.cfg.incarnation = 10 * (at + 1);
	n->c.clustered = true;
	n->c.now_us = now_us;
	must(hmap_init(&n->c.tunnels) == ERR_NONE && hmap_init(&n->c.sas) == ERR_NONE);
	must(fwd_new(1, n->c.cfg.incarnation, &n->c.fwd) == ERR_NONE);
	n->c.counters = fwd_control_counters(n->c.fwd);
	must(io_udp_open(&any, &n->c.cfg.mesh_fd) == ERR_NONE);
	must(getsockname(n->c.cfg.mesh_fd, (struct sockaddr *)&ss, &len) == 0);
	mesh[at] = io_sockaddr_to(&ss);
	cluster_members_init(&n->c.members, "default", now_us);
	cluster_members_self(&n->c.members, (uint16_t)(at + 1), true, false);
	must(control_mesh_start(&n->c) == ERR_NONE && control_seen_start(&n->c) == ERR_NONE);
	add_tunnel(n);
	return n;
}

static void introduce(unsigned to, unsigned at, uint32_t incarnation)
{
	const struct cluster_node n = { .incarnation = incarnation, .state = CLUSTER_UP, .mesh = mesh[at], .site = "default" };
	must(cluster_members_put(&node[to]->c.members, (uint16_t)(at + 1), &n, 1, now_us) == ERR_NONE);
}

static void find_judge(void)
{
	unsigned others = 0;

	judge = NULL;
	for (unsigned i = 0; i < NODES; i++) {
		if (control_duty_tunnel(&node[i]->c, &node[i]->tunnel))
			judge = node[i];
		else
			other[others++ % (NODES - 1)] = node[i];
	}
	must(judge != NULL && others == NODES - 1);
}

static int begin(void **state)
{
	(void)state;
	now_us = T0;
	for (unsigned i = 0; i < NODES; i++)
		node[i] = make_node(i);
	for (unsigned i = 0; i < NODES * NODES; i++)
		if (i / NODES != i % NODES)
			introduce(i / NODES, i % NODES, 10 * (i % NODES + 1));
	find_judge();
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = node[i];
		control_mesh_free(&n->c);
		control_seen_free(&n->c);
		explain_history_free(&n->tunnel.why);
		hmap_fini(&n->c.tunnels);
		hmap_fini(&n->c.sas);
		fwd_free(n->c.fwd);
		free(n);
	}
	return 0;
}

static void turn(void)
{
	static uint8_t lost[2048];

	now_us += S / 10;
	for (unsigned i = 0; i < NODES; i++) {
		node[i]->c.now_us = now_us;
		if (node[i]->silent)
			continue;
		control_seen_timers(&node[i]->c);
		control_mesh_timers(&node[i]->c);
	}
	for (unsigned i = 0; i < 3 * NODES; i++) { /* the question, its answer, and what comes of that */
		struct node *n = node[i % NODES];
		while (n->silent && recv(n->c.cfg.mesh_fd, lost, sizeof(lost), MSG_DONTWAIT) > 0)
			;
		if (!n->silent)
			control_mesh_receive(&n->c);
	}
}

/* So many packets in a second, in at one node and out at another; what the judge has found at the end of each. NULL: none there. */
static bool pass(unsigned seconds, struct node *in, unsigned in_cnt, struct node *out, unsigned out_cnt, uint8_t code)
{
	bool found = false;

	for (unsigned s = 0; s < seconds; s++) {
		if (in != NULL)
			fwd_child_count_in(in->child, in_cnt, 100 * in_cnt, now_us);
		if (out != NULL)
			fwd_child_count_out(out->child, out_cnt, 100 * out_cnt, 0);
		for (unsigned i = 0; i < 10; i++)
			turn();
		for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++) {
			const struct model_failure *f = judge->tunnel.why.slots[i];
			found = found || (f != NULL && (code == MODEL_FAILURE_CNT || f->code == code));
		}
	}
	return found;
}

static bool anything(unsigned seconds, struct node *in, unsigned in_cnt, struct node *out, unsigned out_cnt)
{
	return pass(seconds, in, in_cnt, out, out_cnt, MODEL_FAILURE_CNT);
}

static const struct model_failure *failure_at(const struct node *n, uint8_t code)
{
	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++)
		if (n->tunnel.why.slots[i] != NULL && n->tunnel.why.slots[i]->code == code)
			return n->tunnel.why.slots[i];
	return NULL;
}

static void nothing_is_found_elsewhere(void)
{
	for (unsigned i = 0; i < NODES - 1; i++)
		assert_null(explain_history_last(&other[i]->tunnel.why));
}

static void a_tunnel_whose_ways_lead_over_different_nodes_is_healthy(void **state)
{
	(void)state;
	assert_false(anything(QUIET_S + 100, other[0], 20, other[1], 20));
	assert_false(anything(100, judge, 20, other[1], 20));
	assert_false(anything(100, other[1], 20, judge, 20));
	nothing_is_found_elsewhere();
}

static void what_no_node_has_got_is_missing_until_one_gets_it(void **state)
{
	(void)state;
	assert_true(pass(QUIET_S + 20, NULL, 0, other[0], 5, MODEL_FAILURE_NO_ESP));
	const struct model_failure *f = failure_at(judge, MODEL_FAILURE_NO_ESP);
	must(f != NULL);
	assert_non_null(strstr(f->offered, " and 0 from it since the IKE SA came up"));
	assert_int_equal(f->over_us, 0);
	assert_int_equal(f->cnt, 1);
	(void)anything(4, other[1], 1, other[0], 5);
	assert_int_not_equal(f->over_us, 0);
	nothing_is_found_elsewhere();
}

static void what_all_have_ceased_to_get_has_stopped(void **state)
{
	(void)state;
	assert_false(anything(QUIET_S + 20, other[0], 5, other[1], 5));
	for (unsigned i = 0; i < EXPLAIN_STOPPED_S + 10; i++) { /* its peer is heard at one of them, of which the store knows nothing */
		other[0]->sa.heard_us = now_us;
		(void)anything(1, NULL, 0, other[1], 5);
	}
	assert_non_null(failure_at(judge, MODEL_FAILURE_ESP_STOPPED));
	assert_null(failure_at(judge, MODEL_FAILURE_NO_ESP));
	(void)anything(4, judge, 1, other[1], 5);
	assert_int_not_equal(failure_at(judge, MODEL_FAILURE_ESP_STOPPED)->over_us, 0);
}

static void what_none_sends_back_is_one_way(void **state)
{
	(void)state;
	assert_true(pass(QUIET_S + 20, other[1], 5, NULL, 0, MODEL_FAILURE_ONE_WAY));
	(void)anything(4, other[1], 5, other[0], 5);
	assert_int_not_equal(failure_at(judge, MODEL_FAILURE_ONE_WAY)->over_us, 0);
}

/* Each node's numbers are its own: a peer that checks them takes those of the one that is ahead. */
static void answers_that_dwindle_when_a_second_node_sends_are_a_sign_of_anti_replay(void **state)
{
	(void)state;
	assert_false(anything(QUIET_S + 60, other[0], 20, other[0], 20));
	for (unsigned i = 0; i < 60; i++) {
		fwd_child_count_out(judge->child, 20, 2000, 0);
		(void)anything(1, other[0], 5, other[0], 20);
	}
	assert_non_null(failure_at(judge, MODEL_FAILURE_ANTI_REPLAY));
}

/* It may get what the others do not. */
static void while_a_node_is_not_heard_nothing_is_found(void **state)
{
	(void)state;
	other[1]->silent = true;
	assert_false(anything(QUIET_S + 100, NULL, 0, other[0], 5));
	other[1]->silent = false;
	fwd_child_count_in(other[1]->child, 1, 100, now_us);
	assert_false(anything(EXPLAIN_STOPPED_S - 4, NULL, 0, other[0], 5));
}

static void what_was_found_stands_while_a_node_is_not_heard(void **state)
{
	(void)state;
	assert_true(pass(QUIET_S + 20, NULL, 0, other[0], 5, MODEL_FAILURE_NO_ESP));
	other[1]->silent = true;
	(void)anything(100, judge, 5, other[0], 5);
	assert_int_equal(failure_at(judge, MODEL_FAILURE_NO_ESP)->over_us, 0);
	other[1]->silent = false;
	(void)anything(4, NULL, 0, other[0], 5);
	assert_int_not_equal(failure_at(judge, MODEL_FAILURE_NO_ESP)->over_us, 0);
	assert_int_equal(failure_at(judge, MODEL_FAILURE_NO_ESP)->cnt, 1);
}

static void a_node_that_does_not_know_the_ike_sa_yet_cannot_say_that_nothing_came(void **state)
{
	(void)state;
	hmap_remove(&other[1]->c.sas, &other[1]->sa.by_spi);
	assert_false(anything(QUIET_S + 60, NULL, 0, other[0], 5));
	hmap_add(&other[1]->c.sas, &other[1]->sa.by_spi, control_spi_hash(&other[1]->c, IKE_SPI));
	assert_true(pass(20, NULL, 0, other[0], 5, MODEL_FAILURE_NO_ESP));
}

/* Its machine may carry the traffic for as long as routers send it there; after that the others begin anew, of what they know. */
static void a_node_that_is_gone_is_waited_for(void **state)
{
	(void)state;
	assert_false(anything(QUIET_S + 10, other[1], 20, other[0], 20));
	other[1]->silent = true;
	for (unsigned i = 0; i < NODES; i++)
		if (node[i] != other[1])
			cluster_members_remove(&node[i]->c.members, other[1]->c.members.self);
	must(control_duty_tunnel(&judge->c, &judge->tunnel));
	assert_false(anything(QUIET_S + EXPLAIN_PATIENCE_S - 2, NULL, 0, other[0], 5));
	assert_true(pass(EXPLAIN_PATIENCE_S, NULL, 0, other[0], 5, MODEL_FAILURE_NO_ESP));
}

/* The next one says when it is over, as the store has told it. */
static void what_one_has_found_another_ends(void **state)
{
	uint8_t room[MODEL_FAILURE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(room));
	struct node *former;

	(void)state;
	assert_true(pass(QUIET_S + 20, NULL, 0, other[0], 5, MODEL_FAILURE_NO_ESP));
	must(model_failure_encode(failure_at(judge, MODEL_FAILURE_NO_ESP), &w) == ERR_NONE);
	const struct model_key key = model_key_why(&account.m.id, &judge->tunnel.id, 0);
	const struct store_row row = { .key = model_key_bytes(&key), .value = wr_bytes(&w), .create_rev = 1, .mod_rev = 1 };
	for (unsigned i = 0; i < NODES; i++)
		control_why_change(&node[i]->c, &row);
	former = judge;
	for (unsigned i = 0; i < NODES; i++) { /* it drains */
		if (node[i] == former)
			cluster_members_self(&node[i]->c.members, node[i]->c.members.self, true, true);
	}
	(void)anything(1, NULL, 0, NULL, 0);
	find_judge();
	assert_ptr_not_equal(judge, former);
	(void)anything(60, NULL, 0, other[0], 5);
	assert_int_equal(failure_at(judge, MODEL_FAILURE_NO_ESP)->cnt, 1);
	assert_int_equal(failure_at(judge, MODEL_FAILURE_NO_ESP)->over_us, 0);
	(void)anything(4, former, 1, other[0], 5);
	assert_int_not_equal(failure_at(judge, MODEL_FAILURE_NO_ESP)->over_us, 0);
}

/* What comes in the first moment, before anybody has asked, has come. */
static void what_came_before_the_first_question_counts(void **state)
{
	(void)state;
	fwd_child_count_in(other[1]->child, 1, 100, now_us);
	assert_false(anything(QUIET_S + 60, NULL, 0, other[0], 5));
}

static uint64_t datagrams(void)
{
	uint64_t cnt = 0;

	for (unsigned i = 0; i < NODES; i++)
		cnt += atomic_load(&node[i]->c.counters->counter[MODEL_COUNTER_mesh_out]);
	return cnt;
}

/* Of one tunnel: a question to each of the others in two seconds, and their answers. */
static void the_mesh_carries_little(void **state)
{
	(void)state;
	(void)anything(QUIET_S + 1, NULL, 0, NULL, 0);
	uint64_t before = datagrams();
	(void)anything(20, NULL, 0, NULL, 0);
	uint64_t pings = 20 * 10 * NODES * (NODES - 1);
	assert_in_range(datagrams() - before - pings, 9 * 2 * (NODES - 1), 10 * 2 * (NODES - 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tunnel_whose_ways_lead_over_different_nodes_is_healthy),
		TEST(what_no_node_has_got_is_missing_until_one_gets_it),
		TEST(what_all_have_ceased_to_get_has_stopped),
		TEST(what_none_sends_back_is_one_way),
		TEST(answers_that_dwindle_when_a_second_node_sends_are_a_sign_of_anti_replay),
		TEST(while_a_node_is_not_heard_nothing_is_found),
		TEST(what_was_found_stands_while_a_node_is_not_heard),
		TEST(a_node_that_does_not_know_the_ike_sa_yet_cannot_say_that_nothing_came),
		TEST(a_node_that_is_gone_is_waited_for),
		TEST(what_one_has_found_another_ends),
		TEST(what_came_before_the_first_question_counts),
		TEST(the_mesh_carries_little),
	};
	log_init("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
