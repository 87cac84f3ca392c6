#include "peer.h"

#include <pthread.h>

/* Two workers at full work while the control thread changes everything below them. Run under the thread
 * sanitizer this says whether the forwarding state is safe to share. */

enum { RUN_MS = 2500 };

struct traffic {
	struct rig *rig;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic uint64_t sent;
};

/* Each sender has sockets of its own, so that SO_REUSEPORT spreads the flows over the workers. */
static void *send_esp(void *arg)
{
	static const char *const ends[][2] = { { "10.1.0.5", "192.168.7.1" }, { "10.1.0.5", "10.2.0.5" },
					       { "fd01::5", "fd02::5" },       { "10.1.0.5", "10.100.0.0" } };
	struct traffic *t = arg;
	struct rig_peer own = { 0 };
	struct rig_packet *p = malloc(sizeof(*p));
	uint8_t *room = malloc(RIG_PACKET_MAX + 100);
	int fds[4];

	assert_true(p != NULL && room != NULL);
	rig_peer_take(&own, &t->rig->peers[SITE_A].child);
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
		struct addr_endpoint local;
		fds[i] = rig_udp(&local);
	}
	for (unsigned i = 0; !atomic_load(&t->stop); i++) {
		rig_make_udp(p, ends[i % ARRAY_LEN(ends)][0], ends[i % ARRAY_LEN(ends)][1], 200);
		uint8_t text[256];
		size_t pad = wire_esp_pad_len(p->len, 1);
		struct wr w = wr_of(SPACE_OF(text));
		wr_put(&w, bytes_of(p->b, p->len));
		for (size_t k = 1; k <= pad; k++)
			wr_u8(&w, (uint8_t)k);
		wr_u8(&w, (uint8_t)pad);
		wr_u8(&w, p->ip.version == 4 ? IP_PROTO_IPIP : IP_PROTO_IPV6);
		size_t len = rig_seal_text(&own, wr_bytes(&w), room);
		if (io_udp_send(fds[i % ARRAY_LEN(fds)], &t->rig->natt, false, bytes_of(room, len)) ==
		    ERR_NONE)
			atomic_fetch_add(&t->sent, 1);
		if (i % 16 == 15)
			usleep(200);
	}
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	crypt_esp_free(own.seal);
	crypt_esp_free(own.open);
	free(room);
	free(p);
	return NULL;
}

/* Feeds account 2's off-ramp, which stays in place, and empties everything that packets may reach. */
static void *send_tun(void *arg)
{
	struct traffic *t = arg;
	struct rig_packet *p = malloc(sizeof(*p));
	uint8_t *room = malloc(RIG_PACKET_MAX);

	assert_true(p != NULL && room != NULL);
	rig_make_udp(p, "192.168.7.1", "10.1.0.5", 300);
	for (unsigned i = 0; !atomic_load(&t->stop); i++) {
		if (send(t->rig->tuns[2], p->b, p->len, MSG_DONTWAIT) > 0)
			atomic_fetch_add(&t->sent, 1);
		for (enum rig_site s = 0; s < SITE_CNT; s++)
			while (recv(t->rig->peers[s].fd, room, RIG_PACKET_MAX, MSG_DONTWAIT) > 0)
				;
		while (recv(t->rig->tuns[2], room, RIG_PACKET_MAX, MSG_DONTWAIT) > 0)
			;
		if (i % 16 == 15)
			usleep(200);
	}
	free(room);
	free(p);
	return NULL;
}

/* One round of everything that control does: rekeys, moves, routes, settings, tunnels and accounts that come
 * and go. */
static void change(struct rig *r, unsigned round)
{
	struct model_child_sa next = rig_child(r, SITE_B, round + 1, &rig_gcm);
	struct fwd_tunnel_config config = rig_config(SITE_B);
	struct model_path path = next.path;
	struct fwd_child_stats stats;
	struct rig_packet p;

	assert_int_equal(fwd_child_put(r->fwd, &next), ERR_NONE);
	fwd_child_prove(r->fwd, next.spi_in);
	if (round > 0)
		fwd_child_delete(r->fwd, next.spi_in - 1);
	path.remote = r->peers[round % SITE_CNT].local;
	fwd_child_path(r->fwd, next.spi_in, &path);
	fwd_child_path(r->fwd, r->peers[SITE_A].spi_in, &r->peers[SITE_A].child.path);
	config.outer_mtu = (uint16_t)(1300 + round % 200);
	assert_int_equal(fwd_tunnel_put(r->fwd, &config), ERR_NONE);
	rig_routes(r);
	rig_tun(r, 1);
	while (recv(r->tuns[1], p.b, sizeof(p.b), 0) > 0)
		;
	assert_int_equal(fwd_child_stats(r->fwd, next.spi_in, &stats), ERR_NONE);
	if (round % 3 == 0) {
		assert_int_equal(fwd_account_put(r->fwd, 9, true), ERR_NONE);
		config.tunnel_id = rig_id(9);
		config.account_number = 9;
		assert_int_equal(fwd_tunnel_put(r->fwd, &config), ERR_NONE);
		next.tunnel_id = rig_id(9);
		next.spi_in += 0x800000;
		assert_int_equal(fwd_child_put(r->fwd, &next), ERR_NONE);
		fwd_tunnel_delete(r->fwd, &config.tunnel_id);
		fwd_account_delete(r->fwd, 9);
	}
	fwd_collect(r->fwd);
}

