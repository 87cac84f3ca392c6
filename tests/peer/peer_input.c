#include "peer_part.h"

#include "crypt/prf.h"

static const struct wire_ike_transform *answer_transform(const struct wire_ike_proposal *pr, uint8_t type)
{
	for (unsigned i = 0; i < pr->cnt; i++)
		if (pr->t[i].type == type)
			return &pr->t[i];
	return NULL;
}

/* The chosen suite: exactly one proposal, one transform of each type, and one that was offered. */
static bool read_answer(const struct wire_ike_payloads *in, const struct peer_suite *offered, unsigned cnt,
			struct peer_suite *ret, struct wire_ike_proposal *ret_pr)
{
	const struct wire_ike_payload *pl = wire_ike_find(in, IKE_PL_SA, 0);
	struct wire_ike_sa sa;

	if (pl == NULL || wire_ike_sa_parse(pl->body, &sa) != ERR_NONE || sa.cnt != 1)
		return false;
	const struct wire_ike_proposal *pr = &sa.p[0];
	const struct wire_ike_transform *encr = answer_transform(pr, IKE_TT_ENCR);
	const struct wire_ike_transform *prf = answer_transform(pr, IKE_TT_PRF);
	const struct wire_ike_transform *integ = answer_transform(pr, IKE_TT_INTEG);
	const struct wire_ike_transform *ke = answer_transform(pr, IKE_TT_KE);
	if (encr == NULL || pr->number == 0 || pr->number > cnt)
		return false;
	struct peer_suite s = {
		.encr = encr->id,
		.key_bits = encr->key_bits,
		.prf = prf == NULL ? 0 : prf->id,
		.integ = integ == NULL ? (uint16_t)IKE_INTEG_NONE : integ->id,
		.group = ke == NULL ? (uint16_t)IKE_GROUP_NONE : ke->id,
	};
	const struct peer_suite *o = &offered[pr->number - 1];
	if (s.encr != o->encr || s.key_bits != o->key_bits || s.integ != o->integ ||
	    (pr->protocol == IKE_PROTO_IKE && (s.prf != o->prf || s.group != o->group)))
		return false;
	*ret = s;
	*ret_pr = *pr;
	return true;
}

static uint16_t error_notify(const struct wire_ike_payloads *in)
{
	for (unsigned i = 0; i < in->cnt; i++) {
		struct wire_ike_notify n;
		if (in->p[i].type == IKE_PL_NOTIFY && wire_ike_notify_parse(in->p[i].body, &n) == ERR_NONE &&
		    n.type < IKE_N_STATUS_FIRST)
			return n.type;
	}
	return 0;
}

static bool take_nonce(struct peer *p, const struct wire_ike_payloads *in)
{
	const struct wire_ike_payload *pl = wire_ike_find(in, IKE_PL_NONCE, 0);
	struct bytes nr;

	if (pl == NULL || wire_ike_nonce_parse(pl->body, &nr) != ERR_NONE)
		return false;
	memcpy(p->nr, nr.p, nr.len);
	p->nr_len = nr.len;
	return true;
}

static bool take_ke(struct peer *p, const struct wire_ike_payloads *in, uint16_t group, uint8_t *secret, size_t *len)
{
	const struct wire_ike_payload *pl = wire_ike_find(in, IKE_PL_KE, 0);
	struct wire_ike_ke ke;

	return pl != NULL && wire_ike_ke_parse(pl->body, &ke) == ERR_NONE && ke.group == group &&
	       crypt_dh_derive(p->dh, ke.data, secret, len) == ERR_NONE;
}

/* ---- IKE_SA_INIT ---- */

static void judge_natd(struct peer *p, const struct wire_ike_payloads *in)
{
	struct wire_ike_notify n;
	uint8_t hash[20];

	peer_natd_hash(&p->ike[0], &p->remote, hash);
	p->nat_remote = wire_ike_notify_find(in, IKE_N_NAT_DETECTION_SOURCE_IP, &n) && !bytes_eq(n.data, BYTES_OF(hash));
	peer_natd_hash(&p->ike[0], &p->local, hash);
	p->nat_local =
		wire_ike_notify_find(in, IKE_N_NAT_DETECTION_DESTINATION_IP, &n) && !bytes_eq(n.data, BYTES_OF(hash));
	if (p->o.natd == PEER_NATD_FAKE)
		p->nat_local = true;
}

