#include "ike/sa.h"

#include "base/secret.h"
#include "model/record.h"

/* Types of fields; a number is given once and for ever. */
enum field {
	F_SPI_I = 1,
	F_SPI_R,
	F_ROLE,
	F_STATE,
	F_AUTH_VERIFIED,
	F_ACCOUNT,
	F_TUNNEL,
	F_ACCOUNT_NUMBER,
	F_SUITE,
	F_KEYS,
	F_PATH,
	F_START_PORT,
	F_NAT_PEER,
	F_NAT_LOCAL,
	F_ALLOW_NULL,
	F_CLOSING,
	F_ID_TYPE,
	F_ID,
	F_RX_NEXT,
	F_TX_NEXT,
	F_REPLY,
	F_REQUEST,
	F_CHILD,
	F_DPD_DELAY,
	F_CHILD_LIFETIME,
	F_IKE_REKEYS,
	F_CHILD_REKEYS,
	F_CREATED,
	F_EXPIRES,
	F_LAST_IN,
	F_NEXT_CHECK,
	F_PROFILE,
	F_FRAGMENTS,
	F_STARTED = 40,
	F_PFS,
	F_RIVAL,
	F_NEXT_GROUP,
	F_REKEY_TRIES,
	F_CHILD_TRIES,
	F_REKEY,
	F_NEW_CHILD,
	F_IKE_LIFETIME,
	F_ENCAP,
	F_MOBIKE,
	F_FIXED_PEER,
	F_UPDATE_DUE,
	F_SEEN_AS,
	F_CANDIDATE,
	F_ALLOW_ESN = 60,
	F_MOVES,
};

#define BIT MODEL_RECORD_BIT
#define REPEATED BIT(F_CHILD)
#define REQUIRED                                                                                             \
	(BIT(F_SPI_I) | BIT(F_SPI_R) | BIT(F_ROLE) | BIT(F_STATE) | BIT(F_AUTH_VERIFIED) | BIT(F_ACCOUNT) |    \
	 BIT(F_TUNNEL) | BIT(F_SUITE) | BIT(F_KEYS) | BIT(F_PATH) | BIT(F_RX_NEXT) | BIT(F_TX_NEXT) | BIT(F_EXPIRES))

/* ---- numbers that may be missing: most are zero, and there are many records ---- */

static void put_u8(struct wr *w, uint16_t type, uint8_t v)
{
	if (v != 0)
		tlv_u8(w, type, v);
}

static void put_u16(struct wr *w, uint16_t type, uint16_t v)
{
	if (v != 0)
		tlv_u16(w, type, v);
}

static void put_u32(struct wr *w, uint16_t type, uint32_t v)
{
	if (v != 0)
		tlv_u32(w, type, v);
}

static void put_u64(struct wr *w, uint16_t type, uint64_t v)
{
	if (v != 0)
		tlv_u64(w, type, v);
}

/* ---- keys, cached answer, own request, child: nested fields ---- */

static void put_keys(struct wr *w, uint16_t type, const struct ike_keys *k, uint16_t format)
{
	size_t mark = tlv_open(w, type);
	model_record_put_key(w, format, BYTES_OF(k->d));
	model_record_put_key(w, format, BYTES_OF(k->ai));
	model_record_put_key(w, format, BYTES_OF(k->ar));
	model_record_put_key(w, format, BYTES_OF(k->ei));
	model_record_put_key(w, format, BYTES_OF(k->er));
	model_record_put_key(w, format, BYTES_OF(k->pi));
	model_record_put_key(w, format, BYTES_OF(k->pr));
	tlv_close(w, mark);
}

static enum err get_keys(struct bytes value, uint16_t version, struct ike_keys *k)
{
	struct rd r = rd_of(value);

	model_record_get_key(&r, version, k->d, sizeof(k->d));
	model_record_get_key(&r, version, k->ai, sizeof(k->ai));
	model_record_get_key(&r, version, k->ar, sizeof(k->ar));
	model_record_get_key(&r, version, k->ei, sizeof(k->ei));
	model_record_get_key(&r, version, k->er, sizeof(k->er));
	model_record_get_key(&r, version, k->pi, sizeof(k->pi));
	model_record_get_key(&r, version, k->pr, sizeof(k->pr));
	return rd_done(&r) ? ERR_NONE : ERR_SYNTAX;
}

