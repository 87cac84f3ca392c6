// A network between a test peer and a test gateway: virtual time, scripted loss, repetition, delay.
// One thread.
#pragma once

#include "../peer/peer.h"
#include "gateway.h"

#define NET_FLIGHT_MAX 64
#define NET_LOG_MAX 256

enum net_fault { NET_FINE, NET_DROP, NET_TWICE, NET_LATE, NET_TWICE_LATE };

struct net_datagram {
	bool to_gateway;
	uint64_t at_us;
	struct addr_endpoint from, to;
	size_t len;
	uint8_t b[IKE_MESSAGE_MAX];
};

struct net {
	struct gateway g;
	struct peer p;
	unsigned flight_cnt;
	struct net_datagram flight[NET_FLIGHT_MAX];
	uint64_t peer_resend_us[2];
	unsigned peer_tries[2];
	/* the script: what happens to the n-th datagram on the wire */
	enum net_fault (*fault)(void *arg, unsigned n, bool to_gateway);
	void *fault_arg;
	unsigned sent;                   /* datagrams so far */
	struct addr_endpoint peer_seen;  /* where the gateway sees the peer; zero: where it is */
	/* every request that reached the gateway, to repeat it afterwards */
	unsigned log_cnt;
	struct net_datagram *log;
	unsigned dead;                   /* requests that the peer gave up */
	enum peer_event last;
};

void net_init(struct net *n, const struct peer_options *o);
void net_fini(struct net *n);
/* Options of a peer that fits the gateway's tunnel. */
void net_options(struct peer_options *o);

/* Runs until nothing is on its way and nobody waits for an answer. False: the peer gave up. */
MUST_USE bool net_run(struct net *n);
/* Lets time pass. */
void net_sleep(struct net *n, uint64_t us);

/* IKE_SA_INIT and IKE_AUTH. */
MUST_USE bool net_up(struct net *n);
void net_must_up(struct net *n);

/* Both sides have the same SAs with the same keys, and nothing else. Ends the process if not. */
void net_check(struct net *n);
/* Each request that the gateway has seen, once more: its state stays, and an answer is the cached one. */
void net_check_repeats(struct net *n);
