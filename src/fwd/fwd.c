#include "fwd/fwd.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypt/random.h"
#include "fwd/state.h"

enum { COLLECT_MS = 60000 };

static void close_readers(struct fwd *f)
{
	for (unsigned i = 0; f->readers != NULL && i < f->worker_cnt; i++)
		if (f->readers[i].wake_fd >= 0)
			close(f->readers[i].wake_fd);
	free(f->readers);
}

static enum err open_readers(struct fwd *f)
{
	enum err e = ERR_NONE;

	f->readers = fwd_zalloc(f->worker_cnt * sizeof(*f->readers));
	if (f->readers == NULL)
		return ERR_MEMORY;
	for (unsigned i = 0; i < f->worker_cnt; i++) {
		struct fwd_reader *r = &f->readers[i];
		r->fwd = f;
		r->index = i;
		atomic_init(&r->passes, 1); /* nobody sits there */
		r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (r->wake_fd < 0)
			e = ERR_MEMORY;
	}
	return e;
}

static void free_all(struct fwd *f)
{
	fwd_spi_fini(f);
	close_readers(f);
	hmap_fini(&f->accounts);
	hmap_fini(&f->tunnels);
	hmap_fini(&f->key_counters);
	hmap_fini(&f->out_spis);
	free(f);
}

MUST_USE enum err fwd_new(unsigned worker_cnt, uint32_t incarnation, struct fwd **ret)
{
	must(worker_cnt >= 1 && worker_cnt <= FWD_WORKERS_MAX);
	struct fwd *f = fwd_zalloc(sizeof(*f));
	if (f == NULL)
		return ERR_MEMORY;
	f->worker_cnt = worker_cnt;
	f->incarnation = incarnation;
	crypt_random(&f->hash_key, sizeof(f->hash_key));
	if (open_readers(f) != ERR_NONE || hmap_init(&f->accounts) != ERR_NONE ||
	    hmap_init(&f->tunnels) != ERR_NONE || hmap_init(&f->key_counters) != ERR_NONE || hmap_init(&f->out_spis) != ERR_NONE ||
	    fwd_spi_init(f) != ERR_NONE) {
		free_all(f);
		return ERR_MEMORY;
	}
	*ret = f;
	return ERR_NONE;
}

void fwd_free(struct fwd *f)
{
	struct hmap_walk w;

	if (f == NULL)
		return;
	for (struct hmap_node *n = hmap_walk_first(&f->tunnels, &w); n != NULL;
	     n = hmap_walk_next(&f->tunnels, &w))
		fwd_tunnel_delete(f, &CONTAINER_OF(n, struct fwd_tunnel, node)->id);
	for (struct hmap_node *n = hmap_walk_first(&f->accounts, &w); n != NULL;
	     n = hmap_walk_next(&f->accounts, &w))
		fwd_account_drop(f, CONTAINER_OF(n, struct fwd_account, node));
	fwd_retire_wait(f);
	for (struct hmap_node *n = hmap_walk_first(&f->key_counters, &w); n != NULL;
	     n = hmap_walk_next(&f->key_counters, &w)) {
		hmap_remove(&f->key_counters, n);
		free(CONTAINER_OF(n, struct fwd_key_counter, node));
	}
	free(atomic_load(&f->offramps));
	free_all(f);
}

struct fwd_counters *fwd_control_counters(struct fwd *f)
{
	return &f->control;
}

struct fwd_counters *fwd_reader_counters(struct fwd_reader *r)
{
	return &r->counters;
}

void fwd_wake(struct fwd *f, unsigned worker)
{
	(void)eventfd_write(f->readers[worker].wake_fd, 1);
}

int fwd_reader_wake_fd(const struct fwd *f, unsigned worker)
{
	must(worker < f->worker_cnt);
	return f->readers[worker].wake_fd;
}

static void add_block(const struct fwd_counters *c, uint64_t *drop, uint64_t *counter)
{
	for (size_t i = 0; i < MODEL_DROP_CNT; i++)
		drop[i] += atomic_load_explicit(&c->drop[i], memory_order_relaxed);
	for (size_t i = 0; i < MODEL_COUNTER_CNT; i++)
		counter[i] += atomic_load_explicit(&c->counter[i], memory_order_relaxed);
}

void fwd_counters_sum(const struct fwd *f, uint64_t drop[static MODEL_DROP_CNT],
		      uint64_t counter[static MODEL_COUNTER_CNT])
{
	memset(drop, 0, MODEL_DROP_CNT * sizeof(drop[0]));
	memset(counter, 0, MODEL_COUNTER_CNT * sizeof(counter[0]));
	add_block(&f->control, drop, counter);
	for (unsigned i = 0; i < f->worker_cnt; i++)
		add_block(&f->readers[i].counters, drop, counter);
}

void fwd_collect(struct fwd *f)
{
	uint64_t now = clock_mono_ms();

	if (now - f->collected_ms < COLLECT_MS)
		return;
	f->collected_ms = now;
	fwd_key_counters_collect(f);
	fwd_paths_age(f, now);
}
