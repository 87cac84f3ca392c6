#include "wire/esp.h"

#include "wire_test.h"

static void header_is_spi_and_sequence_number(void **state)
{
	static const uint8_t packet[] = { 0xc0, 0xff, 0xee, 1, 0, 0, 1, 2, 0xaa };
	struct wire_esp esp;

	(void)state;
	assert_int_equal(wire_esp_parse(BYTES_OF(packet), &esp), ERR_NONE);
	assert_int_equal(esp.spi, 0xc0ffee01);
	assert_int_equal(esp.seq, 258);
}

static void short_packets_and_reserved_spis_are_refused(void **state)
{
	uint8_t packet[8] = { 0 };
	struct wire_esp esp = { .spi = 77 };

	(void)state;
	for (size_t n = 0; n < 8; n++) {
		struct bytes copy = exact_copy(bytes_of(packet, n));
		assert_int_equal(wire_esp_parse(copy, &esp), ERR_SHORT);
		exact_free(copy);
	}
	for (unsigned spi = 0; spi < 256; spi++) {
		packet[3] = (uint8_t)spi;
		assert_int_equal(wire_esp_parse(BYTES_OF(packet), &esp), ERR_RANGE);
	}
	assert_int_equal(esp.spi, 77);
	packet[2] = 1;
	packet[3] = 0;
	assert_int_equal(wire_esp_parse(BYTES_OF(packet), &esp), ERR_NONE);
	assert_int_equal(esp.spi, 256);
}

/* Writes a text as a sender would: inner bytes, 1, 2, 3, ..., pad length, next header. */
static size_t build_text(uint8_t room[static 600], size_t inner_len, size_t pad_len)
{
	memset(room, 0xab, inner_len);
	for (size_t i = 0; i < pad_len; i++)
		room[inner_len + i] = (uint8_t)(i + 1);
	room[inner_len + pad_len] = (uint8_t)pad_len;
	room[inner_len + pad_len + 1] = 4;
	return inner_len + pad_len + 2;
}

static void trailer_of_every_length_is_taken_off(void **state)
{
	uint8_t room[600];

	(void)state;
	for (size_t pad_len = 0; pad_len < 256; pad_len++) {
		for (size_t inner_len = 0; inner_len < 40; inner_len += 13) {
			struct bytes inner;
			uint8_t next;
			struct bytes text = exact_copy(bytes_of(room, build_text(room, inner_len, pad_len)));
			assert_int_equal(wire_esp_strip(text, &inner, &next), ERR_NONE);
			assert_int_equal(inner.len, inner_len);
			assert_ptr_equal(inner.p, text.p);
			assert_int_equal(next, 4);
			exact_free(text);
		}
	}
}

static void trailer_longer_than_the_text_is_refused(void **state)
{
	uint8_t room[600];
	struct bytes inner = { NULL, 77 };
	uint8_t next = 77;

	(void)state;
	for (size_t n = 0; n < 258; n++) {
		memset(room, 0, sizeof(room));
		for (size_t pad_len = n < 2 ? 0 : n - 1; pad_len < 256; pad_len++) {
			if (n >= 2)
				room[n - 2] = (uint8_t)pad_len;
			struct bytes text = exact_copy(bytes_of(room, n));
			assert_int_equal(wire_esp_strip(text, &inner, &next), ERR_SYNTAX);
			exact_free(text);
		}
	}
	assert_int_equal(inner.len, 77);
	assert_int_equal(next, 77);
}

static void padding_with_any_wrong_byte_is_refused(void **state)
{
	uint8_t room[600];
	struct bytes inner;
	uint8_t next;

	(void)state;
	for (size_t at = 0; at < 255; at++) {
		size_t n = build_text(room, 20, 255);
		room[20 + at] ^= 0x80;
		assert_int_equal(wire_esp_strip(bytes_of(room, n), &inner, &next), ERR_SYNTAX);
	}
}

static void pad_length_is_the_least_that_aligns(void **state)
{
	static const size_t blocks[] = { 1, 4, 8, 16 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		size_t align = blocks[i] < 4 ? 4 : blocks[i];
		for (size_t inner = 0; inner < 100; inner++) {
			size_t pad = wire_esp_pad_len(inner, blocks[i]);
			assert_true(pad < align);
			assert_int_equal((inner + pad + 2) % align, 0);
		}
	}
	assert_true(wire_esp_pad_len(SIZE_MAX, 16) < 16);
}

/* ---- UDP 4500 ---- */

