// What the API says of why a tunnel fails: out of the gateway's answers, and out of the store without it.
#include "answers.h"

#include "base/iana.h"

static void add(struct answers *a, const struct model_failure *f)
{
	assert_int_equal(model_live_reply_add_failure(&a->r, f), ERR_NONE);
}

static struct model_failure failure(const struct host *h, const char *tunnel, enum model_failure_code code, uint64_t s)
{
	struct model_failure f = { .code = (uint8_t)code, .stage = MODEL_STAGE_SA_INIT, .first_us = s * 1000000,
				   .last_us = (s + 5) * 1000000, .cnt = 3,
				   .local = { addr_from_v4_u32(0xc633640a), 500 },
				   .remote = { addr_from_v4_u32(0xcb007105), 500 } };
	assert_int_equal(model_id_parse(bytes_str(h->account), &f.account_id), ERR_NONE);
	if (tunnel != NULL)
		assert_int_equal(model_id_parse(bytes_str(tunnel), &f.tunnel_id), ERR_NONE);
	return f;
}

static void add_offer(struct model_failure *f, uint8_t type, uint16_t id, uint16_t bits)
{
	f->offer[f->offer_cnt++] = (struct model_offered){ 1, type, id, bits };
}

static void allow(struct model_failure *f, uint8_t type, uint16_t id, uint16_t bits)
{
	f->allow[f->allow_cnt++] = (struct model_offered){ 0, type, id, bits };
}

/* AES-GCM-16-128 with a group that is not allowed. */
static struct model_failure refused_offer(const struct host *h, const char *tunnel)
{
	struct model_failure f = failure(h, tunnel, MODEL_FAILURE_NO_GROUP_IKE, 1000);

	add_offer(&f, IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 128);
	add_offer(&f, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_256, 0);
	add_offer(&f, IKE_TT_KE, 2, 0);
	allow(&f, IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 128);
	allow(&f, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_256, 0);
	allow(&f, IKE_TT_KE, IKE_GROUP_ECP384, 0);
	return f;
}

static void add_down(struct answers *a, const struct model_failure *f)
{
	struct model_live_tunnel t = { .account_id = f->account_id, .tunnel_id = f->tunnel_id, .since_us = 2000000,
				       .has_failure = true, .failure = *f };
	begin(a, ERR_NONE);
	assert_int_equal(model_live_reply_add_tunnel(&a->r, &t), ERR_NONE);
	end(a);
}

static struct answer why(struct host *h, const char *id)
{
	char path[128];
	snprintf(path, sizeof(path), "/onramp/tunnels/%s/why", id);
	return call(h, "GET", path, NULL);
}

static void the_offer_stands_beside_what_is_allowed_transform_by_transform(void **state)
{
	struct host *h = *state;
	struct answers *a = answers_new();
	char id[40];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	const struct model_failure f = refused_offer(h, id);
	add_down(a, &f);
	begin(a, ERR_NONE);
	add(a, &f);
	end(a);
	serve(h, a);
	struct answer got = why(h, id);
	check_good(&got);
	const json_t *v = json_object_get(result_of(&got), "verdict"), *e = json_object_get(v, "evidence");
	assert_string_equal(text_of(v, "code"), "ike.no_group");
	assert_int_equal(json_integer_value(json_object_get(v, "count")), 3);
	assert_string_equal(text_of(v, "first_seen"), "1970-01-01T00:16:40.000000Z");
	assert_string_equal(text_of(v, "last_seen"), "1970-01-01T00:16:45.000000Z");
	assert_int_equal(json_integer_value(json_object_get(e, "phase")), 1);
	const json_t *p = json_array_get(json_object_get(e, "proposals"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(p, "misfits"), 0)), "group");
	assert_int_equal(json_array_size(json_object_get(p, "misfits")), 1);
	const json_t *group = json_array_get(json_object_get(json_object_get(p, "offered"), "group"), 0);
	assert_true(json_is_false(json_object_get(group, "allowed")));
	const json_t *encr = json_array_get(json_object_get(json_object_get(p, "offered"), "encryption"), 0);
	assert_true(json_is_true(json_object_get(encr, "allowed")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(json_object_get(e, "allowed"), "group"), 0)), "ECP-384");
	assert_string_equal(text_of(json_object_get(e, "nearest"), "swanctl"), "aes128gcm16-prfsha256-ecp384");
	assert_int_equal(json_array_size(json_object_get(result_of(&got), "history")), 1);
	answer_free(&got);
	answers_free(a);
}