static enum peer_event take_init(struct peer *p, struct bytes msg, const struct wire_ike_header *h)
{
	struct peer_ike *sa = &p->ike[0];
	struct wire_ike_payloads in;
	struct wire_ike_notify n;
	struct wire_ike_proposal pr;
	uint8_t secret[CRYPT_DH_SECRET_MAX];
	size_t len;

	if (h->exchange != IKE_EX_SA_INIT || h->msg_id != 0 ||
	    wire_ike_payloads_parse(h->next, bytes_of(msg.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN), &in) !=
		    ERR_NONE)
		return PEER_EV_IGNORED;
	if (wire_ike_notify_find(&in, IKE_N_COOKIE, &n) && n.data.len <= sizeof(p->cookie) && n.data.len > 0) {
		memcpy(p->cookie, n.data.p, n.data.len);
		p->cookie_len = n.data.len;
		peer_init_again(p);
		return PEER_EV_AGAIN;
	}
	if (!p->o.keeps_group && wire_ike_notify_find(&in, IKE_N_INVALID_KE_PAYLOAD, &n) && n.data.len == 2) {
		uint16_t group = (uint16_t)(n.data.p[0] << 8 | n.data.p[1]);
		if (group == p->group || crypt_dh_public_len(group) == 0)
			return PEER_EV_IGNORED;
		p->group = group;
		peer_start_init(p);
		return PEER_EV_AGAIN;
	}
	if (error_notify(&in) != 0) {
		p->notify = error_notify(&in);
		sa->step = PEER_IDLE;
		return PEER_EV_DONE;
	}
	if (!read_answer(&in, p->o.ike, p->o.ike_cnt, &sa->suite, &pr) || pr.spi.len != 0 || h->spi_r == 0 ||
	    !take_nonce(p, &in) || !take_ke(p, &in, sa->suite.group, secret, &len) || msg.len > sizeof(p->init_response))
		return PEER_EV_IGNORED;
	sa->spi_r = h->spi_r;
	p->fragments = p->o.fragment_size != 0 && wire_ike_notify_find(&in, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, &n);
	judge_natd(p, &in);
	memcpy(p->init_response, msg.p, msg.len);
	p->init_response_len = msg.len;
	peer_derive_ike(NULL, sa, bytes_of(secret, len), BYTES_OF(p->ni), bytes_of(p->nr, p->nr_len));
	sa->tx_next = 1;
	sa->step = PEER_IDLE;
	/* RFC 7296 2.23: with a NAT between, go on on port 4500 */
	if ((p->nat_local || p->nat_remote) && p->local.port == IKE_PORT && !p->o.stays_on_500)
		p->local.port = p->remote.port = IKE_NATT_PORT;
	return PEER_EV_DONE;
}

/* ---- Child SAs ---- */

static bool take_selectors(const struct wire_ike_payloads *in, struct peer_child *c)
{
	const struct wire_ike_payload *i = wire_ike_find(in, IKE_PL_TSI, 0), *r = wire_ike_find(in, IKE_PL_TSR, 0);
	struct wire_ike_tss tsi, tsr;

	if (i == NULL || r == NULL || wire_ike_tss_parse(i->body, &tsi) != ERR_NONE ||
	    wire_ike_tss_parse(r->body, &tsr) != ERR_NONE || tsi.cnt == 0 || tsr.cnt == 0)
		return false;
	c->tsi_cnt = tsi.cnt;
	c->tsr_cnt = tsr.cnt;
	memcpy(c->tsi, tsi.ts, sizeof(tsi.ts[0]) * tsi.cnt);
	memcpy(c->tsr, tsr.ts, sizeof(tsr.ts[0]) * tsr.cnt);
	return true;
}

