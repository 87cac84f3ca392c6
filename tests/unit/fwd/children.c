#include "rig.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "esp/burst.h"

static uint32_t sender_of(struct rig *r, unsigned tunnel, const char *src, const char *dst)
{
	struct model_id id = rig_id(tunnel);
	struct wire_ip ip = rig_ip(src, dst, 4000);
	enum model_drop why = MODEL_DROP_CNT;
	struct fwd_child *c = fwd_tunnel_sender(fwd_tunnel_find(r->fwd, &id), &ip, &why);

	if (c == NULL)
		assert_true(why == MODEL_DROP_tunnel_down || why == MODEL_DROP_inner_selector);
	return c == NULL ? 0 : fwd_child_spi_in(c);
}

static void the_first_sa_is_sent_on_at_once_a_later_one_after_its_proof(void **state)
{
	struct rig *r = *state;

	rig_tunnel(r, 1, 1);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0);
	rig_install(r, 1, 0x1000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x1000);
	rig_install(r, 1, 0x2000);
	rig_install(r, 1, 0x3000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x1000);
	fwd_child_prove(r->fwd, 0x3000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x3000);
	fwd_child_prove(r->fwd, 0x2000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x2000);
	/* A proof counts once. */
	fwd_child_prove(r->fwd, 0x3000);
	fwd_child_prove(r->fwd, 0x99999);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x2000);
	fwd_child_delete(r->fwd, 0x2000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x3000);
	fwd_child_delete(r->fwd, 0x3000);
	fwd_child_delete(r->fwd, 0x1000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0);
	fwd_child_delete(r->fwd, 0x1000);
}

static void the_last_sa_is_sent_on_even_without_a_proof(void **state)
{
	struct rig *r = *state;

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, 0x1000);
	rig_install(r, 1, 0x2000);
	fwd_child_delete(r->fwd, 0x1000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.1"), 0x2000);
}

static void selectors_choose_among_the_sas_of_a_tunnel(void **state)
{
	struct rig *r = *state;
	struct model_child_sa narrow = rig_child(1, 0x2000);

	narrow.ts_remote_cnt = narrow.ts_local_cnt = 1;
	narrow.ts_remote[0].first = rig_addr("10.1.0.0");
	narrow.ts_remote[0].last = rig_addr("10.1.0.9");
	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_child_put(r->fwd, &narrow), ERR_NONE);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.9"), 0x2000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.10"), 0);
	assert_int_equal(sender_of(r, 1, "fd09::1", "fd01::1"), 0);
	rig_install(r, 1, 0x3000);
	/* Not proven, but the only one for those. */
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.10"), 0x3000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.9"), 0x2000);
	fwd_child_prove(r->fwd, 0x3000);
	assert_int_equal(sender_of(r, 1, "10.9.0.1", "10.1.0.9"), 0x3000);
}

static void icmp_types_are_the_ports_of_selectors(void **state)
{
	struct rig *r = *state;
	struct model_child_sa c = rig_child(1, 0x2000);
	uint8_t message[8] = { 8, 0 };
	struct wire_ip ip = rig_ip("10.1.0.1", "10.9.0.1", 0);
	enum model_drop why;

	c.ts_local_cnt = c.ts_remote_cnt = 1;
	c.ts_local[0].protocol = c.ts_remote[0].protocol = IP_PROTO_ICMP;
	c.ts_local[0].port_first = c.ts_remote[0].port_first = 8 << 8;
	c.ts_local[0].port_last = c.ts_remote[0].port_last = 8 << 8 | 255;
	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	struct fwd_child *child = fwd_child_find(r->reader, 0x2000);
	assert_false(fwd_child_accepts(child, &ip, &why)); /* UDP */
	ip.protocol = IP_PROTO_ICMP;
	ip.payload = BYTES_OF(message);
	assert_true(fwd_child_accepts(child, &ip, &why));
	message[0] = 0;
	assert_false(fwd_child_accepts(child, &ip, &why));
	assert_int_equal(why, MODEL_DROP_inner_source);
}

