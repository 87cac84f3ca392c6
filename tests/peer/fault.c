#include "fault.h"

#include "crypt/random.h"

#define GENERIC_HEADER_LEN 4 /* RFC 7296 3.2 */
#define KE_HEADER_LEN 4      /* group and reserved, RFC 7296 3.4 */

/* ---- payloads of a chain ---- */

/* Where the body of the first payload of a type is; false: there is none. */
static bool find(const struct peer_edit *e, uint8_t type, size_t *at, size_t *len)
{
	struct wire_ike_payloads pls;

	if (wire_ike_payloads_parse(e->first, bytes_of(e->chain.p, e->len), &pls) != ERR_NONE)
		return false;
	const struct wire_ike_payload *pl = wire_ike_find(&pls, type, 0);
	if (pl == NULL)
		return false;
	*at = (size_t)(pl->body.p - e->chain.p);
	*len = pl->body.len;
	return true;
}

static void set_length(struct peer_edit *e, size_t body, size_t len)
{
	e->chain.p[body - 2] = (uint8_t)(len >> 8);
	e->chain.p[body - 1] = (uint8_t)len;
}

/* Leaves so many bytes of a body. */
static void cut(struct peer_edit *e, size_t at, size_t len, size_t keep)
{
	memmove(e->chain.p + at + keep, e->chain.p + at + len, e->len - at - len);
	e->len -= len - keep;
	set_length(e, at, keep + GENERIC_HEADER_LEN);
}

/* ---- edits ---- */

static bool shorten(struct peer_edit *e, uint8_t type)
{
	size_t at, len;

	if (!find(e, type, &at, &len) || len <= 8)
		return false;
	cut(e, at, len, 8);
	return true;
}

static bool lengthen_claim(struct peer_edit *e, uint8_t type)
{
	size_t at, len;

	if (!find(e, type, &at, &len))
		return false;
	set_length(e, at, e->len + GENERIC_HEADER_LEN);
	return true;
}

static bool fill_zero(struct peer_edit *e, uint8_t type)
{
	size_t at, len;

	if (!find(e, type, &at, &len) || len <= KE_HEADER_LEN)
		return false;
	memset(e->chain.p + at + KE_HEADER_LEN, 0, len - KE_HEADER_LEN);
	return true;
}

static bool fill_one(struct peer_edit *e, uint8_t type)
{
	size_t at, len;

	if (!fill_zero(e, type) || !find(e, type, &at, &len))
		return false;
	e->chain.p[at + len - 1] = 1;
	return true;
}

/* A point of a curve is none with that. */
static bool change_last(struct peer_edit *e, uint8_t type)
{
	size_t at, len;

	if (!find(e, type, &at, &len) || len == 0)
		return false;
	e->chain.p[at + len - 1] ^= 1;
	return true;
}

static bool fill_random(struct peer_edit *e, uint8_t type)
{
	(void)type;
	crypt_random(e->chain.p, e->len);
	return true;
}

static bool leave_out(struct peer_edit *e, uint8_t type)
{
	size_t at, len;

	if (e->first != type || !find(e, type, &at, &len) || at != GENERIC_HEADER_LEN)
		return false;
	e->first = e->chain.p[0];
	memmove(e->chain.p, e->chain.p + at + len, e->len - at - len);
	e->len -= at + len;
	return true;
}

/* RFC 7296 2.5: whoever does not know it must refuse the message. */
static bool add_critical(struct peer_edit *e, uint8_t type)
{
	const uint8_t payload[8] = { e->first, 0x80, 0, 8, 1, 2, 3, 4 };

	memmove(e->chain.p + sizeof(payload), e->chain.p, e->len);
	memcpy(e->chain.p, payload, sizeof(payload));
	e->len += sizeof(payload);
	e->first = type;
	return true;
}

static bool speak_version(struct peer_edit *e, uint8_t version)
{
	e->h.major = version;
	if (version == 1) {
		e->h.exchange = 2; /* Main Mode */
		e->h.flags = 0;
	}
	return true;
}

/* ---- the list ---- */

static const struct fault faults[] = {
	{ "ikev1", "IKE version 1.0", IKE_EX_SA_INIT, 0, speak_version, 1 },
	{ "ikev3", "IKE version 3.0", IKE_EX_SA_INIT, 0, speak_version, 3 },
	{ "nonce-short", "a nonce of 8 bytes", IKE_EX_SA_INIT, 0, shorten, IKE_PL_NONCE },
	{ "init-lengths", "a payload longer than the message", IKE_EX_SA_INIT, 0, lengthen_claim, IKE_PL_NONCE },
	{ "init-critical", "an unknown critical payload", IKE_EX_SA_INIT, 0, add_critical, 200 },
	{ "ke-short", "a public value of 4 bytes", IKE_EX_SA_INIT, 0, shorten, IKE_PL_KE },
	{ "ke-zero", "the public value 0", IKE_EX_SA_INIT, 0, fill_zero, IKE_PL_KE },
	{ "ke-one", "the public value 1", IKE_EX_SA_INIT, 0, fill_one, IKE_PL_KE },
	{ "ke-changed", "a public value with one bit changed", IKE_EX_SA_INIT, 0, change_last, IKE_PL_KE },
	{ "auth-random", "random bytes under the integrity check", IKE_EX_AUTH, 0, fill_random, 0 },
	{ "auth-no-id", "no IDi", IKE_EX_AUTH, 0, leave_out, IKE_PL_IDI },
	{ "auth-critical", "an unknown critical payload", IKE_EX_AUTH, 0, add_critical, 200 },
	{ "auth-ts", "a traffic selector that is cut off", IKE_EX_AUTH, 0, shorten, IKE_PL_TSI },
	{ "auth-icv", "a wrong integrity check value", IKE_EX_AUTH, FAULT_WAY_ICV, NULL, 0 },
	{ "lose-fragment", "the last fragment is lost", IKE_EX_AUTH, FAULT_WAY_FRAGMENT, NULL, 0 },
	{ "no-marker", "IKE on port 4500 without the marker", IKE_EX_SA_INIT, FAULT_WAY_MARKER, NULL, 0 },
};

const struct fault *fault_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		if (strcmp(faults[i].name, name) == 0)
			return &faults[i];
	return NULL;
}

const struct fault *fault_next(const struct fault *f)
{
	const struct fault *next = f == NULL ? faults : f + 1;
	return next < faults + ARRAY_LEN(faults) ? next : NULL;
}

void fault_edit(void *arg, struct peer_edit *e)
{
	const struct fault *f = *(const struct fault **)arg;

	if (f->edit != NULL && e->h.exchange == f->exchange)
		must(f->edit(e, f->type));
}

bool fault_send(const struct fault *f, struct space msg, bool is_last)
{
	struct wire_ike_header h;

	must(wire_ike_header_parse(bytes_of(msg.p, msg.cap), &h) == ERR_NONE);
	if (h.exchange != f->exchange)
		return true;
	if (f->way == FAULT_WAY_ICV)
		msg.p[msg.cap - 1] ^= 1;
	return f->way != FAULT_WAY_FRAGMENT || !is_last;
}