static void history_has_what_failed_and_beside_it_who_may_mean_the_tunnel(void **state)
{
	struct host *h = *state;
	struct answers *a = answers_new();
	char id[40];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	const struct model_failure f = failure(h, id, MODEL_FAILURE_WRONG_PSK, 2000);
	struct model_failure before = failure(h, id, MODEL_FAILURE_NO_ESP, 1000);
	struct model_failure stranger = failure(h, NULL, MODEL_FAILURE_IDENTITY_TYPO, 1500);
	before.over_us = 1100 * (uint64_t)1000000;
	stranger.near_tunnel_id = f.tunnel_id;
	stranger.near_account_id = f.account_id;
	stranger.near_account_number = 1;
	snprintf(stranger.identity, sizeof(stranger.identity), "fqdn:nearly.1.ipsec.cloudflare.com");
	add_down(a, &f);
	begin(a, ERR_NONE);
	add(a, &f);
	add(a, &before);
	add(a, &stranger);
	end(a);
	serve(h, a);
	struct answer got = why(h, id);
	check_good(&got);
	const json_t *history = json_object_get(result_of(&got), "history");
	const json_t *near = json_object_get(result_of(&got), "unknown_near");
	assert_int_equal(json_array_size(history), 2);
	assert_true(json_is_null(json_object_get(json_array_get(history, 0), "over_since")));
	assert_string_equal(text_of(json_array_get(history, 1), "code"), "data.no_esp");
	assert_string_equal(text_of(json_array_get(history, 1), "over_since"), "1970-01-01T00:18:20.000000Z");
	assert_int_equal(json_array_size(near), 1);
	assert_string_equal(text_of(json_object_get(json_array_get(near, 0), "nearest_tunnel"), "tunnel_id"), id);
	assert_non_null(strstr(text_of(json_array_get(near, 0), "change"), id));
	answer_free(&got);
	answers_free(a);
}

static void put_why(struct host *h, const struct model_failure *f, unsigned slot)
{
	uint8_t record[MODEL_FAILURE_RECORD_MAX];
	struct wr w = wr_of(SPACE_OF(record));
	struct model_key key = model_key_why(&f->account_id, &f->tunnel_id, slot);

	assert_int_equal(model_failure_encode(f, &w), ERR_NONE);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), wr_bytes(&w) };
	assert_int_equal(store_commit(h->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }).err, ERR_NONE);
}

static void without_gateway_the_history_is_the_stores_newest_first(void **state)
{
	struct host *h = *state;
	char id[40];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	const struct model_failure first = failure(h, id, MODEL_FAILURE_WRONG_PSK, 1000);
	const struct model_failure last = failure(h, id, MODEL_FAILURE_LIVENESS, 3000);
	const struct model_failure middle = failure(h, id, MODEL_FAILURE_IKEV1, 2000);
	put_why(h, &first, 0);
	put_why(h, &last, 1);
	put_why(h, &middle, 2);
	struct answer got = why(h, id);
	check_good(&got);
	const json_t *history = json_object_get(result_of(&got), "history");
	assert_int_equal(json_array_size(history), 3);
	assert_string_equal(text_of(json_array_get(history, 0), "code"), "live.timeout");
	assert_string_equal(text_of(json_array_get(history, 1), "code"), "ike.ikev1");
	assert_string_equal(text_of(json_array_get(history, 2), "code"), "auth.wrong_psk");
	answer_free(&got);
}

static void a_tunnel_of_another_account_or_none_has_no_why(void **state)
{
	struct host *h = *state;
	char id[40], path[160];

	make_tunnel(h, TUNNEL_BODY("a", "10.0.0.0/31"), id);
	struct answer a = admin_call(h, "POST", "/admin/accounts", "{\"name\":\"other\"}");
	check_good(&a);
	snprintf(path, sizeof(path), "/accounts/%s/onramp/tunnels/%s/why", text_of(result_of(&a), "id"), id);
	answer_free(&a);
	a = admin_call(h, "GET", path, NULL);
	check_error(&a, 404, 1032);
	answer_free(&a);
	a = why(h, "00000000000000000000000000000000");
	check_error(&a, 404, 1032);
	answer_free(&a);
}

static void unknown_peers_are_the_administrators_alone(void **state)
{
	struct host *h = *state;
	struct answers *one = answers_new();
	struct model_failure f = failure(h, NULL, MODEL_FAILURE_UNKNOWN_IDENTITY, 1000);

	snprintf(f.identity, sizeof(f.identity), "fqdn:\x1b[31mstranger");
	begin(one, ERR_NONE);
	add(one, &f);
	end(one);
	serve(h, one);
	struct answer a = admin_call(h, "GET", "/admin/unknown", NULL);
	check_good(&a);
	const json_t *v = json_array_get(json_object_get(result_of(&a), "unknown_peers"), 0);
	assert_string_equal(text_of(v, "code"), "auth.unknown_identity");
	assert_string_equal(text_of(v, "peer"), "203.0.113.5:500");
	assert_null(strchr(text_of(v, "sentence"), '\x1b'));
	answer_free(&a);
	char headers[128];
	snprintf(headers, sizeof(headers), "Authorization: Bearer %s\r\n", h->token);
	a = call_with(h, false, "GET", "/client/v4/admin/unknown", headers, NULL);
	assert_int_equal(a.status, 404);
	answer_free(&a);
	answers_free(one);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_offer_stands_beside_what_is_allowed_transform_by_transform),
		TEST(history_has_what_failed_and_beside_it_who_may_mean_the_tunnel),
		TEST(without_gateway_the_history_is_the_stores_newest_first),
		TEST(a_tunnel_of_another_account_or_none_has_no_why),
		TEST(unknown_peers_are_the_administrators_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