static void an_spi_is_installed_once_and_needs_its_tunnel(void **state)
{
	struct rig *r = *state;
	struct model_child_sa c = rig_child(1, 0x1000);

	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NOTFOUND);
	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_EXISTS);
	c.spi_in = 0x2000;
	c.suite.encr = 99;
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_UNSUPPORTED);
	assert_null(fwd_child_find(r->reader, 0x2000));
	c = rig_child(1, 0x3000);
	c.expires_us = clock_unix_us() - UINT64_C(48) * 3600 * 1000000;
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_DENIED);
}

static void thousands_of_spis_come_and_go(void **state)
{
	enum { CNT = 5000 };
	struct rig *r = *state;

	rig_tunnel(r, 1, 1);
	for (unsigned n = 0; n < 50; n++)
		rig_tunnel(r, 1, n + 2);
	for (uint32_t i = 0; i < CNT; i++)
		rig_install(r, 2 + i % 50, 0x10000 + i * 77);
	for (uint32_t i = 0; i < CNT; i++) {
		struct fwd_child *c = fwd_child_find(r->reader, 0x10000 + i * 77);
		assert_non_null(c);
		assert_int_equal(fwd_child_spi_in(c), 0x10000 + i * 77);
		assert_null(fwd_child_find(r->reader, 0x10001 + i * 77));
	}
	for (uint32_t i = 0; i < CNT; i += 2)
		fwd_child_delete(r->fwd, 0x10000 + i * 77);
	for (uint32_t i = 0; i < CNT; i++)
		assert_int_equal(fwd_child_find(r->reader, 0x10000 + i * 77) != NULL, i % 2);
	assert_null(fwd_child_find(r->reader, 0));
	/* A burst finds the same, also where one is asked for twice. */
	for (uint32_t i = 0; i + 64 <= CNT; i += 61) {
		struct fwd_child *found[64];
		uint32_t spis[64];
		for (uint32_t k = 0; k < 64; k++)
			spis[k] = k == 63 ? 0x10000 + i * 77 : 0x10000 + (i + k) * 77 + (k % 8 == 7);
		fwd_child_find_burst(r->reader, spis, i % 64 + 1, found);
		for (uint32_t k = 0; k <= i % 64; k++)
			assert_ptr_equal(found[k], fwd_child_find(r->reader, spis[k]));
	}
	/* The places of removed ones do not fill the table for ever. */
	for (uint32_t i = 0; i < 20000; i++) {
		rig_install(r, 1, 0x7000000 + i);
		fwd_child_delete(r->fwd, 0x7000000 + i);
	}
	assert_true(atomic_load(&r->fwd->spis)->mask < 65536);
	fwd_reader_pass(r->reader);
}

/* ---- keys ---- */

static uint64_t seal_once(struct rig *r, uint32_t spi)
{
	uint8_t buf[256] = { 0 };
	struct esp_job j = { .sa = fwd_child_out(fwd_child_find(r->reader, spi)),
			     .buf = SPACE_OF(buf),
			     .off = 64,
			     .len = 40,
			     .next_header = IP_PROTO_IPIP };

	esp_seal(&j, 1, 0);
	assert_true(j.ok);
	struct rd rd = rd_of(bytes_of(buf + j.off, j.len));
	rd_skip(&rd, 8);
	return rd_u64(&rd);
}

