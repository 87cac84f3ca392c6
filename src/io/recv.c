#include <errno.h>

#include "io/udp.h"

MUST_USE enum err io_udp_recv(int fd, struct space room, size_t *ret_len)
{
	ssize_t n = recv(fd, room.p, room.cap, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_SYSTEM;
	*ret_len = (size_t)n;
	return ERR_NONE;
}
