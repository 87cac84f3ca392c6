#include "ike_test.h"

#include "../../peer/peer_part.h"

static void set_id(struct net *n, uint8_t type, const char *text)
{
	n->p.o.id_type = type;
	n->p.o.id_len = (uint16_t)strlen(text);
	memcpy(n->p.o.id, text, strlen(text));
}

#define TUNNEL "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2"

static void each_documented_identity_selects_the_tunnel(void **state)
{
	static const struct {
		uint8_t type;
		const char *text;
	} ids[] = {
		{ IKE_ID_FQDN, TUNNEL ".1234567.ipsec.example.net" },
		{ IKE_ID_RFC822_ADDR, "ipsec@" TUNNEL ".1234567.ipsec.example.net" },
		{ IKE_ID_KEY_ID, "1234567_" TUNNEL },
		{ IKE_ID_FQDN, "B2B2b2b2b2b2b2b2b2b2b2b2b2b2b2b2.1234567.IPSEC.Example.Net" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct net *n = make_net();
		set_id(n, ids[i].type, ids[i].text);
		net_must_up(n);
		struct ike_sa sa = sa_of(n);
		assert_int_equal(sa.id_type, ids[i].type);
		assert_int_equal(sa.id_len, strlen(ids[i].text));
		assert_memory_equal(sa.id, ids[i].text, sa.id_len);
		assert_int_equal(sa.account_number, 1234567);
		assert_true(model_id_eq(&sa.tunnel_id, &gateway_tunnel(&n->g)->tunnel_id));
		free_net(n);
	}
}

static void an_address_identity_selects_by_the_pair_of_endpoints(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.id_type = IKE_ID_IPV4_ADDR;
	n->p.o.id_len = 4;
	memcpy(n->p.o.id, n->p.local.addr.b, 4);
	gateway_tunnel(&n->g)->customer_endpoint = n->p.local.addr;
	net_must_up(n);
	free_net(n);
}

static void the_record_takes_the_settings_of_the_tunnel(void **state)
{
	struct net *n = make_net();
	struct ike_peer *t = gateway_tunnel(&n->g);

	(void)state;
	t->settings = (struct model_tunnel_onramp){ .ike_lifetime_s = 1000, .child_lifetime_s = 200, .dpd_delay_s = 17 };
	t->allow_null = true;
	net_must_up(n);
	struct ike_sa sa = sa_of(n);
	assert_true(sa.auth_verified && sa.allow_null);
	assert_int_equal(sa.dpd_delay_s, 17);
	assert_int_equal(sa.expires_us - sa.created_us, 1000000000);
	const struct model_child_sa *c = &n->g.children[0].sa;
	assert_int_equal(c->expires_us - c->created_us, 200000000);
	assert_int_equal(c->ike_spi, sa.spi_r);
	assert_true(model_id_eq(&c->tunnel_id, &t->tunnel_id) && model_id_eq(&c->account_id, &t->account_id));
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_established], 1);
	assert_int_equal(n->g.counters[MODEL_COUNTER_child_established], 1);
	assert_int_equal(n->g.initial_contacts, 1);
	assert_int_equal(n->g.failure_cnt, 0);
	free_net(n);
}

static void without_initial_contact_others_stay(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.initial_contact = false;
	net_must_up(n);
	assert_int_equal(n->g.initial_contacts, 0);
	free_net(n);
}

/* The plain text of a refusal; its sealed form has the length of the same. */
struct refusal {
	size_t sealed_len;
	size_t len;
	uint8_t b[256];
	enum model_failure_code code;
};

static struct refusal refuse(struct net *n)
{
	struct refusal r = { 0 };
	uint8_t scratch[PEER_MSG_MAX];
	struct wire_ike_payloads in;

	peer_start_init(&n->p);
	must(net_run(n) && n->p.notify == 0);
	peer_start_auth(&n->p);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(n->p.ike[0].request, n->p.ike[0].request_len));
	assert_int_equal(n->g.out_cnt, 1);
	r.sealed_len = n->g.out[0].len;
	must(peer_unprotect(&n->p, &n->p.ike[0], bytes_of(n->g.out[0].b, r.sealed_len), SPACE_OF(scratch), &in));
	for (unsigned i = 0; i < in.cnt; i++) {
		r.b[r.len++] = in.p[i].type;
		memcpy(r.b + r.len, in.p[i].body.p, in.p[i].body.len);
		r.len += in.p[i].body.len;
	}
	r.code = (enum model_failure_code)n->g.failure.code;
	assert_false(n->g.has_half); /* and nothing stays behind */
	assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 0);
	assert_int_equal(n->g.child_cnt, 0);
	assert_int_equal(n->g.failure_cnt, 1);
	assert_int_equal(n->g.failure.stage, MODEL_STAGE_AUTH);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_failed], 1);
	assert_int_equal(n->g.counters[MODEL_COUNTER_ike_established], 0);
	return r;
}

