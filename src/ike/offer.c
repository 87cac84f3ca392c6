// What we offer where we start (RFC 7296 2.7, 3.3): the rows of the model's table, encryption with and without
// integrity apart, and an answer that must be one of these.
#include "ike/parts.h"

static bool offered(const struct ike_offer *o, const struct model_transform *t, uint8_t type)
{
	if ((t->phase & o->phase) == 0 || (t->profiles & MODEL_PROFILE_BIT(o->profile)) == 0 || t->type != type ||
	    (t->opt_in & ~o->opt_ins) != 0 || (o->rows != 0 && !model_rows_have(o->rows, t)))
		return false;
	return type != IKE_TT_KE || crypt_dh_public_len(t->id) != 0;
}

bool ike_offer_has_group(const struct ike_offer *o, uint16_t group)
{
	for (size_t i = 0; i < model_transform_cnt; i++)
		if (model_transforms[i].id == group && offered(o, &model_transforms[i], IKE_TT_KE))
			return true;
	return false;
}

uint16_t ike_offer_first_group(const struct ike_offer *o)
{
	for (size_t i = 0; i < model_transform_cnt; i++)
		if (offered(o, &model_transforms[i], IKE_TT_KE))
			return model_transforms[i].id;
	return IKE_GROUP_NONE;
}

/* ---- building ---- */

static void add(struct wire_ike_proposal *p, uint8_t type, uint16_t id, uint16_t key_bits)
{
	must(p->cnt < WIRE_IKE_TRANSFORMS_MAX);
	p->t[p->cnt++] = (struct wire_ike_transform){ .type = type, .id = id, .key_bits = key_bits };
}

static void add_all(const struct ike_offer *o, struct wire_ike_proposal *p, uint8_t type)
{
	for (size_t i = 0; i < model_transform_cnt; i++)
		if (offered(o, &model_transforms[i], type))
			add(p, type, model_transforms[i].id, model_transforms[i].key_bits);
}

/* The group of our KE payload stands first. */
static void add_groups(const struct ike_offer *o, struct wire_ike_proposal *p)
{
	add(p, IKE_TT_KE, o->ke_group, 0);
	for (size_t i = 0; i < model_transform_cnt; i++)
		if (offered(o, &model_transforms[i], IKE_TT_KE) && model_transforms[i].id != o->ke_group)
			add(p, IKE_TT_KE, model_transforms[i].id, 0);
}

enum cipher_kind { CIPHER_AEAD, CIPHER_INTEG, CIPHER_NULL, CIPHER_KINDS };

static enum cipher_kind kind_of(uint16_t encr)
{
	return encr == IKE_ENCR_NULL ? CIPHER_NULL : crypt_encr_is_aead(encr) ? CIPHER_AEAD : CIPHER_INTEG;
}

/* False: nothing of that kind may be offered. */
static bool add_proposal(const struct ike_offer *o, enum cipher_kind kind, bool ke, struct wire_ike_sa *sa)
{
	struct wire_ike_proposal *p = &sa->p[sa->cnt];

	*p = (struct wire_ike_proposal){
		.number = (uint8_t)(sa->cnt + 1),
		.protocol = o->phase == MODEL_PHASE_IKE ? IKE_PROTO_IKE : IKE_PROTO_ESP,
		.spi = o->spi,
	};
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if (offered(o, t, IKE_TT_ENCR) && kind_of(t->id) == kind)
			add(p, IKE_TT_ENCR, t->id, t->key_bits);
	}
	if (p->cnt == 0)
		return false;
	if (o->phase == MODEL_PHASE_IKE)
		add_all(o, p, IKE_TT_PRF);
	if (kind != CIPHER_AEAD)
		add_all(o, p, IKE_TT_INTEG);
	if (ke)
		add_groups(o, p);
	if (o->phase == MODEL_PHASE_CHILD)
		add_all(o, p, IKE_TT_ESN);
	sa->cnt++;
	return true;
}

