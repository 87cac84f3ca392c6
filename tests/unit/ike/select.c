#include "ike_test.h"

static const uint8_t spi4[4] = { 0x12, 0x34, 0x56, 0x78 };

static const struct ike_ask ask_ike = { .phase = MODEL_PHASE_IKE, .ke_rule = IKE_KE_NEEDED,
					.ke_group = IKE_GROUP_MODP2048 };
static const struct ike_ask ask_child = { .phase = MODEL_PHASE_CHILD, .ke_rule = IKE_KE_OPTIONAL, .spi_len = 4 };

static void add(struct wire_ike_proposal *p, uint8_t type, uint16_t id, uint16_t bits)
{
	p->t[p->cnt++] = (struct wire_ike_transform){ .type = type, .id = id, .key_bits = bits };
}

static struct wire_ike_proposal *propose(struct wire_ike_sa *sa, uint8_t protocol)
{
	struct wire_ike_proposal *p = &sa->p[sa->cnt++];
	p->number = sa->cnt;
	p->protocol = protocol;
	if (protocol == IKE_PROTO_ESP)
		p->spi = BYTES_OF(spi4);
	return p;
}

static struct wire_ike_proposal *propose_ike(struct wire_ike_sa *sa, uint16_t encr, uint16_t bits, uint16_t integ,
					     uint16_t group)
{
	struct wire_ike_proposal *p = propose(sa, IKE_PROTO_IKE);
	add(p, IKE_TT_ENCR, encr, bits);
	if (integ != 0)
		add(p, IKE_TT_INTEG, integ, 0);
	add(p, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_256, 0);
	add(p, IKE_TT_KE, group, 0);
	return p;
}

static struct wire_ike_proposal *propose_esp(struct wire_ike_sa *sa, uint16_t encr, uint16_t bits, uint16_t integ)
{
	struct wire_ike_proposal *p = propose(sa, IKE_PROTO_ESP);
	add(p, IKE_TT_ENCR, encr, bits);
	if (integ != 0)
		add(p, IKE_TT_INTEG, integ, 0);
	add(p, IKE_TT_ESN, IKE_ESN_NONE, 0);
	return p;
}

static bool select_one(const struct wire_ike_sa *sa, const struct ike_ask *ask, struct ike_choice *c)
{
	enum model_failure_code code;
	return ike_select(sa, ask, c, &code);
}

static enum model_failure_code refusal(const struct wire_ike_sa *sa, const struct ike_ask *ask)
{
	enum model_failure_code code = MODEL_FAILURE_CNT;
	struct ike_choice c;
	assert_false(ike_select(sa, ask, &c, &code));
	return code;
}

static void inside_a_proposal_our_order_decides(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct wire_ike_proposal *p = propose_ike(&sa, IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, 5);
	struct ike_choice c;

	(void)state;
	add(p, IKE_TT_PRF, IKE_PRF_HMAC_SHA2_512, 0);
	add(p, IKE_TT_KE, IKE_GROUP_MODP2048, 0);
	assert_true(select_one(&sa, &ask_ike, &c));
	assert_int_equal(c.suite.prf, IKE_PRF_HMAC_SHA2_512);
	assert_int_equal(c.suite.group, IKE_GROUP_MODP2048);
	assert_int_equal(c.suite.encr, IKE_ENCR_AES_CBC);
	assert_int_equal(c.answer.cnt, 4);
}

static void among_proposals_the_peers_order_decides(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct ike_choice c;

	(void)state;
	propose_ike(&sa, 3, 0, IKE_INTEG_HMAC_SHA2_256_128, 14); /* 3DES: not ours */
	propose_ike(&sa, IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128, 14);
	propose_ike(&sa, IKE_ENCR_AES_GCM_16, 256, 0, 14);
	assert_true(select_one(&sa, &ask_ike, &c));
	assert_int_equal(c.answer.number, 2);
	assert_int_equal(c.suite.encr, IKE_ENCR_AES_CBC);
}

