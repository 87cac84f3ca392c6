// Any message to any state: every exchange, with any payloads in any order, from either side, under right and wrong keys, in
// any place of the window, whole and in fragments, messages of before once more; between two ends that go on with their own
// business over a network that loses, repeats and delays. The model (watch.h) foretells each step.
//
// Virtual time; all of a run follows from its seed. SEEDS=N does N runs (tests/soak), SEED=N the one run alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "watch.h"

#define SECOND_US ((uint64_t)1000000)
#define STEPS 350
#define SEEDS_DEFAULT 100

struct bench {
	struct duo d;
	struct watch w;
	uint64_t iv;
	unsigned long made; /* messages that were made up */
};

static unsigned pick(struct bench *b, unsigned below)
{
	return (unsigned)(duo_random(&b->d) % below);
}

static bool chance(struct bench *b, unsigned percent)
{
	return pick(b, 100) < percent;
}

/* ---- payloads ---- */

static void put_offer(struct bench *b, struct wire_ike_builder *m, bool ike)
{
	uint8_t spi[8];
	struct wire_ike_sa sa = { .cnt = 1 };
	struct wire_ike_proposal *p = &sa.p[0];

	for (unsigned i = 0; i < sizeof(spi); i++)
		spi[i] = (uint8_t)(pick(b, 255) + 1);
	p->number = 1;
	p->protocol = ike ? IKE_PROTO_IKE : IKE_PROTO_ESP;
	p->spi = bytes_of(spi, ike ? 8 : 4);
	p->t[p->cnt++] = (struct wire_ike_transform){ .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_bits = chance(b, 90) ? 256 : 64 };
	if (ike)
		p->t[p->cnt++] = (struct wire_ike_transform){ .type = IKE_TT_PRF, .id = IKE_PRF_HMAC_SHA2_256 };
	if (!ike && chance(b, 95))
		p->t[p->cnt++] = (struct wire_ike_transform){ .type = IKE_TT_ESN };
	if (ike || chance(b, 30))
		p->t[p->cnt++] = (struct wire_ike_transform){ .type = IKE_TT_KE, .id = chance(b, 85) ? IKE_GROUP_MODP2048 : IKE_GROUP_ECP256 };
	wire_ike_put_sa(m, &sa);
}

static void put_noise(struct bench *b, struct wire_ike_builder *m, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		wr_u8(&m->w, (uint8_t)duo_random(&b->d));
}

static void put_nonce(struct bench *b, struct wire_ike_builder *m)
{
	wire_ike_open(m, IKE_PL_NONCE);
	put_noise(b, m, chance(b, 90) ? 32 : pick(b, 300));
}

static void put_ke(struct bench *b, struct wire_ike_builder *m)
{
	wire_ike_open(m, IKE_PL_KE);
	wr_u16(&m->w, chance(b, 85) ? IKE_GROUP_MODP2048 : (uint16_t)pick(b, 32));
	wr_u16(&m->w, 0);
	wr_u8(&m->w, 1);
	put_noise(b, m, chance(b, 90) ? 255 : pick(b, 255));
}

static void put_ts(struct bench *b, struct wire_ike_builder *m, uint8_t payload)
{
	const struct wire_ike_ts any = { .port_last = UINT16_MAX, .first.family = ADDR_V4,
					 .last = { .b = { 255, 255, 255, 255 }, .family = ADDR_V4 } };

	if (chance(b, 85)) {
		wire_ike_put_tss(m, payload, &any, 1);
		return;
	}
	wire_ike_open(m, payload);
	put_noise(b, m, pick(b, 24));
}

/* The SPI of a child that one side has, or any. */
static uint32_t any_child(struct bench *b)
{
	const struct duo_end *e = &b->d.end[pick(b, 2)];
	const struct model_child_sa *c = e->child_cnt == 0 ? NULL : &e->children[pick(b, e->child_cnt)].sa;

	if (c == NULL || chance(b, 10))
		return (uint32_t)duo_random(&b->d);
	return chance(b, 70) ? c->spi_out : c->spi_in;
}

static void put_delete(struct bench *b, struct wire_ike_builder *m)
{
	uint32_t spis[3] = { any_child(b), any_child(b), any_child(b) };

	if (chance(b, 15))
		wire_ike_put_delete(m, IKE_PROTO_IKE, NULL, 0);
	else
		wire_ike_put_delete(m, IKE_PROTO_ESP, spis, (uint8_t)(1 + pick(b, 3)));
}