enum reply_field { R_MSG_ID = 1, R_HASH, R_BYTES };

static void put_reply(struct wr *w, const struct ike_reply *reply)
{
	if (reply->len == 0)
		return;
	size_t mark = tlv_open(w, F_REPLY);
	tlv_u32(w, R_MSG_ID, reply->msg_id);
	tlv_bytes(w, R_HASH, BYTES_OF(reply->request_hash));
	tlv_bytes(w, R_BYTES, bytes_of(reply->b, reply->len));
	tlv_close(w, mark);
}

static enum err get_reply(struct bytes value, struct ike_reply *reply)
{
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case R_MSG_ID: reply->msg_id = model_record_u32(&d); break;
		case R_HASH: model_record_copy(&d, reply->request_hash, sizeof(reply->request_hash)); break;
		case R_BYTES: reply->len = model_record_blob(&d, reply->b, sizeof(reply->b)); break;
		}
	}
	return model_record_end(&d, BIT(R_MSG_ID) | BIT(R_HASH) | BIT(R_BYTES));
}

enum request_field {
	Q_KIND = 1,
	Q_TRIES,
	Q_ADDRESS_TRIES,
	Q_MSG_ID,
	Q_RESEND,
	Q_TO,      /* of former records; now in the candidate */
	Q_TO_PORT, /* likewise */
	Q_CHILD,
	Q_BYTES,
	Q_NEW_SPI = 20,
	Q_NONCE,
	Q_GROUP,
	Q_PRIVATE,
	Q_GONE,
};

static void put_request(struct wr *w, const struct ike_request *q)
{
	if (q->kind == IKE_REQUEST_NONE)
		return;
	size_t mark = tlv_open(w, F_REQUEST);
	tlv_u8(w, Q_KIND, q->kind);
	tlv_u8(w, Q_TRIES, q->tries);
	tlv_u8(w, Q_ADDRESS_TRIES, q->address_tries);
	tlv_u32(w, Q_MSG_ID, q->msg_id);
	tlv_u64(w, Q_RESEND, q->resend_us);
	tlv_u32(w, Q_CHILD, q->child_spi);
	if (q->kind == IKE_REQUEST_ADDRESS)
		tlv_bytes(w, Q_NONCE, BYTES_OF(q->nonce));
	if (q->new_spi != 0) {
		tlv_u64(w, Q_NEW_SPI, q->new_spi);
		tlv_bytes(w, Q_NONCE, BYTES_OF(q->nonce));
		tlv_u16(w, Q_GROUP, q->group);
		tlv_u32(w, Q_GONE, q->gone_spi);
		tlv_bytes(w, Q_PRIVATE, bytes_of(q->private, q->private_len));
	}
	tlv_bytes(w, Q_BYTES, bytes_of(q->b, q->len));
	tlv_close(w, mark);
}

static enum err get_request(struct bytes value, struct ike_sa *sa)
{
	struct ike_candidate former = { 0 };
	struct ike_request *q = &sa->request;
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case Q_KIND: q->kind = model_record_u8(&d, IKE_REQUEST_UPDATE); break;
		case Q_TRIES: q->tries = model_record_u8(&d, UINT8_MAX); break;
		case Q_ADDRESS_TRIES: q->address_tries = model_record_u8(&d, UINT8_MAX); break;
		case Q_MSG_ID: q->msg_id = model_record_u32(&d); break;
		case Q_RESEND: q->resend_us = model_record_u64(&d); break;
		case Q_TO: former.remote = model_record_endpoint(&d); break;
		case Q_TO_PORT: former.local_port = model_record_u16(&d); break;
		case Q_CHILD: q->child_spi = model_record_u32(&d); break;
		case Q_NEW_SPI: q->new_spi = model_record_u64(&d); break;
		case Q_NONCE: model_record_copy(&d, q->nonce, sizeof(q->nonce)); break;
		case Q_GROUP: q->group = model_record_u16(&d); break;
		case Q_GONE: q->gone_spi = model_record_u32(&d); break;
		case Q_PRIVATE: q->private_len = (uint8_t)model_record_blob(&d, q->private, sizeof(q->private)); break;
		case Q_BYTES: q->len = model_record_blob(&d, q->b, sizeof(q->b)); break;
		}
	}
	enum err e = model_record_end(&d, BIT(Q_KIND) | BIT(Q_MSG_ID) | BIT(Q_RESEND) | BIT(Q_BYTES));
	bool create = q->kind >= IKE_REQUEST_NEW_CHILD && q->kind <= IKE_REQUEST_REKEY_IKE;
	if (e == ERR_NONE && (q->kind == IKE_REQUEST_AUTH || create != (q->new_spi != 0)))
		e = ERR_SYNTAX;
	/* It stayed behind when the test had failed. */
	if (q->kind == IKE_REQUEST_ADDRESS && former.remote.addr.family != ADDR_NONE)
		sa->candidate = former;
	return e;
}

