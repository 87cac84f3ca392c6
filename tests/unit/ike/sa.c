#include "ike_test.h"

#include "base/tlv.h"

/* Every field different from zero and at its largest. */
static struct ike_sa make_full(void)
{
	struct ike_sa sa;

	memset(&sa, 0, sizeof(sa));
	sa.spi_i = 0x1111111111111111;
	sa.spi_r = 0x2222222222222222;
	sa.role = IKE_INITIATOR;
	sa.state = IKE_STATE_REKEYED;
	sa.auth_verified = sa.nat_peer = sa.nat_local = sa.allow_null = sa.allow_esn = sa.closing = true;
	memset(sa.account_id.b, 3, 16);
	memset(sa.tunnel_id.b, 4, 16);
	sa.account_number = 5;
	sa.suite = (struct model_suite){ 1, 2, 3, 4, 5, 6 };
	memset(&sa.keys, 0x77, sizeof(sa.keys));
	sa.path.local = endpoint("2001:db8::1", 4500);
	sa.path.remote = endpoint("2001:db8::2", 4501);
	sa.path.udp_encap = true;
	sa.start_port = 500;
	sa.id_type = 2;
	sa.id_len = IKE_ID_MAX;
	memset(sa.id, 'i', sizeof(sa.id));
	sa.rx_next = 10;
	sa.tx_next = 20;
	sa.reply = (struct ike_reply){ .msg_id = 9, .len = IKE_REPLY_MAX };
	memset(sa.reply.request_hash, 8, 32);
	memset(sa.reply.b, 9, sizeof(sa.reply.b));
	sa.request = (struct ike_request){ .kind = IKE_REQUEST_ADDRESS, .tries = 2, .address_tries = 1, .msg_id = 19,
					   .resend_us = 123456, .child_spi = 77, .len = sizeof(sa.request.b) };
	memset(sa.request.b, 10, sizeof(sa.request.b));
	memset(sa.request.nonce, 11, sizeof(sa.request.nonce));
	sa.candidate = (struct ike_candidate){ endpoint("2001:db8::3", 9), 4500, true, true, true, true };
	memset(sa.seen_as, 12, sizeof(sa.seen_as));
	sa.encap = IKE_ENCAP_NATIVE;
	sa.mobike = sa.fixed_peer = sa.update_due = true;
	sa.child_cnt = IKE_CHILDREN_MAX;
	for (unsigned i = 0; i < IKE_CHILDREN_MAX; i++)
		sa.children[i] = (struct ike_child_ref){ 1000 + i, 2000 + i, i & 1, i & 2, i & 4, i & 1, (uint8_t)i, 5 * i };
	sa.dpd_delay_s = 30;
	sa.child_lifetime_s = 40;
	sa.ike_rekeys = 50;
	sa.child_rekeys = 60;
	sa.moves = 65;
	sa.created_us = 70;
	sa.expires_us = 80;
	sa.last_in_us = 90;
	sa.next_check_us = 100;
	return sa;
}

static size_t encode_as(uint16_t format, const struct ike_sa *sa, struct space room)
{
	struct wr w = wr_of(room);
	must(ike_sa_encode(sa, format, &w) == ERR_NONE);
	return wr_len(&w);
}

static size_t encode(const struct ike_sa *sa, struct space room)
{
	return encode_as(MODEL_FORMAT_NEWEST, sa, room);
}