static void a_key_that_is_installed_again_goes_on_with_its_ivs(void **state)
{
	struct rig *r = *state;
	struct model_child_sa again = rig_child(1, 0x1000);
	uint64_t seen[6];
	unsigned n = 0;

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, 0x1000);
	seen[n++] = seal_once(r, 0x1000);
	seen[n++] = seal_once(r, 0x1000);
	fwd_child_delete(r->fwd, 0x1000);
	fwd_reader_pass(r->reader);
	rig_install(r, 1, 0x1000);
	seen[n++] = seal_once(r, 0x1000);
	/* Under another SPI too: what counts is the key. */
	again.spi_in = 0x5000;
	assert_int_equal(fwd_child_put(r->fwd, &again), ERR_NONE);
	seen[n++] = seal_once(r, 0x5000);
	seen[n++] = seal_once(r, 0x1000);
	fwd_tunnel_delete(r->fwd, &again.tunnel_id);
	rig_tunnel(r, 1, 1);
	rig_install(r, 1, 0x1000);
	seen[n++] = seal_once(r, 0x1000);
	for (unsigned i = 1; i < n; i++) {
		assert_int_equal(seen[i], seen[i - 1] + 1);
		assert_int_equal(seen[i] >> CRYPT_IV_COUNTER_BITS, 3);
	}
}

static void counters_of_ended_keys_are_collected(void **state)
{
	struct rig *r = *state;
	struct model_child_sa c = rig_child(1, 0x1000);
	struct model_child_sa lasting = rig_child(1, 0x2000);

	rig_tunnel(r, 1, 1);
	c.expires_us = clock_unix_us() + 1000000;
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	assert_int_equal(fwd_child_put(r->fwd, &lasting), ERR_NONE);
	assert_int_equal(r->fwd->key_counters.cnt, 2);
	struct fwd_key_counter *k = fwd_child_find(r->reader, 0x1000)->key_counter;
	k->expires_us = 1;
	fwd_key_counters_collect(r->fwd);
	assert_int_equal(r->fwd->key_counters.cnt, 2); /* in use */
	fwd_child_delete(r->fwd, 0x1000);
	fwd_child_delete(r->fwd, 0x2000);
	fwd_reader_rest(r->reader);
	fwd_retire_wait(r->fwd);
	fwd_reader_resume(r->reader);
	fwd_key_counters_collect(r->fwd);
	assert_int_equal(r->fwd->key_counters.cnt, 1);
}

/* ---- numbers that several nodes share ---- */

static void a_sequenced_sa_waits_for_its_numbers_only_where_they_are_shared(void **state)
{
	struct rig *r = *state;
	struct model_child_sa c = rig_child(1, 0x1000), shared = rig_child(1, 0x2000);

	rig_tunnel(r, 1, 1);
	c.sequenced = shared.sequenced = true;
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	assert_false(fwd_child_is_sequenced(fwd_child_find(r->reader, 0x1000)));
	fwd_child_number(r->fwd, 0x1000, 5, 6, 6); /* none of those */
	assert_false(fwd_child_is_numbered(r->reader, fwd_child_find(r->reader, 0x1000), 0, false));
	fwd_share_numbers(r->fwd);
	assert_int_equal(fwd_child_put(r->fwd, &shared), ERR_NONE);
	const struct fwd_child *child = fwd_child_find(r->reader, 0x2000);
	assert_true(fwd_child_is_sequenced(child));
	assert_false(fwd_child_is_numbered(r->reader, child, 0, false));
	fwd_number_until(r->fwd, 100);
	fwd_child_number(r->fwd, 0x2000, 1000, 2000, 1500);
	assert_true(fwd_child_is_numbered(r->reader, child, 99, false));
	assert_false(fwd_child_is_numbered(r->reader, child, 100, false));
	assert_false(fwd_child_wants_numbers(child));
	atomic_store(&child->key_counter->counter.seq, 1500);
	assert_true(fwd_child_wants_numbers(child));
	fwd_child_finish(r->fwd, 0x2000);
	assert_false(fwd_child_is_numbered(r->reader, child, 99, false));
	assert_true(fwd_child_is_numbered(r->reader, child, 99, true));
	fwd_child_unnumber(r->fwd, 0x2000);
	assert_false(fwd_child_is_numbered(r->reader, child, 99, true));
	assert_false(fwd_child_is_numbered(r->reader, child, 99, false));
}

