#include "explain/advice.h"

#include <inttypes.h>

#include "explain/compare.h"
#include "model/proposal.h"

#define DOMAIN_DEFAULT "ipsec.cloudflare.com"

/* ---- words out of the table of allowed transforms: those that are right for a tunnel of any profile ---- */

static bool is_common(const struct model_transform *row, enum model_phase phase, uint8_t type)
{
	return (row->phase & phase) != 0 && row->type == type && row->profiles == MODEL_PROFILE_ALL &&
	       row->opt_in == 0;
}

static void say_allowed(struct explain_text *t, enum model_phase phase, uint8_t type, const char *lead)
{
	bool first = true;
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *row = &model_transforms[i];
		if (!is_common(row, phase, type))
			continue;
		explain_text_say(t, "%s%s", first ? lead : ", ", row->name);
		first = false;
	}
}

static void allowed_in_phase_1(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	say_allowed(t, MODEL_PHASE_IKE, IKE_TT_ENCR, "encryption ");
	say_allowed(t, MODEL_PHASE_IKE, IKE_TT_INTEG, ", integrity (for CBC) ");
	say_allowed(t, MODEL_PHASE_IKE, IKE_TT_PRF, ", ");
	say_allowed(t, MODEL_PHASE_IKE, IKE_TT_KE, ", group ");
}

static void allowed_in_phase_2(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	say_allowed(t, MODEL_PHASE_CHILD, IKE_TT_ENCR, "encryption ");
	say_allowed(t, MODEL_PHASE_CHILD, IKE_TT_INTEG, ", integrity (for CBC) ");
	say_allowed(t, MODEL_PHASE_CHILD, IKE_TT_KE, ", PFS group ");
}

static void allowed_ike_groups(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	say_allowed(t, MODEL_PHASE_IKE, IKE_TT_KE, "");
}

static void allowed_pfs_groups(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	say_allowed(t, MODEL_PHASE_CHILD, IKE_TT_KE, "");
}

/* strongSwan's word for the first allowed transform of a type, with or without AEAD for ENCR. */
static const char *best_word(enum model_phase phase, uint8_t type, bool aead)
{
	for (size_t i = 0; i < model_transform_cnt; i++) {
		const struct model_transform *row = &model_transforms[i];
		if (is_common(row, phase, type) &&
		    (type != IKE_TT_ENCR || model_encr_is_aead(row->id) == aead))
			return row->swanctl;
	}
	return "";
}

/* The proposal that is nearest to what the peer offered, if that is known. */
static bool say_nearest(struct explain_text *t, const struct explain_case *c, bool ike)
{
	struct explain_compare compare;

	explain_compare_offer(c->f, &compare);
	if (compare.swanctl[0] == 0 || compare.ike != ike)
		return false;
	explain_text_say(t, "%s = %s", ike ? "proposals" : "esp_proposals", compare.swanctl);
	return true;
}

static void say_ike_proposals(struct explain_text *t, const struct explain_case *c)
{
	const enum model_phase p = MODEL_PHASE_IKE;
	const char *prf = best_word(p, IKE_TT_PRF, false), *group = best_word(p, IKE_TT_KE, false);

	if (!say_nearest(t, c, true))
		explain_text_say(t, "proposals = %s-%s-%s,%s-%s-%s-%s", best_word(p, IKE_TT_ENCR, true), prf, group,
				 best_word(p, IKE_TT_ENCR, false), best_word(p, IKE_TT_INTEG, false), prf, group);
}

static void say_esp_proposals(struct explain_text *t, const struct explain_case *c)
{
	const enum model_phase p = MODEL_PHASE_CHILD;
	const char *group = best_word(p, IKE_TT_KE, false);

	if (!say_nearest(t, c, false))
		explain_text_say(t, "esp_proposals = %s-%s,%s-%s-%s", best_word(p, IKE_TT_ENCR, true), group,
				 best_word(p, IKE_TT_ENCR, false), best_word(p, IKE_TT_INTEG, false), group);
}

/* ---- identities and addresses ---- */

static const char *domain_of(const struct explain_case *c)
{
	return c->context->identity_domain != NULL ? c->context->identity_domain : DOMAIN_DEFAULT;
}

