#include "ike/exchanges.h"

#include <stdio.h>

/* ---- states ---- */

struct row {
	enum ike_state state;
	enum ike_input input;
	uint8_t exchange; /* of messages */
	ike_handler handler;
	const char *next; /* for readers: the handler returns it */
	const char *story;
};

static const struct row rows[] = {
	{ IKE_STATE_HALF_OPEN, IKE_IN_REQUEST, IKE_EX_SA_INIT, ike_init_repeat, "HALF_OPEN",
	  "the peer repeats its first message: the same answer again" },
	{ IKE_STATE_HALF_OPEN, IKE_IN_REQUEST, IKE_EX_AUTH, ike_auth_request, "ESTABLISHED, or gone",
	  "identity and PSK are checked, the first Child SA is made; a refusal ends the half-open SA" },
	{ IKE_STATE_HALF_OPEN, IKE_IN_RESPONSE, IKE_EX_AUTH, ike_start_auth_response, "ESTABLISHED, or gone",
	  "the gateway's AUTH is checked, its Child SA taken; without the Child SA the IKE SA stands nevertheless" },
	{ IKE_STATE_HALF_OPEN, IKE_ON_TIMER, 0, ike_start_timer, "HALF_OPEN, or gone",
	  "our IKE_SA_INIT or IKE_AUTH is repeated or given up; a peer's that never came back is forgotten" },
	{ IKE_STATE_ESTABLISHED, IKE_IN_REQUEST, IKE_EX_CREATE_CHILD_SA, ike_create_request, "ESTABLISHED, REKEYED",
	  "a new Child SA, the rekey of one, or the rekey of the IKE SA, which moves the children to a new record" },
	{ IKE_STATE_ESTABLISHED, IKE_IN_REQUEST, IKE_EX_INFORMATIONAL, ike_info_request, "ESTABLISHED, CLOSED",
	  "liveness, Delete of Child SAs, Delete of the IKE SA, UPDATE_SA_ADDRESSES" },
	{ IKE_STATE_ESTABLISHED, IKE_IN_RESPONSE, IKE_EX_CREATE_CHILD_SA, ike_own_response, "ESTABLISHED, REKEYED",
	  "our Child SA or rekey is there, or refused; of two rekeys that met the lowest nonce decides" },
	{ IKE_STATE_ESTABLISHED, IKE_IN_RESPONSE, IKE_EX_INFORMATIONAL, ike_info_response, "ESTABLISHED, CLOSED",
	  "our own request was answered: the peer lives, has the address under test, knows our new one, or agreed to a Delete" },
	{ IKE_STATE_ESTABLISHED, IKE_ON_TIMER, 0, ike_live_timer, "ESTABLISHED, CLOSED",
	  "our request is repeated or given up, silence asks for liveness, the lifetime ends" },
	{ IKE_STATE_ESTABLISHED, IKE_ON_CLOSE, 0, ike_live_close, "ESTABLISHED",
	  "the tunnel goes: children are deleted at once, our Delete is sent" },
	{ IKE_STATE_ESTABLISHED, IKE_ON_ADDRESS, 0, ike_move_address, "ESTABLISHED",
	  "ESP came from another address: it is asked before it is believed" },
	{ IKE_STATE_ESTABLISHED, IKE_ON_MOVED, 0, ike_move_self, "ESTABLISHED, CLOSED",
	  "we have another address: the peer is told by UPDATE_SA_ADDRESSES, or the SA ends where it knows no MOBIKE" },
	{ IKE_STATE_ESTABLISHED, IKE_ON_CHILD_EXPIRED, 0, ike_live_child_expired, "ESTABLISHED",
	  "a Child SA reached its end without a rekey: deleted, and the peer is told" },
	{ IKE_STATE_ESTABLISHED, IKE_ON_DUTY, 0, ike_live_duty, "ESTABLISHED",
	  "packets or IVs of a Child SA near their end, or somebody asks for a rekey or a Child SA: due at once" },
	{ IKE_STATE_REKEYED, IKE_IN_REQUEST, IKE_EX_CREATE_CHILD_SA, ike_create_refuse, "REKEYED",
	  "TEMPORARY_FAILURE: new children belong to the new IKE SA" },
	{ IKE_STATE_REKEYED, IKE_IN_REQUEST, IKE_EX_INFORMATIONAL, ike_info_request, "REKEYED, CLOSED",
	  "the peer deletes the IKE SA that it has rekeyed" },
	{ IKE_STATE_REKEYED, IKE_IN_RESPONSE, IKE_EX_INFORMATIONAL, ike_info_response, "REKEYED, CLOSED",
	  "a request that was on its way when the rekey came is answered" },
	{ IKE_STATE_REKEYED, IKE_ON_TIMER, 0, ike_live_timer, "REKEYED, CLOSED",
	  "the peer's Delete does not come: ours is sent" },
	{ IKE_STATE_REKEYED, IKE_ON_CLOSE, 0, ike_live_close, "REKEYED", "our Delete is sent" },
	{ IKE_STATE_REKEYED, IKE_ON_MOVED, 0, ike_move_self, "REKEYED",
	  "we have another address: the rest of the SA's messages leave from there" },
};

ike_handler ike_table_find(enum ike_state state, enum ike_input input, uint8_t exchange)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].state == state && rows[i].input == input && rows[i].exchange == exchange)
			return rows[i].handler;
	return NULL;
}

static const char *state_name(enum ike_state state)
{
	switch (state) {
	case IKE_STATE_HALF_OPEN:
		return "HALF_OPEN";
	case IKE_STATE_ESTABLISHED:
		return "ESTABLISHED";
	case IKE_STATE_REKEYED:
		return "REKEYED";
	case IKE_STATE_CLOSED:
		return "CLOSED";
	}
	return "";
}

static const char *input_name(enum ike_input input)
{
	switch (input) {
	case IKE_IN_REQUEST:
		return "request";
	case IKE_IN_RESPONSE:
		return "response";
	case IKE_ON_TIMER:
		return "timer";
	case IKE_ON_CLOSE:
		return "close";
	case IKE_ON_ADDRESS:
		return "new address";
	case IKE_ON_MOVED:
		return "own address changed";
	case IKE_ON_CHILD_EXPIRED:
		return "child expired";
	case IKE_ON_DUTY:
		return "rekey or new child wanted";
	}
	return "";
}

void ike_table_print(void (*line)(void *arg, const char *text), void *arg)
{
	char text[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		snprintf(text, sizeof(text), "%s | %s%s%s | %s | %s", state_name(r->state),
			 ike_exchange_name(r->exchange), r->exchange != 0 ? " " : "", input_name(r->input), r->next,
			 r->story);
		line(arg, text);
	}
	snprintf(text, sizeof(text), "%s | any repeated request | CLOSED | the same answer again, nothing else",
		 state_name(IKE_STATE_CLOSED));
	line(arg, text);
}
