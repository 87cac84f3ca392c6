// Messages that no honest peer sends, in every exchange and state: nothing may crash, change or stay unanswered for
// without a counted reason.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../peer/peer_part.h"
#include "net.h"

/* ---- a gateway at rest, and one good request to it ---- */

struct range {
	struct net *n;
	struct gateway saved;
	/* the good request, before protection */
	struct wire_ike_header h;
	uint8_t first;
	uint8_t chain[PEER_MSG_MAX];
	size_t len;
	bool plain;            /* IKE_SA_INIT */
	struct gateway_sa *sa; /* the SA that it belongs to, NULL before there is one */
};

struct outcome {
	bool replied;
	uint16_t notify;       /* the error in the reply, 0: none */
	uint8_t notify_byte;   /* first byte of its data */
	unsigned drops, failures;
	bool accepted;         /* it had its effect */
};

static void capture(void *arg, struct peer_edit *e)
{
	struct range *r = arg;

	r->h = e->h;
	r->first = e->first;
	r->len = e->len;
	memcpy(r->chain, e->chain.p, e->len);
}

static unsigned sum_drops(const struct gateway *g)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		sum += g->drops[i];
	return sum;
}

static void save(struct range *r)
{
	memcpy(&r->saved, &r->n->g, offsetof(struct gateway, out_cnt));
}

static void put_back(struct range *r)
{
	memcpy(&r->n->g, &r->saved, offsetof(struct gateway, out_cnt));
	r->n->g.out_cnt = 0;
}

enum exchange { X_INIT, X_AUTH, X_CHILD, X_REKEY_CHILD, X_REKEY_IKE, X_LIVENESS, X_DELETE_CHILD, X_DELETE_IKE, X_CNT };

/* Brings the pair to where the exchange may begin, and catches its request. */
static struct range *make_range(enum exchange x)
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

static void free_range(struct range *r)
{
	net_fini(r->n);
	free(r->n);
	free(r);
}

/* ---- shooting ---- */

static size_t make_message(struct range *r, const struct wire_ike_header *h, uint8_t first, struct bytes chain,
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

static struct outcome shoot_bytes(struct range *r, struct bytes msg)
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

static struct outcome shoot(struct range *r, const struct wire_ike_header *h, uint8_t first, struct bytes chain)
{
	uint8_t room[PEER_MSG_MAX];
	size_t len = make_message(r, h, first, chain, room);
	return shoot_bytes(r, bytes_of(room, len));
}

/* Refused: children, states and half-open SAs are as they were; the reason is told. */
static void must_be_refused(struct range *r, const struct outcome *o)
{
	const struct gateway *g = &r->n->g;

	assert_false(o->accepted);
	assert_int_equal(g->child_cnt, r->saved.child_cnt);
	assert_int_equal(gateway_count(g, IKE_STATE_ESTABLISHED), gateway_count(&r->saved, IKE_STATE_ESTABLISHED));
	assert_int_equal(gateway_count(g, IKE_STATE_CLOSED), 0);
	assert_true(o->failures == 1 || o->drops >= 1 || o->notify == IKE_N_TEMPORARY_FAILURE ||
		    o->notify == IKE_N_CHILD_SA_NOT_FOUND);
}

static void must_change_nothing(struct range *r, const struct outcome *o)
{
	assert_false(o->replied);
	assert_int_equal(gateway_fingerprint(&r->n->g), gateway_fingerprint(&r->saved));
	assert_true(o->drops >= 1);
}

/* ---- chains as lists ---- */

struct item {
	uint8_t type;
	bool critical;
	int len_off; /* added to the length field */
	struct bytes body;
};

struct list {
	unsigned cnt;
	struct item i[32];
};

static struct list to_list(const struct range *r)
{
	struct wire_ike_payloads pls;
	struct list l = { 0 };

	must(wire_ike_payloads_parse(r->first, bytes_of(r->chain, r->len), &pls) == ERR_NONE && pls.cnt <= 30);
	for (unsigned n = 0; n < pls.cnt; n++)
		l.i[l.cnt++] = (struct item){ .type = pls.p[n].type, .body = pls.p[n].body };
	return l;
}

static struct outcome shoot_list(struct range *r, const struct list *l)
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

static void insert(struct list *l, unsigned at, struct item it)
{
	must(l->cnt < ARRAY_LEN(l->i) && at <= l->cnt);
	memmove(&l->i[at + 1], &l->i[at], (l->cnt - at) * sizeof(it));
	l->i[at] = it;
	l->cnt++;
}

static bool is_mandatory(enum exchange x, uint8_t type)
{
	switch (type) {
	case IKE_PL_SA:
	case IKE_PL_TSI:
	case IKE_PL_TSR:
	case IKE_PL_IDI:
	case IKE_PL_AUTH:
	case IKE_PL_NONCE:
		return true;
	case IKE_PL_KE:
		return x != X_LIVENESS;
	default:
		return false;
	}
}

static bool may_repeat(uint8_t type)
{
	return type == IKE_PL_NOTIFY || type == IKE_PL_VENDOR || type == IKE_PL_DELETE;
}

/* ---- tests ---- */

static void good_requests_are_accepted(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct outcome o = shoot(r, &r->h, r->first, bytes_of(r->chain, r->len));
		assert_true(o.accepted);
		free_range(r);
	}
}

