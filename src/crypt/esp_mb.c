#include "crypt/esp_backend.h"

#include <pthread.h>
#include <stdlib.h>

#define NO_COMPAT_IMB_API_053 /* old names, which libcrypto has too */
#include <intel-ipsec-mb.h>

#include "base/secret.h"
#include "crypt/locked.h"

/* AES-GCM goes through the direct calls. They keep no state, so one manager, used for its table of functions
 * alone, and one context an SA serve all threads. CBC and HMAC gain by many packets at once: such packets of
 * a burst are gathered by algorithm and go through the burst calls of managers that belong to the thread. */

enum {
	CHUNK = 64,
	AHEAD = 4, /* packets between the prefetch of a key and its use */
	LAG = 2,   /* packets between the two steps of one */
	NEAR = 2,  /* into the second level cache: the first is too small for keys and packets of a burst */
	LINE = 64,
	HMAC_KEY_BLOCK = 64,
};

/* The head is the end of both, so that the prefetch of a key need not know which it is. */
struct mb_gcm {
	_Alignas(LINE) struct gcm_key_data key;
	struct crypt_esp head;
};
_Static_assert(offsetof(struct mb_gcm, head) == 1008, "shares a line with powers of the hash key");

struct mb_hmac {
	_Alignas(LINE) uint8_t schedule[16 * 15]; /* of AES, in the direction of the context */
	uint8_t inner[IMB_SHA256_DIGEST_SIZE_IN_BYTES], outer[IMB_SHA256_DIGEST_SIZE_IN_BYTES];
	struct crypt_esp head;
};

/* ---- managers ---- */

static IMB_MGR *direct; /* NULL: not on this machine */
static pthread_once_t direct_once = PTHREAD_ONCE_INIT;

static void make_direct(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (m == NULL)
		return;
	init_mb_mgr_auto(m, &arch);
	/* Below SSE is the library's emulation of AES, slower than libcrypto. */
	if (imb_get_errno(m) == 0 && arch >= IMB_ARCH_SSE) {
		direct = m;
		return;
	}
	free_mb_mgr(m);
}

static const char *find_obstacle(void)
{
	must(pthread_once(&direct_once, make_direct) == 0);
	return direct != NULL ? NULL : "intel-ipsec-mb finds no AES instructions on this processor; "
				       "set it to auto or openssl";
}

static const char *describe(void)
{
	switch ((IMB_ARCH)direct->used_arch) {
	case IMB_ARCH_AVX512:
		return "intel-ipsec-mb " IMB_VERSION_STR ", AVX-512";
	case IMB_ARCH_AVX2:
		return "intel-ipsec-mb " IMB_VERSION_STR ", AVX2";
	case IMB_ARCH_AVX:
		return "intel-ipsec-mb " IMB_VERSION_STR ", AVX";
	case IMB_ARCH_SSE:
	case IMB_ARCH_NOAESNI:
	case IMB_ARCH_NONE:
	case IMB_ARCH_NUM:
		break;
	}
	return "intel-ipsec-mb " IMB_VERSION_STR ", SSE";
}

/* The managers of one thread and the room to fill in its jobs. The wide manager works on `lanes` packets in
 * the time of one; with few packets the narrow one is faster, which has the SHA instructions where there are
 * any. */
struct mb_thread {
	IMB_MGR *wide, *narrow;
	unsigned lanes;
	size_t cnt;
	IMB_JOB work[CHUNK];
	struct crypt_esp_job *jobs[CHUNK]; /* whose work it is */
	uint8_t tags[CHUNK][CRYPT_ICV_MAX];
	uint8_t icvs[CHUNK][CRYPT_ESP_SEQ_HI_LEN]; /* see lend_icv */
};

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static _Thread_local struct mb_thread *this_thread;

static void free_thread(void *arg)
{
	struct mb_thread *t = arg;
	if (t->wide != NULL)
		free_mb_mgr(t->wide);
	if (t->narrow != NULL)
		free_mb_mgr(t->narrow);
	secret_wipe(t, sizeof(*t));
	free(t);
}

static void make_thread_key(void)
{
	must(pthread_key_create(&thread_key, free_thread) == 0);
}

/* Made at a thread's first packet that needs it. NULL: no memory now. */
static struct mb_thread *get_thread(void)
{
	IMB_ARCH arch;

	if (this_thread != NULL)
		return this_thread;
	must(pthread_once(&thread_once, make_thread_key) == 0);
	struct mb_thread *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->wide = alloc_mb_mgr(0);
	t->narrow = alloc_mb_mgr(0);
	if (t->wide == NULL || t->narrow == NULL || pthread_setspecific(thread_key, t) != 0) {
		free_thread(t);
		return NULL;
	}
	init_mb_mgr_auto(t->wide, &arch);
	init_mb_mgr_sse(t->narrow);
	t->lanes = arch == IMB_ARCH_AVX512 ? 16 : 8;
	return this_thread = t;
}

