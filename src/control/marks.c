// The record of how much of a Child SA's keys may be used.
#include "control/internal.h"

void control_marks_encode(const struct control_marks *m, uint8_t ret[static CONTROL_MARKS_LEN])
{
	struct wr w = wr_of((struct space){ ret, CONTROL_MARKS_LEN });

	wr_u64(&w, m->out);
	wr_u64(&w, m->in);
	wr_u64(&w, m->bytes);
	must(!w.bad && wr_len(&w) == CONTROL_MARKS_LEN);
}

bool control_marks_decode(struct bytes record, struct control_marks *ret)
{
	struct cluster_sequence s;

	if (cluster_sequence_decode(record, &s) != ERR_NONE)
		return false;
	*ret = (struct control_marks){ s.out, s.in, s.bytes };
	return true;
}
