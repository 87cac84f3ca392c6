#include "model/live.h"

#include "codec.h"

CODEC_OF(model_live_request_decode, struct model_live_request);

struct seen {
	unsigned tunnels, counters, failures;
	struct model_live_tunnel tunnel;
	struct model_live_counter counter;
	struct model_failure failure;
};

static void see_tunnel(void *arg, const struct model_live_tunnel *t)
{
	struct seen *s = arg;
	s->tunnels++;
	s->tunnel = *t;
}

static void see_counter(void *arg, const struct model_live_counter *c)
{
	struct seen *s = arg;
	s->counters++;
	s->counter = *c;
}

static void see_failure(void *arg, const struct model_failure *f)
{
	struct seen *s = arg;
	s->failures++;
	s->failure = *f;
}

static struct model_live_sink sink_of(struct seen *s)
{
	return (struct model_live_sink){ .tunnel = see_tunnel, .counter = see_counter, .failure = see_failure, .arg = s };
}

static struct model_live_tunnel a_tunnel(void)
{
	struct model_live_tunnel t = {
		.account_id = { { 1 } },
		.tunnel_id = { { 2 } },
		.up = true,
		.since_us = 3,
		.identity_type = IKE_ID_FQDN,
		.ike_suite = { .encr = 20, .key_bits = 256, .prf = 7, .group = 14 },
		.child_suite = { .encr = 12, .key_bits = 256, .integ = 12 },
		.path = { { addr_from_v4_u32(1), 4500 }, { addr_from_v4_u32(2), 4501 }, true },
		.start_port = 500,
		.nat_claimed = true,
		.nat_seen = true,
		.child_cnt = 2,
		.effective_mtu = 1438,
		.child_rekeys = 4,
		.ike_rekeys = 5,
		.in_packets = 6,
		.in_bytes = 7,
		.out_packets = 8,
		.out_bytes = 1ull << 60,
		.last_in_us = 9,
		.has_failure = true,
		.failure = { .code = MODEL_FAILURE_LIVENESS, .stage = MODEL_STAGE_LIVE, .cnt = 1 },
	};
	strcpy(t.identity, "fqdn:x");
	strcpy(t.failure.offered, "silence");
	return t;
}

static void request_comes_back_as_it_was(void **state)
{
	(void)state;
	struct model_live_request q = { MODEL_LIVE_TUNNELS, { { 1 } }, { { 2 } }, 3 }, r;
	uint8_t room[128];
	struct wr w = wr_of(SPACE_OF(room));
	assert_int_equal(model_live_request_encode(&q, &w), ERR_NONE);
	assert_int_equal(model_live_request_decode(wr_bytes(&w), &r), ERR_NONE);
	assert_int_equal(r.op, MODEL_LIVE_TUNNELS);
	assert_true(model_id_eq(&q.account_id, &r.account_id));
	assert_true(model_id_eq(&q.tunnel_id, &r.tunnel_id));
	assert_int_equal(r.number, 3);
	codec_keeps_the_rules(&codec, wr_bytes(&w), 0);
	for (unsigned op = 0; op < 256; op++) {
		w = wr_of(SPACE_OF(room));
		q.op = (uint8_t)op;
		assert_int_equal(model_live_request_encode(&q, &w), ERR_NONE);
		assert_int_equal(codec_try(&codec, wr_bytes(&w)), op >= 1 && op <= MODEL_LIVE_OP_LAST ? ERR_NONE : ERR_SYNTAX);
	}
}

