// Rows that were read, in memory: laid out as in store/ipc_msg.h.
// The store thread; struct store_page may pass to another one.
#pragma once

#include "store/store.h"

struct store_page_ask {
	bool list;            /* keys with the prefix, after `after`; else the one key `prefix` */
	struct bytes prefix, after;
	size_t limit;         /* of a list */
};

struct store_page {
	size_t row_cnt;
	size_t len, cap;
	uint8_t *rows;        /* NULL: none */
};

/* Fills an empty page. One key that is not there is a deletion with the revision of the read. What store_range gives; ERR_MEMORY. */
MUST_USE enum err store_page_read(struct store *s, const struct store_page_ask *q, struct store_page *ret, uint64_t *ret_rev);
void store_page_free(struct store_page *p);
