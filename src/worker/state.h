// What a worker is inside this folder: one burst of packets and what is done with it.
// worker/*.c only, the worker's own thread.
//
//   run    receives a burst ─┬─ socket ─ inbound ─ open ─ check ─ route ─┬─ send ─ message  (a tunnel)
//                            └─ TUN ──── outbound ────────────── route ──┴─ offramp         (a TUN)
//
// Superpackets come and go at all four ends. One from a socket is cut on arrival; one from a TUN stays whole until it is
// sealed, for all its packets go the same way.
#pragma once

#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "esp/burst.h"
#include "fwd/lookup.h"
#include "io/vnet.h"
#include "wire/icmp.h"
#include "wire/merge.h"
#include "worker/worker.h"

#define WORKER_BURST ESP_BURST_MAX
#define WORKER_HEADROOM 64
#define WORKER_PACKET_MAX 65536
#define WORKER_OUT_LEN (256 * 1024)
#define WORKER_TRAINS 8
#define WORKER_HEADERS_MAX 128 /* of IP and TCP */
#define WORKER_BUF_LEN (WORKER_HEADROOM + WORKER_PACKET_MAX + ESP_TAILROOM)
#define WORKER_ICMP_BUF_LEN (WORKER_HEADROOM + WIRE_ICMP_ERROR_MAX + ESP_TAILROOM)

/* One packet on its way. First it is an outer one, from open or a TUN on it is the inner one. */
struct worker_packet {
	struct space buf;
	size_t off, len;
	struct addr_endpoint remote;   /* outer source */
	uint8_t outer_tos;
	bool native;                   /* came as IP protocol 50 */
	unsigned arrival;              /* the datagram that it came in */
	struct fwd_child *child;       /* the SA that it came on; NULL: it came from the off-ramp */
	struct fwd_account *account;
	struct wire_ip ip;             /* of the inner packet */
	struct io_vnet vnet;           /* this and the rest: from a TUN */
	size_t segment;                /* a superpacket: payload bytes of each packet; 0: one packet */
	size_t longest;                /* a superpacket: its longest packet */
	unsigned packets;
};

/* The datagrams of one system call, and how far they are taken. */
struct worker_arrival {
	unsigned cnt, at;
	bool open;                     /* what follows is of datagram `at` */
	size_t len, segment, offset;
	struct addr_endpoint remote;
	uint8_t tos;
};

/* Packets of a flow on their way to an off-ramp, to be one write. */
struct worker_train {
	struct fwd_queue queue;
	uint32_t flow;
	struct wire_merge merge;
	struct iovec iovs[WIRE_MERGE_MAX + 1]; /* 0: the header; 1: the first packet; then payload */
};

/* One system call's worth for one peer: sealed packets beside each other in `sending`. */
struct worker_message {
	const struct model_path *path;
	unsigned first, cnt;           /* in `sending` */
	unsigned iov, iov_cnt;
	size_t segment, bytes;
	uint8_t tos;
	bool dont_fragment;
	bool closed;                   /* its last packet was shorter */
};

struct worker_control {
	_Alignas(struct cmsghdr) char room[2 * CMSG_SPACE(sizeof(int))];
};

/* What the system calls for many datagrams take and give. */
struct worker_calls {
	struct mmsghdr msgs[WORKER_BURST];
	struct iovec iovs[WORKER_BURST];
	struct sockaddr_storage names[WORKER_BURST];
	struct worker_control controls[WORKER_BURST];
};

/* A TUN queue that this worker reads, by a descriptor of its own. */
struct worker_queue {
	struct fwd_account *account;
	int fd;
	bool vnet;
};

/* Of a bucket: so many a second, a tenth of that at once. */
struct worker_limit {
	uint32_t tokens;
	uint64_t filled_ms;
};

struct worker {
	struct worker_config config;
	pthread_t thread;
	int epoll_fd, stop_fd;
	struct fwd_reader *reader;
	struct fwd_counters *counters;
	uint64_t now_ms, now_us;
	uint64_t generation, rescan_ms; /* of the queues below; when one is missing that could not be watched */
	struct worker_queue *queues;
	size_t queue_cnt;
	bool punted;                   /* the control thread has to be woken */
	bool returned;                 /* the packets in hand have been with control already */
	bool sealed_here;              /* the packets in hand came from control to be sealed: they do not go back */
	bool sequenced;                /* some that are to be sealed may have to be numbered by another node */
	struct worker_limit icmp_limits[256], icmp_limit, too_big_limit; /* of tunnels and off-ramps by their hash; of all */

	/* the burst */
	struct space bufs[WORKER_BURST];
	struct worker_arrival arrival;
	bool superpackets;             /* the last datagrams were such */
	struct worker_packet packets[WORKER_BURST];
	struct worker_packet errors[WORKER_BURST]; /* ICMP errors, at most one a packet */
	unsigned error_cnt, open_cnt, seal_cnt;
	struct esp_job opens[WORKER_BURST];
	struct worker_packet *opening[WORKER_BURST];
	uint32_t open_spis[WORKER_BURST];
	struct esp_job seals[WORKER_BURST];
	struct worker_sealing {
		struct fwd_child *child;
		size_t inner_len;
		uint8_t tos;
		bool dont_fragment;
	} sealing[WORKER_BURST];

