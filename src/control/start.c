#include "control/start.h"

#include "base/must.h"

void start_machine_init(struct start_machine *m, uint64_t now_us)
{
	*m = (struct start_machine){ .state = START_WAITING, .at_us = now_us };
}

void start_machine_begin(struct start_machine *m)
{
	must(m->state == START_WAITING);
	m->state = START_TRYING;
	if (m->tries != UINT32_MAX)
		m->tries++;
}

void start_machine_up(struct start_machine *m, uint64_t now_us)
{
	if (m->state != START_UP)
		m->up_us = now_us;
	m->state = START_UP;
	m->tries = 0;
}

/* Three quarters to five quarters of it: sites that lost their gateway together do not come back in step. */
static uint64_t jitter_us(uint32_t delay_ms, uint32_t random)
{
	uint64_t us = delay_ms * (uint64_t)1000;
	return us * 3 / 4 + us / 2 * random / UINT32_MAX;
}

void start_machine_end(struct start_machine *m, uint64_t now_us, bool clean, uint32_t random)
{
	if (m->state == START_WAITING)
		return;
	if (m->state == START_UP && now_us - m->up_us >= START_STEADY_US)
		m->delay_ms = 0;
	bool at_once = m->state == START_UP && clean && m->delay_ms == 0;
	m->state = START_WAITING;
	if (m->delay_ms == 0)
		m->delay_ms = START_DELAY_MIN_MS;
	if (at_once) {
		m->at_us = now_us;
		return;
	}
	m->at_us = now_us + jitter_us(m->delay_ms, random);
	m->delay_ms = m->delay_ms > START_DELAY_MAX_MS / 2 ? START_DELAY_MAX_MS : m->delay_ms * 2;
}
