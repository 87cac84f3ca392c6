#include "world.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/siphash.h"
#include "crypt/random.h"

#define START_US UINT64_C(1800000000000000)

struct world_faults world_faults;
static const struct world_clock world_own;
static const struct world_clock *clock_now = &world_own;
static uint64_t now_us, seed, fates, keys;
static bool dying;

/* ---- time and chance ---- */

static uint64_t next(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	uint64_t z = *state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void world_begin(uint64_t of)
{
	seed = of;
	fates = seed * 2;
	keys = ~seed * 2 + 1;
	now_us = 1000000;
	dying = false;
	clock_now = &world_own;
	world_net_begin();
}

uint64_t world_now_us(void)
{
	return now_us;
}

void world_advance(uint64_t us)
{
	now_us += us;
}

uint64_t world_random(uint64_t below)
{
	return below == 0 ? 0 : next(&fates) % below;
}

uint64_t world_choose(const char *what, uint64_t below)
{
	uint64_t state = seed ^ world_hash(bytes_str(what));
	return below == 0 ? 0 : next(&state) % below;
}

bool world_befalls(unsigned thousandths)
{
	return world_random(1000) < thousandths;
}

uint64_t world_hash(struct bytes b)
{
	static const struct siphash_key key = { 1, 2 };
	return siphash(&key, b);
}

const struct world_clock *world_enter(const struct world_clock *c)
{
	const struct world_clock *was = clock_now;

	clock_now = c == NULL ? &world_own : c;
	return was;
}

void world_dying(bool on)
{
	dying = on;
}

bool world_is_dying(void)
{
	return dying;
}

uint64_t clock_mono_ms(void)
{
	return (now_us + clock_now->mono_us) / 1000;
}

uint64_t clock_mono_ns(void)
{
	return (now_us + clock_now->mono_us) * 1000;
}

uint64_t clock_unix_us(void)
{
	return START_US + now_us + (uint64_t)clock_now->wall_us;
}

void crypt_random(void *dst, size_t n)
{
	uint8_t *p = dst;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(next(&keys) >> 32);
}

/* ---- Diffie-Hellman ---- */

struct dh_job {
	struct dh_job *next;
	uint64_t due_us;
	struct control_dh_done done;
};

struct control_dh {
	int fd;
	struct dh_job *first, **tail;
};

MUST_USE enum err control_dh_new(unsigned threads, struct control_dh **ret)
{
	struct control_dh *d = calloc(1, sizeof(*d));

	(void)threads;
	must(d != NULL);
	d->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC); /* always readable: whoever runs is asked for what is due */
	must(d->fd >= 0);
	d->tail = &d->first;
	*ret = d;
	return ERR_NONE;
}

void control_dh_free(struct control_dh *d)
{
	if (d == NULL)
		return;
	for (struct dh_job *j = d->first, *after; j != NULL; j = after) {
		after = j->next;
		free(j);
	}
	close(d->fd);
	free(d);
}

MUST_USE enum err control_dh_submit(struct control_dh *d, uint64_t tag, const struct ike_dh_job *job, bool urgent)
{
	struct dh_job *j = calloc(1, sizeof(*j));

	(void)urgent;
	must(j != NULL);
	j->done.tag = tag;
	j->done.err = ike_dh_run(job, &j->done.result);
	j->due_us = now_us + world_random(world_faults.dh_us);
	*d->tail = j;
	d->tail = &j->next;
	return ERR_NONE;
}

int control_dh_fd(const struct control_dh *d)
{
	return d->fd;
}

bool world_dh_due(const struct control_dh *d)
{
	return d->first != NULL && d->first->due_us <= now_us;
}

bool control_dh_take(struct control_dh *d, struct control_dh_done *ret)
{
	struct dh_job *j = d->first;

	(void)!eventfd_write(d->fd, 1);
	if (!world_dh_due(d))
		return false;
	*ret = j->done;
	d->first = j->next;
	if (d->first == NULL)
		d->tail = &d->first;
	free(j);
	return true;
}
