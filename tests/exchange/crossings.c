// RFC 7296 2.25: what is asked while the other side is doing something else with the same SA. One test a case; each looks at
// the answers themselves, and at what is left when all is done.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "look.h"

#define SECOND_US ((uint64_t)1000000)
#define SAID_MAX 128

struct said {
	unsigned from;
	uint8_t exchange;
	bool response, deletes_esp, deletes_ike;
	uint16_t error;
};

struct play {
	struct duo d;
	struct look_keys keys;
	unsigned cnt;
	struct said said[SAID_MAX];
};

static void listen_to(void *arg, unsigned from, struct bytes msg)
{
	struct play *p = arg;
	static struct look l;

	look_learn(&p->keys, &p->d);
	if (p->cnt == SAID_MAX || !look_open(&p->keys, msg, &l))
		return;
	p->said[p->cnt++] = (struct said){
		.from = from,
		.exchange = l.h.exchange,
		.response = (l.h.flags & IKE_FLAG_RESPONSE) != 0,
		.deletes_esp = look_deletes(&l, IKE_PROTO_ESP),
		.deletes_ike = look_deletes(&l, IKE_PROTO_IKE),
		.error = look_error(&l),
	};
}

/* Both sides begin at once: each message leaves before the other one has come. */
static struct play *cross(uint64_t seed, enum ike_event_kind a, enum ike_event_kind b)
{
	struct play *p = calloc(1, sizeof(*p));

	must(p != NULL);
	duo_init(&p->d, seed);
	p->d.on_send = listen_to;
	p->d.watch_arg = p;
	p->d.start.pfs = IKE_PFS_NEVER;
	duo_up(&p->d);
	p->cnt = 0;
	duo_event(&p->d, 0, a);
	duo_event(&p->d, 1, b);
	duo_run(&p->d, 25000); /* two requests and two answers, of 10 ms each */
	assert_int_equal(p->cnt >= 4, 1);
	return p;
}

/* The first answer of a side. */
static const struct said *answer_of(const struct play *p, unsigned from)
{
	for (unsigned i = 0; i < p->cnt; i++)
		if (p->said[i].from == from && p->said[i].response)
			return &p->said[i];
	fail_msg("no answer of %u", from);
	return NULL;
}

static void must_end_with(struct play *p, unsigned ike_sas, unsigned children)
{
	duo_run(&p->d, 400 * SECOND_US);
	const char *wrong = duo_check(&p->d);
	if (wrong != NULL || duo_count(&p->d, 0) != ike_sas || p->d.end[0].child_cnt != children)
		fail_msg("seed %u: %s, %u IKE SAs, %u Child SAs", (unsigned)p->d.seed, wrong == NULL ? "as such whole" : wrong,
			 duo_count(&p->d, 0), p->d.end[0].child_cnt);
	duo_fini(&p->d);
	free(p);
}

/* ---- 2.25.1 ---- */

static void rekey_of_a_child_that_is_being_closed_is_refused_for_now_and_the_close_is_answered_as_usual(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 8; seed++) {
		struct play *p = cross(seed, IKE_EV_CHILD_EXPIRED, IKE_EV_REKEY_CHILD);
		assert_int_equal(answer_of(p, 0)->error, IKE_N_TEMPORARY_FAILURE);
		assert_int_equal(answer_of(p, 1)->error, 0);
		assert_true(answer_of(p, 1)->deletes_esp);
		must_end_with(p, 1, 1); /* the starter asks for another one */
	}
}

static void rekeys_of_one_child_are_both_answered_as_usual_and_one_child_stays(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 16; seed++) {
		struct play *p = cross(seed, IKE_EV_REKEY_CHILD, IKE_EV_REKEY_CHILD);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(answer_of(p, i)->exchange, IKE_EX_CREATE_CHILD_SA);
			assert_int_equal(answer_of(p, i)->error, 0);
		}
		must_end_with(p, 1, 1);
	}
}

static void closes_of_one_child_are_answered_without_a_delete(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		struct play *p = cross(seed, IKE_EV_CHILD_EXPIRED, IKE_EV_CHILD_EXPIRED);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(answer_of(p, i)->exchange, IKE_EX_INFORMATIONAL);
			assert_false(answer_of(p, i)->deletes_esp);
		}
		must_end_with(p, 1, 1);
	}
}