static void say_identity(struct explain_text *t, const struct explain_case *c)
{
	char text[MODEL_IDENTITY_TEXT_MAX], tunnel[MODEL_ID_TEXT_MAX];
	const struct model_id *id = &c->f->tunnel_id, *near = &c->f->near_tunnel_id;

	if (model_id_is_zero(id) && !model_id_is_zero(near)) {
		model_identity_user(c->f->near_account_number, near, domain_of(c), text);
		explain_text_say(t, "%s", text);
	} else if (model_id_is_zero(id)) {
		explain_text_say(t, "ipsec@TUNNEL.ACCOUNT.%s", domain_of(c));
	} else if (c->context->account_number == 0) {
		explain_text_say(t, "ipsec@%s.ACCOUNT.%s", model_id_text(id, tunnel), domain_of(c));
	} else {
		model_identity_user(c->context->account_number, id, domain_of(c), text);
		explain_text_say(t, "%s", text);
	}
}

static void say_gateway(struct explain_text *t, const struct explain_case *c)
{
	char text[ADDR_TEXT_MAX];
	bool known = c->gateway.family != ADDR_NONE;
	explain_text_say(t, "%s", known ? addr_format(&c->gateway, text) : "CLOUDFLARE_ENDPOINT");
}

static void say_tunnel_path(struct explain_text *t, const struct explain_case *c)
{
	char account[MODEL_ID_TEXT_MAX], tunnel[MODEL_ID_TEXT_MAX];
	const struct model_failure *f = c->f;
	explain_text_say(t, "/accounts/%s/magic/ipsec_tunnels/%s",
			 model_id_is_zero(&f->account_id) ? "ACCOUNT" : model_id_text(&f->account_id, account),
			 model_id_is_zero(&f->tunnel_id) ? "TUNNEL" : model_id_text(&f->tunnel_id, tunnel));
}

/* ---- what is allowed, where the record cannot say more ---- */

static void allowed_version(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "IKEv2");
}

static void allowed_identities(struct explain_text *t, const struct explain_case *c)
{
	const char *domain = domain_of(c);
	explain_text_say(t, "ipsec@TUNNEL.ACCOUNT.%s, TUNNEL.ACCOUNT.%s or the key id ACCOUNT_TUNNEL", domain, domain);
}

/* The three names of the tunnel that was probably meant. */
static void allowed_near(struct explain_text *t, const struct explain_case *c)
{
	char user[MODEL_IDENTITY_TEXT_MAX], fqdn[MODEL_IDENTITY_TEXT_MAX], key[MODEL_IDENTITY_TEXT_MAX];
	const struct model_failure *f = c->f;

	if (model_id_is_zero(&f->near_tunnel_id)) {
		allowed_identities(t, c);
		return;
	}
	model_identity_user(f->near_account_number, &f->near_tunnel_id, domain_of(c), user);
	model_identity_fqdn(f->near_account_number, &f->near_tunnel_id, domain_of(c), fqdn);
	model_identity_key(f->near_account_number, &f->near_tunnel_id, key);
	explain_text_say(t, "%s as rfc822, %s as fqdn, %s as keyid", user, fqdn, key);
}

static void allowed_auth(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "a pre-shared key");
}

static void allowed_esn(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "sequence numbers of 32 bits (no ESN)");
}

static void allowed_mode(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "tunnel mode");
}

static void allowed_port(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "UDP 4500 where there is a NAT, and ESP in UDP with it");
}

static void allowed_marker(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "IKE on UDP 500, or on UDP 4500 behind 4 zero bytes");
}

/* ---- what to change, one function a case ---- */

static void change_ike_proposals(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's connection set one of the allowed phase 1 proposals: ");
	say_ike_proposals(t, c);
}

static void change_ike_group(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's connection name an allowed group, and name it first: ");
	say_ike_proposals(t, c);
}

static void change_profile(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's connection set a phase 1 proposal that every profile has: ");
	say_ike_proposals(t, c);
	explain_text_say(t, ". Or give the tunnel the profile with the router's algorithms: PUT ");
	say_tunnel_path(t, c);
	explain_text_say(t, " {\"onramp\": {\"profile\": \"%s\" or \"%s\"}}", model_profile_name(MODEL_PROFILE_MAGIC),
			 model_profile_name(MODEL_PROFILE_MODERN));
}

static void change_ke(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "No setting makes such a value: update the router's IPsec software, or try "
			    "another group: ");
	say_ike_proposals(t, c);
}

