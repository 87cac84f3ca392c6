// Whose a failure is, what is kept of it, and what the log says: why.c over tables that are filled by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/internal.h"
#include "fwd/lookup.h"

#define S ((uint64_t)1000000)

static struct conf conf = { .identity_domain = "ipsec.example.net" };
static const struct store_role nobody = { .read = NULL };

struct bench {
	struct control c;
	struct control_account account;
	struct control_tunnel a, b;
	FILE *log;
	int stderr_fd;
};

static struct addr address(const char *text)
{
	struct addr a;
	must(addr_parse(bytes_str(text), &a) == ERR_NONE);
	return a;
}

static void add_tunnel(struct bench *n, struct control_tunnel *t, uint8_t id, const char *name, const char *customer)
{
	t->id = t->m.id = (struct model_id){ .b = { id, [15] = id } };
	t->account = &n->account;
	t->configured = true;
	t->since_us = 100 * S;
	t->m.account_id = n->account.m.id;
	t->m.customer_endpoint = address(customer);
	snprintf(t->m.name, sizeof(t->m.name), "%s", name);
	hmap_add(&n->c.tunnels, &t->by_id, siphash(&n->c.hash_key, BYTES_OF(t->id.b)));
	control_address_customer(&n->c, t, &t->m.customer_endpoint);
}

static int setup(void **state)
{
	struct bench *n = calloc(1, sizeof(*n));
	struct store *s;

	must(n != NULL && hmap_init(&n->c.tunnels) == ERR_NONE && store_memory_new(&s) == ERR_NONE);
	must(hmap_init(&n->c.by_customer) == ERR_NONE && hmap_init(&n->c.by_remote) == ERR_NONE);
	must(store_thread_start(s, -1, &nobody, &n->c.store) == ERR_NONE);
	n->c.cfg.conf = &conf;
	n->c.now_us = 1000 * S;
	n->c.failure_log = (struct log_limit){ .burst = 100, .window_ms = 1000 };
	n->account.configured = true;
	n->account.m.number = 7;
	n->account.m.id = (struct model_id){ .b = { 0xac } };
	add_tunnel(n, &n->a, 0xaa, "branch-a", "203.0.113.1");
	add_tunnel(n, &n->b, 0xbb, "branch-b", "203.0.113.2");
	n->log = tmpfile();
	must(n->log != NULL);
	fflush(stderr);
	n->stderr_fd = dup(2);
	must(n->stderr_fd >= 0 && dup2(fileno(n->log), 2) == 2);
	log_init("test", LOG_LEVEL_INFO);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct bench *n = *state;

	must(dup2(n->stderr_fd, 2) == 2);
	close(n->stderr_fd);
	fclose(n->log);
	store_thread_stop(n->c.store);
	explain_history_free(&n->a.why);
	explain_history_free(&n->b.why);
	hmap_fini(&n->c.tunnels);
	hmap_fini(&n->c.by_customer);
	hmap_fini(&n->c.by_remote);
	free(n);
	return 0;
}

/* Lines of the log with that word in them. */
static unsigned lines_with(struct bench *n, const char *word)
{
	char line[8192];
	unsigned cnt = 0;

	rewind(n->log);
	while (fgets(line, sizeof(line), n->log) != NULL)
		cnt += strstr(line, word) != NULL;
	return cnt;
}

static struct model_failure a_failure(const struct bench *n, enum model_failure_code code, const char *from)
{
	return (struct model_failure){ .code = (uint8_t)code, .stage = MODEL_STAGE_AUTH, .first_us = n->c.now_us,
				       .last_us = n->c.now_us, .cnt = 1, .local = { address("198.51.100.1"), 500 },
				       .remote = { address(from), 500 } };
}

static void fails(struct bench *n, struct control_tunnel *t, enum model_failure_code code, const char *from)
{
	const struct model_failure f = a_failure(n, code, from);
	control_failure(&n->c, t, &f);
}

static const struct model_failure *last_of(const struct control_tunnel *t)
{
	return explain_history_last(&t->why);
}