static void the_group_of_the_ke_payload_is_taken_when_it_is_allowed(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct wire_ike_proposal *p = propose_ike(&sa, IKE_ENCR_AES_GCM_16, 256, 0, 14);
	struct ike_ask ask = ask_ike;
	struct ike_choice c;

	(void)state;
	add(p, IKE_TT_KE, 5, 0);
	ask.ke_group = 5;
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.group, 5);
	assert_false(c.wrong_ke);
	ask.ke_group = 2;
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.group, 14);
	assert_true(c.wrong_ke);
}

static void aead_goes_with_no_integrity_or_none(void **state)
{
	struct ike_choice c;

	(void)state;
	struct wire_ike_sa without = { 0 }, none = { 0 }, mixed = { 0 }, with = { 0 };
	propose_ike(&without, IKE_ENCR_AES_GCM_16, 128, 0, 14);
	assert_true(select_one(&without, &ask_ike, &c));
	assert_int_equal(c.answer.cnt, 3);

	add(propose_ike(&none, IKE_ENCR_AES_GCM_16, 128, 0, 14), IKE_TT_INTEG, IKE_INTEG_NONE, 0);
	assert_true(select_one(&none, &ask_ike, &c));
	assert_int_equal(c.answer.cnt, 4); /* NONE is answered: one of each type that was offered */

	propose_ike(&with, IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_HMAC_SHA2_256_128, 14);
	assert_int_equal(refusal(&with, &ask_ike), MODEL_FAILURE_NO_PROPOSAL_IKE);

	add(propose_ike(&mixed, IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_HMAC_SHA2_256_128, 14), IKE_TT_ENCR, IKE_ENCR_AES_CBC, 256);
	assert_true(select_one(&mixed, &ask_ike, &c));
	assert_int_equal(c.suite.encr, IKE_ENCR_AES_CBC);
}

static void a_cipher_without_aead_needs_integrity(void **state)
{
	struct wire_ike_sa ike = { 0 }, esp = { 0 };

	(void)state;
	propose_ike(&ike, IKE_ENCR_AES_CBC, 256, 0, 14);
	assert_int_equal(refusal(&ike, &ask_ike), MODEL_FAILURE_NO_PROPOSAL_IKE);
	propose_esp(&esp, IKE_ENCR_AES_CBC, 256, 0);
	assert_int_equal(refusal(&esp, &ask_child), MODEL_FAILURE_NO_PROPOSAL_CHILD);
}

static void null_needs_the_opt_in(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct ike_ask ask = ask_child;
	struct ike_choice c;

	(void)state;
	propose_esp(&sa, IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA2_256_128);
	assert_int_equal(refusal(&sa, &ask), MODEL_FAILURE_NULL_NOT_ALLOWED);
	ask.opt_ins = MODEL_OPT_IN_NULL;
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.encr, IKE_ENCR_NULL);
	/* encryption is preferred where both are offered */
	add(&sa.p[0], IKE_TT_ENCR, IKE_ENCR_AES_CBC, 256);
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.encr, IKE_ENCR_AES_CBC);
}

static void null_is_never_for_the_ike_sa(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct ike_ask ask = ask_ike;

	(void)state;
	ask.opt_ins = MODEL_OPT_IN_NULL;
	propose_ike(&sa, IKE_ENCR_NULL, 0, IKE_INTEG_HMAC_SHA2_256_128, 14);
	assert_int_equal(refusal(&sa, &ask), MODEL_FAILURE_NO_PROPOSAL_IKE);
}

static void esn_alone_is_refused_and_both_choices_mean_none(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct wire_ike_proposal *p = propose(&sa, IKE_PROTO_ESP);
	struct ike_choice c;

	(void)state;
	add(p, IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 256);
	assert_int_equal(refusal(&sa, &ask_child), MODEL_FAILURE_NO_PROPOSAL_CHILD); /* ESN is mandatory to state */
	add(p, IKE_TT_ESN, IKE_ESN_YES, 0);
	assert_int_equal(refusal(&sa, &ask_child), MODEL_FAILURE_ESN_ONLY);
	add(p, IKE_TT_ESN, IKE_ESN_NONE, 0);
	assert_true(select_one(&sa, &ask_child, &c));
	assert_int_equal(c.suite.esn, IKE_ESN_NONE);
}