static void change_version(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "In the router's connection switch to IKEv2: version = 2");
}

/* Both phases have this failure; the stage tells which one. */
static void change_chosen_group(struct explain_text *t, const struct explain_case *c)
{
	bool child = c->f->stage == MODEL_STAGE_CHILD;
	explain_text_say(t, "Usually nothing: the router tries again with the chosen group. If it does not, "
			    "name that group first in its %s: ", child ? "child section" : "connection");
	if (child)
		say_esp_proposals(t, c);
	else
		say_ike_proposals(t, c);
}

static void change_identity(struct explain_text *t, const struct explain_case *c)
{
	char remote[ADDR_TEXT_MAX];
	bool by_address = strncmp(c->f->identity, "ipv4:", 5) == 0 || strncmp(c->f->identity, "ipv6:", 5) == 0;

	if (by_address)
		explain_text_say(t, "An address as identity needs a tunnel whose customer_endpoint is that "
				    "address and no second one with the same pair of addresses; the packets "
				    "came from %s. Set it there, or name the tunnel: "
				    "", addr_format(&c->f->remote.addr, remote));
	else
		explain_text_say(t, "In the router's connection name the tunnel, with the tunnel's 32 hex "
				    "digits, the account's number and this gateway's domain as the API shows "
				    "them under remote_identities: ");
	explain_text_say(t, "local { id = \"");
	say_identity(t, c);
	explain_text_say(t, "\" }");
}

static void change_missing_psk(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Give the tunnel a key: POST ");
	say_tunnel_path(t, c);
	explain_text_say(t, "/psk_generate, then enter the answer's psk at the router");
}

static bool starts(const char *text, const char *word)
{
	return strncmp(text, word, strlen(word)) == 0;
}

/* In the form in which the peer sent it: its key is found by the name that it has for itself. Nothing of its text is repeated. */
static void say_sent_identity(struct explain_text *t, const struct explain_case *c)
{
	const char *sent = c->f->identity;
	const bool known = !model_id_is_zero(&c->f->tunnel_id) && c->context->account_number != 0;
	char text[MODEL_IDENTITY_TEXT_MAX];
	struct addr a;

	if (known && starts(sent, "fqdn:")) {
		model_identity_fqdn(c->context->account_number, &c->f->tunnel_id, domain_of(c), text);
		explain_text_say(t, "%s", text);
	} else if (known && starts(sent, "keyid:")) {
		model_identity_key(c->context->account_number, &c->f->tunnel_id, text);
		explain_text_say(t, "keyid:%s", text);
	} else if ((starts(sent, "ipv4:") || starts(sent, "ipv6:")) && addr_parse(bytes_str(sent + 5), &a) == ERR_NONE) {
		explain_text_say(t, "%s", addr_format(&a, text));
	} else {
		say_identity(t, c);
	}
}

/* strongSwan takes one setting a line: with the identities in the same one it would not find the key. */
static void say_secret(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "secrets { ike-1 { secret = \"THE KEY\" } }; where the router has several keys with id-1 = \"");
	say_sent_identity(t, c);
	explain_text_say(t, "\" and id-2 = ");
	say_gateway(t, c);
	explain_text_say(t, " in lines of their own before secret");
}

static void change_psk(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Enter the tunnel's key at the router again, without space or line end behind "
			    "it: ");
	say_secret(t, c);
	explain_text_say(t, ". If nobody has it any more, make a new one: POST ");
	say_tunnel_path(t, c);
	explain_text_say(t, "/psk_generate");
}

static void change_blank(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Enter the key at the router as it is, with no blank or line end more or less: ");
	say_secret(t, c);
	explain_text_say(t, ". If the key was set here with a blank at its end, set it again without: POST ");
	say_tunnel_path(t, c);
	explain_text_say(t, "/psk_generate");
}

static void change_deleted(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Take the connection out of the router, or ");
	if (model_id_is_zero(&c->f->near_tunnel_id)) {
		explain_text_say(t, "make a new tunnel here and enter its identity and key at the router: POST "
				    "/accounts/ACCOUNT/magic/ipsec_tunnels");
		return;
	}
	explain_text_say(t, "let it name the tunnel that this address belongs to, and enter that one's key: local { id = \"");
	say_identity(t, c);
	explain_text_say(t, "\" }");
}

