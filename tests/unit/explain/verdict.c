#include "explain/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/proposal.h"

static struct model_failure a_failure(enum model_failure_code code)
{
	struct model_failure f = {
		.code = (uint8_t)code,
		.stage = MODEL_STAGE_AUTH,
		.account_id = { { 0xac } },
		.tunnel_id = { { 0xf5 } },
		.local = { addr_from_v4_u32(0xc0000201), 500 },
		.remote = { addr_from_v4_u32(0xcb007105), 4500 },
		.cnt = 1,
	};
	return f;
}

static const struct explain_context context = { .identity_domain = "ipsec.example.net", .account_number = 77 };

static void says(const char *text, const char *word)
{
	if (strstr(text, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, word);
}

static void says_not(const char *text, const char *word)
{
	if (strstr(text, word) != NULL)
		fail_msg("\"%s\" says \"%s\"", text, word);
}

static void every_code_has_sentence_side_and_change(void **state)
{
	(void)state;
	for (unsigned code = 0; code < MODEL_FAILURE_CNT; code++) {
		struct model_failure f = a_failure((enum model_failure_code)code);
		struct explain_verdict v;
		strcpy(f.offered, "WHAT-WAS-OFFERED");
		strcpy(f.allowed, "WHAT-IS-ALLOWED");
		explain_failure(&f, &context, &v);
		assert_string_equal(v.code, model_failure_code_name((uint8_t)code));
		assert_string_equal(v.stage, "auth");
		assert_in_range(v.side, EXPLAIN_SIDE_PEER, EXPLAIN_SIDE_NONE);
		says(v.sentence, "WHAT-WAS-OFFERED");
		says(v.sentence, "WHAT-IS-ALLOWED");
		says(v.sentence, "203.0.113.5:4500");
		says(v.sentence, model_failure_text((uint8_t)code) + 1);
		assert_true(v.sentence[0] >= 'A' && v.sentence[0] <= 'Z');
		assert_int_equal(v.sentence[strlen(v.sentence) - 1], '.');
		assert_true(strlen(v.change) > 20);
		assert_int_equal(v.change[strlen(v.change) - 1], '.');
	}
}

/* At a site the peer is a gateway: nothing is said of a router's settings, and the address is the gateway's. */
static void a_site_is_told_what_to_change_in_its_own_file_or_at_the_gateway(void **state)
{
	(void)state;
	const struct explain_context site = { .site = true };

	for (unsigned code = 0; code < MODEL_FAILURE_CNT; code++) {
		struct model_failure f = a_failure((enum model_failure_code)code);
		struct explain_verdict v;
		strcpy(f.offered, "WHAT-WAS-OFFERED");
		explain_failure(&f, &site, &v);
		assert_string_equal(v.code, model_failure_code_name((uint8_t)code));
		assert_int_not_equal(v.side, EXPLAIN_SIDE_PEER);
		says(v.sentence, "WHAT-WAS-OFFERED");
		assert_true(strlen(v.change) > 20);
		says_not(v.change, "router");
		says_not(v.change, "192.0.2.1");
		says_not(v.change, "/accounts/");
	}
	struct model_failure f = a_failure(MODEL_FAILURE_NO_ANSWER);
	struct explain_verdict v;
	f.stage = MODEL_STAGE_SA_INIT;
	explain_failure(&f, &site, &v);
	says(v.change, "gateway = 203.0.113.5");
	f = a_failure(MODEL_FAILURE_WRONG_GATEWAY);
	strcpy(f.offered, "rfc822:ops@example.net");
	explain_failure(&f, &site, &v);
	says(v.change, "gateway_id = user:ops@example.net");
	strcpy(f.offered, "ipv4:192.0.2.7");
	explain_failure(&f, &site, &v);
	says(v.change, "gateway_id = 192.0.2.7");
}

static void nothing_is_cut_off_and_all_is_printable_with_the_longest_record(void **state)
{
	(void)state;
	char domain[MODEL_DOMAIN_MAX];
	memset(domain, 'd', sizeof(domain) - 1);
	domain[sizeof(domain) - 1] = 0;
	struct explain_context c = { .identity_domain = domain, .account_number = UINT32_MAX };

	for (unsigned n = 0; n < 512; n++) {
		unsigned code = n % 256;
		c.site = n >= 256;
		struct model_failure f = a_failure((enum model_failure_code)code);
		struct explain_verdict v;
		memset(f.offered, 'o', sizeof(f.offered) - 1);
		memset(f.allowed, 'a', sizeof(f.allowed) - 1);
		memset(f.identity, 'i', sizeof(f.identity) - 1);
		memset(&f.remote.addr, 0xfd, sizeof(f.remote.addr));
		f.remote.addr.family = ADDR_V6;
		f.local.addr = f.remote.addr;
		f.remote.port = 65535;
		explain_failure(&f, &c, &v);
		assert_int_equal(v.sentence[strlen(v.sentence) - 1], '.');
		assert_int_equal(v.change[strlen(v.change) - 1], '.');
		f.identity[3] = '\x1b';
		f.offered[3] = '\n';
		f.allowed[3] = '\xff';
		explain_failure(&f, &c, &v);
		for (const char *p = v.sentence; *p != 0; p++)
			assert_true(*p >= 0x20 && *p < 0x7f);
		for (const char *p = v.change; *p != 0; p++)
			assert_true(*p >= 0x20 && *p < 0x7f);
	}
}

/* A line to paste must never carry what a stranger sent. */
static void text_of_a_stranger_never_gets_into_the_change(void **state)
{
	(void)state;
	for (unsigned code = 0; code < MODEL_FAILURE_CNT; code++) {
		struct model_failure f = a_failure((enum model_failure_code)code);
		struct explain_verdict v;
		strcpy(f.offered, "EVIL");
		strcpy(f.allowed, "EVIL");
		strcpy(f.identity, "fqdn:EVIL\"; rm -rf /");
		explain_failure(&f, &context, &v);
		says_not(v.change, "EVIL");
	}
}

static void refused_proposal_is_shown_with_what_is_allowed_and_the_line_to_paste(void **state)
{
	(void)state;
	struct model_failure f = a_failure(MODEL_FAILURE_NO_PROPOSAL_IKE);
	struct explain_verdict v;

	f.stage = MODEL_STAGE_SA_INIT;
	strcpy(f.offered, "3DES / PRF-HMAC-SHA1 / MODP-1024");
	explain_failure(&f, &context, &v);
	assert_string_equal(v.code, "ike.no_proposal");
	assert_string_equal(v.stage, "sa_init");
	assert_int_equal(v.side, EXPLAIN_SIDE_PEER);
	assert_string_equal(v.sentence,
			    "No phase 1 proposal of the peer is allowed (peer 203.0.113.5:4500): it offered "
			    "3DES / PRF-HMAC-SHA1 / MODP-1024; allowed is encryption AES-GCM-16-256, "
			    "AES-GCM-16-128, AES-CBC-256, integrity (for CBC) HMAC-SHA2-256-128, "
			    "PRF-HMAC-SHA2-512, PRF-HMAC-SHA2-384, PRF-HMAC-SHA2-256, group ECP-384, "
			    "MODP-2048.");
	says(v.change, "proposals = aes256gcm16-prfsha512-ecp384,aes256-sha256-prfsha512-ecp384");
	strcpy(f.allowed, "only this");
	explain_failure(&f, &context, &v);
	says(v.sentence, "; allowed is only this.");
	says_not(v.sentence, "AES-GCM");
}

static void phase_2_advice_is_about_esp_proposals(void **state)
{
	(void)state;
	static const enum model_failure_code codes[] = { MODEL_FAILURE_NO_PROPOSAL_CHILD, MODEL_FAILURE_NO_PFS_GROUP,
							 MODEL_FAILURE_NULL_NOT_ALLOWED, MODEL_FAILURE_ESN_ONLY };
	struct explain_verdict v;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		struct model_failure f = a_failure(codes[i]);
		explain_failure(&f, &context, &v);
		says(v.change, "esp_proposals = aes256gcm16-");
		says_not(v.change, " proposals = ");
	}
	struct model_failure f = a_failure(MODEL_FAILURE_WRONG_GROUP);
	f.stage = MODEL_STAGE_CHILD;
	explain_failure(&f, &context, &v);
	says(v.change, "esp_proposals = ");
	f.stage = MODEL_STAGE_SA_INIT;
	explain_failure(&f, &context, &v);
	says(v.change, ": proposals = ");
}

