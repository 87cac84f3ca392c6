// What all parts of the etcd engine call: keys, and one request with its tries at the members.
#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/etcd.h"

enum { PAUSE_MS = 30, REQUEST_STACK = 2048 };

/* ---- keys ---- */

struct store_etcd_key store_etcd_key(const struct etcd *e, const char *folder, struct bytes rest)
{
	struct store_etcd_key k = { 0 };
	struct wr w = wr_of(SPACE_OF(k.b));

	wr_put(&w, bytes_str(e->prefix));
	wr_put(&w, bytes_str(folder));
	wr_put(&w, rest);
	must(!w.bad);
	k.len = wr_len(&w);
	return k;
}

struct store_etcd_key store_etcd_key_end(const struct store_etcd_key *prefix)
{
	struct store_etcd_key end = *prefix;

	while (end.len != 0 && end.b[end.len - 1] == 0xff)
		end.len--;
	/* PREFIX ends in '/', so there is always a byte to raise. */
	must(end.len != 0);
	end.b[end.len - 1]++;
	return end;
}

/* ---- calls ---- */

struct store_etcd_patience store_etcd_patience(const struct etcd *e)
{
	return (struct store_etcd_patience){ clock_mono_ms() + e->timeout_ms };
}

static unsigned left_ms(const struct store_etcd_patience *p)
{
	uint64_t now = clock_mono_ms();
	return now >= p->end_ms ? 0 : (unsigned)(p->end_ms - now);
}

bool store_etcd_may_retry(const struct store_etcd_patience *p)
{
	unsigned left = left_ms(p);

	(void)poll(NULL, 0, left < PAUSE_MS ? (int)left : PAUSE_MS);
	return left > PAUSE_MS;
}

void store_etcd_note_failure(struct etcd *e, const char *path, const char *why)
{
	uint32_t held;

	e->failing = true;
	if (log_limit_take(&e->limit, clock_mono_ms(), &held))
		log_warn("store: etcd: %s at %s (%u held back)", strrchr(path, '/') + 1, why, held);
}

static void note_success(struct etcd *e)
{
	if (e->failing)
		log_info("store: etcd answers again");
	e->failing = false;
}

void store_etcd_note_rev(struct etcd *e, const Etcd__Header *header)
{
	uint64_t rev = header == NULL || header->revision <= 0 ? 0 : (uint64_t)header->revision;

	if (rev != 0 && rev < e->known_rev && !e->put_back) {
		log_error("store: etcd was put back to an older copy, revision %llu after %llu: nothing is read or written any more; stop all "
			  "gateways and see doc/cluster.md, Backups", (unsigned long long)rev, (unsigned long long)e->known_rev);
		e->put_back = true;
	}
	if (rev > e->known_rev)
		e->known_rev = rev;
}

MUST_USE enum err store_etcd_try(struct etcd *e, const char *path, const ProtobufCMessage *request,
				 const struct store_etcd_patience *p, struct store_grpc_answer *ret)
{
	uint8_t small[REQUEST_STACK], *b = small;
	size_t len = protobuf_c_message_get_packed_size(request);
	unsigned left = left_ms(p);

	if (e->put_back)
		return ERR_SYSTEM;
	if (len > sizeof(small) && (b = malloc(len)) == NULL)
		return ERR_MEMORY;
	must(protobuf_c_message_pack(request, b) == len);
	store_grpc_call(e->grpc, path, bytes_of(b, len), left == 0 ? 1 : left < STORE_ETCD_TRY_MS ? left : STORE_ETCD_TRY_MS,
			ret);
	if (b != small)
		free(b);
	if (ret->outcome == GRPC_ANSWERED && ret->status == GRPC_OK)
		note_success(e);
	return ERR_NONE;
}

enum err store_etcd_error_of(const struct store_grpc_answer *a)
{
	switch (a->status) {
	case GRPC_NOT_FOUND: return ERR_NOTFOUND;
	case GRPC_PERMISSION_DENIED:
	case GRPC_UNAUTHENTICATED: return ERR_DENIED;
	case GRPC_OUT_OF_RANGE: return ERR_COMPACTED;
	/* Else it is one member that has too much to do, as when it catches up with the others. */
	case GRPC_RESOURCE_EXHAUSTED: return strstr(a->why, "space exceeded") != NULL ? ERR_FULL : ERR_AWAY;
	case GRPC_INVALID_ARGUMENT:
	case GRPC_FAILED_PRECONDITION:
	case GRPC_UNIMPLEMENTED: return ERR_SYSTEM;
	default: return ERR_AWAY; /* another member may do better */
	}
}

MUST_USE enum err store_etcd_ask(struct etcd *e, const char *path, const ProtobufCMessage *request,
				 const struct store_etcd_patience *p, struct store_grpc_answer *ret)
{
	do {
		enum err err = store_etcd_try(e, path, request, p, ret);
		if (err != ERR_NONE)
			return err;
		if (ret->outcome == GRPC_ANSWERED && ret->status == GRPC_OK)
			return ERR_NONE;
		err = ret->outcome == GRPC_ANSWERED ? store_etcd_error_of(ret) : ERR_AWAY;
		if (err == ERR_COMPACTED || err == ERR_NOTFOUND)
			return err;
		store_etcd_note_failure(e, path, ret->why);
		if (err != ERR_AWAY)
			return err;
	} while (store_etcd_may_retry(p));
	return ERR_AWAY;
}

MUST_USE enum err store_etcd_range(struct etcd *e, Etcd__RangeRequest *q, const struct store_etcd_patience *p,
				   Etcd__RangeResponse **ret)
{
	struct store_grpc_answer a;

	enum err err = store_etcd_ask(e, "/etcdserverpb.KV/Range", &q->base, p, &a);
	if (err != ERR_NONE)
		return err;
	*ret = etcd__range_response__unpack(NULL, a.msg.len, a.msg.p);
	if (*ret == NULL)
		return ERR_SYSTEM;
	store_etcd_note_rev(e, (*ret)->header);
	return ERR_NONE;
}
