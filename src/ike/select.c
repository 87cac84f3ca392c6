#include "ike/ctx.h"
#include "ike/parts.h"

/* Which rows of the table of transforms may be taken. */
struct rows {
	enum model_phase phase;
	uint8_t profiles; /* rows that all of these have */
	uint8_t opt_ins;
	uint32_t only;    /* of those, 0: all */
};

/* What a second look at a refused offer leaves out, to find the one thing that was wrong. */
enum relax { RELAX_NOTHING = 0, RELAX_NULL = 1, RELAX_ESN = 2, RELAX_GROUP = 4 };

static bool has_type(const struct wire_ike_proposal *p, uint8_t type)
{
	for (unsigned i = 0; i < p->cnt; i++)
		if (p->t[i].type == type)
			return true;
	return false;
}

static bool has_transform(const struct wire_ike_proposal *p, uint8_t type, uint16_t id, uint16_t key_bits)
{
	for (unsigned i = 0; i < p->cnt; i++) {
		const struct wire_ike_transform *t = &p->t[i];
		/* RFC 7296 3.3.6: a transform with an attribute that is not understood is unacceptable. */
		if (t->type == type && t->id == id && t->key_bits == key_bits && !t->unknown_attribute)
			return true;
	}
	return false;
}

static bool is_allowed(const struct model_transform *t, const struct rows *rows)
{
	return (t->phase & rows->phase) != 0 && (t->profiles & rows->profiles) == rows->profiles &&
	       (t->opt_in & ~rows->opt_ins) == 0 && (rows->only == 0 || model_rows_have(rows->only, t));
}

/* The first row of our table, in our order, that the proposal has. */
static const struct model_transform *pick(const struct wire_ike_proposal *p, const struct rows *rows, uint8_t type)
{
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if (is_allowed(t, rows) && t->type == type && has_transform(p, type, t->id, t->key_bits))
			return t;
	}
	return NULL;
}

/* Encryption and integrity go together: AEAD wants no integrity transform, or NONE (RFC 7296 3.3, RFC 5282 8). */
static bool choose_cipher(const struct wire_ike_proposal *p, const struct rows *rows, struct model_suite *s)
{
	bool none = !has_type(p, IKE_TT_INTEG) || has_transform(p, IKE_TT_INTEG, IKE_INTEG_NONE, 0);
	const struct model_transform *integ = pick(p, rows, IKE_TT_INTEG);

	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		bool aead = model_encr_is_aead(t->id);
		if (!is_allowed(t, rows) || t->type != IKE_TT_ENCR ||
		    !has_transform(p, IKE_TT_ENCR, t->id, t->key_bits) || (aead ? !none : integ == NULL))
			continue;
		uint16_t integ_id = aead ? (uint16_t)IKE_INTEG_NONE : integ->id;
		if (!crypt_suite_usable(t->id, t->key_bits, integ_id))
			continue;
		s->encr = t->id;
		s->key_bits = t->key_bits;
		s->integ = integ_id;
		return true;
	}
	return false;
}

static const struct model_transform *find_group(const struct rows *rows, uint16_t id)
{
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if (is_allowed(t, rows) && t->type == IKE_TT_KE && t->id == id)
			return t;
	}
	return NULL;
}

/* exact: only the group whose KE payload is there, which saves the peer a round trip. */
static bool choose_group(const struct wire_ike_proposal *p, const struct ike_ask *ask, const struct rows *rows,
			 unsigned relax, bool exact, struct model_suite *s)
{
	s->group = IKE_GROUP_NONE;
	if (ask->ke_rule == IKE_KE_IGNORED || (relax & RELAX_GROUP) != 0)
		return true;
	if (!has_type(p, IKE_TT_KE))
		return ask->ke_rule == IKE_KE_OPTIONAL && find_group(rows, IKE_GROUP_NONE) != NULL;
	const struct model_transform *t = exact ? find_group(rows, ask->ke_group) : pick(p, rows, IKE_TT_KE);
	if (t == NULL || !has_transform(p, IKE_TT_KE, t->id, 0))
		return false;
	s->group = t->id;
	return ask->ke_rule == IKE_KE_OPTIONAL || t->id != IKE_GROUP_NONE;
}

/* RFC 7296 3.3.6: a proposal with a transform type that is not understood, or without a mandatory one, is
 * unacceptable as a whole. */
