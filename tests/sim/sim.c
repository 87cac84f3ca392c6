// Gateways and their sites, all of the real control code, under losses, delays and crashes that follow from a seed.
//   sim [--cluster] [--seed N] [--count N] [--trace]
//   sim --twice [--seed N] [--count N]      a seed gives the same run twice
//   sim --mutations                         each check fails when what it checks is broken
#include <stdio.h>
#include <stdlib.h>

#include "history.h"
#include "run.h"

#define MUTATION_SEEDS 4

struct ask {
	bool cluster, trace, twice, mutations;
	uint64_t seed, count;
};

static int usage(void)
{
	fprintf(stderr, "usage: sim [--cluster] [--seed N] [--count N] [--trace] [--twice] | sim --mutations\n");
	return 2;
}

static bool parse(int argc, char **argv, struct ask *ret)
{
	*ret = (struct ask){ .seed = 1, .count = 1 };
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--trace") == 0)
			ret->trace = true;
		else if (strcmp(argv[i], "--cluster") == 0)
			ret->cluster = true;
		else if (strcmp(argv[i], "--twice") == 0)
			ret->twice = true;
		else if (strcmp(argv[i], "--mutations") == 0)
			ret->mutations = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			ret->seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			ret->count = strtoull(argv[++i], NULL, 0);
		else
			return false;
	}
	return true;
}

static uint64_t run(const struct ask *ask, uint64_t seed, enum mutation m)
{
	history_begin(ask->trace);
	if (ask->cluster)
		run_cluster(seed, m);
	else
		run_single(seed);
	return history_hash();
}

static unsigned run_seeds(const struct ask *ask)
{
	unsigned wrong = 0;

	for (uint64_t seed = ask->seed; seed < ask->seed + ask->count; seed++) {
		uint64_t hash = run(ask, seed, MUTATION_NONE);
		bool failed = check_all_failures() != 0;
		if (failed) {
			history_print_last();
			printf("FAIL: sim %s--seed %llu --trace\n", ask->cluster ? "--cluster " : "", (unsigned long long)seed);
		}
		if (ask->twice && run(ask, seed, MUTATION_NONE) != hash) {
			printf("FAIL: seed %llu did not give the same run twice\n", (unsigned long long)seed);
			failed = true;
		}
		wrong += failed;
		fflush(stdout);
	}
	printf("%llu seeds, %u failed\n", (unsigned long long)ask->count, wrong);
	return wrong;
}

/* What is broken on purpose is found. Not in each run something depends on it. */
static unsigned run_mutations(void)
{
	const struct ask ask = { .cluster = true };
	unsigned wrong = 0;

	for (enum mutation m = MUTATION_NONE + 1; m < MUTATION_CNT; m++) {
		bool found = false;
		for (uint64_t seed = 1; seed <= MUTATION_SEEDS && !found; seed++) {
			(void)run(&ask, seed, m);
			found = check_failures(run_breaks(m)) != 0;
		}
		printf("%s %s: %s\n", found ? "ok  " : "FAIL", check_text(run_breaks(m)), run_mutation_text(m));
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
	return (ask.mutations ? run_mutations() : run_seeds(&ask)) != 0;
}
