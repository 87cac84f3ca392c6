// The test peer as a program: what main.c runs and args.c reads from the command line.
// One thread.
#pragma once

#include "fault.h"
#include "peer.h"

#define PINGS_MAX 8
#define PACKET_MAX 9216

struct run {
	struct peer p;
	struct peer_options o;
	int udp500, udp4500, raw;
	unsigned inner_cnt, ping_cnt;
	struct addr inner[PINGS_MAX], ping[PINGS_MAX];
	unsigned count, size, interval_ms, timeout_ms;
	const char *expect, *steps;
	struct peer_suite esp_pfs;
	bool encap, only_init;
	unsigned tfc;                     /* bytes behind each inner packet */
	bool dummies;                     /* one before each */
	const struct fault *fault; /* NULL: none */
	unsigned size_cnt, sizes[16]; /* of the first IKE messages that came */
	/* echo replies of the ping under way */
	uint16_t ping_id;
	unsigned ping_received, ping_bad;
	const struct addr *ping_dst;
	uint64_t ping_sent_us, ping_rtt_us;
	bool replied[4096];
	unsigned echo_answered;
	enum peer_event last;
	char report[8192];
	char error[256];
};

_Noreturn void run_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Fills *r; ends the program on a mistake, with the usage. */
void run_read_args(struct run *r, int argc, char **argv);