static void null_is_never_called_allowed_and_its_switch_is_named(void **state)
{
	(void)state;
	struct model_failure f = a_failure(MODEL_FAILURE_NULL_NOT_ALLOWED);
	struct explain_verdict v;
	strcpy(f.offered, "UNENCRYPTED (NULL) / HMAC-SHA1-96");
	explain_failure(&f, &context, &v);
	char *allowed = strstr(v.sentence, "allowed is ");
	assert_non_null(allowed);
	says_not(allowed, "NULL");
	says(v.change, "{\"allow_null_cipher\": true}");
	says(v.change, "/accounts/ac000000000000000000000000000000/magic/ipsec_tunnels/f5000000000000000000000000000000");
}

static void unknown_identity_is_answered_with_the_form_that_this_gateway_takes(void **state)
{
	(void)state;
	struct model_failure f = a_failure(MODEL_FAILURE_UNKNOWN_IDENTITY);
	struct explain_verdict v;

	f.account_id = f.tunnel_id = (struct model_id){ { 0 } };
	strcpy(f.identity, "fqdn:router.example");
	explain_failure(&f, &context, &v);
	says(v.sentence, ": it said fqdn:router.example; allowed is ipsec@TUNNEL.ACCOUNT.ipsec.example.net");
	says_not(v.sentence, "identity fqdn"); /* said once */
	says(v.change, "local { id = \"ipsec@TUNNEL.ACCOUNT.ipsec.example.net\" }");
	strcpy(f.identity, "ipv4:10.0.0.1");
	explain_failure(&f, &context, &v);
	says(v.change, "customer_endpoint");
	says(v.change, "203.0.113.5");
	/* without any knowledge the documented domain stands there */
	struct explain_context nothing = { 0 };
	explain_failure(&f, &nothing, &v);
	says(v.change, "ipsec@TUNNEL.ACCOUNT.ipsec.cloudflare.com");
}

