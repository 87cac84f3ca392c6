// Messages between the parent and its children.
#include <stddef.h>
#include <stdint.h>

#include "host/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_msg m;
	static uint8_t room[HOST_MSG_MAX];

	if (host_msg_decode(bytes_of(data, size), &m) != ERR_NONE)
		return 0;
	/* What was read can be written again. */
	struct wr w = wr_of(SPACE_OF(room));
	must(host_msg_encode(&m, &w) == ERR_NONE);
	return 0;
}