static void workers_go_on_while_everything_changes(void **state)
{
	static struct rig r;
	static struct traffic esp[2], tun;
	unsigned round = 0;
	(void)state;

	rig_start(&r, RIG_WORKERS, &rig_gcm);
	for (unsigned i = 0; i < 2; i++) {
		esp[i].rig = &r;
		assert_int_equal(pthread_create(&esp[i].thread, NULL, send_esp, &esp[i]), 0);
	}
	tun.rig = &r;
	assert_int_equal(pthread_create(&tun.thread, NULL, send_tun, &tun), 0);
	for (uint64_t start = clock_mono_ms(); clock_mono_ms() - start < RUN_MS; round++) {
		change(&r, round);
		usleep(1000);
	}
	for (unsigned i = 0; i < 2; i++) {
		atomic_store(&esp[i].stop, true);
		pthread_join(esp[i].thread, NULL);
	}
	atomic_store(&tun.stop, true);
	pthread_join(tun.thread, NULL);
	assert_true(round > 20);
	rig_mark(&r);
	assert_true(r.counters[MODEL_COUNTER_esp_in_packets] > 100);
	assert_true(r.counters[MODEL_COUNTER_esp_out_packets] > 100);
	assert_int_equal(r.drops[MODEL_DROP_esp_icv], 0);
	assert_int_equal(r.drops[MODEL_DROP_seal_failed], 0);
	rig_stop(&r);
}

/* Both workers count into the same SA and tunnel, and none is lost. */
static void two_workers_count_exactly(void **state)
{
	enum { CNT = 2000 };
	static struct rig r;
	static struct rig_packet p;
	static uint8_t room[RIG_PACKET_MAX + 100];
	struct fwd_child_stats sa;
	struct fwd_tunnel_stats tunnel;
	struct model_id id = rig_id(SITE_A);
	int fds[16];
	(void)state;

	rig_start(&r, RIG_WORKERS, &rig_gcm);
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
		struct addr_endpoint local;
		fds[i] = rig_udp(&local);
	}
	rig_make_udp(&p, "10.1.0.5", "10.100.0.2", 100); /* a local drop: nothing to empty */
	for (unsigned i = 0; i < CNT; i++) {
		size_t len = rig_seal(&r.peers[SITE_A], bytes_of(p.b, p.len), IP_PROTO_IPIP, room);
		assert_int_equal(io_udp_send(fds[i % ARRAY_LEN(fds)], &r.natt, false, bytes_of(room, len)),
				 ERR_NONE);
	}
	rig_expect_count(&r, MODEL_COUNTER_esp_in_packets, CNT);
	for (unsigned i = 0; i < RIG_WAIT_MS && rig_dropped(&r, MODEL_DROP_tunnel_local) < CNT; i++)
		usleep(1000);
	assert_int_equal(rig_dropped_all(&r), CNT);
	for (unsigned i = 0; i < RIG_WORKERS; i++)
		assert_true(atomic_load(&r.fwd->readers[i].counters.counter[MODEL_COUNTER_esp_in_packets]) >
			    0);
	assert_int_equal(fwd_child_stats(r.fwd, r.peers[SITE_A].spi_in, &sa), ERR_NONE);
	assert_int_equal(fwd_tunnel_stats(r.fwd, &id, &tunnel), ERR_NONE);
	assert_int_equal(sa.in_packets, CNT);
	assert_int_equal(sa.in_bytes, CNT * 100);
	assert_int_equal(tunnel.in_packets, CNT);
	assert_int_equal(tunnel.in_bytes, CNT * 100);
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_go_on_while_everything_changes),
		cmocka_unit_test(two_workers_count_exactly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
