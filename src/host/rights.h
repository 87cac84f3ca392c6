// Giving up rights: what a child process of the daemon may still do.
// The child's first thread, before it starts others or reads anything from outside.
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct host_rights {
	const char *user;      /* becomes this user and its group, no supplementary groups */
	const char *write_dir; /* files below it may be read and written (Landlock); NULL: no files at all */
	bool tcp;              /* may open TCP sockets: a client of etcd */
};

/* Sets user and group (when root), no_new_privs, no core dumps, Landlock where the kernel has it, and a seccomp filter:
 * no exec, no ptrace, no mounts, no namespaces, no modules, no new sockets but Unix ones and, where allowed, TCP. On failure the
 * cause was logged; the caller ends. ERR_NOTFOUND: no such user; ERR_SYSTEM. */
MUST_USE enum err host_rights_drop(const struct host_rights *r);
