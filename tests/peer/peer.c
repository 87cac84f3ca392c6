#include "peer_part.h"

#include "crypt/ike_cipher.h"
#include "crypt/prf.h"
#include "crypt/random.h"

/* ---- options ---- */

struct wire_ike_ts peer_ts_any(uint8_t family)
{
	struct wire_ike_ts ts = { .port_last = UINT16_MAX };
	ts.first.family = ts.last.family = family;
	memset(ts.last.b, 0xff, addr_len(family));
	return ts;
}

void peer_options_init(struct peer_options *o)
{
	*o = (struct peer_options){
		.ike_cnt = 1,
		.ike = { { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, IKE_PRF_HMAC_SHA2_256, IKE_GROUP_MODP2048 } },
		.esp_cnt = 1,
		.no_esn = true,
		.esp = { { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_NONE } },
		.initial_contact = true,
		.tsi_cnt = 2,
		.tsr_cnt = 2,
		.tsi = { peer_ts_any(ADDR_V4), peer_ts_any(ADDR_V6) },
		.tsr = { peer_ts_any(ADDR_V4), peer_ts_any(ADDR_V6) },
	};
}

static uint64_t random_u64(void)
{
	uint64_t v;
	crypt_random(&v, sizeof(v));
	return v;
}

void peer_init(struct peer *p, const struct peer_options *o)
{
	memset(p, 0, sizeof(*p));
	p->o = *o;
	p->local = o->local;
	p->remote = o->remote;
	p->group = o->ke_group != 0 ? o->ke_group : o->ike[0].group;
	p->ike[0].spi_i = random_u64() | 1;
}

void peer_fini(struct peer *p)
{
	crypt_dh_free(p->dh);
	secret_wipe(p, sizeof(*p));
}

struct peer_child *peer_child_find(struct peer *p, uint32_t spi_in)
{
	for (unsigned i = 0; i < p->child_cnt; i++)
		if (p->child[i].spi_in == spi_in)
			return &p->child[i];
	return NULL;
}

struct peer_child *peer_child_last(struct peer *p)
{
	return p->child_cnt == 0 ? NULL : &p->child[p->child_cnt - 1];
}

void peer_child_forget(struct peer *p, struct peer_child *c)
{
	size_t at = (size_t)(c - p->child);
	memmove(&p->child[at], &p->child[at + 1], (PEER_CHILDREN_MAX - at - 1) * sizeof(*c));
	p->child_cnt--;
}

/* ---- protection ---- */

static struct crypt_ike_keys keys_for(const struct peer_ike *sa, bool sending)
{
	const struct peer_keys *k = &sa->keys;
	return (struct crypt_ike_keys){
		.encr_id = sa->suite.encr,
		.key_bits = sa->suite.key_bits,
		.integ_id = sa->suite.integ,
		.encr = { sending ? k->ei : k->er, crypt_encr_key_len(sa->suite.encr, sa->suite.key_bits) },
		.integ = { sending ? k->ai : k->ar,
			   sa->suite.integ == IKE_INTEG_NONE ? 0 : crypt_integ_key_len(sa->suite.integ) },
	};
}

void peer_begin(struct wire_ike_builder *b, struct space room, const struct peer_ike *sa, uint8_t exchange,
			uint32_t msg_id, bool response)
{
	wire_ike_begin(b, room, &(struct wire_ike_header){
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.major = 2,
		.exchange = exchange,
		.flags = IKE_FLAG_INITIATOR | (response ? IKE_FLAG_RESPONSE : 0),
		.msg_id = msg_id,
	});
}

static struct bytes next_iv(struct peer_ike *sa, uint8_t iv[static 16])
{
	crypt_random(iv, 16);
	if (crypt_encr_is_aead(sa->suite.encr)) {
		sa->iv++;
		for (unsigned i = 0; i < 8; i++)
			iv[i] = (uint8_t)(sa->iv >> (56 - 8 * i));
	}
	return bytes_of(iv, crypt_encr_iv_len(sa->suite.encr));
}

static size_t close_and_seal(struct peer_ike *sa, struct wire_ike_builder *b)
{
	struct crypt_ike_keys keys = keys_for(sa, true);
	struct wire_ike_sk sk;
	struct bytes msg;

	must(wire_ike_sk_close(b, crypt_encr_block_len(sa->suite.encr),
			       crypt_icv_len(sa->suite.encr, sa->suite.integ), &sk) == ERR_NONE);
	must(crypt_ike_seal(&keys, sk.aad, sk.iv, sk.text, sk.icv) == ERR_NONE);
	must(wire_ike_finish(b, &msg) == ERR_NONE);
	return msg.len;
}

