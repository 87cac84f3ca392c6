/* esp-loop: what a packet costs from its SPI to its ICV, without I/O, beside the raw AES-GCM call.
 *
 *   esp-loop [--rounds N] [--json FILE]
 *
 * A burst of packets is copied into buffers that stay in the cache, as input would do it. Measured is then: for
 * the loop, SA by SPI in the forwarding state, header, sequence number, IV, padding, AES-128-GCM (and on the way
 * in the checks and the trailer); for the raw call, AES-128-GCM alone over as many bytes, with one key and nonces
 * made before. A sample is the median of the bursts of one walk over all SAs in random order; a figure is the
 * median of the rounds, which are interleaved.
 * With --json the figures are put into FILE, a list; rows with other names stay. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "crypt/esp_cipher.h"
#include "crypt/random.h"
#include "esp/burst.h"
#include "fwd/lookup.h"
#include "wire/esp.h"

#ifdef HAVE_IPSEC_MB
#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>
#else
#include <openssl/evp.h>
#endif

enum {
	BURST = ESP_BURST_MAX,
	SA_MAX = 100000,
	WALK = 100000 / BURST * BURST, /* packets in a walk */
	STRIDE = 2176,                 /* of the buffers: no power of two, which would share cache sets */
	HEADROOM = 64,
	SEALED_MAX = 1472,
	ROUNDS_MAX = 99,
	BURSTS = WALK / BURST,
	SPI_FIRST = 0x10000,
	TUNNELS_EACH = 64, /* accounts are small, so that setting up is quick */
};

static const struct model_suite suite_gcm = { .encr = IKE_ENCR_AES_GCM_16, .key_bits = 128 };
static const struct model_suite suite_cbc = { .encr = IKE_ENCR_AES_CBC, .key_bits = 256,
					      .integ = IKE_INTEG_HMAC_SHA2_256_128 };

struct bench {
	struct fwd *fwd;
	struct fwd_reader *reader;
	uint8_t *buffers;
	uint8_t *sealed;          /* WALK packets of SEALED_MAX */
	uint32_t *spis;           /* one a packet */
	double burst_ns[BURSTS];
};

struct figure {
	const char *name, *unit;
	double runs[ROUNDS_MAX];
	unsigned cnt;
	const char *to;           /* what ratio stands for, NULL: none */
	double ratio[ROUNDS_MAX];
};

/* ---- small things ---- */

static void check(enum err e, const char *what)
{
	if (e == ERR_NONE)
		return;
	fprintf(stderr, "esp-loop: %s: %s\n", what, err_text(e));
	exit(1);
}

static void *take(size_t n)
{
	void *p = aligned_alloc(64, (n + 63) / 64 * 64);
	check(p == NULL ? ERR_MEMORY : ERR_NONE, "buffers");
	memset(p, 1, n);
	return p;
}

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static double median(const double *v, unsigned cnt)
{
	double sorted[BURSTS];
	must(cnt >= 1 && cnt <= BURSTS);
	memcpy(sorted, v, cnt * sizeof(*v));
	qsort(sorted, cnt, sizeof(*sorted), compare);
	return sorted[cnt / 2];
}

static uint64_t next_random(void)
{
	static uint64_t s = 0x9e3779b97f4a7c15;
	s ^= s << 13;
	s ^= s >> 7;
	return s ^= s << 17;
}

static uint8_t *buffer(const struct bench *b, size_t i)
{
	return b->buffers + i * STRIDE;
}

/* ---- the SAs ---- */

static void add_sa(struct bench *b, uint32_t n, const struct model_suite *suite)
{
	struct fwd_tunnel_config t = { .account_number = n / TUNNELS_EACH + 1, .outer_mtu = 1500 };
	struct model_child_sa c = { .spi_in = SPI_FIRST + n, .spi_out = SPI_FIRST + n, .suite = *suite,
				    .ts_local_cnt = 1, .ts_remote_cnt = 1 };

	memcpy(t.tunnel_id.b, &n, sizeof(n));
	c.tunnel_id = t.tunnel_id;
	crypt_random(&c.keys_out, sizeof(c.keys_out));
	c.keys_in = c.keys_out; /* what it seals it can open */
	c.path.remote.addr.family = ADDR_V4;
	check(fwd_account_put(b->fwd, t.account_number, true), "account");
	check(fwd_tunnel_put(b->fwd, &t), "tunnel");
	check(fwd_child_put(b->fwd, &c), "child");
}

