#include "explain/watch.h"

#include <stdio.h>

enum open { LOOP, TURNS, FLAPPING, SILENT, STOPPED, ONE_WAY, CHILDLESS, DROPPED };

static const uint8_t codes[] = {
	[LOOP] = MODEL_FAILURE_RESTART_LOOP, [TURNS] = MODEL_FAILURE_TWO_PEERS, [FLAPPING] = MODEL_FAILURE_NAT_FLAPPING,
	[SILENT] = MODEL_FAILURE_NO_ESP,     [STOPPED] = MODEL_FAILURE_ESP_STOPPED, [ONE_WAY] = MODEL_FAILURE_ONE_WAY,
	[CHILDLESS] = MODEL_FAILURE_NO_CHILD, [DROPPED] = MODEL_FAILURE_ANTI_REPLAY,
};

/* The signs of one call, as they come. */
struct say {
	struct explain_watch *w;
	struct explain_sign *signs;
	unsigned cnt;
};

static bool is_open(const struct explain_watch *w, enum open which)
{
	return (w->open & 1u << which) != 0;
}

static struct explain_sign *add(struct say *s, enum open which, bool over)
{
	must(s->cnt < EXPLAIN_SIGNS_MAX);
	struct explain_sign *sign = &s->signs[s->cnt++];
	*sign = (struct explain_sign){ .code = codes[which], .over = over };
	s->w->open = over ? s->w->open & ~(1u << which) : s->w->open | 1u << which;
	return sign;
}

/* The sign when it begins; NULL while it goes on. */
static struct explain_sign *begin(struct say *s, enum open which)
{
	return is_open(s->w, which) ? NULL : add(s, which, false);
}

static void end(struct say *s, enum open which)
{
	if (is_open(s->w, which))
		(void)add(s, which, true);
}

static uint32_t seconds(uint64_t us)
{
	return (uint32_t)(us / 1000000);
}

/* 0: none of the watch's. */
static uint32_t bit_of(uint8_t code)
{
	for (unsigned which = 0; which < ARRAY_LEN(codes); which++)
		if (codes[which] == code)
			return 1u << which;
	return 0;
}

void explain_watch_restore(struct explain_watch *w, uint8_t code, uint64_t last_us)
{
	uint32_t bit = bit_of(code);

	w->open |= bit;
	if ((bit & (1u << LOOP | 1u << TURNS | 1u << FLAPPING)) != 0 && seconds(last_us) > w->told_s)
		w->told_s = seconds(last_us);
}

void explain_watch_forget(struct explain_watch *w, uint8_t code)
{
	w->open &= ~bit_of(code);
}

/* ---- starts ---- */

static void keep_start(struct explain_watch *w, uint32_t now_s, const struct addr *from, bool replaced)
{
	if (w->start_cnt == EXPLAIN_STARTS_MAX) {
		memmove(&w->starts[0], &w->starts[1], sizeof(w->starts) - sizeof(w->starts[0]));
		w->start_cnt--;
	}
	w->starts[w->start_cnt].at_s = now_s;
	w->starts[w->start_cnt].replaced = replaced;
	w->starts[w->start_cnt].from = *from;
	w->start_cnt++;
}

static void look_for_turns(struct say *s)
{
	const struct explain_watch *w = s->w;
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
	unsigned n = w->start_cnt;

	if (n < 3 || !w->starts[n - 1].replaced || !w->starts[n - 2].replaced ||
	    !addr_eq(&w->starts[n - 1].from, &w->starts[n - 3].from) ||
	    addr_eq(&w->starts[n - 1].from, &w->starts[n - 2].from) ||
	    w->starts[n - 1].at_s - w->starts[n - 3].at_s > EXPLAIN_TURNS_S)
		return;
	/* each further turn counts */
	struct explain_sign *sign = add(s, TURNS, false);
	snprintf(sign->what, sizeof(sign->what), "%s, then %s, then %s again within %u s",
		 addr_format(&w->starts[n - 3].from, a), addr_format(&w->starts[n - 2].from, b), a,
		 w->starts[n - 1].at_s - w->starts[n - 3].at_s);
}

static void look_for_loop(struct say *s)
{
	const struct explain_watch *w = s->w;
	unsigned last = w->start_cnt - 1u, cnt = 0;
	uint32_t now_s = w->starts[last].at_s, first_s = now_s;
	char a[ADDR_TEXT_MAX];

	for (unsigned i = 0; i <= last; i++) {
		if (!w->starts[i].replaced || now_s - w->starts[i].at_s > EXPLAIN_LOOP_S ||
		    !addr_eq(&w->starts[i].from, &w->starts[last].from))
			continue;
		cnt++;
		first_s = w->starts[i].at_s < first_s ? w->starts[i].at_s : first_s;
	}
	if (cnt < EXPLAIN_LOOP_STARTS)
		return;
	struct explain_sign *sign = add(s, LOOP, false);
	snprintf(sign->what, sizeof(sign->what), "%u new IKE SAs from %s in %u s, each while the former one stood", cnt,
		 addr_format(&w->starts[last].from, a), now_s - first_s);
}

