// Datagrams that are no message of the exchange: changed, cut off, of another id, type or version, or just noise. No state changes, and the
// reason is counted.
#include "range.h"

static void any_flipped_bit_of_a_protected_message_changes_nothing(void **state)
{
	(void)state;
	for (enum exchange x = X_AUTH; x < X_CNT; x++) {
		struct range *r = make_range(x);
		uint8_t room[PEER_MSG_MAX];
		size_t len = make_message(r, &r->h, r->first, bytes_of(r->chain, r->len), room);
		for (size_t bit = 0; bit < len * 8; bit++) {
			room[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (bit / 8 >= 8 && bit / 8 < 16) {
				/* SPIr: another SA, which there is not */
				struct outcome o = shoot_bytes(r, bytes_of(room, len));
				must_change_nothing(r, &o);
			} else if (bit / 8 != 17) { /* a major version above 2 gets INVALID_MAJOR_VERSION at the first door */
				struct outcome o = shoot_bytes(r, bytes_of(room, len));
				must_change_nothing(r, &o);
			}
			room[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_true(shoot_bytes(r, bytes_of(room, len)).accepted);
		free_range(r);
	}
}

static void a_message_cut_anywhere_changes_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		uint8_t room[PEER_MSG_MAX];
		size_t len = make_message(r, &r->h, r->first, bytes_of(r->chain, r->len), room);
		for (size_t cut = 0; cut < len; cut++) {
			/* exactly that much memory, so that a read behind it is seen */
			uint8_t *copy = malloc(cut + 1);
			struct wr w = wr_of((struct space){ room, len });
			must(copy != NULL);
			memcpy(copy, room, cut);
			struct outcome o = shoot_bytes(r, bytes_of(copy, cut));
			must_change_nothing(r, &o);
			if (cut >= WIRE_IKE_HEADER_LEN) { /* and with a length field that agrees */
				(void)wr_reserve(&w, len);
				copy[24] = copy[25] = 0;
				copy[26] = (uint8_t)(cut >> 8);
				copy[27] = (uint8_t)cut;
				o = shoot_bytes(r, bytes_of(copy, cut));
				must_change_nothing(r, &o);
			}
			free(copy);
		}
		free_range(r);
	}
}

static void a_wrong_message_id_changes_nothing(void **state)
{
	static const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 6, 7, 100, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
			struct wire_ike_header h = r->h;
			bool ahead = r->sa != NULL && ids[i] > r->h.msg_id && ids[i] != UINT32_MAX;
			if (ids[i] == r->h.msg_id || ahead) /* an SA that stands follows a jump of its peer */
				continue;
			h.msg_id = ids[i];
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			must_change_nothing(r, &o);
			assert_int_equal(r->n->g.drops[MODEL_DROP_ike_msgid], r->saved.drops[MODEL_DROP_ike_msgid] + 1);
		}
		free_range(r);
	}
}

static void other_exchange_types_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (unsigned type = 0; type < 256; type++) {
			struct wire_ike_header h = r->h;
			bool created = r->sa != NULL;
			if (type == r->h.exchange ||
			    (created && (type == IKE_EX_CREATE_CHILD_SA || type == IKE_EX_INFORMATIONAL)))
				continue;
			h.exchange = (uint8_t)type;
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			must_change_nothing(r, &o);
		}
		free_range(r);
	}
}

static void other_flags_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (unsigned flags = 0; flags < 256; flags++) {
			struct wire_ike_header h = r->h;
			bool request = (flags & (IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE)) == IKE_FLAG_INITIATOR;
			h.flags = (uint8_t)flags;
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			if (request)
				assert_true(o.accepted); /* reserved flags are ignored (RFC 7296 3.1) */
			else
				must_change_nothing(r, &o);
		}
		free_range(r);
	}
}

static void other_versions_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (unsigned major = 0; major < 16; major++) {
			struct wire_ike_header h = r->h;
			if (major == 2)
				continue;
			h.major = (uint8_t)major;
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			assert_int_equal(gateway_fingerprint(&r->n->g), gateway_fingerprint(&r->saved));
			assert_true(o.drops == 1);
			assert_int_equal(o.notify, r->plain && major > 2 ? IKE_N_INVALID_MAJOR_VERSION : 0);
			assert_int_equal(o.replied, r->plain && major > 2);
			if (major == 1)
				assert_int_equal(r->n->g.drops[MODEL_DROP_ike_v1], r->saved.drops[MODEL_DROP_ike_v1] + 1);
		}
		free_range(r);
	}
}

