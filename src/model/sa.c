#include "model/sa.h"

#include "base/secret.h"
#include "model/record.h"

enum suite_field { S_ENCR = 1, S_KEY_BITS, S_PRF, S_INTEG, S_GROUP, S_ESN };

void model_suite_put(struct wr *w, uint16_t type, const struct model_suite *s)
{
	size_t mark = tlv_open(w, type);
	tlv_u16(w, S_ENCR, s->encr);
	tlv_u16(w, S_KEY_BITS, s->key_bits);
	tlv_u16(w, S_PRF, s->prf);
	tlv_u16(w, S_INTEG, s->integ);
	tlv_u16(w, S_GROUP, s->group);
	tlv_u16(w, S_ESN, s->esn);
	tlv_close(w, mark);
}

enum err model_suite_get(struct bytes value, struct model_suite *ret)
{
	struct model_suite s = { 0 };
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case S_ENCR: s.encr = model_record_u16(&d); break;
		case S_KEY_BITS: s.key_bits = model_record_u16(&d); break;
		case S_PRF: s.prf = model_record_u16(&d); break;
		case S_INTEG: s.integ = model_record_u16(&d); break;
		case S_GROUP: s.group = model_record_u16(&d); break;
		case S_ESN: s.esn = model_record_u16(&d); break;
		}
	}
	enum err e = model_record_end(&d, MODEL_RECORD_BIT(S_ENCR) | MODEL_RECORD_BIT(S_INTEG));
	if (e == ERR_NONE)
		*ret = s;
	return e;
}

enum path_field { P_LOCAL = 1, P_REMOTE, P_UDP };

void model_path_put(struct wr *w, uint16_t type, const struct model_path *p)
{
	size_t mark = tlv_open(w, type);
	tlv_endpoint(w, P_LOCAL, &p->local);
	tlv_endpoint(w, P_REMOTE, &p->remote);
	tlv_u8(w, P_UDP, p->udp_encap);
	tlv_close(w, mark);
}

enum err model_path_get(struct bytes value, struct model_path *ret)
{
	struct model_path p = { 0 };
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case P_LOCAL: p.local = model_record_endpoint(&d); break;
		case P_REMOTE: p.remote = model_record_endpoint(&d); break;
		case P_UDP: p.udp_encap = model_record_bool(&d); break;
		}
	}
	enum err e = model_record_end(&d, MODEL_RECORD_BIT(P_LOCAL) | MODEL_RECORD_BIT(P_REMOTE) |
						  MODEL_RECORD_BIT(P_UDP));
	if (e == ERR_NONE && p.local.addr.family != p.remote.addr.family)
		e = ERR_SYNTAX;
	if (e == ERR_NONE)
		*ret = p;
	return e;
}

enum ts_field { T_PROTOCOL = 1, T_PORT_FIRST, T_PORT_LAST, T_FIRST, T_LAST };

void model_ts_put(struct wr *w, uint16_t type, const struct model_ts *ts)
{
	size_t mark = tlv_open(w, type);
	tlv_u8(w, T_PROTOCOL, ts->protocol);
	tlv_u16(w, T_PORT_FIRST, ts->port_first);
	tlv_u16(w, T_PORT_LAST, ts->port_last);
	tlv_addr(w, T_FIRST, &ts->first);
	tlv_addr(w, T_LAST, &ts->last);
	tlv_close(w, mark);
}

enum err model_ts_get(struct bytes value, struct model_ts *ret)
{
	struct model_ts ts = { 0 };
	struct model_record d;

	model_record_start_nested(&d, value);
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case T_PROTOCOL: ts.protocol = model_record_u8(&d, UINT8_MAX); break;
		case T_PORT_FIRST: ts.port_first = model_record_u16(&d); break;
		case T_PORT_LAST: ts.port_last = model_record_u16(&d); break;
		case T_FIRST: ts.first = model_record_addr(&d); break;
		case T_LAST: ts.last = model_record_addr(&d); break;
		}
	}
	/* a selector that lost its ports or its end would let through more than was agreed, or nothing */
	enum err e = model_record_end(&d, MODEL_RECORD_BIT(T_PROTOCOL) | MODEL_RECORD_BIT(T_PORT_FIRST) |
						  MODEL_RECORD_BIT(T_PORT_LAST) | MODEL_RECORD_BIT(T_FIRST) |
						  MODEL_RECORD_BIT(T_LAST));
	if (e == ERR_NONE && (ts.first.family == ADDR_NONE || ts.first.family != ts.last.family))
		e = ERR_SYNTAX;
	if (e == ERR_NONE)
		*ret = ts;
	return e;
}

bool model_ts_contains(const struct model_ts *ts, const struct addr *a, uint8_t protocol, uint16_t port)
{
	return (ts->protocol == 0 || ts->protocol == protocol) && port >= ts->port_first &&
	       port <= ts->port_last && a->family == ts->first.family && addr_cmp(a, &ts->first) >= 0 &&
	       addr_cmp(a, &ts->last) <= 0;
}

/* ---- the Child SA ---- */

