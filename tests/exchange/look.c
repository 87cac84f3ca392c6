#include "look.h"

#include "crypt/ike_cipher.h"

/* ---- keys ---- */

static void learn(struct look_keys *k, const struct ike_sa *sa)
{
	if (sa->suite.encr == 0 || sa->spi_r == 0 || sa->state == IKE_STATE_CLOSED || look_find(k, sa->spi_i, sa->spi_r) != NULL)
		return;
	if (k->cnt == LOOK_KEYS_MAX) {
		memmove(&k->sa[0], &k->sa[1], (LOOK_KEYS_MAX - 1) * sizeof(k->sa[0]));
		k->cnt--;
	}
	k->sa[k->cnt++] = *sa;
}

void look_learn(struct look_keys *k, const struct duo *d)
{
	for (unsigned e = 0; e < 2; e++) {
		if (d->end[e].has_half)
			learn(k, &d->end[e].half.sa);
		for (unsigned i = 0; i < DUO_SAS_MAX; i++)
			if (d->end[e].sas[i].used)
				learn(k, &d->end[e].sas[i].r);
	}
}

const struct ike_sa *look_find(const struct look_keys *k, uint64_t spi_i, uint64_t spi_r)
{
	for (unsigned i = 0; i < k->cnt; i++)
		if (k->sa[i].spi_i == spi_i && k->sa[i].spi_r == spi_r)
			return &k->sa[i];
	return NULL;
}

static struct crypt_ike_keys keys_of(const struct ike_sa *sa, bool initiator)
{
	const struct ike_keys *k = &sa->keys;

	return (struct crypt_ike_keys){
		.encr_id = sa->suite.encr,
		.key_bits = sa->suite.key_bits,
		.integ_id = sa->suite.integ,
		.encr = { initiator ? k->ei : k->er, crypt_encr_key_len(sa->suite.encr, sa->suite.key_bits) },
		.integ = { initiator ? k->ai : k->ar,
			   sa->suite.integ == IKE_INTEG_NONE ? 0 : crypt_integ_key_len(sa->suite.integ) },
	};
}

/* ---- reading ---- */

static bool open_text(const struct ike_sa *sa, struct look *l, size_t len)
{
	struct space copy = { l->text, len };
	struct wire_ike_payloads outer;
	struct wire_ike_sk sk;
	struct bytes chain;
	size_t iv_len = crypt_encr_iv_len(sa->suite.encr), icv_len = crypt_icv_len(sa->suite.encr, sa->suite.integ);

	if (wire_ike_payloads_parse(l->h.next, bytes_of(copy.p + WIRE_IKE_HEADER_LEN, len - WIRE_IKE_HEADER_LEN), &outer) != ERR_NONE ||
	    outer.cnt == 0)
		return false;
	const struct wire_ike_payload *p = &outer.p[outer.cnt - 1];
	l->fragment = p->type == IKE_PL_SKF;
	if ((p->type != IKE_PL_SK && !l->fragment) || wire_ike_sk_parse(copy, p, iv_len, icv_len, &sk) != ERR_NONE)
		return false;
	struct rd iv = rd_of(sk.iv);
	l->iv = rd_u64(&iv);
	struct crypt_ike_keys keys = keys_of(sa, (l->h.flags & IKE_FLAG_INITIATOR) != 0);
	if (crypt_ike_open(&keys, sk.aad, sk.iv, sk.text, bytes_of(sk.icv.p, sk.icv.cap)) != ERR_NONE ||
	    wire_ike_sk_strip(bytes_of(sk.text.p, sk.text.cap), &chain) != ERR_NONE)
		return false;
	l->in.cnt = 0;
	return l->fragment || wire_ike_payloads_parse(p->next, chain, &l->in) == ERR_NONE;
}

bool look_open(const struct look_keys *k, struct bytes msg, struct look *ret)
{
	struct wr w = wr_of(SPACE_OF(ret->text));

	if (wire_ike_header_parse(msg, &ret->h) != ERR_NONE)
		return false;
	wr_put(&w, msg);
	const struct ike_sa *sa = look_find(k, ret->h.spi_i, ret->h.spi_r);
	return sa != NULL && !w.bad && open_text(sa, ret, msg.len);
}

uint16_t look_error(const struct look *l)
{
	struct wire_ike_notify n;

	for (unsigned i = 0; i < l->in.cnt; i++)
		if (l->in.p[i].type == IKE_PL_NOTIFY && wire_ike_notify_parse(l->in.p[i].body, &n) == ERR_NONE &&
		    n.type < IKE_N_STATUS_FIRST)
			return n.type;
	return 0;
}

bool look_deletes(const struct look *l, uint8_t protocol)
{
	struct wire_ike_delete d;

	for (unsigned i = 0; i < l->in.cnt; i++)
		if (l->in.p[i].type == IKE_PL_DELETE && wire_ike_delete_parse(l->in.p[i].body, &d) == ERR_NONE &&
		    d.protocol == protocol)
			return true;
	return false;
}

/* ---- making ---- */

size_t look_seal(const struct ike_sa *sa, const struct look_part *p, struct space room)
{
	struct crypt_ike_keys keys = keys_of(sa, (p->h.flags & IKE_FLAG_INITIATOR) != 0);
	struct wire_ike_builder b;
	struct wire_ike_sk sk;
	struct bytes msg;
	uint8_t iv[16];
	struct wr w = wr_of(SPACE_OF(iv));

	wr_u64(&w, p->iv);
	wr_u64(&w, ~p->iv);
	struct bytes iv_bytes = bytes_of(iv, crypt_encr_iv_len(sa->suite.encr));
	wire_ike_begin(&b, room, &p->h);
	if (p->total != 0) {
		wire_ike_skf_open(&b, p->number, p->total, p->first, iv_bytes);
	} else {
		wire_ike_sk_open(&b, iv_bytes);
		wr_set_u8(&b.w, b.next_at, p->first);
	}
	wr_put(&b.w, p->chain);
	must(wire_ike_sk_close(&b, crypt_encr_block_len(sa->suite.encr), crypt_icv_len(sa->suite.encr, sa->suite.integ), &sk) ==
	     ERR_NONE);
	must(crypt_ike_seal(&keys, sk.aad, sk.iv, sk.text, sk.icv) == ERR_NONE && wire_ike_finish(&b, &msg) == ERR_NONE);
	return msg.len;
}