static bool types_fit(const struct wire_ike_proposal *p, enum model_phase phase)
{
	for (unsigned i = 0; i < p->cnt; i++) {
		uint8_t type = p->t[i].type;
		bool common = type == IKE_TT_ENCR || type == IKE_TT_INTEG || type == IKE_TT_KE;
		if (!common && type != (phase == MODEL_PHASE_IKE ? IKE_TT_PRF : IKE_TT_ESN))
			return false;
	}
	return has_type(p, IKE_TT_ENCR) && has_type(p, phase == MODEL_PHASE_IKE ? IKE_TT_PRF : IKE_TT_ESN);
}

static bool read_spi(const struct wire_ike_proposal *p, const struct ike_ask *ask, uint64_t *ret)
{
	struct rd r = rd_of(p->spi);

	if (p->spi.len != ask->spi_len)
		return false;
	*ret = ask->spi_len == 8 ? rd_u64(&r) : ask->spi_len == 4 ? rd_u32(&r) : 0;
	/* RFC 4303 2.1: SPIs below 256 are reserved; RFC 7296 3.1: an IKE SPI is not zero. */
	return ask->spi_len == 0 || (ask->spi_len == 4 ? *ret >= 256 : *ret != 0);
}

static void answer_add(struct wire_ike_proposal *a, uint8_t type, uint16_t id, uint16_t key_bits)
{
	a->t[a->cnt++] = (struct wire_ike_transform){ .type = type, .id = id, .key_bits = key_bits };
}

/* Exactly one transform of each type that the proposal has (RFC 7296 3.3.6). */
static void build_answer(const struct wire_ike_proposal *p, const struct ike_ask *ask,
			 const struct model_suite *s, struct wire_ike_proposal *a)
{
	a->number = p->number;
	a->protocol = p->protocol;
	a->spi = p->spi;
	answer_add(a, IKE_TT_ENCR, s->encr, s->key_bits);
	if (ask->phase == MODEL_PHASE_IKE)
		answer_add(a, IKE_TT_PRF, s->prf, 0);
	if (has_type(p, IKE_TT_INTEG))
		answer_add(a, IKE_TT_INTEG, s->integ, 0);
	if (ask->ke_rule != IKE_KE_IGNORED && has_type(p, IKE_TT_KE))
		answer_add(a, IKE_TT_KE, s->group, 0);
	if (ask->phase == MODEL_PHASE_CHILD)
		answer_add(a, IKE_TT_ESN, s->esn, 0);
}

static bool choose_in(const struct wire_ike_proposal *p, const struct ike_ask *ask, const struct rows *rows, unsigned relax,
		      bool exact, struct ike_choice *ret)
{
	uint8_t protocol = ask->phase == MODEL_PHASE_IKE ? IKE_PROTO_IKE : IKE_PROTO_ESP;
	struct ike_choice c = { 0 };

	if (p->protocol != protocol || !types_fit(p, ask->phase) || !read_spi(p, ask, &c.peer_spi) ||
	    !choose_cipher(p, rows, &c.suite) || !choose_group(p, ask, rows, relax, exact, &c.suite))
		return false;
	if (ask->phase == MODEL_PHASE_IKE) {
		const struct model_transform *prf = pick(p, rows, IKE_TT_PRF);
		if (prf == NULL)
			return false;
		c.suite.prf = prf->id;
	} else {
		/* RFC 4304: with extended numbers wherever both sides may. */
		const struct model_transform *esn = pick(p, rows, IKE_TT_ESN);
		if (esn == NULL && (relax & RELAX_ESN) == 0)
			return false;
		c.suite.esn = esn == NULL ? (uint16_t)IKE_ESN_NONE : esn->id;
	}
	c.wrong_ke = c.suite.group != IKE_GROUP_NONE && c.suite.group != ask->ke_group;
	build_answer(p, ask, &c.suite, &c.answer);
	*ret = c;
	return true;
}

/* The peer's order of proposals decides, inside a proposal ours (RFC 7296 2.7). */
static bool choose_by(const struct wire_ike_sa *offer, const struct ike_ask *ask, const struct rows *rows, unsigned relax,
		      bool exact, struct ike_choice *ret)
{
	for (unsigned i = 0; i < offer->cnt; i++)
		if (choose_in(&offer->p[i], ask, rows, relax, exact, ret))
			return true;
	return false;
}

static uint8_t profiles_of(const struct ike_ask *ask)
{
	return ask->profiles != 0 ? ask->profiles : MODEL_PROFILE_BIT(MODEL_PROFILE_MAGIC);
}

