// Leases. A grant whose answer was lost is asked for again: nobody renews the first one, and it lapses.
#include "store/etcd.h"

MUST_USE enum err store_etcd_lease_grant(struct store *s, uint64_t ttl_ms, struct store_lease *ret)
{
	struct etcd *e = store_etcd_of(s);
	const struct store_etcd_patience p = store_etcd_patience(e);
	Etcd__LeaseGrantRequest q = ETCD__LEASE_GRANT_REQUEST__INIT;
	struct store_grpc_answer a;

	q.ttl = (int64_t)((ttl_ms + 999) / 1000);
	enum err err = store_etcd_ask(e, "/etcdserverpb.Lease/LeaseGrant", &q.base, &p, &a);
	if (err != ERR_NONE)
		return err;
	Etcd__LeaseGrantResponse *r = etcd__lease_grant_response__unpack(NULL, a.msg.len, a.msg.p);
	if (r == NULL || r->id <= 0 || r->ttl <= 0)
		err = ERR_SYSTEM;
	else
		*ret = (struct store_lease){ .id = (uint64_t)r->id, .ttl_ms = (uint64_t)r->ttl * 1000 };
	etcd__lease_grant_response__free_unpacked(r, NULL);
	return err;
}

/* A stream with one message each way. */
MUST_USE enum err store_etcd_lease_renew(struct store *s, uint64_t id)
{
	struct etcd *e = store_etcd_of(s);
	const struct store_etcd_patience p = store_etcd_patience(e);
	Etcd__LeaseKeepAliveRequest q = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
	struct store_grpc_answer a;

	q.id = (int64_t)id;
	enum err err = store_etcd_ask(e, "/etcdserverpb.Lease/LeaseKeepAlive", &q.base, &p, &a);
	if (err != ERR_NONE)
		return err;
	Etcd__LeaseKeepAliveResponse *r = etcd__lease_keep_alive_response__unpack(NULL, a.msg.len, a.msg.p);
	if (r == NULL)
		err = ERR_SYSTEM;
	else if (r->ttl <= 0)
		err = ERR_NOTFOUND;
	etcd__lease_keep_alive_response__free_unpacked(r, NULL);
	return err;
}

MUST_USE enum err store_etcd_lease_revoke(struct store *s, uint64_t id)
{
	struct etcd *e = store_etcd_of(s);
	const struct store_etcd_patience p = store_etcd_patience(e);
	Etcd__LeaseRevokeRequest q = ETCD__LEASE_REVOKE_REQUEST__INIT;
	struct store_grpc_answer a;

	q.id = (int64_t)id;
	return store_etcd_ask(e, "/etcdserverpb.Lease/LeaseRevoke", &q.base, &p, &a);
}