static const struct control_unknown *unknown_with(const struct bench *n, const char *identity)
{
	for (unsigned i = 0; i < CONTROL_UNKNOWN_MAX; i++)
		if (n->c.unknown[i].f.cnt != 0 && strcmp(n->c.unknown[i].f.identity, identity) == 0)
			return &n->c.unknown[i];
	return NULL;
}

static void before_it_has_a_name_a_peer_is_known_by_an_address_that_one_tunnel_has(void **state)
{
	struct bench *n = *state;

	fails(n, NULL, MODEL_FAILURE_NO_GROUP_IKE, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_NO_GROUP_IKE);
	assert_true(model_id_eq(&last_of(&n->b)->tunnel_id, &n->b.id));
	assert_null(last_of(&n->a));
	/* two with that address: it could be either */
	const struct addr there = address("203.0.113.2"), elsewhere = address("203.0.113.3");
	control_address_remote(&n->c, &n->a, &there);
	fails(n, NULL, MODEL_FAILURE_IKEV1, "203.0.113.2");
	assert_null(last_of(&n->a));
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_NO_GROUP_IKE);
	assert_non_null(unknown_with(n, ""));
	/* one whose peer came from where it is set to be is one all the same */
	control_address_remote(&n->c, &n->a, &elsewhere);
	control_address_remote(&n->c, &n->b, &there);
	n->c.now_us += S;
	fails(n, NULL, MODEL_FAILURE_IKEV1, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_IKEV1);
	/* and where its last one came from tells as well */
	fails(n, NULL, MODEL_FAILURE_NO_GROUP_IKE, "203.0.113.3");
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_NO_GROUP_IKE);
	control_address_forget(&n->c, &n->a);
	assert_true(control_address_guess(&n->c, &elsewhere) == NULL);
}

/* Anybody can send a first message from there, and any other device behind the same NAT. */
static void what_fails_without_a_name_is_no_fault_of_a_tunnel_that_is_up(void **state)
{
	struct bench *n = *state;

	n->b.up = true;
	n->b.m.onramp.dpd_delay_s = 30;
	fails(n, NULL, MODEL_FAILURE_IKEV1, "203.0.113.2");
	assert_null(last_of(&n->b));
	const struct control_unknown *u = unknown_with(n, "");
	assert_non_null(u);
	assert_int_equal(u->f.code, MODEL_FAILURE_IKEV1);
	assert_true(model_id_eq(&u->f.near_tunnel_id, &n->b.id));
	assert_true(model_id_eq(&u->f.near_account_id, &n->account.m.id));
	assert_int_equal(u->f.near_account_number, 7);
	/* it counts on, and once the tunnel is down it is its own */
	fails(n, NULL, MODEL_FAILURE_IKEV1, "203.0.113.2");
	assert_int_equal(unknown_with(n, "")->f.cnt, 2);
	n->b.up = false;
	fails(n, NULL, MODEL_FAILURE_IKEV1, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_IKEV1);
	/* what an SA of its own says counts in any case */
	n->b.up = true;
	n->c.now_us += S;
	fails(n, &n->b, MODEL_FAILURE_LIVENESS, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_LIVENESS);
}

static void it_is_the_only_sign_where_nobody_asks_whether_the_router_lives(void **state)
{
	struct bench *n = *state;

	n->b.up = true;
	n->b.m.onramp.dpd_delay_s = 0;
	fails(n, NULL, MODEL_FAILURE_NO_GROUP_IKE, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_NO_GROUP_IKE);
	assert_null(unknown_with(n, ""));
}

/* An address identity. */
static void an_address_names_a_tunnel_where_the_pair_of_endpoints_is_its_own(void **state)
{
	struct bench *n = *state;
	const struct addr gateway = address("198.51.100.1"), other = address("198.51.100.2"), customer = address("203.0.113.1");

	n->a.m.cloudflare_endpoint = n->b.m.cloudflare_endpoint = gateway;
	assert_true(control_address_find(&n->c, &customer, &gateway) == &n->a);
	assert_true(control_address_find(&n->c, &customer, &other) == NULL);
	control_address_customer(&n->c, &n->b, &customer);
	assert_true(control_address_find(&n->c, &customer, &gateway) == NULL);
	n->b.m.cloudflare_endpoint = other;
	assert_true(control_address_find(&n->c, &customer, &gateway) == &n->a);
	assert_true(control_address_find(&n->c, &customer, &other) == &n->b);
	n->a.configured = false;
	assert_true(control_address_find(&n->c, &customer, &gateway) == NULL);
}

