#include "base/secret.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void secret_wipe(void *p, size_t n)
{
	if (n != 0)
		explicit_bzero(p, n);
}

MUST_USE enum err secret_set(struct secret *s, struct bytes b)
{
	if (b.len > SECRET_MAX)
		return ERR_LONG;
	/* b may be a part of the old value, so that is wiped around the new one. */
	if (b.len != 0)
		memmove(s->b, b.p, b.len);
	secret_wipe(s->b + b.len, SECRET_MAX - b.len);
	s->len = (uint16_t)b.len;
	return ERR_NONE;
}

void secret_fini(struct secret *s)
{
	if (s != NULL)
		secret_wipe(s, sizeof(*s));
}

MUST_USE enum err secret_protect_process(void)
{
	const struct rlimit none = { 0, 0 };
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return ERR_SYSTEM;
	return ERR_NONE;
}