static void reply_gives_each_entry_to_its_callback(void **state)
{
	(void)state;
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct seen s = { 0 };
	struct model_live_sink sink = sink_of(&s);
	struct model_live_tunnel t = a_tunnel();
	struct model_live_reply r;
	enum err error = ERR_AGAIN;
	bool more = false;

	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	model_live_reply_number(&r, 78);
	assert_int_equal(model_live_reply_add_tunnel(&r, &t), ERR_NONE);
	assert_int_equal(model_live_reply_add_counter(&r, "esp_in_packets", 77), ERR_NONE);
	assert_int_equal(model_live_reply_add_failure(&r, &t.failure), ERR_NONE);
	struct bytes b = model_live_reply_end(&r, true);
	assert_int_equal(model_live_reply_answers(b), 78);
	assert_int_equal(model_live_reply_parse(b, &sink, &error, &more), ERR_NONE);
	assert_int_equal(error, ERR_NONE);
	assert_true(more);
	assert_int_equal(s.tunnels, 1);
	assert_int_equal(s.counters, 1);
	assert_int_equal(s.failures, 1);
	assert_string_equal(s.counter.name, "esp_in_packets");
	assert_int_equal(s.counter.value, 77);
	assert_int_equal(s.failure.code, MODEL_FAILURE_LIVENESS);

	struct model_live_tunnel *u = &s.tunnel;
	assert_true(model_id_eq(&t.account_id, &u->account_id));
	assert_true(model_id_eq(&t.tunnel_id, &u->tunnel_id));
	assert_true(u->up);
	assert_int_equal(u->since_us, 3);
	assert_int_equal(u->identity_type, IKE_ID_FQDN);
	assert_string_equal(u->identity, "fqdn:x");
	assert_memory_equal(&u->ike_suite, &t.ike_suite, sizeof(t.ike_suite));
	assert_memory_equal(&u->child_suite, &t.child_suite, sizeof(t.child_suite));
	assert_true(addr_endpoint_eq(&u->path.remote, &t.path.remote));
	assert_int_equal(u->start_port, 500);
	assert_true(u->nat_claimed);
	assert_true(u->nat_seen);
	assert_int_equal(u->child_cnt, 2);
	assert_int_equal(u->effective_mtu, 1438);
	assert_int_equal(u->child_rekeys, 4);
	assert_int_equal(u->ike_rekeys, 5);
	assert_int_equal(u->in_packets, 6);
	assert_int_equal(u->in_bytes, 7);
	assert_int_equal(u->out_packets, 8);
	assert_true(u->out_bytes == 1ull << 60);
	assert_int_equal(u->last_in_us, 9);
	assert_true(u->has_failure);
	assert_string_equal(u->failure.offered, "silence");
}

static void full_reply_stays_as_it_was_and_can_be_ended(void **state)
{
	(void)state;
	struct model_live_tunnel t = a_tunnel();

	for (size_t cap = 12; cap < 1200; cap += 1) {
		uint8_t *room = malloc(cap);
		struct seen s = { 0 };
		struct model_live_sink sink = sink_of(&s);
		struct model_live_reply r;
		enum err error;
		bool more;
		unsigned tunnels = 0, counters = 0;

		assert_non_null(room);
		model_live_reply_begin(&r, (struct space){ room, cap }, ERR_NONE);
		while (model_live_reply_add_tunnel(&r, &t) == ERR_NONE)
			tunnels++;
		while (model_live_reply_add_counter(&r, "c", 1) == ERR_NONE)
			counters++;
		assert_int_equal(model_live_reply_add_failure(&r, &t.failure), ERR_FULL);
		struct bytes b = model_live_reply_end(&r, true);
		assert_true(b.len != 0);
		assert_int_equal(model_live_reply_parse(b, &sink, &error, &more), ERR_NONE);
		assert_int_equal(s.tunnels, tunnels);
		assert_int_equal(s.counters, counters);
		free(room);
	}
}

