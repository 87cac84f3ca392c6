// A failure record: one fact about why a handshake or a tunnel failed, before words are made of it.
// Any thread; plain values. explain/ turns it into a verdict.
#pragma once

#include "base/addr.h"
#include "model/id.h"
#include "model/identity.h"

enum model_stage { MODEL_STAGE_SA_INIT, MODEL_STAGE_AUTH, MODEL_STAGE_CHILD, MODEL_STAGE_LIVE, MODEL_STAGE_DATA };

/* code name (stable, for programs), short text */
#define MODEL_FAILURE_LIST(X)                                                                              \
	X(NO_PROPOSAL_IKE, "ike.no_proposal", "no phase 1 proposal of the peer is allowed")                \
	X(NO_ENCR_IKE, "ike.no_encr", "no phase 1 encryption of the peer is allowed")                      \
	X(NO_INTEG_IKE, "ike.no_integ", "no phase 1 integrity algorithm of the peer is allowed")           \
	X(NO_PRF_IKE, "ike.no_prf", "no pseudo-random function (PRF) of the peer is allowed")              \
	X(NO_GROUP_IKE, "ike.no_group", "no Diffie-Hellman group of the peer is allowed")                  \
	X(WRONG_GROUP, "ike.wrong_group", "the peer sent its key for another group than the one chosen")   \
	X(BAD_KE, "ike.bad_key_exchange", "the peer's Diffie-Hellman value is not valid")                  \
	X(PROFILE, "ike.profile", "the phase 1 algorithms are not those of the tunnel's profile")          \
	X(IKEV1, "ike.ikev1", "the peer speaks IKEv1")                                                     \
	X(BAD_MESSAGE, "ike.bad_message", "a message of the peer is not well formed")                      \
	X(DECRYPT, "ike.decrypt", "a message of the peer could not be decrypted")                          \
	X(ANSWER_LOST, "ike.answer_lost", "the peer repeats its first message, the answers do not reach it") \
	X(HALF_OPEN_TIMEOUT, "ike.half_open_timeout", "the peer started but never came back with IKE_AUTH") \
	X(FRAGMENTS_LOST, "ike.fragments_lost", "a message of the peer came in fragments, and not all of them") \
	X(UNKNOWN_IDENTITY, "auth.unknown_identity", "no tunnel has the identity that the peer sent")      \
	X(IDENTITY_TYPO, "auth.identity_typo", "the peer's identity is nearly that of a tunnel")           \
	X(IDENTITY_ACCOUNT, "auth.identity_account", "the peer's identity names a tunnel under another account") \
	X(IDENTITY_FORM, "auth.identity_form", "the peer's identity names a tunnel in the wrong form or type") \
	X(IDENTITY_DOMAIN, "auth.identity_domain", "the peer's identity names a tunnel under another domain") \
	X(IDENTITY_ADDRESS, "auth.identity_address", "the peer names itself by an address that is not one tunnel's own") \
	X(TUNNEL_DELETED, "auth.tunnel_deleted", "the peer's identity is that of a tunnel that was deleted here") \
	X(NO_PSK, "auth.no_psk", "the tunnel has no pre-shared key yet")                                   \
	X(WRONG_PSK, "auth.wrong_psk", "the peer's pre-shared key is another one")                         \
	X(PREVIOUS_PSK, "auth.previous_psk", "the peer still uses the previous pre-shared key")            \
	X(PSK_BLANK, "auth.psk_blank", "the peer's pre-shared key differs by a blank or line end only")    \
	X(NOT_PSK, "auth.not_psk", "the peer wants certificates or another method, not the key")                                     \
	X(EAP, "auth.eap", "the peer wants EAP")                                                           \
	X(WRONG_ENDPOINT, "auth.wrong_endpoint", "the peer came to another gateway address than the tunnel's") \
	X(WRONG_PEER_ADDRESS, "auth.wrong_peer_address", "the peer's address is not the tunnel's customer_endpoint") \
	X(NO_PROPOSAL_CHILD, "child.no_proposal", "phase 1 is up, but no phase 2 proposal of the peer is allowed") \
	X(NO_ENCR_CHILD, "child.no_encr", "phase 1 is up, but no phase 2 encryption of the peer is allowed") \
	X(NO_INTEG_CHILD, "child.no_integ", "phase 1 is up, but no phase 2 integrity algorithm of the peer is allowed") \
	X(NO_PFS_GROUP, "child.no_pfs_group", "the PFS group of the peer is not allowed")                  \
	X(NULL_NOT_ALLOWED, "child.null_not_allowed", "the peer offers only NULL encryption")              \
	X(ESN_ONLY, "child.esn_only", "the peer insists on extended sequence numbers")                     \
	X(TRANSPORT_MODE, "child.transport_mode", "the peer wants transport mode")                         \
	X(TS_UNACCEPTABLE, "child.selectors", "the peer's traffic selectors do not fit")                   \
	X(TOO_MANY_CHILDREN, "child.too_many", "the tunnel has as many Child SAs as it may")               \
	X(NO_CHILD, "child.none", "phase 1 is up, but the peer has no phase 2 with us")                    \
	X(WRONG_PORT, "natt.wrong_port", "the peer is behind NAT and stays on UDP 500")                    \
	X(NO_MARKER, "natt.no_marker", "IKE without the non-ESP marker came to UDP 4500")                  \
	X(PORT_4500, "natt.port_4500", "UDP 500 passes, but nothing of the peer comes to UDP 4500")        \
	X(NAT_FLAPPING, "natt.flapping", "the NAT of the peer changes its address or port again and again") \
	X(NAT_FORBIDDEN, "natt.forbidden", "the peer forbids NAT, and there is one on the way")            \
	X(LIVENESS, "live.timeout", "the peer no longer answers")                                          \
	X(PEER_DELETED, "live.peer_deleted", "the peer deleted the IKE SA")                                \
	X(REPLACED, "live.replaced", "the peer started again, the former IKE SA was replaced")             \
	X(RESTART_LOOP, "live.restart_loop", "the peer starts again and again")                            \
	X(TWO_PEERS, "live.two_peers", "two peers take the tunnel from each other")                        \
	X(CONFIG_REMOVED, "live.config_removed", "the tunnel was deleted or changed here")                 \
	X(MOVE_REFUSED, "live.move_refused", "the move to another address was refused")                   \
	X(MOVED, "live.moved", "our own address changed, and the peer cannot follow")                      \
	X(EXPIRED, "live.expired", "the IKE SA reached its lifetime without a rekey")                      \
	X(NO_ANSWER, "start.no_answer", "the gateway does not answer")                                     \
	X(START_NO_PROPOSAL, "start.no_proposal", "the gateway takes none of our phase 1 proposals")        \
	X(START_REFUSED, "start.refused", "the gateway refused our first message")                         \
	X(AUTH_REFUSED, "start.auth_refused", "the gateway refused our identity or pre-shared key")        \
	X(WRONG_GATEWAY, "start.wrong_gateway", "the gateway has another identity than the one expected")  \
	X(CHILD_REFUSED, "child.refused", "the peer refused the Child SA that we asked for")                \
	X(REKEY_REFUSED, "live.rekey_refused", "the peer refused our rekey")            \
	X(NO_ESP, "data.no_esp", "the tunnel is up, but no ESP of the peer arrives")                       \
	X(ESP_STOPPED, "data.esp_stopped", "ESP of the peer no longer arrives, although it answers in IKE") \
	X(ONE_WAY, "data.one_way", "ESP of the peer arrives, but nothing goes back to it")                 \
	X(ANTI_REPLAY, "data.anti_replay", "signs that the peer's anti-replay check drops what we send")

