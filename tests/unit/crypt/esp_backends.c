/* The backends against each other: the same packets, the same results, byte for byte. */
#include <pthread.h>
#include <stdlib.h>

#include "crypt/esp_backend.h"
#include "rig.h"

enum {
	KEYS = 4, /* SAs a suite; those of odd numbers have extended sequence numbers */
	SUITES = ARRAY_LEN(rig_suites),
	BURST = 64,
	GUARD = 48, /* bytes around a packet that nobody may touch */
	LEN_MAX = 16384 + 64,
	SLOT = 2 * GUARD + 16 + LEN_MAX,
};

enum side { MB, OPENSSL, SIDES };
enum way { SEAL, OPEN, WAYS };

static struct crypt_esp *contexts[SIDES][WAYS][SUITES][KEYS];
static uint8_t *rooms[SIDES]; /* BURST slots each */
static uint8_t *before;       /* what both were */

static uint64_t next_random(void)
{
	static uint64_t s = 0x2545f4914f6cdd1d;
	s ^= s << 13;
	s ^= s >> 7;
	return s ^= s << 17;
}

/* One packet of a burst. */
struct packet {
	unsigned suite, key, align;
	size_t len; /* of the ESP packet */
};

static uint8_t *slot(uint8_t *room, size_t i)
{
	return room + i * SLOT;
}

static uint8_t *start_of(uint8_t *room, size_t i, const struct packet *p)
{
	return slot(room, i) + GUARD + p->align;
}

static size_t used_by(const struct packet *p)
{
	return (size_t)2 * GUARD + p->align + p->len;
}

static size_t outside_of(unsigned suite)
{
	const struct rig_suite *s = &rig_suites[suite];
	return 8 + crypt_encr_iv_len(s->encr) + crypt_icv_len(s->encr, s->integ);
}

static void run(enum side side, enum way way, const struct packet *p, size_t cnt, enum err *results)
{
	struct crypt_esp_job jobs[BURST];

	for (size_t i = 0; i < cnt; i++)
		jobs[i] = (struct crypt_esp_job){ .ctx = contexts[side][way][p[i].suite][p[i].key],
						  .esp = start_of(rooms[side], i, &p[i]), .len = p[i].len,
						  .result = ERR_COUNT, .seq_hi = 0x01020304u * (unsigned)i };
	if (way == SEAL)
		crypt_esp_seal(jobs, cnt);
	else
		crypt_esp_open(jobs, cnt);
	for (size_t i = 0; i < cnt; i++)
		results[i] = jobs[i].result;
}

/* What a backend may leave behind, beside equal packets: nothing outside the packet; of a refused one without
 * AEAD, or of an impossible length, every byte. Text of AES-GCM that failed its check is of no meaning. */
static void compare(size_t i, const struct packet *p, enum err result)
{
	const uint8_t *a = slot(rooms[MB], i), *b = slot(rooms[OPENSSL], i), *was = slot(before, i);
	size_t front = GUARD + p->align, end = front + p->len, used = used_by(p);
	bool aead = crypt_encr_is_aead(rig_suites[p->suite].encr);

	if (result == ERR_NONE) {
		assert_memory_equal(a, b, used);
	} else if (result == ERR_RANGE || !aead) {
		assert_memory_equal(a, was, used);
		assert_memory_equal(b, was, used);
	}
	assert_memory_equal(a, was, front);
	assert_memory_equal(b, was, front);
	assert_memory_equal(a + end, was + end, used - end);
	assert_memory_equal(b + end, was + end, used - end);
}

static void run_both(enum way way, const struct packet *p, size_t cnt, enum err *ret_results)
{
	enum err results[SIDES][BURST];

	for (size_t i = 0; i < cnt; i++) {
		memcpy(slot(rooms[MB], i), slot(before, i), used_by(&p[i]));
		memcpy(slot(rooms[OPENSSL], i), slot(before, i), used_by(&p[i]));
	}
	run(MB, way, p, cnt, results[MB]);
	run(OPENSSL, way, p, cnt, results[OPENSSL]);
	for (size_t i = 0; i < cnt; i++) {
		assert_int_equal(results[MB][i], results[OPENSSL][i]);
		compare(i, &p[i], results[MB][i]);
		ret_results[i] = results[MB][i];
	}
}