/* Where several profiles are possible, what suits all of them is taken before what suits only one: the tunnel is not
 * known before IKE_AUTH, and a suite outside of its profile is refused there. */
static bool choose(const struct wire_ike_sa *offer, const struct ike_ask *ask, unsigned relax,
		   struct ike_choice *ret)
{
	uint8_t opt_ins = (uint8_t)(ask->opt_ins | ((relax & RELAX_NULL) != 0 ? MODEL_OPT_IN_NULL : 0));
	uint8_t profiles = profiles_of(ask);
	const struct rows common = { ask->phase, profiles, opt_ins, ask->rows };

	if (choose_by(offer, ask, &common, relax, true, ret) || choose_by(offer, ask, &common, relax, false, ret))
		return true;
	for (unsigned i = 0; i < 2 * MODEL_PROFILE_CNT; i++) {
		const struct rows one = { ask->phase, MODEL_PROFILE_BIT(i % MODEL_PROFILE_CNT), opt_ins,
					  ask->rows };
		if ((one.profiles & profiles) != 0 && one.profiles != profiles &&
		    choose_by(offer, ask, &one, relax, i < MODEL_PROFILE_CNT, ret))
			return true;
	}
	return false;
}

uint8_t ike_opt_ins(const struct ike_sa *sa)
{
	return (uint8_t)((sa->allow_null ? MODEL_OPT_IN_NULL : 0) | (sa->allow_esn ? MODEL_OPT_IN_ESN : 0));
}

bool ike_select(const struct wire_ike_sa *offer, const struct ike_ask *ask, struct ike_choice *ret,
		enum model_failure_code *ret_code)
{
	struct ike_choice ignored;
	bool ike = ask->phase == MODEL_PHASE_IKE;

	if (choose(offer, ask, RELAX_NOTHING, ret))
		return true;
	if (choose(offer, ask, RELAX_GROUP, &ignored))
		*ret_code = ike ? MODEL_FAILURE_NO_GROUP_IKE : MODEL_FAILURE_NO_PFS_GROUP;
	else if (!ike && choose(offer, ask, RELAX_NULL | RELAX_GROUP, &ignored))
		*ret_code = MODEL_FAILURE_NULL_NOT_ALLOWED;
	else if (!ike && choose(offer, ask, RELAX_ESN, &ignored))
		*ret_code = MODEL_FAILURE_ESN_ONLY;
	else
		*ret_code = ike ? MODEL_FAILURE_NO_PROPOSAL_IKE : MODEL_FAILURE_NO_PROPOSAL_CHILD;
	return false;
}

/* ---- texts ---- */

static const uint8_t type_order[] = { IKE_TT_ENCR, IKE_TT_INTEG, IKE_TT_PRF, IKE_TT_KE, IKE_TT_ESN };

/* The transforms of a type (0: of the types above the known ones), after a slash if something stands before. */
static void add_type(const struct wire_ike_proposal *p, uint8_t type, bool *first_type, char *text, size_t cap)
{
	char name[MODEL_TRANSFORM_TEXT_MAX];
	bool first = true;

	for (unsigned i = 0; i < p->cnt; i++) {
		const struct wire_ike_transform *t = &p->t[i];
		if (type != 0 ? t->type != type : t->type >= IKE_TT_ENCR && t->type <= IKE_TT_ESN)
			continue;
		if (!first)
			ike_text_add(text, cap, ", ");
		else if (!*first_type)
			ike_text_add(text, cap, " / ");
		first = *first_type = false;
		ike_text_add(text, cap, "%s%s", model_transform_text(t->type, t->id, t->key_bits, name),
			     t->unknown_attribute ? " (with an unknown attribute)" : "");
	}
}

/* only: one type of transform, 0 for all. */
static void add_proposal(const struct wire_ike_proposal *p, uint8_t only, char *text, size_t cap)
{
	bool first_type = true;

	if (text[0] != '\0')
		ike_text_add(text, cap, "; ");
	if (p->protocol != IKE_PROTO_IKE && p->protocol != IKE_PROTO_ESP)
		ike_text_add(text, cap, "%s ", p->protocol == IKE_PROTO_AH ? "AH" : "unknown protocol");
	for (size_t i = 0; i < ARRAY_LEN(type_order); i++)
		if (only == 0 || only == type_order[i])
			add_type(p, type_order[i], &first_type, text, cap);
	if (only == 0)
		add_type(p, 0, &first_type, text, cap);
	if (first_type)
		ike_text_add(text, cap, "none");
}

