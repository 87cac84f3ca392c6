// What a node makes of the store's rows: late ones, gone ones, in another order, found by a list or a look-up.
#include "two_nodes.h"

#include "fwd/lookup.h"

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

/* Its nodes have died before they could delete it. */
static void a_child_sa_that_has_expired_goes_with_its_numbers(void **state)
{
	struct bench *n = *state;
	const struct ike_sa r = sa_at(n, 1);
	const uint32_t spi = r.children[0].spi_in;
	const struct model_key keys[] = { model_key_child(spi), model_key_sequence(spi) };
	const struct store_op op = { STORE_PUT, model_key_bytes(&keys[1]), bytes_str("numbers") };

	must(store_thread_submit(n->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, CONTROL_TAG_QUIET) == ERR_NONE);
	free_node(&n->node[1]);
	n->node[1] = (struct node){ 0 };
	make_node(n, 1, &r);
	n->node[1].c.now_us = r.expires_us + 24 * 3600 * UINT64_C(1000000);
	read_key(n, 1, keys[0]);
	assert_false(installed(n, 1, spi));
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		read_key(n, NODES, keys[i]);
		assert_true(n->kept_deleted);
	}
}

/* A node that has started meanwhile knew nothing of the tunnel, took the IKE SA for an orphan and deleted it. */
static void a_child_sa_without_its_ike_sa_and_its_tunnel_is_deleted(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	const uint32_t spi = sa_at(n, 1).children[0].spi_in;
	const struct model_key ike = model_key_ike(n->spi);
	const struct store_op op = { .kind = STORE_DELETE, .key = model_key_bytes(&ike) };

	n->node[1].tunnel.configured = false;
	n->node[1].tunnel.has_psk = true; /* the entry is the test's */
	must(store_thread_submit(n->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, CONTROL_TAG_QUIET) == ERR_NONE);
	read_key(n, 1, ike);
	assert_null(control_sa_find(c, n->spi));
	assert_null(control_child_find(c, spi));
	c->seen_rev = UINT64_MAX;
	c->now_us += 2000000;
	control_orphans_tick(c);
	read_key(n, NODES, model_key_child(spi));
	assert_true(n->kept_deleted);
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

/* Of configuration as well, which has no revisions of its own. */
static void a_page_that_is_older_than_the_news_is_passed_over(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	struct store_row row = { .key = bytes_str("cfg/tun/some"), .value = bytes_str("old"), .mod_rev = 9 };
	const struct store_row gone = { .key = row.key, .mod_rev = 10, .deleted = true };

	assert_true(control_relist_row(c, &gone));
	assert_true(control_relist_row(c, &row)); /* no list is under way: rows come in order */
	c->relist.on = true;
	assert_true(control_relist_row(c, &gone));
	assert_false(control_relist_row(c, &row));
	row.mod_rev = 11;
	assert_true(control_relist_row(c, &row));
	assert_true(control_relist_row(c, &row));
	assert_false(control_relist_row(c, &gone));
	c->relist.on = false;
}

/* Without other nodes its record goes when it is closed, and it answers for a while out of memory. */
static void a_list_leaves_a_closed_ike_sa_that_answers_for_a_while(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	const struct model_key ike = model_key_ike(n->spi);
	const struct store_op op = { .kind = STORE_DELETE, .key = model_key_bytes(&ike) };

	must(store_thread_submit(n->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, CONTROL_TAG_QUIET) == ERR_NONE);
	c->clustered = false;
	control_sa_find(c, n->spi)->r.state = IKE_STATE_CLOSED;
	list_again(n, 1);
	assert_non_null(control_sa_find(c, n->spi));
	control_sa_find(c, n->spi)->r.state = IKE_STATE_ESTABLISHED;
	c->relist.next_us = c->now_us;
	list_again(n, 1);
	assert_null(control_sa_find(c, n->spi));
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

static void an_ike_sa_that_is_not_known_is_looked_up_once(void **state)
{
	struct bench *n = *state;
	const struct model_key ike = model_key_ike(n->spi);
	const struct store_row gone = { .key = model_key_bytes(&ike), .mod_rev = 3, .deleted = true };

	/* A node that has not heard of it yet. */
	control_mirror_change(&n->node[1].c, &gone);
	control_graves_free(&n->node[1].c);
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
	n->node[1].c.read_budget.left = 0;
	n->duo->now_us = n->node[1].c.now_us;
	n->node[1].c.read_budget.fill_us = n->duo->now_us;
	post(n, 1, &forged);
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_looked_up), 1);
	assert_int_equal(sent_cnt, 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_that_come_late_change_nothing),
		TEST(a_child_sa_that_comes_again_goes_on_with_its_counters),
		TEST(a_child_sa_that_has_expired_goes_with_its_numbers),
		TEST(a_child_sa_without_its_ike_sa_and_its_tunnel_is_deleted),
		TEST(a_row_that_is_older_than_its_end_comes_to_nothing),
		TEST(a_page_that_is_older_than_the_news_is_passed_over),
		TEST(a_list_leaves_a_closed_ike_sa_that_answers_for_a_while),
		TEST(a_list_finds_what_the_watch_has_not_told),
		TEST(a_rekey_of_the_ike_sa_elsewhere_lets_no_tunnel_go_down),
		TEST(a_node_that_starts_sends_on_the_child_sa_that_came_last),
		TEST(an_ike_sa_that_is_not_known_is_looked_up_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