static void wrong_psk(struct net *n)
{
	must(secret_set(&n->p.o.psk, bytes_str("another key")) == ERR_NONE);
}

static void unknown_identity(struct net *n)
{
	set_id(n, IKE_ID_FQDN, "c3c3b2b2b2b2b2b2b2b2b2b2b2b2b2b2.1234567.ipsec.example.net");
}

static void unparseable_identity(struct net *n)
{
	set_id(n, IKE_ID_FQDN, "router.example.org");
}

static void no_psk_yet(struct net *n)
{
	gateway_tunnel(&n->g)->psk.len = 0;
}

static void previous_psk(struct net *n)
{
	n->g.tunnels[0].previous_psk = gateway_tunnel(&n->g)->psk;
	must(secret_set(&gateway_tunnel(&n->g)->psk, bytes_str("the new key")) == ERR_NONE);
}

static void eap(struct net *n)
{
	n->p.o.no_auth_payload = true;
}

static void certificate(struct net *n)
{
	n->p.o.auth_method = 1;
}

/* A key and something behind it. */
static void lengthen(struct secret *psk, const char *tail)
{
	uint8_t room[SECRET_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	wr_put(&w, secret_bytes(psk));
	wr_put(&w, bytes_str(tail));
	must(!w.bad && secret_set(psk, wr_bytes(&w)) == ERR_NONE);
}

static void line_end_behind(struct net *n)
{
	lengthen(&n->p.o.psk, "\n");
}

static void dos_line_end_behind(struct net *n)
{
	lengthen(&n->p.o.psk, "\r\n");
}

static void blank_behind(struct net *n)
{
	lengthen(&n->p.o.psk, " ");
}

static void blank_before(struct net *n)
{
	uint8_t room[SECRET_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	wr_u8(&w, ' ');
	wr_put(&w, secret_bytes(&n->p.o.psk));
	must(!w.bad && secret_set(&n->p.o.psk, wr_bytes(&w)) == ERR_NONE);
}

static void blank_in_ours(struct net *n)
{
	lengthen(&gateway_tunnel(&n->g)->psk, "\t \r\n");
}

static void blanks_alone(struct net *n)
{
	no_psk_yet(n);
	must(secret_set(&n->p.o.psk, bytes_str("\n")) == ERR_NONE);
}

static void wrong_gateway(struct net *n)
{
	gateway_tunnel(&n->g)->gateway_endpoint = endpoint("192.0.2.99", 0).addr;
}

static void wrong_customer(struct net *n)
{
	gateway_tunnel(&n->g)->customer_endpoint = endpoint("203.0.113.1", 0).addr;
}

static void decoy_as_psk(struct net *n)
{
	no_psk_yet(n);
	must(secret_set(&n->p.o.psk, BYTES_OF(n->g.world.decoy_psk)) == ERR_NONE);
}

static void every_refusal_is_the_same_on_the_wire_and_told_apart_inside(void **state)
{
	static const struct {
		void (*spoil)(struct net *n);
		enum model_failure_code code;
	} cases[] = {
		{ wrong_psk, MODEL_FAILURE_WRONG_PSK },
		{ unknown_identity, MODEL_FAILURE_UNKNOWN_IDENTITY },
		{ unparseable_identity, MODEL_FAILURE_UNKNOWN_IDENTITY },
		{ no_psk_yet, MODEL_FAILURE_NO_PSK },
		{ previous_psk, MODEL_FAILURE_PREVIOUS_PSK },
		{ eap, MODEL_FAILURE_EAP },
		{ certificate, MODEL_FAILURE_NOT_PSK },
		{ line_end_behind, MODEL_FAILURE_PSK_BLANK },
		{ dos_line_end_behind, MODEL_FAILURE_PSK_BLANK },
		{ blank_behind, MODEL_FAILURE_PSK_BLANK },
		{ blank_before, MODEL_FAILURE_PSK_BLANK },
		{ blank_in_ours, MODEL_FAILURE_PSK_BLANK },
		{ blanks_alone, MODEL_FAILURE_NO_PSK },
		{ wrong_gateway, MODEL_FAILURE_WRONG_ENDPOINT },
		{ wrong_customer, MODEL_FAILURE_WRONG_PEER_ADDRESS },
		{ decoy_as_psk, MODEL_FAILURE_NO_PSK },
	};
	static const uint8_t expected[] = { IKE_PL_NOTIFY, 0, 0, 0, IKE_N_AUTHENTICATION_FAILED };

	(void)state;
	size_t sealed = 0;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net *n = make_net();
		cases[i].spoil(n);
		struct refusal r = refuse(n);
		if (r.code != cases[i].code)
			fail_msg("case %zu: %s", i, model_failure_code_name((uint8_t)r.code));
		assert_int_equal(r.len, sizeof(expected));
		assert_memory_equal(r.b, expected, sizeof(expected));
		assert_true(sealed == 0 || sealed == r.sealed_len);
		sealed = r.sealed_len;
		/* the same work for all who do not have the key */
		bool has_key = r.code == MODEL_FAILURE_NOT_PSK || r.code == MODEL_FAILURE_WRONG_ENDPOINT ||
			       r.code == MODEL_FAILURE_WRONG_PEER_ADDRESS;
		assert_int_equal(n->g.previous_asked, !has_key);
		free_net(n);
	}
}

static void a_refusal_names_identity_and_addresses(void **state)
{
	struct net *n = make_net();

	(void)state;
	wrong_customer(n);
	(void)refuse(n);
	assert_string_equal(n->g.failure.identity, "fqdn:" TUNNEL ".1234567.ipsec.example.net");
	assert_string_equal(n->g.failure.offered, "198.51.100.7");
	assert_string_equal(n->g.failure.allowed, "203.0.113.1");
	assert_true(model_id_eq(&n->g.failure.tunnel_id, &gateway_tunnel(&n->g)->tunnel_id));
	free_net(n);
}

/* A stranger who sees the handshake may not end it. */
static void a_forged_message_leaves_the_handshake_alone(void **state)
{
	struct net *n = make_net();
	uint8_t forged[PEER_MSG_MAX];

	(void)state;
	peer_start_init(&n->p);
	must(net_run(n));
	peer_start_auth(&n->p);
	size_t len = n->p.ike[0].request_len;
	memcpy(forged, n->p.ike[0].request, len);
	forged[len - 1] ^= 1;
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(forged, len));
	assert_true(n->g.has_half);
	assert_int_equal(n->g.out_cnt, 0);
	assert_int_equal(n->g.drops[MODEL_DROP_ike_auth], 1);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_DECRYPT);
	assert_true(net_run(n));
	assert_true(n->p.ike[0].up);
	net_check(n);
	free_net(n);
}

