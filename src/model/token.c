#include "model/token.h"

#include "model/record.h"

enum { VERSION = 1 };
enum field { F_ID = 1, F_ACCOUNT, F_HASH, F_RIGHT, F_NAME, F_EMAIL, F_CREATED, F_REVOKED };
#define REQUIRED                                                                                      \
	(MODEL_RECORD_BIT(F_ID) | MODEL_RECORD_BIT(F_ACCOUNT) | MODEL_RECORD_BIT(F_HASH) |            \
	 MODEL_RECORD_BIT(F_RIGHT) | MODEL_RECORD_BIT(F_REVOKED))

enum err model_token_encode(const struct model_token *t, struct wr *w)
{
	tlv_begin(w, VERSION);
	model_record_put_id(w, F_ID, &t->id);
	model_record_put_id(w, F_ACCOUNT, &t->account_id);
	tlv_bytes(w, F_HASH, BYTES_OF(t->hash));
	tlv_u8(w, F_RIGHT, t->right);
	tlv_text(w, F_NAME, t->name);
	tlv_text(w, F_EMAIL, t->email);
	tlv_u64(w, F_CREATED, t->created_us);
	tlv_u64(w, F_REVOKED, t->revoked_us);
	return model_record_written(w);
}

enum err model_token_decode(struct bytes record, struct model_token *ret)
{
	struct model_token t = { 0 };
	struct model_record d;
	enum err e = model_record_start(&d, record, VERSION);

	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, 0)) != 0;) {
		switch (type) {
		case F_ID: t.id = model_record_id(&d); break;
		case F_ACCOUNT: t.account_id = model_record_id(&d); break;
		case F_HASH: model_record_copy(&d, t.hash, sizeof(t.hash)); break;
		case F_RIGHT:
			t.right = model_record_u8(&d, MODEL_TOKEN_WRITE);
			d.bad |= t.right == 0;
			break;
		case F_NAME: model_record_text(&d, t.name, sizeof(t.name)); break;
		case F_EMAIL: model_record_text(&d, t.email, sizeof(t.email)); break;
		case F_CREATED: t.created_us = model_record_u64(&d); break;
		case F_REVOKED: t.revoked_us = model_record_u64(&d); break;
		}
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = t;
	return e;
}
