// Fragments (RFC 7383): what is kept, what is refused, what is answered again, and what we send.
#include "ike_test.h"

#include "../../peer/peer_part.h"
#include "ike/frag.h"

#define PIECES_MAX 16

/* A peer and a gateway that take fragments, before IKE_AUTH. */
static struct net *make_half(void)
{
	struct net *n = malloc(sizeof(*n));
	struct peer_options o;

	must(n != NULL);
	net_options(&o);
	o.fragment_size = 200;
	net_init(n, &o);
	peer_start_init(&n->p);
	must(net_run(n) && n->p.notify == 0 && n->g.has_half && n->g.half.sa.fragments && n->p.fragments);
	return n;
}

static struct net *make_fragmenting(void)
{
	struct net *n = make_half();
	peer_start_auth(&n->p);
	must(net_run(n) && n->p.ike[0].up);
	return n;
}

/* The pieces of the peer's request. */
static unsigned pieces_of(const struct net *n, struct bytes piece[static PIECES_MAX])
{
	struct bytes list = bytes_of(n->p.ike[0].request, n->p.ike[0].request_len);
	unsigned cnt = 0;

	while (peer_next(&list, &piece[cnt]))
		must(++cnt < PIECES_MAX);
	return cnt;
}

static void give(struct net *n, struct bytes msg)
{
	gateway_input(&n->g, &n->p.remote, &n->p.local, msg);
}

/* A piece of an INFORMATIONAL request with these payloads, made with the peer's keys. */
static struct bytes make_piece(struct net *n, uint16_t number, uint16_t total, uint8_t first, struct bytes part,
			       uint8_t room[static PEER_MSG_MAX])
{
	struct peer_ike *sa = &n->p.ike[0];
	const struct wire_ike_header h = { .spi_i = sa->spi_i, .spi_r = sa->spi_r, .major = 2, .flags = IKE_FLAG_INITIATOR,
					   .exchange = IKE_EX_INFORMATIONAL, .msg_id = sa->tx_next };
	return bytes_of(room, peer_protect_fragment(sa, &h, number, total, first, part,
						    (struct space){ room, PEER_MSG_MAX }));
}

static void give_piece(struct net *n, uint16_t number, uint16_t total, uint8_t first, struct bytes part)
{
	uint8_t room[PEER_MSG_MAX];
	give(n, make_piece(n, number, total, first, part, room));
}

/* ---- what comes in ---- */

static void pieces_in_any_order_make_the_message(void **state)
{
	static const uint8_t orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 }, { 2, 0, 3, 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct net *n = make_half();
		struct bytes piece[PIECES_MAX];
		n->p.o.fragment_size = 180;
		peer_start_auth(&n->p);
		assert_int_equal(pieces_of(n, piece), 4);
		for (unsigned k = 0; k < 4; k++) {
			assert_int_equal(n->g.out_cnt, 0);
			give(n, piece[orders[i][k]]);
		}
		assert_int_equal(n->g.pieces, 3);
		assert_int_equal(n->g.counters[MODEL_COUNTER_ike_fragmented_in], 1);
		assert_true(net_run(n) && n->p.ike[0].up);
		net_check(n);
		free_net(n);
	}
}

static void a_piece_that_is_here_already_is_dropped(void **state)
{
	struct net *n = make_half();
	struct bytes piece[PIECES_MAX];

	(void)state;
	peer_start_auth(&n->p);
	unsigned cnt = pieces_of(n, piece);
	for (unsigned i = 0; i + 1 < cnt; i++) {
		give(n, piece[i]);
		give(n, piece[i]);
	}
	assert_int_equal(n->g.drops[MODEL_DROP_ike_fragment], cnt - 1);
	give(n, piece[cnt - 1]);
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
	free_net(n);
}

static void a_changed_piece_is_not_kept(void **state)
{
	struct net *n = make_half();
	struct bytes piece[PIECES_MAX];
	struct ike_frags before = { 0 };
	uint8_t bad[PEER_MSG_MAX];

	(void)state;
	peer_start_auth(&n->p);
	unsigned cnt = pieces_of(n, piece);
	give(n, piece[1]);
	memcpy(&before, &n->g.frags[0], sizeof(before));
	for (unsigned i = 0; i < cnt; i++) {
		for (size_t bit = 0; bit < piece[i].len * 8; bit++) {
			if (bit / 8 < 16 || bit / 8 == 17) /* another SA; another version is dropped before */
				continue;
			memcpy(bad, piece[i].p, piece[i].len);
			bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
			give(n, bytes_of(bad, piece[i].len));
			assert_memory_equal(&n->g.frags[0], &before, sizeof(before));
			assert_int_equal(n->g.out_cnt, 0);
		}
	}
	for (unsigned i = 0; i < cnt; i++)
		give(n, piece[i]);
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
	free_net(n);
}

