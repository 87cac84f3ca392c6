#include "crypt/locked.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/must.h"
#include "base/secret.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum {
	LINE = 64,
	BLOCK = 2 << 20,
	SA_COST = 3072, /* of both directions with AES-GCM, rounded up */
};

struct cell {
	struct cell *next;
};

/* Everything here is under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct cell *idle[CRYPT_LOCKED_MAX / LINE + 1]; /* by lines */
static uint8_t *fresh;                                 /* what is left of the newest block */
static size_t fresh_len;
static bool told;

/* Memory on a boundary of its own size, so that the kernel can back it with one huge page. */
static uint8_t *map_block(void)
{
	uint8_t *p = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	size_t before = (BLOCK - (uintptr_t)p % BLOCK) % BLOCK;
	if (before != 0)
		munmap(p, before);
	munmap(p + before + BLOCK, BLOCK - before);
	return p + before;
}

static bool add_block(void)
{
	uint8_t *p = map_block();
	if (p == NULL)
		return false;
	(void)madvise(p, BLOCK, MADV_HUGEPAGE); /* before mlock, which touches the pages */
	if ((madvise(p, BLOCK, MADV_DONTDUMP) != 0 || mlock(p, BLOCK) != 0) && !told) {
		log_warn("cannot lock memory for keys (%s): they could be swapped out; raise the limit with "
			 "LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited", strerror(errno));
		told = true;
	}
	fresh = p;
	fresh_len = BLOCK;
	return true;
}

void crypt_locked_start(void)
{
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit now;

	if (getrlimit(RLIMIT_MEMLOCK, &now) != 0)
		return;
	if (setrlimit(RLIMIT_MEMLOCK, &none) == 0)
		return;
	now.rlim_cur = now.rlim_max;
	(void)setrlimit(RLIMIT_MEMLOCK, &now);
	if (now.rlim_cur != RLIM_INFINITY)
		log_warn("only %" PRIu64 " KiB of memory may be locked: the keys of more than about %" PRIu64
			 " Child SAs could be swapped out; set LimitMEMLOCK=infinity in the unit, or "
			 "ulimit -l unlimited", (uint64_t)now.rlim_cur / 1024,
			 (uint64_t)now.rlim_cur / BLOCK * (BLOCK / SA_COST));
}

static void *take_cell(size_t lines)
{
	struct cell *c = idle[lines];
	size_t n = lines * LINE;

	if (c != NULL) {
		ASAN_UNPOISON_MEMORY_REGION(c, n);
		idle[lines] = c->next;
		c->next = NULL;
		return c;
	}
	/* The rest of a block that is too small for this one is lost: less than one cell in hundreds. */
	if (fresh_len < n && !add_block())
		return NULL;
	uint8_t *p = fresh;
	fresh += n;
	fresh_len -= n;
	return p;
}

static size_t count_lines(size_t n)
{
	must(n != 0 && n <= CRYPT_LOCKED_MAX);
	return (n + LINE - 1) / LINE;
}

void *crypt_locked_take(size_t n)
{
	size_t lines = count_lines(n);

	pthread_mutex_lock(&lock);
	void *p = take_cell(lines);
	pthread_mutex_unlock(&lock);
	return p;
}

void crypt_locked_give(void *p, size_t n)
{
	if (p == NULL)
		return;
	size_t lines = count_lines(n);
	struct cell *c = p;
	secret_wipe(p, lines * LINE);
	pthread_mutex_lock(&lock);
	c->next = idle[lines];
	idle[lines] = c;
	ASAN_POISON_MEMORY_REGION(c, lines * LINE);
	pthread_mutex_unlock(&lock);
}