static void change_old_psk(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "The tunnel has a newer key; enter that one at the router: ");
	say_secret(t, c);
}

static void change_auth(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "In the router's connection use the pre-shared key on both sides: local { auth = "
			    "psk } remote { auth = psk }");
}

static void change_endpoint(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's connection set the tunnel's own gateway address: remote_addrs = "
			    "");
	say_gateway(t, c);
	explain_text_say(t, " and remote { id = ");
	say_gateway(t, c);
	explain_text_say(t, " }");
}

static void change_peer_address(struct explain_text *t, const struct explain_case *c)
{
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];
	const struct addr *remote = &c->f->remote.addr, *endpoint = &c->context->customer_endpoint;

	explain_text_say(t, "If the router has moved or is behind NAT, set the tunnel's customer_endpoint "
			    "here to %s: PUT ", remote->family == ADDR_NONE ? "PEER_ADDRESS" : addr_format(remote, a));
	say_tunnel_path(t, c);
	explain_text_say(t, ". Otherwise make the router send from the configured address: local_addrs = %s",
			 endpoint->family == ADDR_NONE ? "CUSTOMER_ENDPOINT" : addr_format(endpoint, b));
}

static void change_nothing_by_setting(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "No setting makes such a message: update the router's IPsec software");
	if (c->f->stage == MODEL_STAGE_SA_INIT) /* later ones are under an integrity check */
		explain_text_say(t, ", or look for a device on the way that changes packets");
	else
		explain_text_say(t, " (nothing on the way has changed it: its integrity check held)");
}

static void change_restart(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "The pre-shared key has no part in this. Start the tunnel again at the router: swanctl --terminate "
			    "--ike NAME, then swanctl --initiate --child NAME. If it comes back, a device on the way "
			    "changes packets, or the router computes wrong keys: try another proposal: ");
	say_ike_proposals(t, c);
}

static void change_esp_proposals(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's child section set one of the allowed phase 2 proposals: ");
	say_esp_proposals(t, c);
}

static void change_pfs(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's child section name an allowed PFS group, or none: ");
	say_esp_proposals(t, c);
	explain_text_say(t, ". A tunnel comes up without this group and fails at its first rekey");
}

static void change_null(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's child section switch encryption on: ");
	say_esp_proposals(t, c);
	explain_text_say(t, ". Only if the traffic may go unencrypted, allow it here: PUT ");
	say_tunnel_path(t, c);
	explain_text_say(t, " {\"allow_null_cipher\": true}");
}

static void change_esn(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "In the router's child section switch extended sequence numbers off: "
			    "esp_proposals = %s-%s. Or allow them here: PUT ",
			 best_word(MODEL_PHASE_CHILD, IKE_TT_ENCR, true), best_word(MODEL_PHASE_CHILD, IKE_TT_ESN, false));
	say_tunnel_path(t, c);
	explain_text_say(t, " {\"replay_protection\": true, \"onramp\": {\"esn\": true}}");
}

static void change_mode(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "In the router's child section use tunnel mode: mode = tunnel");
}

static void change_selectors(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "In the router's child section set: local_ts = 0.0.0.0/0 and remote_ts = "
			    "0.0.0.0/0 (routes decide what goes through the tunnel); for IPv6 inside, ::/0 "
			    "on both sides in a second child");
}

static void change_children(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Use one child for all networks instead of one for each: local_ts = 0.0.0.0/0 "
			    "and remote_ts = 0.0.0.0/0");
}

static void change_port(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Switch NAT traversal on at the router, or let it start on UDP 4500: local_port "
			    "= 4500 and remote_port = 4500; a firewall before the router must pass UDP 4500");
}

static void change_marker(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "The router must start on UDP 500 (remove local_port and remote_port), or put "
			    "the 4 zero bytes of RFC 3948 before each IKE message on UDP 4500");
}

static void change_firewall(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Let UDP 4500 pass between the router and ");
	say_gateway(t, c);
	explain_text_say(t, " in both directions (behind NAT the second message moves there), and IP "
			    "fragments too; the router's own log says if it gave up by itself");
}

