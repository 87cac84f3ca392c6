// What the files of the test peer share.
// Inside tests/peer only.
#pragma once

#include "peer.h"

void peer_begin(struct wire_ike_builder *b, struct space room, const struct peer_ike *sa, uint8_t exchange,
		uint32_t msg_id, bool response);
/* Wraps the payloads of a plain message into SK, after the test had its way with them. */
size_t peer_protect(struct peer *p, struct peer_ike *sa, struct wire_ike_builder *plain, struct space room);
/* One fragment of a message with that header. */
size_t peer_protect_fragment(struct peer_ike *sa, const struct wire_ike_header *h, uint16_t number, uint16_t total,
			     uint8_t first, struct bytes part, struct space room);
/* Also takes a fragment; then true when it makes the message whole. */
bool peer_unprotect(struct peer *p, const struct peer_ike *sa, struct bytes msg, struct space scratch,
		    struct wire_ike_payloads *ret);
void peer_natd_hash(const struct peer_ike *sa, const struct addr_endpoint *e, uint8_t out[static 20]);
void peer_init_again(struct peer *p);
void peer_child_forget(struct peer *p, struct peer_child *c);
