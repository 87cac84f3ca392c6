// The HTTP server of the api process: the API on TCP and the administrator's Unix socket; one loop.
// The main thread of the api process, which waits on api_server_fd.
// Contract: doc/api.md.
#pragma once

#include "conf/conf.h"
#include "crypt/seal.h"
#include "store/store.h"

struct api_config {
	int http_fd;	     /* listening TCP socket, -1: none; owned by the server from now on */
	int admin_fd;	     /* listening Unix socket, -1: none; owned */
	struct store *store; /* may read and write cfg/, may read st/; owned */
	int live_fd;	     /* SOCK_SEQPACKET to the gateway (model/live.h), -1: away; owned */
	struct crypt_seal_public seal;
	const struct conf *conf;		/* outlives the server */
	const char *tls_cert_pem, *tls_key_pem; /* both or none; borrowed */
};

struct api_server;

/* ERR_MEMORY, ERR_SYSTEM. On failure the descriptors and the store are still the caller's. */
MUST_USE enum err api_server_start(const struct api_config *config, struct api_server **ret);

/* Readable when api_server_run has something to do. Owned by the server. */
int api_server_fd(const struct api_server *s);

/* Does what is ready, without waiting. A store or a gateway that hangs holds it for their timeout. */
void api_server_run(struct api_server *s);

/* The gateway process was restarted: the new ends. The old ones are freed and closed. */
void api_server_set_store(struct api_server *s, struct store *store);
void api_server_set_live(struct api_server *s, int live_fd);

/* Closes all connections. NULL is fine. */
void api_server_stop(struct api_server *s);