unsigned explain_watch_start(struct explain_watch *w, uint64_t now_us, const struct addr *from, bool replaced,
			     struct explain_sign signs[static EXPLAIN_SIGNS_MAX])
{
	struct say s = { .w = w, .signs = signs };

	keep_start(w, seconds(now_us), from, replaced);
	look_for_turns(&s);
	if (s.cnt == 0)
		look_for_loop(&s);
	return s.cnt;
}

/* ---- the path ---- */

unsigned explain_watch_path(struct explain_watch *w, uint64_t now_us, const struct addr_endpoint *before,
			    const struct addr_endpoint *now, struct explain_sign signs[static EXPLAIN_SIGNS_MAX])
{
	struct say s = { .w = w, .signs = signs };
	char a[ADDR_ENDPOINT_TEXT_MAX], b[ADDR_ENDPOINT_TEXT_MAX];
	uint32_t now_s = seconds(now_us);

	memmove(&w->flaps_s[0], &w->flaps_s[1], sizeof(w->flaps_s) - sizeof(w->flaps_s[0]));
	w->flaps_s[EXPLAIN_FLAPS - 1] = now_s;
	if (w->flaps_s[0] == 0 || now_s - w->flaps_s[0] > EXPLAIN_FLAPS_S)
		return 0;
	struct explain_sign *sign = add(&s, FLAPPING, false);
	snprintf(sign->what, sizeof(sign->what), "%d changes in %u s, the last from %s to %s", EXPLAIN_FLAPS,
		 now_s - w->flaps_s[0], addr_endpoint_format(before, a), addr_endpoint_format(now, b));
	return s.cnt;
}

/* ---- traffic ---- */

static void begin_epoch(struct explain_watch *w, const struct explain_sample *s, uint32_t now_s)
{
	w->epoch_us = s->epoch_us;
	w->era = s->era;
	w->in0 = s->in_before;
	w->out0 = s->out_before;
	w->in_last = s->in_packets;
	w->out_at_in = s->out_packets;
	w->in_since_s = w->out_since_s = 0;
	w->in_moved_s = now_s;
	w->slot_s = now_s;
	w->slot_in = s->in_packets;
	w->slot_out = s->out_packets;
	w->slot_switches = s->switches;
	w->bad_slots = 0;
}

static void look_at_children(struct say *say, const struct explain_sample *s, uint32_t now_s)
{
	uint32_t since_s = seconds(s->epoch_us);
	uint32_t age_s = now_s > since_s ? now_s - since_s : 0; /* another node's clock may be ahead */

	if (s->child_cnt != 0)
		end(say, CHILDLESS);
	else if (age_s >= EXPLAIN_NO_CHILD_S && begin(say, CHILDLESS) != NULL)
		snprintf(say->signs[say->cnt - 1].what, sizeof(say->signs[0].what), "an IKE SA without a Child SA for %u s", age_s);
}

/* Nothing at all has come, or nothing at all has gone, since the IKE SA came up. */
static void look_at_directions(struct say *say, const struct explain_sample *s, uint32_t now_s)
{
	struct explain_watch *w = say->w;
	uint64_t in = s->in_packets - w->in0, out = s->out_packets - w->out0;
	struct explain_sign *sign = NULL;

	if (in != 0) {
		end(say, SILENT);
		w->in_since_s = w->in_since_s != 0 ? w->in_since_s : now_s;
	}
	if (out != 0) {
		end(say, ONE_WAY);
		w->out_since_s = w->out_since_s != 0 ? w->out_since_s : now_s;
	}
	if (in == 0 && out >= EXPLAIN_PACKETS && now_s - w->out_since_s >= EXPLAIN_PATIENCE_S)
		sign = begin(say, SILENT);
	else if (out == 0 && in >= EXPLAIN_PACKETS && now_s - w->in_since_s >= EXPLAIN_PATIENCE_S)
		sign = begin(say, ONE_WAY);
	if (sign != NULL)
		snprintf(sign->what, sizeof(sign->what),
			 "%llu packets to the peer and %llu from it since the IKE SA came up",
			 (unsigned long long)out, (unsigned long long)in);
}