/* ---- contexts ---- */

static struct mb_gcm *own_gcm(struct crypt_esp *c)
{
	return CONTAINER_OF(c, struct mb_gcm, head);
}

static struct mb_hmac *own_hmac(struct crypt_esp *c)
{
	return CONTAINER_OF(c, struct mb_hmac, head);
}

static IMB_KEY_SIZE_BYTES get_key_len(const struct crypt_esp *c)
{
	return (c->flags & CRYPT_ESP_LONG_KEY) != 0 ? IMB_KEY_256_BYTES : IMB_KEY_128_BYTES;
}

static void free_context(struct crypt_esp *c)
{
	if ((c->flags & CRYPT_ESP_AEAD) != 0)
		crypt_locked_give(own_gcm(c), sizeof(struct mb_gcm));
	else
		crypt_locked_give(own_hmac(c), sizeof(struct mb_hmac));
}

static enum err make_gcm(const struct crypt_esp *head, const struct crypt_esp_keys *k, struct crypt_esp **ret)
{
	struct mb_gcm *c = crypt_locked_take(sizeof(*c));

	if (c == NULL)
		return ERR_MEMORY;
	c->head = *head;
	if ((head->flags & CRYPT_ESP_LONG_KEY) != 0)
		IMB_AES256_GCM_PRE(direct, k->encr.p, &c->key);
	else
		IMB_AES128_GCM_PRE(direct, k->encr.p, &c->key);
	*ret = &c->head;
	return ERR_NONE;
}

/* RFC 2104 2: the hashes after K xor ipad and K xor opad. No integrity key of ESP is longer than a block. */
static void hash_pad(const struct crypt_esp *head, struct bytes key, uint8_t pad, uint8_t *ret)
{
	uint8_t block[HMAC_KEY_BLOCK];

	must(key.len <= sizeof(block));
	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < key.len; i++)
		block[i] ^= key.p[i];
	if ((head->flags & CRYPT_ESP_SHA256) != 0)
		IMB_SHA256_ONE_BLOCK(direct, block, ret);
	else
		IMB_SHA1_ONE_BLOCK(direct, block, ret);
	secret_wipe(block, sizeof(block));
}

static void expand_aes(struct mb_hmac *c, struct bytes key)
{
	_Alignas(16) uint8_t other[sizeof(c->schedule)];
	bool opens = (c->head.flags & CRYPT_ESP_OPENS) != 0;
	uint8_t *enc = opens ? other : c->schedule, *dec = opens ? c->schedule : other;

	if ((c->head.flags & CRYPT_ESP_LONG_KEY) != 0)
		IMB_AES_KEYEXP_256(direct, key.p, enc, dec);
	else
		IMB_AES_KEYEXP_128(direct, key.p, enc, dec);
	secret_wipe(other, sizeof(other));
}

static enum err make_hmac(const struct crypt_esp *head, const struct crypt_esp_keys *k,
			  struct crypt_esp **ret)
{
	struct mb_hmac *c = crypt_locked_take(sizeof(*c));

	if (c == NULL)
		return ERR_MEMORY;
	c->head = *head;
	hash_pad(head, k->integ, 0x36, c->inner);
	hash_pad(head, k->integ, 0x5c, c->outer);
	if ((head->flags & CRYPT_ESP_NO_CIPHER) == 0)
		expand_aes(c, k->encr);
	*ret = &c->head;
	return ERR_NONE;
}

static enum err make_context(const struct crypt_esp *head, const struct crypt_esp_keys *k,
			     struct crypt_esp **ret)
{
	return (head->flags & CRYPT_ESP_AEAD) != 0 ? make_gcm(head, k, ret) : make_hmac(head, k, ret);
}

/* ---- AES-GCM ---- */

/* The lines that the packet will need: the round keys at the beginning, and at the end one power of the hash
 * key for each block, up to all of them. With many SAs they come from memory, and in time. */
static inline void prefetch_key(const struct crypt_esp_job *job)
{
	const uint8_t *first = (const uint8_t *)job->ctx - offsetof(struct mb_gcm, head);
	size_t powers = job->len < 48 * 16 ? job->len : 48 * 16;
	size_t from = (sizeof(struct gcm_key_data) - powers) / LINE * LINE;

	for (size_t at = 0; at < 3 * LINE; at += LINE)
		__builtin_prefetch(first + at, 0, NEAR);
	for (size_t at = from; at < sizeof(struct mb_gcm); at += LINE)
		__builtin_prefetch(first + at, 0, NEAR);
}