static void broken_reply_calls_nobody(void **state)
{
	(void)state;
	uint8_t room[2048];
	struct model_live_tunnel t = a_tunnel();
	struct model_live_reply r;

	model_live_reply_begin(&r, SPACE_OF(room), ERR_NOTFOUND);
	assert_int_equal(model_live_reply_add_tunnel(&r, &t), ERR_NONE);
	assert_int_equal(model_live_reply_add_counter(&r, "c", 1), ERR_NONE);
	struct bytes b = model_live_reply_end(&r, false);
	assert_int_equal(model_live_reply_answers(b), 0);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *copy = malloc(n == 0 ? 1 : n);
		struct seen s = { 0 };
		struct model_live_sink sink = sink_of(&s);
		enum err error = ERR_FULL;
		bool more = true;
		assert_non_null(copy);
		memcpy(copy, b.p, n);
		assert_int_not_equal(model_live_reply_parse(bytes_of(copy, n), &sink, &error, &more), ERR_NONE);
		assert_int_equal(s.tunnels + s.counters, 0);
		assert_int_equal(error, ERR_FULL);
		assert_true(more);
		free(copy);
	}
}

static void keep_node(void *arg, const struct model_live_node *n)
{
	*(struct model_live_node *)arg = *n;
}

static void a_node_comes_back_as_it_was(void **state)
{
	(void)state;
	uint8_t room[1024];
	const struct model_live_node n = { .slot = 4045, .name = "n1", .site = "default", .mesh = "10.90.0.1:4501",
					   .incarnation = 60159163, .self = true, .alive = true, .fresh = true, .ready = true,
					   .applied = 7 };
	struct model_live_node back = { 0 };
	const struct model_live_sink sink = { .node = keep_node, .arg = &back };
	struct model_live_reply r;
	enum err error;
	bool more;

	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	assert_int_equal(model_live_reply_add_node(&r, &n), ERR_NONE);
	struct bytes b = model_live_reply_end(&r, false);
	assert_int_equal(model_live_reply_parse(b, &sink, &error, &more), ERR_NONE);
	assert_true(back.slot == n.slot && back.incarnation == n.incarnation && back.applied == 7);
	assert_true(back.self && back.alive && back.fresh && back.ready && !back.draining);
	assert_string_equal(back.name, "n1");
	assert_string_equal(back.site, "default");
	assert_string_equal(back.mesh, "10.90.0.1:4501");
}

static void answer_of_the_gateway_is_passed_on(void **state)
{
	(void)state;
	uint8_t room[64];
	struct model_live_sink nobody = { 0 };
	struct model_live_reply r;
	enum err error = ERR_NONE;
	bool more = true;

	model_live_reply_begin(&r, SPACE_OF(room), ERR_NOTFOUND);
	struct bytes b = model_live_reply_end(&r, false);
	assert_int_equal(model_live_reply_parse(b, &nobody, &error, &more), ERR_NONE);
	assert_int_equal(error, ERR_NOTFOUND);
	assert_false(more);
	room[6] = 200; /* no error that there is */
	assert_int_equal(model_live_reply_parse(b, &nobody, &error, &more), ERR_SYNTAX);
}

static void biggest_tunnel_fits_many_times_into_a_message(void **state)
{
	(void)state;
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	struct model_live_tunnel t = a_tunnel();
	struct model_live_reply r;
	unsigned n = 0;

	memset(t.identity, 'i', sizeof(t.identity) - 1);
	memset(t.failure.identity, 'i', sizeof(t.failure.identity) - 1);
	memset(t.failure.offered, 'o', sizeof(t.failure.offered) - 1);
	memset(t.failure.allowed, 'a', sizeof(t.failure.allowed) - 1);
	model_live_reply_begin(&r, SPACE_OF(room), ERR_NONE);
	while (model_live_reply_add_tunnel(&r, &t) == ERR_NONE)
		n++;
	assert_true(n >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_comes_back_as_it_was),
		cmocka_unit_test(reply_gives_each_entry_to_its_callback),
		cmocka_unit_test(full_reply_stays_as_it_was_and_can_be_ended),
		cmocka_unit_test(broken_reply_calls_nobody),
		cmocka_unit_test(a_node_comes_back_as_it_was),
		cmocka_unit_test(answer_of_the_gateway_is_passed_on),
		cmocka_unit_test(biggest_tunnel_fits_many_times_into_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
