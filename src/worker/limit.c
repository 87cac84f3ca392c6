#include "worker/state.h"

bool worker_take_token(struct worker_limit *l, uint32_t rate, uint64_t now_ms)
{
	const uint32_t burst = rate / 10;
	uint64_t earned = (now_ms - l->filled_ms) * rate / 1000;

	if (earned != 0) {
		l->tokens = earned >= burst - l->tokens ? burst : l->tokens + (uint32_t)earned;
		l->filled_ms = now_ms;
	}
	if (l->tokens == 0)
		return false;
	l->tokens--;
	return true;
}
