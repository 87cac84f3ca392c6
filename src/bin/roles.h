// The mains of the daemon's child processes, each in its own process, from host_run; and of --migrate. Wiring only.
#pragma once

#include "host/parent.h"

int gateway_main(const struct host_gateway_env *env);
int api_main(const struct host_api_env *env);

/* Moves the store of one configuration into that of another; the exit status. */
int migrate_main(const char *from_file, const char *to_file);
