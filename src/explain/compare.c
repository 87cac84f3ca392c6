#include "explain/compare.h"

#include "explain/text.h"

static const struct {
	uint8_t type;
	const char *name;
} kinds[] = {
	[EXPLAIN_ENCR] = { IKE_TT_ENCR, "encryption" }, [EXPLAIN_INTEG] = { IKE_TT_INTEG, "integrity" },
	[EXPLAIN_PRF] = { IKE_TT_PRF, "prf" },          [EXPLAIN_GROUP] = { IKE_TT_KE, "group" },
	[EXPLAIN_ESN] = { IKE_TT_ESN, "esn" },
};

uint8_t explain_kind_type(enum explain_kind kind)
{
	return kinds[kind].type;
}

const char *explain_kind_name(enum explain_kind kind)
{
	return kinds[kind].name;
}

bool explain_offered_has(const struct model_offered *list, unsigned cnt, uint8_t proposal, uint8_t type, uint16_t id,
			 uint16_t key_bits)
{
	for (unsigned i = 0; i < cnt; i++)
		if (list[i].proposal == proposal && list[i].type == type && list[i].id == id &&
		    list[i].key_bits == key_bits)
			return true;
	return false;
}

static bool is_allowed(const struct model_failure *f, const struct model_offered *o)
{
	return explain_offered_has(f->allow, f->allow_cnt, 0, o->type, o->id, o->key_bits);
}

static bool allows_type(const struct model_failure *f, uint8_t type)
{
	for (unsigned i = 0; i < f->allow_cnt; i++)
		if (f->allow[i].type == type)
			return true;
	return false;
}

/* ---- one proposal ---- */

/* What a proposal has of one kind: anything, anything allowed. */
struct found {
	bool any, good, none; /* none: the transform NONE, or nothing at all */
};

static struct found look(const struct model_failure *f, uint8_t number, uint8_t type)
{
	struct found r = { 0 };

	for (unsigned i = 0; i < f->offer_cnt; i++) {
		const struct model_offered *o = &f->offer[i];
		if (o->proposal != number || o->type != type)
			continue;
		r.any = true;
		r.good |= is_allowed(f, o);
		r.none |= o->id == 0;
	}
	r.none |= !r.any;
	return r;
}

/* Of the allowed ciphers in the proposal: one with its own integrity, one that needs another. */
static void look_ciphers(const struct model_failure *f, uint8_t number, bool *aead, bool *plain)
{
	*aead = *plain = false;
	for (unsigned i = 0; i < f->offer_cnt; i++) {
		const struct model_offered *o = &f->offer[i];
		if (o->proposal != number || o->type != IKE_TT_ENCR || !is_allowed(f, o))
			continue;
		*(model_encr_is_aead(o->id) ? aead : plain) = true;
	}
}

static bool offers_aead(const struct model_failure *f, uint8_t number)
{
	for (unsigned i = 0; i < f->offer_cnt; i++)
		if (f->offer[i].proposal == number && f->offer[i].type == IKE_TT_ENCR &&
		    model_encr_is_aead(f->offer[i].id))
			return true;
	return false;
}

/* AEAD wants no integrity transform or NONE, the others want one (RFC 7296 3.3.3, RFC 5282 8). */
static bool integrity_fits(const struct model_failure *f, uint8_t number)
{
	struct found integ = look(f, number, IKE_TT_INTEG);
	bool aead, plain;

	look_ciphers(f, number, &aead, &plain);
	if (aead || plain)
		return (aead && integ.none) || (plain && integ.good);
	/* no cipher fits: the integrity is judged for the kind of cipher that was meant */
	return integ.good || (integ.none && offers_aead(f, number));
}

static uint8_t judge(const struct model_failure *f, uint8_t number, bool ike)
{
	uint8_t bad = 0;

	for (unsigned k = 0; k < EXPLAIN_KINDS; k++) {
		struct found r = look(f, number, kinds[k].type);
		bool good = r.good;
		if (k == EXPLAIN_INTEG)
			good = integrity_fits(f, number);
		else if (k == EXPLAIN_GROUP && (!ike || !allows_type(f, IKE_TT_KE)))
			good = good || !r.any || !allows_type(f, IKE_TT_KE);
		else if ((k == EXPLAIN_PRF && !ike) || (k == EXPLAIN_ESN && ike))
			continue;
		if (!good)
			bad |= (uint8_t)(1u << k);
	}
	return bad;
}

static unsigned count_bits(uint8_t set)
{
	unsigned n = 0;
	for (; set != 0; set &= (uint8_t)(set - 1))
		n++;
	return n;
}

static void read_proposals(const struct model_failure *f, struct explain_compare *c)
{
	for (unsigned i = 0; i < f->offer_cnt; i++) {
		uint8_t number = f->offer[i].proposal;
		struct explain_proposal *p = c->proposal_cnt == 0 ? NULL : &c->proposals[c->proposal_cnt - 1];
		if (p == NULL || p->number != number) {
			if (c->proposal_cnt == EXPLAIN_PROPOSALS_MAX)
				return;
			p = &c->proposals[c->proposal_cnt++];
			*p = (struct explain_proposal){ .number = number, .bad = judge(f, number, c->ike) };
		}
		p->other |= f->offer[i].type < IKE_TT_ENCR || f->offer[i].type > IKE_TT_ESN;
	}
	for (unsigned i = 1; i < c->proposal_cnt; i++)
		if (count_bits(c->proposals[i].bad) < count_bits(c->proposals[c->nearest].bad))
			c->nearest = i;
}

/* ---- the nearest acceptable one ---- */