static void esn_is_preferred_where_the_tunnel_allows_it(void **state)
{
	static const uint16_t orders[][2] = { { IKE_ESN_NONE, IKE_ESN_YES }, { IKE_ESN_YES, IKE_ESN_NONE } };
	struct ike_ask ask = ask_child;
	struct ike_choice c;

	(void)state;
	ask.opt_ins = MODEL_OPT_IN_ESN;
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct wire_ike_sa both = { 0 };
		struct wire_ike_proposal *p = propose(&both, IKE_PROTO_ESP);
		add(p, IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 256);
		add(p, IKE_TT_ESN, orders[i][0], 0);
		add(p, IKE_TT_ESN, orders[i][1], 0);
		assert_true(select_one(&both, &ask, &c));
		assert_int_equal(c.suite.esn, IKE_ESN_YES);
		assert_int_equal(c.answer.cnt, 2);
		assert_int_equal(c.answer.t[1].type, IKE_TT_ESN);
		assert_int_equal(c.answer.t[1].id, IKE_ESN_YES);
	}
	struct wire_ike_sa none = { 0 }, only = { 0 };
	propose_esp(&none, IKE_ENCR_AES_GCM_16, 256, 0);
	assert_true(select_one(&none, &ask, &c));
	assert_int_equal(c.suite.esn, IKE_ESN_NONE);
	propose_esp(&only, IKE_ENCR_AES_GCM_16, 256, 0)->t[1].id = IKE_ESN_YES;
	assert_true(select_one(&only, &ask, &c));
	assert_int_equal(c.suite.esn, IKE_ESN_YES);
	assert_int_equal(refusal(&only, &ask_child), MODEL_FAILURE_ESN_ONLY);
}

static void pfs_is_taken_with_an_allowed_group_or_left_out_with_none(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct wire_ike_proposal *p = propose_esp(&sa, IKE_ENCR_AES_GCM_16, 256, 0);
	struct ike_ask ask = ask_child;
	struct ike_choice c;

	(void)state;
	add(p, IKE_TT_KE, 2, 0);
	ask.ke_group = 2;
	assert_int_equal(refusal(&sa, &ask), MODEL_FAILURE_NO_PFS_GROUP);
	add(p, IKE_TT_KE, IKE_GROUP_NONE, 0);
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.group, IKE_GROUP_NONE);
	assert_false(c.wrong_ke);
	add(p, IKE_TT_KE, 5, 0);
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.group, 5);
	assert_true(c.wrong_ke);
	ask.ke_group = IKE_GROUP_NONE; /* no KE payload, and that is allowed */
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.group, IKE_GROUP_NONE);
}

/* RFC 7296 1.2: there is no KE payload in IKE_AUTH, whatever the proposal says. */
static void groups_are_ignored_in_ike_auth(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct ike_ask ask = ask_child;
	struct ike_choice c;

	(void)state;
	add(propose_esp(&sa, IKE_ENCR_AES_GCM_16, 256, 0), IKE_TT_KE, 2, 0);
	ask.ke_rule = IKE_KE_IGNORED;
	assert_true(select_one(&sa, &ask, &c));
	assert_int_equal(c.suite.group, IKE_GROUP_NONE);
	assert_int_equal(c.answer.cnt, 2);
}