/* Which way the message that did not come would have taken. */
static void change_half_open(struct explain_text *t, const struct explain_case *c)
{
	if (c->f->local.port != IKE_PORT) {
		change_firewall(t, c);
		return;
	}
	explain_text_say(t, "The router's own log says if it gave up by itself, or did not take the gateway's answer. If it did "
			    "send IKE_AUTH, that is longer than the first message, and a device on the way drops IP "
			    "fragments: let them pass to UDP 500 of ");
	say_gateway(t, c);
	explain_text_say(t, ", or have IKE make smaller ones: fragmentation = yes in the connection");
}

static void change_answers(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Let UDP 500 pass from ");
	say_gateway(t, c);
	explain_text_say(t, " back to the router: a firewall or NAT before it takes the answers away. With UDP 500 "
			    "closed start on 4500: local_port = 4500 and remote_port = 4500");
}

static void change_fragments(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Make the fragments smaller (strongswan.conf: charon.fragment_size = 1200), and look for a "
			    "device on the way that drops some of several datagrams sent at once");
}

static void change_childless(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Let the router start its child: start_action = start in the child section; its log says "
			    "if it refused the gateway's answer");
}

static void change_flapping(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Keep the NAT's entry alive (strongswan.conf: charon.keep_alive = 20s), raise the NAT "
			    "device's time-out for UDP, and let the router use one uplink: local_addrs = ADDRESS");
}

static void change_loop(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "The router's log says why it starts again; often two of its connections use this "
			    "tunnel's identity, or it re-authenticates: reauth_time = 0 and dpd_delay = 30s in the "
			    "connection");
}

static void change_turns(struct explain_text *t, const struct explain_case *c)
{
	const struct model_id *account = &c->f->account_id;
	char text[MODEL_ID_TEXT_MAX];

	explain_text_say(t, "Stop one of the two routers, or give each a tunnel and identity of its own: POST "
			    "/accounts/%s/magic/ipsec_tunnels", model_id_is_zero(account) ? "ACCOUNT"
								     : model_id_text(account, text));
}

static void change_no_esp(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Let ESP (IP protocol 50, or UDP 4500 behind NAT) pass from the router to ");
	say_gateway(t, c);
	explain_text_say(t, ", or have it put into UDP: encap = yes in the connection. If nothing stops it, the "
			    "router does not route into the tunnel, or the traffic goes one way by nature");
}

static void change_one_way(struct explain_text *t, const struct explain_case *c)
{
	const struct model_id *account = &c->f->account_id;
	char text[MODEL_ID_TEXT_MAX];

	explain_text_say(t, "Make a route to the networks behind the router: POST /accounts/%s/magic/routes, and see that "
			    "the hosts behind the gateway answer through it; nothing, if the traffic goes one way by "
			    "nature", model_id_is_zero(account) ? "ACCOUNT" : model_id_text(account, text));
}

static void change_replay(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Switch the anti-replay check of the router off: replay_window = 0 in the child section; "
			    "packets of several threads and nodes come out of their order. It is a sign and no "
			    "proof: the router's own counter of replayed packets can prove it");
}

static void change_liveness(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Check that the router runs and reaches ");
	say_gateway(t, c);
	explain_text_say(t, "; so that it comes back by itself set: dpd_delay = 30s in the connection, "
			    "dpd_action = restart and start_action = start in the child");
}

static void change_if_unwanted(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Nothing, if the tunnel was stopped on purpose; else let the router start it "
			    "again by itself: close_action = start in the child");
}

static void change_if_repeated(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Nothing, if the router was restarted; if this repeats, two routers use the same "
			    "identity");
}

static void change_after_edit(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Nothing, if the change was meant: the router starts again with the new values. "
			    "They are at ");
	say_tunnel_path(t, c);
}

static void change_lifetime(struct explain_text *t, const struct explain_case *c)
{
	explain_text_say(t, "Let the router rekey earlier than the limit here, which is "
			    "onramp.ike_lifetime of ");
	say_tunnel_path(t, c);
	explain_text_say(t, " (86400 by default): rekey_time = 4h");
}

static void change_no_answer(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Check the gateway's address and that UDP 500 and 4500 pass in both directions");
}

static void change_start_offer(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Allow one of the documented phase 1 proposals on the gateway");
}

static void change_auth_refused(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Compare identity and pre-shared key on both sides; the gateway keeps the exact cause");
}

static void change_wrong_gateway(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Set the gateway's identity as it sends it, if this is the right gateway");
}

static void change_refused(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "The number is the IKEv2 notify by which it said no; its own log has the cause");
}

