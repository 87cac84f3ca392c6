// Outer sockets: UDP 500 and 4500, and IP protocol 50.
// Opening: the parent process. Sending and receiving: the thread that owns the socket (sends may be shared).
// RFC 3948, RFC 4303.
#pragma once

#include <sys/socket.h>

#include "base/addr.h"

/* A non-blocking UDP socket bound to local, SO_REUSEPORT, IP_FREEBIND (the address may come later), large buffers,
 * and outer packets may be fragmented. The kernel's own idea of the path MTU, which any forged ICMP message changes,
 * counts for IPv6 alone, where only it can fragment. ERR_SYSTEM with errno. */
MUST_USE enum err io_udp_open(const struct addr_endpoint *local, int *ret_fd);

/* Whether nobody has a socket there, not even one that would share it: SO_REUSEPORT alone lets a second daemon take half of the
 * first one's packets. ERR_SYSTEM with errno (EADDRINUSE). */
MUST_USE enum err io_udp_alone(const struct addr_endpoint *local);

/* A non-blocking raw socket for ESP bound to local. IPv4: received packets begin with the IP header. */
MUST_USE enum err io_esp_open(const struct addr *local, int *ret_fd);

/* Whether packets from now on are sent whole, in IPv4 with DF: one above the MTU of the first link is refused with EMSGSIZE. */
void io_set_dont_fragment(int fd, uint8_t family, bool on);
/* A raw socket for ESP that sends so, and receives nothing. */
MUST_USE enum err io_esp_open_df(const struct addr *local, int *ret_fd);

/* A non-blocking raw socket that gets the "fragmentation needed" and "packet too big" messages to local. IPv4: they begin
 * with the IP header. */
MUST_USE enum err io_icmp_open(const struct addr *local, int *ret_fd);

/* From now on datagrams of one sender and one size may come as one, with their size in a UDP_GRO message. False: this
 * kernel cannot, and they come singly. */
bool io_udp_take_bursts(int fd);

/* Conversions for the system calls; ret_len is the length of the filled part. */
void io_sockaddr_from(const struct addr_endpoint *e, struct sockaddr_storage *ret, socklen_t *ret_len);
struct addr_endpoint io_sockaddr_to(const struct sockaddr_storage *s);

/* One datagram; marker puts four zero bytes in front (RFC 3948 2.2). ERR_AGAIN: buffer full; ERR_SYSTEM. */
MUST_USE enum err io_udp_send(int fd, const struct addr_endpoint *to, bool marker, struct bytes msg);

/* One datagram; longer ones are cut to the room. ERR_AGAIN: none waits; ERR_SYSTEM. */
MUST_USE enum err io_udp_recv(int fd, struct space room, size_t *ret_len);

/* The mark that routing rules and the firewall see on what the socket sends; 0 is none. ERR_SYSTEM with errno. */
MUST_USE enum err io_set_mark(int fd, uint32_t mark);

/* Our address from which the kernel sends to remote now, with that mark. ERR_SYSTEM with errno (ENETUNREACH: no route). */
MUST_USE enum err io_udp_source(const struct addr *remote, uint32_t mark, struct addr *ret);
