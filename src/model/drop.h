// The one list of reasons for which a packet or message is dropped, each counted and never logged per packet.
// Any thread; const data.
#pragma once

/* name, text; the name is the label in status and metrics */
#define MODEL_DROP_LIST(X)                                                             \
	X(outer_malformed, "outer packet too short or not what its header says")       \
	X(natt_keepalive, "NAT keepalive (not an error)")                              \
	X(esp_short, "ESP packet shorter than its headers")                            \
	X(esp_unknown_spi, "no SA with this SPI")                                      \
	X(esp_bad_spi, "SPI whose check byte is not ours")                             \
	X(esp_park_full, "packet of an SA that is looked up in the store, and too many wait already") \
	X(esp_park_expired, "packet of an SA that was looked up in the store, and that did not come in time") \
	X(esp_length, "ESP length does not fit the cipher's blocks")                   \
	X(esp_icv, "ESP integrity check failed")                                       \
	X(esp_replay, "sequence number outside the window or seen before")             \
	X(esp_padding, "ESP padding wrong after decryption")                           \
	X(esp_next_header, "ESP next header is neither IPv4 nor IPv6")                 \
	X(esp_dummy, "ESP dummy packet, next header 59 (not an error)")                \
	X(esp_expired, "SA has reached its end")                                       \
	X(inner_malformed, "inner packet is not what its header says")                 \
	X(inner_source, "inner source address does not fit the selectors")             \
	X(inner_selector, "inner destination does not fit the selectors")              \
	X(inner_martian, "inner source or destination may not be forwarded")           \
	X(inner_congested, "marked by a congested router, and its sender knows no marks (RFC 6040)") \
	X(no_route, "no route and no off-ramp for the destination")                    \
	X(ttl_expired, "TTL or hop limit reached zero")                                \
	X(too_big, "packet with DF is bigger than the tunnel's MTU")                   \
	X(hairpin, "packet would go back into the tunnel it came from")                \
	X(outer_loop, "the tunnel's own outer packet, which the host's routes led into the tunnel") \
	X(tunnel_down, "the route's tunnel has no SA")                                 \
	X(tunnel_local, "packet to the gateway's own inner address, not an echo request") \
	X(iv_exhausted, "the SA's IV space is used up")                                \
	X(seal_failed, "sealing failed")                                               \
	X(tun_write, "the off-ramp TUN did not take the packet")                       \
	X(send_failed, "the outer socket did not take the packet")                     \
	X(offramp_down, "the account has no off-ramp TUN")                             \
	X(punt_full, "IKE queue to the control thread was full")                       \
	X(ike_malformed, "IKE message not well formed")                                \
	X(ike_version, "IKE version not supported")                                    \
	X(ike_v1, "IKEv1 message")                                                     \
	X(ike_unknown_spi, "IKE message for an SA that does not exist")                \
	X(ike_unexpected, "IKE message that its SA's state does not expect")           \
	X(ike_auth, "IKE message whose integrity check failed")                        \
	X(ike_msgid, "IKE message id outside the window")                              \
	X(ike_half_open_limit, "IKE_SA_INIT above the half-open limits")               \
	X(ike_cookie, "IKE_SA_INIT answered with a cookie request (not an error)")     \
	X(ike_dh_queue, "IKE_SA_INIT while the Diffie-Hellman queue was full")         \
	X(ike_busy, "IKE message while the SA waits for its commit")                   \
	X(ike_gone, "IKE message to an SA that another node has just ended")           \
	X(ike_looked_up, "IKE message for an unknown SA while too many are looked up in the store") \
	X(ike_forwarded, "IKE message that another node has sent on, and that has no place here either") \
	X(ike_no_marker, "IKE without the non-ESP marker on UDP 4500")                 \
	X(ike_address, "IKE message to an address that the tunnel does not use")       \
	X(ike_fragment, "IKE fragment that is here already, too late, or too much") \
	X(ike_cut, "IKE_SA_INIT while this node has no lease, or no other node is heard") \
	X(mesh_malformed, "mesh datagram or message not well formed") \
	X(mesh_stranger, "mesh datagram of no process of the cluster") \
	X(mesh_auth, "mesh datagram whose integrity check failed") \
	X(mesh_replay, "mesh datagram that came before, or far too late") \
	X(mesh_unwanted, "mesh message of a kind that is not served") \
	X(mesh_pieces, "mesh message of which pieces are missing") \
	X(mesh_gone, "message for a node that is gone") \
	X(mesh_send, "the mesh socket did not take the datagram") \
	X(seq_block, "the SA's block of sequence numbers is used up, and the store gives no other") \
	X(seq_full, "packet that waits for the node that numbers its SA, and too many wait already") \
	X(seq_expired, "packet that waited for the node that numbers its SA, and in vain") \
	X(seq_moved, "packet that another node sent here to be numbered, and this one does not number its SA") \
	X(ip_fragment, "IP fragment of another node's that was too much, or not well formed") \
	X(icmp_limited, "ICMP error not sent, rate limit") \
	X(icmp_ignored, "ICMP too big that quotes no packet of an SA, or nothing new (not an error)")

#define MODEL_DROP_ENUM(name, text) MODEL_DROP_##name,
enum model_drop { MODEL_DROP_LIST(MODEL_DROP_ENUM) MODEL_DROP_CNT };
#undef MODEL_DROP_ENUM

const char *model_drop_name(unsigned drop);
const char *model_drop_text(unsigned drop);