/* Reads the Child SA of an answer; nonces and secret are those of its exchange. */
static bool take_child(struct peer *p, struct peer_ike *sa, const struct wire_ike_payloads *in,
		       const struct peer_suite *offered, unsigned cnt, struct bytes secret)
{
	struct peer_child c = { .spi_in = p->new_spi };
	struct wire_ike_proposal pr;
	struct wire_ike_notify n;

	if (p->child_cnt == PEER_CHILDREN_MAX || !read_answer(in, offered, cnt, &c.suite, &pr) ||
	    pr.protocol != IKE_PROTO_ESP || pr.spi.len != 4 || !take_selectors(in, &c) ||
	    wire_ike_notify_find(in, IKE_N_USE_TRANSPORT_MODE, &n) ||
	    !wire_ike_notify_find(in, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, &n)) /* RFC 7296 1.3.1: in both messages */
		return false;
	const struct wire_ike_transform *esn = answer_transform(&pr, IKE_TT_ESN);
	if (esn == NULL || !(esn->id == IKE_ESN_YES ? p->o.esn : esn->id == IKE_ESN_NONE && p->o.no_esn))
		return false;
	c.esn = esn->id == IKE_ESN_YES;
	struct rd r = rd_of(pr.spi);
	c.spi_out = rd_u32(&r);
	peer_derive_child(sa, &c, secret, BYTES_OF(p->ni), bytes_of(p->nr, p->nr_len));
	p->child[p->child_cnt++] = c;
	return true;
}

/* ---- IKE_AUTH ---- */

static bool check_auth(struct peer *p, const struct wire_ike_payloads *in)
{
	const struct peer_ike *sa = &p->ike[0];
	const struct wire_ike_payload *id = wire_ike_find(in, IKE_PL_IDR, 0);
	const struct wire_ike_payload *auth = wire_ike_find(in, IKE_PL_AUTH, 0);
	struct wire_ike_auth a;
	uint8_t good[64];

	if (id == NULL || auth == NULL || wire_ike_auth_parse(auth->body, &a) != ERR_NONE ||
	    a.method != IKE_AUTH_PSK || id->body.len != 4 + addr_len(p->remote.addr.family) ||
	    id->body.p[0] != (p->remote.addr.family == ADDR_V4 ? IKE_ID_IPV4_ADDR : IKE_ID_IPV6_ADDR) ||
	    memcmp(id->body.p + 4, p->remote.addr.b, id->body.len - 4) != 0)
		return false;
	size_t len = peer_auth(sa->suite.prf, secret_bytes(&p->o.psk), bytes_of(p->init_response, p->init_response_len),
			       BYTES_OF(p->ni), bytes_of(sa->keys.pr, crypt_prf_len(sa->suite.prf)), id->body, good);
	return bytes_eq(a.data, bytes_of(good, len));
}

static bool take_auth(struct peer *p, const struct wire_ike_payloads *in)
{
	struct peer_ike *sa = &p->ike[0];
	struct wire_ike_notify n;

	p->notify = error_notify(in);
	if (wire_ike_find(in, IKE_PL_AUTH, 0) == NULL)
		return p->notify != 0; /* refused */
	p->mobike = wire_ike_notify_find(in, IKE_N_MOBIKE_SUPPORTED, &n);
	if (!check_auth(p, in))
		return false;
	/* with AUTH and an error the IKE SA stands, and the Child SA does not */
	if (p->notify == 0 && p->o.childless && wire_ike_find(in, IKE_PL_SA, 0) != NULL)
		return false;
	if (p->notify == 0 && !p->o.childless && !take_child(p, sa, in, p->o.esp, p->o.esp_cnt, (struct bytes){ 0 }))
		return false;
	sa->up = true;
	return true;
}

/* ---- CREATE_CHILD_SA ---- */

static bool take_create(struct peer *p, struct peer_ike *sa, const struct wire_ike_payloads *in)
{
	uint8_t secret[CRYPT_DH_SECRET_MAX];
	size_t len = 0;

	p->notify = error_notify(in);
	if (p->notify != 0)
		return true;
	if (!take_nonce(p, in) || (p->pfs && !take_ke(p, in, p->one_suite.group, secret, &len)) ||
	    (p->pfs != (wire_ike_find(in, IKE_PL_KE, 0) != NULL)))
		return false;
	return take_child(p, sa, in, p->one_offer ? &p->one_suite : p->o.esp, p->one_offer ? 1 : p->o.esp_cnt,
			  bytes_of(secret, len));
}

