// How big an inner packet may be for its ESP packet to fit the path.
// Any thread; pure. RFC 4303 2.4, RFC 3948 2.1.
#pragma once

#include "base/addr.h"
#include "model/proposal.h"

/* The largest inner packet whose outer packet is not above outer_mtu; 0 when none fits or the suite is
 * unknown. */
uint16_t esp_mtu(const struct model_suite *suite, uint16_t outer_mtu, enum addr_family outer, bool udp_encap);