enum candidate_field { A_REMOTE = 1, A_LOCAL_PORT, A_TOLD, A_NAT_PEER, A_NAT_LOCAL, A_UDP_ENCAP };

static void put_candidate(struct wr *w, const struct ike_candidate *a)
{
	if (a->remote.addr.family == ADDR_NONE)
		return;
	size_t mark = tlv_open(w, F_CANDIDATE);
	tlv_endpoint(w, A_REMOTE, &a->remote);
	tlv_u16(w, A_LOCAL_PORT, a->local_port);
	tlv_u8(w, A_TOLD, a->told);
	tlv_u8(w, A_NAT_PEER, a->nat_peer);
	tlv_u8(w, A_NAT_LOCAL, a->nat_local);
	tlv_u8(w, A_UDP_ENCAP, a->udp_encap);
	tlv_close(w, mark);
}

static enum err get_candidate(struct bytes value, struct ike_candidate *a)
{
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case A_REMOTE: a->remote = model_record_endpoint(&d); break;
		case A_LOCAL_PORT: a->local_port = model_record_u16(&d); break;
		case A_TOLD: a->told = model_record_bool(&d); break;
		case A_NAT_PEER: a->nat_peer = model_record_bool(&d); break;
		case A_NAT_LOCAL: a->nat_local = model_record_bool(&d); break;
		case A_UDP_ENCAP: a->udp_encap = model_record_bool(&d); break;
		}
	}
	return model_record_end(&d, BIT(A_REMOTE) | BIT(A_LOCAL_PORT) | BIT(A_TOLD));
}

enum rival_field { V_NONCE = 1, V_CHILD, V_SPI_I, V_SPI_R, V_SUITE, V_KEYS };

static void put_rival(struct wr *w, const struct ike_rival *v, uint16_t format)
{
	if (!v->present)
		return;
	size_t mark = tlv_open(w, F_RIVAL);
	tlv_bytes(w, V_NONCE, bytes_of(v->nonce, v->nonce_len));
	tlv_u32(w, V_CHILD, v->child_spi);
	if (v->spi_i != 0) {
		tlv_u64(w, V_SPI_I, v->spi_i);
		tlv_u64(w, V_SPI_R, v->spi_r);
		model_suite_put(w, V_SUITE, &v->suite);
		put_keys(w, V_KEYS, &v->keys, format);
	}
	tlv_close(w, mark);
}

static enum err get_rival(struct bytes value, uint16_t version, struct ike_rival *v)
{
	struct model_record d;
	enum err e = ERR_NONE;

	model_record_start_nested(&d, value);
	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case V_NONCE: v->nonce_len = (uint8_t)model_record_blob(&d, v->nonce, sizeof(v->nonce)); break;
		case V_CHILD: v->child_spi = model_record_u32(&d); break;
		case V_SPI_I: v->spi_i = model_record_u64(&d); break;
		case V_SPI_R: v->spi_r = model_record_u64(&d); break;
		case V_SUITE: e = model_suite_get(d.field.value, &v->suite); break;
		case V_KEYS: e = get_keys(d.field.value, version, &v->keys); break;
		}
	}
	v->present = true;
	return e != ERR_NONE ? e : model_record_end(&d, BIT(V_NONCE) | BIT(V_CHILD));
}