static void fill_burst(const struct packet *p, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		for (size_t k = 0; k < used_by(&p[i]); k += sizeof(uint64_t)) {
			uint64_t v = next_random();
			memcpy(slot(before, i) + k, &v, sizeof(v));
		}
}

static bool is_possible(const struct packet *p)
{
	size_t outside = outside_of(p->suite);
	return p->len > outside && (p->len - outside) % crypt_encr_block_len(rig_suites[p->suite].encr) == 0;
}

/* Sealed ones of a burst become what is to be opened; `forge` may spoil each. */
static void both_ways(struct packet *p, size_t cnt, void (*forge)(struct packet *p, uint8_t *esp))
{
	enum err results[BURST], opened[BURST];
	bool spoilt[BURST] = { false };

	fill_burst(p, cnt);
	run_both(SEAL, p, cnt, results);
	for (size_t i = 0; i < cnt; i++) {
		assert_int_equal(results[i], is_possible(&p[i]) ? ERR_NONE : ERR_RANGE);
		memcpy(slot(before, i), slot(rooms[MB], i), used_by(&p[i]));
		if (forge != NULL && results[i] == ERR_NONE && next_random() % 3 == 0) {
			forge(&p[i], start_of(before, i, &p[i]));
			spoilt[i] = true;
		}
	}
	run_both(OPEN, p, cnt, opened);
	for (size_t i = 0; i < cnt; i++)
		assert_int_equal(opened[i], !is_possible(&p[i]) ? ERR_RANGE
					    : spoilt[i]         ? ERR_AUTH
								: ERR_NONE);
}

/* ---- sizes and alignments ---- */

static void every_suite_agrees_at_every_size_and_alignment(void **state)
{
	struct packet p[BURST];
	(void)state;

	for (unsigned suite = 0; suite < SUITES; suite++) {
		for (unsigned align = 0; align < 16; align++) {
			size_t cnt = 0;
			for (size_t text = 0; text <= 1500; text++) {
				p[cnt++] = (struct packet){ suite, (unsigned)text % KEYS, align,
							    outside_of(suite) + text };
				if (cnt < BURST && text < 1500)
					continue;
				both_ways(p, cnt, NULL);
				cnt = 0;
			}
		}
	}
}

static void lengths_below_the_least_agree(void **state)
{
	struct packet p[BURST];
	(void)state;

	for (unsigned suite = 0; suite < SUITES; suite++) {
		size_t cnt = outside_of(suite) + 1;
		assert_true(cnt <= BURST);
		for (size_t i = 0; i < cnt; i++)
			p[i] = (struct packet){ suite, 0, (unsigned)i % 16, i };
		both_ways(p, cnt, NULL);
	}
}

static void run_long(enum way way, unsigned suite, unsigned key, size_t len, uint8_t *room[SIDES], enum err want)
{
	for (unsigned side = 0; side < SIDES; side++) {
		struct crypt_esp_job job = { contexts[side][way][suite][key], room[side], len, ERR_COUNT, 7 };
		if (way == SEAL)
			crypt_esp_seal(&job, 1);
		else
			crypt_esp_open(&job, 1);
		assert_int_equal(job.result, want);
	}
	assert_memory_equal(room[MB], room[OPENSSL], CRYPT_ESP_LEN_MAX + 32);
}

static void the_longest_packets_agree_and_longer_ones_are_refused(void **state)
{
	uint8_t *room[SIDES] = { malloc(CRYPT_ESP_LEN_MAX + 32), malloc(CRYPT_ESP_LEN_MAX + 32) };
	(void)state;

	for (unsigned suite = 0; suite < SUITES; suite++) {
		size_t block = crypt_encr_block_len(rig_suites[suite].encr), outside = outside_of(suite);
		size_t longest = outside + (CRYPT_ESP_LEN_MAX - outside) / block * block;
		for (unsigned key = 0; key < 2; key++) {
			for (unsigned side = 0; side < SIDES; side++)
				fill(room[side], CRYPT_ESP_LEN_MAX + 32, suite);
			run_long(SEAL, suite, key, longest + block, room, ERR_RANGE);
			run_long(SEAL, suite, key, longest, room, ERR_NONE);
			run_long(OPEN, suite, key, longest + block, room, ERR_RANGE);
			run_long(OPEN, suite, key, longest, room, ERR_NONE);
		}
	}
	free(room[MB]);
	free(room[OPENSSL]);
}