static void a_name_that_is_none_is_not_put_down_to_the_address(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.1");

	snprintf(f.identity, sizeof(f.identity), "fqdn:router.example.com");
	control_failure(&n->c, NULL, &f);
	assert_null(last_of(&n->a));
	const struct control_unknown *u = unknown_with(n, f.identity);
	assert_non_null(u);
	assert_true(u->unsolved);
	control_why_tick(&n->c);
	assert_false(u->unsolved);
	assert_int_equal(u->f.code, MODEL_FAILURE_UNKNOWN_IDENTITY);
}

static void an_unknown_name_is_compared_with_all_tunnels_after_the_answer(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.9");

	/* one digit is another */
	snprintf(f.identity, sizeof(f.identity), "fqdn:ba0000000000000000000000000000bb.7.ipsec.example.net");
	control_failure(&n->c, NULL, &f);
	assert_int_equal(unknown_with(n, f.identity)->f.code, MODEL_FAILURE_UNKNOWN_IDENTITY);
	control_why_tick(&n->c);
	assert_int_equal(unknown_with(n, f.identity)->f.code, MODEL_FAILURE_IDENTITY_TYPO);
	assert_true(model_id_eq(&unknown_with(n, f.identity)->f.near_tunnel_id, &n->b.id));
	/* what was found stands when it comes again, and both count as one */
	control_failure(&n->c, NULL, &f);
	assert_int_equal(unknown_with(n, f.identity)->f.code, MODEL_FAILURE_IDENTITY_TYPO);
	assert_int_equal(unknown_with(n, f.identity)->f.cnt, 2);
	assert_int_equal(lines_with(n, "auth.identity_typo"), 1);
}

/* With very many of them a turn would be long. */
static void an_unknown_name_is_compared_with_some_tunnels_in_each_turn(void **state)
{
	enum { CNT = 5000, TURNS = 20 };
	struct bench *n = *state;
	struct control_tunnel *more = calloc(CNT, sizeof(*more));
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.9");
	unsigned turns = 0;

	assert_non_null(more);
	for (unsigned i = 0; i < CNT; i++) {
		more[i] = (struct control_tunnel){ .id = { .b = { 0x11, [1] = (uint8_t)(i >> 8), [2] = (uint8_t)i } }, .account = &n->account,
						   .configured = true };
		hmap_add(&n->c.tunnels, &more[i].by_id, siphash(&n->c.hash_key, BYTES_OF(more[i].id.b)));
	}
	snprintf(f.identity, sizeof(f.identity), "fqdn:ba0000000000000000000000000000bb.7.ipsec.example.net");
	control_failure(&n->c, NULL, &f);
	control_why_tick(&n->c);
	assert_true(unknown_with(n, f.identity)->unsolved);
	/* another takes its place meanwhile */
	for (unsigned i = 0; i < CONTROL_UNKNOWN_MAX && unknown_with(n, f.identity) != NULL; i++) {
		struct model_failure other = f;
		other.last_us += 1 + i;
		snprintf(other.identity, sizeof(other.identity), "fqdn:other%u.example.com", i);
		control_failure(&n->c, NULL, &other);
	}
	assert_null(unknown_with(n, f.identity));
	f.last_us += S;
	control_failure(&n->c, NULL, &f);
	for (; unknown_with(n, f.identity)->unsolved && turns < TURNS * CONTROL_UNKNOWN_MAX; turns++) {
		n->c.now_us += 4000;
		control_why_tick(&n->c);
	}
	assert_true(turns > 2);
	assert_int_equal(unknown_with(n, f.identity)->f.code, MODEL_FAILURE_IDENTITY_TYPO);
	assert_true(model_id_eq(&unknown_with(n, f.identity)->f.near_tunnel_id, &n->b.id));
	for (unsigned i = 0; i < CNT; i++)
		hmap_remove(&n->c.tunnels, &more[i].by_id);
	free(more);
}

