// The messages between the ipc engine and its server: pure codecs. Not for users of the store.
// Any thread; nothing is allocated, what was parsed borrows from the message.
//
//   every message   mark u16 | version u8 | kind u8 | id u64 | body
//   get             key_len u16 | key
//   range           limit u32 | prefix_len u16 | after_len u16 | prefix | after
//   changes         rev u64 | upto u64 | prefix_len u16 | from_len u16 | prefix | from
//   commit          total u32 | offset u32 | a part of the transaction, at least one byte
//   answer          err u8 | more u8 | row_cnt u16 | rev u64 | rows
//   row             deleted u8 | key_len u16 | value_len u16 | create_rev u64 | mod_rev u64 | key | value
//   transaction     cmp_cnt u8 | op_cnt u8 | cmps | ops
//   cmp             key_len u16 | mod_rev u64 | key
//   op              kind u8 | key_len u16 | value_len u16 | key | value
//
// Each message is one record of a SOCK_SEQPACKET socket. A client has one request under way; its ids rise,
// and the answer carries the id of its request. A transaction that is longer than a message comes in parts
// under one id and is answered once. A range or changes that do not fit one answer end with `more`: the
// client asks again from behind the last row.
#pragma once

#include "store/engine.h"

enum { STORE_IPC_MSG_MAX = 48000 };

/* The longest transaction: its counts and lease, then each comparison and operation at its longest. */
enum {
	STORE_IPC_TXN_MAX = 10 + STORE_TXN_CMPS_MAX * (10 + STORE_KEY_MAX) +
			    STORE_TXN_OPS_MAX * (5 + STORE_KEY_MAX + STORE_VALUE_MAX),
	STORE_IPC_PART_MAX = STORE_IPC_MSG_MAX - 20,
};

enum store_ipc_kind {
	STORE_IPC_GET = 1,
	STORE_IPC_RANGE,
	STORE_IPC_CHANGES,
	STORE_IPC_COMMIT,
	STORE_IPC_ANSWER = 128,
};

struct store_ipc_request {
	uint64_t id;
	enum store_ipc_kind kind;
	struct bytes key;       /* get: the key; range, changes: the prefix */
	struct bytes from;      /* range: the key before the first; changes: of the position */
	uint64_t rev, upto;     /* changes */
	uint32_t limit;         /* range */
	uint32_t total, offset; /* commit */
	struct bytes part;      /* commit */
};

struct store_ipc_answer {
	uint64_t id;
	enum err err;
	bool more;
	uint16_t row_cnt;
	uint64_t rev;
	struct bytes rows; /* well formed: read row_cnt times with store_ipc_row_parse */
};

/* A parsed transaction. */
struct store_ipc_txn {
	struct store_cmp cmps[STORE_TXN_CMPS_MAX];
	struct store_op ops[STORE_TXN_OPS_MAX];
	struct store_txn txn; /* points to the arrays above */
};

void store_ipc_request_build(struct wr *w, const struct store_ipc_request *q);
/* ERR_SYNTAX. Whatever is over a limit of the store is malformed. */
MUST_USE enum err store_ipc_request_parse(struct bytes msg, struct store_ipc_request *ret);

/* The id of a message that may be malformed, 0 if it has none. */
uint64_t store_ipc_id(struct bytes msg);

/* An answer is begun, gets its rows, and is ended with what is known then. */
void store_ipc_answer_begin(struct wr *w, uint64_t id);
void store_ipc_answer_end(struct wr *w, enum err err, bool more, uint16_t row_cnt, uint64_t rev);
/* ERR_SYNTAX. */
MUST_USE enum err store_ipc_answer_parse(struct bytes msg, struct store_ipc_answer *ret);

size_t store_ipc_row_len(const struct store_row *row);
void store_ipc_row_build(struct wr *w, const struct store_row *row);
/* ERR_SYNTAX. */
MUST_USE enum err store_ipc_row_parse(struct rd *r, struct store_row *ret);

/* The transaction is within the limits of the store. */
size_t store_ipc_txn_len(const struct store_txn *txn);
void store_ipc_txn_build(struct wr *w, const struct store_txn *txn);
/* ERR_SYNTAX. */
MUST_USE enum err store_ipc_txn_parse(struct bytes b, struct store_ipc_txn *ret);
