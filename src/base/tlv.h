// Records as a version and a list of {type, length, value}: how every noun is kept and sent.
// Any thread; pure.
//
//   version u16 | { type u16 | length u16 | value } ...
//
// A reader skips types that it does not know, so a newer program may add fields; what an older
// program could not understand at all raises the version, which is refused. Types are never reused.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"

/* ---- writing: one call a field; the writer turns bad when the room ends or a value exceeds 65535 ---- */
void tlv_begin(struct wr *w, uint16_t version);
void tlv_bytes(struct wr *w, uint16_t type, struct bytes value);
void tlv_u8(struct wr *w, uint16_t type, uint8_t v);
void tlv_u16(struct wr *w, uint16_t type, uint16_t v);
void tlv_u32(struct wr *w, uint16_t type, uint32_t v);
void tlv_u64(struct wr *w, uint16_t type, uint64_t v);
void tlv_text(struct wr *w, uint16_t type, const char *text);
void tlv_addr(struct wr *w, uint16_t type, const struct addr *a);
void tlv_prefix(struct wr *w, uint16_t type, const struct addr_prefix *p);
void tlv_endpoint(struct wr *w, uint16_t type, const struct addr_endpoint *e);
/* A nested list of fields: returns a mark for tlv_close. */
size_t tlv_open(struct wr *w, uint16_t type);
void tlv_close(struct wr *w, size_t mark);

/* ---- reading ---- */
struct tlv {
	uint16_t type;
	struct bytes value;
};

/* ERR_SHORT without a version; ERR_VERSION when it is 0 or above max. */
MUST_USE enum err tlv_start(struct rd *r, uint16_t max_version, uint16_t *ret_version);

/* The next field; false at the end, and then r->bad tells a broken record. */
bool tlv_next(struct rd *r, struct tlv *ret);

/* A value of exactly the size of its kind; otherwise *ok turns false and the value is zero. */
uint8_t tlv_get_u8(const struct tlv *t, bool *ok);
uint16_t tlv_get_u16(const struct tlv *t, bool *ok);
uint32_t tlv_get_u32(const struct tlv *t, bool *ok);
uint64_t tlv_get_u64(const struct tlv *t, bool *ok);
/* Copies into dst[cap], NUL-ended; *ok false when it does not fit or holds a NUL. */
void tlv_get_text(const struct tlv *t, char *dst, size_t cap, bool *ok);
/* Copies exactly n bytes. */
void tlv_get_copy(const struct tlv *t, void *dst, size_t n, bool *ok);
struct addr tlv_get_addr(const struct tlv *t, bool *ok);
struct addr_prefix tlv_get_prefix(const struct tlv *t, bool *ok);
struct addr_endpoint tlv_get_endpoint(const struct tlv *t, bool *ok);
