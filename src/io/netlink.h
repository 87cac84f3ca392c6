// One request to the kernel's routing tables and its answer.
// The parent process. RFC 3549.
#pragma once

#include <libmnl/libmnl.h>

#define IO_ROUTE_PROTOCOL 171 /* of our own routes; people see it (io/tun.h) */

/* Sends the request, which asks for an acknowledgement, in the present namespace. Each message of an answer
 * goes to on_message, if that is not NULL. Returns 0 or an errno. */
int io_netlink_ask(struct nlmsghdr *request, mnl_cb_t on_message, void *arg);