static void a_missing_payload_is_refused(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			struct list l = good;
			memmove(&l.i[n], &l.i[n + 1], (l.cnt - n - 1) * sizeof(l.i[0]));
			l.cnt--;
			struct outcome o = shoot_list(r, &l);
			if (is_mandatory(x, good.i[n].type))
				must_be_refused(r, &o);
		}
		free_range(r);
	}
}

static void a_repeated_payload_is_refused(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (unsigned at = 0; at <= good.cnt; at++) {
				struct list l = good;
				insert(&l, at, good.i[n]);
				struct outcome o = shoot_list(r, &l);
				if (!may_repeat(good.i[n].type))
					must_be_refused(r, &o);
				else
					assert_true(o.accepted);
			}
		}
		free_range(r);
	}
}

/* RFC 7296 2.5: the order means nothing. */
static void payloads_in_another_order_are_accepted(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned a = 0; a < good.cnt; a++) {
			for (unsigned b = a + 1; b < good.cnt; b++) {
				struct list l = good;
				l.i[a] = good.i[b];
				l.i[b] = good.i[a];
				assert_true(shoot_list(r, &l).accepted);
			}
		}
		free_range(r);
	}
}

static void a_wrong_payload_length_is_refused(void **state)
{
	static const int offs[] = { -1, 1, 2, 3, 4, 8, 64, 1000, 60000 };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
				struct list l = good;
				l.i[n].len_off = offs[i];
				struct outcome o = shoot_list(r, &l);
				must_be_refused(r, &o);
			}
			for (int len = 0; len < 4; len++) {
				struct list l = good;
				l.i[n].len_off = len - 4 - (int)good.i[n].body.len;
				struct outcome o = shoot_list(r, &l);
				must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void a_body_cut_anywhere_is_handled(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (size_t len = 0; len < good.i[n].body.len; len++) {
				struct list l = good;
				l.i[n].body.len = len;
				struct outcome o = shoot_list(r, &l);
				uint8_t type = good.i[n].type;
				/* a shorter name that the peer asks for is a name too */
				bool free_length = type == IKE_PL_NOTIFY || type == IKE_PL_NONCE || (type == IKE_PL_IDR && len > 4);
				if (!free_length)
					must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void any_payload_type_in_any_place_is_handled(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned n = 0; n < good.cnt; n++) {
			for (unsigned type = 1; type < 256; type++) {
				struct list l = good;
				l.i[n].type = (uint8_t)type;
				struct outcome o = shoot_list(r, &l);
				if (type != good.i[n].type && is_mandatory(x, good.i[n].type))
					must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void an_unknown_critical_payload_is_named_in_the_answer(void **state)
{
	static const uint8_t body[] = { 1, 2, 3, 4, 5, 6 };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list good = to_list(r);
		for (unsigned type = 1; type < 256; type++) {
			if (type >= IKE_PL_SA && type <= IKE_PL_EAP && type != IKE_PL_SK)
				continue;
			if (type == IKE_PL_SK || type == IKE_PL_SKF)
				continue; /* these end the chain */
			struct list l = good;
			insert(&l, type % (good.cnt + 1), (struct item){ .type = (uint8_t)type, .critical = true,
									  .body = BYTES_OF(body) });
			struct outcome o = shoot_list(r, &l);
			must_be_refused(r, &o);
			assert_int_equal(o.notify, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD);
			assert_int_equal(o.notify_byte, type);
			l.i[type % (good.cnt + 1)].critical = false;
			assert_true(shoot_list(r, &l).accepted);
		}
		free_range(r);
	}
}

static void the_critical_bit_of_a_known_payload_is_ignored(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		struct list l = to_list(r);
		for (unsigned n = 0; n < l.cnt; n++)
			l.i[n].critical = true;
		assert_true(shoot_list(r, &l).accepted);
		free_range(r);
	}
}

/* What the peer's AUTH signs: nothing in IDi may be other than it was; and AUTH itself. */
static bool is_signed(const struct range *r, size_t at)
{
	struct wire_ike_payloads pls;

	must(wire_ike_payloads_parse(r->first, bytes_of(r->chain, r->len), &pls) == ERR_NONE);
	for (unsigned n = 0; n < pls.cnt; n++) {
		size_t from = (size_t)(pls.p[n].body.p - r->chain), to = from + pls.p[n].body.len;
		if (pls.p[n].type == IKE_PL_AUTH && at >= from + 4 && at < to)
			return true;
		if (pls.p[n].type == IKE_PL_IDI && at >= from && at < to)
			return true;
	}
	return false;
}

static void any_changed_byte_inside_is_handled(void **state)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		uint8_t chain[PEER_MSG_MAX];
		for (size_t at = 0; at < r->len; at++) {
			for (size_t m = 0; m < ARRAY_LEN(masks); m++) {
				memcpy(chain, r->chain, r->len);
				chain[at] ^= masks[m];
				struct outcome o = shoot(r, &r->h, r->first, bytes_of(chain, r->len));
				if (x == X_AUTH && is_signed(r, at))
					must_be_refused(r, &o);
			}
		}
		free_range(r);
	}
}

static void any_flipped_bit_of_a_protected_message_changes_nothing(void **state)
{
	(void)state;
	for (enum exchange x = X_AUTH; x < X_CNT; x++) {
		struct range *r = make_range(x);
		uint8_t room[PEER_MSG_MAX];
		size_t len = make_message(r, &r->h, r->first, bytes_of(r->chain, r->len), room);
		for (size_t bit = 0; bit < len * 8; bit++) {
			room[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (bit / 8 >= 8 && bit / 8 < 16) {
				/* SPIr: another SA, which there is not */
				struct outcome o = shoot_bytes(r, bytes_of(room, len));
				must_change_nothing(r, &o);
			} else if (bit / 8 != 17) { /* a major version above 2 gets INVALID_MAJOR_VERSION at the first door */
				struct outcome o = shoot_bytes(r, bytes_of(room, len));
				must_change_nothing(r, &o);
			}
			room[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		assert_true(shoot_bytes(r, bytes_of(room, len)).accepted);
		free_range(r);
	}
}

static void a_message_cut_anywhere_changes_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		uint8_t room[PEER_MSG_MAX];
		size_t len = make_message(r, &r->h, r->first, bytes_of(r->chain, r->len), room);
		for (size_t cut = 0; cut < len; cut++) {
			/* exactly that much memory, so that a read behind it is seen */
			uint8_t *copy = malloc(cut + 1);
			struct wr w = wr_of((struct space){ room, len });
			must(copy != NULL);
			memcpy(copy, room, cut);
			struct outcome o = shoot_bytes(r, bytes_of(copy, cut));
			must_change_nothing(r, &o);
			if (cut >= WIRE_IKE_HEADER_LEN) { /* and with a length field that agrees */
				(void)wr_reserve(&w, len);
				copy[24] = copy[25] = 0;
				copy[26] = (uint8_t)(cut >> 8);
				copy[27] = (uint8_t)cut;
				o = shoot_bytes(r, bytes_of(copy, cut));
				must_change_nothing(r, &o);
			}
			free(copy);
		}
		free_range(r);
	}
}

static void a_wrong_message_id_changes_nothing(void **state)
{
	static const uint32_t ids[] = { 0, 1, 2, 3, 4, 5, 6, 7, 100, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };

	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
			struct wire_ike_header h = r->h;
			bool ahead = r->sa != NULL && ids[i] > r->h.msg_id && ids[i] != UINT32_MAX;
			if (ids[i] == r->h.msg_id || ahead) /* an SA that stands follows a jump of its peer */
				continue;
			h.msg_id = ids[i];
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			must_change_nothing(r, &o);
			assert_int_equal(r->n->g.drops[MODEL_DROP_ike_msgid], r->saved.drops[MODEL_DROP_ike_msgid] + 1);
		}
		free_range(r);
	}
}

