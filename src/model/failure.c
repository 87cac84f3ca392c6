#include "model/failure.h"

#include "model/record.h"

static const struct {
	const char *name, *text;
} failures[] = {
#define ROW(name, code, text) [MODEL_FAILURE_##name] = { code, text },
	MODEL_FAILURE_LIST(ROW)
#undef ROW
};

static const char *const stage_names[] = {
	[MODEL_STAGE_SA_INIT] = "sa_init", [MODEL_STAGE_AUTH] = "auth", [MODEL_STAGE_CHILD] = "child",
	[MODEL_STAGE_LIVE] = "live",       [MODEL_STAGE_DATA] = "data",
};

const char *model_failure_code_name(uint8_t code)
{
	return code < MODEL_FAILURE_CNT ? failures[code].name : "unknown";
}

const char *model_failure_text(uint8_t code)
{
	return code < MODEL_FAILURE_CNT ? failures[code].text : "a failure that this program does not know";
}

const char *model_stage_name(uint8_t stage)
{
	return stage < ARRAY_LEN(stage_names) ? stage_names[stage] : "unknown";
}

/* The code travels as its stable name, so that the list may be ordered anew. */
enum { VERSION = 1 };
enum field {
	F_CODE = 1,
	F_STAGE,
	F_ACCOUNT,
	F_TUNNEL,
	F_LOCAL,
	F_REMOTE,
	F_IDENTITY,
	F_OFFERED,
	F_ALLOWED,
	F_FIRST,
	F_LAST,
	F_CNT,
	F_OFFER,
	F_ALLOW,
	F_NEAR_ACCOUNT,
	F_NEAR_TUNNEL,
	F_NEAR_NUMBER,
	F_OVER,
};
#define REQUIRED (MODEL_RECORD_BIT(F_CODE) | MODEL_RECORD_BIT(F_STAGE))

/* What a stranger had a hand in goes on to logs, terminals and JSON: printable ASCII only. */
static bool is_printable(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

static void put_printable(struct wr *w, uint16_t type, const char *text)
{
	struct bytes b = bytes_str(text);
	size_t mark = tlv_open(w, type);
	for (size_t i = 0; i < b.len; i++)
		wr_u8(w, is_printable(b.p[i]) ? b.p[i] : '?');
	tlv_close(w, mark);
}

static void get_printable(struct model_record *d, char *dst, size_t cap)
{
	model_record_text(d, dst, cap);
	for (const char *c = dst; *c != 0; c++)
		d->bad |= !is_printable((uint8_t)*c);
}

enum { OFFERED_LEN = 6 };

static void put_offered(struct wr *w, uint16_t type, const struct model_offered *list, unsigned cnt)
{
	size_t mark = tlv_open(w, type);
	for (unsigned i = 0; i < cnt; i++) {
		wr_u8(w, list[i].proposal);
		wr_u8(w, list[i].type);
		wr_u16(w, list[i].id);
		wr_u16(w, list[i].key_bits);
	}
	tlv_close(w, mark);
}

static uint8_t get_offered(struct model_record *d, struct model_offered *list, unsigned cap)
{
	struct rd r = rd_of(d->field.value);
	unsigned cnt = 0;

	for (; cnt < cap && rd_left(&r) >= OFFERED_LEN; cnt++) {
		list[cnt].proposal = rd_u8(&r);
		list[cnt].type = rd_u8(&r);
		list[cnt].id = rd_u16(&r);
		list[cnt].key_bits = rd_u16(&r);
	}
	d->bad |= rd_left(&r) != 0;
	return (uint8_t)cnt;
}

static uint8_t get_code(struct model_record *d)
{
	uint8_t code = 0;
	while (code < MODEL_FAILURE_CNT && !bytes_eq(d->field.value, bytes_str(failures[code].name)))
		code++;
	return code; /* MODEL_FAILURE_CNT: from a newer program, shown as unknown */
}

enum err model_failure_encode(const struct model_failure *f, struct wr *w)
{
	tlv_begin(w, VERSION);
	tlv_text(w, F_CODE, model_failure_code_name(f->code));
	tlv_u8(w, F_STAGE, f->stage);
	model_record_put_id(w, F_ACCOUNT, &f->account_id);
	model_record_put_id(w, F_TUNNEL, &f->tunnel_id);
	tlv_endpoint(w, F_LOCAL, &f->local);
	tlv_endpoint(w, F_REMOTE, &f->remote);
	put_printable(w, F_IDENTITY, f->identity);
	put_printable(w, F_OFFERED, f->offered);
	put_printable(w, F_ALLOWED, f->allowed);
	tlv_u64(w, F_FIRST, f->first_us);
	tlv_u64(w, F_LAST, f->last_us);
	tlv_u32(w, F_CNT, f->cnt);
	if (f->offer_cnt != 0)
		put_offered(w, F_OFFER, f->offer, f->offer_cnt);
	if (f->allow_cnt != 0)
		put_offered(w, F_ALLOW, f->allow, f->allow_cnt);
	if (!model_id_is_zero(&f->near_tunnel_id)) {
		model_record_put_id(w, F_NEAR_ACCOUNT, &f->near_account_id);
		model_record_put_id(w, F_NEAR_TUNNEL, &f->near_tunnel_id);
		tlv_u32(w, F_NEAR_NUMBER, f->near_account_number);
	}
	if (f->over_us != 0)
		tlv_u64(w, F_OVER, f->over_us);
	return model_record_written(w);
}

enum err model_failure_decode(struct bytes record, struct model_failure *ret)
{
	struct model_failure f = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, record, VERSION);

	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case F_CODE: f.code = get_code(&d); break;
		case F_STAGE: f.stage = model_record_u8(&d, MODEL_STAGE_DATA); break;
		case F_ACCOUNT: f.account_id = model_record_id(&d); break;
		case F_TUNNEL: f.tunnel_id = model_record_id(&d); break;
		case F_LOCAL: f.local = model_record_endpoint(&d); break;
		case F_REMOTE: f.remote = model_record_endpoint(&d); break;
		case F_IDENTITY: get_printable(&d, f.identity, sizeof(f.identity)); break;
		case F_OFFERED: get_printable(&d, f.offered, sizeof(f.offered)); break;
		case F_ALLOWED: get_printable(&d, f.allowed, sizeof(f.allowed)); break;
		case F_FIRST: f.first_us = model_record_u64(&d); break;
		case F_LAST: f.last_us = model_record_u64(&d); break;
		case F_CNT: f.cnt = model_record_u32(&d); break;
		case F_OFFER: f.offer_cnt = get_offered(&d, f.offer, MODEL_OFFER_MAX); break;
		case F_ALLOW: f.allow_cnt = get_offered(&d, f.allow, MODEL_ALLOW_MAX); break;
		case F_NEAR_ACCOUNT: f.near_account_id = model_record_id(&d); break;
		case F_NEAR_TUNNEL: f.near_tunnel_id = model_record_id(&d); break;
		case F_NEAR_NUMBER: f.near_account_number = model_record_u32(&d); break;
		case F_OVER: f.over_us = model_record_u64(&d); break;
		}
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = f;
	return e;
}
