// Every transform id of a proposal, known or not: just those of the list in model/ are taken.
#include "range.h"

static bool allowed(enum model_phase phase, uint8_t type, uint16_t id, uint16_t key_bits)
{
	return model_transform_find(phase, type, id, key_bits, 0, MODEL_PROFILE_MAGIC) != NULL;
}

/* An SA payload with one proposal, in which one transform has that id. */
static size_t make_offer(enum exchange x, uint8_t type, uint16_t id, uint16_t key_bits, uint8_t room[static 128])
{
	struct wire_ike_sa sa = { .cnt = 1 };
	struct wire_ike_builder b;
	uint8_t spi[4] = { 9, 9, 9, 9 }, whole[256];
	bool ike = x == X_INIT;
	struct bytes msg;

	sa.p[0] = (struct wire_ike_proposal){ .number = 1, .protocol = ike ? IKE_PROTO_IKE : IKE_PROTO_ESP };
	if (!ike)
		sa.p[0].spi = BYTES_OF(spi);
	const struct wire_ike_transform base_ike[] = {
		{ .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_CBC, .key_bits = 256 },
		{ .type = IKE_TT_INTEG, .id = IKE_INTEG_HMAC_SHA2_256_128 },
		{ .type = IKE_TT_PRF, .id = IKE_PRF_HMAC_SHA2_256 },
		{ .type = IKE_TT_KE, .id = IKE_GROUP_MODP1536 },
	};
	const struct wire_ike_transform base_esp[] = {
		{ .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_CBC, .key_bits = 256 },
		{ .type = IKE_TT_INTEG, .id = IKE_INTEG_HMAC_SHA2_256_128 },
		{ .type = IKE_TT_KE, .id = IKE_GROUP_MODP1536 },
		{ .type = IKE_TT_ESN, .id = IKE_ESN_NONE },
	};
	for (unsigned i = 0; i < 4; i++) {
		struct wire_ike_transform t = ike ? base_ike[i] : base_esp[i];
		if (t.type == type) {
			t.id = id;
			t.key_bits = key_bits;
		}
		sa.p[0].t[sa.p[0].cnt++] = t;
	}
	wire_ike_begin(&b, SPACE_OF(whole), &(struct wire_ike_header){ .major = 2 });
	wire_ike_put_sa(&b, &sa);
	must(wire_ike_finish(&b, &msg) == ERR_NONE && msg.len - 32 <= 128);
	memcpy(room, msg.p + 32, msg.len - 32);
	return msg.len - 32;
}

static void sweep_ids(struct range *r, enum exchange x, uint8_t type, uint16_t key_bits)
{
	enum model_phase phase = x == X_INIT ? MODEL_PHASE_IKE : MODEL_PHASE_CHILD;
	struct list l = to_list(r);
	uint8_t room[128];

	for (uint32_t id = 0; id <= UINT16_MAX; id++) {
		size_t len = make_offer(x, type, (uint16_t)id, key_bits, room);
		for (unsigned n = 0; n < l.cnt; n++)
			if (l.i[n].type == IKE_PL_SA)
				l.i[n].body = bytes_of(room, len);
		struct outcome o = shoot_list(r, &l);
		/* the KE payload is for group 5; NONE needs none */
		bool wrong_ke = type == IKE_TT_KE && id != IKE_GROUP_MODP1536 && id != IKE_GROUP_NONE;
		bool aead = type == IKE_TT_ENCR && id == IKE_ENCR_AES_GCM_16; /* with an integrity transform */
		bool good = allowed(phase, type, (uint16_t)id, key_bits) && !wrong_ke && !aead;
		if (o.accepted != good)
			fail_msg("exchange %u, transform type %u id %u key %u", x, type, id, key_bits);
		if (!good)
			must_be_refused(r, &o);
	}
}

static void all_transform_ids_of_ike_sa_init_are_judged(void **state)
{
	struct range *r = make_range(X_INIT);

	(void)state;
	sweep_ids(r, X_INIT, IKE_TT_ENCR, 256);
	sweep_ids(r, X_INIT, IKE_TT_ENCR, 128);
	sweep_ids(r, X_INIT, IKE_TT_ENCR, 0);
	sweep_ids(r, X_INIT, IKE_TT_PRF, 0);
	sweep_ids(r, X_INIT, IKE_TT_INTEG, 0);
	sweep_ids(r, X_INIT, IKE_TT_KE, 0);
	free_range(r);
}

static void all_transform_ids_of_a_child_rekey_are_judged(void **state)
{
	struct range *r = make_range(X_REKEY_CHILD);

	(void)state;
	sweep_ids(r, X_REKEY_CHILD, IKE_TT_ENCR, 256);
	sweep_ids(r, X_REKEY_CHILD, IKE_TT_KE, 0);
	sweep_ids(r, X_REKEY_CHILD, IKE_TT_INTEG, 0);
	free_range(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_transform_ids_of_ike_sa_init_are_judged),
		cmocka_unit_test(all_transform_ids_of_a_child_rekey_are_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
