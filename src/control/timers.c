// The timers of IKE SAs and half-open SAs.
#include "control/internal.h"

#define ASK_BUSY_US 100000u
#define ASK_DUTY_US 1000000u
#define DUE_A_TURN 256 /* timers: after a start those of all SAs may be due at once */
/* In a cluster: any node may have to answer again, also one that comes only then. */
#define CLOSED_MORE_US UINT64_C(120000000)

static void halves_timers(struct control *c)
{
	const struct ike_event ev = { .kind = IKE_EV_TIMER, .now_us = c->now_us };
	struct heap_node *n;

	for (unsigned left = DUE_A_TURN; left-- > 0 && (n = heap_first(&c->half_timers)) != NULL && n->at <= c->now_us;) {
		struct control_half *h = CONTAINER_OF(n, struct control_half, timer);
		/* It is asked again soon if it is busy; the step sets its next time. */
		if (heap_set(&c->half_timers, n, c->now_us + 100000) != ERR_NONE)
			break;
		if (!h->busy)
			control_half_event(c, h, &ev);
	}
}

static uint64_t when_due(const struct control *c, const struct control_sa *sa, uint64_t *ret_last_esp_us)
{
	struct ike_sa r;

	control_record_read(&sa->r, &r);
	*ret_last_esp_us = control_sa_last_esp(c, &r);
	if (sa->heard_us > *ret_last_esp_us)
		*ret_last_esp_us = sa->heard_us;
	uint64_t at = ike_sa_timer(&r, *ret_last_esp_us);
	if (r.state == IKE_STATE_CLOSED && c->clustered)
		at += CLOSED_MORE_US;
	ike_sa_wipe(&r);
	return at;
}

/* Its record goes when nobody will repeat the last request any more; with several nodes the watch then tells it to all. */
static void forget_closed(struct control *c, struct control_sa *sa)
{
	const struct model_key key = model_key_ike(sa->r.spi);
	const struct store_cmp cmp = { model_key_bytes(&key), sa->mod_rev };
	const struct store_op op = { .kind = STORE_DELETE, .key = model_key_bytes(&key) };
	const struct store_txn txn = { .cmps = &cmp, .cmp_cnt = 1, .ops = &op, .op_cnt = 1 };

	if (store_thread_submit(c->store, &txn, CONTROL_TAG_QUIET) != ERR_NONE)
		log_debug("an ended IKE SA stays in the store for now");
}

/* Of an SA whose time has come; it may be gone afterwards. */
static void run_timer(struct control *c, struct control_sa *sa, uint64_t last_esp_us)
{
	const struct ike_event ev = { .kind = IKE_EV_TIMER, .now_us = c->now_us, .last_esp_us = last_esp_us };

	if (sa->r.state != IKE_STATE_CLOSED)
		control_sa_event(c, sa, &ev);
	else if (c->clustered)
		forget_closed(c, sa);
	else
		control_sa_remove(c, sa);
}

void control_sas_timers(struct control *c)
{
	struct heap_node *n;

	halves_timers(c);
	for (unsigned left = DUE_A_TURN; left-- > 0 && (n = heap_first(&c->sa_timers)) != NULL && n->at <= c->now_us;) {
		struct control_sa *sa = CONTAINER_OF(n, struct control_sa, timer);
		uint64_t last_esp_us;
		/* ESP that arrived since the timer was set puts the liveness check off. */
		uint64_t at = when_due(c, sa, &last_esp_us);
		bool due = at <= c->now_us, duty = control_duty_sa(c, sa->r.spi);
		/* Another node's duty may become ours. */
		uint64_t again = !duty || sa->r.state == IKE_STATE_CLOSED ? ASK_DUTY_US : ASK_BUSY_US;
		if (heap_set(&c->sa_timers, n, due ? c->now_us + again : at) != ERR_NONE)
			break;
		if (due && duty && !sa->busy)
			run_timer(c, sa, last_esp_us);
	}
	control_children_timers(c);
	control_frags_timers(c);
}

static uint64_t first_of(const struct heap *h, uint64_t at)
{
	const struct heap_node *n = heap_first(h);
	return n != NULL && n->at < at ? n->at : at;
}

uint64_t control_sas_next_us(const struct control *c)
{
	return first_of(&c->half_timers, first_of(&c->sa_timers, first_of(&c->child_timers, UINT64_MAX)));
}