/* Each packet's SA: all SAs in a new order, as often as it takes. */
static void deal(struct bench *b, uint32_t sas)
{
	for (uint32_t i = 0; i < WALK; i++)
		b->spis[i] = SPI_FIRST + i % sas;
	for (uint32_t i = WALK - 1; i > 0; i--) {
		uint32_t k = (uint32_t)(next_random() % (i + 1)), spi = b->spis[i];
		b->spis[i] = b->spis[k];
		b->spis[k] = spi;
	}
}

/* ---- one walk ---- */

static void must_be_ok(const struct esp_job *jobs)
{
	for (size_t i = 0; i < BURST; i++)
		if (!jobs[i].ok) {
			fprintf(stderr, "esp-loop: a packet failed\n");
			exit(1);
		}
}

static double seal_walk(struct bench *b, size_t len)
{
	struct fwd_child *children[BURST];
	struct esp_job jobs[BURST];
	uint8_t inner[SEALED_MAX];

	crypt_random(inner, sizeof(inner));
	for (size_t at = 0, n = 0; at < WALK; at += BURST, n++) {
		for (size_t i = 0; i < BURST; i++)
			memcpy(buffer(b, i) + HEADROOM, inner, len);
		double start = now_ns();
		fwd_child_find_burst(b->reader, b->spis + at, BURST, children);
		for (size_t i = 0; i < BURST; i++) {
			jobs[i] = (struct esp_job){ .sa = fwd_child_out(children[i]), .off = HEADROOM,
						    .buf = { buffer(b, i), STRIDE }, .len = len,
						    .next_header = IP_PROTO_IPIP };
		}
		esp_seal(jobs, BURST, 0);
		b->burst_ns[n] = now_ns() - start;
		must_be_ok(jobs);
		for (size_t i = 0; i < BURST; i++) {
			must(jobs[i].len <= SEALED_MAX);
			memcpy(b->sealed + (at + i) * SEALED_MAX, jobs[i].buf.p + jobs[i].off, jobs[i].len);
		}
		fwd_reader_pass(b->reader);
	}
	return median(b->burst_ns, BURSTS) / BURST;
}

static double open_walk(struct bench *b, size_t len, size_t sealed_len)
{
	struct fwd_child *children[BURST];
	struct esp_job jobs[BURST];
	uint32_t spis[BURST];

	for (size_t at = 0, n = 0; at < WALK; at += BURST, n++) {
		for (size_t i = 0; i < BURST; i++)
			memcpy(buffer(b, i) + HEADROOM, b->sealed + (at + i) * SEALED_MAX, sealed_len);
		double start = now_ns();
		for (size_t i = 0; i < BURST; i++) {
			struct wire_esp h = { 0 };
			(void)!wire_esp_parse(bytes_of(buffer(b, i) + HEADROOM, sealed_len), &h);
			spis[i] = h.spi;
		}
		fwd_child_find_burst(b->reader, spis, BURST, children);
		for (size_t i = 0; i < BURST; i++) {
			jobs[i] = (struct esp_job){ .sa = fwd_child_in(children[i]), .off = HEADROOM,
						    .buf = { buffer(b, i), STRIDE }, .len = sealed_len };
		}
		esp_open(jobs, BURST, 0);
		b->burst_ns[n] = now_ns() - start;
		must_be_ok(jobs);
		must(jobs[0].len == len);
		fwd_reader_pass(b->reader);
	}
	return median(b->burst_ns, BURSTS) / BURST;
}

/* ---- the raw call ---- */

#ifdef HAVE_IPSEC_MB
struct raw {
	IMB_MGR *mgr;
	_Alignas(64) struct gcm_key_data key;
	struct gcm_context_data ctx;
};

static void raw_init(struct raw *r, const uint8_t key[static 16])
{
	r->mgr = alloc_mb_mgr(0);
	must(r->mgr != NULL);
	init_mb_mgr_auto(r->mgr, NULL);
	IMB_AES128_GCM_PRE(r->mgr, key, &r->key);
}

static void raw_fini(struct raw *r)
{
	free_mb_mgr(r->mgr);
}

static inline void raw_run(struct raw *r, uint8_t *esp, size_t text_len, const uint8_t *iv, bool open)
{
	uint8_t tag[16], *text = esp + 16;
	uint8_t *icv = text + text_len;
	if (open)
		IMB_AES128_GCM_DEC(r->mgr, &r->key, &r->ctx, text, text, text_len, iv, esp, 8, tag, 16);
	else
		IMB_AES128_GCM_ENC(r->mgr, &r->key, &r->ctx, text, text, text_len, iv, esp, 8, icv, 16);
}
#else
struct raw {
	EVP_CIPHER_CTX *seal, *open;
};

