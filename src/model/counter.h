// The list of counters that are no drops: name, unit, help. The gateway keeps them, status shows them.
// Any thread; const data.
#pragma once

#define MODEL_COUNTER_LIST(X)                                                    \
	X(esp_in_packets, "packets", "ESP packets opened")                       \
	X(esp_in_bytes, "bytes", "inner bytes of opened packets")                \
	X(esp_out_packets, "packets", "ESP packets sealed and sent")             \
	X(esp_out_bytes, "bytes", "inner bytes of sealed packets")               \
	X(tun_in_packets, "packets", "packets read from the off-ramp")           \
	X(tun_out_packets, "packets", "packets written to the off-ramp")         \
	X(icmp_sent, "packets", "ICMP errors sent")                              \
	X(echo_answered, "packets", "echo requests to inner addresses answered") \
	X(mss_clamped, "packets", "TCP SYN whose MSS was lowered")               \
	X(ike_in, "messages", "IKE messages received")                           \
	X(ike_out, "messages", "IKE messages sent")                              \
	X(ike_sent_on, "messages", "IKE messages sent on to another node")       \
	X(ike_retransmit_answered, "messages", "requests answered from the cache") \
	X(ike_established, "SAs", "IKE SAs established")                         \
	X(child_established, "SAs", "Child SAs established")                     \
	X(ike_rekeyed, "SAs", "IKE SAs rekeyed")                                 \
	X(child_rekeyed, "SAs", "Child SAs rekeyed")                             \
	X(ike_failed, "handshakes", "handshakes that failed")                    \
	X(ike_cookies_sent, "messages", "cookie requests sent")                  \
	X(address_changes, "changes", "peer addresses taken after a reachability check") \
	X(natt_keepalives, "packets", "NAT keepalives sent")                     \
	X(ike_fragmented_in, "messages", "IKE messages that came in fragments")  \
	X(ike_fragmented_out, "messages", "IKE messages sent in fragments")         \
	X(ip_fragments_sent_on, "packets", "IP fragments sent on to the node that puts them together") \
	X(mesh_in, "datagrams", "datagrams of other nodes taken")                \
	X(mesh_out, "datagrams", "datagrams sent to other nodes")                \
	X(path_mtu_lowered, "changes", "path MTUs of tunnels lowered by what a router said")

#define MODEL_COUNTER_ENUM(name, unit, help) MODEL_COUNTER_##name,
enum model_counter { MODEL_COUNTER_LIST(MODEL_COUNTER_ENUM) MODEL_COUNTER_CNT };
#undef MODEL_COUNTER_ENUM

const char *model_counter_name(unsigned counter);
const char *model_counter_unit(unsigned counter);
const char *model_counter_help(unsigned counter);
