// PSKs that are opened beside the work after a start: what a handshake hears of them is always the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/internal.h"

#define TUNNELS 5

struct bench {
	struct control c;
	struct control_account account;
	struct control_tunnel tunnels[TUNNELS];
	struct crypt_seal_public to;
};

static void seal(const struct bench *n, const struct control_tunnel *t, const char *key, uint8_t *ret, uint16_t *ret_len)
{
	const struct model_key name = model_key_psk(&t->account->m.id, &t->id);
	size_t len;

	assert_int_equal(crypt_box_seal(&n->to, model_key_bytes(&name), bytes_str(key), (struct space){ ret, MODEL_PSK_SEALED_MAX },
					&len), ERR_NONE);
	*ret_len = (uint16_t)len;
}

/* As the start does it: every other tunnel has a former key too. */
static void put(struct bench *n, unsigned i)
{
	struct control_tunnel *t = &n->tunnels[i];
	struct model_psk m = { .tunnel_id = t->id };

	seal(n, t, "the present key", m.current, &m.current_len);
	if (i % 2 != 0)
		seal(n, t, "the former key", m.previous, &m.previous_len);
	control_psk_put(&n->c, t, &m);
}

static int setup(void **state)
{
	struct bench *n = calloc(1, sizeof(*n));

	assert_non_null(n);
	n->c.seal_keys.cnt = 1;
	assert_int_equal(crypt_seal_generate(&n->c.seal_keys.key[0]), ERR_NONE);
	assert_int_equal(crypt_seal_public_of(&n->c.seal_keys.key[0], &n->to), ERR_NONE);
	assert_int_equal(hmap_init(&n->c.tunnels), ERR_NONE);
	assert_int_equal(control_psks_init(&n->c), ERR_NONE);
	for (unsigned i = 0; i < TUNNELS; i++) {
		struct control_tunnel *t = &n->tunnels[i];
		t->account = &n->account;
		t->id.b[0] = (uint8_t)i;
		hmap_add(&n->c.tunnels, &t->by_id, siphash(&n->c.hash_key, BYTES_OF(t->id.b)));
		put(n, i);
	}
	*state = n;
	return 0;
}

static int teardown(void **state)
{
	struct bench *n = *state;

	control_psks_free(&n->c);
	for (unsigned i = 0; i < TUNNELS; i++)
		hmap_remove(&n->c.tunnels, &n->tunnels[i].by_id);
	hmap_fini(&n->c.tunnels);
	free(n);
	return 0;
}

static void assert_keys(struct bench *n, unsigned i)
{
	struct secret present, previous;

	control_psk_open(&n->c, &n->tunnels[i], &present);
	control_psk_open_previous(&n->c, &n->tunnels[i], &previous);
	assert_true(bytes_eq(secret_bytes(&present), bytes_str("the present key")));
	assert_true(bytes_eq(secret_bytes(&previous), bytes_str(i % 2 != 0 ? "the former key" : "")));
	secret_fini(&present);
	secret_fini(&previous);
}

static void a_handshake_opens_what_it_needs(void **state)
{
	struct bench *n = *state;

	for (unsigned i = 0; i < TUNNELS; i++)
		assert_true(n->tunnels[i].psk_boxed);
	for (unsigned i = 0; i < TUNNELS; i++) {
		assert_keys(n, i);
		assert_false(n->tunnels[i].psk_boxed);
		assert_keys(n, i);
	}
	assert_true(n->c.boxes.cnt == TUNNELS);
}

static void the_rest_is_opened_one_a_turn(void **state)
{
	struct bench *n = *state;

	assert_keys(n, 2);
	for (unsigned i = 0; i < TUNNELS; i++) {
		assert_true(control_psks_wait(&n->c));
		control_psks_tick(&n->c);
	}
	assert_false(control_psks_wait(&n->c));
	for (unsigned i = 0; i < TUNNELS; i++) {
		assert_false(n->tunnels[i].psk_boxed);
		assert_keys(n, i);
	}
}

static void a_tunnel_without_keys_or_none_has_no_keys(void **state)
{
	struct bench *n = *state;
	struct secret present, previous;

	n->tunnels[1].has_psk = false;
	control_psk_open(&n->c, &n->tunnels[1], &present);
	control_psk_open_previous(&n->c, &n->tunnels[1], &previous);
	assert_true(present.len == 0 && previous.len == 0);
	control_psk_open(&n->c, NULL, &present);
	control_psk_open_previous(&n->c, NULL, &previous);
	assert_true(present.len == 0 && previous.len == 0);
}

static void a_tunnel_that_is_gone_is_passed_over(void **state)
{
	struct bench *n = *state;
	struct control_tunnel *t = &n->tunnels[3];

	hmap_remove(&n->c.tunnels, &t->by_id);
	while (control_psks_wait(&n->c))
		control_psks_tick(&n->c);
	assert_true(t->psk_boxed);
	hmap_add(&n->c.tunnels, &t->by_id, siphash(&n->c.hash_key, BYTES_OF(t->id.b)));
}

/* One of them may lie under the older one, and is then sealed again at the start. */
static void with_two_sealing_keys_all_are_opened_at_the_start(void **state)
{
	struct bench *n = *state;

	n->c.seal_keys.key[1] = n->c.seal_keys.key[0];
	n->c.seal_keys.cnt = 2;
	assert_int_equal(crypt_seal_generate(&n->c.seal_keys.key[0]), ERR_NONE);
	control_psks_free(&n->c);
	assert_int_equal(control_psks_init(&n->c), ERR_NONE);
	put(n, 0);
	assert_false(n->tunnels[0].psk_boxed);
	assert_true(n->tunnels[0].psk_old_seal);
	assert_keys(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_handshake_opens_what_it_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest_is_opened_one_a_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tunnel_without_keys_or_none_has_no_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(a_tunnel_that_is_gone_is_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(with_two_sealing_keys_all_are_opened_at_the_start, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
