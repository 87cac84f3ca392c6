// Memory that workers read: made here, and given back when none of them can hold a pointer to it any more.
#include <stdlib.h>

#include "fwd/state.h"

enum { CACHE_LINE = 64 };

void *fwd_zalloc(size_t n)
{
	n = (n + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *p = aligned_alloc(CACHE_LINE, n);
	if (p != NULL)
		memset(p, 0, n);
	return p;
}

/* Registered as a reader of liburcu. */
static _Thread_local bool is_reader;

struct fwd_reader *fwd_reader_join(struct fwd *f, unsigned worker)
{
	must(worker < f->worker_cnt);
	rcu_register_thread();
	is_reader = true;
	atomic_fetch_add(&f->readers[worker].passes, 1);
	return &f->readers[worker];
}

void fwd_reader_leave(struct fwd_reader *r)
{
	atomic_fetch_add(&r->passes, 1);
	rcu_unregister_thread();
	is_reader = false;
}

/* The releases here and the acquires in run_release carry all that workers and the writer did before over to
 * whoever frees: liburcu orders the same with barriers that the language does not know. */
void fwd_reader_pass(struct fwd_reader *r)
{
	atomic_fetch_add(&r->passes, 2);
	rcu_quiescent_state();
}

void fwd_reader_rest(struct fwd_reader *r)
{
	atomic_fetch_add(&r->passes, 1);
	rcu_thread_offline();
}

void fwd_reader_resume(struct fwd_reader *r)
{
	rcu_thread_online();
	atomic_fetch_add(&r->passes, 1);
}

void fwd_passing_begin(const struct fwd *f, struct fwd_passing *since)
{
	for (unsigned i = 0; i < f->worker_cnt; i++)
		since->at[i] = atomic_load(&f->readers[i].passes);
}

/* One that had nothing in hand then, or has rested since. */
bool fwd_passing_over(const struct fwd *f, const struct fwd_passing *since)
{
	for (unsigned i = 0; i < f->worker_cnt; i++)
		if (since->at[i] % 2 == 0 && atomic_load(&f->readers[i].passes) == since->at[i])
			return false;
	return true;
}

static void run_release(struct rcu_head *head)
{
	struct fwd_retire *r = CONTAINER_OF(head, struct fwd_retire, head);
	struct fwd *f = FWD_READ(r->fwd);

	for (unsigned i = 0; i < f->worker_cnt; i++)
		(void)atomic_load_explicit(&f->readers[i].passes, memory_order_acquire);
	r->release(r);
	atomic_fetch_add_explicit(&f->released, 1, memory_order_release);
}

void fwd_retire(struct fwd *f, struct fwd_retire *r, void (*release)(struct fwd_retire *r))
{
	r->release = release;
	FWD_PUBLISH(r->fwd, f);
	/* call_rcu wants a registered thread, but a registered one that sleeps would hold everybody up. */
	if (!is_reader)
		rcu_register_thread();
	call_rcu(&r->head, run_release);
	if (!is_reader)
		rcu_unregister_thread();
}

void fwd_retire_wait(struct fwd *f)
{
	rcu_barrier();
	(void)atomic_load_explicit(&f->released, memory_order_acquire);
}

static void free_block(struct fwd_retire *r)
{
	free(r);
}

void fwd_retire_block(struct fwd *f, struct fwd_retire *r)
{
	if (r != NULL)
		fwd_retire(f, r, free_block);
}