/* ISAKMP: a Main Mode SA payload of a real IKEv1 peer, and each exchange and payload type of that version. */
static void ikev1_gets_no_answer(void **state)
{
	struct range *r = make_range(X_INIT);
	uint8_t msg[128] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	msg[17] = 0x10;
	msg[27] = sizeof(msg);
	for (unsigned exchange = 0; exchange < 256; exchange++) {
		for (unsigned first = 0; first < 16; first++) {
			msg[16] = (uint8_t)first;
			msg[18] = (uint8_t)exchange;
			struct outcome o = shoot_bytes(r, BYTES_OF(msg));
			must_change_nothing(r, &o);
			assert_int_equal(o.failures, 1);
			assert_int_equal(r->n->g.failure.code, MODEL_FAILURE_IKEV1);
		}
	}
	free_range(r);
}

static void random_datagrams_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x <= X_CHILD; x++) {
		struct range *r = make_range(x);
		uint32_t seed = 4711 + x;
		for (unsigned run = 0; run < 20000; run++) {
			uint8_t b[300];
			size_t len = run % sizeof(b);
			for (size_t i = 0; i < sizeof(b); i++) {
				seed = seed * 1664525u + 1013904223u;
				b[i] = (uint8_t)(seed >> 24);
			}
			if (run % 3 != 0 && len >= 28) { /* looks right up to the first payload */
				struct wr w = wr_of(SPACE_OF(b));
				wr_u64(&w, r->h.spi_i);
				wr_u64(&w, run % 3 == 1 ? r->h.spi_r : 0);
				wr_u8(&w, b[16]);
				wr_u8(&w, 0x20);
				wr_u8(&w, run % 3 == 1 ? r->h.exchange : IKE_EX_SA_INIT);
				wr_u8(&w, 8);
				wr_u32(&w, run % 3 == 1 ? r->h.msg_id : 0);
				wr_u32(&w, (uint32_t)len);
			}
			struct outcome o = { 0 };
			put_back(r);
			gateway_input(&r->n->g, &r->n->p.remote, &r->n->p.local, bytes_of(b, len));
			o.replied = r->n->g.out_cnt > 0 && r->n->g.out[0].len > len;
			o.drops = sum_drops(&r->n->g) - sum_drops(&r->saved);
			must_change_nothing(r, &o);
		}
		free_range(r);
	}
}

static void a_changed_answer_to_our_request_changes_nothing(void **state)
{
	struct range *r = make_range(X_LIVENESS);
	struct net *n = r->n;
	uint8_t good[PEER_MSG_MAX], bad[PEER_MSG_MAX];
	unsigned which;

	(void)state;
	n->p.ike[0].step = PEER_IDLE;
	n->g.now_us += 31000000;
	gateway_timers(&n->g);
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(peer_input(&n->p, bytes_of(n->g.out[0].b, n->g.out[0].len), &which), PEER_EV_ANSWER);
	size_t len = n->p.ike[0].answer_len;
	memcpy(good, n->p.ike[0].answer, len);
	save(r);
	for (size_t bit = 0; bit < len * 8; bit++) {
		if (bit / 8 == 17)
			continue;
		memcpy(bad, good, len);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct outcome o = shoot_bytes(r, bytes_of(bad, len));
		must_change_nothing(r, &o);
	}
	put_back(r);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(good, len));
	assert_int_equal(gateway_sa(&n->g, n->p.ike[0].spi_r).request.kind, IKE_REQUEST_NONE);
	/* the same answer again belongs to no request */
	save(r);
	struct outcome o = shoot_bytes(r, bytes_of(good, len));
	must_change_nothing(r, &o);
	free_range(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_flipped_bit_of_a_protected_message_changes_nothing),
		cmocka_unit_test(a_message_cut_anywhere_changes_nothing),
		cmocka_unit_test(a_wrong_message_id_changes_nothing),
		cmocka_unit_test(other_exchange_types_change_nothing),
		cmocka_unit_test(other_flags_change_nothing),
		cmocka_unit_test(other_versions_change_nothing),
		cmocka_unit_test(ikev1_gets_no_answer),
		cmocka_unit_test(random_datagrams_change_nothing),
		cmocka_unit_test(a_changed_answer_to_our_request_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