static void a_peer_that_did_not_say_so_may_not_send_pieces(void **state)
{
	struct net *n = make_net();

	(void)state;
	peer_start_init(&n->p);
	assert_true(net_run(n));
	assert_false(n->g.half.sa.fragments || n->p.fragments);
	n->p.fragments = true;
	n->p.o.fragment_size = 200;
	peer_start_auth(&n->p);
	struct bytes piece[PIECES_MAX];
	unsigned cnt = pieces_of(n, piece);
	for (unsigned i = 0; i < cnt; i++)
		give(n, piece[i]);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_unexpected], cnt);
	assert_int_equal(n->g.out_cnt, 0);
	free_net(n);
}

static void a_greater_total_starts_again_and_a_smaller_one_is_late(void **state)
{
	struct net *n = make_half();
	struct bytes big[PIECES_MAX], small[PIECES_MAX];
	struct peer_ike first;

	(void)state;
	n->p.o.fragment_size = 300;
	peer_start_auth(&n->p);
	first = n->p.ike[0]; /* keeps the bytes */
	unsigned big_cnt = pieces_of(n, big);
	for (unsigned i = 0; i < big_cnt; i++)
		big[i].p = first.request + (big[i].p - n->p.ike[0].request);
	n->p.ike[0].step = PEER_IDLE;
	n->p.ike[0].tx_next = 1;
	n->p.o.fragment_size = 160;
	peer_start_auth(&n->p);
	unsigned small_cnt = pieces_of(n, small);
	assert_true(big_cnt >= 2 && small_cnt > big_cnt);

	give(n, big[0]);
	give(n, small[0]); /* in smaller pieces now: what came is forgotten */
	assert_int_equal(n->g.frags[0].cnt, 1);
	assert_int_equal(n->g.frags[0].total, small_cnt);
	for (unsigned i = 1; i < big_cnt; i++)
		give(n, big[i]);
	assert_int_equal(n->g.frags[0].cnt, 1);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_fragment], big_cnt - 1);
	for (unsigned i = 1; i < small_cnt; i++)
		give(n, small[i]);
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
	free_net(n);
}

static void pieces_that_stay_alone_are_forgotten(void **state)
{
	struct net *n = make_half();
	struct bytes piece[PIECES_MAX];

	(void)state;
	peer_start_auth(&n->p);
	unsigned cnt = pieces_of(n, piece);
	give(n, piece[0]);
	n->g.now_us += IKE_FRAGS_LIFE_US;
	give(n, piece[1]);
	assert_int_equal(n->g.frags[0].cnt, 1);
	assert_false(n->g.frags[0].piece[0].here);
	give(n, piece[0]);
	for (unsigned i = 2; i < cnt; i++)
		give(n, piece[i]);
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
	free_net(n);
}

static void more_pieces_or_more_bytes_than_a_message_may_have_are_refused(void **state)
{
	struct net *n = make_fragmenting();
	static const uint8_t text[1200];
	uint8_t room[PEER_MSG_MAX];

	(void)state;
	give_piece(n, 1, IKE_FRAGS_MAX + 1, IKE_PL_VENDOR, bytes_of(text, 8));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_fragment], 1);
	assert_false(n->g.frags[1].used);
	give_piece(n, UINT16_MAX, UINT16_MAX, IKE_PL_VENDOR, bytes_of(text, 8));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_fragment], 2);
	for (uint16_t i = 1; i <= IKE_MESSAGE_MAX / sizeof(text); i++)
		give_piece(n, i, IKE_FRAGS_MAX, IKE_PL_VENDOR, BYTES_OF(text));
	assert_int_equal(n->g.frags[1].cnt, IKE_MESSAGE_MAX / sizeof(text));
	give(n, make_piece(n, IKE_FRAGS_MAX, IKE_FRAGS_MAX, IKE_PL_VENDOR, BYTES_OF(text), room));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_fragment], 3);
	assert_false(n->g.frags[1].used); /* such a message cannot become whole: none of it stays */
	assert_int_equal(n->g.out_cnt, 0);
	free_net(n);
}

static void as_many_pieces_as_allowed_are_taken(void **state)
{
	struct net *n = make_fragmenting();
	uint8_t vendor[IKE_FRAGS_MAX] = { [3] = IKE_FRAGS_MAX };

	(void)state;
	for (uint16_t i = IKE_FRAGS_MAX; i >= 1; i--)
		give_piece(n, i, IKE_FRAGS_MAX, i == 1 ? IKE_PL_VENDOR : 0, bytes_of(&vendor[i - 1], 1));
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(sa_of(n).rx_next, n->p.ike[0].tx_next + 1);
	free_net(n);
}

