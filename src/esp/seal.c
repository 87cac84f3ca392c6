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

/* Padding of 1, 2, 3, ..., its length and the next header behind the inner packet (RFC 4303 2.4). */
static void write_trailer(struct esp_job *j)
{
	size_t pad = wire_esp_pad_len(j->len, j->sa->block_len), end = j->off + j->len;
	struct wr w = wr_of((struct space){ j->buf.p + end, j->buf.cap - end });

	for (size_t i = 1; i <= pad; i++)
		wr_u8(&w, (uint8_t)i);
	wr_u8(&w, (uint8_t)pad);
	wr_u8(&w, j->next_header);
	wr_zero(&w, j->sa->icv_len);
	must(!w.bad);
	j->len += wr_len(&w);
}

static void write_header(struct esp_job *j, uint32_t seq, struct bytes iv)
{
	size_t front = WIRE_ESP_HEADER_LEN + iv.len;

	must(j->off >= front);
	struct wr w = wr_of((struct space){ j->buf.p + j->off - front, front });
	wr_u32(&w, j->sa->spi);
	wr_u32(&w, seq);
	wr_put(&w, iv);
	must(!w.bad);
	j->off -= front;
	j->len += front;
}

/* Numbers, IVs, headers and trailers of a run of jobs with one SA: one claim of each counter for the run. */
static void frame_run(struct esp_job *jobs, size_t cnt)
{
	struct esp_sa *sa = jobs[0].sa;
	uint8_t ivs[ESP_BURST_MAX * CRYPT_IV_MAX];
	struct wr w = wr_of(SPACE_OF(ivs));
	uint64_t iv = 0;

	/* The first number sent is 1 (RFC 4303 3.3.3). 64 bits cannot wrap here. */
	uint64_t seq = atomic_fetch_add_explicit(&sa->counter->seq, cnt, memory_order_relaxed) + 1;
	if (sa->counter_iv && crypt_iv_space_take(&sa->counter->ivs, (uint32_t)cnt, &iv) != ERR_NONE) {
		for (size_t i = 0; i < cnt; i++)
			fail(&jobs[i], MODEL_DROP_iv_exhausted);
		return;
	}
	if (sa->counter_iv)
		for (size_t i = 0; i < cnt; i++)
			wr_u64(&w, iv + i);
	else if (sa->iv_len != 0)
		crypt_random(wr_reserve(&w, cnt * sa->iv_len), cnt * sa->iv_len);
	must(!w.bad);

	struct rd r = rd_of(wr_bytes(&w));
	for (size_t i = 0; i < cnt; i++) {
		struct bytes own = rd_bytes(&r, sa->iv_len);
		if (seq + i > UINT32_MAX) {
			/* Numbers of one key may not cycle (RFC 4303 3.3.3). */
			fail(&jobs[i], MODEL_DROP_esp_expired);
			continue;
		}
		write_trailer(&jobs[i]);
		write_header(&jobs[i], (uint32_t)(seq + i), own);
		jobs[i].ok = true;
	}
}

void esp_seal(struct esp_job *jobs, size_t cnt, unsigned worker)
{
	struct crypt_esp_job work[ESP_BURST_MAX];
	size_t from[ESP_BURST_MAX], n = 0, end;

	must(cnt <= ESP_BURST_MAX);
	for (size_t i = 0; i < cnt; i = end) {
		for (end = i + 1; end < cnt && jobs[end].sa == jobs[i].sa; end++)
			;
		struct crypt_esp *ctx = esp_sa_context(jobs[i].sa, worker);
		if (ctx == NULL) {
			for (size_t k = i; k < end; k++)
				fail(&jobs[k], MODEL_DROP_seal_failed);
			continue;
		}
		frame_run(jobs + i, end - i);
		for (size_t k = i; k < end; k++) {
			if (!jobs[k].ok)
				continue;
			from[n] = k;
			work[n++] = (struct crypt_esp_job){ ctx, jobs[k].buf.p + jobs[k].off, jobs[k].len,
							    ERR_NONE };
		}
	}
	crypt_esp_seal(work, n);
	for (size_t i = 0; i < n; i++)
		if (work[i].result != ERR_NONE)
			fail(&jobs[from[i]], MODEL_DROP_seal_failed);
}
