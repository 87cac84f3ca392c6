// base/tlv: a record, every field read as every kind, nested lists to a few levels.
#include "fuzz.h"

#include "base/tlv.h"

enum { DEPTH_MAX = 4 };

static void read_as_text(const struct tlv *t)
{
	char text[32];
	bool ok = true;

	tlv_get_text(t, text, sizeof(text), &ok);
	must(memchr(text, 0, sizeof(text)) != NULL);
	if (ok)
		must(bytes_eq(bytes_str(text), t->value));
}

static void read_as_numbers(const struct tlv *t)
{
	bool ok8 = true, ok16 = true, ok32 = true, ok64 = true, ok = true;
	uint8_t copy[7];

	uint8_t v8 = tlv_get_u8(t, &ok8);
	uint16_t v16 = tlv_get_u16(t, &ok16);
	uint32_t v32 = tlv_get_u32(t, &ok32);
	uint64_t v64 = tlv_get_u64(t, &ok64);
	must(ok8 == (t->value.len == 1) && (ok8 || v8 == 0));
	must(ok16 == (t->value.len == 2) && (ok16 || v16 == 0));
	must(ok32 == (t->value.len == 4) && (ok32 || v32 == 0));
	must(ok64 == (t->value.len == 8) && (ok64 || v64 == 0));
	tlv_get_copy(t, copy, sizeof(copy), &ok);
	must(ok == (t->value.len == sizeof(copy)));
}

/* What was read as an address is written back to the same value. */
static void read_as_addresses(const struct tlv *t)
{
	uint8_t room[64];
	struct wr w = wr_of(SPACE_OF(room));
	bool ok_addr = true, ok_prefix = true, ok_endpoint = true;

	struct addr a = tlv_get_addr(t, &ok_addr);
	struct addr_prefix p = tlv_get_prefix(t, &ok_prefix);
	struct addr_endpoint e = tlv_get_endpoint(t, &ok_endpoint);
	if (ok_addr)
		tlv_addr(&w, t->type, &a);
	if (ok_prefix)
		tlv_prefix(&w, t->type, &p);
	if (ok_endpoint)
		tlv_endpoint(&w, t->type, &e);
	must(!w.bad);
	struct rd r = rd_of(wr_bytes(&w));
	struct tlv again;
	while (tlv_next(&r, &again))
		must(again.type == t->type && bytes_eq(again.value, t->value));
	must(rd_done(&r));
}

static void read_fields(struct rd r, struct bytes input, unsigned depth)
{
	struct tlv t;

	while (tlv_next(&r, &t)) {
		must_lie_within(t.value, input);
		read_as_text(&t);
		read_as_numbers(&t);
		read_as_addresses(&t);
		if (depth < DEPTH_MAX)
			read_fields(rd_of(t.value), t.value, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes input = bytes_of(data, len);
	struct rd r = rd_of(input);
	uint16_t version;

	if (tlv_start(&r, 3, &version) != ERR_NONE)
		return 0;
	must(version >= 1 && version <= 3);
	read_fields(r, input, 0);
	return 0;
}