static void put_notify(struct bench *b, struct wire_ike_builder *m)
{
	static const uint16_t types[] = { IKE_N_REKEY_SA, IKE_N_TEMPORARY_FAILURE, IKE_N_CHILD_SA_NOT_FOUND, IKE_N_NO_PROPOSAL_CHOSEN,
					  IKE_N_INVALID_KE_PAYLOAD, IKE_N_AUTHENTICATION_FAILED, IKE_N_INITIAL_CONTACT, IKE_N_COOKIE2,
					  IKE_N_NO_ADDITIONAL_SAS, IKE_N_USE_TRANSPORT_MODE, IKE_N_INVALID_SYNTAX };
	uint8_t spi[4], data[40];
	struct wr w = wr_of(SPACE_OF(spi));

	wr_u32(&w, any_child(b));
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)duo_random(&b->d);
	uint16_t type = types[pick(b, ARRAY_LEN(types))];
	if (type == IKE_N_AUTHENTICATION_FAILED && chance(b, 80)) /* it ends the SA: not each time */
		type = IKE_N_REKEY_SA;
	bool child = type == IKE_N_REKEY_SA || type == IKE_N_CHILD_SA_NOT_FOUND;
	wire_ike_put_notify(m, child ? IKE_PROTO_ESP : IKE_PROTO_NONE, child ? BYTES_OF(spi) : (struct bytes){ 0 }, type,
			    bytes_of(data, type == IKE_N_INVALID_KE_PAYLOAD ? 2 : pick(b, 40)));
}

static void put_other(struct bench *b, struct wire_ike_builder *m)
{
	static const uint8_t types[] = { IKE_PL_IDI, IKE_PL_IDR, IKE_PL_AUTH, IKE_PL_CERT, IKE_PL_VENDOR, IKE_PL_CP, IKE_PL_EAP, 60, 200 };

	wire_ike_open(m, types[pick(b, ARRAY_LEN(types))]);
	if (chance(b, 20) && m->payload_at != 0)
		wr_set_u8(&m->w, m->payload_at + 1, 0x80); /* critical */
	put_noise(b, m, 8 + pick(b, 40));
}

static void put_any(struct bench *b, struct wire_ike_builder *m)
{
	switch (pick(b, 9)) {
	case 0:
	case 1:
		put_offer(b, m, chance(b, 25));
		break;
	case 2:
		put_nonce(b, m);
		break;
	case 3:
		put_ke(b, m);
		break;
	case 4:
		put_ts(b, m, chance(b, 50) ? IKE_PL_TSI : IKE_PL_TSR);
		break;
	case 5:
		put_delete(b, m);
		break;
	case 6:
	case 7:
		put_notify(b, m);
		break;
	default:
		put_other(b, m);
		break;
	}
}

/* The payloads that an exchange is made of, most of the time, some left out; and some that it is not. */
static void put_usual(struct bench *b, struct wire_ike_builder *m, uint8_t exchange)
{
	bool ike = chance(b, 25);

	if (exchange == IKE_EX_INFORMATIONAL) {
		if (chance(b, 40))
			put_delete(b, m);
		return;
	}
	if (!ike && chance(b, 40))
		put_notify(b, m);
	if (chance(b, 93))
		put_offer(b, m, ike);
	if (chance(b, 93))
		put_nonce(b, m);
	if (ike || chance(b, 20))
		put_ke(b, m);
	if (!ike && chance(b, 93))
		put_ts(b, m, IKE_PL_TSI);
	if (!ike && chance(b, 93))
		put_ts(b, m, IKE_PL_TSR);
}

/* ---- messages ---- */

static const struct ike_sa *any_sa(struct bench *b, unsigned end)
{
	const struct duo_end *e = &b->d.end[end];
	unsigned at = pick(b, DUO_SAS_MAX);

	if (e->has_half && e->half.sa.spi_r != 0 && (chance(b, 30) || duo_count(&b->d, end) == 0))
		return &e->half.sa;
	for (unsigned i = 0; i < DUO_SAS_MAX; i++) {
		const struct duo_sa *s = &e->sas[(at + i) % DUO_SAS_MAX];
		if (s->used && (s->r.state == IKE_STATE_ESTABLISHED || chance(b, 25)))
			return &s->r;
	}
	return NULL;
}

