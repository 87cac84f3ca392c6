// The mains of the daemon's child processes. Wiring only.
// Each runs in its own process, from host_run.
#pragma once

#include "host/parent.h"

int gateway_main(const struct host_gateway_env *env);
int api_main(const struct host_api_env *env);
