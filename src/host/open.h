// What the parent opens before it starts the others: outer sockets, API sockets, directories, the sealing key.
// The parent process only. Each failure is logged with its remedy.
#pragma once

#include "conf/conf.h"
#include "crypt/seal.h"
#include "io/fragment.h"

#define HOST_SOCKETS_MAX (CONF_ADDRESSES_MAX * 3)

enum host_socket_kind { HOST_SOCKET_IKE, HOST_SOCKET_NATT, HOST_SOCKET_ESP, HOST_SOCKET_ESP_DF, HOST_SOCKET_ICMP };

struct host_socket {
	int fd;
	uint8_t kind;                 /* enum host_socket_kind */
	unsigned worker;              /* which worker receives on it */
	struct addr_endpoint local;
};

/* cnt sockets: workers * addresses * 2 for UDP; for each address one for native ESP, one more for that with DF, and one for
 * what routers say of our packets. Owned by the holder. */
struct host_sockets {
	unsigned cnt;
	struct host_socket *s;
};

MUST_USE enum err host_open_sockets(const struct conf *c, unsigned workers, struct host_sockets *ret);

/* Those of one more address, always in the same order; mark: of what they send, 0: none. On failure none of them. */
MUST_USE enum err host_open_address(const struct addr *a, unsigned workers, bool native, uint32_t mark,
				    struct host_sockets *all);
/* The same from descriptors that were opened elsewhere. ERR_RANGE: not as many as there must be; they stay the caller's. */
MUST_USE enum err host_adopt_address(const struct addr *a, unsigned workers, bool native, const int *fds, unsigned cnt,
				     struct host_sockets *all);
bool host_has_address(const struct host_sockets *all, const struct addr *a);
void host_close_address(struct host_sockets *all, const struct addr *a);

/* The UDP socket of [cluster] mesh_address, and what io/fragment.h opens; -1 where that is not set. */
struct host_cluster_fds {
	int mesh;
	struct io_fragments fragments;
};
#define HOST_NO_CLUSTER ((struct host_cluster_fds){ -1, IO_FRAGMENTS_NONE })
MUST_USE enum err host_open_cluster(const struct conf *c, struct host_cluster_fds *ret);
void host_close_cluster(struct host_cluster_fds *f);

/* The API's listening TCP socket, and the admin socket in run_dir (made if missing). */
MUST_USE enum err host_open_http(const struct conf *c, int *ret_fd);
MUST_USE enum err host_open_admin(const struct conf *c, int *ret_fd);

/* Whether a daemon of this configuration listens at its admin socket. */
bool host_admin_answers(const struct conf *c);

/* Whether an onrampd --site listens at the status socket in run_dir. */
bool host_site_answers(const char *run_dir);

/* A site's status socket site.sock in run_dir (made if missing): model/live.h, one packet each; for root alone. */
MUST_USE enum err host_open_status(const struct conf *c, int *ret_fd);

/* state_dir: made if missing, owned by the user, mode 0700. */
MUST_USE enum err host_open_state_dir(const struct conf *c);

/* The keys that open PSKs and SAs: 64 hex digits in a line of a file of mode 0600, made at the first start. The first seals.
 * ERR_DENIED: others may read it; ERR_SYNTAX: not a key, or too many. The caller wipes *ret. */
MUST_USE enum err host_open_seal_keys(const struct conf *c, struct crypt_seal_ring *ret);

/* Files for TLS that the configuration names, as heap strings of at most 64 KiB; NULL where there is none. */
struct host_tls {
	char *ca_pem, *cert_pem, *key_pem;
};

/* Those of [store] where the engine is etcd, and of [api] where they are set. What is wrong with them is in the log.
 * ERR_SYSTEM: one cannot be read; ERR_DENIED: others may read the key; ERR_SYNTAX, ERR_CONFLICT: of crypt_pem_check. */
MUST_USE enum err host_open_etcd_tls(const struct conf *c, struct host_tls *ret);
MUST_USE enum err host_open_api_tls(const struct conf *c, struct host_tls *ret);
void host_tls_fini(struct host_tls *t); /* wipes the key */

/* Reads every file that the configuration names, as a start would, and makes none. What is wrong is in the log. */
MUST_USE enum err host_check_files(const struct conf *c);
