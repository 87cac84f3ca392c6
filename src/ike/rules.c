// What may stand in a message (RFC 7296 1.2 to 1.5).
#include "ike/ctx.h"

const char *ike_exchange_name(uint8_t exchange)
{
	switch (exchange) {
	case IKE_EX_SA_INIT:
		return "IKE_SA_INIT";
	case IKE_EX_AUTH:
		return "IKE_AUTH";
	case IKE_EX_CREATE_CHILD_SA:
		return "CREATE_CHILD_SA";
	case IKE_EX_INFORMATIONAL:
		return "INFORMATIONAL";
	}
	return "";
}

/* Payloads that must be there, or may not be there more often than max. Others of RFC 7296 are ignored
 * where they mean nothing; unknown ones are ignored unless critical (2.5). */
struct payload_rule {
	uint8_t exchange;
	bool response;
	uint8_t payload;
	uint8_t min, max;
};

enum { MANY = WIRE_IKE_PAYLOADS_MAX };

static const struct payload_rule payload_rules[] = {
	{ IKE_EX_SA_INIT, false, IKE_PL_SA, 1, 1 },
	{ IKE_EX_SA_INIT, false, IKE_PL_KE, 1, 1 },
	{ IKE_EX_SA_INIT, false, IKE_PL_NONCE, 1, 1 },
	{ IKE_EX_SA_INIT, true, IKE_PL_SA, 1, 1 },
	{ IKE_EX_SA_INIT, true, IKE_PL_KE, 1, 1 },
	{ IKE_EX_SA_INIT, true, IKE_PL_NONCE, 1, 1 },
	{ IKE_EX_AUTH, true, IKE_PL_IDR, 0, 1 },
	{ IKE_EX_AUTH, true, IKE_PL_AUTH, 0, 1 },
	{ IKE_EX_AUTH, true, IKE_PL_SA, 0, 1 },
	{ IKE_EX_AUTH, true, IKE_PL_TSI, 0, 1 },
	{ IKE_EX_AUTH, true, IKE_PL_TSR, 0, 1 },
	{ IKE_EX_AUTH, false, IKE_PL_IDI, 1, 1 },
	{ IKE_EX_AUTH, false, IKE_PL_IDR, 0, 1 },
	{ IKE_EX_AUTH, false, IKE_PL_AUTH, 0, 1 }, /* without it the peer wants EAP (2.16) */
	{ IKE_EX_AUTH, false, IKE_PL_SA, 0, 1 },
	{ IKE_EX_AUTH, false, IKE_PL_TSI, 0, 1 },
	{ IKE_EX_AUTH, false, IKE_PL_TSR, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, false, IKE_PL_SA, 1, 1 },
	{ IKE_EX_CREATE_CHILD_SA, false, IKE_PL_NONCE, 1, 1 },
	{ IKE_EX_CREATE_CHILD_SA, false, IKE_PL_KE, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, false, IKE_PL_TSI, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, false, IKE_PL_TSR, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, true, IKE_PL_SA, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, true, IKE_PL_NONCE, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, true, IKE_PL_KE, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, true, IKE_PL_TSI, 0, 1 },
	{ IKE_EX_CREATE_CHILD_SA, true, IKE_PL_TSR, 0, 1 },
	{ IKE_EX_INFORMATIONAL, false, IKE_PL_DELETE, 0, MANY },
	{ IKE_EX_INFORMATIONAL, true, IKE_PL_DELETE, 0, MANY },
};

/* RFC 7296 3.2: the types that this document defines. SK inside SK is none of them here. */
static bool known_payload(uint8_t type)
{
	return type >= IKE_PL_SA && type <= IKE_PL_EAP && type != IKE_PL_SK;
}

/* RFC 6023 3: an IKE_AUTH request has all that a Child SA needs, or nothing of it. */
static uint16_t check_first_child(const struct wire_ike_payloads *in, uint8_t *ret_type)
{
	static const uint8_t types[] = { IKE_PL_SA, IKE_PL_TSI, IKE_PL_TSR };
	unsigned there = 0;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (wire_ike_find(in, types[i], 0) != NULL)
			there++;
		else
			*ret_type = types[i];
	}
	return there == 0 || there == ARRAY_LEN(types) ? 0 : IKE_N_INVALID_SYNTAX;
}

uint16_t ike_rules_check(uint8_t exchange, bool response, const struct wire_ike_payloads *in, uint8_t *ret_type)
{
	for (unsigned i = 0; i < in->cnt; i++) {
		if (in->p[i].critical && !known_payload(in->p[i].type)) {
			*ret_type = in->p[i].type;
			return IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(payload_rules); i++) {
		const struct payload_rule *rule = &payload_rules[i];
		if (rule->exchange != exchange || rule->response != response)
			continue;
		unsigned cnt = wire_ike_count(in, rule->payload);
		if (cnt < rule->min || cnt > rule->max) {
			*ret_type = rule->payload;
			return IKE_N_INVALID_SYNTAX;
		}
	}
	return exchange == IKE_EX_AUTH && !response ? check_first_child(in, ret_type) : 0;
}
