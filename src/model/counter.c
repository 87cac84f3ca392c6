#include "model/counter.h"

static const struct {
	const char *name, *unit, *help;
} counters[] = {
#define ROW(name, unit, help) [MODEL_COUNTER_##name] = { #name, unit, help },
	MODEL_COUNTER_LIST(ROW)
#undef ROW
};

const char *model_counter_name(unsigned counter)
{
	return counter < MODEL_COUNTER_CNT ? counters[counter].name : "unknown";
}

const char *model_counter_unit(unsigned counter)
{
	return counter < MODEL_COUNTER_CNT ? counters[counter].unit : "";
}

const char *model_counter_help(unsigned counter)
{
	return counter < MODEL_COUNTER_CNT ? counters[counter].help : "unknown";
}
