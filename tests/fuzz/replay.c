// Runs a fuzz target without libFuzzer: over every seed of a folder, each seed cut at every length, with
// every byte changed, and under many random changes. All is deterministic: the same seeds make the same
// inputs.
//
// usage: fuzz_<target> FOLDER    the test
//        fuzz_<target> FILE      one input as it is, to look at a crash
//
// On a crash the input is left in crash-input in the working directory.
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	INPUT_MAX = 65536,
	RANDOM_CHANGES = 5000, /* for each seed */
	EACH_BYTE_MAX = 2048,  /* longer seeds are cut and changed in steps */
};

static const uint8_t *current;
static size_t current_len;
static unsigned long runs;

/* With ASan the sanitizer calls this before it ends the process; without it is never called. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void leave_input(void)
{
	int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return;
	if (write(fd, current, current_len) == (ssize_t)current_len)
		(void)!write(STDERR_FILENO, "the input is in ./crash-input\n", 30);
	close(fd);
}

static void on_abort(int sig)
{
	leave_input();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* The target gets a block of exactly the input's size, so that ASan sees one byte too far. */
static void run(const uint8_t *data, size_t len)
{
	uint8_t *exact = malloc(len == 0 ? 1 : len);
	must(exact != NULL);
	memcpy(exact, data, len);
	current = exact;
	current_len = len;
	must(LLVMFuzzerTestOneInput(exact, len) == 0);
	current = NULL;
	current_len = 0;
	free(exact);
	runs++;
}

/* xorshift64*: not for secrets, the same on every machine. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

static uint8_t strange_byte(uint64_t r)
{
	static const uint8_t strange[] = { 0,	 1,    2,    3,	   4,	 7,    8,    0x0e,
					   0x10, 0x20, 0x29, 0x7f, 0x80, 0xc0, 0xfe, 0xff };
	return r & 0x100 ? (uint8_t)r : strange[r % ARRAY_LEN(strange)];
}

/* One to four changes: a byte, a piece cut out, a piece doubled. */
static size_t change(uint8_t *data, size_t len, uint64_t *state)
{
	uint64_t changes = 1 + next_random(state) % 4;

	for (uint64_t i = 0; i < changes && len > 0; i++) {
		uint64_t what = next_random(state) % 8;
		size_t at = next_random(state) % len, n = next_random(state) % (len - at) % 64;
		if (what == 0) {
			memmove(data + at, data + at + n, len - at - n);
			len -= n;
		} else if (what == 1 && len + n <= INPUT_MAX) {
			memmove(data + at + n, data + at, len - at);
			len += n;
		} else {
			data[at] = strange_byte(next_random(state));
		}
	}
	return len;
}

static void run_variants(const uint8_t *seed, size_t len)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	static uint8_t data[INPUT_MAX];
	size_t step = 1 + len / EACH_BYTE_MAX;
	uint64_t state = 0x9e3779b97f4a7c15u ^ len;

	run(seed, len);
	for (size_t n = 0; n < len; n += step)
		run(seed, n);
	memcpy(data, seed, len);
	for (size_t at = 0; at < len; at += step) {
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			data[at] = values[i];
			run(data, len);
		}
		for (unsigned bit = 0; bit < 8; bit++) {
			data[at] = (uint8_t)(seed[at] ^ 1u << bit);
			run(data, len);
		}
		data[at] = seed[at];
	}
	for (unsigned i = 0; i < RANDOM_CHANGES; i++) {
		memcpy(data, seed, len);
		run(data, change(data, len, &state));
	}
}

/* Reads a file; false when it cannot be read or is too long. */
static bool load(const char *path, uint8_t *data, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	if (f == NULL)
		return false;
	size_t len = fread(data, 1, INPUT_MAX, f);
	bool ok = !ferror(f) && fgetc(f) == EOF;
	fclose(f);
	*ret_len = len;
	return ok;
}

static int is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run_folder(const char *folder)
{
	static uint8_t seed[INPUT_MAX];
	struct dirent **entries;
	int cnt = scandir(folder, &entries, is_seed, alphasort);

	if (cnt <= 0) {
		fprintf(stderr, "%s: no seeds\n", folder);
		return 1;
	}
	for (int i = 0; i < cnt; i++) {
		char path[4096];
		size_t len;
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		if (!load(path, seed, &len)) {
			fprintf(stderr, "%s: cannot be read, or is above %d bytes\n", path, INPUT_MAX);
			return 1;
		}
		fprintf(stderr, "%s\n", entries[i]->d_name);
		run_variants(seed, len);
		free(entries[i]);
	}
	free(entries);
	printf("%d seeds, %lu inputs\n", cnt, runs);
	return 0;
}

int main(int argc, char **argv)
{
	static uint8_t input[INPUT_MAX];
	struct stat st;
	size_t len;

	if (argc != 2 || stat(argv[1], &st) != 0) {
		fprintf(stderr, "usage: %s FOLDER|FILE\n", argv[0]);
		return 2;
	}
	signal(SIGABRT, on_abort);
	if (__sanitizer_set_death_callback != NULL)
		__sanitizer_set_death_callback(leave_input);
	if (S_ISDIR(st.st_mode))
		return run_folder(argv[1]);
	if (!load(argv[1], input, &len))
		return 2;
	run(input, len);
	return 0;
}