static bool may_be_taken(const struct ike_ask *ask, const struct model_transform *t)
{
	return (t->phase & ask->phase) != 0 && (t->profiles & profiles_of(ask)) != 0 && (t->opt_in & ~ask->opt_ins) == 0 &&
	       (ask->rows == 0 || model_rows_have(ask->rows, t));
}

static void add_allowed(const struct ike_ask *ask, uint8_t only, char *text, size_t cap)
{
	for (size_t i = 0; i < ARRAY_LEN(type_order); i++) {
		bool first = true;
		if (only != 0 && only != type_order[i])
			continue;
		if (ask->ke_rule == IKE_KE_IGNORED && type_order[i] == IKE_TT_KE)
			continue;
		for (size_t n = 0; n < model_transform_cnt; n++) {
			const struct model_transform *t = &model_transforms[n];
			if (t->type != type_order[i] || !may_be_taken(ask, t))
				continue;
			ike_text_add(text, cap, "%s%s", !first ? ", " : text[0] != '\0' ? " / " : "",
				     t->name);
			first = false;
		}
	}
}

/* The same for programs: transform by transform. What is more than there is room for is left out. */
static void keep_offer(const struct wire_ike_sa *offer, struct model_failure *f)
{
	for (unsigned i = 0; i < offer->cnt; i++)
		for (unsigned n = 0; n < offer->p[i].cnt && f->offer_cnt < MODEL_OFFER_MAX; n++) {
			const struct wire_ike_transform *t = &offer->p[i].t[n];
			f->offer[f->offer_cnt++] =
				(struct model_offered){ (uint8_t)(i + 1), t->type, t->id, t->key_bits };
		}
}

static void keep_allowed(const struct ike_ask *ask, struct model_failure *f)
{
	for (size_t n = 0; n < model_transform_cnt && f->allow_cnt < MODEL_ALLOW_MAX; n++) {
		const struct model_transform *t = &model_transforms[n];
		if (may_be_taken(ask, t) && !(ask->ke_rule == IKE_KE_IGNORED && t->type == IKE_TT_KE))
			f->allow[f->allow_cnt++] = (struct model_offered){ 0, t->type, t->id, t->key_bits };
	}
}

void ike_select_explain(const struct wire_ike_sa *offer, const struct ike_ask *ask, enum model_failure_code code,
			struct model_failure *f)
{
	uint8_t only = 0;

	if (code == MODEL_FAILURE_NO_GROUP_IKE || code == MODEL_FAILURE_NO_PFS_GROUP)
		only = IKE_TT_KE;
	else if (code == MODEL_FAILURE_ESN_ONLY)
		only = IKE_TT_ESN;
	for (unsigned i = 0; i < offer->cnt; i++)
		add_proposal(&offer->p[i], only, f->offered, sizeof(f->offered));
	add_allowed(ask, only, f->allowed, sizeof(f->allowed));
	keep_offer(offer, f);
	keep_allowed(ask, f);
}

void ike_select_explain_profile(const struct model_suite *chosen, enum model_profile profile, struct model_failure *f)
{
	const struct ike_ask ask = { .phase = MODEL_PHASE_IKE, .ke_rule = IKE_KE_NEEDED,
				     .profiles = MODEL_PROFILE_BIT(profile) };
	char text[MODEL_SUITE_TEXT_MAX];

	ike_text_add(f->offered, sizeof(f->offered), "%s", model_suite_text(chosen, text));
	add_allowed(&ask, 0, f->allowed, sizeof(f->allowed));
	ike_text_add(f->allowed, sizeof(f->allowed), " (profile %s)", model_profile_name((uint8_t)profile));
}

uint32_t ike_rows(const struct ike_world *world, const struct ike_sa *sa, enum model_phase phase)
{
	return world->find_rows == NULL ? 0 : world->find_rows(world->arg, &sa->tunnel_id, phase);
}

void ike_select_explain_own(enum model_phase phase, const struct ike_sa *sa, uint32_t rows, bool with_group,
			    struct model_failure *f)
{
	const struct ike_ask ask = { .phase = phase, .ke_rule = with_group ? IKE_KE_NEEDED : IKE_KE_IGNORED,
				     .profiles = MODEL_PROFILE_BIT(sa->profile), .opt_ins = ike_opt_ins(sa),
				     .rows = rows };

	add_allowed(&ask, 0, f->allowed, sizeof(f->allowed));
	ike_text_add(f->allowed, sizeof(f->allowed), " (profile %s)", model_profile_name(sa->profile));
}
