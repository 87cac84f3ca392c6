#include "model/drop.h"

static const struct {
	const char *name, *text;
} drops[] = {
#define ROW(name, text) [MODEL_DROP_##name] = { #name, text },
	MODEL_DROP_LIST(ROW)
#undef ROW
};

const char *model_drop_name(unsigned drop)
{
	return drop < MODEL_DROP_CNT ? drops[drop].name : "unknown";
}

const char *model_drop_text(unsigned drop)
{
	return drop < MODEL_DROP_CNT ? drops[drop].text : "unknown";
}
