// wire/mesh.h: any bytes as a datagram and as its decrypted text.
#include "fuzz.h"

#include "wire/mesh.h"

/* Each entry is built again to the same, and none is left over. */
static void check_used(struct bytes list)
{
	uint8_t room[WIRE_MESH_USED_LEN];
	struct wire_mesh_used u;

	for (struct bytes left = list; left.len != 0;) {
		struct wr w = wr_of(SPACE_OF(room));
		const uint8_t *at = left.p;
		must(wire_mesh_used_next(&left, &u));
		wire_mesh_used_put(&w, &u);
		must(bytes_eq(wr_bytes(&w), bytes_of(at, WIRE_MESH_USED_LEN)));
	}
}

/* Likewise of what was asked, and of what was seen. */
static void check_seen(const struct wire_mesh_msg *m)
{
	uint8_t room[WIRE_MESH_SEEN_LEN];
	struct bytes left = m->kind == WIRE_MESH_ASK ? m->ask.list : m->seen.list;
	struct wire_mesh_seen s;
	uint64_t spi;

	while (m->kind == WIRE_MESH_ASK && left.len != 0)
		must(wire_mesh_ask_next(&left, &spi));
	while (left.len != 0) {
		struct wr w = wr_of(SPACE_OF(room));
		const uint8_t *at = left.p;
		must(wire_mesh_seen_next(&left, &s));
		wire_mesh_seen_put(&w, &s);
		must(bytes_eq(wr_bytes(&w), bytes_of(at, WIRE_MESH_SEEN_LEN)));
	}
}

/* What was understood is built again to the same; a PING may have more behind it, and flags that are not known. */
static void check_text(struct bytes text)
{
	static uint8_t room[65536];
	struct wire_mesh_msg m, again;
	struct wr w = wr_of(SPACE_OF(room));

	if (wire_mesh_parse(text, &m) != ERR_NONE)
		return;
	if (m.kind == WIRE_MESH_FORWARD)
		must_lie_within(m.forward.msg, text);
	if (m.kind == WIRE_MESH_INNER)
		must_lie_within(m.inner.packet, text);
	if (m.kind == WIRE_MESH_PIECE)
		must_lie_within(m.piece.part, text);
	if (m.kind == WIRE_MESH_ROW) {
		must_lie_within(m.row.key, text);
		must_lie_within(m.row.value, text);
	}
	if (m.kind == WIRE_MESH_USED)
		check_used(m.used);
	if (m.kind == WIRE_MESH_ASK || m.kind == WIRE_MESH_SEEN)
		check_seen(&m);
	wire_mesh_build(&w, &m);
	must(!w.bad && wr_len(&w) <= text.len);
	must(wire_mesh_parse(wr_bytes(&w), &again) == ERR_NONE && again.kind == m.kind);
	if (m.kind == WIRE_MESH_PING)
		must(again.ping.applied == m.ping.applied && again.ping.fresh == m.ping.fresh);
	else if (m.kind == WIRE_MESH_FORWARD)
		must(wr_len(&w) == text.len && bytes_eq(m.forward.msg, again.forward.msg) &&
		     addr_endpoint_eq(&m.forward.remote, &again.forward.remote));
	else
		must(bytes_eq(wr_bytes(&w), text));
}

static void check_header(struct bytes datagram)
{
	uint8_t room[WIRE_MESH_HEADER_LEN];
	struct wr w = wr_of(SPACE_OF(room));
	struct wire_mesh_header h;

	if (wire_mesh_header_parse(datagram, &h) != ERR_NONE)
		return;
	wire_mesh_header_build(&w, &h);
	must(bytes_eq(wr_bytes(&w), bytes_of(datagram.p, WIRE_MESH_HEADER_LEN)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bytes input = bytes_of(data, len);

	check_header(input);
	check_text(input);
	return 0;
}
