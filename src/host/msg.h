// Messages between the parent and its children: one TLV record a packet, descriptors beside it.
// Any thread; the codec is pure. Both sides check what they read as if it came from a stranger.
#pragma once

#include "base/addr.h"
#include "base/tlv.h"

#define HOST_NETNS_MAX 64
#define HOST_PREFIXES_MAX 512 /* in one message; a longer set goes on in the next */
#define HOST_FDS_MAX 64
#define HOST_MSG_MAX 16384

enum host_msg_kind {
	HOST_MSG_ATTACH = 1,     /* parent -> child: fds = store, live: the other process was started anew */
	HOST_MSG_READY = 2,      /* child -> parent: serving */
	HOST_MSG_OFFRAMP_WANT = 3, /* gateway -> parent: account, netns */
	HOST_MSG_OFFRAMP = 4,    /* parent -> gateway: account, error, mtu; fds = a TUN queue for each worker */
	HOST_MSG_OFFRAMP_DROP = 5, /* gateway -> parent: account: remove its device */
	HOST_MSG_ROUTES = 6,     /* gateway -> parent: account, prefixes, more */
	HOST_MSG_MOVED = 7,      /* parent -> gateway: of a site. tunnel, and its new local address as the one prefix; fds = the
				  * address's sockets in the order of host_open_address, if it had none */
};

struct host_msg {
	uint8_t kind;            /* enum host_msg_kind */
	uint32_t account_number;
	char netns[HOST_NETNS_MAX];
	uint16_t mtu;
	uint8_t error;           /* enum err */
	uint32_t tunnel;         /* MOVED: its number in the file, from 0 */
	bool more;               /* ROUTES: the set goes on in the next message */
	uint16_t prefix_cnt;
	struct addr_prefix prefixes[HOST_PREFIXES_MAX];
};

MUST_USE enum err host_msg_encode(const struct host_msg *m, struct wr *w);
/* ERR_SHORT, ERR_SYNTAX, ERR_RANGE (too many prefixes), ERR_VERSION. */
MUST_USE enum err host_msg_decode(struct bytes b, struct host_msg *ret);

/* Over a SOCK_SEQPACKET pair. send: fds stay the caller's. recv: *ret_fds are the caller's from now on.
 * ERR_AGAIN (non-blocking), ERR_CLOSED, ERR_SYSTEM, and the errors of the codec. */
MUST_USE enum err host_msg_send(int fd, const struct host_msg *m, const int *fds, unsigned fd_cnt);
MUST_USE enum err host_msg_recv(int fd, struct host_msg *ret, int ret_fds[static HOST_FDS_MAX], unsigned *ret_fd_cnt);