size_t peer_protect_fragment(struct peer_ike *sa, const struct wire_ike_header *h, uint16_t number, uint16_t total,
			     uint8_t first, struct bytes part, struct space room)
{
	struct wire_ike_builder b;
	uint8_t iv[16];

	wire_ike_begin(&b, room, h);
	wire_ike_skf_open(&b, number, total, first, next_iv(sa, iv));
	wr_put(&b.w, part);
	return close_and_seal(sa, &b);
}

/* RFC 7383: in pieces, each with a header of its own. */
static size_t protect_in_fragments(struct peer *p, struct peer_ike *sa, const struct peer_edit *e, struct space room)
{
	size_t part = p->o.fragment_size - 28 - 8 - 16 - 16 - 16, used = 0;
	uint16_t total = (uint16_t)((e->len + part - 1) / part);

	for (uint16_t n = 1; n <= total; n++) {
		size_t at = (n - 1u) * part;
		used += peer_protect_fragment(sa, &e->h, n, total, e->first,
					      bytes_of(e->chain.p + at, n == total ? e->len - at : part),
					      (struct space){ room.p + used, room.cap - used });
	}
	return used;
}

/* Wraps the payloads of a plain message into SK, after the test had its way with them. */
size_t peer_protect(struct peer *p, struct peer_ike *sa, struct wire_ike_builder *plain, struct space room)
{
	uint8_t chain[PEER_MSG_MAX], iv[16];
	struct peer_edit e = { .chain = SPACE_OF(chain) };
	struct wire_ike_builder b;
	struct bytes msg;

	must(wire_ike_finish(plain, &msg) == ERR_NONE && wire_ike_header_parse(msg, &e.h) == ERR_NONE);
	e.first = e.h.next;
	e.len = msg.len - WIRE_IKE_HEADER_LEN;
	memcpy(chain, msg.p + WIRE_IKE_HEADER_LEN, e.len);
	if (p->o.edit != NULL)
		p->o.edit(p->o.edit_arg, &e);
	if (p->fragments && e.len + WIRE_IKE_HEADER_LEN + 56 > p->o.fragment_size)
		return protect_in_fragments(p, sa, &e, room);
	wire_ike_begin(&b, room, &e.h);
	wire_ike_sk_open(&b, next_iv(sa, iv));
	wr_set_u8(&b.w, b.next_at, e.first);
	wr_put(&b.w, bytes_of(chain, e.len));
	return close_and_seal(sa, &b);
}

bool peer_next(struct bytes *list, struct bytes *ret)
{
	struct rd r = rd_of(*list), header = r;

	if (list->len == 0)
		return false;
	rd_skip(&header, WIRE_IKE_HEADER_LEN - 4);
	*ret = rd_bytes(&r, rd_u32(&header));
	must(!header.bad && !r.bad && ret->len >= WIRE_IKE_HEADER_LEN);
	*list = rd_rest(&r);
	return true;
}

/* True when the message is whole: then *chain holds its payloads, in scratch. */
static bool take_fragment(struct peer *p, const struct wire_ike_header *h, const struct wire_ike_skf *skf, uint8_t first,
			  struct space scratch, struct bytes *chain)
{
	struct peer_frags *f = &p->in;
	struct wr w = wr_of(scratch);

	must(p->fragments && skf->total <= PEER_FRAGS_MAX);
	if (f->total != skf->total || f->msg_id != h->msg_id) {
		memset(f, 0, sizeof(*f));
		f->total = skf->total;
		f->msg_id = h->msg_id;
	}
	if (skf->number == 1)
		f->first = first;
	must(skf->number == 1 || first == IKE_PL_NONE);
	if (f->piece[skf->number - 1].len == 0)
		f->cnt++;
	f->piece[skf->number - 1].len = chain->len;
	memcpy(f->piece[skf->number - 1].b, chain->p, chain->len);
	if (f->cnt < f->total)
		return false;
	for (unsigned i = 0; i < f->total; i++)
		wr_put(&w, bytes_of(f->piece[i].b, f->piece[i].len));
	*chain = wr_bytes(&w);
	f->total = 0;
	p->fragmented_in++;
	return true;
}

