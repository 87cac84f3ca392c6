// TUN devices, links, addresses and routes: what the parent process does to the kernel.
// The parent process; io_tun_has_vnet any.
#pragma once

#include "base/addr.h"

#define IO_TUN_NAME_MAX 16

/* A multi-queue TUN (IFF_TUN, IFF_NO_PI, IFF_VNET_HDR) with cnt non-blocking queues, up, with this MTU, in the named
 * network namespace ("" is the present one; else a name under /run/netns). The descriptors work from any namespace.
 * Reads may give superpackets and packets without their transport checksum.
 * ERR_NOTFOUND: namespace; ERR_SYSTEM with errno (EPERM, ENODEV: no tun in the kernel). */
MUST_USE enum err io_tun_open(const char *name, const char *netns, unsigned mtu, unsigned cnt, int *ret_fds);

/* True for a queue whose packets have a struct virtio_net_hdr in front. */
bool io_tun_has_vnet(int fd);

#define IO_TABLE_MAIN 254 /* the kernel's RT_TABLE_MAIN */

/* Adds or removes a kernel route of a table for prefix to the device (protocol number 171, so that ours can be told apart).
 * Adding one that is there and removing one that is not are no errors. A route
 * for the prefix that somebody else made is one: ERR_SYSTEM, EEXIST. */
MUST_USE enum err io_route_add(const char *netns, const char *device, uint32_t table, const struct addr_prefix *prefix);
MUST_USE enum err io_route_delete(const char *netns, const char *device, uint32_t table, const struct addr_prefix *prefix);

/* Puts an address with its prefix on the device (IPv6 without duplicate address detection). One that is there is no
 * error. ERR_SYSTEM with errno. */
MUST_USE enum err io_address_add(const char *netns, const char *device, const struct addr_prefix *address);

/* Makes a table answer for an address as though it had no routes of ours, whatever prefixes of those contain it: a copy of the
 * way that its other routes have to the address now, and behind it a route that sends the look-up on to the next rule (both
 * of protocol number 171). The latter holds when the former goes; call again when routes have changed. Routes to the device, which
 * need not be there, are ours. ERR_SYSTEM with errno. */
MUST_USE enum err io_route_pin(const char *netns, const struct addr *to, const char *not_device, uint32_t table);
/* Takes both away; none is no error. */
MUST_USE enum err io_route_unpin(const char *netns, const struct addr *to, uint32_t table);

/* A descriptor that is readable when addresses, links, routes or rules of the present namespace change; io_route_changed reads
 * what came. False: only new routes of our own (protocol number 171). */
MUST_USE enum err io_route_watch(int *ret_fd);
bool io_route_changed(int fd);