static void who_passes_has_nothing_in_hand_any_more(void **state)
{
	struct rig *r = *state;
	struct fwd_passing since;

	fwd_passing_begin(r->fwd, &since);
	assert_false(fwd_passing_over(r->fwd, &since));
	fwd_reader_pass(r->reader);
	assert_true(fwd_passing_over(r->fwd, &since));
	fwd_passing_begin(r->fwd, &since);
	fwd_reader_rest(r->reader);
	assert_true(fwd_passing_over(r->fwd, &since));
	fwd_passing_begin(r->fwd, &since);
	assert_true(fwd_passing_over(r->fwd, &since)); /* it rests */
	fwd_reader_resume(r->reader);
	assert_true(fwd_passing_over(r->fwd, &since)); /* and what it does now began later */
	fwd_passing_begin(r->fwd, &since);
	assert_false(fwd_passing_over(r->fwd, &since));
}

/* ---- paths, notices, statistics ---- */

static void the_effective_mtu_follows_path_and_settings(void **state)
{
	struct rig *r = *state;
	struct model_child_sa c = rig_child(1, 0x1000);
	struct fwd_tunnel_config config = { .tunnel_id = rig_id(1), .account_number = 1, .outer_mtu = 1400 };
	struct model_path native = { .local.addr = rig_addr("2001:db8::1"), .remote.addr = rig_addr("2001:db8::2") };
	struct fwd_child_stats s;
	struct fwd_tunnel_stats t;

	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_tunnel_stats(r->fwd, &config.tunnel_id, &t), ERR_NONE);
	assert_int_equal(t.effective_mtu, 0);
	assert_int_equal(fwd_child_put(r->fwd, &c), ERR_NONE);
	assert_int_equal(fwd_child_stats(r->fwd, 0x1000, &s), ERR_NONE);
	assert_int_equal(s.effective_mtu, 1438);
	fwd_child_path(r->fwd, 0x1000, &native);
	assert_int_equal(fwd_child_stats(r->fwd, 0x1000, &s), ERR_NONE);
	assert_int_equal(s.effective_mtu, 1426);
	assert_int_equal(fwd_tunnel_put(r->fwd, &config), ERR_NONE);
	assert_int_equal(fwd_tunnel_stats(r->fwd, &config.tunnel_id, &t), ERR_NONE);
	assert_int_equal(t.effective_mtu, 1326);
	assert_int_equal(fwd_child_outer(fwd_child_find(r->reader, 0x1000))->path.udp_encap, false);
	fwd_child_path(r->fwd, 0x9999, &native);
	assert_int_equal(fwd_child_stats(r->fwd, 0x9999, &s), ERR_NOTFOUND);
}