static uint8_t any_exchange(struct bench *b)
{
	static const uint8_t exchanges[] = { IKE_EX_CREATE_CHILD_SA, IKE_EX_CREATE_CHILD_SA, IKE_EX_INFORMATIONAL, IKE_EX_INFORMATIONAL,
					     IKE_EX_CREATE_CHILD_SA, IKE_EX_AUTH, IKE_EX_SA_INIT, 38, 43 };
	return exchanges[pick(b, ARRAY_LEN(exchanges))];
}

static uint32_t any_id(struct bench *b, const struct ike_sa *sa, bool response)
{
	uint32_t next = response ? sa->request.msg_id : sa->rx_next;

	switch (pick(b, 10)) {
	case 0:
		return next - 1;
	case 1:
		return next + 1;
	case 2:
		return chance(b, 90) ? next + pick(b, 5) : (uint32_t)duo_random(&b->d);
	default:
		return next;
	}
}

static void deliver(struct bench *b, unsigned to, struct bytes msg)
{
	struct duo_datagram g = { .to = to, .from = b->d.end[!to].addr, .dest = b->d.end[to].addr, .len = msg.len };

	must(msg.len <= sizeof(g.b));
	memcpy(g.b, msg.p, msg.len);
	b->made++;
	watch_deliver(&b->w, &g);
}

/* In pieces, of which some may not come, or twice, or in another order. */
static void deliver_pieces(struct bench *b, unsigned to, const struct ike_sa *keys, struct look_part part, struct bytes chain)
{
	uint16_t total = (uint16_t)(1 + pick(b, 4));
	size_t each = chain.len / total;
	uint8_t first = part.first, room[IKE_REPLY_MAX];

	for (unsigned n = 0; n < total; n++) {
		part.number = (uint16_t)(1 + (chance(b, 90) ? n : pick(b, total)));
		part.total = total;
		part.first = part.number == 1 ? first : IKE_PL_NONE;
		part.iv = b->iv++;
		size_t at = each * (part.number - 1u);
		part.chain = bytes_of(chain.p + at, part.number == total ? chain.len - at : each);
		if (chance(b, 92))
			deliver(b, to, bytes_of(room, look_seal(keys, &part, SPACE_OF(room))));
	}
}

static void spoil_keys(struct bench *b, struct ike_sa *keys)
{
	uint8_t *all[] = { keys->keys.ei, keys->keys.er, keys->keys.ai, keys->keys.ar };

	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		all[i][pick(b, 16)] ^= 1;
}

/* A message to an SA as its peer could make it, or nearly so. */
static void make_message(struct bench *b, unsigned to)
{
	const struct ike_sa *sa = any_sa(b, to);
	bool response = chance(b, 25);
	uint8_t plain[2048], room[IKE_REPLY_MAX];
	struct wire_ike_builder m;
	struct bytes msg;

	if (sa == NULL)
		return;
	const struct ike_sa *known = look_find(&b->w.keys, sa->spi_i, sa->spi_r); /* a closed one has none */
	struct ike_sa keys = known != NULL ? *known : *sa;
	if (keys.suite.encr == 0)
		return;
	bool by_initiator = (sa->role == IKE_RESPONDER) != chance(b, 3);
	struct look_part part = { .h = { .spi_i = sa->spi_i, .spi_r = sa->spi_r, .major = chance(b, 98) ? 2 : 3,
					 .exchange = any_exchange(b), .msg_id = any_id(b, sa, response) }, .iv = b->iv++ };
	if (response && sa->request.kind != IKE_REQUEST_NONE && chance(b, 70))
		part.h.exchange = sa->request.kind == IKE_REQUEST_NEW_CHILD || sa->request.kind == IKE_REQUEST_REKEY_CHILD ||
				  sa->request.kind == IKE_REQUEST_REKEY_IKE ? IKE_EX_CREATE_CHILD_SA : IKE_EX_INFORMATIONAL;
	part.h.flags = (uint8_t)((by_initiator ? IKE_FLAG_INITIATOR : 0) | (response ? IKE_FLAG_RESPONSE : 0));
	wire_ike_begin(&m, SPACE_OF(plain), &part.h);
	if (chance(b, 70))
		put_usual(b, &m, part.h.exchange);
	for (unsigned n = pick(b, 4); n > 0 && chance(b, 40); n--)
		put_any(b, &m);
	if (wire_ike_finish(&m, &msg) != ERR_NONE)
		return;
	part.first = msg.p[16];
	part.chain = bytes_of(msg.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN);
	if (chance(b, 8))
		spoil_keys(b, &keys);
	if (chance(b, 8) && part.chain.len >= 8)
		deliver_pieces(b, to, &keys, part, part.chain);
	else if (chance(b, 4))
		deliver(b, to, msg); /* in the clear */
	else
		deliver(b, to, bytes_of(room, look_seal(&keys, &part, SPACE_OF(room))));
}