static void the_name_of_a_deleted_tunnel_leads_to_the_one_in_its_place(void **state)
{
	(void)state;
	struct model_failure f = a_failure(MODEL_FAILURE_TUNNEL_DELETED);
	struct explain_verdict v;

	f.account_id = f.tunnel_id = (struct model_id){ { 0 } };
	explain_failure(&f, &context, &v);
	says(v.change, "make a new tunnel here");
	f.near_tunnel_id = (struct model_id){ { 0xbe } };
	f.near_account_number = 78;
	explain_failure(&f, &context, &v);
	says(v.change, "local { id = \"ipsec@be000000000000000000000000000000.78.ipsec.example.net\" }");
	says_not(v.change, "make a new tunnel");
}

static void wrong_key_names_the_tunnels_identity_and_the_gateways_address(void **state)
{
	(void)state;
	struct model_failure f = a_failure(MODEL_FAILURE_WRONG_PSK);
	struct explain_verdict v;
	struct explain_context c = context;

	explain_failure(&f, &c, &v);
	says(v.change, "id-1 = \"ipsec@f5000000000000000000000000000000.77.ipsec.example.net\" and id-2 = "
		       "192.0.2.1 in lines");
	/* strongSwan looks its secret up by the name that the connection has */
	strcpy(f.identity, "fqdn:f5000000000000000000000000000000.77.ipsec.example.net");
	explain_failure(&f, &c, &v);
	says(v.change, "id-1 = \"f5000000000000000000000000000000.77.ipsec.example.net\" and id-2");
	strcpy(f.identity, "keyid:77_F5000000000000000000000000000000");
	explain_failure(&f, &c, &v);
	says(v.change, "id-1 = \"keyid:77_f5000000000000000000000000000000\" and id-2");
	strcpy(f.identity, "ipv4:203.0.113.5");
	explain_failure(&f, &c, &v);
	says(v.change, "id-1 = \"203.0.113.5\" and id-2");
	assert_int_equal(v.side, EXPLAIN_SIDE_PEER);
	c.gateway = addr_from_v4_u32(0xc6336401);
	explain_failure(&f, &c, &v);
	says(v.change, "id-2 = 198.51.100.1 ");
	f.code = MODEL_FAILURE_WRONG_ENDPOINT;
	explain_failure(&f, &c, &v);
	says(v.change, "remote_addrs = 198.51.100.1 ");
	f.code = MODEL_FAILURE_PREVIOUS_PSK;
	explain_failure(&f, &c, &v);
	says(v.change, "newer key");
}

