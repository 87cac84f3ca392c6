// The SPI of a Child SA that we ask for is taken in the store before the peer hears of it: exec.c over the memory engine, with
// random bytes that the test chooses.
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../exchange/duo.h"
#include "control/internal.h"
#include "crypt/random.h"

#define MINUTE_US UINT64_C(60000000)

static uint8_t fill; /* of all random bytes */
static unsigned draws;

/* Instead of crypt's. */
void crypt_random(void *dst, size_t n)
{
	memset(dst, fill + (n == IKE_RANDOM_LEN ? (int)draws : 0), n);
	draws += n == IKE_RANDOM_LEN;
}

struct bench {
	struct control c;
	struct control_account account;
	struct control_tunnel tunnel;
	struct conf conf;
	struct store *store; /* the thread's */
	struct duo *duo;
	uint64_t spi;
	struct ike_sa read;  /* by read_sa */
	struct bytes value;  /* by read_value */
	uint8_t room[STORE_VALUE_MAX];
};

static void prepare(struct bench *n)
{
	static const struct store_role nobody = { .read = NULL };
	struct hmap *maps[] = { &n->c.tunnels, &n->c.sas, &n->c.children, &n->c.ops, &n->c.halves_by_spi, &n->c.halves_by_init,
				&n->c.sources, &n->c.buried, &n->c.reads, &n->c.by_customer, &n->c.by_remote };
	struct control_record made = { 0 };
	struct ike_sa sa;
	uint8_t sealed[IKE_SA_RECORD_MAX + CRYPT_SEAL_OVERHEAD];
	size_t len;

	duo_init(n->duo, 1);
	duo_up(n->duo);
	must(duo_sa(n->duo, 0, &sa) && store_memory_new(&n->store) == ERR_NONE);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		must(hmap_init(maps[i]) == ERR_NONE);
	must(fwd_new(1, 1, &n->c.fwd) == ERR_NONE && control_dh_new(1, &n->c.dh) == ERR_NONE);
	must(control_steps_init(&n->c) == ERR_NONE);
	n->c.counters = fwd_control_counters(n->c.fwd);
	n->c.format = MODEL_FORMAT_OLDEST;
	n->c.cfg.conf = &n->conf;
	n->c.cfg.incarnation = 1;
	crypt_iv_space_init(&n->c.ike_iv, 1);
	n->c.world = n->duo->end[0].world;
	n->c.now_us = sa.created_us + 1;
	n->tunnel.account = &n->account;
	n->tunnel.id = n->tunnel.m.id = sa.tunnel_id;
	n->spi = ike_sa_our_spi(&sa);
	must(control_record_make(&n->c, &sa, &made) == ERR_NONE);
	const struct model_key key = model_key_ike(n->spi);
	must(control_seal_record(&n->c, &key, bytes_of(made.b, made.len), SPACE_OF(sealed), &len) == ERR_NONE);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), bytes_of(sealed, len) };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };
	struct store_result r = store_commit(n->store, &txn);
	must(r.err == ERR_NONE && control_sa_add(&n->c, &sa, &made, r.rev, &n->tunnel) != NULL);
	must(store_thread_start(n->store, -1, &nobody, &n->c.store) == ERR_NONE);
}

static int setup(void **state)
{
	struct bench *n = calloc(1, sizeof(*n));

	must(n != NULL && (n->duo = malloc(sizeof(*n->duo))) != NULL);
	fill = 1;
	draws = 0;
	prepare(n);
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct bench *n = *state;
	struct hmap *maps[] = { &n->c.tunnels, &n->c.ops, &n->c.by_customer, &n->c.by_remote };

	store_thread_stop(n->c.store);
	control_dh_free(n->c.dh);
	control_steps_free(&n->c);
	control_sas_free(&n->c);
	control_graves_free(&n->c);
	control_reads_free(&n->c);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		hmap_fini(maps[i]);
	fwd_free(n->c.fwd);
	duo_fini(n->duo);
	free(n->duo);
	free(n);
	return 0;
}

static void take_done(void *arg, const struct store_done *done)
{
	control_op_committed(arg, done);
}

static void take_change(void *arg, const struct store_row *row)
{
	control_mirror_change(arg, row);
}