enum child_field { C_SPI_IN = 1, C_SPI_OUT, C_REPLACED, C_UNPROVEN, C_CLOSING, C_LINGERS, C_TRIES, C_DUE };

static void put_child(struct wr *w, const struct ike_child_ref *ref)
{
	size_t mark = tlv_open(w, F_CHILD);
	tlv_u32(w, C_SPI_IN, ref->spi_in);
	tlv_u32(w, C_SPI_OUT, ref->spi_out);
	put_u8(w, C_REPLACED, ref->replaced);
	put_u8(w, C_UNPROVEN, ref->unproven);
	put_u8(w, C_CLOSING, ref->closing);
	put_u8(w, C_LINGERS, ref->lingers);
	put_u8(w, C_TRIES, ref->tries);
	put_u64(w, C_DUE, ref->due_us);
	tlv_close(w, mark);
}

static enum err get_child(struct bytes value, struct ike_sa *sa)
{
	struct ike_child_ref ref = { 0 };
	struct model_record d;

	if (sa->child_cnt == IKE_CHILDREN_MAX)
		return ERR_SYNTAX;
	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case C_SPI_IN: ref.spi_in = model_record_u32(&d); break;
		case C_SPI_OUT: ref.spi_out = model_record_u32(&d); break;
		case C_REPLACED: ref.replaced = model_record_bool(&d); break;
		case C_UNPROVEN: ref.unproven = model_record_bool(&d); break;
		case C_CLOSING: ref.closing = model_record_bool(&d); break;
		case C_LINGERS: ref.lingers = model_record_bool(&d); break;
		case C_TRIES: ref.tries = model_record_u8(&d, UINT8_MAX); break;
		case C_DUE: ref.due_us = model_record_u64(&d); break;
		}
	}
	enum err e = model_record_end(&d, BIT(C_SPI_IN) | BIT(C_SPI_OUT));
	if (e == ERR_NONE)
		sa->children[sa->child_cnt++] = ref;
	return e;
}

/* ---- the whole ---- */

static void put_facts(struct wr *w, const struct ike_sa *sa)
{
	tlv_u64(w, F_SPI_I, sa->spi_i);
	tlv_u64(w, F_SPI_R, sa->spi_r);
	tlv_u8(w, F_ROLE, sa->role);
	tlv_u8(w, F_STATE, sa->state);
	tlv_u8(w, F_AUTH_VERIFIED, sa->auth_verified);
	model_record_put_id(w, F_ACCOUNT, &sa->account_id);
	model_record_put_id(w, F_TUNNEL, &sa->tunnel_id);
	put_u32(w, F_ACCOUNT_NUMBER, sa->account_number);
	model_suite_put(w, F_SUITE, &sa->suite);
	model_path_put(w, F_PATH, &sa->path);
	put_u16(w, F_START_PORT, sa->start_port);
	put_u8(w, F_NAT_PEER, sa->nat_peer);
	put_u8(w, F_NAT_LOCAL, sa->nat_local);
	put_u8(w, F_FRAGMENTS, sa->fragments);
	put_u8(w, F_ALLOW_NULL, sa->allow_null);
	put_u8(w, F_ALLOW_ESN, sa->allow_esn);
	put_u8(w, F_PROFILE, sa->profile);
	put_u8(w, F_CLOSING, sa->closing);
	put_u8(w, F_ID_TYPE, sa->id_type);
	tlv_bytes(w, F_ID, bytes_of(sa->id, sa->id_len));
}

static void put_move(struct wr *w, const struct ike_sa *sa)
{
	static const uint8_t unknown[sizeof(sa->seen_as)];

	put_u8(w, F_ENCAP, sa->encap);
	put_u8(w, F_MOBIKE, sa->mobike);
	put_u8(w, F_FIXED_PEER, sa->fixed_peer);
	put_u8(w, F_UPDATE_DUE, sa->update_due);
	if (!bytes_eq(BYTES_OF(sa->seen_as), BYTES_OF(unknown)))
		tlv_bytes(w, F_SEEN_AS, BYTES_OF(sa->seen_as));
	put_candidate(w, &sa->candidate);
}

