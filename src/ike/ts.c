#include "ike/ctx.h"
#include "ike/parts.h"

/* Ours is everything in both families, so narrowing (RFC 7296 2.9) leaves the peer's ranges as they are
 * and only cuts the list at what a Child SA holds; the first selectors come first in preference. */
static uint8_t narrow_side(const struct wire_ike_tss *tss, struct model_ts ret[static MODEL_TS_MAX])
{
	uint8_t cnt = 0;

	for (unsigned i = 0; i < tss->cnt && cnt < MODEL_TS_MAX; i++) {
		const struct wire_ike_ts *ts = &tss->ts[i];
		/* RFC 7296 3.13.1: OPAQUE ports (65535 to 0) match only packets without ports; no such
		 * packets can be told apart here, and a range that is empty matches nothing. */
		if (ts->port_first > ts->port_last || ts->first.family != ts->last.family ||
		    addr_len(ts->first.family) == 0 || addr_cmp(&ts->first, &ts->last) > 0)
			continue;
		ret[cnt++] = (struct model_ts){
			.protocol = ts->protocol,
			.port_first = ts->port_first,
			.port_last = ts->port_last,
			.first = ts->first,
			.last = ts->last,
		};
	}
	return cnt;
}

static bool has_family(const struct model_ts *ts, uint8_t cnt, uint8_t family)
{
	for (unsigned i = 0; i < cnt; i++)
		if (ts[i].first.family == family)
			return true;
	return false;
}

bool ike_ts_narrow(const struct wire_ike_tss *tsi, const struct wire_ike_tss *tsr, struct ike_ts_lists *ret)
{
	struct ike_ts_lists l = { 0 };

	l.remote_cnt = narrow_side(tsi, l.remote);
	l.local_cnt = narrow_side(tsr, l.local);
	/* A packet has one family: without one that stands on both sides none could pass. */
	bool v4 = has_family(l.remote, l.remote_cnt, ADDR_V4) && has_family(l.local, l.local_cnt, ADDR_V4);
	bool v6 = has_family(l.remote, l.remote_cnt, ADDR_V6) && has_family(l.local, l.local_cnt, ADDR_V6);
	if (!v4 && !v6)
		return false;
	*ret = l;
	return true;
}

void ike_ts_put(struct wire_ike_builder *b, uint8_t payload, const struct model_ts *ts, uint8_t cnt)
{
	struct wire_ike_ts list[MODEL_TS_MAX];

	must(cnt <= MODEL_TS_MAX);
	for (unsigned i = 0; i < cnt; i++)
		list[i] = (struct wire_ike_ts){
			.protocol = ts[i].protocol,
			.port_first = ts[i].port_first,
			.port_last = ts[i].port_last,
			.first = ts[i].first,
			.last = ts[i].last,
		};
	wire_ike_put_tss(b, payload, list, cnt);
}

void ike_ts_text(const struct wire_ike_tss *tss, const char *name, char *text, size_t cap)
{
	char first[ADDR_TEXT_MAX], last[ADDR_TEXT_MAX];

	ike_text_add(text, cap, "%s%s", text[0] == '\0' ? "" : "; ", name);
	for (unsigned i = 0; i < tss->cnt; i++) {
		const struct wire_ike_ts *ts = &tss->ts[i];
		ike_text_add(text, cap, "%s %s-%s", i == 0 ? "" : ",", addr_format(&ts->first, first),
			     addr_format(&ts->last, last));
		if (ts->protocol != 0)
			ike_text_add(text, cap, " protocol %u", ts->protocol);
		if (ts->port_first != 0 || ts->port_last != UINT16_MAX)
			ike_text_add(text, cap, " ports %u-%u", ts->port_first, ts->port_last);
	}
}

void ike_ts_lists_text(const struct ike_ts_lists *ts, char *text, size_t cap)
{
	const struct {
		const char *name;
		const struct model_ts *list;
		uint8_t cnt;
	} sides[] = { { "our side", ts->local, ts->local_cnt }, { "its side", ts->remote, ts->remote_cnt } };

	for (size_t n = 0; n < ARRAY_LEN(sides); n++) {
		struct wire_ike_tss tss = { .cnt = sides[n].cnt };
		for (unsigned i = 0; i < tss.cnt; i++) {
			const struct model_ts *s = &sides[n].list[i];
			tss.ts[i] = (struct wire_ike_ts){ .protocol = s->protocol, .port_first = s->port_first,
							  .port_last = s->port_last, .first = s->first, .last = s->last };
		}
		ike_ts_text(&tss, sides[n].name, text, cap);
	}
}
