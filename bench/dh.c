/* dh-bench: Diffie-Hellman operations a second of CPU time, each group, one thread.
 *
 *   dh-bench [--rounds N] [--json FILE]
 *
 * keygen makes a key pair, derive takes the peer's value and gives the secret (with all checks), respond is both: what the
 * responder of an IKE_SA_INIT pays. Beside respond stands libcrypto's EVP interface as it comes, its own checks included.
 * A sample counts operations in SAMPLE_NS of the thread's CPU time; a figure is the median of the rounds, which are interleaved.
 * With --json the figures are put into FILE, a list; rows with other names stay. */
#include <getopt.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypt/dh.h"

enum { ROUNDS_MAX = 99, SAMPLE_NS = 50000000 };

static const struct group {
	uint16_t id;
	const char *name;              /* in the rows */
	const char *evp_type, *evp_name; /* in libcrypto */
} groups[] = {
	{ 5, "modp1536", "DH", "modp_1536" }, { 14, "modp2048", "DH", "modp_2048" },
	{ 15, "modp3072", "DH", "modp_3072" }, { 16, "modp4096", "DH", "modp_4096" },
	{ 19, "ecp256", "EC", "P-256" },       { 20, "ecp384", "EC", "P-384" },
	{ 21, "ecp521", "EC", "P-521" },       { 31, "curve25519", "X25519", NULL },
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

/* What the operations work on. */
struct bench {
	const struct group *group;
	struct crypt_dh_key *own, *peer;
	EVP_PKEY *evp_peer;
};

struct figure {
	char name[64];
	double runs[ROUNDS_MAX], other[ROUNDS_MAX]; /* other: libcrypto's, 0: none */
	unsigned cnt;
};

static struct figure figures[3 * GROUPS];
static unsigned figure_cnt;

/* ---- operations ---- */

static void op_keygen(struct bench *b)
{
	struct crypt_dh_key *key;
	must(crypt_dh_new(b->group->id, &key) == ERR_NONE);
	crypt_dh_free(key);
}

static void op_derive(struct bench *b)
{
	uint8_t secret[CRYPT_DH_SECRET_MAX];
	size_t len;
	must(crypt_dh_derive(b->own, crypt_dh_public(b->peer), secret, &len) == ERR_NONE);
}

static void op_respond(struct bench *b)
{
	struct crypt_dh_result result;
	must(crypt_dh_respond(b->group->id, crypt_dh_public(b->peer), &result) == ERR_NONE);
}

static EVP_PKEY *evp_keygen(const struct group *g)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, g->evp_type, NULL);

	must(ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1);
	must(g->evp_name == NULL || EVP_PKEY_CTX_set_group_name(ctx, g->evp_name) == 1);
	must(EVP_PKEY_generate(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void op_evp_respond(struct bench *b)
{
	EVP_PKEY *own = evp_keygen(b->group);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	uint8_t secret[CRYPT_DH_SECRET_MAX];
	size_t len = sizeof(secret);

	must(ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, b->evp_peer) == 1);
	must(EVP_PKEY_derive(ctx, secret, &len) == 1);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(own);
}

/* ---- measuring ---- */

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double rate_of(void (*op)(struct bench *), struct bench *b)
{
	double start, now;
	unsigned n = 0;

	op(b); /* tables are made, caches are warm */
	start = now = cpu_ns();
	for (; now - start < SAMPLE_NS; now = cpu_ns(), n++)
		op(b);
	return n / (now - start) * 1e9;
}

static void note(const char *op, const struct group *g, double rate, double other)
{
	char name[sizeof(figures->name)];
	unsigned i = 0;

	snprintf(name, sizeof(name), "dh.%s_per_core_s.%s", op, g->name);
	while (i < figure_cnt && strcmp(figures[i].name, name) != 0)
		i++;
	if (i == figure_cnt) {
		must(figure_cnt < ARRAY_LEN(figures));
		memcpy(figures[figure_cnt++].name, name, sizeof(name));
	}
	figures[i].runs[figures[i].cnt] = rate;
	figures[i].other[figures[i].cnt++] = other;
}

static void measure(const struct group *g)
{
	struct bench b = { .group = g, .evp_peer = evp_keygen(g) };

	must(crypt_dh_new(g->id, &b.own) == ERR_NONE && crypt_dh_new(g->id, &b.peer) == ERR_NONE);
	note("keygen", g, rate_of(op_keygen, &b), 0);
	note("derive", g, rate_of(op_derive, &b), 0);
	note("respond", g, rate_of(op_respond, &b), rate_of(op_evp_respond, &b));
	crypt_dh_free(b.own);
	crypt_dh_free(b.peer);
	EVP_PKEY_free(b.evp_peer);
}

/* ---- output ---- */

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static double median(const double *v, unsigned cnt)
{
	double sorted[ROUNDS_MAX];
	memcpy(sorted, v, cnt * sizeof(*v));
	qsort(sorted, cnt, sizeof(*sorted), compare);
	return sorted[cnt / 2];
}

static double ratio_of(const struct figure *f)
{
	double ratios[ROUNDS_MAX];
	for (unsigned i = 0; i < f->cnt; i++)
		ratios[i] = f->other[i] == 0 ? 0 : f->runs[i] / f->other[i];
	return median(ratios, f->cnt);
}

static json_t *row_of(const struct figure *f)
{
	double least = f->runs[0], most = f->runs[0];
	json_t *to = json_object();

	for (unsigned i = 1; i < f->cnt; i++) {
		least = f->runs[i] < least ? f->runs[i] : least;
		most = f->runs[i] > most ? f->runs[i] : most;
	}
	if (f->other[0] != 0)
		json_object_set_new(to, "openssl_evp", json_real(ratio_of(f)));
	return json_pack("{s:s, s:s, s:f, s:f, s:f, s:i, s:o}", "name", f->name, "unit", "1/s", "median",
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

static bool write_json(const char *path)
{
	json_t *old = json_load_file(path, 0, NULL), *all = json_array(), *row;
	size_t at;

	json_array_foreach(old, at, row)
		if (!is_ours(row))
			json_array_append(all, row);
	for (unsigned i = 0; i < figure_cnt; i++)
		json_array_append_new(all, row_of(&figures[i]));
	bool ok = json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
	if (!ok)
		perror(path);
	json_decref(old);
	json_decref(all);
	return ok;
}

static void print_table(void)
{
	printf("MODP by %s, ecp384 by %s\n", crypt_dh_engine(), crypt_dh_p384_engine());
	printf("%-34s %10s %10s %10s  %s\n", "operations per CPU second", "median", "least", "most",
	       "x libcrypto's EVP");
	for (unsigned i = 0; i < figure_cnt; i++) {
		const struct figure *f = &figures[i];
		json_t *row = row_of(f);
		printf("%-34s %10.0f %10.0f %10.0f", f->name, json_real_value(json_object_get(row, "median")),
		       json_real_value(json_object_get(row, "min")), json_real_value(json_object_get(row, "max")));
		if (f->other[0] != 0)
			printf("  %.2f (%.0f)", ratio_of(f), median(f->other, f->cnt));
		printf("\n");
		json_decref(row);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", required_argument, NULL, 'r' },
						 { "json", required_argument, NULL, 'j' },
						 { NULL, 0, NULL, 0 } };
	const char *json = NULL;
	unsigned long rounds = 5;

	for (int opt; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (opt) {
		case 'r': rounds = strtoul(optarg, NULL, 10); break;
		case 'j': json = optarg; break;
		default: return 2;
		}
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || optind != argc) {
		fprintf(stderr, "usage: dh-bench [--rounds 1..%d] [--json FILE]\n", ROUNDS_MAX);
		return 2;
	}
	for (unsigned long i = 0; i < rounds; i++)
		for (unsigned k = 0; k < GROUPS; k++)
			if (crypt_dh_public_len(groups[k].id) != 0)
				measure(&groups[k]);
	print_table();
	return json == NULL || write_json(json) ? 0 : 1;
}