/* What one packet of AES-GCM needs beside itself. Each array is read in one piece. */
struct gcm_inputs {
	_Alignas(16) uint8_t nonce[16];
	uint8_t esn_aad[16];
};

/* The associated data: of an SA without extended sequence numbers it stands in the packet (RFC 4106 5). */
static inline const uint8_t *get_aad(const struct crypt_esp_job *job, const struct gcm_inputs *in, uint64_t *ret_len)
{
	bool esn = (job->ctx->flags & CRYPT_ESP_ESN) != 0;

	*ret_len = esn ? CRYPT_ESP_ESN_AAD_LEN : CRYPT_ESP_HEADER_LEN;
	return esn ? in->esn_aad : job->esp;
}

static inline void seal_gcm(struct crypt_esp_job *job, const struct crypt_esp_parts *p, const struct gcm_inputs *in,
			    struct gcm_context_data *state)
{
	const struct mb_gcm *c = own_gcm(job->ctx);
	uint64_t aad_len;
	const uint8_t *aad = get_aad(job, in, &aad_len);

	if ((c->head.flags & CRYPT_ESP_LONG_KEY) != 0)
		IMB_AES256_GCM_ENC(direct, &c->key, state, p->text.p, p->text.p, p->text.cap, in->nonce, aad,
				   aad_len, p->icv, CRYPT_ICV_MAX);
	else
		IMB_AES128_GCM_ENC(direct, &c->key, state, p->text.p, p->text.p, p->text.cap, in->nonce, aad,
				   aad_len, p->icv, CRYPT_ICV_MAX);
	job->result = ERR_NONE;
}

