#include "crypt/random.h"

#include <errno.h>
#include <sys/random.h>

void crypt_random(void *dst, size_t n)
{
	uint8_t *p = dst;

	while (n != 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0) {
			must(errno == EINTR);
			continue;
		}
		p += got;
		n -= (size_t)got;
	}
}
