// The command onramp: an HTTP client of the API for people and scripts.
// One thread; the process's whole life. man page: onramp(1).
#pragma once

/* Exit status: 0 done, 1 the API refused, 2 wrong usage, 3 the API cannot be reached. */
int cli_main(int argc, char **argv);