/* Until nothing waits for the store or for Diffie-Hellman. */
static void settle(struct bench *n)
{
	for (unsigned turns = 0; n->c.op_cnt != 0; turns++) {
		struct pollfd p[2] = { { store_thread_fd(n->c.store), POLLIN, 0 }, { control_dh_fd(n->c.dh), POLLIN, 0 } };
		struct control_dh_done dh;
		assert_true(turns < 1000 && poll(p, 2, 10000) > 0);
		uint64_t cnt;
		store_thread_poll(n->c.store, take_done, take_change, &n->c);
		if (p[1].revents != 0)
			assert_int_equal(read(control_dh_fd(n->c.dh), &cnt, sizeof(cnt)), sizeof(cnt));
		while (control_dh_take(n->c.dh, &dh))
			control_op_dh_done(&n->c, &dh);
	}
}

static struct ike_sa *sa_now(struct bench *n)
{
	control_record_read(&control_sa_find(&n->c, n->spi)->r, &n->read);
	return &n->read;
}

static void tick(struct bench *n, uint64_t us)
{
	const struct ike_event ev = { .kind = IKE_EV_TIMER, .now_us = n->c.now_us += us };

	control_sa_event(&n->c, control_sa_find(&n->c, n->spi), &ev);
	settle(n);
}

/* Our request for a rekey of the Child SA. */
static void ask(struct bench *n)
{
	control_sa_rekey(&n->c, control_sa_find(&n->c, n->spi), false, 0);
	settle(n);
	tick(n, 1);
}

static uint32_t spi_of(struct bench *n, uint8_t byte)
{
	uint8_t random[8];

	memset(random, byte, sizeof(random));
	return ike_esp_spi_make(&n->c.world.spi_key, random);
}

static void keep_value(void *arg, const struct store_row *row)
{
	struct bench *n = arg;
	struct wr w = wr_of(SPACE_OF(n->room));

	wr_put(&w, row->value);
	n->value = wr_bytes(&w);
}

/* What child/<spi> has; the store's thread must be at rest. Empty: nothing. */
static struct bytes child_value(struct bench *n, uint32_t spi)
{
	const struct model_key key = model_key_child(spi);

	n->value = (struct bytes){ NULL, 0 };
	(void)!store_get(n->store, model_key_bytes(&key), keep_value, n);
	return n->value;
}

static void an_spi_that_is_taken_is_not_asked_for(void **state)
{
	struct bench *n = *state;
	const unsigned before = draws;
	const uint32_t taken = spi_of(n, (uint8_t)(fill + before)); /* what the next random bytes give */
	const struct model_key key = model_key_child(taken);
	const struct store_op op = { STORE_PUT, model_key_bytes(&key), bytes_str("another tunnel's") };
	const struct store_txn txn = { .ops = &op, .op_cnt = 1 };

	must(store_thread_submit(n->c.store, &txn, 0) == ERR_NONE);
	ask(n);
	assert_int_equal(sa_now(n)->request.kind, IKE_REQUEST_REKEY_CHILD);
	uint32_t asked = (uint32_t)sa_now(n)->request.new_spi;
	assert_int_not_equal(asked, taken);
	assert_int_equal(draws, before + 2);
	assert_true(bytes_eq(child_value(n, taken), bytes_str("another tunnel's")));
	assert_true(bytes_eq(child_value(n, asked), bytes_str(CONTROL_LARVAL)));
}

static void an_spi_is_free_again_when_its_request_comes_to_nothing(void **state)
{
	struct bench *n = *state;

	ask(n);
	uint32_t asked = (uint32_t)sa_now(n)->request.new_spi;
	assert_true(bytes_eq(child_value(n, asked), bytes_str(CONTROL_LARVAL)));
	for (unsigned i = 0; i < 50 && sa_now(n)->state != IKE_STATE_CLOSED; i++)
		tick(n, MINUTE_US);
	assert_int_equal(sa_now(n)->state, IKE_STATE_CLOSED);
	assert_int_equal(child_value(n, asked).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_spi_that_is_taken_is_not_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(an_spi_is_free_again_when_its_request_comes_to_nothing, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