/* Opens a message of the gateway into scratch. */
bool peer_unprotect(struct peer *p, const struct peer_ike *sa, struct bytes msg, struct space scratch,
		    struct wire_ike_payloads *ret)
{
	struct crypt_ike_keys keys = keys_for(sa, false);
	struct wire_ike_header h;
	struct wire_ike_payloads outer;
	struct wire_ike_skf skf;
	struct wire_ike_sk sk;
	struct bytes inner;

	if (msg.len > scratch.cap || wire_ike_header_parse(msg, &h) != ERR_NONE)
		return false;
	memcpy(scratch.p, msg.p, msg.len);
	struct bytes copy = bytes_of(scratch.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN);
	if (wire_ike_payloads_parse(h.next, copy, &outer) != ERR_NONE || outer.cnt != 1 ||
	    (outer.p[0].type != IKE_PL_SK && outer.p[0].type != IKE_PL_SKF) ||
	    wire_ike_sk_parse((struct space){ scratch.p, msg.len }, &outer.p[0],
			      crypt_encr_iv_len(sa->suite.encr), crypt_icv_len(sa->suite.encr, sa->suite.integ),
			      &sk) != ERR_NONE ||
	    crypt_ike_open(&keys, sk.aad, sk.iv, sk.text, bytes_of(sk.icv.p, sk.icv.cap)) != ERR_NONE ||
	    wire_ike_sk_strip(bytes_of(sk.text.p, sk.text.cap), &inner) != ERR_NONE)
		return false;
	uint8_t first = outer.p[0].next;
	if (outer.p[0].type == IKE_PL_SKF) {
		must(wire_ike_skf_parse(outer.p[0].body, &skf) == ERR_NONE);
		if (!take_fragment(p, &h, &skf, first, scratch, &inner))
			return false;
		first = p->in.first;
	}
	return wire_ike_payloads_parse(first, inner, ret) == ERR_NONE;
}

/* ---- pieces of requests ---- */

static void add_transform(struct wire_ike_proposal *pr, uint8_t type, uint16_t id, uint16_t key_bits)
{
	pr->t[pr->cnt++] = (struct wire_ike_transform){ .type = type, .id = id, .key_bits = key_bits };
}

static void put_ike_offer(struct wire_ike_builder *b, const struct peer_suite *suites, unsigned cnt,
			  struct bytes spi)
{
	struct wire_ike_sa sa = { .cnt = (uint8_t)cnt };

	for (unsigned i = 0; i < cnt; i++) {
		struct wire_ike_proposal *pr = &sa.p[i];
		pr->number = (uint8_t)(i + 1);
		pr->protocol = IKE_PROTO_IKE;
		pr->spi = spi;
		add_transform(pr, IKE_TT_ENCR, suites[i].encr, suites[i].key_bits);
		if (suites[i].integ != IKE_INTEG_NONE)
			add_transform(pr, IKE_TT_INTEG, suites[i].integ, 0);
		add_transform(pr, IKE_TT_PRF, suites[i].prf, 0);
		add_transform(pr, IKE_TT_KE, suites[i].group, 0);
	}
	wire_ike_put_sa(b, &sa);
}

static void put_notify(struct wire_ike_builder *b, uint16_t type, struct bytes data)
{
	wire_ike_put_notify(b, IKE_PROTO_NONE, (struct bytes){ 0 }, type, data);
}

static void put_esp_offer(struct peer *p, struct wire_ike_builder *b, const struct peer_suite *suites, unsigned cnt)
{
	struct wire_ike_sa sa = { .cnt = (uint8_t)cnt };
	uint8_t spi[4];
	struct wr w = wr_of(SPACE_OF(spi));

	do
		p->new_spi = (uint32_t)random_u64();
	while (p->new_spi < 4096 || peer_child_find(p, p->new_spi) != NULL);
	wr_u32(&w, p->new_spi);
	for (unsigned i = 0; i < cnt; i++) {
		struct wire_ike_proposal *pr = &sa.p[i];
		pr->number = (uint8_t)(i + 1);
		pr->protocol = IKE_PROTO_ESP;
		pr->spi = BYTES_OF(spi);
		add_transform(pr, IKE_TT_ENCR, suites[i].encr, suites[i].key_bits);
		if (suites[i].integ != IKE_INTEG_NONE)
			add_transform(pr, IKE_TT_INTEG, suites[i].integ, 0);
		if (suites[i].group != IKE_GROUP_NONE)
			add_transform(pr, IKE_TT_KE, suites[i].group, 0);
		if (p->o.esn)
			add_transform(pr, IKE_TT_ESN, IKE_ESN_YES, 0);
		if (p->o.no_esn)
			add_transform(pr, IKE_TT_ESN, IKE_ESN_NONE, 0);
	}
	wire_ike_put_sa(b, &sa);
	put_notify(b, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, (struct bytes){ 0 });
}

