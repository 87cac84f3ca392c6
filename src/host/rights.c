#include "host/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"
#include "base/secret.h"

static enum err become_user(const char *user)
{
	if (geteuid() != 0)
		return ERR_NONE;
	errno = 0;
	const struct passwd *pw = getpwnam(user);
	if (pw == NULL) {
		log_error("[node] user: there is no user \"%s\" on this host; create it with: "
			  "useradd --system --no-create-home --shell /usr/sbin/nologin %s", user, user);
		return ERR_NOTFOUND;
	}
	if (setgroups(0, NULL) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0) {
		log_error("cannot become user %s: %s", user, strerror(errno));
		return ERR_SYSTEM;
	}
	return ERR_NONE;
}

/* Landlock by system call: Debian 12's C library has no wrappers. A kernel without it leaves the
 * file permissions of an unprivileged user, which is said in the log. */
static enum err restrict_files(const char *write_dir)
{
	const uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
	const uint64_t files = all & ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
						 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM);
	struct landlock_ruleset_attr attr = { .handled_access_fs = all };
	enum err e = ERR_SYSTEM;

	int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0) {
		log_warn("this kernel has no Landlock (%s): files are guarded by user rights alone", strerror(errno));
		return ERR_NONE;
	}
	int dir = write_dir == NULL ? -1 : open(write_dir, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr below = { .allowed_access = files, .parent_fd = dir };
	if (write_dir != NULL &&
	    (dir < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0) != 0))
		log_error("cannot allow files below %s: %s", write_dir, strerror(errno));
	else if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		log_error("cannot restrict files: %s", strerror(errno));
	else
		e = ERR_NONE;
	if (dir >= 0)
		close(dir);
	close(rules);
	return e;
}

/* No socket but of Unix and, if allowed, TCP. libseccomp takes one comparison an argument and rule. */
static int refuse_sockets(scmp_filter_ctx ctx, bool tcp)
{
	const struct scmp_arg_cmp not_unix = { .arg = 0, .op = SCMP_CMP_NE, .datum_a = AF_UNIX };
	const struct scmp_arg_cmp above = { .arg = 0, .op = SCMP_CMP_GT, .datum_a = AF_INET6 };
	enum { TYPE_MASK = 0xf }; /* the rest are flags */
	int rc;

	if (!tcp)
		return seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, &not_unix);
	rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, &above);
	for (unsigned family = 0; rc == 0 && family <= AF_INET6; family++) {
		const struct scmp_arg_cmp is = { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = family };
		if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
			rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, &is);
		for (unsigned type = 0; rc == 0 && family != AF_UNIX && type <= TYPE_MASK; type++) {
			const struct scmp_arg_cmp of[] = { is, { .arg = 1, .op = SCMP_CMP_MASKED_EQ,
								 .datum_a = TYPE_MASK, .datum_b = type } };
			if ((family == AF_INET || family == AF_INET6) && type != SOCK_STREAM)
				rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 2, of);
		}
	}
	return rc;
}

static enum err filter_system_calls(bool tcp)
{
	static const int refused[] = {
		SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
		SCMP_SYS(process_vm_writev), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
		SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(init_module),
		SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(bpf),
		SCMP_SYS(perf_event_open), SCMP_SYS(add_key), SCMP_SYS(keyctl), SCMP_SYS(request_key),
		SCMP_SYS(open_by_handle_at), SCMP_SYS(userfaultfd), SCMP_SYS(reboot), SCMP_SYS(swapon),
		SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setresuid), SCMP_SYS(setresgid),
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc = ctx == NULL ? -ENOMEM : 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LEN(refused); i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	if (rc == 0)
		rc = refuse_sockets(ctx, tcp);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0) {
		log_error("cannot install the system call filter: %s", strerror(-rc));
		return ERR_SYSTEM;
	}
	return ERR_NONE;
}

MUST_USE enum err host_rights_drop(const struct host_rights *r)
{
	enum err e = become_user(r->user);
	if (e != ERR_NONE)
		return e;
	e = secret_protect_process();
	if (e != ERR_NONE || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
		log_error("cannot protect the process: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	e = restrict_files(r->write_dir);
	return e != ERR_NONE ? e : filter_system_calls(r->tcp);
}
