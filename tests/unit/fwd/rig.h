// A forwarding state in the calling thread, which is its control thread and its only worker.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fwd/state.h"

static inline struct addr rig_addr(const char *text)
{
	struct addr a;
	assert_int_equal(addr_parse(bytes_str(text), &a), ERR_NONE);
	return a;
}

static inline struct addr_prefix rig_prefix(const char *text)
{
	struct addr_prefix p;
	assert_int_equal(addr_prefix_parse(bytes_str(text), &p), ERR_NONE);
	return p;
}

static inline struct model_id rig_id(unsigned n)
{
	return (struct model_id){ .b = { (uint8_t)(n >> 8), (uint8_t)n, 0xaa } };
}

struct rig {
	struct fwd *fwd;
	struct fwd_reader *reader;
};

static inline int rig_start(void **state)
{
	static struct rig r;
	assert_int_equal(fwd_new(1, 3, &r.fwd), ERR_NONE);
	r.reader = fwd_reader_join(r.fwd, 0);
	assert_int_equal(fwd_account_put(r.fwd, 1, true), ERR_NONE);
	*state = &r;
	return 0;
}

static inline int rig_stop(void **state)
{
	struct rig *r = *state;
	fwd_reader_leave(r->reader);
	fwd_free(r->fwd);
	return 0;
}

/* Tunnel n of an account, with interface address 10.100.n.0/31. */
static inline void rig_tunnel(struct rig *r, uint32_t account, unsigned n)
{
	struct fwd_tunnel_config c = { .tunnel_id = rig_id(n), .account_number = account, .outer_mtu = 1500 };
	c.interface4 = (struct addr_prefix){ addr_from_v4_u32(0x0a640000u + 256 * n), 31 };
	assert_int_equal(fwd_tunnel_put(r->fwd, &c), ERR_NONE);
}

static inline struct model_child_sa rig_child(unsigned tunnel, uint32_t spi)
{
	struct model_child_sa c = {
		.spi_in = spi,
		.spi_out = spi + 1,
		.tunnel_id = rig_id(tunnel),
		.suite = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 256 },
		.path = { .local = { rig_addr("192.0.2.1"), 4500 },
			  .remote = { rig_addr("198.51.100.7"), 4500 },
			  .udp_encap = true },
		.ts_local_cnt = 2,
		.ts_remote_cnt = 2,
	};
	c.ts_local[0] = c.ts_remote[0] = (struct model_ts){ .port_last = UINT16_MAX, .first = rig_addr("0.0.0.0"),
							    .last = rig_addr("255.255.255.255") };
	c.ts_local[1] = c.ts_remote[1] = (struct model_ts){
		.port_last = UINT16_MAX,
		.first = rig_addr("::"),
		.last = rig_addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
	};
	for (unsigned i = 0; i < MODEL_CHILD_KEY_MAX; i++)
		c.keys_in.encr[i] = c.keys_out.encr[i] = (uint8_t)(spi >> (i % 4 * 8)) ^ (uint8_t)i;
	return c;
}

static inline void rig_install(struct rig *r, unsigned tunnel, uint32_t spi)
{
	struct model_child_sa c = rig_child(tunnel, spi);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
}

/* A packet as the lookups see it. */
static inline struct wire_ip rig_ip(const char *src, const char *dst, uint16_t port)
{
	static uint8_t ports[64][4];
	static unsigned at;
	uint8_t *room = ports[at++ % ARRAY_LEN(ports)];
	struct wire_ip ip = {
		.version = 4, .protocol = IP_PROTO_UDP, .src = rig_addr(src), .dst = rig_addr(dst)
	};

	ip.version = ip.dst.family == ADDR_V4 ? 4 : 6;
	room[0] = (uint8_t)(port >> 8);
	room[1] = (uint8_t)port;
	room[2] = room[3] = 9;
	ip.payload = bytes_of(room, 4);
	return ip;
}

static inline struct fwd_hop rig_route(struct rig *r, uint32_t account, const char *dst)
{
	struct wire_ip ip = rig_ip(strchr(dst, ':') != NULL ? "fd77::1" : "172.16.0.1", dst, 4000);
	return fwd_route_find(fwd_account_find(r->fwd, account), &ip);
}

static inline void rig_expect(struct rig *r, uint32_t account, const char *dst, enum fwd_hop_kind kind,
			      unsigned tunnel)
{
	struct fwd_hop hop = rig_route(r, account, dst);
	struct model_id id = rig_id(tunnel);
	assert_int_equal(hop.kind, kind);
	if (kind == FWD_HOP_TUNNEL || kind == FWD_HOP_LOCAL)
		assert_true(model_id_eq(&fwd_tunnel_config(hop.tunnel)->tunnel_id, &id));
}