static void unknown_types_and_attributes_make_a_proposal_unacceptable(void **state)
{
	struct ike_choice c;

	(void)state;
	struct wire_ike_sa type = { 0 }, attribute = { 0 };
	add(propose_ike(&type, IKE_ENCR_AES_GCM_16, 256, 0, 14), 6, 0, 0); /* additional key exchange, RFC 9370 */
	assert_int_equal(refusal(&type, &ask_ike), MODEL_FAILURE_NO_PROPOSAL_IKE);
	propose_ike(&attribute, IKE_ENCR_AES_GCM_16, 256, 0, 14)->t[0].unknown_attribute = true;
	assert_int_equal(refusal(&attribute, &ask_ike), MODEL_FAILURE_NO_PROPOSAL_IKE);
	add(&attribute.p[0], IKE_TT_ENCR, IKE_ENCR_AES_GCM_16, 128);
	assert_true(select_one(&attribute, &ask_ike, &c));
	assert_int_equal(c.suite.key_bits, 128);
}

static void other_protocols_and_spis_are_refused(void **state)
{
	static const uint8_t reserved[4] = { 0, 0, 0, 255 };
	struct wire_ike_sa ah = { 0 }, ike = { 0 }, low = { 0 };

	(void)state;
	propose_esp(&ah, IKE_ENCR_AES_GCM_16, 256, 0)->protocol = IKE_PROTO_AH;
	assert_int_equal(refusal(&ah, &ask_child), MODEL_FAILURE_NO_PROPOSAL_CHILD);
	propose_esp(&ike, IKE_ENCR_AES_GCM_16, 256, 0)->protocol = IKE_PROTO_IKE;
	assert_int_equal(refusal(&ike, &ask_child), MODEL_FAILURE_NO_PROPOSAL_CHILD);
	propose_esp(&low, IKE_ENCR_AES_GCM_16, 256, 0)->spi = BYTES_OF(reserved);
	assert_int_equal(refusal(&low, &ask_child), MODEL_FAILURE_NO_PROPOSAL_CHILD);
}

static void a_wrong_group_is_told_apart_from_a_wrong_cipher(void **state)
{
	struct wire_ike_sa group = { 0 }, cipher = { 0 };

	(void)state;
	propose_ike(&group, IKE_ENCR_AES_GCM_16, 256, 0, 2);
	assert_int_equal(refusal(&group, &ask_ike), MODEL_FAILURE_NO_GROUP_IKE);
	propose_ike(&cipher, 3, 0, IKE_INTEG_HMAC_SHA2_256_128, 2);
	assert_int_equal(refusal(&cipher, &ask_ike), MODEL_FAILURE_NO_PROPOSAL_IKE);
}

static void every_transform_id_is_judged_by_the_table(void **state)
{
	static const uint8_t types[] = { IKE_TT_ENCR, IKE_TT_PRF, IKE_TT_INTEG, IKE_TT_KE, IKE_TT_ESN };
	static const uint16_t bits[] = { 0, 64, 128, 192, 256 };

	(void)state;
	for (unsigned phase = 0; phase < 2; phase++) {
		struct ike_ask ask = phase == 0 ? ask_ike : ask_child;
		for (size_t t = 0; t < ARRAY_LEN(types); t++) {
			for (size_t b = 0; b < (types[t] == IKE_TT_ENCR ? ARRAY_LEN(bits) : 1); b++) {
				if ((types[t] == IKE_TT_PRF && phase == 1) || (types[t] == IKE_TT_ESN && phase == 0))
					continue;
				for (uint32_t id = 0; id <= UINT16_MAX; id++) {
					struct wire_ike_sa sa = { 0 };
					struct ike_choice c;
					struct wire_ike_proposal *p =
						phase == 0 ? propose_ike(&sa, IKE_ENCR_AES_CBC, 256,
									 IKE_INTEG_HMAC_SHA2_256_128, 14)
							   : propose_esp(&sa, IKE_ENCR_AES_CBC, 256,
									 IKE_INTEG_HMAC_SHA2_256_128);
					if (phase == 1)
						add(p, IKE_TT_KE, 14, 0);
					for (unsigned i = 0; i < p->cnt; i++) {
						if (p->t[i].type == types[t]) {
							p->t[i].id = (uint16_t)id;
							p->t[i].key_bits = bits[b];
						}
					}
					ask.ke_group = types[t] == IKE_TT_KE ? (uint16_t)id : 14;
					bool good = model_transform_find(ask.phase, types[t], (uint16_t)id, bits[b], 0, MODEL_PROFILE_MAGIC) != NULL &&
						    !model_encr_is_aead(types[t] == IKE_TT_ENCR ? (uint16_t)id : 0);
					if (select_one(&sa, &ask, &c) != good)
						fail_msg("phase %u type %u id %u bits %u", phase, types[t], id, bits[b]);
				}
			}
		}
	}
}