/* In constant time, and not byte by byte: this is the price of a packet's check. */
static inline bool is_tag(const uint8_t tag[static CRYPT_ICV_MAX], const uint8_t *icv)
{
	struct rd a = rd_of(bytes_of(tag, CRYPT_ICV_MAX)), b = rd_of(bytes_of(icv, CRYPT_ICV_MAX));
	uint64_t x[2], y[2];

	rd_copy(&a, x, sizeof(x));
	rd_copy(&b, y, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

static inline void open_gcm(struct crypt_esp_job *job, const struct crypt_esp_parts *p, const struct gcm_inputs *in,
			    struct gcm_context_data *state)
{
	const struct mb_gcm *c = own_gcm(job->ctx);
	uint8_t tag[CRYPT_ICV_MAX];
	uint64_t aad_len;
	const uint8_t *aad = get_aad(job, in, &aad_len);

	if ((c->head.flags & CRYPT_ESP_LONG_KEY) != 0)
		IMB_AES256_GCM_DEC(direct, &c->key, state, p->text.p, p->text.p, p->text.cap, in->nonce, aad,
				   aad_len, tag, sizeof(tag));
	else
		IMB_AES128_GCM_DEC(direct, &c->key, state, p->text.p, p->text.p, p->text.cap, in->nonce, aad,
				   aad_len, tag, sizeof(tag));
	job->result = is_tag(tag, p->icv) ? ERR_NONE : ERR_AUTH;
}

/* ---- CBC and HMAC ---- */

static bool has_esn(const struct crypt_esp *c)
{
	return (c->flags & CRYPT_ESP_ESN) != 0;
}

/* The upper half of an extended sequence number is hashed behind the text (RFC 4303 2.2.1), and the library hashes one piece of
 * memory: it is lent the beginning of the ICV for that, and gives it back before the check. */
static void lend_icv(struct mb_thread *t, size_t i, uint8_t *icv)
{
	struct wr kept = wr_of(SPACE_OF(t->icvs[i])), lent = wr_of((struct space){ icv, CRYPT_ESP_SEQ_HI_LEN });

	wr_put(&kept, bytes_of(icv, CRYPT_ESP_SEQ_HI_LEN));
	wr_u32(&lent, t->jobs[i]->seq_hi);
}

static uint8_t *find_icv(const struct crypt_esp_job *job)
{
	return job->esp + job->len - job->ctx->icv_len;
}

static void put_work(struct mb_thread *t, struct crypt_esp_job *job)
{
	struct mb_hmac *c = own_hmac(job->ctx);
	struct crypt_esp_parts p;
	size_t i = t->cnt++;
	bool esn = has_esn(&c->head), opens = (c->head.flags & CRYPT_ESP_OPENS) != 0;

	must(crypt_esp_split(&c->head, job->esp, job->len, &p));
	t->jobs[i] = job;
	t->work[i] = (IMB_JOB){
		.enc_keys = c->schedule,
		.dec_keys = c->schedule,
		.key_len_in_bytes = get_key_len(&c->head),
		.src = job->esp,
		.dst = p.text.p,
		.cipher_start_src_offset_in_bytes = (size_t)(p.text.p - job->esp),
		.msg_len_to_cipher_in_bytes = p.text.cap,
		/* RFC 4303 3.3.2.1: all but the ICV */
		.msg_len_to_hash_in_bytes = job->len - c->head.icv_len + (esn ? CRYPT_ESP_SEQ_HI_LEN : 0u),
		.iv = p.iv,
		.iv_len_in_bytes = c->head.iv_len,
		.auth_tag_output = opens || esn ? t->tags[i] : p.icv,
		.auth_tag_output_len_in_bytes = c->head.icv_len,
		.u.HMAC = { c->inner, c->outer },
	};
	if (esn)
		lend_icv(t, i, p.icv);
}

/* How many of the packets go to the wide manager: whole steps of it, and the rest when it nearly fills one
 * more. */
static unsigned count_wide(const struct mb_thread *t)
{
	unsigned n = (unsigned)t->cnt, rest = n % t->lanes;
	return rest * 4 >= t->lanes * 3 ? n : n - rest;
}

/* Of these three each is true when the library has done every packet; lengths and pointers were checked, so
 * it has no reason to refuse one. */
static bool hash(struct mb_thread *t, const struct crypt_esp *like)
{
	bool sha256 = (like->flags & CRYPT_ESP_SHA256) != 0;
	const IMB_HASH_ALG alg = sha256 ? IMB_AUTH_HMAC_SHA_256 : IMB_AUTH_HMAC_SHA_1;
	unsigned wide = count_wide(t), rest = (unsigned)t->cnt - wide;

	return (wide == 0 || IMB_SUBMIT_HASH_BURST(t->wide, t->work, wide, alg) == wide) &&
	       (rest == 0 || IMB_SUBMIT_HASH_BURST(t->narrow, t->work + wide, rest, alg) == rest);
}

static bool encrypt(struct mb_thread *t, const struct crypt_esp *like)
{
	const IMB_KEY_SIZE_BYTES key_len = get_key_len(like);
	unsigned wide = count_wide(t), rest = (unsigned)t->cnt - wide;

	return (wide == 0 || IMB_SUBMIT_CIPHER_BURST(t->wide, t->work, wide, IMB_CIPHER_CBC, IMB_DIR_ENCRYPT,
						     key_len) == wide) &&
	       (rest == 0 || IMB_SUBMIT_CIPHER_BURST(t->narrow, t->work + wide, rest, IMB_CIPHER_CBC,
						     IMB_DIR_ENCRYPT, key_len) == rest);
}

/* Blocks of one packet are independent here: one packet is as fast as many. */
static bool decrypt(struct mb_thread *t, const struct crypt_esp *like)
{
	unsigned n = (unsigned)t->cnt;
	return n == 0 || IMB_SUBMIT_CIPHER_BURST(t->wide, t->work, n, IMB_CIPHER_CBC, IMB_DIR_DECRYPT,
						 get_key_len(like)) == n;
}

static void set_results(struct mb_thread *t, enum err e)
{
	for (size_t i = 0; i < t->cnt; i++)
		t->jobs[i]->result = e;
}

static void seal_work(struct mb_thread *t, const struct crypt_esp *like)
{
	bool done = ((like->flags & CRYPT_ESP_NO_CIPHER) != 0 || encrypt(t, like)) && hash(t, like);

	for (size_t i = 0; has_esn(like) && i < t->cnt; i++) {
		struct wr w = wr_of((struct space){ find_icv(t->jobs[i]), like->icv_len });
		wr_put(&w, bytes_of(t->tags[i], like->icv_len));
	}
	set_results(t, done ? ERR_NONE : ERR_CRYPTO);
}

static void take_icvs_back(struct mb_thread *t)
{
	for (size_t i = 0; i < t->cnt; i++) {
		struct wr w = wr_of((struct space){ find_icv(t->jobs[i]), CRYPT_ESP_SEQ_HI_LEN });
		wr_put(&w, BYTES_OF(t->icvs[i]));
	}
}

/* The check comes before the decryption (RFC 4303 3.4.4.1): what failed it is not decrypted. */
static void open_work(struct mb_thread *t, const struct crypt_esp *like)
{
	size_t good = 0;
	bool hashed = hash(t, like);

	if (has_esn(like))
		take_icvs_back(t);
	if (!hashed) {
		set_results(t, ERR_CRYPTO);
		return;
	}
	for (size_t i = 0; i < t->cnt; i++) {
		struct crypt_esp_job *job = t->jobs[i];
		if (!bytes_eq_ct(bytes_of(t->tags[i], like->icv_len), bytes_of(find_icv(job), like->icv_len))) {
			job->result = ERR_AUTH;
			continue;
		}
		if (good != i) {
			t->work[good] = t->work[i];
			t->jobs[good] = job;
		}
		good++;
	}
	t->cnt = good;
	set_results(t, (like->flags & CRYPT_ESP_NO_CIPHER) != 0 || decrypt(t, like) ? ERR_NONE : ERR_CRYPTO);
}

/* Packets without AEAD, of checked lengths: those of the same algorithms together. */
static void run_work(struct crypt_esp_job **jobs, size_t cnt)
{
	struct mb_thread *t = get_thread();

	for (size_t i = 0; t == NULL && i < cnt; i++)
		jobs[i]->result = ERR_MEMORY;
	while (t != NULL && cnt != 0) {
		const struct crypt_esp *like = jobs[0]->ctx;
		size_t left = 0;
		t->cnt = 0;
		for (size_t i = 0; i < cnt; i++) {
			if (jobs[i]->ctx->flags == like->flags)
				put_work(t, jobs[i]);
			else
				jobs[left++] = jobs[i];
		}
		cnt = left;
		if ((like->flags & CRYPT_ESP_OPENS) != 0)
			open_work(t, like);
		else
			seal_work(t, like);
	}
}

/* ---- bursts ---- */

/* The first step of a packet, whose second one is LAG packets later: a nonce that was written just before its
 * use would cost a tenth of a packet, because the library reads in one piece what is written in two. */
static inline void prepare(struct crypt_esp_job *job, bool opens, struct gcm_inputs *in)
{
	const struct crypt_esp *c = job->ctx;
	struct crypt_esp_parts p;

	must(c->backend == &crypt_esp_mb && ((c->flags & CRYPT_ESP_OPENS) != 0) == opens);
	job->result = crypt_esp_split(c, job->esp, job->len, &p) ? ERR_NONE : ERR_RANGE;
	if (job->result != ERR_NONE || (c->flags & CRYPT_ESP_AEAD) == 0)
		return;
	crypt_esp_nonce(c, p.iv, in->nonce);
	if (has_esn(c))
		crypt_esp_esn_aad(job->esp, job->seq_hi, in->esn_aad);
}

static inline void run_chunk(struct crypt_esp_job *jobs, size_t cnt, bool opens)
{
	struct gcm_inputs inputs[CHUNK];
	struct crypt_esp_job *work[CHUNK];
	struct gcm_context_data state;
	size_t work_cnt = 0;

	for (size_t i = 0; i < cnt && i < AHEAD; i++)
		prefetch_key(&jobs[i]);
	for (size_t i = 0; i < cnt + LAG; i++) {
		if (i + AHEAD < cnt && jobs[i + AHEAD].ctx != jobs[i + AHEAD - 1].ctx)
			prefetch_key(&jobs[i + AHEAD]);
		if (i < cnt)
			prepare(&jobs[i], opens, &inputs[i]);
		if (i < LAG || jobs[i - LAG].result != ERR_NONE)
			continue;
		struct crypt_esp_job *job = &jobs[i - LAG];
		struct crypt_esp_parts p;
		if ((job->ctx->flags & CRYPT_ESP_AEAD) == 0) {
			work[work_cnt++] = job;
			continue;
		}
		must(crypt_esp_split(job->ctx, job->esp, job->len, &p));
		if (opens)
			open_gcm(job, &p, &inputs[i - LAG], &state);
		else
			seal_gcm(job, &p, &inputs[i - LAG], &state);
	}
	secret_wipe(&state, sizeof(state)); /* it has key stream in it */
	run_work(work, work_cnt);
}

static void seal(struct crypt_esp_job *jobs, size_t cnt)
{
	for (size_t at = 0; at < cnt; at += CHUNK)
		run_chunk(jobs + at, cnt - at < CHUNK ? cnt - at : CHUNK, false);
}

static void open(struct crypt_esp_job *jobs, size_t cnt)
{
	for (size_t at = 0; at < cnt; at += CHUNK)
		run_chunk(jobs + at, cnt - at < CHUNK ? cnt - at : CHUNK, true);
}

const struct crypt_esp_backend crypt_esp_mb = {
	.name = "ipsec-mb",
	.shared = true,
	.find_obstacle = find_obstacle,
	.describe = describe,
	.make = make_context,
	.free = free_context,
	.seal = seal,
	.open = open,
};
