// CREATE_CHILD_SA that we start (RFC 7296 1.3, 2.8): when, with what, and what a refusal means.
//
//   HDR, SK {SA, Ni, [KEi], TSi, TSr}  -->                   a new Child SA
//   HDR, SK {N(REKEY_SA), SA, Ni, [KEi], TSi, TSr}  -->      the rekey of one
//   HDR, SK {SA, Ni, KEi}  -->                               the rekey of the IKE SA
#include "base/secret.h"
#include "ike/exchanges.h"

/* ---- requests ---- */

/* False: the step waits for a key pair, or has one that does not fit. */
static bool have_key_pair(struct ike_ctx *c, uint16_t group)
{
	const struct crypt_dh_result *dh = c->ev->dh;

	if (group == IKE_GROUP_NONE)
		return true;
	if (dh != NULL)
		return dh->private_len != 0 && dh->public_len == crypt_dh_public_len(group);
	ike_dh_ask(c, &(struct ike_dh_job){ .op = IKE_DH_GENERATE, .group = group });
	return false;
}

/* What the peer wished for, else the IKE SA's own, else the first of the list. */
static uint16_t choose_group(const struct ike_ctx *c, enum model_phase phase)
{
	const struct ike_sa *sa = c->sa;
	const struct ike_offer offer = { .phase = phase, .profile = sa->profile, .rows = ike_rows(c->world, sa, phase) };

	if (sa->next_group != IKE_GROUP_NONE && ike_offer_has_group(&offer, sa->next_group))
		return sa->next_group;
	if (ike_offer_has_group(&offer, sa->suite.group))
		return sa->suite.group;
	return ike_offer_first_group(&offer);
}

static void fill_facts(const struct ike_ctx *c, uint16_t group, struct ike_request *facts)
{
	struct rd nonce = rd_of(bytes_of(&c->ev->random[IKE_RANDOM_OWN_NONCE], IKE_NONCE_LEN));

	rd_copy(&nonce, facts->nonce, sizeof(facts->nonce));
	facts->group = group;
	if (group == IKE_GROUP_NONE)
		return;
	struct wr w = wr_of(SPACE_OF(facts->private));
	wr_put(&w, bytes_of(c->ev->dh->private, c->ev->dh->private_len));
	facts->private_len = c->ev->dh->private_len;
}

static struct bytes own_public(const struct ike_ctx *c, uint16_t group)
{
	return group == IKE_GROUP_NONE ? (struct bytes){ 0 } : bytes_of(c->ev->dh->public, c->ev->dh->public_len);
}

/* RFC 7296 1.3.3: the SPI is the one under which we receive. */
static void put_rekey_sa(struct wire_ike_builder *b, uint32_t spi_in)
{
	uint8_t spi[4];
	struct wr w = wr_of(SPACE_OF(spi));

	wr_u32(&w, spi_in);
	wire_ike_put_notify(b, IKE_PROTO_ESP, BYTES_OF(spi), IKE_N_REKEY_SA, (struct bytes){ 0 });
}

/* ref NULL: a new one. False: it cannot be asked for now. */
static bool ask_child(struct ike_ctx *c, const struct ike_child_ref *ref)
{
	struct ike_sa *sa = c->sa;
	uint16_t group = sa->pfs == IKE_PFS_NEVER ? IKE_GROUP_NONE : choose_group(c, MODEL_PHASE_CHILD);
	struct ike_request facts = {
		.kind = ref != NULL ? IKE_REQUEST_REKEY_CHILD : IKE_REQUEST_NEW_CHILD,
		.child_spi = ref != NULL ? ref->spi_in : 0,
		.new_spi = ike_child_spi(c, IKE_RANDOM_OWN_SPI),
	};
	struct ike_ts_lists ts;
	struct wire_ike_builder b;

	if (facts.new_spi == 0 || sa->child_cnt >= IKE_CHILDREN_MAX - 1 ||
	    !ike_child_selectors(c, facts.child_spi, &ts))
		return false;
	if (!have_key_pair(c, group))
		return c->drop;
	fill_facts(c, group, &facts);
	ike_request_begin(c, IKE_EX_CREATE_CHILD_SA, &b);
	if (ref != NULL)
		put_rekey_sa(&b, ref->spi_in);
	ike_child_put_offer(c, &b, (uint32_t)facts.new_spi, group);
	wire_ike_put_nonce(&b, BYTES_OF(facts.nonce));
	if (group != IKE_GROUP_NONE)
		wire_ike_put_ke(&b, group, own_public(c, group));
	ike_child_put_selectors(&b, &ts);
	bool sent = ike_request_commit(c, &b, &facts);
	secret_wipe(&facts, sizeof(facts));
	return sent;
}