enum field {
	F_SPI_IN = 1,
	F_SPI_OUT,
	F_IKE_SPI,
	F_ACCOUNT,
	F_TUNNEL,
	F_SUITE,
	F_KEYS_IN,
	F_KEYS_OUT,
	F_PATH,
	F_TS_LOCAL,
	F_TS_REMOTE,
	F_CREATED,
	F_EXPIRES,
	F_SEQUENCED, /* not there: no */
	F_SEQ_OUT_FIRST = 20,
};
#define REPEATED (MODEL_RECORD_BIT(F_TS_LOCAL) | MODEL_RECORD_BIT(F_TS_REMOTE))
#define REQUIRED                                                                               \
	(MODEL_RECORD_BIT(F_SPI_IN) | MODEL_RECORD_BIT(F_SPI_OUT) | MODEL_RECORD_BIT(F_IKE_SPI) | \
	 MODEL_RECORD_BIT(F_ACCOUNT) | MODEL_RECORD_BIT(F_TUNNEL) | MODEL_RECORD_BIT(F_SUITE) | \
	 MODEL_RECORD_BIT(F_KEYS_IN) | MODEL_RECORD_BIT(F_KEYS_OUT) | MODEL_RECORD_BIT(F_PATH) | REPEATED | \
	 MODEL_RECORD_BIT(F_EXPIRES))

static void put_keys(struct wr *w, uint16_t type, const struct model_child_keys *k, uint16_t format)
{
	size_t mark = tlv_open(w, type);
	model_record_put_key(w, format, BYTES_OF(k->encr));
	model_record_put_key(w, format, BYTES_OF(k->integ));
	tlv_close(w, mark);
}

static void get_keys(struct model_record *d, struct model_child_keys *k)
{
	struct rd r = rd_of(d->field.value);
	model_record_get_key(&r, d->version, k->encr, sizeof(k->encr));
	model_record_get_key(&r, d->version, k->integ, sizeof(k->integ));
	d->bad |= !rd_done(&r);
}

enum err model_child_encode(const struct model_child_sa *c, uint16_t format, struct wr *w)
{
	must(c->ts_local_cnt <= MODEL_TS_MAX && c->ts_remote_cnt <= MODEL_TS_MAX);
	tlv_begin(w, format);
	tlv_u32(w, F_SPI_IN, c->spi_in);
	tlv_u32(w, F_SPI_OUT, c->spi_out);
	tlv_u64(w, F_IKE_SPI, c->ike_spi);
	model_record_put_id(w, F_ACCOUNT, &c->account_id);
	model_record_put_id(w, F_TUNNEL, &c->tunnel_id);
	model_suite_put(w, F_SUITE, &c->suite);
	put_keys(w, F_KEYS_IN, &c->keys_in, format);
	put_keys(w, F_KEYS_OUT, &c->keys_out, format);
	model_path_put(w, F_PATH, &c->path);
	for (size_t i = 0; i < c->ts_local_cnt; i++)
		model_ts_put(w, F_TS_LOCAL, &c->ts_local[i]);
	for (size_t i = 0; i < c->ts_remote_cnt; i++)
		model_ts_put(w, F_TS_REMOTE, &c->ts_remote[i]);
	tlv_u64(w, F_CREATED, c->created_us);
	tlv_u64(w, F_EXPIRES, c->expires_us);
	if (c->sequenced)
		tlv_u8(w, F_SEQUENCED, true);
	if (c->seq_out_first != 0)
		tlv_u64(w, F_SEQ_OUT_FIRST, c->seq_out_first);
	return model_record_written(w);
}

static enum err take_ts(struct bytes value, struct model_ts list[static MODEL_TS_MAX], uint8_t *cnt)
{
	if (*cnt == MODEL_TS_MAX)
		return ERR_SYNTAX;
	enum err e = model_ts_get(value, &list[*cnt]);
	if (e == ERR_NONE)
		(*cnt)++;
	return e;
}

static enum err get_field(struct model_record *d, unsigned type, struct model_child_sa *c)
{
	switch (type) {
	case F_SPI_IN: c->spi_in = model_record_u32(d); break;
	case F_SPI_OUT: c->spi_out = model_record_u32(d); break;
	case F_IKE_SPI: c->ike_spi = model_record_u64(d); break;
	case F_ACCOUNT: c->account_id = model_record_id(d); break;
	case F_TUNNEL: c->tunnel_id = model_record_id(d); break;
	case F_SUITE: return model_suite_get(d->field.value, &c->suite);
	case F_KEYS_IN: get_keys(d, &c->keys_in); break;
	case F_KEYS_OUT: get_keys(d, &c->keys_out); break;
	case F_PATH: return model_path_get(d->field.value, &c->path);
	case F_TS_LOCAL: return take_ts(d->field.value, c->ts_local, &c->ts_local_cnt);
	case F_TS_REMOTE: return take_ts(d->field.value, c->ts_remote, &c->ts_remote_cnt);
	case F_CREATED: c->created_us = model_record_u64(d); break;
	case F_EXPIRES: c->expires_us = model_record_u64(d); break;
	case F_SEQUENCED: c->sequenced = model_record_bool(d); break;
	case F_SEQ_OUT_FIRST: c->seq_out_first = model_record_u64(d); break;
	}
	return ERR_NONE;
}

enum err model_child_decode(struct bytes record, struct model_child_sa *ret)
{
	struct model_child_sa c = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, record, model_format_newest());

	while (e == ERR_NONE) {
		unsigned type = model_record_next(&d, REPEATED);
		if (type == 0)
			break;
		e = get_field(&d, type, &c);
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = c;
	secret_wipe(&c, sizeof(c));
	return e;
}
