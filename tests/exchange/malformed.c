// Payloads that no honest peer sends, in every exchange and state: nothing may crash, change or stay unanswered for
// without a counted reason.
#include "range.h"

static void insert(struct list *l, unsigned at, struct item it)
{
	must(l->cnt < ARRAY_LEN(l->i) && at <= l->cnt);
	memmove(&l->i[at + 1], &l->i[at], (l->cnt - at) * sizeof(it));
	l->i[at] = it;
	l->cnt++;
}

static bool is_mandatory(enum exchange x, uint8_t type)
{
	switch (type) {
	case IKE_PL_SA:
	case IKE_PL_TSI:
	case IKE_PL_TSR:
	case IKE_PL_IDI:
	case IKE_PL_AUTH:
	case IKE_PL_NONCE:
		return true;
	case IKE_PL_KE:
		return x != X_LIVENESS;
	default:
		return false;
	}
}

static bool may_repeat(uint8_t type)
{
	return type == IKE_PL_NOTIFY || type == IKE_PL_VENDOR || type == IKE_PL_DELETE;
}

static void good_requests_are_accepted(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct outcome o = shoot(r, &r->h, r->first, bytes_of(r->chain, r->len));
		assert_true(o.accepted);
		free_range(r);
	}
}

static void a_missing_payload_is_refused(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			struct list l = good;
			memmove(&l.i[n], &l.i[n + 1], (l.cnt - n - 1) * sizeof(l.i[0]));
			l.cnt--;
			struct outcome o = shoot_list(r, &l);
			if (is_mandatory(x, good.i[n].type))
				must_be_refused(r, &o);
		}
		free_range(r);
	}
}

static void a_repeated_payload_is_refused(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (unsigned at = 0; at <= good.cnt; at++) {
				struct list l = good;
				insert(&l, at, good.i[n]);
				struct outcome o = shoot_list(r, &l);
				if (!may_repeat(good.i[n].type))
					must_be_refused(r, &o);
				else
					assert_true(o.accepted);
			}
		}
		free_range(r);
	}
}

/* RFC 7296 2.5: the order means nothing. */
static void payloads_in_another_order_are_accepted(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned a = 0; a < good.cnt; a++) {
			for (unsigned b = a + 1; b < good.cnt; b++) {
				struct list l = good;
				l.i[a] = good.i[b];
				l.i[b] = good.i[a];
				assert_true(shoot_list(r, &l).accepted);
			}
		}
		free_range(r);
	}
}

static void a_wrong_payload_length_is_refused(void **state)
{
	static const int offs[] = { -1, 1, 2, 3, 4, 8, 64, 1000, 60000 };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
				struct list l = good;
				l.i[n].len_off = offs[i];
				struct outcome o = shoot_list(r, &l);
				must_be_refused(r, &o);
			}
			for (int len = 0; len < 4; len++) {
				struct list l = good;
				l.i[n].len_off = len - 4 - (int)good.i[n].body.len;
				struct outcome o = shoot_list(r, &l);
				must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void a_body_cut_anywhere_is_handled(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (size_t len = 0; len < good.i[n].body.len; len++) {
				struct list l = good;
				l.i[n].body.len = len;
				struct outcome o = shoot_list(r, &l);
				uint8_t type = good.i[n].type;
				/* a shorter name that the peer asks for is a name too */
				bool free_length = type == IKE_PL_NOTIFY || type == IKE_PL_NONCE || (type == IKE_PL_IDR && len > 4);
				if (!free_length)
					must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void any_payload_type_in_any_place_is_handled(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (unsigned type = 1; type < 256; type++) {
				struct list l = good;
				l.i[n].type = (uint8_t)type;
				struct outcome o = shoot_list(r, &l);
				if (type != good.i[n].type && is_mandatory(x, good.i[n].type))
					must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void an_unknown_critical_payload_is_named_in_the_answer(void **state)
{
	static const uint8_t body[] = { 1, 2, 3, 4, 5, 6 };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned type = 1; type < 256; type++) {
			if (type >= IKE_PL_SA && type <= IKE_PL_EAP && type != IKE_PL_SK)
				continue;
			if (type == IKE_PL_SK || type == IKE_PL_SKF)
				continue; /* these end the chain */
			struct list l = good;
			insert(&l, type % (good.cnt + 1), (struct item){ .type = (uint8_t)type, .critical = true,
									  .body = BYTES_OF(body) });
			struct outcome o = shoot_list(r, &l);
			must_be_refused(r, &o);
			assert_int_equal(o.notify, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
			assert_int_equal(o.notify_byte, type);
			l.i[type % (good.cnt + 1)].critical = false;
			assert_true(shoot_list(r, &l).accepted);
		}
		free_range(r);
	}
}

static void the_critical_bit_of_a_known_payload_is_ignored(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list l = to_list(r);
		for (unsigned n = 0; n < l.cnt; n++)
			l.i[n].critical = true;
		assert_true(shoot_list(r, &l).accepted);
		free_range(r);
	}
}

/* What the peer's AUTH signs: nothing in IDi may be other than it was; and AUTH itself. */
static bool is_signed(const struct range *r, size_t at)
{
	struct wire_ike_payloads pls;

	must(wire_ike_payloads_parse(r->first, bytes_of(r->chain, r->len), &pls) == ERR_NONE);
	for (unsigned n = 0; n < pls.cnt; n++) {
		size_t from = (size_t)(pls.p[n].body.p - r->chain), to = from + pls.p[n].body.len;
		if (pls.p[n].type == IKE_PL_AUTH && at >= from + 4 && at < to)
			return true;
		if (pls.p[n].type == IKE_PL_IDI && at >= from && at < to)
			return true;
	}
	return false;
}

static void any_changed_byte_inside_is_handled(void **state)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		uint8_t chain[PEER_MSG_MAX];
		for (size_t at = 0; at < r->len; at++) {
			for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
				memcpy(chain, r->chain, r->len);
				chain[at] ^= masks[m];
				struct outcome o = shoot(r, &r->h, r->first, bytes_of(chain, r->len));
				if (x == X_AUTH && is_signed(r, at))
					must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests_are_accepted),
		cmocka_unit_test(a_missing_payload_is_refused),
		cmocka_unit_test(a_repeated_payload_is_refused),
		cmocka_unit_test(payloads_in_another_order_are_accepted),
		cmocka_unit_test(a_wrong_payload_length_is_refused),
		cmocka_unit_test(a_body_cut_anywhere_is_handled),
		cmocka_unit_test(any_payload_type_in_any_place_is_handled),
		cmocka_unit_test(an_unknown_critical_payload_is_named_in_the_answer),
		cmocka_unit_test(the_critical_bit_of_a_known_payload_is_ignored),
		cmocka_unit_test(any_changed_byte_inside_is_handled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