#define MODEL_FAILURE_ENUM(name, code, text) MODEL_FAILURE_##name,
enum model_failure_code { MODEL_FAILURE_LIST(MODEL_FAILURE_ENUM) MODEL_FAILURE_CNT };
#undef MODEL_FAILURE_ENUM

#define MODEL_FAILURE_DETAIL_MAX 512
#define MODEL_OFFER_MAX 64 /* transforms of an offer that are kept */
#define MODEL_ALLOW_MAX 32

/* A transform that was offered in a proposal, or that is allowed (proposal 0). */
struct model_offered {
	uint8_t proposal; /* number, from 1 */
	uint8_t type;     /* enum ike_transform_type */
	uint16_t id, key_bits;
};

struct model_failure {
	uint8_t code;   /* enum model_failure_code */
	uint8_t stage;  /* enum model_stage */
	struct model_id account_id, tunnel_id; /* zero: belongs to no tunnel */
	struct addr_endpoint local, remote;
	char identity[MODEL_IDENTITY_TEXT_MAX]; /* what the peer sent, "" if not known */
	char offered[MODEL_FAILURE_DETAIL_MAX]; /* the peer's offer or value, in words */
	char allowed[MODEL_FAILURE_DETAIL_MAX]; /* what would have been taken */
	/* of a refused offer, to be compared transform by transform; both empty otherwise */
	uint8_t offer_cnt, allow_cnt;
	struct model_offered offer[MODEL_OFFER_MAX], allow[MODEL_ALLOW_MAX];
	/* of an unknown identity: the tunnel that was probably meant, zero: none is close */
	struct model_id near_account_id, near_tunnel_id;
	uint32_t near_account_number;
	uint64_t first_us, last_us;
	uint64_t over_us; /* since when the cause is known to be gone, 0: that is not known */
	uint32_t cnt;
};

#define MODEL_FAILURE_RECORD_MAX 2560

/* The same thing happened again: history and its records count it instead of listing it twice. */
static inline bool model_failure_same(const struct model_failure *a, const struct model_failure *b)
{
	return a->code == b->code && strcmp(a->identity, b->identity) == 0;
}

const char *model_failure_code_name(uint8_t code);
const char *model_failure_text(uint8_t code);
const char *model_stage_name(uint8_t stage);

MUST_USE enum err model_failure_encode(const struct model_failure *f, struct wr *w);
MUST_USE enum err model_failure_decode(struct bytes record, struct model_failure *ret);