static void a_single_piece_may_be_a_whole_message_and_an_empty_one(void **state)
{
	struct net *n = make_fragmenting();

	(void)state;
	give_piece(n, 1, 1, IKE_PL_NONE, (struct bytes){ 0 });
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(sa_of(n).rx_next, n->p.ike[0].tx_next + 1);
	free_net(n);
}

static void what_the_whole_says_is_judged_like_any_message(void **state)
{
	struct net *n = make_fragmenting();
	const uint8_t critical[] = { 0, 0x80, 0, 4 };
	unsigned which;

	(void)state;
	n->p.ike[0].step = PEER_INFO;
	n->p.ike[0].request_id = n->p.ike[0].tx_next;
	give_piece(n, 2, 2, IKE_PL_NONE, bytes_of(critical + 2, 2));
	give_piece(n, 1, 2, 99, bytes_of(critical, 2));
	n->p.ike[0].tx_next++;
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(peer_input(&n->p, bytes_of(n->g.out[0].b, n->g.out[0].len), &which), PEER_EV_DONE);
	assert_int_equal(n->p.notify, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
	free_net(n);
}

static void pieces_outside_the_window_are_dropped(void **state)
{
	struct net *n = make_fragmenting();

	(void)state;
	n->p.ike[0].tx_next = 0;
	give_piece(n, 1, 2, IKE_PL_NONE, bytes_str("x"));
	n->p.ike[0].tx_next = UINT32_MAX;
	give_piece(n, 1, 2, IKE_PL_NONE, bytes_str("x"));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_msgid], 2);
	assert_false(n->g.frags[1].used);
	free_net(n);
}

/* The ids between are of requests that another node has answered, or a process before this one, without a word to the store. */
static void the_id_of_a_request_in_pieces_may_jump_forward_and_not_back(void **state)
{
	struct net *n = make_fragmenting();
	struct peer_ike *sa = &n->p.ike[0];
	unsigned which;

	(void)state;
	sa->tx_next += 5;
	sa->step = PEER_INFO;
	sa->request_id = sa->tx_next;
	give_piece(n, 2, 2, IKE_PL_NONE, bytes_str(""));
	sa->tx_next--; /* sent again by somebody: what has come of the newer one stays */
	give_piece(n, 1, 2, IKE_PL_NONE, bytes_str(""));
	assert_int_equal(n->g.drops[MODEL_DROP_ike_fragment], 1);
	sa->tx_next++;
	give_piece(n, 1, 2, IKE_PL_NONE, bytes_str(""));
	sa->tx_next++;
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(peer_input(&n->p, bytes_of(n->g.out[0].b, n->g.out[0].len), &which), PEER_EV_DONE);
	assert_int_equal(gateway_sa(&n->g, sa->spi_r).rx_next, sa->tx_next);
	free_net(n);
}

/* RFC 7383 2.6.1 */
static void an_answered_request_is_answered_again_for_its_first_piece_alone(void **state)
{
	struct net *n = make_fragmenting();
	struct bytes piece[PIECES_MAX], again[PIECES_MAX];
	struct peer_ike first;

	(void)state;
	n->g.world.fragment_mtu = 200;
	n->p.o.tsi_cnt = n->p.o.tsr_cnt = 2;
	peer_start_child(&n->p, NULL, NULL);
	first = n->p.ike[0];
	unsigned cnt = pieces_of(n, piece);
	for (unsigned i = 0; i < cnt; i++)
		piece[i].p = first.request + (piece[i].p - n->p.ike[0].request);
	for (unsigned i = 0; i < cnt; i++)
		give(n, piece[i]);
	unsigned answers = n->g.out_cnt;
	assert_true(cnt >= 2 && answers >= 2);
	uint64_t print = gateway_fingerprint(&n->g);
	for (unsigned i = cnt; i-- > 1;)
		give(n, piece[i]);
	assert_int_equal(n->g.out_cnt, answers);
	give(n, piece[0]);
	assert_int_equal(n->g.out_cnt, 2 * answers);
	for (unsigned i = 0; i < answers; i++)
		assert_memory_equal(n->g.out[i].b, n->g.out[answers + i].b, n->g.out[i].len);
	/* the same request in smaller pieces, which only the peer can make */
	n->p.ike[0].step = PEER_IDLE;
	n->p.ike[0].tx_next--;
	n->p.o.fragment_size = 160;
	peer_start_child(&n->p, NULL, NULL);
	assert_true(pieces_of(n, again) > cnt);
	n->g.out_cnt = 0;
	give(n, again[1]);
	assert_int_equal(n->g.out_cnt, 0);
	give(n, again[0]);
	assert_int_equal(n->g.out_cnt, answers);
	uint8_t bad[PEER_MSG_MAX];
	memcpy(bad, again[0].p, again[0].len);
	bad[again[0].len - 1] ^= 1;
	give(n, bytes_of(bad, again[0].len));
	assert_int_equal(n->g.out_cnt, answers);
	assert_int_equal(gateway_fingerprint(&n->g), print);
	free_net(n);
}

