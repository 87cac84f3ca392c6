// Messages of one IKE SA at any of two nodes, and the duties of one: both go on as if there were one node.
#include "two_nodes.h"

#include "wire/ike.h"

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

/* The first node asks the peer for the rekey of a Child SA, and the other one hears nothing of it. */
static void ask_for_rekey(struct bench *n)
{
	const struct ike_event due = { .kind = IKE_EV_REKEY_CHILD, .now_us = n->duo->now_us };
	const struct ike_event tick = { .kind = IKE_EV_TIMER, .now_us = n->duo->now_us + 1 };
	struct control *c = &n->node[0].c;

	control_sa_event(c, control_sa_find(c, n->spi), &due);
	settle(n, 0);
	control_sa_event(c, control_sa_find(c, n->spi), &tick);
	settle(n, 0);
}

static void an_answer_that_comes_before_its_request_is_known_is_taken(void **state)
{
	struct bench *n = *state;
	struct mail m[4];

	ask_for_rekey(n);
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

/* By another node, and without waiting for what follows. */
static void hand(struct bench *n, unsigned node, const struct mail *m)
{
	static struct fwd_punt p;
	const struct duo_sa *sa = &n->duo->end[0].sas[0];

	p = (struct fwd_punt){ .local = sa->r.path.remote, .remote = sa->r.path.local, .len = (uint16_t)m->len };
	memcpy(p.msg, m->b, m->len);
	control_datagram_forwarded(&n->node[node].c, &p);
}

/* All of them while the store is asked. */
static void an_answer_in_fragments_that_comes_before_its_request_is_known_is_taken(void **state)
{
	struct bench *n = *state;
	struct mail m[8];

	ask_for_rekey(n);
	n->duo->end[0].world.fragment_mtu = 200;
	answer(n, &sent[0]);
	unsigned cnt = take_mail(n, m, ARRAY_LEN(m));
	assert_in_range(cnt, 2, ARRAY_LEN(m));
	for (unsigned i = 0; i + 1 < cnt; i++)
		hand(n, 1, &m[i]);
	post_by(n, 1, &m[cnt - 1], control_datagram_forwarded);
	const struct ike_sa r = sa_at(n, 1);
	assert_int_equal(r.child_cnt, 2);
	assert_true(installed(n, 1, newest_child(&r)));
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_msgid), 0);
	/* What comes again, of an answer that was taken, asks nobody. */
	uint64_t budget = n->node[1].c.read_budget.left;
	n->node[1].c.read_budget.fill_us = n->node[1].c.now_us;
	post_by(n, 1, &m[0], control_datagram_forwarded);
	assert_int_equal(drops(n, 1, MODEL_DROP_ike_msgid), 1);
	assert_true(n->node[1].c.read_budget.left >= budget);
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

static void a_start_that_the_watch_tells_of_first_is_counted_once(void **state)
{
	struct bench *n = *state;
	const struct explain_watch *maker = &n->node[0].tunnel.watch, *other = &n->node[1].tunnel.watch;
	const unsigned made = maker->start_cnt, seen = other->start_cnt;

	shake_hands(n, 0);
	learn(n, 1);
	assert_int_equal(maker->start_cnt, made + 1);
	assert_int_equal(other->start_cnt, seen + 1);
	/* As to a node that has made it itself, and has not heard of its own commit. */
	n->node[1].c.world.node_slot = ike_spi_slot(shake_hands(n, 0));
	learn(n, 1);
	assert_int_equal(maker->start_cnt, made + 2);
	assert_int_equal(other->start_cnt, seen + 1);
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

/* A full disk says no at once: Diffie-Hellman for nothing, ten times a second for each SA. */
static void what_is_due_is_not_tried_all_the_time_while_the_store_does_not_write(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	unsigned tries = 0;

	give_duties(n, 1, true);
	two_nodes_spoilt = ERR_SYSTEM;
	c->now_us += 40 * UINT64_C(1000000);
	for (unsigned i = 0; i < 50; i++) {
		c->now_us += 100000;
		control_sas_timers(c);
		tries += c->op_cnt;
		settle(n, 1);
	}
	two_nodes_spoilt = ERR_NONE;
	assert_in_range(tries, 2, 6);
	assert_int_equal(sent_cnt, 0);
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

/* The peer's NAT gives it another port, which that node sees, and follows. */
static void move_peer(struct bench *n, unsigned node, uint16_t port)
{
	struct control *c = &n->node[node].c;
	struct control_sa *sa = control_sa_find(c, n->spi);
	struct ike_event ev = { .kind = IKE_EV_ADDRESS, .now_us = c->now_us, .local = sa->r.path.local, .remote = sa->r.path.remote };
	static struct fwd_punt p;
	struct mail m[4];

	ev.remote.port = port;
	control_sa_event(c, sa, &ev);
	settle(n, node);
	c->now_us += 30000;
	control_held_run(c);
	answer(n, &sent[sent_cnt - 1]);
	assert_int_equal(take_mail(n, m, ARRAY_LEN(m)), 1);
	p = (struct fwd_punt){ .local = ev.local, .remote = ev.remote, .len = (uint16_t)m[0].len };
	memcpy(p.msg, m[0].b, m[0].len);
	control_datagram(c, &p);
	settle(n, node);
	assert_int_equal(sa_at(n, node).path.remote.port, port);
}

static unsigned found(const struct bench *n, unsigned node, enum model_failure_code code)
{
	const struct explain_history *h = &n->node[node].tunnel.why;

	for (unsigned i = 0; i < EXPLAIN_HISTORY_MAX; i++)
		if (h->slots[i] != NULL && h->slots[i]->code == code)
			return h->slots[i]->cnt;
	return 0;
}

/* Whichever node follows it last, the one whose duty the tunnel is says so, and says it once. */
static void a_mapping_that_changes_at_alternating_nodes_flaps(void **state)
{
	struct bench *n = *state;

	give_duties(n, 0, false);
	give_duties(n, 1, true);
	for (unsigned i = 1; i <= EXPLAIN_FLAPS; i++) {
		assert_int_equal(found(n, 1, MODEL_FAILURE_NAT_FLAPPING), 0);
		move_peer(n, i % NODES, (uint16_t)(20000 + i));
		learn(n, (i + 1) % NODES);
		learn(n, i % NODES); /* its own commit as well */
	}
	assert_int_equal(found(n, 1, MODEL_FAILURE_NAT_FLAPPING), 1);
	assert_int_equal(found(n, 0, MODEL_FAILURE_NAT_FLAPPING), 0);
	move_peer(n, 1, 30000);
	assert_int_equal(found(n, 1, MODEL_FAILURE_NAT_FLAPPING), 2);
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
		TEST(an_answer_in_fragments_that_comes_before_its_request_is_known_is_taken),
		TEST(a_start_that_the_watch_tells_of_first_is_counted_once),
		TEST(of_two_handshakes_at_two_nodes_the_later_one_drops_the_earlier),
		TEST(what_is_due_is_not_tried_all_the_time_while_the_store_does_not_write),
		TEST(what_is_due_is_done_by_whose_duty_it_is),
		TEST(a_mapping_that_changes_at_alternating_nodes_flaps),
		TEST(the_end_of_a_lifetime_is_everybodys),
		TEST(a_rekey_of_a_child_sa_that_is_not_known_here_is_not_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