/* RFC 7296 2.23: hash over SPIs, address, port. */
void peer_natd_hash(const struct peer_ike *sa, const struct addr_endpoint *e, uint8_t out[static 20])
{
	uint8_t text[64];
	struct wr w = wr_of(SPACE_OF(text));

	wr_u64(&w, sa->spi_i);
	wr_u64(&w, sa->spi_r);
	wr_put(&w, addr_bytes(&e->addr));
	wr_u16(&w, e->port);
	struct bytes b = wr_bytes(&w);
	must(crypt_sha1(&b, 1, out) == ERR_NONE);
}

static void put_natd(struct peer *p, struct wire_ike_builder *b)
{
	uint8_t source[20], destination[20];

	if (p->o.natd == PEER_NATD_NONE)
		return;
	peer_natd_hash(&p->ike[0], &p->local, source);
	peer_natd_hash(&p->ike[0], &p->remote, destination);
	if (p->o.natd == PEER_NATD_FAKE)
		source[0] ^= 0xff;
	put_notify(b, IKE_N_NAT_DETECTION_SOURCE_IP, BYTES_OF(source));
	put_notify(b, IKE_N_NAT_DETECTION_DESTINATION_IP, BYTES_OF(destination));
}

static void new_nonce(struct peer *p)
{
	crypt_random(p->ni, sizeof(p->ni));
}

static void new_dh(struct peer *p, uint16_t group)
{
	crypt_dh_free(p->dh);
	p->dh = NULL;
	must(crypt_dh_public_len(group) == 0 || crypt_dh_new(group, &p->dh) == ERR_NONE);
}

/* For a group that we do not know either, which the gateway must refuse, any bytes do. */
static void put_ke(struct peer *p, struct wire_ike_builder *b, uint16_t group)
{
	static const uint8_t any[128] = { 1 };
	wire_ike_put_ke(b, group, p->dh != NULL ? crypt_dh_public(p->dh) : BYTES_OF(any));
}

static void finish_request(struct peer *p, struct peer_ike *sa, enum peer_step step, struct wire_ike_builder *b)
{
	must(sa->step == PEER_IDLE);
	p->notify = 0;
	sa->step = step;
	sa->request_id = sa->tx_next++;
	sa->request_len = peer_protect(p, sa, b, SPACE_OF(sa->request));
}

/* ---- requests ---- */

void peer_init_again(struct peer *p)
{
	struct peer_ike *sa = &p->ike[0];
	struct wire_ike_builder b;
	struct bytes msg;

	peer_begin(&b, SPACE_OF(sa->request), sa, IKE_EX_SA_INIT, 0, false);
	if (p->cookie_len != 0)
		put_notify(&b, IKE_N_COOKIE, bytes_of(p->cookie, p->cookie_len));
	put_ike_offer(&b, p->o.ike, p->o.ike_cnt, (struct bytes){ 0 });
	put_ke(p, &b, p->group);
	wire_ike_put_nonce(&b, BYTES_OF(p->ni));
	put_natd(p, &b);
	if (p->o.fragment_size != 0)
		put_notify(&b, IKE_N_IKEV2_FRAGMENTATION_SUPPORTED, (struct bytes){ 0 });
	must(wire_ike_finish(&b, &msg) == ERR_NONE);
	if (p->o.edit != NULL) {
		struct peer_edit e = { .chain = { sa->request + WIRE_IKE_HEADER_LEN,
						  sizeof(sa->request) - WIRE_IKE_HEADER_LEN } };
		must(wire_ike_header_parse(msg, &e.h) == ERR_NONE);
		e.first = e.h.next;
		e.len = msg.len - WIRE_IKE_HEADER_LEN;
		p->o.edit(p->o.edit_arg, &e);
		wire_ike_begin(&b, SPACE_OF(sa->request), &e.h);
		(void)wr_reserve(&b.w, e.len);
		must(wire_ike_finish(&b, &msg) == ERR_NONE);
		sa->request[16] = e.first;
	}
	sa->request_len = msg.len;
	memcpy(p->init_request, msg.p, msg.len);
	p->init_request_len = msg.len;
	sa->step = PEER_INIT;
}

