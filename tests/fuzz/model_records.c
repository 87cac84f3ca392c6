// model/: records from the store and from other processes, live messages, and identities from strangers.
// The first byte of an input chooses the codec, the rest is the record.
#include "fuzz.h"

#include "model/identity.h"
#include "model/live.h"
#include "model/psk.h"
#include "model/route.h"
#include "model/state.h"
#include "model/token.h"
#include "model/tunnel.h"

/* What was decoded is written within the room that the header promises, and comes back the same. ...: what else its encoder asks for. */
#define CHECK_CODEC(noun, type, max, ...)                                                      \
	static bool check_##noun(struct bytes record, type *ret)                               \
	{                                                                                      \
		static uint8_t first[max], second[max];                                        \
		struct wr w = wr_of(SPACE_OF(first)), v = wr_of(SPACE_OF(second));             \
		type again;                                                                    \
		if (model_##noun##_decode(record, ret) != ERR_NONE)                            \
			return false;                                                          \
		must(model_##noun##_encode(ret, ##__VA_ARGS__, &w) == ERR_NONE);               \
		must(model_##noun##_decode(wr_bytes(&w), &again) == ERR_NONE);                 \
		must(model_##noun##_encode(&again, ##__VA_ARGS__, &v) == ERR_NONE);            \
		must(bytes_eq(wr_bytes(&w), wr_bytes(&v)));                                    \
		return true;                                                                   \
	}

CHECK_CODEC(account, struct model_account, MODEL_ACCOUNT_RECORD_MAX)
CHECK_CODEC(tunnel, struct model_tunnel, MODEL_TUNNEL_RECORD_MAX)
CHECK_CODEC(route, struct model_route, MODEL_ROUTE_RECORD_MAX)
CHECK_CODEC(psk, struct model_psk, MODEL_PSK_RECORD_MAX)
CHECK_CODEC(token, struct model_token, MODEL_TOKEN_RECORD_MAX)
CHECK_CODEC(child, struct model_child_sa, MODEL_CHILD_RECORD_MAX, MODEL_FORMAT_NEWEST)
CHECK_CODEC(failure, struct model_failure, MODEL_FAILURE_RECORD_MAX)
CHECK_CODEC(tunnel_state, struct model_tunnel_state, MODEL_STATE_RECORD_MAX)
CHECK_CODEC(live_request, struct model_live_request, 128)

static void must_end(const char *text, size_t cap)
{
	must(memchr(text, 0, cap) != NULL);
}

static void must_be_printable(const char *text, size_t cap)
{
	must_end(text, cap);
	for (; *text != 0; text++)
		must(*text >= 0x20 && *text < 0x7f);
}

/* ---- the rules of values, over whatever a record holds ---- */

static void try_account(struct bytes record)
{
	struct model_account a;
	struct model_problem p;
	if (!check_account(record, &a))
		return;
	must_end(a.name, sizeof(a.name));
	must_end(a.offramp_netns, sizeof(a.offramp_netns));
	must(a.endpoint_cnt <= MODEL_ACCOUNT_ENDPOINTS_MAX);
	if (model_account_check(&a, &p) != ERR_NONE)
		must_end(p.text, sizeof(p.text));
}

static void try_tunnel(struct bytes record)
{
	struct model_tunnel t;
	struct model_problem p;
	if (!check_tunnel(record, &t))
		return;
	must_end(t.name, sizeof(t.name));
	must_end(t.description, sizeof(t.description));
	(void)model_tunnel_health_target(&t);
	if (model_tunnel_check(&t, &p) == ERR_NONE)
		must(model_tunnel_customer_side(&t.interface_address).family == ADDR_V4);
	else
		must_end(p.text, sizeof(p.text));
	must(model_tunnel_check_pair(&t, &t, &p) == (model_id_is_zero(&t.id) ? ERR_EXISTS : ERR_NONE));
}

static void try_route(struct bytes record)
{
	struct model_route r;
	struct model_problem p;
	if (!check_route(record, &r))
		return;
	must(r.colo_name_cnt <= MODEL_ROUTE_COLOS_MAX && r.region_cnt <= MODEL_ROUTE_REGIONS_MAX);
	must(model_route_same(&r, &r));
	if (model_route_check(&r, &p) != ERR_NONE)
		must_end(p.text, sizeof(p.text));
}

static void try_psk(struct bytes record)
{
	struct model_psk p;
	if (check_psk(record, &p))
		must(p.current_len <= sizeof(p.current) && p.previous_len <= sizeof(p.previous));
}

static void try_token(struct bytes record)
{
	struct model_token t;
	if (check_token(record, &t))
		must(t.right == MODEL_TOKEN_READ || t.right == MODEL_TOKEN_WRITE);
}

static void try_child(struct bytes record)
{
	struct model_child_sa c;
	if (!check_child(record, &c))
		return;
	must(c.ts_local_cnt >= 1 && c.ts_local_cnt <= MODEL_TS_MAX);
	must(c.ts_remote_cnt >= 1 && c.ts_remote_cnt <= MODEL_TS_MAX);
	char text[MODEL_SUITE_TEXT_MAX];
	must_be_printable(model_suite_text(&c.suite, text), sizeof(text));
	(void)model_ts_contains(&c.ts_local[0], &c.ts_local[0].first, 6, 80);
}

static void try_failure(struct bytes record)
{
	struct model_failure f;
	if (!check_failure(record, &f))
		return;
	must_be_printable(f.identity, sizeof(f.identity));
	must_be_printable(f.offered, sizeof(f.offered));
	must_be_printable(f.allowed, sizeof(f.allowed));
}

static void try_state(struct bytes record)
{
	struct model_tunnel_state s;
	if (check_tunnel_state(record, &s))
		must(s.up == MODEL_TUNNEL_DOWN || s.up == MODEL_TUNNEL_UP);
}

static void try_live_request(struct bytes record)
{
	struct model_live_request q;
	if (check_live_request(record, &q))
		must(q.op >= MODEL_LIVE_TUNNEL && q.op <= MODEL_LIVE_OP_LAST);
}

/* ---- live replies: what was read is put into a second reply, which holds as many entries ---- */

struct copy {
	struct model_live_reply *into; /* NULL: count only */
	unsigned tunnels, counters, failures, nodes;
};

static void copy_tunnel(void *arg, const struct model_live_tunnel *t)
{
	struct copy *c = arg;
	c->tunnels++;
	must_end(t->identity, sizeof(t->identity));
	if (c->into != NULL)
		must(model_live_reply_add_tunnel(c->into, t) == ERR_NONE);
}

static void copy_counter(void *arg, const struct model_live_counter *counter)
{
	struct copy *c = arg;
	c->counters++;
	if (c->into != NULL)
		must(model_live_reply_add_counter(c->into, counter->name, counter->value) == ERR_NONE);
}

static void copy_failure(void *arg, const struct model_failure *f)
{
	struct copy *c = arg;
	c->failures++;
	if (c->into != NULL)
		must(model_live_reply_add_failure(c->into, f) == ERR_NONE);
}

static void copy_node(void *arg, const struct model_live_node *n)
{
	struct copy *c = arg;
	c->nodes++;
	must_end(n->name, sizeof(n->name));
	if (c->into != NULL)
		must(model_live_reply_add_node(c->into, n) == ERR_NONE);
}

static void try_live_reply(struct bytes record)
{
	static uint8_t room[1 << 21]; /* entries grow when the fields that they lack are written */
	struct model_live_reply second;
	struct copy a = { .into = &second }, b = { 0 };
	struct model_live_sink into = { copy_tunnel, copy_counter, copy_failure, copy_node, &a };
	struct model_live_sink count = { copy_tunnel, copy_counter, copy_failure, copy_node, &b };
	enum err error = ERR_NONE, error2 = ERR_NONE;
	bool more = false, more2 = false;

	(void)model_live_reply_answers(record);
	model_live_reply_begin(&second, SPACE_OF(room), ERR_NONE);
	if (model_live_reply_parse(record, &into, &error, &more) != ERR_NONE) {
		must(a.tunnels + a.counters + a.failures + a.nodes == 0);
		return;
	}
	must(error < ERR_COUNT);
	struct bytes written = model_live_reply_end(&second, more);
	must(model_live_reply_parse(written, &count, &error2, &more2) == ERR_NONE);
	must(a.tunnels == b.tunnels && a.counters == b.counters && a.failures == b.failures && a.nodes == b.nodes && more == more2);
}

/* ---- identities ---- */

static void try_identity(struct bytes input)
{
	static const char domain[] = "ipsec.cloudflare.com";
	struct rd r = rd_of(input);
	uint8_t type = rd_u8(&r);
	struct bytes data = rd_rest(&r);
	struct model_identity id;
	char text[MODEL_IDENTITY_TEXT_MAX];

	model_identity_print(type, data, text);
	must_be_printable(text, sizeof(text));
	if (model_identity_parse(type, data, domain, &id) != ERR_NONE)
		return;
	must(id.by_address == (id.addr.family != ADDR_NONE));
	if (!id.by_address)
		must(data.len <= 6 + 32 + 1 + 32 + 1 + strlen(domain));
	if (id.account_is_number)
		must(id.account_number != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const targets[])(struct bytes) = {
		try_account, try_tunnel, try_route,	   try_psk,	   try_token,	 try_child,
		try_failure, try_state,	 try_live_request, try_live_reply, try_identity,
	};
	if (len == 0)
		return 0;
	targets[data[0] % ARRAY_LEN(targets)](bytes_of(data + 1, len - 1));
	return 0;
}