static void rekey_of_a_child_that_is_not_there_is_answered_with_child_sa_not_found(void **state)
{
	const uint8_t spi[] = { 0x11, 0x22, 0x33, 0x44 };
	static struct look_keys keys;
	struct duo *d = calloc(1, sizeof(*d));
	uint8_t plain[2048], room[2048], nonce[32] = { 1 };
	struct wire_ike_builder b;
	struct bytes msg;
	struct ike_sa sa;

	(void)state;
	must(d != NULL);
	duo_init(d, 1);
	duo_up(d);
	look_learn(&keys, d);
	assert_true(duo_sa(d, 0, &sa));
	const struct wire_ike_header h = { .spi_i = sa.spi_i, .spi_r = sa.spi_r, .major = 2, .exchange = IKE_EX_CREATE_CHILD_SA,
					   .flags = IKE_FLAG_INITIATOR, .msg_id = sa.tx_next };
	const struct wire_ike_sa offer = { .cnt = 1, .p = { { .number = 1, .protocol = IKE_PROTO_ESP, .spi = BYTES_OF(spi), .cnt = 2,
		.t = { { .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_bits = 256 }, { .type = IKE_TT_ESN } } } } };
	const struct wire_ike_ts ts = { .port_last = UINT16_MAX, .first.family = ADDR_V4,
					.last = { .b = { 255, 255, 255, 255 }, .family = ADDR_V4 } };
	wire_ike_begin(&b, SPACE_OF(plain), &h);
	wire_ike_put_notify(&b, IKE_PROTO_ESP, BYTES_OF(spi), IKE_N_REKEY_SA, (struct bytes){ 0 });
	wire_ike_put_sa(&b, &offer);
	wire_ike_put_nonce(&b, BYTES_OF(nonce));
	wire_ike_put_tss(&b, IKE_PL_TSI, &ts, 1);
	wire_ike_put_tss(&b, IKE_PL_TSR, &ts, 1);
	must(wire_ike_finish(&b, &msg) == ERR_NONE);
	const struct look_part part = { .h = h, .first = IKE_PL_NOTIFY, .iv = (uint64_t)77 << 40,
					.chain = bytes_of(msg.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN) };
	struct duo_datagram g = { .to = 1, .from = d->end[0].addr, .dest = d->end[1].addr };
	g.len = look_seal(&sa, &part, SPACE_OF(room));
	memcpy(g.b, room, g.len);
	d->pool_cnt = 0;
	duo_deliver(d, &g);
	assert_int_equal(d->pool_cnt, 1);
	static struct look l;
	assert_true(look_open(&keys, bytes_of(d->pool[0].b, d->pool[0].len), &l));
	assert_int_equal(look_error(&l), IKE_N_CHILD_SA_NOT_FOUND);
	assert_int_equal(d->end[1].child_cnt, 1);
	duo_fini(d);
	free(d);
}

/* ---- 2.25.2 ---- */

static void rekeys_of_one_ike_sa_are_both_answered_as_usual_and_one_stays(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 16; seed++) {
		struct play *p = cross(seed, IKE_EV_REKEY_IKE, IKE_EV_REKEY_IKE);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(answer_of(p, i)->exchange, IKE_EX_CREATE_CHILD_SA);
			assert_int_equal(answer_of(p, i)->error, 0);
		}
		must_end_with(p, 1, 1);
	}
}

static void rekey_of_an_ike_sa_that_is_being_closed_is_refused_for_now_and_the_close_is_answered_as_usual(void **state)
{
	(void)state;
	for (unsigned closer = 0; closer < 2; closer++) {
		struct play *p = closer == 0 ? cross(closer, IKE_EV_CLOSE, IKE_EV_REKEY_IKE) : cross(closer, IKE_EV_REKEY_IKE, IKE_EV_CLOSE);
		assert_int_equal(answer_of(p, closer)->error, IKE_N_TEMPORARY_FAILURE);
		assert_int_equal(answer_of(p, !closer)->exchange, IKE_EX_INFORMATIONAL);
		assert_int_equal(answer_of(p, !closer)->error, 0);
		must_end_with(p, 0, 0);
	}
}

static void closes_of_one_ike_sa_are_both_answered(void **state)
{
	(void)state;
	struct play *p = cross(1, IKE_EV_CLOSE, IKE_EV_CLOSE);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(answer_of(p, i)->exchange, IKE_EX_INFORMATIONAL);
		assert_int_equal(answer_of(p, i)->error, 0);
		assert_false(answer_of(p, i)->deletes_ike);
	}
	must_end_with(p, 0, 0);
}

