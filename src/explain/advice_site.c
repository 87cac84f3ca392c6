// What to change when a tunnel that we started fails: at the gateway, or in the tunnel's section of onramp-site.conf.
#include "explain/advice.h"

#include "model/proposal.h"

static void say_gateway(struct explain_text *t, const struct explain_case *c)
{
	char text[ADDR_TEXT_MAX];
	explain_text_say(t, "%s", c->gateway.family == ADDR_NONE ? "GATEWAY" : addr_format(&c->gateway, text));
}

static bool said(const struct explain_case *c, const char *notify)
{
	return strncmp(c->f->offered, notify, strlen(notify)) == 0;
}

/* ---- the start ---- */

static void change_no_answer(struct explain_text *t, const struct explain_case *c)
{
	if (c->f->stage == MODEL_STAGE_AUTH) {
		explain_text_say(t, "Let UDP 4500 and IP fragments pass between this host and ");
		say_gateway(t, c);
		explain_text_say(t, " in both directions. If they do, the gateway keeps silent on purpose: some do when they "
				    "know no tunnel with this identity");
		return;
	}
	explain_text_say(t, "Check gateway = ");
	say_gateway(t, c);
	explain_text_say(t, " and that IKE runs there, and let UDP 500 and 4500 pass in both directions (tcpdump -ni any udp "
			    "port 500 or udp port 4500 shows what comes back). Where UDP 500 is closed: start_port = 4500");
}

static void change_offer(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Allow one of these phase 1 proposals at the gateway, or offer the other list: profile = %s or %s; "
			    "where ike_algorithms is set, add there what the gateway has",
			 model_profile_name(MODEL_PROFILE_MAGIC), model_profile_name(MODEL_PROFILE_MODERN));
}

static void change_refused(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "The gateway's own log has the cause. See that ");
	say_gateway(t, c);
	explain_text_say(t, " is the IKEv2 gateway that this tunnel is for, and that it takes this host's address");
}

static void change_auth_refused(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Compare with the gateway letter by letter: identity = (its fqdn_id), then the key in psk_file =, "
			    "one line without blanks, and gateway_id = if that is set. It tells nobody but its own administrator which one is wrong: on an "
			    "Onramp gateway onramp tunnel why TUNNEL and onramp unknown, elsewhere its log");
}

/* The file has addresses without a type before them, and its own word for RFC 822. */
static void say_as_in_file(struct explain_text *t, const char *identity)
{
	bool address = strncmp(identity, "ipv4:", 5) == 0 || strncmp(identity, "ipv6:", 5) == 0;
	bool user = strncmp(identity, "rfc822:", 7) == 0;

	explain_text_say(t, "%s%s", user ? "user:" : "", identity + (address ? 5 : user ? 7 : 0));
}

static void change_wrong_gateway(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "If this is the right gateway, expect its name: gateway_id = ");
	say_as_in_file(t, c->f->offered[0] != 0 ? c->f->offered : "ITS-NAME");
}

static void change_other_key(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "It proved itself with another key than the one in psk_file =. Enter the same key on both sides; if it "
			    "has the same, something else answers at its address");
}

static void change_method(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Let the gateway prove itself by the pre-shared key: in swanctl.conf local { auth = psk }");
}

static void change_child(struct explain_text *t, const struct explain_case *c)
{
	if (said(c, "TS_UNACCEPTABLE"))
		explain_text_say(t, "Ask for just the networks that the gateway has for this tunnel: local_ts = those behind this "
				    "host, remote_ts = those behind the gateway");
	else if (said(c, "NO_PROPOSAL_CHOSEN"))
		explain_text_say(t, "Allow one of these phase 2 proposals at the gateway, or offer the other list: profile = "
				    "%s or %s; where esp_algorithms is set, add there what the gateway has", model_profile_name(MODEL_PROFILE_MAGIC),
				 model_profile_name(MODEL_PROFILE_MODERN));
	else
		explain_text_say(t, "The gateway's own log has the cause; it is asked again after a while");
}

/* ---- what the gateway sent ---- */

static void change_message(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "No setting makes such a message: update the gateway's IPsec software, or look for a device on "
			    "the way that changes packets");
}

static void change_fragments(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Let the gateway make its IKE fragments smaller (strongswan.conf: charon.fragment_size = 1200), and "
			    "look for a device on the way that drops some of several datagrams sent at once");
}

/* Of a rekey that the gateway started. */
static void change_its_offer(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "The gateway's rekey offered nothing that this tunnel takes: set what is allowed at the gateway, or "
			    "take the other list: profile = %s or %s", model_profile_name(MODEL_PROFILE_MAGIC),
			 model_profile_name(MODEL_PROFILE_MODERN));
}

static void change_group(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Usually nothing: the gateway tries again with the chosen group. If it does not, name that group "
			    "first at the gateway");
}

static void change_selectors(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Give both sides the same networks: local_ts = those behind this host, remote_ts = those behind the "
			    "gateway");
}

static void change_childless(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "A Child SA is asked for again by itself; the failure before this one says why the gateway gave none");
}

static void change_else(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "The cause is at the gateway: its own log has it, or on an Onramp gateway onramp tunnel why TUNNEL");
}

/* ---- a tunnel that lives ---- */

static void change_liveness(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Check that ");
	say_gateway(t, c);
	explain_text_say(t, " runs and the path to it; the tunnel starts again by itself. If only idle ones die behind NAT: "
			    "dpd_delay = below the NAT's time-out");
}

static void change_deleted(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Nothing here: the tunnel starts again by itself. Why it was ended is in the gateway's log, or on an "
			    "Onramp gateway in onramp tunnel why TUNNEL");
}