static void put_duties(struct wr *w, const struct ike_sa *sa)
{
	put_u8(w, F_STARTED, sa->started);
	put_u8(w, F_PFS, sa->pfs);
	put_u16(w, F_NEXT_GROUP, sa->next_group);
	put_u8(w, F_REKEY_TRIES, sa->rekey_tries);
	put_u8(w, F_CHILD_TRIES, sa->child_tries);
	put_u64(w, F_REKEY, sa->rekey_us);
	put_u64(w, F_NEW_CHILD, sa->new_child_us);
	put_u32(w, F_IKE_LIFETIME, sa->ike_lifetime_s);
}

void ike_sa_wipe(struct ike_sa *sa)
{
	secret_wipe(&sa->keys, sizeof(sa->keys));
	secret_wipe(sa->request.private, sizeof(sa->request.private));
	secret_wipe(&sa->rival.keys, sizeof(sa->rival.keys));
}

void ike_half_wipe(struct ike_half *half)
{
	ike_sa_wipe(&half->sa);
	secret_wipe(half->private, sizeof(half->private));
}

bool ike_sa_child_replaced(const struct ike_sa *sa, uint32_t spi_in)
{
	for (unsigned i = 0; i < sa->child_cnt; i++)
		if (sa->children[i].spi_in == spi_in)
			return sa->children[i].replaced;
	return false;
}

MUST_USE enum err ike_sa_encode(const struct ike_sa *sa, uint16_t format, struct wr *w)
{
	must(sa->child_cnt <= IKE_CHILDREN_MAX && sa->id_len <= sizeof(sa->id));
	tlv_begin(w, format);
	put_facts(w, sa);
	put_keys(w, F_KEYS, &sa->keys, format);
	tlv_u32(w, F_RX_NEXT, sa->rx_next);
	tlv_u32(w, F_TX_NEXT, sa->tx_next);
	put_reply(w, &sa->reply);
	put_request(w, &sa->request);
	put_rival(w, &sa->rival, format);
	for (unsigned i = 0; i < sa->child_cnt; i++)
		put_child(w, &sa->children[i]);
	put_u32(w, F_DPD_DELAY, sa->dpd_delay_s);
	put_u32(w, F_CHILD_LIFETIME, sa->child_lifetime_s);
	put_u32(w, F_IKE_REKEYS, sa->ike_rekeys);
	put_u32(w, F_CHILD_REKEYS, sa->child_rekeys);
	put_u32(w, F_MOVES, sa->moves);
	put_u64(w, F_CREATED, sa->created_us);
	tlv_u64(w, F_EXPIRES, sa->expires_us);
	put_u64(w, F_LAST_IN, sa->last_in_us);
	put_u64(w, F_NEXT_CHECK, sa->next_check_us);
	put_duties(w, sa);
	put_move(w, sa);
	return model_record_written(w);
}

static enum err get_duty(struct model_record *d, unsigned type, struct ike_sa *sa)
{
	switch (type) {
	case F_STARTED: sa->started = model_record_bool(d); break;
	case F_PFS: sa->pfs = model_record_u8(d, IKE_PFS_NEVER); break;
	case F_RIVAL: return get_rival(d->field.value, d->version, &sa->rival);
	case F_NEXT_GROUP: sa->next_group = model_record_u16(d); break;
	case F_REKEY_TRIES: sa->rekey_tries = model_record_u8(d, UINT8_MAX); break;
	case F_CHILD_TRIES: sa->child_tries = model_record_u8(d, UINT8_MAX); break;
	case F_REKEY: sa->rekey_us = model_record_u64(d); break;
	case F_NEW_CHILD: sa->new_child_us = model_record_u64(d); break;
	case F_IKE_LIFETIME: sa->ike_lifetime_s = model_record_u32(d); break;
	case F_ENCAP: sa->encap = model_record_u8(d, IKE_ENCAP_NATIVE); break;
	case F_MOBIKE: sa->mobike = model_record_bool(d); break;
	case F_FIXED_PEER: sa->fixed_peer = model_record_bool(d); break;
	case F_UPDATE_DUE: sa->update_due = model_record_bool(d); break;
	case F_SEEN_AS: model_record_copy(d, sa->seen_as, sizeof(sa->seen_as)); break;
	case F_CANDIDATE: return get_candidate(d->field.value, &sa->candidate);
	case F_MOVES: sa->moves = model_record_u32(d); break;
	}
	return ERR_NONE;
}