static void raw_init(struct raw *r, const uint8_t key[static 16])
{
	r->seal = EVP_CIPHER_CTX_new();
	r->open = EVP_CIPHER_CTX_new();
	must(r->seal != NULL && r->open != NULL);
	must(EVP_CipherInit_ex(r->seal, EVP_aes_128_gcm(), NULL, key, NULL, 1) == 1);
	must(EVP_CipherInit_ex(r->open, EVP_aes_128_gcm(), NULL, key, NULL, 0) == 1);
}

static void raw_fini(struct raw *r)
{
	EVP_CIPHER_CTX_free(r->seal);
	EVP_CIPHER_CTX_free(r->open);
}

static inline void raw_run(struct raw *r, uint8_t *esp, size_t text_len, const uint8_t *iv, bool open)
{
	EVP_CIPHER_CTX *c = open ? r->open : r->seal;
	uint8_t *text = esp + 16;
	int n;

	EVP_CipherInit_ex(c, NULL, NULL, NULL, iv, -1);
	EVP_CipherUpdate(c, NULL, &n, esp, 8);
	EVP_CipherUpdate(c, text, &n, text, (int)text_len);
	if (open) {
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, text + text_len);
		(void)EVP_CipherFinal_ex(c, text, &n);
	} else {
		EVP_CipherFinal_ex(c, text, &n);
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, text + text_len);
	}
}
#endif

static double raw_walk(struct bench *b, size_t text_len, bool open)
{
	const uint8_t key[16] = { 1, 2, 3 };
	_Alignas(64) struct raw raw;
	uint8_t ivs[BURST][16] = { 0 };

	raw_init(&raw, key);
	for (size_t at = 0, n = 0; at < WALK; at += BURST, n++) {
		for (size_t i = 0; i < BURST; i++) {
			uint64_t counter = at + i;
			memcpy(ivs[i] + 4, &counter, sizeof(counter));
			memcpy(buffer(b, i) + HEADROOM, b->sealed + (at + i) * SEALED_MAX, text_len);
		}
		double start = now_ns();
		for (size_t i = 0; i < BURST; i++)
			raw_run(&raw, buffer(b, i) + HEADROOM - 16, text_len, ivs[i], open);
		b->burst_ns[n] = now_ns() - start;
	}
	raw_fini(&raw);
	return median(b->burst_ns, BURSTS) / BURST;
}

/* ---- figures ---- */

enum { SIZES = 2, COUNTS = 3 };
static const size_t sizes[SIZES] = { 64, 1400 };
static const uint32_t counts[COUNTS] = { 1, 1000, 100000 };

static struct figure figures[64];
static unsigned figure_cnt;

static struct figure *find_figure(const char *name, const char *unit, const char *to)
{
	for (unsigned i = 0; i < figure_cnt; i++)
		if (strcmp(figures[i].name, name) == 0)
			return &figures[i];
	must(figure_cnt < ARRAY_LEN(figures));
	figures[figure_cnt] = (struct figure){ .name = strdup(name), .unit = unit, .to = to };
	return &figures[figure_cnt++];
}

static void note(const char *name, const char *unit, double value, const char *to, double ratio)
{
	struct figure *f = find_figure(name, unit, to);
	must(f->cnt < ROUNDS_MAX);
	f->ratio[f->cnt] = ratio;
	f->runs[f->cnt++] = value;
}

static void measure_size(struct bench *gcm, size_t len)
{
	/* Text and trailer of AES-GCM (RFC 4303 2.4), and what ESP puts around them. */
	size_t text_len = (len + 2 + 3) / 4 * 4, sealed_len = 16 + text_len + 16;
	double raw_seal = raw_walk(gcm, text_len, false), raw_open = raw_walk(gcm, text_len, true);
	double seal[COUNTS], open[COUNTS];
	char name[64];

	snprintf(name, sizeof(name), "esp.raw.seal%zu", len);
	note(name, "ns", raw_seal, NULL, 0);
	snprintf(name, sizeof(name), "esp.raw.open%zu", len);
	note(name, "ns", raw_open, NULL, 0);
	for (unsigned i = 0; i < COUNTS; i++) {
		char more[32] = "";
		if (counts[i] != 1)
			snprintf(more, sizeof(more), ".sa%" PRIu32, counts[i]);
		deal(gcm, counts[i]);
		seal[i] = seal_walk(gcm, len);
		open[i] = open_walk(gcm, len, sealed_len);
		snprintf(name, sizeof(name), "esp.loop.seal%zu%s", len, more);
		note(name, "ns", seal[i], "raw", seal[i] / raw_seal);
		snprintf(name, sizeof(name), "esp.loop.open%zu%s", len, more);
		note(name, "ns", open[i], "raw", open[i] / raw_open);
	}
	snprintf(name, sizeof(name), "esp.sa100k_cost_ratio%s", len == 1400 ? "" : ".64");
	note(name, "x", (seal[2] + open[2]) / (seal[0] + open[0]), NULL, 0);
}

