// cluster/record.h, cluster/sequence.h: any bytes as the record of a node, of the cookie secret, or of the numbers of an SA.
#include "fuzz.h"

#include "cluster/record.h"
#include "cluster/sequence.h"

static uint8_t room[2][CLUSTER_RECORD_MAX];

/* What was read is written again, and reads the same from then on. */
static void check_node(struct bytes input)
{
	struct wr w = wr_of(SPACE_OF(room[0])), w2 = wr_of(SPACE_OF(room[1]));
	struct cluster_node n, again;

	if (cluster_node_decode(input, &n) != ERR_NONE)
		return;
	cluster_node_encode(&n, &w);
	must(!w.bad && cluster_node_decode(wr_bytes(&w), &again) == ERR_NONE);
	cluster_node_encode(&again, &w2);
	must(wr_len(&w) == input.len && bytes_eq(wr_bytes(&w), wr_bytes(&w2)));
}

static void check_cookie(struct bytes input)
{
	struct wr w = wr_of(SPACE_OF(room[0])), w2 = wr_of(SPACE_OF(room[1]));
	struct cluster_cookie k, again;

	if (cluster_cookie_decode(input, &k) != ERR_NONE)
		return;
	cluster_cookie_encode(&k, &w);
	must(!w.bad && cluster_cookie_decode(wr_bytes(&w), &again) == ERR_NONE);
	cluster_cookie_encode(&again, &w2);
	must(wr_len(&w) == input.len && bytes_eq(wr_bytes(&w), wr_bytes(&w2)));
}

static void check_sequence(struct bytes input)
{
	struct wr w = wr_of(SPACE_OF(room[0]));
	struct cluster_sequence s, again;

	if (cluster_sequence_decode(input, &s) != ERR_NONE)
		return;
	cluster_sequence_encode(&s, &w);
	must(!w.bad && wr_len(&w) <= CLUSTER_SEQUENCE_MAX && cluster_sequence_decode(wr_bytes(&w), &again) == ERR_NONE);
	must(again.out == s.out && again.in == s.in && again.bytes == s.bytes && again.slot == s.slot &&
	     again.incarnation == s.incarnation && s.slot <= CLUSTER_SLOT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes input = bytes_of(data, len);
	uint16_t slot;

	check_node(input);
	check_cookie(input);
	check_sequence(input);
	if (cluster_slot_of_key(input, &slot) == ERR_NONE)
		must(slot >= 1 && slot <= CLUSTER_SLOT_MAX);
	return 0;
}
