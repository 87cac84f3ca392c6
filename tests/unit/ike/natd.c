#include "ike_test.h"

#define SPI_I 0x1122334455667788u
#define SPI_R 0x99aabbccddeeff01u

/* Values by Python's hashlib. */
static void the_hash_is_that_of_the_rfc(void **state)
{
	const struct addr_endpoint v4 = endpoint("192.0.2.1", 500), v6 = endpoint("2001:db8::1", 4500);
	uint8_t h[20];

	(void)state;
	assert_int_equal(ike_natd_hash(SPI_I, SPI_R, &v4, h), ERR_NONE);
	assert_hex(BYTES_OF(h), "31212ea4e1dc81bcbd03a17e89f3d3d5586904c2");
	assert_int_equal(ike_natd_hash(SPI_I, SPI_R, &v6, h), ERR_NONE);
	assert_hex(BYTES_OF(h), "2e7e843ced55c29d911c497dfffc99c00b5782b4");
}

struct sent {
	uint16_t type;
	struct addr_endpoint e;
};

/* What is judged of a peer that sent these hashes and was seen at 198.51.100.7:500 by 192.0.2.1:500. */
static struct ike_natd judge(const struct sent *sent, unsigned cnt)
{
	const struct wire_ike_header h = { .spi_i = SPI_I, .major = 2 };
	struct ike_event ev = { .local = endpoint("192.0.2.1", 500), .remote = endpoint("198.51.100.7", 500) };
	struct wire_ike_builder b;
	struct wire_ike_payloads in;
	struct wire_ike_header parsed;
	struct ike_natd ret;
	struct bytes msg;
	uint8_t room[512], hash[20];

	wire_ike_begin(&b, SPACE_OF(room), &h);
	for (unsigned i = 0; i < cnt; i++) {
		must(ike_natd_hash(SPI_I, 0, &sent[i].e, hash) == ERR_NONE);
		wire_ike_put_notify(&b, 0, (struct bytes){ 0 }, sent[i].type, BYTES_OF(hash));
	}
	must(wire_ike_finish(&b, &msg) == ERR_NONE && wire_ike_header_parse(msg, &parsed) == ERR_NONE);
	must(wire_ike_payloads_parse(parsed.next, bytes_of(msg.p + 28, msg.len - 28), &in) == ERR_NONE);
	must(ike_natd_judge(&in, &h, &ev, &ret) == ERR_NONE);
	return ret;
}

#define SOURCE IKE_N_NAT_DETECTION_SOURCE_IP
#define DESTINATION IKE_N_NAT_DETECTION_DESTINATION_IP

static void right_hashes_show_no_nat(void **state)
{
	const struct sent s[] = { { SOURCE, endpoint("198.51.100.7", 500) }, { DESTINATION, endpoint("192.0.2.1", 500) } };
	struct ike_natd n = judge(s, 2);

	(void)state;
	assert_true(n.present && !n.nat_peer && !n.nat_local);
}

static void another_source_or_port_shows_a_nat_before_the_peer(void **state)
{
	const struct sent a[] = { { SOURCE, endpoint("10.0.0.1", 500) }, { DESTINATION, endpoint("192.0.2.1", 500) } };
	const struct sent b[] = { { SOURCE, endpoint("198.51.100.7", 501) }, { DESTINATION, endpoint("192.0.2.1", 500) } };

	(void)state;
	assert_true(judge(a, 2).nat_peer && !judge(a, 2).nat_local);
	assert_true(judge(b, 2).nat_peer && !judge(b, 2).nat_local);
}

static void another_destination_shows_a_nat_before_us(void **state)
{
	const struct sent s[] = { { SOURCE, endpoint("198.51.100.7", 500) }, { DESTINATION, endpoint("203.0.113.9", 500) } };

	(void)state;
	assert_true(judge(s, 2).nat_local && !judge(s, 2).nat_peer);
}

static void one_right_source_among_several_is_enough(void **state)
{
	const struct sent s[] = { { SOURCE, endpoint("10.0.0.1", 500) },
				  { SOURCE, endpoint("198.51.100.7", 500) },
				  { DESTINATION, endpoint("192.0.2.1", 500) },
				  { SOURCE, endpoint("10.0.0.2", 500) } };

	(void)state;
	assert_false(judge(s, 4).nat_peer);
}

static void a_peer_that_says_nothing_shows_nothing(void **state)
{
	(void)state;
	struct ike_natd n = judge(NULL, 0);
	assert_true(!n.present && !n.nat_peer && !n.nat_local);
}

TESTS(cmocka_unit_test(the_hash_is_that_of_the_rfc), cmocka_unit_test(right_hashes_show_no_nat),
      cmocka_unit_test(another_source_or_port_shows_a_nat_before_the_peer),
      cmocka_unit_test(another_destination_shows_a_nat_before_us),
      cmocka_unit_test(one_right_source_among_several_is_enough),
      cmocka_unit_test(a_peer_that_says_nothing_shows_nothing))
