// What peers and off-ramps send and get, and what the gateway counts of it.
#pragma once

#include "packet.h"

/* ---- what a peer sends and gets ---- */

/* Text with its trailer, from the peer, as it stands. The packet's bytes behind the call are in room. */
static inline size_t rig_seal_text(struct rig_peer *p, struct bytes text, uint8_t *room)
{
	const struct model_suite *s = &p->child.suite;
	size_t iv = crypt_encr_iv_len(s->encr), icv = crypt_icv_len(s->encr, s->integ);
	struct wr w = wr_of((struct space){ room, RIG_PACKET_MAX + 100 });

	wr_u32(&w, p->spi_in);
	wr_u32(&w, ++p->seq);
	for (size_t i = 0; i < iv; i++)
		wr_u8(&w, (uint8_t)(p->seq >> 8 * (i % 4)));
	wr_put(&w, text);
	wr_zero(&w, icv);
	assert_false(w.bad);
	struct crypt_esp_job job = { .ctx = p->seal, .esp = room, .len = wr_len(&w) };
	crypt_esp_seal(&job, 1);
	assert_int_equal(job.result, ERR_NONE);
	return wr_len(&w);
}

static inline size_t rig_seal(struct rig_peer *p, struct bytes inner, uint8_t next_header, uint8_t *room)
{
	static uint8_t text[RIG_PACKET_MAX + 64];
	struct wr w = wr_of(SPACE_OF(text));
	size_t pad = wire_esp_pad_len(inner.len, crypt_encr_block_len(p->child.suite.encr));

	wr_put(&w, inner);
	for (size_t i = 1; i <= pad; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, (uint8_t)pad);
	wr_u8(&w, next_header);
	assert_false(w.bad);
	return rig_seal_text(p, wr_bytes(&w), room);
}

static inline void rig_peer_send_raw(struct rig *r, enum rig_site site, struct bytes datagram)
{
	assert_int_equal(io_udp_send(r->peers[site].fd, &r->natt, false, datagram), ERR_NONE);
}

static inline void rig_peer_send_as(struct rig *r, enum rig_site site, struct bytes inner,
				    uint8_t next_header)
{
	static uint8_t room[RIG_PACKET_MAX + 100];
	size_t len = rig_seal(&r->peers[site], inner, next_header, room);
	rig_peer_send_raw(r, site, bytes_of(room, len));
}

static inline void rig_peer_send(struct rig *r, enum rig_site site, const struct rig_packet *p)
{
	rig_peer_send_as(r, site, bytes_of(p->b, p->len), p->b[0] >> 4 == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
}

/* Opens an ESP packet that the gateway sent; the inner one is in ret. */
static inline void rig_peer_open(struct rig_peer *p, uint8_t *esp, size_t len, struct rig_packet *ret)
{
	const struct model_suite *s = &p->child.suite;
	size_t front = 8 + crypt_encr_iv_len(s->encr), icv = crypt_icv_len(s->encr, s->integ);
	struct crypt_esp_job job = { .ctx = p->open, .esp = esp, .len = len };
	struct wire_esp h;
	struct bytes inner = { 0 };
	uint8_t next;

	assert_int_equal(wire_esp_parse(bytes_of(esp, len), &h), ERR_NONE);
	assert_int_equal(h.spi, p->spi_out);
	crypt_esp_open(&job, 1);
	assert_int_equal(job.result, ERR_NONE);
	assert_int_equal(wire_esp_strip(bytes_of(esp + front, len - front - icv), &inner, &next), ERR_NONE);
	assert_true(inner.len <= sizeof(ret->b));
	memcpy(ret->b, inner.p, inner.len);
	ret->len = inner.len;
	rig_parse(ret);
	assert_int_equal(next, ret->ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
}

/* The next inner packet that reaches the site. */
static inline void rig_peer_get(struct rig *r, enum rig_site site, struct rig_packet *ret)
{
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct rig_peer *p = &r->peers[site];

	assert_true(rig_readable(p->fd, RIG_WAIT_MS));
	ssize_t n = recv(p->fd, room, sizeof(room), 0);
	assert_true(n > 0);
	rig_peer_open(p, room, (size_t)n, ret);
}

/* Waits for room: the worker may be behind. */
static inline void rig_tun_send(struct rig *r, unsigned account, struct bytes packet)
{
	struct pollfd p = { .fd = r->tuns[account], .events = POLLOUT };
	ssize_t n;

	while ((n = send(r->tuns[account], packet.p, packet.len, 0)) < 0 && errno == EAGAIN)
		assert_int_equal(poll(&p, 1, RIG_WAIT_MS), 1);
	assert_int_equal(n, (ssize_t)packet.len);
}

static inline void rig_tun_get(struct rig *r, unsigned account, struct rig_packet *ret)
{
	assert_true(rig_readable(r->tuns[account], RIG_WAIT_MS));
	ssize_t n = recv(r->tuns[account], ret->b, sizeof(ret->b), 0);
	assert_true(n > 0);
	ret->len = (size_t)n;
	rig_parse(ret);
}

/* Nobody got anything (that was not taken yet). */
static inline void rig_quiet(struct rig *r)
{
	usleep(RIG_QUIET_MS * 1000);
	for (enum rig_site s = 0; s < SITE_CNT; s++)
		assert_false(rig_readable(r->peers[s].fd, 0));
	assert_false(rig_readable(r->tuns[1], 0));
	assert_false(rig_readable(r->tuns[2], 0));
}

/* ---- counters ---- */

static inline void rig_mark(struct rig *r)
{
	fwd_counters_sum(r->fwd, r->drops, r->counters);
}

static inline uint64_t rig_dropped(const struct rig *r, enum model_drop d)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
	fwd_counters_sum(r->fwd, drops, counters);
	return drops[d] - r->drops[d];
}

static inline uint64_t rig_counted(const struct rig *r, enum model_counter c)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT];
	fwd_counters_sum(r->fwd, drops, counters);
	return counters[c] - r->counters[c];
}

static inline uint64_t rig_dropped_all(const struct rig *r)
{
	uint64_t drops[MODEL_DROP_CNT], counters[MODEL_COUNTER_CNT], sum = 0;
	fwd_counters_sum(r->fwd, drops, counters);
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		sum += drops[i] - r->drops[i];
	return sum;
}

/* One more drop since the mark than there was, of this kind and of no other; then a new mark. */
static inline void rig_expect_drop(struct rig *r, enum model_drop why)
{
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped_all(r) == 0; i++)
		usleep(1000);
	usleep(2000);
	if (rig_dropped(r, why) != 1 || rig_dropped_all(r) != 1)
		for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
			if (rig_dropped(r, i) != 0)
				print_message("%s: %u\n", model_drop_name(i), (unsigned)rig_dropped(r, i));
	assert_int_equal(rig_dropped(r, why), 1);
	assert_int_equal(rig_dropped_all(r), 1);
	rig_mark(r);
}

static inline void rig_expect_count(struct rig *r, enum model_counter c, uint64_t n)
{
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_counted(r, c) < n; i++)
		usleep(1000);
	assert_int_equal(rig_counted(r, c), n);
}
