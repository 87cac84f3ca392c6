// One request to the kernel's routing tables and its answer.
// The parent process. RFC 3549.
#pragma once

#include <libmnl/libmnl.h>

#include "base/addr.h"

#define IO_ROUTE_PROTOCOL 171 /* of our own routes; people see it (io/tun.h) */

/* Sends the request, which asks for an acknowledgement, in the present namespace. Each message of an answer
 * goes to on_message, if that is not NULL. Returns 0 or an errno. */
int io_netlink_ask(struct nlmsghdr *request, mnl_cb_t on_message, void *arg);

/* What one message of a list of routes says, of which the attributes are borrowed. */
struct io_netlink_route {
	struct addr_prefix prefix;
	uint32_t table, metric, index;
	const struct nlattr *multipath, *nexthop; /* NULL: none */
};

uint8_t io_netlink_family(uint8_t family); /* AF_INET6 or AF_INET */
/* Asks for all routes of a family (ADDR_V4, ADDR_V6), of all tables. */
int io_netlink_list_routes(uint8_t family, mnl_cb_t on_message, void *arg);
void io_netlink_route_parse(const struct nlmsghdr *h, struct io_netlink_route *ret);
