#include "model/state.h"

#include "model/record.h"

enum { VERSION = 1 };
enum field { F_ACCOUNT = 1, F_TUNNEL, F_UP, F_SINCE, F_FAILURE };
#define REQUIRED (MODEL_RECORD_BIT(F_ACCOUNT) | MODEL_RECORD_BIT(F_TUNNEL) | MODEL_RECORD_BIT(F_UP))

enum err model_tunnel_state_encode(const struct model_tunnel_state *s, struct wr *w)
{
	enum err e = ERR_NONE;
	tlv_begin(w, VERSION);
	model_record_put_id(w, F_ACCOUNT, &s->account_id);
	model_record_put_id(w, F_TUNNEL, &s->tunnel_id);
	tlv_u8(w, F_UP, s->up);
	tlv_u64(w, F_SINCE, s->since_us);
	if (s->has_failure) {
		size_t mark = tlv_open(w, F_FAILURE);
		e = model_failure_encode(&s->failure, w);
		tlv_close(w, mark);
	}
	return e != ERR_NONE ? e : model_record_written(w);
}

enum err model_tunnel_state_decode(struct bytes record, struct model_tunnel_state *ret)
{
	struct model_tunnel_state s = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, record, VERSION);

	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case F_ACCOUNT: s.account_id = model_record_id(&d); break;
		case F_TUNNEL: s.tunnel_id = model_record_id(&d); break;
		case F_UP: s.up = model_record_u8(&d, MODEL_TUNNEL_UP); break;
		case F_SINCE: s.since_us = model_record_u64(&d); break;
		case F_FAILURE:
			s.has_failure = true;
			e = model_failure_decode(d.field.value, &s.failure);
			break;
		}
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = s;
	return e;
}
