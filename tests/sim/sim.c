// Gateways and their sites, all of the real control code, under losses, delays and crashes that follow from a seed.
//   sim [--cluster] [--seed N] [--count N] [--trace]   README.md says how to read what it prints
//   sim --seeds FILE [--cover] [--need]     the runs of that file, and then those of --cluster, --seed and --count
//   sim --twice [--seed N] [--count N]      a seed gives the same run twice
//   sim --mutations                         each check fails when what it checks is broken
#include <stdio.h>
#include <stdlib.h>

#include "cover.h"
#include "history.h"
#include "run.h"

#define MUTATION_SEEDS 4

struct ask {
	bool cluster, trace, twice, mutations, cover, need;
	const char *seeds;
	uint64_t seed, count;
};

static int usage(void)
{
	fprintf(stderr, "usage: sim [--cluster] [--seeds FILE] [--seed N] [--count N] [--trace] [--twice] [--cover] [--need] | sim --mutations\n");
	return 2;
}

static bool parse(int argc, char **argv, struct ask *ret)
{
	*ret = (struct ask){ .seed = 1, .count = 1 };
	const struct {
		const char *name;
		bool *flag;
	} flags[] = { { "--trace", &ret->trace }, { "--cluster", &ret->cluster }, { "--twice", &ret->twice },
		      { "--mutations", &ret->mutations }, { "--cover", &ret->cover }, { "--need", &ret->need } };

	for (int i = 1; i < argc; i++) {
		size_t k = 0;
		while (k < ARRAY_LEN(flags) && strcmp(argv[i], flags[k].name) != 0)
			k++;
		if (k < ARRAY_LEN(flags))
			*flags[k].flag = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			ret->seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			ret->count = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc)
			ret->seeds = argv[++i];
		else
			return false;
	}
	return true;
}

static uint64_t run(const struct ask *ask, bool cluster, uint64_t seed, enum mutation m)
{
	history_begin(ask->trace);
	if (cluster)
		run_cluster(seed, m);
	else
		run_single(seed);
	return history_hash();
}

/* True: something is wrong. about: what the seed is there for, or NULL. */
static bool run_seed(const struct ask *ask, bool cluster, uint64_t seed, const char *about)
{
	uint64_t hash = run(ask, cluster, seed, MUTATION_NONE);
	bool failed = check_all_failures() != 0;

	if (failed) {
		history_print_last();
		printf("FAIL: sim %s--seed %llu --trace%s%s\n", cluster ? "--cluster " : "", (unsigned long long)seed,
		       about != NULL ? "    " : "", about != NULL ? about : "");
	}
	if (ask->twice && run(ask, cluster, seed, MUTATION_NONE) != hash) {
		printf("FAIL: seed %llu did not give the same run twice\n", (unsigned long long)seed);
		failed = true;
	}
	fflush(stdout);
	return failed;
}

static unsigned run_seeds(const struct ask *ask)
{
	unsigned wrong = 0;

	for (uint64_t seed = ask->seed; seed < ask->seed + ask->count; seed++)
		wrong += run_seed(ask, ask->cluster, seed, NULL);
	printf("%llu seeds, %u failed\n", (unsigned long long)ask->count, wrong);
	return wrong;
}

/* Lines of "cluster SEED what for" or "single SEED what for"; a # begins a comment. */
static unsigned run_file(const struct ask *ask)
{
	char line[300], about[240], kind[16];
	unsigned long long seed;
	unsigned wrong = 0, cnt = 0;
	FILE *f = fopen(ask->seeds, "r");

	if (f == NULL) {
		perror(ask->seeds);
		return 1;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		bool good = sscanf(line, "%15s %llu %239[^\n]", kind, &seed, about) == 3 &&
			    (strcmp(kind, "cluster") == 0 || strcmp(kind, "single") == 0);
		if (!good)
			printf("FAIL: %s: not \"cluster SEED text\" nor \"single SEED text\": %s", ask->seeds, line);
		wrong += !good || run_seed(ask, strcmp(kind, "cluster") == 0, seed, about);
		cnt++;
	}
	fclose(f);
	printf("%u seeds of %s, %u failed\n", cnt, ask->seeds, wrong);
	return wrong;
}

/* What is broken on purpose is found. Not in each run something depends on it. */
static unsigned run_mutations(void)
{
	const struct ask ask = { 0 };
	unsigned wrong = 0;

	for (enum mutation m = MUTATION_NONE + 1; m < MUTATION_CNT; m++) {
		bool found = false;
		for (uint64_t seed = 1; seed <= MUTATION_SEEDS && !found; seed++) {
			(void)run(&ask, true, seed, m);
			found = check_failures(mutation_breaks(m)) != 0;
		}
		printf("%s %s: %s\n", found ? "ok  " : "FAIL", check_text(mutation_breaks(m)), mutation_text(m));
		wrong += !found;
	}
	return wrong;
}

int main(int argc, char **argv)
{
	struct ask ask;

	if (!parse(argc, argv, &ask))
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_init("sim", ask.trace ? LOG_LEVEL_INFO : (enum log_level)0);
	if (ask.mutations)
		return run_mutations() != 0;
	unsigned wrong = ask.seeds == NULL ? 0 : run_file(&ask);
	wrong += run_seeds(&ask);
	if (ask.cover)
		cover_print();
	if (ask.need)
		wrong += cover_missing();
	return wrong != 0;
}