static void the_name_of_a_deleted_tunnel_is_known(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.9");

	control_why_gone(&n->c, &n->b);
	hmap_remove(&n->c.tunnels, &n->b.by_id);
	snprintf(f.identity, sizeof(f.identity), "fqdn:bb0000000000000000000000000000bb.7.ipsec.example.net");
	control_failure(&n->c, NULL, &f);
	control_why_tick(&n->c);
	assert_int_equal(unknown_with(n, f.identity)->f.code, MODEL_FAILURE_TUNNEL_DELETED);
}

/* It was made anew, with another id: the router has the old one, and comes from the address of the new one. */
static void the_tunnel_that_took_a_deleted_ones_place_is_named(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.1");

	control_why_gone(&n->c, &n->b);
	hmap_remove(&n->c.tunnels, &n->b.by_id);
	snprintf(f.identity, sizeof(f.identity), "fqdn:bb0000000000000000000000000000bb.7.ipsec.example.net");
	control_failure(&n->c, NULL, &f);
	control_why_tick(&n->c);
	assert_int_equal(unknown_with(n, f.identity)->f.code, MODEL_FAILURE_TUNNEL_DELETED);
	assert_true(model_id_eq(&unknown_with(n, f.identity)->f.near_tunnel_id, &n->a.id));
	assert_int_equal(unknown_with(n, f.identity)->f.near_account_number, 7);
}

static void forged_first_messages_do_not_crowd_out_those_with_a_name(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.9");
	char from[32];

	snprintf(f.identity, sizeof(f.identity), "fqdn:real.example.com");
	control_failure(&n->c, NULL, &f);
	for (unsigned i = 0; i < 3 * CONTROL_UNKNOWN_MAX; i++) {
		snprintf(from, sizeof(from), "192.0.2.%u", i % 250 + 1);
		fails(n, NULL, MODEL_FAILURE_NO_PROPOSAL_IKE, from);
	}
	assert_non_null(unknown_with(n, "fqdn:real.example.com"));
}

static void a_farewell_does_not_hide_why_there_was_no_child_sa(void **state)
{
	struct bench *n = *state;

	fails(n, &n->a, MODEL_FAILURE_NULL_NOT_ALLOWED, "203.0.113.1");
	fails(n, &n->a, MODEL_FAILURE_PEER_DELETED, "203.0.113.1");
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_NULL_NOT_ALLOWED);
	/* of a tunnel that was up it is what happened */
	n->b.up = true;
	fails(n, &n->b, MODEL_FAILURE_PEER_DELETED, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_PEER_DELETED);
}

static void that_there_is_no_child_sa_is_no_news_where_it_is_known_why(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_CHILD_REFUSED, "203.0.113.1");

	f.stage = MODEL_STAGE_CHILD;
	control_failure(&n->c, &n->a, &f);
	n->c.now_us += 20 * S;
	fails(n, &n->a, MODEL_FAILURE_NO_CHILD, "203.0.113.1");
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_CHILD_REFUSED);
	/* it came up since, so that the refusal is past */
	control_why_settle(&n->c, &n->a);
	fails(n, &n->a, MODEL_FAILURE_NO_CHILD, "203.0.113.1");
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_NO_CHILD);
	fails(n, &n->b, MODEL_FAILURE_NO_CHILD, "203.0.113.2");
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_NO_CHILD);
}