static void change_forbidden(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Allow NAT traversal on the router, or take the NAT out of the way");
}

static void change_move_refused(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Clear customer_endpoint at the gateway where the peer may have any address, or set it to the new one");
}

static void change_moved(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "Nothing: it starts again from the new address. With MOBIKE on both sides it would not have to");
}

static void change_unknown(struct explain_text *t, const struct explain_case *c)
{
	(void)c;
	explain_text_say(t, "A newer version of this program wrote the record; read it with that one");
}

/* ---- the table ---- */

#define OFFERED "it offered"
#define SAID "it said"
#define ALLOWED "allowed is"
#define NEAR "the nearest tunnel is known as"
#define KNOWN "what is known:"

static const struct explain_advice advices[] = {
#define ROW(code, side, offered, allowed_lead, allowed, change) \
	[MODEL_FAILURE_##code] = { EXPLAIN_SIDE_##side, offered, allowed_lead, allowed, change }
	ROW(NO_PROPOSAL_IKE, PEER, OFFERED, ALLOWED, allowed_in_phase_1, change_ike_proposals),
	ROW(NO_ENCR_IKE, PEER, OFFERED, ALLOWED, allowed_in_phase_1, change_ike_proposals),
	ROW(NO_INTEG_IKE, PEER, OFFERED, ALLOWED, allowed_in_phase_1, change_ike_proposals),
	ROW(NO_PRF_IKE, PEER, OFFERED, ALLOWED, allowed_in_phase_1, change_ike_proposals),
	ROW(NO_GROUP_IKE, PEER, OFFERED, ALLOWED, allowed_ike_groups, change_ike_group),
	ROW(WRONG_GROUP, PEER, "it sent a key for", "the group chosen "
						    "is", allowed_ike_groups, change_chosen_group),
	ROW(BAD_KE, PEER, "it sent", ALLOWED, NULL, change_ke),
	ROW(PROFILE, EITHER, "the suite was", "the tunnel has", NULL, change_profile),
	ROW(IKEV1, PEER, "it sent", ALLOWED, allowed_version, change_version),
	ROW(UNKNOWN_IDENTITY, PEER, SAID, ALLOWED, allowed_identities, change_identity),
	ROW(IDENTITY_TYPO, PEER, SAID, NEAR, allowed_near, change_identity),
	ROW(IDENTITY_ACCOUNT, PEER, SAID, NEAR, allowed_near, change_identity),
	ROW(IDENTITY_FORM, PEER, SAID, NEAR, allowed_near, change_identity),
	ROW(IDENTITY_DOMAIN, PEER, SAID, NEAR, allowed_near, change_identity),
	ROW(IDENTITY_ADDRESS, EITHER, SAID, ALLOWED, allowed_identities, change_identity),
	ROW(TUNNEL_DELETED, PEER, SAID, ALLOWED, NULL, change_deleted),
	ROW(NO_PSK, GATEWAY, SAID, ALLOWED, NULL, change_missing_psk),
	ROW(WRONG_PSK, PEER, SAID, ALLOWED, NULL, change_psk),
	ROW(PREVIOUS_PSK, PEER, SAID, ALLOWED, NULL, change_old_psk),
	ROW(PSK_BLANK, PEER, "it has", ALLOWED, NULL, change_blank),
	ROW(EAP, PEER, OFFERED, ALLOWED, allowed_auth, change_auth),
	ROW(NOT_PSK, PEER, OFFERED, ALLOWED, allowed_auth, change_auth),
	ROW(WRONG_ENDPOINT, PEER, "it came to", "the tunnel's is", NULL, change_endpoint),
	ROW(WRONG_PEER_ADDRESS, EITHER, "it came from", "the tunnel's is", NULL, change_peer_address),
	ROW(BAD_MESSAGE, PEER, "it sent", ALLOWED, NULL, change_nothing_by_setting),
	ROW(DECRYPT, PEER, "it sent", ALLOWED, NULL, change_restart),
	ROW(NO_PROPOSAL_CHILD, PEER, OFFERED, ALLOWED, allowed_in_phase_2, change_esp_proposals),
	ROW(NO_ENCR_CHILD, PEER, OFFERED, ALLOWED, allowed_in_phase_2, change_esp_proposals),
	ROW(NO_INTEG_CHILD, PEER, OFFERED, ALLOWED, allowed_in_phase_2, change_esp_proposals),
	ROW(NO_PFS_GROUP, PEER, OFFERED, ALLOWED, allowed_pfs_groups, change_pfs),
	ROW(NULL_NOT_ALLOWED, PEER, OFFERED, ALLOWED, allowed_in_phase_2, change_null),
	ROW(ESN_ONLY, PEER, OFFERED, ALLOWED, allowed_esn, change_esn),
	ROW(TRANSPORT_MODE, PEER, OFFERED, ALLOWED, allowed_mode, change_mode),
	ROW(TS_UNACCEPTABLE, PEER, OFFERED, ALLOWED, NULL, change_selectors),
	ROW(TOO_MANY_CHILDREN, PEER, OFFERED, "the limit is", NULL, change_children),
	ROW(WRONG_PORT, PEER, "it sent", "it has to move to", allowed_port, change_port),
	ROW(NO_MARKER, PEER, "it sent", ALLOWED, allowed_marker, change_marker),
	ROW(NO_CHILD, PEER, KNOWN, ALLOWED, NULL, change_childless),
	ROW(PORT_4500, PEER, KNOWN, "it has to move to", allowed_port, change_firewall),
	ROW(NAT_FLAPPING, PEER, KNOWN, ALLOWED, NULL, change_flapping),
	ROW(ANSWER_LOST, PEER, KNOWN, ALLOWED, NULL, change_answers),
	ROW(FRAGMENTS_LOST, PEER, KNOWN, ALLOWED, NULL, change_fragments),
	ROW(RESTART_LOOP, PEER, KNOWN, ALLOWED, NULL, change_loop),
	ROW(TWO_PEERS, PEER, KNOWN, ALLOWED, NULL, change_turns),
	ROW(NO_ESP, EITHER, KNOWN, ALLOWED, NULL, change_no_esp),
	ROW(ESP_STOPPED, EITHER, KNOWN, ALLOWED, NULL, change_no_esp),
	ROW(ONE_WAY, EITHER, KNOWN, ALLOWED, NULL, change_one_way),
	ROW(ANTI_REPLAY, PEER, KNOWN, ALLOWED, NULL, change_replay),
	ROW(HALF_OPEN_TIMEOUT, PEER, KNOWN, ALLOWED, NULL, change_half_open),
	ROW(NAT_FORBIDDEN, PEER, KNOWN, ALLOWED, NULL, change_forbidden),
	ROW(MOVE_REFUSED, EITHER, KNOWN, ALLOWED, NULL, change_move_refused),
	ROW(MOVED, NONE, KNOWN, ALLOWED, NULL, change_moved),
	ROW(LIVENESS, PEER, KNOWN, ALLOWED, NULL, change_liveness),
	ROW(PEER_DELETED, NONE, KNOWN, ALLOWED, NULL, change_if_unwanted),
	ROW(REPLACED, NONE, KNOWN, ALLOWED, NULL, change_if_repeated),
	ROW(CONFIG_REMOVED, NONE, KNOWN, ALLOWED, NULL, change_after_edit),
	ROW(EXPIRED, PEER, KNOWN, ALLOWED, NULL, change_lifetime),
	ROW(NO_ANSWER, EITHER, KNOWN, ALLOWED, NULL, change_no_answer),
	ROW(START_NO_PROPOSAL, EITHER, SAID, ALLOWED, NULL, change_start_offer),
	ROW(START_REFUSED, PEER, SAID, ALLOWED, NULL, change_refused),
	ROW(AUTH_REFUSED, EITHER, SAID, ALLOWED, NULL, change_auth_refused),
	ROW(WRONG_GATEWAY, EITHER, "it calls itself", ALLOWED, NULL, change_wrong_gateway),
	ROW(CHILD_REFUSED, EITHER, SAID, ALLOWED, NULL, change_refused),
	ROW(REKEY_REFUSED, PEER, SAID, ALLOWED, NULL, change_refused),
#undef ROW
};
_Static_assert(ARRAY_LEN(advices) == MODEL_FAILURE_CNT, "a failure code without advice");

const struct explain_advice *explain_advice_find(uint8_t code)
{
	static const struct explain_advice unknown = {
		EXPLAIN_SIDE_NONE, OFFERED, ALLOWED, NULL, change_unknown,
	};
	return code < MODEL_FAILURE_CNT ? &advices[code] : &unknown;
}
