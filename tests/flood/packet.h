// Messages of strangers: IKE_SA_INIT and junk, as IPv4 packets from any source address.
// One thread; plain bytes, no socket.
#pragma once

#include "wire/ike.h"

#define PACKET_MAX 1500
#define PACKET_COOKIE_MAX 64

struct packet {
	size_t len;
	uint8_t b[PACKET_MAX];
};

/* A number that looks random and is the same each time for the same input. */
uint64_t packet_mix(uint64_t v);

/* IPv4 header and, for UDP, its header around a body; ports in host order, 0: native ESP. More fragments: the first
 * one of several, whose rest never comes. */
struct packet_way {
	uint32_t from, to;
	uint16_t from_port, to_port;
	bool more_fragments;
};
void packet_wrap(const struct packet_way *way, struct bytes body, struct packet *ret);

/* A first message as routers send it, group 14; all in it follows from the source. cookie.len 0: none. Returns its length. */
size_t packet_init(uint32_t source, struct bytes cookie, struct space room);
uint64_t packet_init_spi(uint32_t source);

/* A protected message of junk: SK, or SKF as one of several fragments. */
struct packet_junk {
	uint64_t spi_i, spi_r, random;
	uint8_t exchange;
	uint32_t msg_id;
	bool fragment;
	uint16_t len; /* of what stands for IV, ciphertext and ICV */
};
size_t packet_junk(const struct packet_junk *j, struct space room);