static void the_log_has_a_failure_once_while_it_goes_on(void **state)
{
	struct bench *n = *state;

	for (unsigned i = 0; i < 50; i++) {
		fails(n, &n->a, MODEL_FAILURE_WRONG_PSK, "203.0.113.1");
		fails(n, NULL, MODEL_FAILURE_IKEV1, "192.0.2.77");
		n->c.now_us += 2 * S;
	}
	assert_int_equal(last_of(&n->a)->cnt, 50);
	assert_int_equal(lines_with(n, "auth.wrong_psk"), 1);
	assert_int_equal(lines_with(n, "tunnel branch-a from 203.0.113.1:500: "), 1);
	assert_int_equal(lines_with(n, "ike.ikev1"), 1);
	/* it was up and fails again; or it has gone on for long */
	n->a.since_us = n->c.now_us;
	fails(n, &n->a, MODEL_FAILURE_WRONG_PSK, "203.0.113.1");
	assert_int_equal(lines_with(n, "auth.wrong_psk"), 2);
	n->c.now_us += EXPLAIN_TELL_US;
	fails(n, &n->a, MODEL_FAILURE_WRONG_PSK, "203.0.113.1");
	fails(n, NULL, MODEL_FAILURE_IKEV1, "192.0.2.77");
	assert_int_equal(lines_with(n, "auth.wrong_psk, 52 times"), 1);
	assert_int_equal(lines_with(n, "ike.ikev1"), 2);
}

static void a_flood_of_different_failures_is_held_back(void **state)
{
	struct bench *n = *state;
	struct model_failure f = a_failure(n, MODEL_FAILURE_UNKNOWN_IDENTITY, "203.0.113.9");

	n->c.failure_log = (struct log_limit){ .burst = 5, .window_ms = 1000 };
	for (unsigned i = 0; i < 300; i++) {
		snprintf(f.identity, sizeof(f.identity), "fqdn:x%u.example.com", i);
		control_failure(&n->c, NULL, &f);
		control_why_tick(&n->c);
	}
	assert_true(lines_with(n, "from 203.0.113.9") <= 5);
}

static struct model_path path(const char *from, uint16_t port)
{
	return (struct model_path){ .local = { address("198.51.100.1"), 4500 }, .remote = { address(from), port } };
}

static void starts_and_paths_are_watched(void **state)
{
	struct bench *n = *state;
	const struct model_path first = path("203.0.113.1", 1000);

	for (unsigned i = 0; i < EXPLAIN_LOOP_STARTS; i++) {
		control_why_start(&n->c, &n->a, &first, true);
		n->c.now_us += S;
	}
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_RESTART_LOOP);
	assert_int_equal(last_of(&n->a)->stage, MODEL_STAGE_LIVE);
	control_why_start(&n->c, &n->b, &first, false);
	struct ike_sa before = { .path = first }, now = { .path = first };
	for (uint16_t i = 1; i <= EXPLAIN_FLAPS; i++) {
		assert_null(last_of(&n->b));
		before = now;
		now.path = path("203.0.113.1", (uint16_t)(2000 + i)); /* the peer said that it moves */
		control_why_moves(&n->c, &n->b, &before, &now);
		before = now;
		now.path = path("203.0.113.1", (uint16_t)(1000 + i));
		now.moves++;
		control_why_moves(&n->c, &n->b, &before, &now);
		control_why_moves(&n->c, &n->b, &now, &now); /* the same is no change */
	}
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_NAT_FLAPPING);
	assert_int_equal(last_of(&n->b)->cnt, 1);
	assert_int_equal(last_of(&n->b)->remote.port, 1000 + EXPLAIN_FLAPS);
}

/* A record that was not seen on its way counts as well, and one of a program that does not know the number does not. */
static void moves_are_counted_by_the_record(void **state)
{
	struct bench *n = *state;
	const struct model_path first = path("203.0.113.1", 1000);
	struct ike_sa before = { .path = first, .moves = 7 }, now = { .path = path("203.0.113.1", 1001) };

	control_why_start(&n->c, &n->b, &first, false);
	for (unsigned i = 0; i < EXPLAIN_FLAPS; i++)
		control_why_moves(&n->c, &n->b, &before, &now);
	assert_null(last_of(&n->b));
	now.moves = 7 + EXPLAIN_FLAPS;
	control_why_moves(&n->c, &n->b, &before, &now);
	assert_int_equal(last_of(&n->b)->code, MODEL_FAILURE_NAT_FLAPPING);
}

