#include "model/record.h"

enum err model_record_start(struct model_record *d, struct bytes record, uint16_t max_version)
{
	*d = (struct model_record){ .r = rd_of(record) };
	return tlv_start(&d->r, max_version, &d->version);
}

void model_record_start_nested(struct model_record *d, struct bytes value)
{
	*d = (struct model_record){ .r = rd_of(value) };
}

unsigned model_record_next(struct model_record *d, uint64_t repeated)
{
	do {
		if (!tlv_next(&d->r, &d->field))
			return 0;
	} while (d->field.type == 0 || d->field.type >= 64);

	uint64_t bit = MODEL_RECORD_BIT(d->field.type);
	if ((d->seen & bit & ~repeated) != 0)
		d->bad = true;
	d->seen |= bit;
	return d->field.type;
}

enum err model_record_end(const struct model_record *d, uint64_t required)
{
	if (d->r.bad)
		return ERR_SHORT;
	return d->bad || (d->seen & required) != required ? ERR_SYNTAX : ERR_NONE;
}

uint8_t model_record_u8(struct model_record *d, uint8_t max)
{
	bool ok = true;
	uint8_t v = tlv_get_u8(&d->field, &ok);
	if (!ok || v > max) {
		d->bad = true;
		return 0;
	}
	return v;
}

bool model_record_bool(struct model_record *d)
{
	return model_record_u8(d, 1) == 1;
}

uint16_t model_record_u16(struct model_record *d)
{
	bool ok = true;
	uint16_t v = tlv_get_u16(&d->field, &ok);
	d->bad |= !ok;
	return v;
}

uint32_t model_record_u32(struct model_record *d)
{
	bool ok = true;
	uint32_t v = tlv_get_u32(&d->field, &ok);
	d->bad |= !ok;
	return v;
}

uint64_t model_record_u64(struct model_record *d)
{
	bool ok = true;
	uint64_t v = tlv_get_u64(&d->field, &ok);
	d->bad |= !ok;
	return v;
}

struct model_id model_record_id(struct model_record *d)
{
	struct model_id id = { 0 };
	model_record_copy(d, id.b, sizeof(id.b));
	return id;
}

struct addr model_record_addr(struct model_record *d)
{
	bool ok = true;
	struct addr a = tlv_get_addr(&d->field, &ok);
	d->bad |= !ok;
	return a;
}

struct addr_prefix model_record_prefix(struct model_record *d)
{
	bool ok = true;
	struct addr_prefix p = tlv_get_prefix(&d->field, &ok);
	/* bytes that are no address read as "no address" and would not come back when written again */
	d->bad |= !ok || (p.addr.family == ADDR_NONE && d->field.value.len != 1);
	return p;
}

struct addr_endpoint model_record_endpoint(struct model_record *d)
{
	bool ok = true;
	struct addr_endpoint e = tlv_get_endpoint(&d->field, &ok);
	d->bad |= !ok;
	return e;
}

void model_record_copy(struct model_record *d, void *dst, size_t n)
{
	bool ok = true;
	tlv_get_copy(&d->field, dst, n, &ok);
	d->bad |= !ok;
}

void model_record_text(struct model_record *d, char *dst, size_t cap)
{
	bool ok = true;
	tlv_get_text(&d->field, dst, cap, &ok);
	d->bad |= !ok;
}

uint16_t model_record_blob(struct model_record *d, uint8_t *dst, size_t cap)
{
	size_t len = d->field.value.len;
	if (len > cap) {
		d->bad = true;
		return 0;
	}
	model_record_copy(d, dst, len);
	return (uint16_t)len;
}

void model_record_put_id(struct wr *w, uint16_t type, const struct model_id *id)
{
	tlv_bytes(w, type, bytes_of(id->b, sizeof(id->b)));
}

enum { KEY_STEP = 4 };

static bool ends_in_zeros(struct bytes key)
{
	uint8_t any = 0;

	for (size_t i = 1; i <= KEY_STEP; i++)
		any |= key.p[key.len - i];
	return any == 0;
}

void model_record_put_key(struct wr *w, uint16_t version, struct bytes key)
{
	must(key.len <= UINT8_MAX && key.len % KEY_STEP == 0);
	if (version >= MODEL_FORMAT_SHORT_KEYS) {
		while (key.len != 0 && ends_in_zeros(key))
			key.len -= KEY_STEP;
		wr_u8(w, (uint8_t)key.len);
	}
	wr_put(w, key);
}

void model_record_get_key(struct rd *r, uint16_t version, uint8_t *key, size_t cap)
{
	size_t len = version >= MODEL_FORMAT_SHORT_KEYS ? rd_u8(r) : cap;

	if (len > cap) {
		r->bad = true;
		return;
	}
	rd_copy(r, key, len);
	memset(key + len, 0, cap - len);
}
