#include "explain/verdict.h"

#include "explain/advice.h"
#include "explain/text.h"

/* Codes whose evidence is the identity itself, so that it is not said twice. */
static bool identity_is_the_offer(const struct model_failure *f)
{
	return f->offered[0] == 0 && f->identity[0] != 0 &&
	       (f->code == MODEL_FAILURE_UNKNOWN_IDENTITY || f->code == MODEL_FAILURE_IDENTITY_TYPO ||
		f->code == MODEL_FAILURE_IDENTITY_ACCOUNT || f->code == MODEL_FAILURE_IDENTITY_FORM ||
		f->code == MODEL_FAILURE_IDENTITY_DOMAIN || f->code == MODEL_FAILURE_IDENTITY_ADDRESS ||
		f->code == MODEL_FAILURE_TUNNEL_DELETED || f->code == MODEL_FAILURE_NO_PSK ||
		f->code == MODEL_FAILURE_WRONG_PSK || f->code == MODEL_FAILURE_PREVIOUS_PSK);
}

/* "No phase 1 proposal of the peer is allowed (peer 203.0.113.5:500): it offered ...; allowed is ...." */
static void say_sentence(struct explain_text *t, const struct explain_case *c,
			 const struct explain_advice *advice)
{
	const struct model_failure *f = c->f;
	char peer[ADDR_ENDPOINT_TEXT_MAX];
	const char *text = model_failure_text(f->code);
	const char *offered = identity_is_the_offer(f) ? f->identity : f->offered;
	bool has_peer = f->remote.addr.family != ADDR_NONE;
	bool has_identity = f->identity[0] != 0 && offered != f->identity;

	explain_text_say(t, "%c%s", text[0] >= 'a' && text[0] <= 'z' ? text[0] - 0x20 : text[0], text + 1);
	if (has_peer)
		explain_text_say(t, " (peer %s", addr_endpoint_format(&f->remote, peer));
	if (has_identity)
		explain_text_say(t, "%sidentity %s", has_peer ? ", " : " (", f->identity);
	if (has_peer || has_identity)
		explain_text_say(t, ")");
	if (offered[0] != 0)
		explain_text_say(t, ": %s %s", advice->offered_lead, offered);
	if (f->allowed[0] != 0 || advice->allowed != NULL)
		explain_text_say(t, "%s %s ", offered[0] != 0 ? ";" : ":", advice->allowed_lead);
	if (f->allowed[0] != 0)
		explain_text_say(t, "%s", f->allowed);
	else if (advice->allowed != NULL)
		advice->allowed(t, c);
	explain_text_say(t, ".");
}

void explain_failure(const struct model_failure *f, const struct explain_context *context,
		     struct explain_verdict *ret)
{
	const struct explain_advice *advice =
		context->site ? explain_advice_site(f->code) : explain_advice_find(f->code);
	struct explain_case c = { .f = f, .context = context, .gateway = context->gateway };
	struct explain_text t;

	/* the address to which the peer came is the tunnel's, but where just that is wrong */
	if (c.gateway.family == ADDR_NONE && f->code != MODEL_FAILURE_WRONG_ENDPOINT)
		c.gateway = context->site ? f->remote.addr : f->local.addr;
	ret->code = model_failure_code_name(f->code);
	ret->stage = model_stage_name(f->stage);
	ret->side = advice->side;
	explain_text_start(&t, ret->sentence, sizeof(ret->sentence));
	say_sentence(&t, &c, advice);
	explain_text_start(&t, ret->change, sizeof(ret->change));
	advice->change(&t, &c);
	explain_text_say(&t, ".");
}

const char *explain_side_name(enum explain_side side)
{
	static const char *const names[] = {
		[EXPLAIN_SIDE_PEER] = "peer",
		[EXPLAIN_SIDE_GATEWAY] = "gateway",
		[EXPLAIN_SIDE_EITHER] = "either",
		[EXPLAIN_SIDE_NONE] = "none",
	};
	return (size_t)side < ARRAY_LEN(names) ? names[side] : "none";
}
