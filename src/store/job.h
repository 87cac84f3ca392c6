// What control has asked the store thread for, on its way there and back. Of the store thread; whoever holds a job owns it.
#pragma once

#include "store/ipc_msg.h"
#include "store/page.h"
#include "store/thread.h"

enum store_job_kind { STORE_JOB_TXN, STORE_JOB_READ, STORE_JOB_GRANT, STORE_JOB_RENEW };

struct store_job {
	struct store_job *next;
	struct store_done done;
	enum store_job_kind kind;
	uint64_t lease_arg; /* GRANT: its time in ms; RENEW: which */
	struct store_ipc_txn t;
	struct store_page_ask ask;
	struct store_page page;
	uint8_t *block; /* what t and ask borrow from */
};

/* The oldest first. */
struct store_jobs {
	struct store_job *head, **tail;
};

void store_jobs_init(struct store_jobs *q);
void store_jobs_add(struct store_jobs *q, struct store_job *j);
struct store_job *store_jobs_take(struct store_jobs *q); /* NULL: there is none */
void store_jobs_free(struct store_jobs *q);

/* NULL without memory. A transaction and a question are copied. */
struct store_job *store_job_txn(const struct store_txn *txn, uint64_t tag);
struct store_job *store_job_read(const struct store_page_ask *q, uint64_t tag);
struct store_job *store_job_lease(enum store_job_kind kind, uint64_t value, uint64_t tag);
void store_job_free(struct store_job *j);