/* One of before, to where it went or back, as it was or changed. */
static void say_again(struct bench *b)
{
	struct duo_datagram g;

	if (b->d.pool_cnt == 0)
		return;
	g = b->d.pool[pick(b, b->d.pool_cnt)];
	if (chance(b, 50)) { /* as it was: it may be one that was lost, and then it is a true one */
		duo_deliver(&b->d, &g);
		return;
	}
	if (chance(b, 20)) {
		const struct addr_endpoint from = g.from;
		g.from = g.dest;
		g.dest = from;
		g.to = !g.to;
	}
	g.b[pick(b, (unsigned)g.len)] ^= (uint8_t)(1u << pick(b, 8));
	watch_deliver(&b->w, &g);
}

/* ---- runs ---- */

static void do_something(struct bench *b)
{
	static const enum ike_event_kind kinds[] = { IKE_EV_REKEY_CHILD, IKE_EV_REKEY_IKE, IKE_EV_NEW_CHILD, IKE_EV_CHILD_EXPIRED,
						     IKE_EV_REKEY_CHILD, IKE_EV_REKEY_IKE };
	struct ike_sa sa;

	if (!duo_sa(&b->d, 0, &sa) && !b->d.end[0].has_half)
		duo_start(&b->d);
	else if (chance(b, 12))
		duo_event(&b->d, pick(b, 2), chance(b, 97) ? kinds[pick(b, ARRAY_LEN(kinds))] : IKE_EV_CLOSE);
	else if (chance(b, 20))
		say_again(b);
	else
		make_message(b, pick(b, 2));
	if (chance(b, 60))
		duo_run(&b->d, duo_random(&b->d) % (chance(b, 90) ? 60000 : 12 * SECOND_US));
}

/* A number that stands for all that happened. */
static uint64_t run(uint64_t seed, struct watch *sum)
{
	struct bench *b = malloc(sizeof(*b));

	must(b != NULL);
	memset(b, 0, sizeof(*b));
	duo_init(&b->d, seed);
	watch_init(&b->w, &b->d);
	b->iv = (uint64_t)1 << 62;
	b->d.loss_percent = (unsigned)(seed % 3) * 10;
	b->d.start.pfs = seed % 2 ? IKE_PFS_NEVER : IKE_PFS_PREFER;
	b->d.end[1].world.want_cookie = seed % 5 == 0;
	for (unsigned i = 0; i < STEPS; i++)
		do_something(b);
	/* Left alone, each side finds out what the other one has, and nothing is left over. */
	b->d.loss_percent = 0;
	duo_run(&b->d, 1000 * SECOND_US);
	watch_check(&b->w);
	if (duo_count(&b->d, 0) != duo_count(&b->d, 1))
		fail_msg("seed %u: %u IKE SAs on one side, %u on the other", (unsigned)seed, duo_count(&b->d, 0), duo_count(&b->d, 1));
	uint64_t print = b->d.rng ^ b->d.now_us ^ b->w.steps << 32 ^ b->w.taken;
	sum->steps += b->w.steps;
	sum->taken += b->w.taken;
	sum->repeated += b->w.repeated;
	sum->answered += b->w.answered;
	sum->untouched += b->w.untouched;
	duo_fini(&b->d);
	free(b);
	return print;
}

