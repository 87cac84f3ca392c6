#include "esp/burst.h"

#include "esp/state.h"
#include "wire/esp.h"

static void fail(struct esp_job *j, enum model_drop why)
{
	j->ok = false;
	j->drop = why;
}

/* What can be said before any cryptography. */
static bool check_outside(struct esp_job *j, uint64_t *ret_seq)
{
	const struct esp_sa *sa = j->sa;
	size_t front = WIRE_ESP_HEADER_LEN + (size_t)sa->iv_len + sa->icv_len;
	struct wire_esp h;

	must(j->off <= j->buf.cap && j->len <= j->buf.cap - j->off);
	if (j->len < front + 2 || wire_esp_parse(bytes_of(j->buf.p + j->off, j->len), &h) != ERR_NONE) {
		fail(j, MODEL_DROP_esp_short);
		return false;
	}
	if (((j->len - front) & (sa->block_len - 1u)) != 0) {
		fail(j, MODEL_DROP_esp_length);
		return false;
	}
	uint64_t seq = sa->esn ? esp_replay_extend(&sa->replay, h.seq) : h.seq;
	if (sa->replay.window != 0 && !esp_replay_check(&sa->replay, seq)) {
		fail(j, MODEL_DROP_esp_replay);
		return false;
	}
	*ret_seq = seq;
	return true;
}

/* What the integrity check has shown to come from the peer. */
static void unwrap(struct esp_job *j, uint64_t seq)
{
	struct esp_sa *sa = j->sa;
	struct bytes inner;
	uint8_t next;

	if (sa->replay.window != 0 && !esp_replay_take(&sa->replay, seq)) {
		fail(j, MODEL_DROP_esp_replay);
		return;
	}
	struct rd r = rd_of(bytes_of(j->buf.p + j->off, j->len));
	rd_skip(&r, WIRE_ESP_HEADER_LEN + (size_t)sa->iv_len);
	(void)rd_back(&r, sa->icv_len);
	if (wire_esp_strip(rd_rest(&r), &inner, &next) != ERR_NONE) {
		fail(j, MODEL_DROP_esp_padding);
		return;
	}
	switch (next) {
	case IP_PROTO_IPIP:
	case IP_PROTO_IPV6:
		j->off = (size_t)(inner.p - j->buf.p);
		j->len = inner.len;
		j->next_header = next;
		j->ok = true;
		break;
	case IP_PROTO_NONE: /* RFC 4303 2.6 */
		fail(j, MODEL_DROP_esp_dummy);
		break;
	default:
		fail(j, MODEL_DROP_esp_next_header);
		break;
	}
}

void esp_open(struct esp_job *jobs, size_t cnt, unsigned worker)
{
	struct crypt_esp_job work[ESP_BURST_MAX];
	size_t from[ESP_BURST_MAX], n = 0;
	uint64_t seqs[ESP_BURST_MAX];

	must(cnt <= ESP_BURST_MAX);
	esp_touch_sas(jobs, cnt);
	for (size_t i = 0; i < cnt; i++) {
		struct esp_job *j = &jobs[i];
		if (!check_outside(j, &seqs[n]))
			continue;
		struct crypt_esp *ctx = esp_sa_context(j->sa, worker);
		if (ctx == NULL) {
			/* Nothing can be checked, so nothing may pass. */
			fail(j, MODEL_DROP_esp_icv);
			continue;
		}
		from[n] = i;
		work[n] = (struct crypt_esp_job){ ctx, j->buf.p + j->off, j->len, ERR_NONE, (uint32_t)(seqs[n] >> 32) };
		n++;
	}
	crypt_esp_open(work, n);
	for (size_t i = 0; i < n; i++) {
		if (work[i].result == ERR_NONE)
			unwrap(&jobs[from[i]], seqs[i]);
		else
			fail(&jobs[from[i]], MODEL_DROP_esp_icv);
	}
}