/* Encoded again it is the same record: nothing was lost on the way. */
static void survive_in(uint16_t format)
{
	uint8_t room[IKE_SA_RECORD_MAX], again[IKE_SA_RECORD_MAX];
	struct ike_sa sa = make_full(), back;

	size_t len = encode_as(format, &sa, SPACE_OF(room)); /* the largest one fits */
	assert_int_equal(ike_sa_decode(bytes_of(room, len), &back), ERR_NONE);
	assert_int_equal(encode_as(format, &back, SPACE_OF(again)), len);
	assert_memory_equal(room, again, len);
	assert_int_equal(back.spi_r, sa.spi_r);
	assert_int_equal(back.role, IKE_INITIATOR);
	assert_memory_equal(&back.keys, &sa.keys, sizeof(sa.keys));
	assert_memory_equal(&back.path, &sa.path, sizeof(sa.path));
	assert_memory_equal(&back.suite, &sa.suite, sizeof(sa.suite));
	assert_memory_equal(back.reply.b, sa.reply.b, sa.reply.len);
	assert_memory_equal(back.request.b, sa.request.b, sa.request.len);
	assert_memory_equal(back.request.nonce, sa.request.nonce, sizeof(sa.request.nonce));
	assert_memory_equal(&back.candidate, &sa.candidate, sizeof(sa.candidate));
	assert_memory_equal(back.seen_as, sa.seen_as, sizeof(sa.seen_as));
	assert_int_equal(back.encap, IKE_ENCAP_NATIVE);
	assert_true(back.mobike && back.fixed_peer && back.update_due);
	for (unsigned i = 0; i < IKE_CHILDREN_MAX; i++) {
		assert_int_equal(back.children[i].spi_in, sa.children[i].spi_in);
		assert_int_equal(back.children[i].spi_out, sa.children[i].spi_out);
		assert_int_equal(back.children[i].replaced, sa.children[i].replaced);
		assert_int_equal(back.children[i].unproven, sa.children[i].unproven);
		assert_int_equal(back.children[i].closing, sa.children[i].closing);
	}
	assert_int_equal(back.next_check_us, 100);
	assert_int_equal(back.moves, 65);
	assert_true(back.closing && back.nat_peer && back.nat_local && back.allow_null && back.allow_esn);
	assert_int_equal(back.last_in_us, 90);
}

static void a_record_survives_whole_in_each_format(void **state)
{
	(void)state;
	for (uint16_t format = MODEL_FORMAT_OLDEST; format <= MODEL_FORMAT_NEWEST; format++)
		survive_in(format);
}

/* As the IKE SA of a tunnel that has just come up, with AES-128-GCM: no integrity key, the other keys shorter than their room. */
static struct ike_sa make_ordinary(void)
{
	struct ike_sa sa = { .spi_i = 1, .spi_r = 2, .state = IKE_STATE_ESTABLISHED, .auth_verified = true, .expires_us = 3 };

	sa.path.local = endpoint("192.0.2.1", 500);
	sa.path.remote = endpoint("192.0.2.2", 500);
	memset(sa.keys.d, 0x71, 32);
	memset(sa.keys.ei, 0x72, 20);
	memset(sa.keys.er, 0x73, 20);
	memset(sa.keys.pi, 0x74, 32);
	memset(sa.keys.pr, 0x75, 32);
	return sa;
}

static void what_is_zero_takes_no_room(void **state)
{
	uint8_t room[IKE_SA_RECORD_MAX];
	struct ike_sa sa = make_ordinary(), back;
	const size_t keys = 32 + 20 + 20 + 32 + 32;

	(void)state;
	memset(&back, 0xff, sizeof(back));
	size_t len = encode(&sa, SPACE_OF(room));
	assert_true(len < keys + 200);
	assert_int_equal(ike_sa_decode(bytes_of(room, len), &back), ERR_NONE);
	assert_memory_equal(&back.keys, &sa.keys, sizeof(sa.keys));
	assert_memory_equal(back.seen_as, sa.seen_as, sizeof(sa.seen_as));
	assert_false(back.nat_peer || back.closing || back.mobike || back.update_due || back.started);
	assert_true(back.dpd_delay_s == 0 && back.rekey_us == 0 && back.ike_rekeys == 0 && back.created_us == 0);
}