static void a_failed_child_leaves_the_ike_sa_up(void **state)
{
	static const struct peer_suite bad = { IKE_ENCR_AES_CBC, 192, IKE_INTEG_HMAC_SHA1_96, 0, 0 };
	static const struct peer_suite null = { IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA2_256_128, 0, 0 };
	static const struct {
		uint16_t notify;
		enum model_failure_code code;
	} cases[] = {
		{ IKE_N_NO_PROPOSAL_CHOSEN, MODEL_FAILURE_NO_PROPOSAL_CHILD },
		{ IKE_N_NO_PROPOSAL_CHOSEN, MODEL_FAILURE_NULL_NOT_ALLOWED },
		{ IKE_N_NO_PROPOSAL_CHOSEN, MODEL_FAILURE_ESN_ONLY },
		{ IKE_N_TS_UNACCEPTABLE, MODEL_FAILURE_TS_UNACCEPTABLE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net *n = make_net();
		if (i == 0)
			n->p.o.esp[0] = bad;
		if (i == 1)
			n->p.o.esp[0] = null;
		n->p.o.esn = i == 2;
		n->p.o.no_esn = i != 2;
		if (i == 3) {
			n->p.o.tsi_cnt = n->p.o.tsr_cnt = 1;
			n->p.o.tsr[0] = peer_ts_any(ADDR_V6);
		}
		assert_true(net_up(n));
		assert_int_equal(n->p.notify, cases[i].notify);
		assert_int_equal(n->g.failure.code, cases[i].code);
		assert_int_equal(n->g.failure.stage, MODEL_STAGE_CHILD);
		assert_int_not_equal(strlen(n->g.failure.offered), 0);
		assert_int_not_equal(strlen(n->g.failure.allowed), 0);
		assert_int_equal(gateway_count(&n->g, IKE_STATE_ESTABLISHED), 1);
		assert_int_equal(n->g.child_cnt, 0);
		/* and a good one may follow */
		struct peer_options o;
		net_options(&o);
		n->p.o.esp[0] = o.esp[0];
		n->p.o.esn = false;
		n->p.o.no_esn = true;
		n->p.o.tsr[0] = peer_ts_any(ADDR_V4);
		peer_start_child(&n->p, NULL, NULL);
		assert_int_equal(notify_of(n), 0);
		net_check(n);
		free_net(n);
	}
}

static void what_is_not_offered_is_passed_over(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.transport_mode = true;
	n->p.o.ask_config = true;
	net_must_up(n); /* take_child of the peer checks that tunnel mode was answered */
	net_check(n);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_TRANSPORT_MODE);
	free_net(n);
}