/* The new IKE SA becomes [0]; the old one, [1], waits to be deleted by us. */
static bool take_ike_rekey(struct peer *p, struct peer_ike *old, const struct wire_ike_payloads *in)
{
	struct peer_ike sa = { .up = true, .spi_i = p->new_ike_spi };
	struct wire_ike_proposal pr;
	uint8_t secret[CRYPT_DH_SECRET_MAX];
	size_t len;

	p->notify = error_notify(in);
	if (p->notify != 0)
		return true;
	if (!read_answer(in, &p->one_suite, 1, &sa.suite, &pr) || pr.spi.len != 8 || !take_nonce(p, in) ||
	    !take_ke(p, in, sa.suite.group, secret, &len))
		return false;
	struct rd r = rd_of(pr.spi);
	sa.spi_r = rd_u64(&r);
	peer_derive_ike(old, &sa, bytes_of(secret, len), BYTES_OF(p->ni), bytes_of(p->nr, p->nr_len));
	p->ike[1] = *old;
	p->ike[1].step = PEER_IDLE;
	p->ike[0] = sa;
	return true;
}

/* ---- INFORMATIONAL ---- */

static bool take_info(struct peer *p, struct peer_ike *sa, const struct wire_ike_payloads *in)
{
	struct peer_child *c = p->deletes_spi == 0 ? NULL : peer_child_find(p, p->deletes_spi);
	const struct wire_ike_payload *pl = wire_ike_find(in, IKE_PL_DELETE, 0);
	struct wire_ike_delete d;
	struct wire_ike_notify n;

	p->notify = error_notify(in);
	p->answer_natd = wire_ike_notify_find(in, IKE_N_NAT_DETECTION_SOURCE_IP, &n) &&
			 wire_ike_notify_find(in, IKE_N_NAT_DETECTION_DESTINATION_IP, &n);
	p->cookie2_len = 0;
	if (wire_ike_notify_find(in, IKE_N_COOKIE2, &n) && n.data.len <= sizeof(p->cookie2)) {
		memcpy(p->cookie2, n.data.p, n.data.len);
		p->cookie2_len = n.data.len;
	}
	if (p->deletes_ike) {
		sa->up = false;
		return in->cnt == 0;
	}
	if (c == NULL)
		return true;
	/* the answer deletes the other half of the pair (RFC 7296 1.4.1) */
	bool good = pl != NULL && wire_ike_delete_parse(pl->body, &d) == ERR_NONE && d.protocol == IKE_PROTO_ESP &&
		    d.cnt == 1 && d.spis[0] == c->spi_out;
	peer_child_forget(p, c);
	return good;
}

static enum peer_event take_response(struct peer *p, struct peer_ike *sa, const struct wire_ike_header *h,
				     const struct wire_ike_payloads *in)
{
	enum peer_step step = sa->step;
	bool good = false;

	if (h->msg_id != sa->request_id)
		return PEER_EV_IGNORED;
	switch (step) {
	case PEER_AUTH:
		good = h->exchange == IKE_EX_AUTH && take_auth(p, in);
		break;
	case PEER_CHILD:
		good = h->exchange == IKE_EX_CREATE_CHILD_SA && take_create(p, sa, in);
		break;
	case PEER_IKE_REKEY:
		good = h->exchange == IKE_EX_CREATE_CHILD_SA && take_ike_rekey(p, sa, in);
		break;
	case PEER_INFO:
		good = h->exchange == IKE_EX_INFORMATIONAL && take_info(p, sa, in);
		break;
	case PEER_IDLE:
	case PEER_INIT:
		break;
	}
	if (!good)
		return PEER_EV_IGNORED;
	if (step != PEER_IKE_REKEY || p->notify != 0)
		sa->step = PEER_IDLE;
	return PEER_EV_DONE;
}

/* ---- requests of the gateway ---- */

static void delete_by_gateway(struct peer *p, struct peer_ike *sa, const struct wire_ike_payload *pl,
			      struct wire_ike_builder *b)
{
	struct wire_ike_delete d;
	uint32_t own[WIRE_IKE_SPIS_MAX];
	uint8_t cnt = 0;

