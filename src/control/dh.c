#include "control/dh.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/secret.h"

#define THREADS_MAX 16

struct job {
	uint64_t tag;
	enum ike_dh_op op;
	uint16_t group;
	uint16_t public_len, private_len;
	uint8_t private[CRYPT_DH_PRIVATE_MAX];
	uint8_t public[CRYPT_DH_PUBLIC_MAX];
};

/* A ring over a fixed array. */
struct jobs {
	unsigned first, cnt;
	struct job j[CONTROL_DH_QUEUE_MAX];
};

/* A slot goes job -> result; all queues are guarded by lock. */
struct control_dh {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	unsigned threads;
	pthread_t thread[THREADS_MAX];
	int fd;
	unsigned done_first, done_cnt, running;
	struct jobs urgent, others;
	struct control_dh_done done[CONTROL_DH_QUEUE_MAX];
};

static bool take_job(struct jobs *q, struct job *ret)
{
	if (q->cnt == 0)
		return false;
	*ret = q->j[q->first];
	secret_wipe(&q->j[q->first], sizeof(*ret));
	q->first = (q->first + 1) % CONTROL_DH_QUEUE_MAX;
	q->cnt--;
	return true;
}

/* Under the lock, but for the call that wakes the control thread: it would wait for the lock at once. It takes all that there is,
 * so only the first result has to wake it. */
static void give_result(struct control_dh *d, struct control_dh_done *r)
{
	const uint64_t one = 1;
	bool first = d->done_cnt == 0;

	d->running--;
	d->done[(d->done_first + d->done_cnt++) % CONTROL_DH_QUEUE_MAX] = *r;
	secret_wipe(r, sizeof(*r));
	if (!first)
		return;
	pthread_mutex_unlock(&d->lock);
	(void)!write(d->fd, &one, sizeof(one));
	pthread_mutex_lock(&d->lock);
}

static void *helper(void *arg)
{
	struct control_dh *d = arg;

	pthread_mutex_lock(&d->lock);
	while (!d->stop) {
		struct job j;
		if (!take_job(&d->urgent, &j) && !take_job(&d->others, &j)) {
			pthread_cond_wait(&d->wake, &d->lock);
			continue;
		}
		d->running++;
		pthread_mutex_unlock(&d->lock);

		struct control_dh_done r = { .tag = j.tag };
		r.err = ike_dh_run(&(struct ike_dh_job){ .op = j.op, .group = j.group,
							 .peer_public = bytes_of(j.public, j.public_len),
							 .private = bytes_of(j.private, j.private_len) },
				   &r.result);
		secret_wipe(&j, sizeof(j));

		pthread_mutex_lock(&d->lock);
		give_result(d, &r);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

MUST_USE enum err control_dh_new(unsigned threads, struct control_dh **ret)
{
	struct control_dh *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return ERR_MEMORY;
	d->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->wake, NULL);
	if (threads == 0)
		threads = 1;
	while (d->fd >= 0 && d->threads < threads && d->threads < THREADS_MAX &&
	       pthread_create(&d->thread[d->threads], NULL, helper, d) == 0)
		d->threads++;
	if (d->threads == 0) {
		control_dh_free(d);
		return ERR_SYSTEM;
	}
	*ret = d;
	return ERR_NONE;
}

void control_dh_free(struct control_dh *d)
{
	if (d == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < d->threads; i++)
		pthread_join(d->thread[i], NULL);
	if (d->fd >= 0)
		close(d->fd);
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
	secret_wipe(d, sizeof(*d));
	free(d);
}

MUST_USE enum err control_dh_submit(struct control_dh *d, uint64_t tag, const struct ike_dh_job *job,
				    bool urgent)
{
	struct jobs *q = urgent ? &d->urgent : &d->others;
	struct job j = { .tag = tag, .op = job->op, .group = job->group,
			 .public_len = (uint16_t)job->peer_public.len, .private_len = (uint16_t)job->private.len };
	struct rd public = rd_of(job->peer_public), private = rd_of(job->private);
	enum err e = ERR_NONE;

	if (job->peer_public.len > sizeof(j.public) || job->private.len > sizeof(j.private))
		return ERR_LONG;
	rd_copy(&public, j.public, job->peer_public.len);
	rd_copy(&private, j.private, job->private.len);
	pthread_mutex_lock(&d->lock);
	/* Each job needs room among the results, too; what is not urgent leaves some of it free. */
	unsigned max = urgent ? CONTROL_DH_QUEUE_MAX : CONTROL_DH_QUEUE_MAX - CONTROL_DH_RESERVED;
	if (d->urgent.cnt + d->others.cnt + d->running + d->done_cnt >= max) {
		e = ERR_FULL;
	} else {
		q->j[(q->first + q->cnt++) % CONTROL_DH_QUEUE_MAX] = j;
		pthread_cond_signal(&d->wake);
	}
	pthread_mutex_unlock(&d->lock);
	secret_wipe(&j, sizeof(j));
	return e;
}

int control_dh_fd(const struct control_dh *d)
{
	return d->fd;
}

bool control_dh_take(struct control_dh *d, struct control_dh_done *ret)
{
	bool found;

	pthread_mutex_lock(&d->lock);
	found = d->done_cnt != 0;
	if (found) {
		struct control_dh_done *r = &d->done[d->done_first];
		*ret = *r;
		secret_wipe(r, sizeof(*r));
		d->done_first = (d->done_first + 1) % CONTROL_DH_QUEUE_MAX;
		d->done_cnt--;
	}
	pthread_mutex_unlock(&d->lock);
	return found;
}