/* IKE_AUTH never has a group. */
static bool may_be_bare(const struct ike_offer *o)
{
	const struct model_transform *none =
		model_transform_find(MODEL_PHASE_CHILD, IKE_TT_KE, IKE_GROUP_NONE, 0, 0, (enum model_profile)o->profile);

	return o->phase == MODEL_PHASE_CHILD &&
	       (o->ke_group == IKE_GROUP_NONE || o->rows == 0 || (none != NULL && model_rows_have(o->rows, none)));
}

void ike_offer_build(const struct ike_offer *o, struct wire_ike_sa *ret)
{
	*ret = (struct wire_ike_sa){ 0 };
	for (unsigned kind = 0; o->ke_group != IKE_GROUP_NONE && kind < CIPHER_KINDS; kind++)
		(void)add_proposal(o, (enum cipher_kind)kind, true, ret);
	/* A peer that wants no PFS takes one of those without a group, where a tunnel does not ask for one by name. */
	for (unsigned kind = 0; may_be_bare(o) && kind < CIPHER_KINDS; kind++)
		(void)add_proposal(o, (enum cipher_kind)kind, false, ret);
}

/* ---- taking the answer ---- */

static bool has_transform(const struct wire_ike_proposal *p, const struct wire_ike_transform *t)
{
	for (unsigned i = 0; i < p->cnt; i++)
		if (p->t[i].type == t->type && p->t[i].id == t->id && p->t[i].key_bits == t->key_bits)
			return true;
	return false;
}

static void note(struct model_suite *s, const struct wire_ike_transform *t)
{
	switch (t->type) {
	case IKE_TT_ENCR:
		s->encr = t->id;
		s->key_bits = t->key_bits;
		break;
	case IKE_TT_PRF:
		s->prf = t->id;
		break;
	case IKE_TT_INTEG:
		s->integ = t->id;
		break;
	case IKE_TT_KE:
		s->group = t->id;
		break;
	case IKE_TT_ESN:
		s->esn = t->id;
		break;
	}
}

static unsigned bit_of(uint8_t type)
{
	return 1u << (type & 7);
}

/* RFC 7296 3.3.6: exactly one transform of each type that the proposal has. NONE may stand where there is none. */
static bool answers(const struct wire_ike_proposal *ours, const struct wire_ike_proposal *answer,
		    struct model_suite *ret)
{
	struct model_suite s = { 0 };
	unsigned want = 0, got = 0;

	for (unsigned i = 0; i < ours->cnt; i++)
		want |= bit_of(ours->t[i].type);
	for (unsigned i = 0; i < answer->cnt; i++) {
		const struct wire_ike_transform *t = &answer->t[i];
		bool none = t->id == 0 && (t->type == IKE_TT_INTEG || t->type == IKE_TT_KE);
		if (none && (want & bit_of(t->type)) == 0)
			continue;
		if (t->unknown_attribute || !has_transform(ours, t) || (got & bit_of(t->type)) != 0)
			return false;
		got |= bit_of(t->type);
		note(&s, t);
	}
	if (got != want)
		return false;
	*ret = s;
	return true;
}

bool ike_offer_take(const struct ike_offer *o, struct bytes sa_payload, struct model_suite *ret, uint64_t *ret_spi)
{
	struct wire_ike_sa ours, answer = { 0 };

	if (wire_ike_sa_parse(sa_payload, &answer) != ERR_NONE || answer.cnt != 1)
		return false;
	const struct wire_ike_proposal *a = &answer.p[0];
	struct rd r = rd_of(a->spi);
	uint64_t spi = a->spi.len == 8 ? rd_u64(&r) : a->spi.len == 4 ? rd_u32(&r) : 0;
	/* RFC 4303 2.1, RFC 7296 3.1 */
	if (a->spi.len != o->spi.len || (a->spi.len == 4 && spi < 256) || (a->spi.len == 8 && spi == 0))
		return false;
	ike_offer_build(o, &ours);
	for (unsigned i = 0; i < ours.cnt; i++) {
		if (ours.p[i].protocol == a->protocol && answers(&ours.p[i], a, ret)) {
			*ret_spi = spi;
			return true;
		}
	}
	return false;
}
