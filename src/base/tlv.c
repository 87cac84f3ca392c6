#include "base/tlv.h"

void tlv_begin(struct wr *w, uint16_t version)
{
	wr_u16(w, version);
}

void tlv_bytes(struct wr *w, uint16_t type, struct bytes value)
{
	if (value.len > UINT16_MAX) {
		w->bad = true;
		return;
	}
	wr_u16(w, type);
	wr_u16(w, (uint16_t)value.len);
	wr_put(w, value);
}

void tlv_u8(struct wr *w, uint16_t type, uint8_t v)
{
	tlv_bytes(w, type, bytes_of(&v, 1));
}

void tlv_u16(struct wr *w, uint16_t type, uint16_t v)
{
	wr_u16(w, type);
	wr_u16(w, 2);
	wr_u16(w, v);
}

void tlv_u32(struct wr *w, uint16_t type, uint32_t v)
{
	wr_u16(w, type);
	wr_u16(w, 4);
	wr_u32(w, v);
}

void tlv_u64(struct wr *w, uint16_t type, uint64_t v)
{
	wr_u16(w, type);
	wr_u16(w, 8);
	wr_u64(w, v);
}

void tlv_text(struct wr *w, uint16_t type, const char *text)
{
	tlv_bytes(w, type, bytes_str(text));
}

void tlv_addr(struct wr *w, uint16_t type, const struct addr *a)
{
	tlv_bytes(w, type, addr_bytes(a));
}

void tlv_prefix(struct wr *w, uint16_t type, const struct addr_prefix *p)
{
	size_t mark = tlv_open(w, type);
	wr_u8(w, p->len);
	wr_put(w, addr_bytes(&p->addr));
	tlv_close(w, mark);
}

void tlv_endpoint(struct wr *w, uint16_t type, const struct addr_endpoint *e)
{
	size_t mark = tlv_open(w, type);
	wr_u16(w, e->port);
	wr_put(w, addr_bytes(&e->addr));
	tlv_close(w, mark);
}

size_t tlv_open(struct wr *w, uint16_t type)
{
	wr_u16(w, type);
	wr_u16(w, 0);
	return wr_len(w);
}

void tlv_close(struct wr *w, size_t mark)
{
	if (w->bad)
		return;
	size_t len = wr_len(w) - mark;
	if (len > UINT16_MAX)
		w->bad = true;
	else
		wr_set_u16(w, mark - 2, (uint16_t)len);
}

MUST_USE enum err tlv_start(struct rd *r, uint16_t max_version, uint16_t *ret_version)
{
	uint16_t v = rd_u16(r);
	if (r->bad)
		return ERR_SHORT;
	if (v == 0 || v > max_version)
		return ERR_VERSION;
	*ret_version = v;
	return ERR_NONE;
}

bool tlv_next(struct rd *r, struct tlv *ret)
{
	if (rd_left(r) == 0)
		return false;
	struct tlv t = { .type = rd_u16(r) };
	t.value = rd_bytes(r, rd_u16(r));
	if (r->bad)
		return false;
	*ret = t;
	return true;
}

/* Reads a number of n bytes that must fill the value. */
static uint64_t get_number(const struct tlv *t, size_t n, bool *ok)
{
	uint64_t v = 0;
	if (t->value.len != n) {
		*ok = false;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | t->value.p[i];
	return v;
}

uint8_t tlv_get_u8(const struct tlv *t, bool *ok)
{
	return (uint8_t)get_number(t, 1, ok);
}

uint16_t tlv_get_u16(const struct tlv *t, bool *ok)
{
	return (uint16_t)get_number(t, 2, ok);
}

uint32_t tlv_get_u32(const struct tlv *t, bool *ok)
{
	return (uint32_t)get_number(t, 4, ok);
}

uint64_t tlv_get_u64(const struct tlv *t, bool *ok)
{
	return get_number(t, 8, ok);
}

void tlv_get_text(const struct tlv *t, char *dst, size_t cap, bool *ok)
{
	dst[0] = 0;
	if (t->value.len >= cap || (t->value.len != 0 && memchr(t->value.p, 0, t->value.len) != NULL)) {
		*ok = false;
		return;
	}
	if (t->value.len != 0)
		memcpy(dst, t->value.p, t->value.len);
	dst[t->value.len] = 0;
}

void tlv_get_copy(const struct tlv *t, void *dst, size_t n, bool *ok)
{
	/* A value of another length must not leave its head behind. */
	struct rd r = rd_of(t->value.len == n ? t->value : bytes_of(NULL, 0));
	rd_copy(&r, dst, n);
	if (t->value.len != n)
		*ok = false;
}

struct addr tlv_get_addr(const struct tlv *t, bool *ok)
{
	struct addr a = addr_from_bytes(t->value);
	if (a.family == ADDR_NONE && t->value.len != 0)
		*ok = false;
	return a;
}

struct addr_prefix tlv_get_prefix(const struct tlv *t, bool *ok)
{
	struct rd r = rd_of(t->value);
	struct addr_prefix p = { .len = rd_u8(&r) };
	struct bytes rest = rd_rest(&r);
	p.addr = addr_from_bytes(rest);
	if (!r.bad && rest.len == addr_len(p.addr.family) && p.len <= rest.len * 8)
		return p;
	*ok = false;
	return (struct addr_prefix){ 0 };
}

struct addr_endpoint tlv_get_endpoint(const struct tlv *t, bool *ok)
{
	struct rd r = rd_of(t->value);
	struct addr_endpoint e = { .port = rd_u16(&r) };
	struct bytes rest = rd_rest(&r);
	e.addr = addr_from_bytes(rest);
	if (!r.bad && rest.len == addr_len(e.addr.family))
		return e;
	*ok = false;
	return (struct addr_endpoint){ 0 };
}
