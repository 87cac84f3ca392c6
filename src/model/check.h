// Rules for single values, shared by the checks of the nouns.
// Any thread; pure. Private to model/.
#pragma once

#include "base/addr.h"

/* 1 to 255 characters (cap counts the NUL), printable ASCII. */
bool model_name_valid(const char *name);

/* UTF-8 without control characters, but for tab and line ends. RFC 3629 4. */
bool model_free_text_valid(const char *text);

/* An address that one host can have: no multicast, broadcast, 0.0.0.0 or ::. */
bool model_addr_is_unicast(const struct addr *a);
bool model_addr_is_loopback(const struct addr *a);
bool model_addr_is_link_local6(const struct addr *a);

/* The spaces from which IPv4 interface addresses come: RFC 1918 and 169.254.240.0/20. */
bool model_prefix_is_interface_space(const struct addr_prefix *p);
