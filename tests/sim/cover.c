#include "cover.h"

#include <stdio.h>

#include "process.h"

static uint64_t happened[COVER_CNT], dropped[MODEL_DROP_CNT], counted[MODEL_COUNTER_CNT];

static const char *const names[COVER_CNT] = {
#define COVER_NAME(name, text) #name,
	COVER_LIST(COVER_NAME)
};
static const char *const texts[COVER_CNT] = {
#define COVER_TEXT(name, text) text,
	COVER_LIST(COVER_TEXT)
};

/* What the gateways themselves say of how far they came. */
static const enum model_counter needed_counters[] = {
	MODEL_COUNTER_ike_sent_on, MODEL_COUNTER_ike_retransmit_answered, MODEL_COUNTER_ike_established,
	MODEL_COUNTER_ike_rekeyed, MODEL_COUNTER_child_rekeyed, MODEL_COUNTER_ike_failed, MODEL_COUNTER_ike_cookies_sent,
	MODEL_COUNTER_address_changes, MODEL_COUNTER_ike_fragmented_in, MODEL_COUNTER_ike_fragmented_out,
	MODEL_COUNTER_ip_fragments_sent_on,
};
static const enum model_drop needed_drops[] = { MODEL_DROP_ike_cut, MODEL_DROP_mesh_replay, MODEL_DROP_ip_fragment };

void cover_add(enum cover what)
{
	happened[what]++;
}

void cover_process(const struct process *p)
{
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];

	fwd_counters_sum(p->fwd, drop, counter);
	for (unsigned i = 0; i < MODEL_DROP_CNT && p->kind == PROCESS_GATEWAY; i++)
		dropped[i] += drop[i];
	for (unsigned i = 0; i < MODEL_COUNTER_CNT && p->kind == PROCESS_GATEWAY; i++)
		counted[i] += counter[i];
}

static void print(const char *kind, const char *name, uint64_t cnt, const char *text)
{
	if (cnt != 0)
		printf("%8llu %s %-24s %s\n", (unsigned long long)cnt, kind, name, text);
}

void cover_print(void)
{
	for (unsigned i = 0; i < COVER_CNT; i++)
		printf("%8llu event   %-24s %s\n", (unsigned long long)happened[i], names[i], texts[i]);
	for (unsigned i = 0; i < MODEL_COUNTER_CNT; i++)
		print("counter", model_counter_name(i), counted[i], model_counter_help(i));
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		print("drop   ", model_drop_name(i), dropped[i], model_drop_text(i));
}

unsigned cover_missing(void)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < COVER_CNT; i++) {
		if (happened[i] == 0)
			printf("FAIL: it never happened that %s\n", texts[i]);
		missing += happened[i] == 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(needed_counters); i++) {
		if (counted[needed_counters[i]] == 0)
			printf("FAIL: no gateway has counted %s\n", model_counter_help(needed_counters[i]));
		missing += counted[needed_counters[i]] == 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(needed_drops); i++) {
		if (dropped[needed_drops[i]] == 0)
			printf("FAIL: no gateway has dropped %s\n", model_drop_text(needed_drops[i]));
		missing += dropped[needed_drops[i]] == 0;
	}
	return missing;
}