void peer_start_init(struct peer *p)
{
	p->notify = 0;
	new_nonce(p);
	new_dh(p, p->group);
	peer_init_again(p);
}

static void put_selectors(struct peer *p, struct wire_ike_builder *b)
{
	wire_ike_put_tss(b, IKE_PL_TSI, p->o.tsi, p->o.tsi_cnt);
	wire_ike_put_tss(b, IKE_PL_TSR, p->o.tsr, p->o.tsr_cnt);
}

static void put_own_auth(struct peer *p, struct wire_ike_builder *b)
{
	struct peer_ike *sa = &p->ike[0];
	uint8_t rest[4 + sizeof(p->o.id)] = { p->o.id_type }, auth[64];

	memcpy(rest + 4, p->o.id, p->o.id_len);
	size_t len = peer_auth(sa->suite.prf, secret_bytes(&p->o.psk), bytes_of(p->init_request, p->init_request_len),
			       bytes_of(p->nr, p->nr_len), bytes_of(sa->keys.pi, crypt_prf_len(sa->suite.prf)),
			       bytes_of(rest, 4u + p->o.id_len), auth);
	wire_ike_put_auth(b, p->o.auth_method != 0 ? p->o.auth_method : (uint8_t)IKE_AUTH_PSK, bytes_of(auth, len));
}

/* RFC 4555 3.9: what the message has to come from and go to. */
static void put_no_nats(struct peer *p, struct wire_ike_builder *b)
{
	uint8_t room[2 * (16 + 2)];
	struct wr w = wr_of(SPACE_OF(room));

	wr_put(&w, addr_bytes(&p->local.addr));
	wr_put(&w, addr_bytes(&p->remote.addr));
	wr_u16(&w, p->local.port);
	wr_u16(&w, p->remote.port);
	put_notify(b, IKE_N_NO_NATS_ALLOWED, wr_bytes(&w));
}

void peer_start_auth(struct peer *p)
{
	static const uint8_t config_request[] = { 1, 0, 0, 0, 0, 1, 0, 0 }; /* CFG_REQUEST, INTERNAL_IP4_ADDRESS */
	struct peer_ike *sa = &p->ike[0];
	uint8_t room[PEER_MSG_MAX];
	struct wire_ike_builder b;

	peer_begin(&b, SPACE_OF(room), sa, IKE_EX_AUTH, sa->tx_next, false);
	wire_ike_put_id(&b, IKE_PL_IDI, p->o.id_type, bytes_of(p->o.id, p->o.id_len));
	if (p->o.initial_contact)
		put_notify(&b, IKE_N_INITIAL_CONTACT, (struct bytes){ 0 });
	if (p->o.ask_name != NULL)
		wire_ike_put_id(&b, IKE_PL_IDR, IKE_ID_FQDN, bytes_str(p->o.ask_name));
	if (!p->o.no_auth_payload)
		put_own_auth(p, &b);
	if (p->o.ask_config) {
		wire_ike_open(&b, IKE_PL_CP);
		wr_put(&b.w, BYTES_OF(config_request));
	}
	if (p->o.mobike)
		put_notify(&b, IKE_N_MOBIKE_SUPPORTED, (struct bytes){ 0 });
	if (p->o.no_nats)
		put_no_nats(p, &b);
	if (p->o.transport_mode)
		put_notify(&b, IKE_N_USE_TRANSPORT_MODE, (struct bytes){ 0 });
	if (!p->o.childless) {
		put_esp_offer(p, &b, p->o.esp, p->o.esp_cnt);
		put_selectors(p, &b);
	}
	p->rekeys_spi = 0;
	finish_request(p, sa, PEER_AUTH, &b);
}

