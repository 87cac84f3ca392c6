// store/grpc_frame.h and the messages of etcd inside: any bytes as what a member of etcd sends.
// The first byte says where the rest is cut in two: messages are the same however the bytes come.
#include "fuzz.h"

#include "store/etcd.pb-c.h"
#include "store/grpc_frame.h"

/* Any message of etcd's may be garbage to protobuf-c, and must then be refused whole. */
static void read_message(struct bytes msg)
{
	Etcd__WatchResponse *w = etcd__watch_response__unpack(NULL, msg.len, msg.p);
	Etcd__RangeResponse *r = etcd__range_response__unpack(NULL, msg.len, msg.p);
	Etcd__TxnResponse *t = etcd__txn_response__unpack(NULL, msg.len, msg.p);

	if (w != NULL)
		etcd__watch_response__free_unpacked(w, NULL);
	if (r != NULL)
		etcd__range_response__free_unpacked(r, NULL);
	if (t != NULL)
		etcd__txn_response__free_unpacked(t, NULL);
}

/* Takes the whole messages at the beginning; how many bytes they were, and the error that ended it. */
static size_t take_messages(struct bytes b, unsigned *cnt, enum err *ret_err)
{
	struct rd r = rd_of(b);
	struct bytes msg;

	while ((*ret_err = store_grpc_frame_parse(&r, &msg)) == ERR_NONE) {
		must_lie_within(msg, b);
		must(msg.len <= STORE_GRPC_MSG_MAX);
		++*cnt;
	}
	return b.len - rd_left(&r);
}

static void check_stream(struct bytes b, size_t cut)
{
	unsigned whole = 0, parts = 0;
	enum err err, err_first, err_rest;

	size_t len = take_messages(b, &whole, &err);
	size_t first = take_messages(bytes_of(b.p, cut), &parts, &err_first);
	if (err_first != ERR_SHORT) {
		must(first == len && err_first == err && parts == whole);
		return;
	}
	size_t rest = take_messages(bytes_of(b.p + first, b.len - first), &parts, &err_rest);
	must(first + rest == len && err_rest == err && parts == whole);
}

static void read_all(struct bytes b)
{
	struct rd r = rd_of(b);
	struct bytes msg;

	while (store_grpc_frame_parse(&r, &msg) == ERR_NONE) {
		uint8_t head[STORE_GRPC_FRAME_HEAD];
		struct wr w = wr_of(SPACE_OF(head));
		store_grpc_frame_build(&w, msg.len);
		must(!w.bad && memcmp(head, msg.p - sizeof(head), sizeof(head)) == 0);
		read_message(msg);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct bytes b = bytes_of(data + 1, size - 1);
	check_stream(b, data[0] < b.len ? data[0] : b.len);
	read_all(b);
	return 0;
}