	if (wire_ike_delete_parse(pl->body, &d) != ERR_NONE)
		return;
	if (d.protocol == IKE_PROTO_IKE) {
		sa->up = false;
		p->closed_by_gateway = true;
		if (sa == &p->ike[0])
			p->child_cnt = 0;
		return;
	}
	for (unsigned i = 0; i < d.cnt; i++) {
		for (unsigned n = 0; n < p->child_cnt; n++) {
			if (p->child[n].spi_out != d.spis[i])
				continue;
			own[cnt++] = p->child[n].spi_in;
			peer_child_forget(p, &p->child[n]);
			p->deleted_by_gateway++;
			break;
		}
	}
	if (cnt > 0)
		wire_ike_put_delete(b, IKE_PROTO_ESP, own, cnt);
}

static void echo_cookie(struct peer *p, const struct wire_ike_payloads *in, struct wire_ike_builder *b)
{
	static const uint8_t other[16];
	struct wire_ike_notify n, natd;

	if (!wire_ike_notify_find(in, IKE_N_COOKIE2, &n))
		return;
	p->cookies_taken++;
	if (p->o.cookie2 == PEER_COOKIE2_NONE ||
	    (p->o.cookie2 == PEER_COOKIE2_BESIDE_NATD &&
	     !(wire_ike_notify_find(in, IKE_N_NAT_DETECTION_SOURCE_IP, &natd) &&
	       wire_ike_notify_find(in, IKE_N_NAT_DETECTION_DESTINATION_IP, &natd))))
		return;
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, IKE_N_COOKIE2,
			    p->o.cookie2 == PEER_COOKIE2_OTHER ? BYTES_OF(other) : n.data);
}

static enum peer_event take_request(struct peer *p, struct peer_ike *sa, const struct wire_ike_header *h,
				    const struct wire_ike_payloads *in)
{
	uint8_t room[PEER_MSG_MAX];
	struct wire_ike_builder b;
	const struct wire_ike_payload *pl;

	if (sa->answer_len != 0 && h->msg_id + 1 == sa->rx_next)
		return PEER_EV_ANSWER; /* repeated: the same answer stands there */
	if (h->msg_id != sa->rx_next || (h->exchange != IKE_EX_INFORMATIONAL && h->exchange != IKE_EX_CREATE_CHILD_SA))
		return PEER_EV_IGNORED;
	peer_begin(&b, SPACE_OF(room), sa, h->exchange, h->msg_id, true);
	for (unsigned n = 0; (pl = wire_ike_find(in, IKE_PL_DELETE, n)) != NULL; n++)
		delete_by_gateway(p, sa, pl, &b);
	echo_cookie(p, in, &b);
	if (h->exchange == IKE_EX_CREATE_CHILD_SA) /* it begins all rekeys itself, and takes none (RFC 7296 1.3) */
		wire_ike_put_notify(&b, IKE_PROTO_NONE, (struct bytes){ 0 }, IKE_N_NO_ADDITIONAL_SAS,
				    (struct bytes){ 0 });
	sa->answer_len = peer_protect(p, sa, &b, SPACE_OF(sa->answer));
	sa->rx_next++;
	p->requests_taken++;
	return PEER_EV_ANSWER;
}

enum peer_event peer_input(struct peer *p, struct bytes msg, unsigned *ret_which)
{
	uint8_t scratch[PEER_MSG_MAX];
	struct wire_ike_payloads in;
	struct wire_ike_header h;

	*ret_which = 0;
	if (wire_ike_header_parse(msg, &h) != ERR_NONE || h.major != 2 || (h.flags & IKE_FLAG_INITIATOR) != 0)
		return PEER_EV_IGNORED;
	bool response = (h.flags & IKE_FLAG_RESPONSE) != 0;
	for (unsigned i = 0; i < 2; i++) {
		struct peer_ike *sa = &p->ike[i];
		if (h.spi_i != sa->spi_i || sa->spi_i == 0)
			continue;
		*ret_which = i;
		if (sa->step == PEER_INIT)
			return response ? take_init(p, msg, &h) : PEER_EV_IGNORED;
		if (h.spi_r != sa->spi_r || !peer_unprotect(p, sa, msg, SPACE_OF(scratch), &in))
			return PEER_EV_IGNORED;
		return response ? take_response(p, sa, &h, &in) : take_request(p, sa, &h, &in);
	}
	return PEER_EV_IGNORED;
}
