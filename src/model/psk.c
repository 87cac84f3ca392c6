#include "model/psk.h"

#include "model/record.h"

enum { VERSION = 1 };
enum field { F_TUNNEL = 1, F_CURRENT, F_PREVIOUS, F_SET };
#define REQUIRED (MODEL_RECORD_BIT(F_TUNNEL) | MODEL_RECORD_BIT(F_CURRENT))

enum err model_psk_encode(const struct model_psk *p, struct wr *w)
{
	must(p->current_len <= sizeof(p->current) && p->previous_len <= sizeof(p->previous));
	tlv_begin(w, VERSION);
	model_record_put_id(w, F_TUNNEL, &p->tunnel_id);
	tlv_bytes(w, F_CURRENT, bytes_of(p->current, p->current_len));
	if (p->previous_len != 0)
		tlv_bytes(w, F_PREVIOUS, bytes_of(p->previous, p->previous_len));
	tlv_u64(w, F_SET, p->set_us);
	return model_record_written(w);
}

enum err model_psk_decode(struct bytes record, struct model_psk *ret)
{
	struct model_psk p = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, record, VERSION);

	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case F_TUNNEL: p.tunnel_id = model_record_id(&d); break;
		case F_CURRENT: p.current_len = model_record_blob(&d, p.current, sizeof(p.current)); break;
		case F_PREVIOUS: p.previous_len = model_record_blob(&d, p.previous, sizeof(p.previous)); break;
		case F_SET: p.set_us = model_record_u64(&d); break;
		}
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = p;
	return e;
}
