// Helpers of the record codecs: fields that come once, in any order, with values in their range.
// Any thread; a reader belongs to one codec call. For the .c files of model/ and for records built on them.
//
// Every decode reads: start; for each field a case that takes its value; end. Types are numbers below
// 64, given to a field for ever: a field that goes takes its number with it.
#pragma once

#include "base/tlv.h"
#include "model/format.h"
#include "model/id.h"

#define MODEL_RECORD_BIT(type) ((uint64_t)1 << (type))

struct model_record {
	struct rd r;
	uint16_t version; /* of a whole record */
	uint64_t seen;
	bool bad; /* a value had the wrong size or range, or a field came twice */
	struct tlv field;
};

/* A whole record: ERR_SHORT, ERR_VERSION. */
MUST_USE enum err model_record_start(struct model_record *d, struct bytes record, uint16_t max_version);
/* A nested list of fields, which has no version of its own. */
void model_record_start_nested(struct model_record *d, struct bytes value);

/* Goes to the next field and returns its type, 0 at the end. A type below 64 that is not in `repeated`
 * may come once. Types that the caller does not know are passed over. */
unsigned model_record_next(struct model_record *d, uint64_t repeated);

/* ERR_SHORT: cut off; ERR_SYNTAX: a bad value, or a field of the `required` set is missing. */
MUST_USE enum err model_record_end(const struct model_record *d, uint64_t required);

/* The value of the present field; zero, and the record bad, if it is not of that kind. */
bool model_record_bool(struct model_record *d);
uint8_t model_record_u8(struct model_record *d, uint8_t max);
uint16_t model_record_u16(struct model_record *d);
uint32_t model_record_u32(struct model_record *d);
uint64_t model_record_u64(struct model_record *d);
struct model_id model_record_id(struct model_record *d);
struct addr model_record_addr(struct model_record *d);
struct addr_prefix model_record_prefix(struct model_record *d);
struct addr_endpoint model_record_endpoint(struct model_record *d);
void model_record_copy(struct model_record *d, void *dst, size_t n);
void model_record_text(struct model_record *d, char *dst, size_t cap);
/* At most cap bytes, of any length. */
uint16_t model_record_blob(struct model_record *d, uint8_t *dst, size_t cap);

void model_record_put_id(struct wr *w, uint16_t type, const struct model_id *id);

/* A key in the room for the longest of its kind, whose rest is zero: its length, and no more of it than that; before
 * MODEL_FORMAT_SHORT_KEYS the whole room. In steps of four bytes, so that the length tells the suite and nothing about the key. */
void model_record_put_key(struct wr *w, uint16_t version, struct bytes key);
void model_record_get_key(struct rd *r, uint16_t version, uint8_t *key, size_t cap);

/* What every encode returns. */
MUST_USE static inline enum err model_record_written(const struct wr *w)
{
	return w->bad ? ERR_FULL : ERR_NONE;
}