static void other_exchange_types_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (unsigned type = 0; type < 256; type++) {
			struct wire_ike_header h = r->h;
			bool created = r->sa != NULL;
			if (type == r->h.exchange ||
			    (created && (type == IKE_EX_CREATE_CHILD_SA || type == IKE_EX_INFORMATIONAL)))
				continue;
			h.exchange = (uint8_t)type;
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			must_change_nothing(r, &o);
		}
		free_range(r);
	}
}

static void other_flags_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (unsigned flags = 0; flags < 256; flags++) {
			struct wire_ike_header h = r->h;
			bool request = (flags & (IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE)) == IKE_FLAG_INITIATOR;
			h.flags = (uint8_t)flags;
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			if (request)
				assert_true(o.accepted); /* reserved flags are ignored (RFC 7296 3.1) */
			else
				must_change_nothing(r, &o);
		}
		free_range(r);
	}
}

static void other_versions_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x < X_CNT; x++) {
		struct range *r = make_range(x);
		for (unsigned major = 0; major < 16; major++) {
			struct wire_ike_header h = r->h;
			if (major == 2)
				continue;
			h.major = (uint8_t)major;
			struct outcome o = shoot(r, &h, r->first, bytes_of(r->chain, r->len));
			assert_int_equal(gateway_fingerprint(&r->n->g), gateway_fingerprint(&r->saved));
			assert_true(o.drops == 1);
			assert_int_equal(o.notify, r->plain && major > 2 ? IKE_N_INVALID_MAJOR_VERSION : 0);
			assert_int_equal(o.replied, r->plain && major > 2);
			if (major == 1)
				assert_int_equal(r->n->g.drops[MODEL_DROP_ike_v1], r->saved.drops[MODEL_DROP_ike_v1] + 1);
		}
		free_range(r);
	}
}