static void measure_cbc(struct bench *b)
{
	const size_t len = 1400, sealed_len = 8 + 16 + 1408 + 16;

	deal(b, 1);
	note("esp.loop.seal1400.aes256-sha256", "ns", seal_walk(b, len), NULL, 0);
	note("esp.loop.open1400.aes256-sha256", "ns", open_walk(b, len, sealed_len), NULL, 0);
}

static void setup(struct bench *b, const struct model_suite *suite, uint32_t sas)
{
	*b = (struct bench){ .buffers = take((size_t)BURST * STRIDE),
			     .sealed = take((size_t)WALK * SEALED_MAX),
			     .spis = take(WALK * sizeof(uint32_t)) };
	check(fwd_new(1, 1, &b->fwd), "forwarding state");
	for (uint32_t i = 0; i < sas; i++)
		add_sa(b, i, suite);
}

/* ---- output ---- */

static json_t *row_of(const struct figure *f)
{
	double least = f->runs[0], most = f->runs[0];
	json_t *to = json_object();

	for (unsigned i = 1; i < f->cnt; i++) {
		least = f->runs[i] < least ? f->runs[i] : least;
		most = f->runs[i] > most ? f->runs[i] : most;
	}
	if (f->to != NULL)
		json_object_set_new(to, f->to, json_real(median(f->ratio, f->cnt)));
	return json_pack("{s:s, s:s, s:f, s:f, s:f, s:i, s:o}", "name", f->name, "unit", f->unit, "median",
			 median(f->runs, f->cnt), "min", least, "max", most, "runs", (int)f->cnt, "to", to);
}

static bool is_ours(const json_t *row)
{
	const char *name = json_string_value(json_object_get(row, "name"));

	for (unsigned i = 0; name != NULL && i < figure_cnt; i++)
		if (strcmp(figures[i].name, name) == 0)
			return true;
	return false;
}

static void write_json(const char *path)
{
	json_t *old = json_load_file(path, 0, NULL), *all = json_array(), *row;
	size_t at;

	json_array_foreach(old, at, row)
		if (!is_ours(row))
			json_array_append(all, row);
	for (unsigned i = 0; i < figure_cnt; i++)
		json_array_append_new(all, row_of(&figures[i]));
	bool written = json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
	check(written ? ERR_NONE : ERR_SYSTEM, path);
	json_decref(old);
	json_decref(all);
}

static double get_number(const json_t *row, const char *name)
{
	return json_real_value(json_object_get(row, name));
}

static void print_table(void)
{
	printf("%-34s %10s %10s %10s      %s\n", "", "median", "least", "most", "to the raw call");
	for (unsigned i = 0; i < figure_cnt; i++) {
		json_t *row = row_of(&figures[i]);
		printf("%-34s %10.2f %10.2f %10.2f %-4s", figures[i].name, get_number(row, "median"),
		       get_number(row, "min"), get_number(row, "max"), figures[i].unit);
		if (figures[i].to != NULL)
			printf(" %.2f", median(figures[i].ratio, figures[i].cnt));
		printf("\n");
		json_decref(row);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", required_argument, NULL, 'r' },
						 { "json", required_argument, NULL, 'j' },
						 { NULL, 0, NULL, 0 } };
	static struct bench gcm, cbc;
	const char *json = NULL;
	unsigned long rounds = 7;

	for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (opt) {
		case 'r': rounds = strtoul(optarg, NULL, 10); break;
		case 'j': json = optarg; break;
		default: return 2;
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || optind != argc) {
		fprintf(stderr, "usage: esp-loop [--rounds 1..%d] [--json FILE]\n", ROUNDS_MAX);
		return 2;
	}
	setup(&gcm, &suite_gcm, SA_MAX);
	setup(&cbc, &suite_cbc, 1);
	for (unsigned long i = 0; i < rounds; i++) {
		gcm.reader = fwd_reader_join(gcm.fwd, 0);
		for (unsigned k = 0; k < SIZES; k++)
			measure_size(&gcm, sizes[k]);
		fwd_reader_leave(gcm.reader);
		cbc.reader = fwd_reader_join(cbc.fwd, 0);
		measure_cbc(&cbc);
		fwd_reader_leave(cbc.reader);
	}
	print_table();
	if (json != NULL)
		write_json(json);
	fwd_free(gcm.fwd);
	fwd_free(cbc.fwd);
	return 0;
}
