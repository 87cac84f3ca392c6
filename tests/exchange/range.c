// The range: the pair, the messages, what must hold after each of them.
#include "range.h"

static void capture(void *arg, struct peer_edit *e)
{
	struct range *r = arg;

	r->h = e->h;
	r->first = e->first;
	r->len = e->len;
	memcpy(r->chain, e->chain.p, e->len);
}

unsigned sum_drops(const struct gateway *g)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		sum += g->drops[i];
	return sum;
}

void save(struct range *r)
{
	memcpy(&r->saved, &r->n->g, offsetof(struct gateway, out_cnt));
}

void put_back(struct range *r)
{
	memcpy(&r->n->g, &r->saved, offsetof(struct gateway, out_cnt));
	r->n->g.out_cnt = 0;
}

struct range *make_range(enum exchange x)
{
	static const struct peer_suite ike = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, IKE_PRF_HMAC_SHA2_256,
					       IKE_GROUP_MODP1536 };
	static const struct peer_suite esp = { IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, 0, IKE_GROUP_MODP1536 };
	struct range *r = calloc(1, sizeof(*r));
	struct peer_options o;
	struct peer *p;

	must(r != NULL && (r->n = malloc(sizeof(*r->n))) != NULL);
	net_options(&o);
	o.ike[0] = ike;
	net_init(r->n, &o);
	p = &r->n->p;
	if (x == X_AUTH) {
		peer_start_init(p);
		must(net_run(r->n));
	} else if (x != X_INIT) {
		net_must_up(r->n);
		r->sa = gateway_sa_find(&r->n->g, p->ike[0].spi_r);
	}
	p->o.edit = capture;
	p->o.edit_arg = r;
	switch (x) {
	case X_INIT:
		r->plain = true;
		peer_start_init(p);
		break;
	case X_AUTH:
		peer_start_auth(p);
		break;
	case X_CHILD:
		peer_start_child(p, NULL, NULL);
		break;
	case X_REKEY_CHILD:
		peer_start_child(p, &p->child[0], &esp);
		break;
	case X_REKEY_IKE:
		peer_start_ike_rekey(p, &ike);
		break;
	case X_LIVENESS:
		peer_start_liveness(p);
		break;
	case X_DELETE_CHILD:
		peer_start_delete_child(p, &p->child[0]);
		break;
	case X_DELETE_IKE:
		peer_start_delete_ike(p, 0);
		break;
	case X_CNT:
		break;
	}
	p->o.edit = NULL;
	save(r);
	return r;
}

void free_range(struct range *r)
{
	net_fini(r->n);
	free(r->n);
	free(r);
}

/* ---- shooting ---- */

size_t make_message(struct range *r, const struct wire_ike_header *h, uint8_t first, struct bytes chain,
			   uint8_t room[static PEER_MSG_MAX])
{
	struct wire_ike_builder b;
	uint8_t plain[PEER_MSG_MAX];
	struct bytes msg;

	wire_ike_begin(&b, (struct space){ r->plain ? room : plain, PEER_MSG_MAX }, h);
	wr_put(&b.w, chain);
	wr_set_u8(&b.w, 16, first);
	if (!r->plain)
		return peer_protect(&r->n->p, &r->n->p.ike[0], &b, (struct space){ room, PEER_MSG_MAX });
	must(wire_ike_finish(&b, &msg) == ERR_NONE);
	return msg.len;
}

static void read_reply(struct range *r, struct outcome *o)
{
	const struct gateway_datagram *d = &r->n->g.out[0];
	uint8_t scratch[PEER_MSG_MAX];
	struct wire_ike_payloads in;
	struct wire_ike_header h;

	o->replied = true;
	must(wire_ike_header_parse(bytes_of(d->b, d->len), &h) == ERR_NONE);
	if (r->plain)
		must(wire_ike_payloads_parse(h.next, bytes_of(d->b + 28, d->len - 28), &in) == ERR_NONE);
	else
		must(peer_unprotect(&r->n->p, &r->n->p.ike[0], bytes_of(d->b, d->len), SPACE_OF(scratch), &in));
	for (unsigned i = 0; i < in.cnt; i++) {
		struct wire_ike_notify n;
		if (in.p[i].type != IKE_PL_NOTIFY || wire_ike_notify_parse(in.p[i].body, &n) != ERR_NONE ||
		    n.type >= IKE_N_STATUS_FIRST)
			continue;
		must(o->notify == 0); /* one error a request */
		o->notify = n.type;
		o->notify_byte = n.data.len > 0 ? n.data.p[0] : 0;
	}
}