static void change_moved(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Nothing: the tunnel starts again from the new address. A gateway with MOBIKE would have let it go on; "
			    "for us it is mobike = yes");
}

static void change_move_refused(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Let the gateway take this host from any address (an Onramp gateway: clear the tunnel's customer_endpoint), "
			    "or give this host its former one");
}

static void change_nothing(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Nothing: the tunnel starts again by itself with what the file says now");
}

static void change_lifetime(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Rekeys came to nothing until the end: live.rekey_refused in onramp site why NAME says why. The limit here "
			    "is ike_lifetime =; the tunnel starts again by itself");
}

static void change_rekey(struct explain_text *t, const struct explain_case *c)
{
	if (said(c, "NO_PROPOSAL_CHOSEN"))
		explain_text_say(t, "Most often it wants another PFS group, which the first exchange does not need: allow one of ours "
				    "in the gateway's phase 2 proposals, or none. The SA that is up lives on until its end");
	else
		explain_text_say(t, "The gateway's own log has the cause. The SA that is up lives on until its end; it is asked again "
				    "after a while");
}

static void change_no_esp(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Let ESP (IP protocol 50, or UDP 4500) pass from ");
	say_gateway(t, c);
	explain_text_say(t, " to this host; where protocol 50 is filtered: encap = udp. If nothing stops it, the gateway has no route "
			    "to the networks behind this host, or nobody there answers");
}

static void change_one_way(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Lead the networks behind the gateway into the tunnel: routes =, and see with ip route get ADDRESS that the "
			    "kernel does; nothing, if the traffic goes one way by nature");
}

static void change_replay(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Switch the gateway's anti-replay check off for this tunnel, or let one thread send: workers = 1. It is a sign "
			    "and no proof: the gateway's own counter of replayed packets can prove it");
}

/* ---- the table ---- */

#define OFFERED "it offered"
#define SAID "it said"
#define ALLOWED "allowed is"
#define KNOWN "what is known:"

static const struct explain_advice advices[MODEL_FAILURE_CNT] = {
#define ROW(code, side, offered, allowed_lead, change) \
	[MODEL_FAILURE_##code] = { EXPLAIN_SIDE_##side, offered, allowed_lead, NULL, change }
	ROW(NO_ANSWER, EITHER, KNOWN, ALLOWED, change_no_answer),
	ROW(START_NO_PROPOSAL, EITHER, SAID, "we offered", change_offer),
	ROW(START_REFUSED, GATEWAY, SAID, ALLOWED, change_refused),
	ROW(AUTH_REFUSED, EITHER, SAID, "we called ourselves", change_auth_refused),
	ROW(WRONG_GATEWAY, EITHER, "it calls itself", "expected is", change_wrong_gateway),
	ROW(WRONG_PSK, EITHER, "it calls itself", ALLOWED, change_other_key),
	ROW(NOT_PSK, GATEWAY, "it sent", ALLOWED, change_method),
	ROW(CHILD_REFUSED, EITHER, SAID, "we asked for", change_child),
	ROW(REKEY_REFUSED, GATEWAY, SAID, "we offered", change_rekey),
	ROW(BAD_MESSAGE, GATEWAY, "it sent", ALLOWED, change_message),
	ROW(DECRYPT, GATEWAY, "it sent", ALLOWED, change_message),
	ROW(BAD_KE, GATEWAY, "it sent", ALLOWED, change_message),
	ROW(FRAGMENTS_LOST, GATEWAY, KNOWN, ALLOWED, change_fragments),
	ROW(NO_PROPOSAL_IKE, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_ENCR_IKE, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_INTEG_IKE, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_PRF_IKE, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_GROUP_IKE, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(WRONG_GROUP, GATEWAY, "it sent a key for", "the group chosen is", change_group),
	ROW(NO_PROPOSAL_CHILD, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_ENCR_CHILD, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_INTEG_CHILD, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NO_PFS_GROUP, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(ESN_ONLY, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(NULL_NOT_ALLOWED, GATEWAY, OFFERED, ALLOWED, change_its_offer),
	ROW(TS_UNACCEPTABLE, EITHER, OFFERED, ALLOWED, change_selectors),
	ROW(NO_CHILD, EITHER, KNOWN, ALLOWED, change_childless),
	ROW(LIVENESS, GATEWAY, KNOWN, ALLOWED, change_liveness),
	ROW(PEER_DELETED, NONE, SAID, ALLOWED, change_deleted),
	ROW(MOVED, NONE, KNOWN, ALLOWED, change_moved),
	ROW(MOVE_REFUSED, GATEWAY, SAID, ALLOWED, change_move_refused),
	ROW(REPLACED, NONE, KNOWN, ALLOWED, change_nothing),
	ROW(CONFIG_REMOVED, NONE, KNOWN, ALLOWED, change_nothing),
	ROW(EXPIRED, EITHER, KNOWN, ALLOWED, change_lifetime),
	ROW(NO_ESP, EITHER, KNOWN, ALLOWED, change_no_esp),
	ROW(ESP_STOPPED, EITHER, KNOWN, ALLOWED, change_no_esp),
	ROW(ONE_WAY, EITHER, KNOWN, ALLOWED, change_one_way),
	ROW(ANTI_REPLAY, GATEWAY, KNOWN, ALLOWED, change_replay),
#undef ROW
};

bool explain_site_can_fail(uint8_t code)
{
	return code < MODEL_FAILURE_CNT && advices[code].change != NULL;
}

const struct explain_advice *explain_advice_site(uint8_t code)
{
	static const struct explain_advice other = { EXPLAIN_SIDE_GATEWAY, KNOWN, ALLOWED, NULL, change_else };
	return explain_site_can_fail(code) ? &advices[code] : &other;
}