static const struct model_path *child_path(const struct net *n)
{
	return &n->g.children[0].sa.path;
}

static void without_nat_esp_is_native_from_either_port(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct net *n = make_net();
		n->p.local.port = n->p.remote.port = i == 0 ? 500 : 4500;
		net_must_up(n);
		assert_false(child_path(n)->udp_encap);
		assert_int_equal(child_path(n)->local.port, 0);
		assert_int_equal(child_path(n)->remote.port, 0);
		assert_int_equal(sa_of(n).path.remote.port, n->p.local.port);
		assert_int_equal(sa_of(n).start_port, n->p.local.port);
		free_net(n);
	}
}

static void behind_a_nat_esp_goes_in_udp_to_the_port_seen(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.natd = PEER_NATD_FAKE;
	n->peer_seen = endpoint("203.0.113.5", 61234);
	net_must_up(n);
	assert_true(child_path(n)->udp_encap);
	assert_int_equal(child_path(n)->local.port, 4500);
	assert_true(addr_endpoint_eq(&child_path(n)->remote, &n->peer_seen));
	assert_int_equal(sa_of(n).start_port, 500);
	assert_true(sa_of(n).nat_peer);
	assert_int_equal(n->g.failure_cnt, 0);
	free_net(n);
}

static void behind_a_nat_and_yet_on_port_500_is_noted(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.natd = PEER_NATD_FAKE;
	peer_start_init(&n->p);
	must(net_run(n));
	n->p.local.port = n->p.remote.port = 500; /* does not move */
	peer_start_auth(&n->p);
	assert_int_equal(notify_of(n), 0);
	assert_true(n->p.ike[0].up);
	assert_false(child_path(n)->udp_encap);
	assert_int_equal(n->g.failure.code, MODEL_FAILURE_WRONG_PORT);
	free_net(n);
}

static void a_peer_silent_about_nat_on_4500_gets_udp(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.o.natd = PEER_NATD_NONE;
	n->p.local.port = n->p.remote.port = 4500;
	net_must_up(n);
	assert_true(child_path(n)->udp_encap);
	free_net(n);
}

static void ipv6_outside_names_its_own_kind_of_address(void **state)
{
	struct net *n = make_net();

	(void)state;
	n->p.local.addr = endpoint("2001:db8:9::7", 0).addr;
	n->p.remote.addr = endpoint("2001:db8::1", 0).addr;
	gateway_tunnel(&n->g)->gateway_endpoint = n->p.remote.addr;
	net_must_up(n); /* the peer checks that IDr is its ID_IPV6_ADDR */
	net_check(n);
	free_net(n);
}

TESTS(cmocka_unit_test(each_documented_identity_selects_the_tunnel),
      cmocka_unit_test(an_address_identity_selects_by_the_pair_of_endpoints),
      cmocka_unit_test(the_record_takes_the_settings_of_the_tunnel),
      cmocka_unit_test(without_initial_contact_others_stay),
      cmocka_unit_test(every_refusal_is_the_same_on_the_wire_and_told_apart_inside),
      cmocka_unit_test(a_refusal_names_identity_and_addresses),
      cmocka_unit_test(a_forged_message_leaves_the_handshake_alone),
      cmocka_unit_test(a_failed_child_leaves_the_ike_sa_up), cmocka_unit_test(what_is_not_offered_is_passed_over),
      cmocka_unit_test(without_nat_esp_is_native_from_either_port),
      cmocka_unit_test(behind_a_nat_esp_goes_in_udp_to_the_port_seen),
      cmocka_unit_test(behind_a_nat_and_yet_on_port_500_is_noted),
      cmocka_unit_test(a_peer_silent_about_nat_on_4500_gets_udp),
      cmocka_unit_test(ipv6_outside_names_its_own_kind_of_address))
