#include "worker/state.h"

enum { RATE = 1000, BURST = 100 };

/* RFC 1812 4.3.2.8, RFC 4443 2.4 (f): errors are limited. */
bool worker_take_token(struct worker_limit *l, uint64_t now_ms)
{
	uint64_t earned = (now_ms - l->filled_ms) * RATE / 1000;

	if (earned != 0) {
		l->tokens = earned >= BURST - l->tokens ? BURST : l->tokens + (uint32_t)earned;
		l->filled_ms = now_ms;
	}
	if (l->tokens == 0)
		return false;
	l->tokens--;
	return true;
}