/* An IKE header that says it is len bytes long. */
static void put_ike_header(uint8_t room[static 28], uint8_t version, uint8_t exchange, size_t len)
{
	struct wr w = wr_of((struct space){ room, 28 });
	wr_u64(&w, 0x1122334455667788u);
	wr_u64(&w, 0);
	wr_u8(&w, 33);
	wr_u8(&w, version);
	wr_u8(&w, exchange);
	wr_u8(&w, 8);
	wr_u32(&w, 0);
	wr_u32(&w, (uint32_t)len);
}

static enum wire_natt classify(struct bytes datagram, size_t *ret_body_len)
{
	struct bytes body;
	struct bytes copy = exact_copy(datagram);
	enum wire_natt kind = wire_natt_classify(copy, &body);

	assert_true(body.len == copy.len || body.len + 4 == copy.len);
	if (ret_body_len != NULL)
		*ret_body_len = body.len;
	exact_free(copy);
	return kind;
}

static void keepalive_is_one_byte_of_ones(void **state)
{
	static const uint8_t ones[2] = { 0xff, 0xff };

	(void)state;
	assert_int_equal(classify(bytes_of(ones, 1), NULL), WIRE_NATT_KEEPALIVE);
	assert_int_equal(classify(bytes_of(ones, 2), NULL), WIRE_NATT_JUNK);
	for (unsigned v = 0; v < 255; v++) {
		const uint8_t one[] = { (uint8_t)v };
		assert_int_equal(classify(BYTES_OF(one), NULL), WIRE_NATT_JUNK);
	}
}

static void marker_means_ike_when_a_header_fits_behind_it(void **state)
{
	uint8_t datagram[4 + 40] = { 0 };
	size_t body_len;

	(void)state;
	for (size_t n = 0; n <= sizeof(datagram); n++) {
		enum wire_natt want = n < 4 + 28 ? WIRE_NATT_JUNK : WIRE_NATT_IKE;
		assert_int_equal(classify(bytes_of(datagram, n), &body_len), want);
		assert_int_equal(body_len, n < 4 ? n : n - 4);
	}
}

static void esp_is_what_has_an_spi_and_a_sequence_number(void **state)
{
	uint8_t datagram[64] = { 0xc0, 0xff, 0xee, 1 };
	size_t body_len;

	(void)state;
	for (size_t n = 0; n <= sizeof(datagram); n++) {
		assert_int_equal(classify(bytes_of(datagram, n), &body_len),
				 n < 8 ? WIRE_NATT_JUNK : WIRE_NATT_ESP);
		assert_int_equal(body_len, n);
	}
	memset(datagram, 0, 3);
	datagram[3] = 255; /* a reserved SPI */
	assert_int_equal(classify(BYTES_OF(datagram), NULL), WIRE_NATT_JUNK);
}

static void ike_without_the_marker_is_noticed(void **state)
{
	static const struct {
		uint8_t version, exchange;
		enum wire_natt want;
	} rows[] = {
		{ 0x20, 34, WIRE_NATT_NOMARKER }, { 0x20, 37, WIRE_NATT_NOMARKER },
		{ 0x20, 43, WIRE_NATT_NOMARKER }, { 0x20, 33, WIRE_NATT_ESP },
		{ 0x20, 44, WIRE_NATT_ESP },	  { 0x10, 2, WIRE_NATT_NOMARKER },
		{ 0x10, 4, WIRE_NATT_NOMARKER },  { 0x10, 32, WIRE_NATT_NOMARKER },
		{ 0x10, 0, WIRE_NATT_ESP },	  { 0x10, 34, WIRE_NATT_ESP },
		{ 0x30, 34, WIRE_NATT_ESP },	  { 0x00, 34, WIRE_NATT_ESP },
	};
	uint8_t datagram[28];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		put_ike_header(datagram, rows[i].version, rows[i].exchange, sizeof(datagram));
		assert_int_equal(classify(BYTES_OF(datagram), NULL), rows[i].want);
		put_ike_header(datagram, rows[i].version, rows[i].exchange, sizeof(datagram) + 1);
		assert_int_equal(classify(BYTES_OF(datagram), NULL), WIRE_NATT_ESP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_spi_and_sequence_number),
		cmocka_unit_test(short_packets_and_reserved_spis_are_refused),
		cmocka_unit_test(trailer_of_every_length_is_taken_off),
		cmocka_unit_test(trailer_longer_than_the_text_is_refused),
		cmocka_unit_test(padding_with_any_wrong_byte_is_refused),
		cmocka_unit_test(pad_length_is_the_least_that_aligns),
		cmocka_unit_test(keepalive_is_one_byte_of_ones),
		cmocka_unit_test(marker_means_ike_when_a_header_fits_behind_it),
		cmocka_unit_test(esp_is_what_has_an_spi_and_a_sequence_number),
		cmocka_unit_test(ike_without_the_marker_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
