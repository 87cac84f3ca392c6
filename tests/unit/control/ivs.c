// A node takes another incarnation before its IVs of IKE messages end.
#include "two_nodes.h"

static void before_its_ivs_end_a_node_takes_another_incarnation(void **state)
{
	struct bench *n = *state;
	struct control *c = &n->node[1].c;
	uint8_t b[4];
	struct wr w = wr_of(SPACE_OF(b));
	const struct store_op op = { STORE_PUT, bytes_str(MODEL_KEY_INCARNATION), BYTES_OF(b) };

	wr_u32(&w, 1u << 29);
	control_ivs_tick(c);
	assert_int_equal(c->renewal.tag, 0); /* it has plenty */
	atomic_store(&c->ike_iv.next, UINT64_C(3) << (CRYPT_IV_COUNTER_BITS - 2));
	n->told = 1;
	control_ivs_tick(c);
	while (!c->renewal.writes) {
		poll_all(n);
		assert_int_not_equal(c->renewal.tag, 0);
	}
	/* Another process has got a far higher number meanwhile. */
	must(store_thread_submit(n->store, &(struct store_txn){ .ops = &op, .op_cnt = 1 }, CONTROL_TAG_QUIET) == ERR_NONE);
	while (c->renewal.tag != 0)
		poll_all(n);
	uint32_t first = c->ike_iv.incarnation;
	assert_true(first > 2 && first < 1u << 29);
	assert_int_equal(atomic_load(&c->ike_iv.next), 0);
	atomic_store(&c->ike_iv.next, UINT64_C(3) << (CRYPT_IV_COUNTER_BITS - 2));
	c->now_us += 1000000;
	control_ivs_tick(c);
	while (c->renewal.tag != 0)
		poll_all(n);
	assert_int_equal(c->ike_iv.incarnation, (1u << 29) + 1);
	n->told = NODES;
	const struct mail check = peer_goes_on(n);
	post(n, 1, &check);
	answer(n, &sent[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(before_its_ivs_end_a_node_takes_another_incarnation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