static enum err get_field(struct model_record *d, unsigned type, struct ike_sa *sa)
{
	switch (type) {
	case F_SPI_I: sa->spi_i = model_record_u64(d); break;
	case F_SPI_R: sa->spi_r = model_record_u64(d); break;
	case F_ROLE: sa->role = model_record_u8(d, IKE_INITIATOR); break;
	case F_STATE: sa->state = model_record_u8(d, IKE_STATE_CLOSED); break;
	case F_AUTH_VERIFIED: sa->auth_verified = model_record_bool(d); break;
	case F_ACCOUNT: sa->account_id = model_record_id(d); break;
	case F_TUNNEL: sa->tunnel_id = model_record_id(d); break;
	case F_ACCOUNT_NUMBER: sa->account_number = model_record_u32(d); break;
	case F_SUITE: return model_suite_get(d->field.value, &sa->suite);
	case F_KEYS: return get_keys(d->field.value, d->version, &sa->keys);
	case F_PATH: return model_path_get(d->field.value, &sa->path);
	case F_START_PORT: sa->start_port = model_record_u16(d); break;
	case F_NAT_PEER: sa->nat_peer = model_record_bool(d); break;
	case F_NAT_LOCAL: sa->nat_local = model_record_bool(d); break;
	case F_FRAGMENTS: sa->fragments = model_record_bool(d); break;
	case F_ALLOW_NULL: sa->allow_null = model_record_bool(d); break;
	case F_ALLOW_ESN: sa->allow_esn = model_record_bool(d); break;
	case F_PROFILE: sa->profile = model_record_u8(d, MODEL_PROFILE_CNT - 1); break;
	case F_CLOSING: sa->closing = model_record_bool(d); break;
	case F_ID_TYPE: sa->id_type = model_record_u8(d, UINT8_MAX); break;
	case F_ID: sa->id_len = model_record_blob(d, sa->id, sizeof(sa->id)); break;
	case F_RX_NEXT: sa->rx_next = model_record_u32(d); break;
	case F_TX_NEXT: sa->tx_next = model_record_u32(d); break;
	case F_REPLY: return get_reply(d->field.value, &sa->reply);
	case F_REQUEST: return get_request(d->field.value, sa);
	case F_CHILD: return get_child(d->field.value, sa);
	case F_DPD_DELAY: sa->dpd_delay_s = model_record_u32(d); break;
	case F_CHILD_LIFETIME: sa->child_lifetime_s = model_record_u32(d); break;
	case F_IKE_REKEYS: sa->ike_rekeys = model_record_u32(d); break;
	case F_CHILD_REKEYS: sa->child_rekeys = model_record_u32(d); break;
	case F_CREATED: sa->created_us = model_record_u64(d); break;
	case F_EXPIRES: sa->expires_us = model_record_u64(d); break;
	case F_LAST_IN: sa->last_in_us = model_record_u64(d); break;
	case F_NEXT_CHECK: sa->next_check_us = model_record_u64(d); break;
	default: return get_duty(d, type, sa);
	}
	return ERR_NONE;
}

MUST_USE enum err ike_sa_decode(struct bytes record, struct ike_sa *ret)
{
	struct ike_sa sa = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, record, model_format_newest());

	while (e == ERR_NONE) {
		unsigned type = model_record_next(&d, REPEATED);
		if (type == 0)
			break;
		e = get_field(&d, type, &sa);
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	/* What was never authenticated, or is only half open, is no record. */
	if (e == ERR_NONE && (!sa.auth_verified || sa.state == IKE_STATE_HALF_OPEN))
		e = ERR_SYNTAX;
	if (e == ERR_NONE && sa.request.kind == IKE_REQUEST_ADDRESS && sa.candidate.remote.addr.family == ADDR_NONE)
		e = ERR_SYNTAX;
	if (e == ERR_NONE)
		*ret = sa;
	ike_sa_wipe(&sa);
	return e;
}
