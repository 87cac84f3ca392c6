// The clock of records: the wall clock at the start, the monotonic one from then on, and in a cluster drawn to that of the
// others, so that the lifetimes of SAs end everywhere at the same time.
#include "control/internal.h"

#include "base/clock.h"
#include "model/record.h"

#define FAR_US UINT64_C(60000000)  /* a node whose clock is that wrong would end SAs of the others */
#define LATE_US UINT64_C(1000000)  /* so old news from the store may be */
#define SLEW_US UINT64_C(10000)    /* a tick, which comes each second: leases are judged with 1 % to spare */
#define WARN_US UINT64_C(5000000)
#define TICK_GAP_MIN_US 500000u
#define TICK_GAP_MAX_US 2500000u

enum { TICK_VERSION = 1, TICK_TIME = 1, TICK_SLOT };

/* It never goes back. */
void control_clock_read(struct control *c)
{
	uint64_t now_us = clock_mono_ns() / 1000 + c->clock_offset_us;

	if (now_us > c->now_us)
		c->now_us = now_us;
}

void control_clock_init(struct control *c)
{
	c->clock_offset_us = clock_unix_us() - clock_mono_ns() / 1000;
	control_clock_read(c);
}

/* ---- the tick ---- */

void control_tick_encode(uint64_t now_us, uint16_t slot, struct wr *w)
{
	tlv_begin(w, TICK_VERSION);
	tlv_u64(w, TICK_TIME, now_us);
	tlv_u16(w, TICK_SLOT, slot);
}

static bool read_tick(struct bytes value, uint64_t *ret_us, uint16_t *ret_slot)
{
	struct model_record d;
	uint64_t at_us = 0;
	uint16_t slot = 0;

	if (model_record_start(&d, value, TICK_VERSION) != ERR_NONE)
		return false;
	for (unsigned type; (type = model_record_next(&d, 0)) != 0;) {
		if (type == TICK_TIME)
			at_us = model_record_u64(&d);
		else if (type == TICK_SLOT)
			slot = model_record_u16(&d);
	}
	if (model_record_end(&d, MODEL_RECORD_BIT(TICK_TIME)) != ERR_NONE || at_us == 0)
		return false;
	*ret_us = at_us;
	*ret_slot = slot;
	return true;
}

/* ---- start ---- */

struct found {
	uint64_t tick_us;   /* 0: none */
	unsigned nodes;
};

static void take_tick(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	uint16_t slot;

	if (!read_tick(row->value, &f->tick_us, &slot))
		f->tick_us = 0;
}

static void take_node(void *arg, const struct store_row *row)
{
	struct found *f = arg;
	(void)row;
	f->nodes++;
}

enum err control_clock_load(struct control *c, struct store *s)
{
	struct found f = { 0 };

	if (!c->clustered)
		return ERR_NONE;
	enum err e = store_get(s, bytes_str(MODEL_KEY_TICK), take_tick, &f);
	if (e == ERR_NONE || e == ERR_NOTFOUND)
		e = store_range(s, bytes_str(MODEL_KEY_NODES), bytes_str(""), 0, take_node, &f, NULL);
	if (e != ERR_NONE || f.tick_us == 0)
		return e;
	/* How old the tick is nobody says; while a node lives it is hardly older than a lease. */
	bool ahead = f.nodes != 0 && c->now_us > f.tick_us && c->now_us - f.tick_us > FAR_US;
	bool behind = c->now_us < f.tick_us && f.tick_us - c->now_us > FAR_US;
	if (ahead || behind) {
		log_error("the clock of this machine is %llu s %s that of the cluster: set it (NTP) and start again",
			  (unsigned long long)((ahead ? c->now_us - f.tick_us : f.tick_us - c->now_us) / 1000000),
			  ahead ? "ahead of" : "behind");
		return ERR_RANGE;
	}
	if (c->now_us < f.tick_us) {
		c->clock_offset_us += f.tick_us - c->now_us;
		control_clock_read(c);
	}
	return ERR_NONE;
}

/* ---- running ---- */

static void warn(struct control *c, uint64_t off_us, const char *which, uint16_t slot)
{
	if (off_us <= WARN_US || c->now_us < c->clock_warn_us)
		return;
	c->clock_warn_us = c->now_us + FAR_US;
	log_warn("the clock of this machine is %llu s %s that of the node in slot %u: one of them is wrong (NTP)",
		 (unsigned long long)(off_us / 1000000), which, slot);
}

void control_clock_tick(struct control *c, struct bytes value)
{
	uint64_t tick_us;
	uint16_t slot;

	uint64_t gap_us = c->now_us - c->clock_tick_us;
	c->clock_tick_us = c->now_us;
	/* After a pause ticks come together, and tell the time of before. */
	if (gap_us < TICK_GAP_MIN_US || gap_us > TICK_GAP_MAX_US)
		return;
	if (!read_tick(value, &tick_us, &slot) || slot == c->members.self)
		return;
	if (tick_us > c->now_us) {
		uint64_t off_us = tick_us - c->now_us;
		c->clock_offset_us += off_us < SLEW_US ? off_us : SLEW_US;
		warn(c, off_us, "behind", slot);
	} else if (c->now_us - tick_us > LATE_US) {
		c->clock_offset_us -= SLEW_US;
		warn(c, c->now_us - tick_us, "ahead of", slot);
	}
}