void peer_start_child(struct peer *p, const struct peer_child *rekeys, const struct peer_suite *suite)
{
	struct peer_ike *sa = &p->ike[0];
	uint8_t room[PEER_MSG_MAX], spi[4];
	struct wire_ike_builder b;

	p->rekeys_spi = rekeys == NULL ? 0 : rekeys->spi_in;
	p->pfs = suite != NULL && suite->group != IKE_GROUP_NONE;
	p->one_offer = suite != NULL;
	if (suite != NULL)
		p->one_suite = *suite;
	new_nonce(p);
	peer_begin(&b, SPACE_OF(room), sa, IKE_EX_CREATE_CHILD_SA, sa->tx_next, false);
	if (rekeys != NULL) {
		struct wr w = wr_of(SPACE_OF(spi));
		wr_u32(&w, rekeys->spi_in);
		wire_ike_put_notify(&b, IKE_PROTO_ESP, BYTES_OF(spi), IKE_N_REKEY_SA, (struct bytes){ 0 });
	}
	if (p->o.transport_mode)
		put_notify(&b, IKE_N_USE_TRANSPORT_MODE, (struct bytes){ 0 });
	if (suite != NULL)
		put_esp_offer(p, &b, suite, 1);
	else
		put_esp_offer(p, &b, p->o.esp, p->o.esp_cnt);
	wire_ike_put_nonce(&b, BYTES_OF(p->ni));
	if (p->pfs) {
		new_dh(p, p->o.ke_group != 0 ? p->o.ke_group : suite->group);
		put_ke(p, &b, p->o.ke_group != 0 ? p->o.ke_group : suite->group);
	}
	put_selectors(p, &b);
	finish_request(p, sa, PEER_CHILD, &b);
}

void peer_start_ike_rekey(struct peer *p, const struct peer_suite *suite)
{
	struct peer_ike *sa = &p->ike[0];
	uint8_t room[PEER_MSG_MAX], spi[8];
	struct wire_ike_builder b;
	struct wr w = wr_of(SPACE_OF(spi));

	p->new_ike_spi = random_u64() | 1;
	p->one_suite = *suite;
	wr_u64(&w, p->new_ike_spi);
	new_nonce(p);
	new_dh(p, suite->group);
	peer_begin(&b, SPACE_OF(room), sa, IKE_EX_CREATE_CHILD_SA, sa->tx_next, false);
	put_ike_offer(&b, suite, 1, BYTES_OF(spi));
	wire_ike_put_nonce(&b, BYTES_OF(p->ni));
	put_ke(p, &b, suite->group);
	finish_request(p, sa, PEER_IKE_REKEY, &b);
}

void peer_start_info(struct peer *p, uint8_t first, struct bytes chain)
{
	struct peer_ike *sa = &p->ike[0];
	uint8_t room[PEER_MSG_MAX];
	struct wire_ike_builder b;

	peer_begin(&b, SPACE_OF(room), sa, IKE_EX_INFORMATIONAL, sa->tx_next, false);
	wr_put(&b.w, chain);
	wr_set_u8(&b.w, 16, first);
	p->deletes_spi = 0;
	p->deletes_ike = false;
	finish_request(p, sa, PEER_INFO, &b);
}

void peer_start_liveness(struct peer *p)
{
	peer_start_info(p, IKE_PL_NONE, (struct bytes){ 0 });
}

void peer_start_delete_child(struct peer *p, const struct peer_child *child)
{
	struct peer_ike *sa = &p->ike[0];
	uint8_t room[PEER_MSG_MAX];
	struct wire_ike_builder b;

	peer_begin(&b, SPACE_OF(room), sa, IKE_EX_INFORMATIONAL, sa->tx_next, false);
	wire_ike_put_delete(&b, IKE_PROTO_ESP, &child->spi_in, 1);
	p->deletes_spi = child->spi_in;
	p->deletes_ike = false;
	finish_request(p, sa, PEER_INFO, &b);
}

void peer_start_delete_ike(struct peer *p, unsigned which)
{
	struct peer_ike *sa = &p->ike[which];
	uint8_t room[PEER_MSG_MAX];
	struct wire_ike_builder b;

	peer_begin(&b, SPACE_OF(room), sa, IKE_EX_INFORMATIONAL, sa->tx_next, false);
	wire_ike_put_delete(&b, IKE_PROTO_IKE, NULL, 0);
	p->deletes_spi = 0;
	p->deletes_ike = true;
	finish_request(p, sa, PEER_INFO, &b);
}