/* ISAKMP: a Main Mode SA payload of a real IKEv1 peer, and each exchange and payload type of that version. */
static void ikev1_gets_no_answer(void **state)
{
	struct range *r = make_range(X_INIT);
	uint8_t msg[128] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	(void)state;
	msg[17] = 0x10;
	msg[27] = sizeof(msg);
	for (unsigned exchange = 0; exchange < 256; exchange++) {
		for (unsigned first = 0; first < 16; first++) {
			msg[16] = (uint8_t)first;
			msg[18] = (uint8_t)exchange;
			struct outcome o = shoot_bytes(r, BYTES_OF(msg));
			must_change_nothing(r, &o);
			assert_int_equal(o.failures, 1);
			assert_int_equal(r->n->g.failure.code, MODEL_FAILURE_IKEV1);
		}
	}
	free_range(r);
}

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

static void random_datagrams_change_nothing(void **state)
{
	(void)state;
	for (enum exchange x = 0; x <= X_CHILD; x++) {
		struct range *r = make_range(x);
		uint32_t seed = 4711 + x;
		for (unsigned run = 0; run < 20000; run++) {
			uint8_t b[300];
			size_t len = run % sizeof(b);
			for (size_t i = 0; i < sizeof(b); i++) {
				seed = seed * 1664525u + 1013904223u;
				b[i] = (uint8_t)(seed >> 24);
			}
			if (run % 3 != 0 && len >= 28) { /* looks right up to the first payload */
				struct wr w = wr_of(SPACE_OF(b));
				wr_u64(&w, r->h.spi_i);
				wr_u64(&w, run % 3 == 1 ? r->h.spi_r : 0);
				wr_u8(&w, b[16]);
				wr_u8(&w, 0x20);
				wr_u8(&w, run % 3 == 1 ? r->h.exchange : IKE_EX_SA_INIT);
				wr_u8(&w, 8);
				wr_u32(&w, run % 3 == 1 ? r->h.msg_id : 0);
				wr_u32(&w, (uint32_t)len);
			}
			struct outcome o = { 0 };
			put_back(r);
			gateway_input(&r->n->g, &r->n->p.remote, &r->n->p.local, bytes_of(b, len));
			o.replied = r->n->g.out_cnt > 0 && r->n->g.out[0].len > len;
			o.drops = sum_drops(&r->n->g) - sum_drops(&r->saved);
			must_change_nothing(r, &o);
		}
		free_range(r);
	}
}