static void a_refusal_says_what_was_offered_and_what_is_allowed(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct model_failure f = { 0 };

	(void)state;
	propose_ike(&sa, 3, 0, 2, 2);
	add(propose_ike(&sa, IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128, 14), 7, 3, 0);
	ike_select_explain(&sa, &ask_ike, MODEL_FAILURE_NO_PROPOSAL_IKE, &f);
	assert_string_equal(f.offered, "3DES / HMAC-SHA1-96 / PRF-HMAC-SHA2-256 / MODP-1024; "
				       "AES-CBC-128 / HMAC-SHA2-256-128 / PRF-HMAC-SHA2-256 / MODP-2048 / TRANSFORM type 7 3");
	assert_non_null(strstr(f.allowed, "AES-GCM-16-256, AES-GCM-16-128"));
	assert_non_null(strstr(f.allowed, " / PRF-HMAC-SHA2-512, "));
	assert_null(strstr(f.allowed, "NULL"));
	memset(&f, 0, sizeof(f));
	ike_select_explain(&sa, &ask_ike, MODEL_FAILURE_NO_GROUP_IKE, &f);
	assert_string_equal(f.offered, "MODP-1024; MODP-2048");
	assert_non_null(strstr(f.allowed, "MODP-2048"));
	assert_null(strstr(f.allowed, "AES"));
}

static void a_huge_offer_is_cut_in_the_text(void **state)
{
	struct wire_ike_sa sa = { 0 };
	struct model_failure f = { 0 };

	(void)state;
	for (unsigned i = 0; i < WIRE_IKE_PROPOSALS_MAX; i++) {
		struct wire_ike_proposal *p = propose(&sa, IKE_PROTO_IKE);
		for (unsigned t = 0; t < WIRE_IKE_TRANSFORMS_MAX; t++)
			add(p, (uint8_t)(1 + t % 8), (uint16_t)(40000 + t), 77);
	}
	ike_select_explain(&sa, &ask_ike, MODEL_FAILURE_NO_PROPOSAL_IKE, &f);
	assert_int_equal(strlen(f.offered), sizeof(f.offered) - 1);
	assert_string_equal(f.offered + sizeof(f.offered) - 4, "...");
}

TESTS(cmocka_unit_test(inside_a_proposal_our_order_decides), cmocka_unit_test(among_proposals_the_peers_order_decides),
      cmocka_unit_test(the_group_of_the_ke_payload_is_taken_when_it_is_allowed),
      cmocka_unit_test(aead_goes_with_no_integrity_or_none), cmocka_unit_test(a_cipher_without_aead_needs_integrity),
      cmocka_unit_test(null_needs_the_opt_in), cmocka_unit_test(null_is_never_for_the_ike_sa),
      cmocka_unit_test(esn_alone_is_refused_and_both_choices_mean_none),
      cmocka_unit_test(esn_is_preferred_where_the_tunnel_allows_it),
      cmocka_unit_test(pfs_is_taken_with_an_allowed_group_or_left_out_with_none),
      cmocka_unit_test(groups_are_ignored_in_ike_auth),
      cmocka_unit_test(unknown_types_and_attributes_make_a_proposal_unacceptable),
      cmocka_unit_test(other_protocols_and_spis_are_refused),
      cmocka_unit_test(a_wrong_group_is_told_apart_from_a_wrong_cipher),
      cmocka_unit_test(every_transform_id_is_judged_by_the_table),
      cmocka_unit_test(a_refusal_says_what_was_offered_and_what_is_allowed),
      cmocka_unit_test(a_huge_offer_is_cut_in_the_text))