static void any_message_to_any_state_does_what_the_model_says(void **state)
{
	static struct watch sum;
	const char *one = getenv("SEED"), *all = getenv("SEEDS");
	uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 0;
	uint64_t cnt = one != NULL ? 1 : all != NULL ? strtoull(all, NULL, 10) : SEEDS_DEFAULT;

	(void)state;
	for (uint64_t seed = first; seed < first + cnt; seed++)
		(void)run(seed, &sum);
	print_message("%llu seeds: %lu messages; %lu requests taken, %lu repeated, %lu answers taken, %lu without any effect\n",
		      (unsigned long long)cnt, sum.steps, sum.taken, sum.repeated, sum.answered, sum.untouched);
	if (cnt >= SEEDS_DEFAULT) /* the generator comes everywhere */
		assert_true(sum.taken > 40 * cnt && sum.repeated > cnt && sum.answered > 10 * cnt && sum.untouched > 40 * cnt);
}

/* RFC 7296 1.3: whoever wants another group has to ask for it, and answers nothing. */
static void an_answer_in_a_group_that_was_not_asked_for_begins_no_child(void **state)
{
	const uint8_t spi[] = { 1, 2, 3, 4 }, noise[256] = { 5 };
	struct bench *b = calloc(1, sizeof(*b));
	const struct wire_ike_ts any = { .port_last = UINT16_MAX, .first.family = ADDR_V4,
					 .last = { .b = { 255, 255, 255, 255 }, .family = ADDR_V4 } };
	const struct wire_ike_sa answer = { .cnt = 1, .p = { { .number = 1, .protocol = IKE_PROTO_ESP, .spi = BYTES_OF(spi), .cnt = 3,
		.t = { { .type = IKE_TT_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_bits = 256 }, { .type = IKE_TT_ESN },
		       { .type = IKE_TT_KE, .id = IKE_GROUP_MODP2048 } } } } };
	uint8_t plain[2048], room[IKE_REPLY_MAX];
	struct wire_ike_builder m;
	struct bytes msg;
	struct ike_sa sa;

	(void)state;
	must(b != NULL);
	duo_init(&b->d, 1);
	watch_init(&b->w, &b->d);
	duo_up(&b->d);
	b->d.silent = true;
	duo_event(&b->d, 0, IKE_EV_REKEY_CHILD);
	duo_run(&b->d, 1000);
	assert_true(duo_sa(&b->d, 0, &sa));
	assert_int_equal(sa.request.kind, IKE_REQUEST_REKEY_CHILD);
	assert_int_equal(sa.request.group, IKE_GROUP_ECP384);
	struct look_part part = { .h = { .spi_i = sa.spi_i, .spi_r = sa.spi_r, .major = 2, .exchange = IKE_EX_CREATE_CHILD_SA,
					 .flags = IKE_FLAG_RESPONSE, .msg_id = sa.request.msg_id }, .first = IKE_PL_SA,
				  .iv = (uint64_t)1 << 62 };
	wire_ike_begin(&m, SPACE_OF(plain), &part.h);
	wire_ike_put_sa(&m, &answer);
	wire_ike_put_nonce(&m, bytes_of(noise, 32));
	wire_ike_put_ke(&m, IKE_GROUP_MODP2048, BYTES_OF(noise));
	wire_ike_put_tss(&m, IKE_PL_TSI, &any, 1);
	wire_ike_put_tss(&m, IKE_PL_TSR, &any, 1);
	must(wire_ike_finish(&m, &msg) == ERR_NONE);
	part.chain = bytes_of(msg.p + WIRE_IKE_HEADER_LEN, msg.len - WIRE_IKE_HEADER_LEN);
	deliver(b, 0, bytes_of(room, look_seal(&sa, &part, SPACE_OF(room))));
	assert_true(duo_sa(&b->d, 0, &sa));
	assert_int_equal(b->d.end[0].failures[MODEL_FAILURE_REKEY_REFUSED], 1);
	assert_int_equal(b->d.end[0].child_cnt, 1);
	duo_fini(&b->d);
	free(b);
}

static void the_same_seed_is_the_same_run(void **state)
{
	static struct watch sum;

	(void)state;
	assert_true(run(3, &sum) == run(3, &sum));
	assert_true(run(3, &sum) != run(4, &sum));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_message_to_any_state_does_what_the_model_says),
		cmocka_unit_test(an_answer_in_a_group_that_was_not_asked_for_begins_no_child),
		cmocka_unit_test(the_same_seed_is_the_same_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
