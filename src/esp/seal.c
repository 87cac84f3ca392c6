#include "esp/burst.h"

#include "crypt/random.h"
#include "crypt/suite.h"
#include "esp/state.h"
#include "wire/esp.h"

static void fail(struct esp_job *j, enum model_drop why)
{
	j->ok = false;
	j->drop = why;
}

/* Padding of 1, 2, 3, ..., its length and the next header behind the inner packet (RFC 4303 2.4), and room
 * for the ICV. Gives how much that is. */
static inline size_t write_trailer(const struct esp_job *j)
{
	size_t pad = wire_esp_pad_len(j->len, j->sa->block_len), end = j->off + j->len;
	struct wr w = wr_of((struct space){ j->buf.p + end, j->buf.cap - end });

	for (size_t i = 1; i <= pad; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, (uint8_t)pad);
	wr_u8(&w, j->next_header);
	(void)wr_reserve(&w, j->sa->icv_len);
	must(!w.bad);
	return wr_len(&w);
}

/* counter: the IV of an SA that counts its IVs; random: that of one that does not. Gives how much stands in
 * front. */
static inline size_t write_header(const struct esp_job *j, uint32_t seq, uint64_t counter, struct rd *random)
{
	const struct esp_sa *sa = j->sa;
	size_t front = WIRE_ESP_HEADER_LEN + (size_t)sa->iv_len;

	must(j->off >= front);
	struct wr w = wr_of((struct space){ j->buf.p + j->off - front, front });
	wr_u32(&w, sa->spi);
	wr_u32(&w, seq);
	if (sa->counter_iv)
		wr_u64(&w, counter);
	else
		wr_put(&w, rd_bytes(random, sa->iv_len));
	must(!w.bad && wr_len(&w) == front);
	return front;
}

static size_t count_random(const struct esp_sa *sa)
{
	return sa->counter_iv ? 0 : sa->iv_len;
}

/* One question to the kernel for all IVs of the burst that must be unpredictable (RFC 3602 3). */
static struct rd draw_ivs(const struct esp_job *jobs, size_t cnt, struct space room)
{
	size_t need = 0;

	for (size_t i = 0; i < cnt; i++)
		need += count_random(jobs[i].sa);
	must(need <= room.cap);
	if (need != 0)
		crypt_random(room.p, need);
	return rd_of(bytes_of(room.p, need));
}

/* Of a block of numbers: as many as it still has, the first in *ret_seq. The end is read before the counter: what was taken by
 * an old end lies in the old block, and by a new one above what was raised for it. */
static size_t take_allotted(struct esp_sa *sa, size_t cnt, uint64_t last, uint64_t *ret_seq)
{
	_Atomic uint64_t *seq = &sa->counter->seq;
	uint64_t at = atomic_load_explicit(seq, memory_order_relaxed), n;

	do
		n = at >= last ? 0 : last - at < cnt ? last - at : cnt;
	while (n != 0 && !atomic_compare_exchange_weak_explicit(seq, &at, at + n, memory_order_relaxed, memory_order_relaxed));
	*ret_seq = at + 1;
	return (size_t)n;
}

static size_t take_numbers(struct esp_sa *sa, size_t cnt, uint64_t *ret_seq)
{
	uint64_t last = atomic_load_explicit(&sa->last, memory_order_acquire);

	if (last != UINT64_MAX)
		return take_allotted(sa, cnt, last, ret_seq);
	/* The first number sent is 1 (RFC 4303 3.3.3). 64 bits cannot wrap here. */
	*ret_seq = atomic_fetch_add_explicit(&sa->counter->seq, cnt, memory_order_relaxed) + 1;
	return cnt;
}

/* Numbers, IVs, headers and trailers of a run of jobs with one SA: one claim of each counter for the run. The number of
 * the first is returned. */
static uint64_t frame_run(struct esp_job *jobs, size_t cnt, struct rd *random)
{
	struct esp_sa *sa = jobs[0].sa;
	struct rd own = rd_sub(random, cnt * count_random(sa));
	uint64_t iv = 0, end = esp_seq_end(sa), seq;

	size_t numbers = take_numbers(sa, cnt, &seq);
	if (sa->counter_iv && crypt_iv_space_take(&sa->counter->ivs, (uint32_t)cnt, &iv) != ERR_NONE) {
		for (size_t i = 0; i < cnt; i++)
			fail(&jobs[i], MODEL_DROP_iv_exhausted);
		return seq;
	}
	for (size_t i = 0; i < cnt; i++) {
		if (seq + i >= end) {
			/* Numbers of one key may not cycle (RFC 4303 3.3.3). */
			fail(&jobs[i], MODEL_DROP_esp_expired);
			continue;
		}
		if (i >= numbers) {
			fail(&jobs[i], MODEL_DROP_seq_block);
			continue;
		}
		size_t tail = write_trailer(&jobs[i]);
		size_t front = write_header(&jobs[i], (uint32_t)(seq + i), iv + i, &own);
		jobs[i].off -= front;
		jobs[i].len += front + tail;
		jobs[i].ok = true;
	}
	must(!own.bad);
	return seq;
}

/* As esp_touch_sas: the atomic additions that come would wait for one another. */
static void touch_counters(const struct esp_job *jobs, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++)
		if (i == 0 || jobs[i].sa != jobs[i - 1].sa)
			(void)atomic_load_explicit(&jobs[i].sa->counter->seq, memory_order_relaxed);
}

void esp_seal(struct esp_job *jobs, size_t cnt, unsigned worker)
{
	struct crypt_esp_job work[ESP_BURST_MAX];
	uint8_t ivs[ESP_BURST_MAX * CRYPT_IV_MAX];
	size_t from[ESP_BURST_MAX], n = 0, end;

	must(cnt <= ESP_BURST_MAX);
	esp_touch_sas(jobs, cnt);
	touch_counters(jobs, cnt);
	struct rd random = draw_ivs(jobs, cnt, SPACE_OF(ivs));
	for (size_t i = 0; i < cnt; i = end) {
		for (end = i + 1; end < cnt && jobs[end].sa == jobs[i].sa; end++)
			;
		struct crypt_esp *ctx = esp_sa_context(jobs[i].sa, worker);
		if (ctx == NULL) {
			for (size_t k = i; k < end; k++)
				fail(&jobs[k], MODEL_DROP_seal_failed);
			continue;
		}
		uint64_t seq = frame_run(jobs + i, end - i, &random);
		for (size_t k = i; k < end; k++) {
			if (!jobs[k].ok)
				continue;
			from[n] = k;
			work[n++] = (struct crypt_esp_job){ ctx, jobs[k].buf.p + jobs[k].off, jobs[k].len,
							    ERR_NONE, (uint32_t)((seq + (k - i)) >> 32) };
		}
	}
	crypt_esp_seal(work, n);
	for (size_t i = 0; i < n; i++)
		if (work[i].result != ERR_NONE)
			fail(&jobs[from[i]], MODEL_DROP_seal_failed);
}
