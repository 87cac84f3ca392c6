#include "store/job.h"

#include <stdlib.h>

void store_jobs_init(struct store_jobs *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

void store_jobs_add(struct store_jobs *q, struct store_job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
}

struct store_job *store_jobs_take(struct store_jobs *q)
{
	struct store_job *j = q->head;
	if (j == NULL)
		return NULL;
	q->head = j->next;
	if (q->head == NULL)
		q->tail = &q->head;
	return j;
}

void store_job_free(struct store_job *j)
{
	store_page_free(&j->page);
	free(j->block);
	free(j);
}

void store_jobs_free(struct store_jobs *q)
{
	for (struct store_job *j; (j = store_jobs_take(q)) != NULL;)
		store_job_free(j);
}

static struct store_job *new_job(enum store_job_kind kind, uint64_t tag, size_t block_len)
{
	struct store_job *j = calloc(1, sizeof(*j));
	uint8_t *block = malloc(block_len + 1);

	if (j == NULL || block == NULL) {
		free(block);
		free(j);
		return NULL;
	}
	j->kind = kind;
	j->done.tag = tag;
	j->block = block;
	return j;
}

struct store_job *store_job_txn(const struct store_txn *txn, uint64_t tag)
{
	bool good = store_txn_check(txn) == ERR_NONE;
	size_t len = good ? store_ipc_txn_len(txn) : 0;
	struct store_job *j = new_job(STORE_JOB_TXN, tag, len);

	if (j == NULL)
		return NULL;
	if (!good) { /* not worth a copy: refused in its turn by the same check */
		j->t.txn.op_cnt = SIZE_MAX;
		return j;
	}
	struct wr w = wr_of((struct space){ j->block, len });
	store_ipc_txn_build(&w, txn);
	must(store_ipc_txn_parse(wr_bytes(&w), &j->t) == ERR_NONE);
	j->t.txn.loose = txn->loose;
	return j;
}

struct store_job *store_job_read(const struct store_page_ask *q, uint64_t tag)
{
	size_t len = q->prefix.len + q->after.len;
	struct store_job *j = new_job(STORE_JOB_READ, tag, len);

	if (j == NULL)
		return NULL;
	struct wr w = wr_of((struct space){ j->block, len });
	wr_put(&w, q->prefix);
	wr_put(&w, q->after);
	j->ask = *q;
	j->ask.prefix = bytes_of(j->block, q->prefix.len);
	j->ask.after = bytes_of(j->block + q->prefix.len, q->after.len);
	return j;
}

struct store_job *store_job_lease(enum store_job_kind kind, uint64_t value, uint64_t tag)
{
	struct store_job *j = new_job(kind, tag, 0);

	if (j != NULL)
		j->lease_arg = value;
	return j;
}
