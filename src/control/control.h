// The control thread: runs IKE, timers and the store's watch, and publishes forwarding state to the workers.
// control_new and control_run: the gateway process's first thread.
//
// It is the only place where the pure parts meet the world: punted datagrams, commits, clocks and random
// bytes go into ike_*_step as events, and its actions come out: commit, then install, then send.
#pragma once

#include "conf/site.h"
#include "crypt/seal.h"
#include "fwd/fwd.h"
#include "fwd/punt.h"
#include "io/fragment.h"
#include "store/store.h"

struct control;

/* A UDP socket to answer from. */
struct control_socket {
	int fd;
	struct addr_endpoint local;
};

/* What passes between control and the parent process about off-ramps; bin translates to process messages. */
struct control_parent {
	void *arg;
	int fd; /* readable: on_readable is called */
	void (*want_offramp)(void *arg, uint32_t account_number, const char *netns);
	void (*drop_offramp)(void *arg, uint32_t account_number);
	/* The whole set of an account's prefixes. */
	void (*set_routes)(void *arg, uint32_t account_number, const struct addr_prefix *prefixes, size_t cnt);
	/* Reads what the parent sent and calls control_offramp or control_attach. False: the parent is gone. */
	bool (*on_readable)(void *arg, struct control *c);
};

struct control_config {
	const struct conf *conf;
	const struct conf_site *site;    /* NULL: a gateway, whose configuration is the store's */
	const struct conf_cluster *cluster; /* NULL: this gateway is alone */
	int mesh_fd;                     /* with a cluster: the UDP socket of mesh_address, taken over */
	struct io_fragments fragments;   /* with a cluster: taken over; all 0 or -1: none */
	struct store *store;             /* taken over */
	int store_ipc_fd;                /* the api's, taken over; -1: none yet */
	int live_fd;                     /* model/live.h, taken over; -1: none yet. At a site it listens */
	const struct crypt_seal_ring *seal_keys; /* copied */
	uint32_t incarnation;
	struct fwd *fwd;
	struct fwd_punt_rings *rings;    /* one a worker */
	unsigned worker_cnt;
	const struct control_socket *sockets;
	unsigned socket_cnt;
	struct control_parent parent;
};

/* Before control_new, for config.incarnation: a number that was never given out. ERR_RANGE: they are used
 * up; ERR_CONFLICT: it could not be taken; what the store gives. */
MUST_USE enum err control_incarnation_take(struct store *s, uint32_t *ret);

/* Reads the configuration and the SAs from the store and installs them. ERR_MEMORY, ERR_SYSTEM, ERR_VERSION (records of a
 * newer program), ERR_AUTH (the sealing key does not fit the database); the cause is logged. */
MUST_USE enum err control_new(const struct control_config *config, struct control **ret);

/* Runs until the parent asks for the end (SIGTERM) or goes away. Asked, a site takes leave of its gateways before, which
 * lasts 2 s at most; a gateway's SAs, and those of a site whose parent went away, stay for the next start. */
void control_run(struct control *c);

/* Writes what waits and frees; the SAs stay in the store for the next start. NULL is fine. */
void control_free(struct control *c);

/* From parent.on_readable. Other sockets to send from; the list is borrowed, as that of control_config. */
void control_set_sockets(struct control *c, const struct control_socket *sockets, unsigned cnt);
/* Likewise: the local_address of that tunnel of the site's file has changed. Its SAs move (RFC 4555), or it starts anew. */
void control_move(struct control *c, unsigned tunnel);

/* From parent.on_readable. The descriptors become control's. */
void control_offramp(struct control *c, uint32_t account_number, enum err result, uint16_t mtu, const int *fds,
		     unsigned cnt);
void control_attach(struct control *c, int store_fd, int live_fd);