static void notices_are_due_once_or_once_a_second(void **state)
{
	struct rig *r = *state;

	rig_tunnel(r, 1, 1);
	rig_install(r, 1, 0x1000);
	struct fwd_child *c = fwd_child_find(r->reader, 0x1000);
	assert_true(fwd_child_claim(c, FWD_NOTICE_FIRST, 5000));
	assert_false(fwd_child_claim(c, FWD_NOTICE_FIRST, 99000));
	assert_true(fwd_child_claim(c, FWD_NOTICE_IV_LOW, 5000));
	assert_false(fwd_child_claim(c, FWD_NOTICE_IV_LOW, 99000));
	assert_true(fwd_child_claim(c, FWD_NOTICE_ADDRESS, 5000));
	assert_false(fwd_child_claim(c, FWD_NOTICE_ADDRESS, 5999));
	assert_true(fwd_child_claim(c, FWD_NOTICE_ADDRESS, 6000));
	fwd_child_withdraw(c, FWD_NOTICE_FIRST);
	fwd_child_withdraw(c, FWD_NOTICE_ADDRESS);
	assert_true(fwd_child_claim(c, FWD_NOTICE_FIRST, 6000));
	assert_true(fwd_child_claim(c, FWD_NOTICE_ADDRESS, 6001));
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Every queue is read by some worker, and the former ones are closed when nobody can use them. */
static void off_ramps_are_listed_and_closed_by_the_state(void **state)
{
	struct rig *r = *state;
	struct fwd_queue_walk walk = { 0 };
	struct fwd_queue q;
	uint64_t generation = fwd_offramp_generation(r->reader);
	int pair[2], more[2];
	unsigned cnt = 0;

	assert_int_equal(fwd_offramp_queue(r->reader, fwd_account_find(r->fwd, 1)).fd, -1);
	assert_false(fwd_queue_next(r->reader, &walk, &q));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(fwd_account_offramp(r->fwd, 1, pair, 2, 1500), ERR_NONE);
	assert_int_equal(fwd_account_offramp(r->fwd, 8, pair, 2, 1500), ERR_NOTFOUND);
	assert_int_not_equal(fwd_offramp_generation(r->reader), generation);
	assert_int_equal(fwd_offramp_queue(r->reader, fwd_account_find(r->fwd, 1)).fd, pair[0]);
	for (walk = (struct fwd_queue_walk){ 0 }; fwd_queue_next(r->reader, &walk, &q); cnt++)
		assert_int_equal(q.fd, pair[cnt]);
	assert_int_equal(cnt, 2);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, more), 0);
	assert_int_equal(fwd_account_offramp(r->fwd, 1, more, 2, 1500), ERR_NONE);
	usleep(30000);
	assert_true(is_open(pair[0])); /* this reader may still be using it */
	fwd_reader_rest(r->reader);
	fwd_retire_wait(r->fwd);
	fwd_reader_resume(r->reader);
	assert_false(is_open(pair[0]) || is_open(pair[1]));
	fwd_account_delete(r->fwd, 1);
	fwd_reader_rest(r->reader);
	fwd_retire_wait(r->fwd);
	fwd_reader_resume(r->reader);
	assert_false(is_open(more[0]) || is_open(more[1]));
	walk = (struct fwd_queue_walk){ 0 };
	assert_false(fwd_queue_next(r->reader, &walk, &q));
}

static void counters_sum_over_all_blocks(void **state)
{
	struct rig *r = *state;
	uint64_t drop[MODEL_DROP_CNT], counter[MODEL_COUNTER_CNT];

	fwd_count_drop(fwd_control_counters(r->fwd), MODEL_DROP_ike_v1);
	fwd_count_drop(fwd_reader_counters(r->reader), MODEL_DROP_ike_v1);
	fwd_count_drop(fwd_reader_counters(r->reader), MODEL_DROP_hairpin);
	fwd_count(fwd_reader_counters(r->reader), MODEL_COUNTER_esp_in_bytes, 500);
	fwd_counters_sum(r->fwd, drop, counter);
	assert_int_equal(drop[MODEL_DROP_ike_v1], 2);
	assert_int_equal(drop[MODEL_DROP_hairpin], 1);
	assert_int_equal(drop[MODEL_DROP_esp_icv], 0);
	assert_int_equal(counter[MODEL_COUNTER_esp_in_bytes], 500);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, rig_start, rig_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(the_first_sa_is_sent_on_at_once_a_later_one_after_its_proof),
		RUN(the_last_sa_is_sent_on_even_without_a_proof),
		RUN(selectors_choose_among_the_sas_of_a_tunnel),
		RUN(icmp_types_are_the_ports_of_selectors),
		RUN(an_spi_is_installed_once_and_needs_its_tunnel),
		RUN(thousands_of_spis_come_and_go),
		RUN(a_key_that_is_installed_again_goes_on_with_its_ivs),
		RUN(counters_of_ended_keys_are_collected),
		RUN(a_sequenced_sa_waits_for_its_numbers_only_where_they_are_shared),
		RUN(who_passes_has_nothing_in_hand_any_more),
		RUN(the_effective_mtu_follows_path_and_settings),
		RUN(notices_are_due_once_or_once_a_second),
		RUN(off_ramps_are_listed_and_closed_by_the_state),
		RUN(counters_sum_over_all_blocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