	/* on the way out */
	struct space out;               /* for packets that cannot be sealed where they are */
	size_t out_used;
	unsigned sending[WORKER_BURST]; /* index in seals of each packet, in the order of messages */
	struct worker_message messages[WORKER_BURST];
	unsigned message_cnt, iov_cnt;
	uint64_t singly_until_ms[WORKER_SOCKETS_MAX]; /* no superpackets on this socket until then */
	struct worker_df { uint64_t until_ms; size_t len; } no_df[WORKER_SOCKETS_MAX]; /* for packets of that length on, until then */
	struct worker_train trains[WORKER_TRAINS];
	unsigned train_cnt;
	bool udp_singly;                /* the kernel's TUN takes no superpackets of UDP */

	/* Apart, for packets leave while some of the datagrams that came together still wait to be taken. */
	struct worker_calls incoming, outgoing;
	uint8_t *memory;                /* all buffers */
};

static inline void worker_drop(struct worker *w, enum model_drop why)
{
	fwd_count_drop(w->counters, why);
}

/* All packets of a superpacket that came from a TUN. */
static inline void worker_drop_packet(struct worker *w, const struct worker_packet *p, enum model_drop why)
{
	fwd_count_drops(w->counters, why, p->segment != 0 ? p->packets : 1);
}

static inline struct space worker_packet_space(const struct worker_packet *p)
{
	return (struct space){ p->buf.p + p->off, p->len };
}

static inline struct bytes worker_packet_bytes(const struct worker_packet *p)
{
	return bytes_of(p->buf.p + p->off, p->len);
}

/* ---- receive.c ---- */

/* What a socket has, as datagrams; then burst by burst as packets in w->packets, until there are 0. */
void worker_receive(struct worker *w, const struct worker_socket *s);
unsigned worker_take(struct worker *w);
/* One burst of a TUN queue. *ret_gone: the device will give nothing any more. */
unsigned worker_read(struct worker *w, const struct worker_queue *q, bool *ret_gone);

/* ---- punt.c ---- */

void worker_punt(struct worker *w, const struct worker_socket *s, const struct worker_packet *p,
		 struct bytes msg, bool natt, bool no_marker);
/* An ESP packet of an SPI that is not known: to control if the store may know more, else dropped. */
void worker_stray(struct worker *w, const struct worker_packet *p, uint32_t spi);
/* An inner packet that is not to be numbered here now: to control, and from there perhaps to another node. */
void worker_inner(struct worker *w, const struct fwd_child *c, struct bytes packet);
/* A message to a socket of kind ICMP. */
void worker_too_big(struct worker *w, const struct worker_socket *s, const struct worker_packet *p);
/* Tells what is due about an SA. remote: ADDRESS only. */
void worker_notice(struct worker *w, struct fwd_child *c, enum fwd_notice_kind kind, const struct addr_endpoint *remote);
void worker_punt_flush(struct worker *w);

/* ---- limit.c: one of `rate` a second; l belongs to the worker ---- */

bool worker_take_token(struct worker_limit *l, uint32_t rate, uint64_t now_ms);

/* ---- inbound.c, outbound.c ---- */

void worker_inbound(struct worker *w, const struct worker_socket *s, unsigned cnt);
/* Packets that control gives back, and inner ones that it wants sealed: at most a burst; true: more may wait. */
bool worker_returned(struct worker *w);
bool worker_seal_returned(struct worker *w);
void worker_outbound(struct worker *w, const struct worker_queue *q, unsigned cnt);

/* ---- check.c ---- */

/* Parses the inner packet and cuts it to its own length. False: not a packet. */
bool worker_check_inner(struct worker_packet *p);
/* A source or destination that no router forwards (RFC 1812 5.3.7, RFC 4291 2.5). */
bool worker_check_martian(const struct wire_ip *ip);
/* What the outer header says of congestion goes over to the inner one (RFC 6040 4.2). False: the packet must be dropped, for its
 * sender would take no other word. */
MUST_USE bool worker_take_congestion(struct worker_packet *p);

/* ---- forward.c ---- */

/* Towards a tunnel other than the one that it came from. */
void worker_forward_tunnel(struct worker *w, struct worker_packet *p, struct fwd_tunnel *t);
void worker_forward_offramp(struct worker *w, struct worker_packet *p);
/* Lowers the MSS of a SYN to what fits the SA that it came or goes by. */
void worker_clamp(struct worker *w, struct worker_packet *p, const struct fwd_child *c);

/* ---- icmp.c ---- */

/* To where it came from: answers of the gateway itself. False: that was not possible, *ret_why says why. */
bool worker_return(struct worker *w, struct worker_packet *p, enum model_drop *ret_why);
/* A packet to an inner address of the gateway. */
void worker_answer_local(struct worker *w, struct worker_packet *p);
/* Drops the packet and tells its source. about: the tunnel whose address the error bears, may be NULL. */
void worker_refuse(struct worker *w, struct worker_packet *p, enum model_drop why, enum wire_icmp_error kind,
		   uint32_t mtu, const struct fwd_tunnel *about);

/* ---- send.c, message.c ---- */

/* Queues an inner packet to be sealed; its buffer must stay until the flush. May flush what was queued before. */
void worker_send(struct worker *w, const struct worker_packet *p, struct fwd_child *c);
void worker_send_flush(struct worker *w);
/* Room until the next flush, which this may do first. */
struct space worker_take_room(struct worker *w, size_t len);
void worker_send_sealed(struct worker *w);

/* ---- offramp.c ---- */

/* False, and nothing counted, when the TUN does not take it. */
bool worker_write(struct worker *w, const struct fwd_queue *q, struct bytes packet);
/* Now or with those that follow; the packet's buffer must stay until the flush. Drops are counted. */
void worker_offramp_put(struct worker *w, const struct fwd_queue *q, const struct worker_packet *p);
void worker_offramp_flush(struct worker *w);