/* ---- what goes out ---- */

static void no_datagram_is_longer_than_the_path_carries(void **state)
{
	static const uint16_t mtus[] = { 200, 256, 300, 576, 1280 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mtus); i++) {
		struct net *n = make_fragmenting();
		n->g.world.fragment_mtu = mtus[i];
		peer_start_child(&n->p, NULL, NULL);
		struct bytes list = bytes_of(n->p.ike[0].request, n->p.ike[0].request_len), msg;
		while (peer_next(&list, &msg))
			give(n, msg);
		for (unsigned k = 0; k < n->g.out_cnt; k++)
			assert_true(n->g.out[k].len + 20 + 8 + 4 <= mtus[i]);
		assert_true(mtus[i] >= 576 ? n->g.out_cnt == 1 : mtus[i] > 256 || n->g.out_cnt >= 2);
		assert_int_equal(n->g.counters[MODEL_COUNTER_ike_fragmented_out], n->g.out_cnt >= 2);
		/* GCM: each of them under an IV of its own */
		for (unsigned a = 0; n->g.out_cnt >= 2 && a < n->g.out_cnt; a++)
			for (unsigned b = 0; b < a; b++)
				assert_memory_not_equal(n->g.out[a].b + 36, n->g.out[b].b + 36, 8);
		assert_true(net_run(n));
		assert_int_equal(n->p.child_cnt, 2);
		free_net(n);
	}
}

static void a_peer_that_takes_no_fragments_gets_none(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->g.world.fragment_mtu = 200;
	net_must_up(n);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_fragmented_out], 0);
	free_net(n);
}

/* With CBC every IV is random, and none is another's. */
static void ivs_of_cbc_fragments_differ(void **state)
{
	struct ike_sa sa = { .suite = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256 } };
	struct ike_event ev = { 0 };
	uint8_t iv[2 * IKE_FRAGS_OUT_MAX][CRYPT_IV_MAX];

	(void)state;
	for (unsigned i = 0; i < IKE_RANDOM_LEN; i++)
		ev.random[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < 2 * IKE_FRAGS_OUT_MAX; i++) {
		assert_int_equal(ike_protect_iv(&sa, &ev, i < IKE_FRAGS_OUT_MAX, i % IKE_FRAGS_OUT_MAX, iv[i]).len, 16);
		for (unsigned k = 0; k < i; k++)
			assert_memory_not_equal(iv[i], iv[k], 16);
	}
}

/* It outlives a rekey of the IKE SA: the capability was of the peer. */
static void the_next_ike_sa_takes_fragments_too(void **state)
{
	static const struct peer_suite suite = { IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_PRF_HMAC_SHA2_256,
						 IKE_GROUP_MODP2048 };
	struct net *n = make_fragmenting();

	(void)state;
	peer_start_ike_rekey(&n->p, &suite);
	assert_true(net_run(n) && n->p.notify == 0);
	assert_true(sa_of(n).fragments);
	n->g.pieces = 0;
	peer_start_child(&n->p, NULL, NULL);
	assert_true(net_run(n) && n->p.notify == 0);
	assert_true(n->g.pieces > 0);
	free_net(n);
}

TESTS(cmocka_unit_test(pieces_in_any_order_make_the_message), cmocka_unit_test(a_piece_that_is_here_already_is_dropped),
      cmocka_unit_test(a_changed_piece_is_not_kept), cmocka_unit_test(a_peer_that_did_not_say_so_may_not_send_pieces),
      cmocka_unit_test(a_greater_total_starts_again_and_a_smaller_one_is_late),
      cmocka_unit_test(pieces_that_stay_alone_are_forgotten),
      cmocka_unit_test(more_pieces_or_more_bytes_than_a_message_may_have_are_refused),
      cmocka_unit_test(as_many_pieces_as_allowed_are_taken),
      cmocka_unit_test(a_single_piece_may_be_a_whole_message_and_an_empty_one),
      cmocka_unit_test(what_the_whole_says_is_judged_like_any_message),
      cmocka_unit_test(pieces_outside_the_window_are_dropped),
      cmocka_unit_test(the_id_of_a_request_in_pieces_may_jump_forward_and_not_back),
      cmocka_unit_test(an_answered_request_is_answered_again_for_its_first_piece_alone),
      cmocka_unit_test(no_datagram_is_longer_than_the_path_carries),
      cmocka_unit_test(a_peer_that_takes_no_fragments_gets_none), cmocka_unit_test(ivs_of_cbc_fragments_differ),
      cmocka_unit_test(the_next_ike_sa_takes_fragments_too))