static bool ask_ike(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	uint16_t group = choose_group(c, MODEL_PHASE_IKE);
	uint8_t spi[8];
	struct wr w = wr_of(SPACE_OF(spi));
	struct ike_request facts = {
		.kind = IKE_REQUEST_REKEY_IKE,
		.new_spi = ike_spi_make(&c->world->spi_key, c->world->node_slot, &c->ev->random[IKE_RANDOM_OWN_SPI]),
	};
	struct wire_ike_builder b;
	struct wire_ike_sa offered;

	if (!have_key_pair(c, group))
		return c->drop;
	fill_facts(c, group, &facts);
	wr_u64(&w, facts.new_spi);
	const struct ike_offer offer = {
		.phase = MODEL_PHASE_IKE,
		.profile = sa->profile,
		.rows = ike_rows(c->world, sa, MODEL_PHASE_IKE),
		.ke_group = group,
		.spi = BYTES_OF(spi),
	};
	ike_offer_build(&offer, &offered);
	ike_request_begin(c, IKE_EX_CREATE_CHILD_SA, &b);
	wire_ike_put_sa(&b, &offered);
	wire_ike_put_nonce(&b, BYTES_OF(facts.nonce));
	wire_ike_put_ke(&b, group, own_public(c, group));
	bool sent = ike_request_commit(c, &b, &facts);
	secret_wipe(&facts, sizeof(facts));
	return sent;
}

/* ---- what is due ---- */

/* Of a replaced child: ours to delete after the last packets have come through, the peer's when it does not. */
static bool delete_due(struct ike_ctx *c, struct ike_child_ref *ref)
{
	ref->closing = ref->lingers = true;
	c->changed = true;
	ike_inform_next(c);
	return true;
}

bool ike_own_due(struct ike_ctx *c)
{
	struct ike_sa *sa = c->sa;
	uint64_t now = c->ev->now_us;

	if (sa->closing || sa->state != IKE_STATE_ESTABLISHED || sa->request.kind != IKE_REQUEST_NONE)
		return false;
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		struct ike_child_ref *ref = &sa->children[i];
		if (ref->replaced && !ref->closing && ref->due_us != 0 && now >= ref->due_us)
			return delete_due(c, ref);
	}
	if (sa->rekey_us != 0 && now >= sa->rekey_us) {
		if (ask_ike(c))
			return true;
		sa->rekey_us = ike_duty_again(c, sa->rekey_tries++);
		c->changed = true;
	}
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		struct ike_child_ref *ref = &sa->children[i];
		if (ref->replaced || ref->closing || ref->due_us == 0 || now < ref->due_us)
			continue;
		if (ask_child(c, ref))
			return true;
		ref->due_us = ike_duty_again(c, ref->tries++);
		c->changed = true;
	}
	if (sa->new_child_us == 0 || now < sa->new_child_us)
		return false;
	if (ask_child(c, NULL))
		return true;
	sa->new_child_us = ike_duty_again(c, sa->child_tries++);
	c->changed = true;
	return false;
}

uint64_t ike_own_time(const struct ike_sa *sa)
{
	uint64_t at = UINT64_MAX;

	if (sa->state != IKE_STATE_ESTABLISHED)
		return at;
	if (sa->rekey_us != 0)
		at = sa->rekey_us;
	if (sa->new_child_us != 0 && sa->new_child_us < at)
		at = sa->new_child_us;
	for (unsigned i = 0; i < sa->child_cnt; i++) {
		const struct ike_child_ref *ref = &sa->children[i];
		uint64_t due = ref->closing ? 0 : ref->due_us != 0 ? ref->due_us : UINT64_MAX;
		at = due < at ? due : at;
	}
	return at;
}

/* ---- answers ---- */

enum ike_state ike_own_response(struct ike_ctx *c)
{
	struct ike_request q = c->sa->request;
	enum ike_state next = (enum ike_state)c->sa->state;

	switch ((enum ike_request_kind)q.kind) {
	case IKE_REQUEST_NEW_CHILD:
	case IKE_REQUEST_REKEY_CHILD:
		next = ike_own_child_response(c, &q);
		break;
	case IKE_REQUEST_REKEY_IKE:
		next = ike_own_ike_response(c, &q);
		break;
	case IKE_REQUEST_NONE:
	case IKE_REQUEST_LIVENESS:
	case IKE_REQUEST_ADDRESS:
	case IKE_REQUEST_DELETE_CHILD:
	case IKE_REQUEST_DELETE_IKE:
	case IKE_REQUEST_AUTH:
	case IKE_REQUEST_UPDATE:
		break;
	}
	secret_wipe(&q, sizeof(q));
	return next;
}
