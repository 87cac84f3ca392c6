// Prints a page of doc/ out of the tables of the code, or checks that the page in the tree is that one.
//
// usage: print-tables suites|drops|verdicts           to standard output
//        print-tables --check NAME FILE               exit 1 when FILE is not what NAME prints
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explain/verdict.h"
#include "model/counter.h"
#include "model/drop.h"
#include "model/proposal.h"

/* ---- suites ---- */

static void print_profiles(FILE *f, uint8_t profiles)
{
	bool first = true;
	for (unsigned i = 0; i < MODEL_PROFILE_CNT; i++) {
		if ((profiles & MODEL_PROFILE_BIT(i)) == 0)
			continue;
		fprintf(f, "%s%s", first ? "" : ", ", model_profile_name((uint8_t)i));
		first = false;
	}
	fprintf(f, " | ");
}

static void print_transforms(FILE *f, enum ike_transform_type type, const char *title)
{
	fprintf(f, "\n## %s\n\n", title);
	fprintf(f, "| transform | number | phase 1 | phase 2 | profiles | strongSwan | source |\n");
	fprintf(f, "| --- | --- | --- | --- | --- | --- | --- |\n");
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *t = &model_transforms[i];
		if (t->type != (uint8_t)type)
			continue;
		const char *child = t->opt_in == MODEL_OPT_IN_NULL ? "with `allow_null_cipher`"
				    : t->opt_in == MODEL_OPT_IN_ESN ? "with `replay_protection` and `onramp.esn`"
				    : (t->phase & MODEL_PHASE_CHILD) != 0 ? "yes" : "no";
		const char *ike = (t->phase & MODEL_PHASE_IKE) != 0 ? "yes" : "no";
		fprintf(f, "| %s | %u | %s | %s | ", t->name, t->id, ike, child);
		print_profiles(f, t->profiles);
		if (t->swanctl[0] != 0)
			fprintf(f, "`%s` | %s |\n", t->swanctl, t->rfc);
		else
			fprintf(f, "(no word) | %s |\n", t->rfc);
	}
}

static void print_suites(FILE *f)
{
	fprintf(f, "# Allowed algorithms\n\n"
		   "Printed by `print-tables suites` out of `src/model/proposal.c`, the one table that IKE,\n"
		   "the API and this page read. Phase 1 is the IKE SA, phase 2 a Child SA. The order is the\n"
		   "gateway's order of preference. AES-GCM brings its own integrity; the integrity transforms\n"
		   "below are for AES-CBC and NULL. A phase 2 without a group is without PFS. A tunnel has one\n"
		   "profile (`onramp.profile`, `magic` if nothing is said); whatever does not stand here for\n"
		   "that profile is refused.\n");
	print_transforms(f, IKE_TT_ENCR, "Encryption");
	print_transforms(f, IKE_TT_INTEG, "Integrity");
	print_transforms(f, IKE_TT_PRF, "Pseudo-random function");
	print_transforms(f, IKE_TT_KE, "Diffie-Hellman group");
	print_transforms(f, IKE_TT_ESN, "Extended sequence numbers");
}

/* ---- drops and counters ---- */

static void print_drops(FILE *f)
{
	fprintf(f, "# Drop reasons and counters\n\n"
		   "Printed by `print-tables drops` out of `src/model/drop.h` and `src/model/counter.h`. The names\n"
		   "are the labels in status and metrics. Each packet or message that is not forwarded adds to\n"
		   "exactly one reason.\n");
	fprintf(f, "\n## Drop reasons\n\n| name | meaning |\n| --- | --- |\n");
	for (unsigned i = 0; i < MODEL_DROP_CNT; i++)
		fprintf(f, "| `%s` | %s |\n", model_drop_name(i), model_drop_text(i));
	fprintf(f, "\n## Counters\n\n| name | unit | meaning |\n| --- | --- | --- |\n");
	for (unsigned i = 0; i < MODEL_COUNTER_CNT; i++)
		fprintf(f, "| `%s` | %s | %s |\n", model_counter_name(i), model_counter_unit(i),
			model_counter_help(i));
}

/* ---- verdicts ---- */

static void print_verdict_rows(FILE *f, const struct explain_context *context)
{
	fprintf(f, "| code | what happened | who acts | what to change |\n| --- | --- | --- | --- |\n");
	for (unsigned i = 0; i < MODEL_FAILURE_CNT; i++) {
		const struct model_failure failure = { .code = (uint8_t)i };
		struct explain_verdict v;
		if (context->site && !explain_site_can_fail((uint8_t)i))
			continue;
		explain_failure(&failure, context, &v);
		fprintf(f, "| `%s` | %s | %s | %s |\n", v.code, model_failure_text((uint8_t)i),
			explain_side_name(v.side), v.change);
	}
}

static void print_verdicts(FILE *f)
{
	static const struct explain_context gateway = { 0 }, site = { .site = true };
	fprintf(f, "# Verdicts: why a tunnel does not come up\n\n"
		   "Printed by `print-tables verdicts` out of `src/model/failure.h` and `src/explain/advice.c`.\n"
		   "The code is stable and meant for programs. In the advice, words in capitals stand for values\n"
		   "that the gateway fills in where it knows them; lines are those of strongSwan's swanctl.conf.\n\n"
		   "`onramp tunnel why TUNNEL` shows those of a tunnel, `onramp unknown` those that belong to none.\n\n");
	print_verdict_rows(f, &gateway);
	fprintf(f, "\n## At a site\n\n"
		   "Where `onrampd --site` starts the tunnel, the peer is a gateway, and the lines are those of\n"
		   "`onramp-site.conf`. `onramp site why NAME` shows them.\n\n");
	print_verdict_rows(f, &site);
}

/* ---- the program ---- */

static const struct {
	const char *name;
	void (*print)(FILE *f);
} pages[] = {
	{ "suites", print_suites },
	{ "drops", print_drops },
	{ "verdicts", print_verdicts },
};

static int usage(void)
{
	fprintf(stderr, "usage: print-tables suites|drops|verdicts\n       print-tables --check NAME FILE\n");
	return 2;
}

/* 0 when the file has exactly that text. */
static int check_file(const char *name, const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "r");
	size_t at = 0;
	int c = EOF;

	if (f == NULL) {
		perror(path);
		return 1;
	}
	while (at < len && (c = getc(f)) != EOF && c == (unsigned char)text[at])
		at++;
	bool same = at == len && getc(f) == EOF;
	fclose(f);
	if (!same)
		fprintf(stderr, "%s is not what the tables say: print-tables %s > %s\n", path, name, path);
	return same ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool check = argc == 4 && strcmp(argv[1], "--check") == 0;
	const char *name = check ? argv[2] : argc == 2 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		char *text = NULL;
		size_t len = 0;
		if (strcmp(pages[i].name, name) != 0)
			continue;
		if (!check) {
			pages[i].print(stdout);
			return fflush(stdout) == 0 ? 0 : 1;
		}
		FILE *f = open_memstream(&text, &len);
		must(f != NULL);
		pages[i].print(f);
		must(fclose(f) == 0);
		int result = check_file(name, argv[3], text, len);
		free(text);
		return result;
	}
	return usage();
}