/* It came and comes no more, while we send and the peer is heard in IKE since. */
static void look_for_end(struct say *say, const struct explain_sample *s, uint32_t now_s)
{
	struct explain_watch *w = say->w;

	if (s->in_packets != w->in_last) {
		w->in_last = s->in_packets;
		w->out_at_in = s->out_packets;
		w->in_moved_s = now_s;
		end(say, STOPPED);
		return;
	}
	if (s->in_packets == w->in0 || now_s - w->in_moved_s < EXPLAIN_STOPPED_S ||
	    s->out_packets - w->out_at_in < EXPLAIN_STOPPED_PACKETS ||
	    seconds(s->ike_heard_us) <= w->in_moved_s + EXPLAIN_SLOT_S)
		return;
	struct explain_sign *sign = begin(say, STOPPED);
	if (sign != NULL)
		snprintf(sign->what, sizeof(sign->what),
			 "%llu packets to the peer and none from it for %u s; it was heard in IKE %u s ago",
			 (unsigned long long)(s->out_packets - w->out_at_in), now_s - w->in_moved_s,
			 now_s > seconds(s->ike_heard_us) ? now_s - seconds(s->ike_heard_us) : 0);
}

/* What the peer drops cannot be seen from here, only that it answers less than it used to. Numbers of packets that
 * several threads send overtake each other; a peer with an anti-replay window drops those that come late. So: the
 * usual answers while one thread sent, against those while several do. Both must fall: the share of answers also does
 * when traffic is added that nobody answers, their number also when traffic ends. */
static void look_at_answers(struct say *say, const struct explain_sample *s, uint32_t now_s)
{
	struct explain_watch *w = say->w;
	uint64_t in = s->in_packets - w->slot_in, out = s->out_packets - w->slot_out;
	uint64_t switches = s->switches - w->slot_switches;

	if (now_s - w->slot_s < EXPLAIN_SLOT_S || out < EXPLAIN_SLOT_PACKETS)
		return;
	uint64_t share = in * 100 / out > 200 ? 200 : in * 100 / out;
	uint64_t rate = in / (now_s - w->slot_s);
	bool mixed = switches * 50 > out;
	w->slot_s = now_s;
	w->slot_in = s->in_packets;
	w->slot_out = s->out_packets;
	w->slot_switches = s->switches;
	if (!mixed) {
		bool first = w->usual == 0;
		w->usual = (uint16_t)(first ? share : (w->usual * 3u + share) / 4);
		w->usual_in = (uint32_t)(first ? rate : (w->usual_in * (uint64_t)3 + rate) / 4);
		w->bad_slots = 0;
		end(say, DROPPED);
		return;
	}
	bool bad = w->usual >= 50 && share * 4 <= w->usual && rate * 4 <= w->usual_in && in > 0;
	w->bad_slots = !bad ? 0 : w->bad_slots == UINT8_MAX ? UINT8_MAX : (uint8_t)(w->bad_slots + 1);
	if (!bad)
		end(say, DROPPED);
	struct explain_sign *sign = w->bad_slots >= EXPLAIN_SLOTS_BAD ? begin(say, DROPPED) : NULL;
	if (sign != NULL)
		snprintf(sign->what, sizeof(sign->what),
			 "%u packets came back for 100 while one thread of the gateway sent, %u since several do", w->usual,
			 (unsigned)share);
}

/* Neither here nor elsewhere was anything of it seen for so long. */
static bool is_past(const struct explain_watch *w, uint32_t seen_s, uint32_t rest_s, uint32_t now_s)
{
	return now_s > seen_s + rest_s && now_s > w->told_s + rest_s;
}

static void look_for_rest(struct say *say, uint32_t now_s)
{
	struct explain_watch *w = say->w;
	uint32_t start_s = w->start_cnt == 0 ? 0 : w->starts[w->start_cnt - 1].at_s;

	if (is_past(w, start_s, EXPLAIN_LOOP_S, now_s))
		end(say, LOOP);
	if (is_past(w, start_s, EXPLAIN_TURNS_S, now_s))
		end(say, TURNS);
	if (is_past(w, w->flaps_s[EXPLAIN_FLAPS - 1], EXPLAIN_FLAPS_S, now_s))
		end(say, FLAPPING);
}

unsigned explain_watch_sample(struct explain_watch *w, uint64_t now_us, const struct explain_sample *s,
			      struct explain_sign signs[static EXPLAIN_SIGNS_MAX])
{
	struct say say = { .w = w, .signs = signs };
	uint32_t now_s = seconds(now_us);

	if (s->epoch_us == 0)
		return 0;
	if (s->epoch_us != w->epoch_us || s->era != w->era || s->in_packets < w->in_last || s->out_packets < w->slot_out)
		begin_epoch(w, s, now_s);
	look_for_rest(&say, now_s);
	if (say.cnt != 0) /* the rest waits for the next sample: there is room for each detector once */
		return say.cnt;
	look_at_children(&say, s, now_s);
	look_at_directions(&say, s, now_s);
	look_for_end(&say, s, now_s);
	look_at_answers(&say, s, now_s);
	return say.cnt;
}