/* ---- answers to our own requests ---- */

static void a_changed_answer_to_our_request_changes_nothing(void **state)
{
	struct range *r = make_range(X_LIVENESS);
	struct net *n = r->n;
	uint8_t good[PEER_MSG_MAX], bad[PEER_MSG_MAX];
	unsigned which;

	(void)state;
	n->p.ike[0].step = PEER_IDLE;
	n->g.now_us += 31000000;
	gateway_timers(&n->g);
	assert_int_equal(n->g.out_cnt, 1);
	assert_int_equal(peer_input(&n->p, bytes_of(n->g.out[0].b, n->g.out[0].len), &which), PEER_EV_ANSWER);
	size_t len = n->p.ike[0].answer_len;
	memcpy(good, n->p.ike[0].answer, len);
	save(r);
	for (size_t bit = 0; bit < len * 8; bit++) {
		if (bit / 8 == 17)
			continue;
		memcpy(bad, good, len);
		bad[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct outcome o = shoot_bytes(r, bytes_of(bad, len));
		must_change_nothing(r, &o);
	}
	put_back(r);
	gateway_input(&n->g, &n->p.remote, &n->p.local, bytes_of(good, len));
	assert_int_equal(gateway_sa(&n->g, n->p.ike[0].spi_r).request.kind, IKE_REQUEST_NONE);
	/* the same answer again belongs to no request */
	save(r);
	struct outcome o = shoot_bytes(r, bytes_of(good, len));
	must_change_nothing(r, &o);
	free_range(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests_are_accepted),
		cmocka_unit_test(a_missing_payload_is_refused),
		cmocka_unit_test(a_repeated_payload_is_refused),
		cmocka_unit_test(payloads_in_another_order_are_accepted),
		cmocka_unit_test(a_wrong_payload_length_is_refused),
		cmocka_unit_test(a_body_cut_anywhere_is_handled),
		cmocka_unit_test(any_payload_type_in_any_place_is_handled),
		cmocka_unit_test(an_unknown_critical_payload_is_named_in_the_answer),
		cmocka_unit_test(the_critical_bit_of_a_known_payload_is_ignored),
		cmocka_unit_test(any_changed_byte_inside_is_handled),
		cmocka_unit_test(any_flipped_bit_of_a_protected_message_changes_nothing),
		cmocka_unit_test(a_message_cut_anywhere_changes_nothing),
		cmocka_unit_test(a_wrong_message_id_changes_nothing),
		cmocka_unit_test(other_exchange_types_change_nothing),
		cmocka_unit_test(other_flags_change_nothing),
		cmocka_unit_test(other_versions_change_nothing),
		cmocka_unit_test(ikev1_gets_no_answer),
		cmocka_unit_test(all_transform_ids_of_ike_sa_init_are_judged),
		cmocka_unit_test(all_transform_ids_of_a_child_rekey_are_judged),
		cmocka_unit_test(random_datagrams_change_nothing),
		cmocka_unit_test(a_changed_answer_to_our_request_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