/* How far an allowed cipher is from what was offered: the same mode first, then the same length of key. */
static unsigned cipher_distance(const struct model_offered *a, const struct model_offered *b)
{
	bool same_mode = model_encr_is_aead(a->id) == model_encr_is_aead(b->id);
	return (same_mode ? 0 : 4u) + (a->id == b->id ? 0 : 2u) + (a->key_bits == b->key_bits ? 0 : 1u);
}

/* The allowed transform of a type that the proposal has, else the one nearest to what it has, else the first. */
static const struct model_offered *choose(const struct model_failure *f, uint8_t number, uint8_t type, int aead)
{
	const struct model_offered *best = NULL;
	unsigned best_distance = UINT32_MAX;

	for (unsigned i = 0; i < f->allow_cnt; i++) {
		const struct model_offered *a = &f->allow[i];
		if (a->type != type || (aead >= 0 && model_encr_is_aead(a->id) != (aead == 1)))
			continue;
		unsigned distance = 100;
		for (unsigned n = 0; n < f->offer_cnt; n++) {
			const struct model_offered *o = &f->offer[n];
			if (o->proposal != number || o->type != type)
				continue;
			unsigned d = type == IKE_TT_ENCR ? cipher_distance(a, o)
							 : (a->id == o->id && a->key_bits == o->key_bits) ? 0 : 50;
			distance = d < distance ? d : distance;
		}
		if (distance < best_distance) {
			best = a;
			best_distance = distance;
		}
	}
	return best;
}

/* strongSwan's word for a transform; none for those that need none. */
static void say_word(struct explain_text *t, bool ike, uint8_t type, uint16_t id, uint16_t key_bits)
{
	const uint8_t phase = ike ? MODEL_PHASE_IKE : MODEL_PHASE_CHILD;

	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *row = &model_transforms[i];
		if ((row->phase & phase) == 0 || row->type != type || row->id != id || row->key_bits != key_bits ||
		    row->swanctl[0] == 0)
			continue;
		explain_text_say(t, "%s%s", t->len == 0 ? "" : "-", row->swanctl);
		return;
	}
}

static void find_nearest(const struct model_failure *f, struct explain_compare *c)
{
	uint8_t number = c->proposals[c->nearest].number;
	const struct model_offered *encr = choose(f, number, IKE_TT_ENCR, -1);
	const struct model_offered *integ = choose(f, number, IKE_TT_INTEG, -1);
	const struct model_offered *prf = choose(f, number, IKE_TT_PRF, -1);
	const struct model_offered *group = choose(f, number, IKE_TT_KE, -1);
	const struct model_offered *esn = choose(f, number, IKE_TT_ESN, -1);
	struct explain_text t;
	bool pfs = look(f, number, IKE_TT_KE).any;

	explain_text_start(&t, c->swanctl, sizeof(c->swanctl));
	if (encr == NULL)
		return;
	c->suite = (struct model_suite){ .encr = encr->id, .key_bits = encr->key_bits };
	say_word(&t, c->ike, IKE_TT_ENCR, encr->id, encr->key_bits);
	if (!model_encr_is_aead(encr->id) && integ != NULL) {
		c->suite.integ = integ->id;
		say_word(&t, c->ike, IKE_TT_INTEG, integ->id, 0);
	}
	if (c->ike && prf != NULL) {
		c->suite.prf = prf->id;
		say_word(&t, true, IKE_TT_PRF, prf->id, 0);
	}
	if (group != NULL && (c->ike || pfs)) {
		c->suite.group = group->id;
		say_word(&t, c->ike, IKE_TT_KE, group->id, 0);
	}
	/* strongSwan's default is without ESN, so the word is needed only where the offer had another one */
	if (!c->ike && esn != NULL && (c->proposals[c->nearest].bad & 1u << EXPLAIN_ESN) != 0) {
		c->suite.esn = esn->id;
		say_word(&t, false, IKE_TT_ESN, esn->id, 0);
	}
}

void explain_compare_offer(const struct model_failure *f, struct explain_compare *ret)
{
	*ret = (struct explain_compare){ .ike = allows_type(f, IKE_TT_PRF) };
	if (f->offer_cnt == 0 || f->allow_cnt == 0)
		return;
	read_proposals(f, ret);
	find_nearest(f, ret);
}

uint8_t explain_compare_code(const struct model_failure *f)
{
	static const uint8_t ike[EXPLAIN_KINDS] = { MODEL_FAILURE_NO_ENCR_IKE, MODEL_FAILURE_NO_INTEG_IKE,
						    MODEL_FAILURE_NO_PRF_IKE, MODEL_FAILURE_NO_GROUP_IKE,
						    MODEL_FAILURE_NO_PROPOSAL_IKE };
	static const uint8_t child[EXPLAIN_KINDS] = { MODEL_FAILURE_NO_ENCR_CHILD, MODEL_FAILURE_NO_INTEG_CHILD,
						      MODEL_FAILURE_NO_PROPOSAL_CHILD, MODEL_FAILURE_NO_PFS_GROUP,
						      MODEL_FAILURE_ESN_ONLY };
	struct explain_compare c;

	if (f->code != MODEL_FAILURE_NO_PROPOSAL_IKE && f->code != MODEL_FAILURE_NO_PROPOSAL_CHILD)
		return f->code;
	explain_compare_offer(f, &c);
	if (c.proposal_cnt == 0)
		return f->code;
	const struct explain_proposal *p = &c.proposals[c.nearest];
	for (unsigned k = 0; k < EXPLAIN_KINDS; k++)
		if (p->bad == 1u << k && !p->other)
			return c.ike ? ike[k] : child[k];
	return f->code;
}