/* ---- bursts ---- */

static struct packet draw_packet(void)
{
	struct packet p = { .suite = (unsigned)(next_random() % SUITES),
			    .key = (unsigned)(next_random() % KEYS),
			    .align = (unsigned)(next_random() % 16) };
	size_t block = crypt_encr_block_len(rig_suites[p.suite].encr), outside = outside_of(p.suite);
	size_t text = (size_t)(next_random() % (next_random() % 16 == 0 ? 16384 : 1500));

	/* Mostly lengths that a peer makes. */
	if (next_random() % 16 != 0)
		text = (text + block) / block * block;
	p.len = outside + text < LEN_MAX ? outside + text : LEN_MAX;
	return p;
}

static void flip_a_bit(struct packet *p, uint8_t *esp)
{
	size_t bit = (size_t)(next_random() % (8 * p->len));
	esp[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void bursts_of_mixed_sas_agree(void **state)
{
	struct packet p[BURST];
	(void)state;

	for (unsigned round = 0; round < 24; round++)
		for (size_t cnt = 1; cnt <= BURST; cnt++) {
			for (size_t i = 0; i < cnt; i++)
				p[i] = draw_packet();
			both_ways(p, cnt, NULL);
		}
}

static void forged_packets_among_others_agree(void **state)
{
	struct packet p[BURST];
	(void)state;

	for (unsigned round = 0; round < 24; round++)
		for (size_t cnt = 1; cnt <= BURST; cnt++) {
			for (size_t i = 0; i < cnt; i++)
				p[i] = draw_packet();
			both_ways(p, cnt, flip_a_bit);
		}
}

/* Full steps of the multi-buffer lanes, and the rests of every size, of one suite. */
static void bursts_of_one_suite_agree_at_every_count(void **state)
{
	struct packet p[BURST];
	(void)state;

	for (unsigned suite = 0; suite < SUITES; suite++)
		for (size_t cnt = 1; cnt <= BURST; cnt++) {
			for (size_t i = 0; i < cnt; i++)
				p[i] = (struct packet){ suite, (unsigned)i % KEYS, (unsigned)i % 16,
							outside_of(suite) + 16 * (1 + next_random() % 90) };
			both_ways(p, cnt, flip_a_bit);
		}
}

/* More than a backend takes at a time. */
static void a_long_burst_is_done_whole(void **state)
{
	enum { LONG = 200, LEN = 300 };
	static uint8_t room[SIDES][LONG][LEN];
	(void)state;

	for (unsigned side = 0; side < SIDES; side++) {
		struct crypt_esp_job jobs[LONG];
		for (unsigned i = 0; i < LONG; i++) {
			unsigned suite = i * i % SUITES;
			fill(room[side][i], LEN, i);
			jobs[i] = (struct crypt_esp_job){ contexts[side][SEAL][suite][i % KEYS],
							  room[side][i],
							  outside_of(suite) + 16 * (i % 15 + 1), ERR_COUNT, i };
		}
		crypt_esp_seal(jobs, LONG);
		for (unsigned i = 0; i < LONG; i++)
			assert_int_equal(jobs[i].result, ERR_NONE);
	}
	assert_memory_equal(room[MB], room[OPENSSL], sizeof(room[MB]));
	crypt_esp_seal(NULL, 0);
	crypt_esp_open(NULL, 0);
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 300, THREAD_LEN = 512 };

struct shared_work {
	uint8_t want[SUITES][THREAD_LEN];
	unsigned start;
	bool failed;
};

static void *seal_and_open(void *arg)
{
	struct shared_work *w = arg;
	uint8_t packets[BURST][THREAD_LEN];
	struct crypt_esp_job jobs[BURST];

	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t cnt = 1 + (round + w->start) % BURST;
		for (size_t i = 0; i < cnt; i++) {
			unsigned suite = (unsigned)(i + w->start) % SUITES;
			fill(packets[i], THREAD_LEN, suite);
			jobs[i] = (struct crypt_esp_job){ contexts[MB][SEAL][suite][0], packets[i],
							  outside_of(suite) + 320, ERR_COUNT, 0 };
		}
		crypt_esp_seal(jobs, cnt);
		for (size_t i = 0; i < cnt; i++) {
			unsigned suite = (unsigned)(i + w->start) % SUITES;
			w->failed |= jobs[i].result != ERR_NONE ||
				     memcmp(packets[i], w->want[suite], THREAD_LEN) != 0;
			jobs[i].ctx = contexts[MB][OPEN][suite][0];
		}
		crypt_esp_open(jobs, cnt);
		for (size_t i = 0; i < cnt; i++)
			w->failed |= jobs[i].result != ERR_NONE;
	}
	return NULL;
}

static void threads_share_contexts_that_say_so(void **state)
{
	struct shared_work work[THREADS] = { 0 };
	pthread_t threads[THREADS];
	(void)state;

	assert_true(crypt_esp_is_shared(contexts[MB][SEAL][0][0]));
	assert_false(crypt_esp_is_shared(contexts[OPENSSL][SEAL][0][0]));
	for (unsigned suite = 0; suite < SUITES; suite++) {
		struct crypt_esp_job job = { contexts[OPENSSL][SEAL][suite][0], work[0].want[suite],
					     outside_of(suite) + 320, ERR_COUNT, 0 };
		fill(work[0].want[suite], THREAD_LEN, suite);
		crypt_esp_seal(&job, 1);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		memcpy(work[i].want, work[0].want, sizeof(work[i].want));
		work[i].start = i;
		assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, &work[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(work[i].failed);
	}
}

/* ---- all ---- */

static struct crypt_esp *make_context(const struct rig_suite *s, unsigned seed, bool esn, bool opens)
{
	uint8_t encr[CRYPT_ENCR_KEY_MAX], integ[CRYPT_INTEG_KEY_MAX];
	struct crypt_esp *c;

	fill(encr, sizeof(encr), 1 + seed);
	fill(integ, sizeof(integ), 101 + seed);
	struct bytes encr_key = bytes_of(encr, crypt_encr_key_len(s->encr, s->bits));
	struct bytes integ_key = bytes_of(integ, crypt_integ_key_len(s->integ));
	enum err e = esn ? crypt_esp_new_esn(s->encr, s->bits, s->integ, encr_key, integ_key, opens, &c)
			 : crypt_esp_new(s->encr, s->bits, s->integ, encr_key, integ_key, opens, &c);
	assert_int_equal(e, ERR_NONE);
	return c;
}

static void make_contexts(enum side side)
{
	for (unsigned way = 0; way < WAYS; way++)
		for (unsigned suite = 0; suite < SUITES; suite++)
			for (unsigned key = 0; key < KEYS; key++)
				contexts[side][way][suite][key] =
					make_context(&rig_suites[suite], suite * 16 + key, key % 2 != 0, way == OPEN);
}

static int set_up(void **state)
{
	const char *why;
	(void)state;

	if (crypt_esp_choose(CRYPT_ESP_IPSEC_MB, &why) != ERR_NONE)
		return -1;
	make_contexts(MB);
	assert_int_equal(crypt_esp_choose(CRYPT_ESP_OPENSSL, &why), ERR_NONE);
	make_contexts(OPENSSL);
	rooms[MB] = malloc((size_t)BURST * SLOT);
	rooms[OPENSSL] = malloc((size_t)BURST * SLOT);
	before = malloc((size_t)BURST * SLOT);
	return rooms[MB] == NULL || rooms[OPENSSL] == NULL || before == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SIDES * WAYS * SUITES * KEYS; i++)
		crypt_esp_free((&contexts[0][0][0][0])[i]);
	free(rooms[MB]);
	free(rooms[OPENSSL]);
	free(before);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_suite_agrees_at_every_size_and_alignment),
		cmocka_unit_test(lengths_below_the_least_agree),
		cmocka_unit_test(the_longest_packets_agree_and_longer_ones_are_refused),
		cmocka_unit_test(bursts_of_mixed_sas_agree),
		cmocka_unit_test(forged_packets_among_others_agree),
		cmocka_unit_test(bursts_of_one_suite_agree_at_every_count),
		cmocka_unit_test(a_long_burst_is_done_whole),
		cmocka_unit_test(threads_share_contexts_that_say_so),
	};
	const char *why;

	if (crypt_esp_choose(CRYPT_ESP_IPSEC_MB, &why) != ERR_NONE) {
		print_message("left out, there is nothing to compare: %s\n", why);
		return 77; /* meson: skipped */
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