static void a_child_is_neither_made_nor_rekeyed_while_the_ike_sa_is_rekeyed_nor_the_other_way_round(void **state)
{
	static const enum ike_event_kind kinds[] = { IKE_EV_REKEY_CHILD, IKE_EV_REKEY_CHILD, IKE_EV_NEW_CHILD };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		bool first = i != 1; /* only the starter asks for a new child */
		struct play *p = first ? cross(i, kinds[i], IKE_EV_REKEY_IKE) : cross(i, IKE_EV_REKEY_IKE, kinds[i]);
		assert_int_equal(answer_of(p, 0)->error, IKE_N_TEMPORARY_FAILURE);
		assert_int_equal(answer_of(p, 1)->error, IKE_N_TEMPORARY_FAILURE);
		unsigned rekeyed = p->d.end[0].counters[MODEL_COUNTER_ike_rekeyed];
		assert_int_equal(rekeyed, 0);
		must_end_with(p, 1, kinds[i] == IKE_EV_NEW_CHILD ? 2 : 1);
	}
}

static void an_ike_sa_is_not_rekeyed_while_a_child_is_being_closed_and_the_close_is_answered_as_usual(void **state)
{
	(void)state;
	struct play *p = cross(1, IKE_EV_CHILD_EXPIRED, IKE_EV_REKEY_IKE);
	assert_int_equal(answer_of(p, 0)->error, IKE_N_TEMPORARY_FAILURE);
	assert_true(answer_of(p, 1)->deletes_esp);
	must_end_with(p, 1, 1);
}

static void close_of_an_ike_sa_whose_child_is_being_made_or_closed_is_answered_as_usual(void **state)
{
	static const enum ike_event_kind kinds[] = { IKE_EV_NEW_CHILD, IKE_EV_REKEY_CHILD, IKE_EV_CHILD_EXPIRED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct play *p = cross(i, kinds[i], IKE_EV_CLOSE);
		assert_int_equal(answer_of(p, 0)->exchange, IKE_EX_INFORMATIONAL);
		assert_int_equal(answer_of(p, 0)->error, 0);
		must_end_with(p, 0, 0);
	}
}

/* ---- the group that a peer has wished for, and refused in the end ---- */

static uint32_t all_but_modp1536(void *arg, const struct model_id *tunnel_id, enum model_phase phase)
{
	uint32_t rows = 0;

	(void)arg;
	(void)tunnel_id;
	for (size_t i = 0; phase == MODEL_PHASE_IKE && i < model_transform_cnt; i++)
		if (model_transforms[i].type != IKE_TT_KE || model_transforms[i].id != IKE_GROUP_MODP1536)
			rows |= UINT32_C(1) << i;
	return rows;
}

/* As after a rekey of a Child SA: its INVALID_KE_PAYLOAD named the group, the second try was refused for something else. */
static void a_group_that_was_refused_is_not_asked_for_again(void **state)
{
	struct duo *d = calloc(1, sizeof(*d));

	(void)state;
	must(d != NULL);
	duo_init(d, 1);
	duo_up(d);
	d->end[1].world.find_rows = all_but_modp1536;
	for (unsigned i = 0; i < DUO_SAS_MAX; i++)
		d->end[0].sas[i].r.next_group = IKE_GROUP_MODP1536;
	duo_event(d, 0, IKE_EV_REKEY_IKE);
	duo_run(d, SECOND_US);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_REKEY_REFUSED], 1);
	duo_run(d, 60 * SECOND_US);
	assert_int_equal(d->end[0].failures[MODEL_FAILURE_REKEY_REFUSED], 1);
	assert_int_equal(d->end[0].counters[MODEL_COUNTER_ike_rekeyed], 1);
	duo_fini(d);
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rekey_of_a_child_that_is_being_closed_is_refused_for_now_and_the_close_is_answered_as_usual),
		cmocka_unit_test(rekeys_of_one_child_are_both_answered_as_usual_and_one_child_stays),
		cmocka_unit_test(closes_of_one_child_are_answered_without_a_delete),
		cmocka_unit_test(rekey_of_a_child_that_is_not_there_is_answered_with_child_sa_not_found),
		cmocka_unit_test(rekeys_of_one_ike_sa_are_both_answered_as_usual_and_one_stays),
		cmocka_unit_test(rekey_of_an_ike_sa_that_is_being_closed_is_refused_for_now_and_the_close_is_answered_as_usual),
		cmocka_unit_test(closes_of_one_ike_sa_are_both_answered),
		cmocka_unit_test(a_child_is_neither_made_nor_rekeyed_while_the_ike_sa_is_rekeyed_nor_the_other_way_round),
		cmocka_unit_test(an_ike_sa_is_not_rekeyed_while_a_child_is_being_closed_and_the_close_is_answered_as_usual),
		cmocka_unit_test(close_of_an_ike_sa_whose_child_is_being_made_or_closed_is_answered_as_usual),
		cmocka_unit_test(a_group_that_was_refused_is_not_asked_for_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