/* A key may end in zeros of its own; what is longer than its room is refused. */
static void keys_come_back_whatever_they_end_in(void **state)
{
	uint8_t room[IKE_SA_RECORD_MAX];
	struct ike_sa sa = make_ordinary(), back;
	static const uint8_t d[32] = { [0] = 0x71, [31] = 1 };

	(void)state;
	memset(sa.keys.d, 0, sizeof(sa.keys.d));
	memcpy(sa.keys.d, d, sizeof(d));
	sa.keys.ei[19] = 0;
	memset(sa.keys.er + 12, 0, 8);
	memset(sa.keys.pi, 0x74, sizeof(sa.keys.pi));
	size_t len = encode(&sa, SPACE_OF(room));
	assert_int_equal(ike_sa_decode(bytes_of(room, len), &back), ERR_NONE);
	assert_memory_equal(&back.keys, &sa.keys, sizeof(sa.keys));
	uint8_t *at = memmem(room, len, d, sizeof(d));
	assert_non_null(at);
	assert_int_equal(at[-1], sizeof(d));
	at[-1] = sizeof(sa.keys.d) + 4;
	assert_int_equal(ike_sa_decode(bytes_of(room, len), &back), ERR_SYNTAX);
}

static void a_cut_record_is_refused_or_lacks_only_later_fields(void **state)
{
	uint8_t room[IKE_SA_RECORD_MAX];
	struct ike_sa sa = make_full(), back = { .spi_i = 42 };
	size_t len = encode(&sa, SPACE_OF(room));

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut + 1);
		must(copy != NULL);
		memcpy(copy, room, cut);
		struct ike_sa ret = back;
		if (ike_sa_decode(bytes_of(copy, cut), &ret) != ERR_NONE)
			assert_int_equal(ret.spi_i, 42); /* untouched */
		else
			assert_true(ret.auth_verified && ret.expires_us == 80);
		free(copy);
	}
}

static void what_was_never_authenticated_is_no_record(void **state)
{
	uint8_t room[IKE_SA_RECORD_MAX];
	struct ike_sa sa = make_full(), back;

	(void)state;
	sa.auth_verified = false;
	size_t len = encode(&sa, SPACE_OF(room));
	assert_int_equal(ike_sa_decode(bytes_of(room, len), &back), ERR_SYNTAX);
	sa.auth_verified = true;
	sa.state = IKE_STATE_HALF_OPEN;
	len = encode(&sa, SPACE_OF(room));
	assert_int_equal(ike_sa_decode(bytes_of(room, len), &back), ERR_SYNTAX);
}

static void a_newer_version_is_refused_and_a_newer_field_passed_over(void **state)
{
	uint8_t room[IKE_SA_RECORD_MAX + 64];
	struct ike_sa sa = make_full(), back;
	struct wr w = wr_of(SPACE_OF(room));

	(void)state;
	assert_int_equal(ike_sa_encode(&sa, MODEL_FORMAT_NEWEST, &w), ERR_NONE);
	tlv_text(&w, 4000, "of a later version");
	assert_int_equal(ike_sa_decode(wr_bytes(&w), &back), ERR_NONE);
	room[1]++;
	assert_int_equal(ike_sa_decode(wr_bytes(&w), &back), ERR_VERSION);
}

static void any_changed_byte_is_read_or_refused(void **state)
{
	uint8_t room[IKE_SA_RECORD_MAX];
	struct ike_sa sa = make_full(), back;
	size_t len = encode(&sa, SPACE_OF(room));

	(void)state;
	for (size_t i = 0; i < len; i++) {
		for (unsigned v = 1; v < 256; v <<= 1) {
			room[i] ^= (uint8_t)v;
			if (ike_sa_decode(bytes_of(room, len), &back) == ERR_NONE)
				assert_true(back.auth_verified && back.child_cnt <= IKE_CHILDREN_MAX &&
					    back.id_len <= IKE_ID_MAX && back.reply.len <= IKE_REPLY_MAX &&
					    back.request.len <= sizeof(back.request.b) && back.state <= IKE_STATE_CLOSED);
			room[i] ^= (uint8_t)v;
		}
	}
}

TESTS(cmocka_unit_test(a_record_survives_whole_in_each_format), cmocka_unit_test(what_is_zero_takes_no_room),
      cmocka_unit_test(keys_come_back_whatever_they_end_in), cmocka_unit_test(a_cut_record_is_refused_or_lacks_only_later_fields),
      cmocka_unit_test(what_was_never_authenticated_is_no_record),
      cmocka_unit_test(a_newer_version_is_refused_and_a_newer_field_passed_over),
      cmocka_unit_test(any_changed_byte_is_read_or_refused))
