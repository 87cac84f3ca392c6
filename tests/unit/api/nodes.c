// Whether routers should send to this node, as the API tells it to the health check of a BGP speaker.
#include "answers.h"

static struct model_live_node self(void)
{
	return (struct model_live_node){ .slot = 3, .name = "n1", .site = "default", .self = true, .alive = true, .fresh = true,
					 .ready = true };
}

/* The gateway's answer: a cluster of this node and another one. */
static void answer_nodes(struct answers *a, const struct model_live_node *own)
{
	const struct model_live_node other = { .slot = 4, .name = "n2", .site = "default", .alive = true, .fresh = true };

	begin(a, ERR_NONE);
	assert_int_equal(model_live_reply_add_node(&a->r, own), ERR_NONE);
	assert_int_equal(model_live_reply_add_node(&a->r, &other), ERR_NONE);
	end(a);
}

static void check_ready(struct host *h, bool ready, bool cluster, const char *state)
{
	struct answer a = admin_call(h, "GET", "/admin/node/ready", NULL);

	check_good(&a);
	assert_int_equal(json_is_true(json_object_get(result_of(&a), "ready")), ready);
	assert_int_equal(json_is_true(json_object_get(result_of(&a), "cluster")), cluster);
	assert_string_equal(text_of(result_of(&a), "state"), state);
	answer_free(&a);
}

static void a_gateway_that_is_alone_is_ready_while_it_serves(void **state)
{
	struct host *h = *state;
	struct answers *a = answers_new();

	begin(a, ERR_UNSUPPORTED);
	end(a);
	serve(h, a);
	check_ready(h, true, false, "it serves");
	answers_free(a);
	check_ready(h, false, false, "the gateway process does not answer");
}

static void a_node_of_a_cluster_says_why_it_is_not_ready(void **state)
{
	static const struct {
		bool alive, draining, fresh, ready;
		const char *state;
	} cases[] = {
		{ true, false, true, true, "it serves" },
		{ false, false, true, false, "it has no lease" },
		{ true, true, true, false, "it is drained" },
		{ true, false, true, false, "it hears no other node" },
		{ true, false, false, false, "it alone has no news from the store" },
		{ true, false, false, true, "it serves" }, /* nobody has any */
	};
	struct host *h = *state;
	struct answers *a = answers_new();

	serve(h, a);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct model_live_node n = self();
		n.alive = cases[i].alive;
		n.draining = cases[i].draining;
		n.fresh = cases[i].fresh;
		n.ready = cases[i].ready;
		answer_nodes(a, &n);
		check_ready(h, cases[i].ready, true, cases[i].state);
	}
	answers_free(a);
}

static void a_drain_that_is_only_checked_is_not_done(void **state)
{
	struct host *h = *state;
	const struct model_live_node n = self();
	struct model_live_request q;
	uint8_t b[256];

	for (unsigned i = 0; i < 2; i++) {
		struct answers *a = answers_new();
		answer_nodes(a, &n);
		serve(h, a);
		struct answer got = admin_call(h, "POST", i == 0 ? "/admin/node/drain?validate_only=true" :
							  "/admin/node/undrain?validate_only=true", NULL);
		check_good(&got);
		assert_int_equal(json_array_size(json_object_get(result_of(&got), "nodes")), 2);
		answer_free(&got);
		ssize_t len = recv(a->fds[1], b, sizeof(b), MSG_DONTWAIT);
		assert_true(len > 0);
		assert_int_equal(model_live_request_decode(bytes_of(b, (size_t)len), &q), ERR_NONE);
		assert_int_equal(q.op, MODEL_LIVE_NODES);
		answers_free(a);
	}
}

static void readiness_is_the_administrators_alone(void **state)
{
	struct host *h = *state;
	char headers[128];

	snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n", h->token);
	struct answer a = call_with(h, false, "GET", "/client/v4/admin/node/ready", headers, NULL);
	assert_int_equal(a.status, 404);
	answer_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_gateway_that_is_alone_is_ready_while_it_serves),
		TEST(a_node_of_a_cluster_says_why_it_is_not_ready),
		TEST(a_drain_that_is_only_checked_is_not_done),
		TEST(readiness_is_the_administrators_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