/* The one at which the last of them came up says so. */
static void starts_at_other_nodes_are_part_of_a_loop(void **state)
{
	struct bench *n = *state;
	const struct model_path first = path("203.0.113.1", 1000);

	n->c.clustered = true;
	for (unsigned i = 0; i < EXPLAIN_LOOP_STARTS; i++) {
		control_why_started(&n->c, &n->a, &first, true);
		n->c.now_us += S;
	}
	assert_null(last_of(&n->a));
	control_why_start(&n->c, &n->a, &first, true);
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_RESTART_LOOP);
}

/* A tunnel that can carry packets: its Child SA. */
static struct fwd_child *add_child(struct bench *n, struct fwd_reader *reader)
{
	const struct fwd_tunnel_config config = { .tunnel_id = n->a.id, .account_number = 7, .outer_mtu = 1500 };
	struct model_child_sa child = { .spi_in = 0x1000, .spi_out = 0x1001, .tunnel_id = n->a.id,
					.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
					.path = path("203.0.113.1", 4500) };

	must(fwd_account_put(n->c.fwd, 7, false) == ERR_NONE);
	must(fwd_tunnel_put(n->c.fwd, &config) == ERR_NONE && fwd_child_put(n->c.fwd, &child) == ERR_NONE);
	return fwd_child_find(reader, 0x1000);
}

static void what_came_right_after_the_start_is_traffic_of_the_new_ike_sa(void **state)
{
	struct bench *n = *state;
	struct control_sa sa = { .r = { .state = IKE_STATE_ESTABLISHED, .child_cnt = 1, .path = path("203.0.113.1", 4500) } };

	must(fwd_new(1, 1, &n->c.fwd) == ERR_NONE);
	struct fwd_reader *reader = fwd_reader_join(n->c.fwd, 0);
	struct fwd_child *child = add_child(n, reader);
	n->a.sas = &sa;
	sa.r.created_us = sa.r.last_in_us = n->c.now_us;
	control_why_start(&n->c, &n->a, &sa.r.path, false);
	fwd_child_count_in(child, 5, 500, n->c.now_us);
	for (unsigned i = 0; i <= EXPLAIN_STOPPED_S + 2 * EXPLAIN_SLOT_S; i += 2) {
		n->c.now_us += 2 * S;
		sa.r.last_in_us = n->c.now_us;
		fwd_child_count_out(child, 2, 200, 0);
		control_why_tick(&n->c);
	}
	assert_non_null(last_of(&n->a));
	assert_int_equal(last_of(&n->a)->code, MODEL_FAILURE_ESP_STOPPED);
	n->a.sas = NULL;
	fwd_reader_leave(reader);
	fwd_free(n->c.fwd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_it_has_a_name_a_peer_is_known_by_an_address_that_one_tunnel_has),
		TEST(what_fails_without_a_name_is_no_fault_of_a_tunnel_that_is_up),
		TEST(it_is_the_only_sign_where_nobody_asks_whether_the_router_lives),
		TEST(an_address_names_a_tunnel_where_the_pair_of_endpoints_is_its_own),
		TEST(a_name_that_is_none_is_not_put_down_to_the_address),
		TEST(an_unknown_name_is_compared_with_all_tunnels_after_the_answer),
		TEST(an_unknown_name_is_compared_with_some_tunnels_in_each_turn),
		TEST(the_name_of_a_deleted_tunnel_is_known),
		TEST(the_tunnel_that_took_a_deleted_ones_place_is_named),
		TEST(forged_first_messages_do_not_crowd_out_those_with_a_name),
		TEST(a_farewell_does_not_hide_why_there_was_no_child_sa),
		TEST(that_there_is_no_child_sa_is_no_news_where_it_is_known_why),
		TEST(the_log_has_a_failure_once_while_it_goes_on),
		TEST(a_flood_of_different_failures_is_held_back),
		TEST(starts_and_paths_are_watched),
		TEST(moves_are_counted_by_the_record),
		TEST(starts_at_other_nodes_are_part_of_a_loop),
		TEST(what_came_right_after_the_start_is_traffic_of_the_new_ike_sa),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
