// A worker: one thread a core on the packet road. Receives bursts, opens, routes, seals, sends.
// worker_start and worker_stop: the thread that sets the process up; the rest runs inside.
#pragma once

#include "base/addr.h"
#include "fwd/fwd.h"
#include "fwd/punt.h"

#define WORKER_SOCKETS_MAX 96

/* ESP_DF: for sending ESP with DF; ICMP: what routers say about packets that were too big. */
enum worker_socket_kind { WORKER_SOCKET_IKE, WORKER_SOCKET_NATT, WORKER_SOCKET_ESP, WORKER_SOCKET_ESP_DF, WORKER_SOCKET_ICMP };

/* An outer socket. Each worker has its own UDP socket for each address and port (SO_REUSEPORT); the raw sockets
 * are read by worker 0 and written by all. */
struct worker_socket {
	int fd;
	uint8_t kind;                /* enum worker_socket_kind */
	bool receive;                /* false: only for sending */
	struct addr_endpoint local;  /* port 0 with ESP and ICMP */
};

struct worker_config {
	unsigned index;
	unsigned socket_cnt;
	struct worker_socket sockets[WORKER_SOCKETS_MAX];
	struct fwd *fwd;
	struct fwd_punt_rings *rings; /* to the control thread */
};

struct worker;

/* Copies the configuration; does not own the descriptors. ERR_SYSTEM, ERR_MEMORY. */
MUST_USE enum err worker_start(const struct worker_config *c, struct worker **ret);

/* Ends the thread and waits for it. NULL is fine. */
void worker_stop(struct worker *w);
