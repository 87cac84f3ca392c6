// The parent process: opens what needs root, starts gateway and api, hands them descriptors, starts either again.
// host_run: main. It parses nothing that a stranger wrote, and of its children only host/msg.h.
#pragma once

#include "conf/site.h"
#include "host/open.h"

/* What a child gets; everything in it is the child's. */
struct host_gateway_env {
	const struct conf *conf;
	struct conf_site *site; /* NULL: a gateway */
	const struct crypt_seal_ring *seal_keys;
	struct host_sockets sockets;
	unsigned workers;
	int parent_fd; /* host/msg.h */
	int store_fd;  /* ipc server side; -1 at a site */
	int live_fd;   /* model/live.h, server side; at a site it listens */
	struct host_cluster_fds cluster; /* -1: this node is alone */
	struct host_tls etcd_tls; /* NULLs with another engine */
};

struct host_api_env {
	const struct conf *conf;
	struct crypt_seal_public seal;
	int parent_fd;
	int store_fd;
	int live_fd;
	int http_fd;
	int admin_fd;
	char *tls_cert_pem, *tls_key_pem; /* NULL without TLS */
};

/* The mains of the children; they return the exit status. */
struct host_mains {
	int (*gateway)(const struct host_gateway_env *env);
	int (*api)(const struct host_api_env *env);
};

/* Runs until SIGTERM or SIGINT; the exit status. With a site there is no api process. */
int host_run(const struct conf *c, struct conf_site *site, const struct host_mains *mains);

/* Number of workers by configuration and cores. */
unsigned host_worker_cnt(const struct conf *c);