/* What is kept must fit together, whatever came. */
static void check_sane(struct gateway *g)
{
	unsigned refs = 0;

	for (unsigned i = 0; i < GATEWAY_SAS_MAX; i++) {
		if (!g->sas[i].used)
			continue;
		struct ike_sa sa = gateway_sa(g, g->sas[i].spi);
		must(sa.auth_verified && (sa.state == IKE_STATE_ESTABLISHED || sa.child_cnt == 0));
		for (unsigned c = 0; c < sa.child_cnt; c++)
			refs += !sa.children[c].closing;
		for (unsigned c = 0; c < sa.child_cnt; c++)
			must(sa.children[c].closing || gateway_child_find(g, sa.children[c].spi_in) != NULL);
	}
	must(refs == g->child_cnt);
}

struct outcome shoot_bytes(struct range *r, struct bytes msg)
{
	struct gateway *g = &r->n->g;
	struct outcome o = { 0 };

	put_back(r);
	gateway_input(g, &r->n->p.remote, &r->n->p.local, msg);
	must(g->out_cnt <= 1);
	if (g->out_cnt == 1)
		read_reply(r, &o);
	o.drops = sum_drops(g) - sum_drops(&r->saved);
	o.failures = g->failure_cnt - r->saved.failure_cnt;
	o.accepted = o.replied && o.notify == 0;
	check_sane(g);
	must(o.replied || o.drops > 0); /* silence has a counted reason */
	return o;
}

struct outcome shoot(struct range *r, const struct wire_ike_header *h, uint8_t first, struct bytes chain)
{
	uint8_t room[PEER_MSG_MAX];
	size_t len = make_message(r, h, first, chain, room);
	return shoot_bytes(r, bytes_of(room, len));
}

void must_be_refused(struct range *r, const struct outcome *o)
{
	const struct gateway *g = &r->n->g;

	assert_false(o->accepted);
	assert_int_equal(g->child_cnt, r->saved.child_cnt);
	assert_int_equal(gateway_count(g, IKE_STATE_ESTABLISHED), gateway_count(&r->saved, IKE_STATE_ESTABLISHED));
	assert_int_equal(gateway_count(g, IKE_STATE_CLOSED), 0);
	assert_true(o->failures == 1 || o->drops >= 1 || o->notify == IKE_N_TEMPORARY_FAILURE ||
		    o->notify == IKE_N_CHILD_SA_NOT_FOUND);
}

void must_change_nothing(struct range *r, const struct outcome *o)
{
	assert_false(o->replied);
	assert_int_equal(gateway_fingerprint(&r->n->g), gateway_fingerprint(&r->saved));
	assert_true(o->drops >= 1);
}

/* ---- chains as lists ---- */

struct list to_list(const struct range *r)
{
	struct wire_ike_payloads pls;
	struct list l = { 0 };

	must(wire_ike_payloads_parse(r->first, bytes_of(r->chain, r->len), &pls) == ERR_NONE && pls.cnt <= 30);
	for (unsigned n = 0; n < pls.cnt; n++)
		l.i[l.cnt++] = (struct item){ .type = pls.p[n].type, .body = pls.p[n].body };
	return l;
}

struct outcome shoot_list(struct range *r, const struct list *l)
{
	uint8_t room[PEER_MSG_MAX];
	struct wr w = wr_of(SPACE_OF(room));

	for (unsigned n = 0; n < l->cnt; n++) {
		wr_u8(&w, n + 1 < l->cnt ? l->i[n + 1].type : 0);
		wr_u8(&w, l->i[n].critical ? 0x80 : 0);
		wr_u16(&w, (uint16_t)((int)l->i[n].body.len + 4 + l->i[n].len_off));
		wr_put(&w, l->i[n].body);
	}
	must(!w.bad);
	return shoot(r, &r->h, l->cnt > 0 ? l->i[0].type : 0, wr_bytes(&w));
}
