// The bounded cursors by which everything from outside is read and written.
// Any thread; a cursor belongs to one thread at a time.
//
// A reader (struct rd) or writer (struct wr) that was asked for more than it has turns bad and
// stays bad: reads give zero, writes do nothing. So a parser reads its fields in order and asks
// once at the end. No memcpy from input, pointer arithmetic or cast is needed elsewhere.
#pragma once

#include "base/block.h"
#include "base/err.h"
#include "base/must.h"

/* ---- reading ---- */

struct rd {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

static inline struct rd rd_of(struct bytes b)
{
	/* A block without an address is empty; arithmetic on NULL is undefined even by 0. */
	static const uint8_t nowhere[1];
	if (b.p == NULL)
		return (struct rd){ nowhere, nowhere, false };
	return (struct rd){ b.p, b.p + b.len, false };
}

static inline size_t rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

/* The next n bytes, borrowed; an empty block and a bad reader if there are fewer. */
static inline struct bytes rd_bytes(struct rd *r, size_t n)
{
	if (r->bad || n > (size_t)(r->end - r->p)) {
		r->bad = true;
		return (struct bytes){ r->end, 0 };
	}
	struct bytes b = { r->p, n };
	r->p += n;
	return b;
}

/* A reader for the next n bytes, which cannot leave them. */
static inline struct rd rd_sub(struct rd *r, size_t n)
{
	struct rd s = rd_of(rd_bytes(r, n));
	s.bad = r->bad;
	return s;
}

/* All that is left. */
static inline struct bytes rd_rest(struct rd *r)
{
	return rd_bytes(r, rd_left(r));
}

/* Takes n bytes off the end (trailers). */
static inline struct bytes rd_back(struct rd *r, size_t n)
{
	if (r->bad || n > (size_t)(r->end - r->p)) {
		r->bad = true;
		return (struct bytes){ r->end, 0 };
	}
	r->end -= n;
	return (struct bytes){ r->end, n };
}

static inline void rd_skip(struct rd *r, size_t n)
{
	(void)rd_bytes(r, n);
}

static inline uint8_t rd_u8(struct rd *r)
{
	struct bytes b = rd_bytes(r, 1);
	return b.len == 1 ? b.p[0] : 0;
}

static inline uint16_t rd_u16(struct rd *r)
{
	struct bytes b = rd_bytes(r, 2);
	return b.len == 2 ? (uint16_t)((unsigned)b.p[0] << 8 | b.p[1]) : 0;
}

static inline uint32_t rd_u32(struct rd *r)
{
	struct bytes b = rd_bytes(r, 4);
	return b.len == 4 ? (uint32_t)b.p[0] << 24 | (uint32_t)b.p[1] << 16 |
				    (uint32_t)b.p[2] << 8 | b.p[3]
			  : 0;
}

static inline uint64_t rd_u64(struct rd *r)
{
	uint64_t hi = rd_u32(r);
	uint64_t lo = rd_u32(r);
	return r->bad ? 0 : hi << 32 | lo;
}

/* Copies exactly n bytes to dst; zeroes dst if there are fewer. */
static inline void rd_copy(struct rd *r, void *dst, size_t n)
{
	struct bytes b = rd_bytes(r, n);
	if (b.len == n && n != 0)
		memcpy(dst, b.p, n);
	else if (n != 0)
		memset(dst, 0, n);
}

/* Every parser ends with this: nothing was missing and nothing is left over. */
static inline bool rd_done(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}

/* ---- writing ---- */

struct wr {
	uint8_t *start;
	uint8_t *p;
	uint8_t *end;
	bool bad;
};

static inline struct wr wr_of(struct space s)
{
	static uint8_t nowhere[1]; /* as in rd_of */
	if (s.p == NULL)
		return (struct wr){ nowhere, nowhere, nowhere, false };
	return (struct wr){ s.p, s.p, s.p + s.cap, false };
}

static inline size_t wr_len(const struct wr *w)
{
	return (size_t)(w->p - w->start);
}

/* What was written so far; empty when the writer is bad. */
static inline struct bytes wr_bytes(const struct wr *w)
{
	return w->bad ? (struct bytes){ w->start, 0 } : (struct bytes){ w->start, wr_len(w) };
}

/* Room for n bytes that the caller fills; NULL and bad if there is none. */
static inline uint8_t *wr_reserve(struct wr *w, size_t n)
{
	if (w->bad || n > (size_t)(w->end - w->p)) {
		w->bad = true;
		return NULL;
	}
	uint8_t *p = w->p;
	w->p += n;
	return p;
}

static inline void wr_put(struct wr *w, struct bytes b)
{
	uint8_t *p = wr_reserve(w, b.len);
	if (p != NULL && b.len != 0)
		memcpy(p, b.p, b.len);
}

static inline void wr_zero(struct wr *w, size_t n)
{
	uint8_t *p = wr_reserve(w, n);
	if (p != NULL && n != 0)
		memset(p, 0, n);
}

static inline void wr_u8(struct wr *w, uint8_t v)
{
	uint8_t *p = wr_reserve(w, 1);
	if (p != NULL)
		p[0] = v;
}

static inline void wr_u16(struct wr *w, uint16_t v)
{
	uint8_t *p = wr_reserve(w, 2);
	if (p != NULL) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

/* Each of these is one check and, on most machines, one store. */
static inline void wr_u32(struct wr *w, uint32_t v)
{
	uint8_t *p = wr_reserve(w, 4);
	if (p != NULL) {
		p[0] = (uint8_t)(v >> 24);
		p[1] = (uint8_t)(v >> 16);
		p[2] = (uint8_t)(v >> 8);
		p[3] = (uint8_t)v;
	}
}

static inline void wr_u64(struct wr *w, uint64_t v)
{
	uint8_t *p = wr_reserve(w, 8);
	if (p != NULL) {
		p[0] = (uint8_t)(v >> 56);
		p[1] = (uint8_t)(v >> 48);
		p[2] = (uint8_t)(v >> 40);
		p[3] = (uint8_t)(v >> 32);
		p[4] = (uint8_t)(v >> 24);
		p[5] = (uint8_t)(v >> 16);
		p[6] = (uint8_t)(v >> 8);
		p[7] = (uint8_t)v;
	}
}

/* Back-fills fields written earlier, at an offset from the start. */
static inline void wr_set_u8(struct wr *w, size_t at, uint8_t v)
{
	if (w->bad)
		return;
	must(at < wr_len(w));
	w->start[at] = v;
}

static inline void wr_set_u16(struct wr *w, size_t at, uint16_t v)
{
	wr_set_u8(w, at, (uint8_t)(v >> 8));
	wr_set_u8(w, at + 1, (uint8_t)v);
}

static inline void wr_set_u32(struct wr *w, size_t at, uint32_t v)
{
	wr_set_u16(w, at, (uint16_t)(v >> 16));
	wr_set_u16(w, at + 2, (uint16_t)v);
}