static void side_is_that_of_who_can_mend_it(void **state)
{
	(void)state;
	static const struct {
		enum model_failure_code code;
		enum explain_side side;
		const char *word;
	} rows[] = {
		{ MODEL_FAILURE_IKEV1, EXPLAIN_SIDE_PEER, "version = 2" },
		{ MODEL_FAILURE_NO_PSK, EXPLAIN_SIDE_GATEWAY, "/psk_generate" },
		{ MODEL_FAILURE_NOT_PSK, EXPLAIN_SIDE_PEER, "auth = psk" },
		{ MODEL_FAILURE_WRONG_ENDPOINT, EXPLAIN_SIDE_PEER, "remote_addrs = CLOUDFLARE_ENDPOINT" },
		{ MODEL_FAILURE_WRONG_PEER_ADDRESS, EXPLAIN_SIDE_EITHER, "customer_endpoint here to "
									 "203.0.113.5" },
		{ MODEL_FAILURE_TRANSPORT_MODE, EXPLAIN_SIDE_PEER, "mode = tunnel" },
		{ MODEL_FAILURE_TS_UNACCEPTABLE, EXPLAIN_SIDE_PEER, "local_ts = 0.0.0.0/0" },
		{ MODEL_FAILURE_WRONG_PORT, EXPLAIN_SIDE_PEER, "local_port = 4500" },
		{ MODEL_FAILURE_HALF_OPEN_TIMEOUT, EXPLAIN_SIDE_PEER, "IP fragments: let them pass to UDP 500" },
		{ MODEL_FAILURE_PORT_4500, EXPLAIN_SIDE_PEER, "UDP 4500" },
		{ MODEL_FAILURE_NAT_FORBIDDEN, EXPLAIN_SIDE_PEER, "NAT traversal" },
		{ MODEL_FAILURE_MOVE_REFUSED, EXPLAIN_SIDE_EITHER, "Clear customer_endpoint" },
		{ MODEL_FAILURE_MOVED, EXPLAIN_SIDE_NONE, "MOBIKE" },
		{ MODEL_FAILURE_LIVENESS, EXPLAIN_SIDE_PEER, "dpd_action" },
		{ MODEL_FAILURE_REPLACED, EXPLAIN_SIDE_NONE, "same identity" },
		{ MODEL_FAILURE_EXPIRED, EXPLAIN_SIDE_PEER, "rekey_time" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct model_failure f = a_failure(rows[i].code);
		struct explain_verdict v;
		explain_failure(&f, &context, &v);
		assert_int_equal(v.side, rows[i].side);
		says(v.change, rows[i].word);
	}
	assert_string_equal(explain_side_name(EXPLAIN_SIDE_PEER), "peer");
	assert_string_equal(explain_side_name(EXPLAIN_SIDE_GATEWAY), "gateway");
	assert_string_equal(explain_side_name(EXPLAIN_SIDE_EITHER), "either");
	assert_string_equal(explain_side_name(EXPLAIN_SIDE_NONE), "none");
}

/* Every word of the proposals that are advised is one of the table: what is pasted is accepted. */
static void advised_proposals_are_allowed_ones(void **state)
{
	(void)state;
	static const enum model_failure_code codes[] = { MODEL_FAILURE_NO_PROPOSAL_IKE, MODEL_FAILURE_NO_PROPOSAL_CHILD };
	static const enum model_phase phases[] = { MODEL_PHASE_IKE, MODEL_PHASE_CHILD };

	for (size_t k = 0; k < ARRAY_LEN(codes); k++) {
		struct model_failure f = a_failure(codes[k]);
		struct explain_verdict v;
		explain_failure(&f, &context, &v);
		char *line = strstr(v.change, "proposals = ");
		assert_non_null(line);
		line += strlen("proposals = ");
		line[strcspn(line, " .")] = 0;
		unsigned words = 0;
		for (char *word = strtok(line, "-,"); word != NULL; word = strtok(NULL, "-,")) {
			bool known = false;
			for (size_t i = 0; i < model_transform_cnt; i++)
				known |= (model_transforms[i].phase & phases[k]) != 0 &&
					 model_transforms[i].opt_in == 0 &&
					 strcmp(model_transforms[i].swanctl, word) == 0;
			if (!known)
				fail_msg("%s is not in the table", word);
			words++;
		}
		assert_int_equal(words, k == 0 ? 7 : 5);
	}
}

static void record_of_a_newer_program_is_still_shown(void **state)
{
	(void)state;
	struct model_failure f = a_failure(MODEL_FAILURE_CNT);
	struct explain_verdict v;
	f.stage = 99;
	strcpy(f.offered, "x");
	explain_failure(&f, &context, &v);
	assert_string_equal(v.code, "unknown");
	assert_string_equal(v.stage, "unknown");
	assert_int_equal(v.side, EXPLAIN_SIDE_NONE);
	says(v.sentence, "it offered x");
	says(v.change, "newer version");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_sentence_side_and_change),
		cmocka_unit_test(a_site_is_told_what_to_change_in_its_own_file_or_at_the_gateway),
		cmocka_unit_test(nothing_is_cut_off_and_all_is_printable_with_the_longest_record),
		cmocka_unit_test(text_of_a_stranger_never_gets_into_the_change),
		cmocka_unit_test(refused_proposal_is_shown_with_what_is_allowed_and_the_line_to_paste),
		cmocka_unit_test(phase_2_advice_is_about_esp_proposals),
		cmocka_unit_test(null_is_never_called_allowed_and_its_switch_is_named),
		cmocka_unit_test(unknown_identity_is_answered_with_the_form_that_this_gateway_takes),
		cmocka_unit_test(the_name_of_a_deleted_tunnel_leads_to_the_one_in_its_place),
		cmocka_unit_test(wrong_key_names_the_tunnels_identity_and_the_gateways_address),
		cmocka_unit_test(side_is_that_of_who_can_mend_it),
		cmocka_unit_test(advised_proposals_are_allowed_ones),
		cmocka_unit_test(record_of_a_newer_program_is_still_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
