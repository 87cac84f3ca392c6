// A failure record: one fact about why a handshake or a tunnel failed, before words are made of it.
// Any thread; plain values. explain/ turns it into a verdict.
#pragma once

#include "base/addr.h"
#include "model/id.h"
#include "model/identity.h"

enum model_stage { MODEL_STAGE_SA_INIT, MODEL_STAGE_AUTH, MODEL_STAGE_CHILD, MODEL_STAGE_LIVE, MODEL_STAGE_DATA };

/* code name (stable, for programs), stage at which it is met most, short text */
#define MODEL_FAILURE_LIST(X)                                                                              \
	X(NO_PROPOSAL_IKE, "ike.no_proposal", "no phase 1 proposal of the peer is allowed")                \
	X(NO_GROUP_IKE, "ike.no_group", "no Diffie-Hellman group of the peer is allowed")                   \
	X(WRONG_GROUP, "ike.wrong_group", "the peer sent its key for another group than the one chosen")    \
	X(BAD_KE, "ike.bad_key_exchange", "the peer's Diffie-Hellman value is not valid")                  \
	X(PROFILE, "ike.profile", "the phase 1 algorithms are not those of the tunnel's profile")          \
	X(IKEV1, "ike.ikev1", "the peer speaks IKEv1")                                                     \
	X(UNKNOWN_IDENTITY, "auth.unknown_identity", "no tunnel has the identity that the peer sent")      \
	X(NO_PSK, "auth.no_psk", "the tunnel has no pre-shared key yet")                                   \
	X(WRONG_PSK, "auth.wrong_psk", "the peer's pre-shared key is another one")                         \
	X(PREVIOUS_PSK, "auth.previous_psk", "the peer still uses the previous pre-shared key")            \
	X(NOT_PSK, "auth.not_psk", "the peer wants certificates or EAP")                                   \
	X(WRONG_ENDPOINT, "auth.wrong_endpoint", "the peer came to another gateway address than the tunnel's") \
	X(WRONG_PEER_ADDRESS, "auth.wrong_peer_address", "the peer's address is not the tunnel's customer_endpoint") \
	X(BAD_MESSAGE, "ike.bad_message", "a message of the peer is not well formed")                      \
	X(DECRYPT, "ike.decrypt", "a message of the peer could not be decrypted")                          \
	X(NO_PROPOSAL_CHILD, "child.no_proposal", "no phase 2 proposal of the peer is allowed")            \
	X(NO_PFS_GROUP, "child.no_pfs_group", "the PFS group of the peer is not allowed")                  \
	X(NULL_NOT_ALLOWED, "child.null_not_allowed", "the peer offers only NULL encryption")              \
	X(ESN_ONLY, "child.esn_only", "the peer insists on extended sequence numbers")                     \
	X(TRANSPORT_MODE, "child.transport_mode", "the peer wants transport mode")                         \
	X(TS_UNACCEPTABLE, "child.selectors", "the peer's traffic selectors do not fit")                   \
	X(TOO_MANY_CHILDREN, "child.too_many", "the tunnel has as many Child SAs as it may")               \
	X(WRONG_PORT, "natt.wrong_port", "the peer is behind NAT and stays on UDP 500")                    \
	X(NO_MARKER, "natt.no_marker", "IKE without the non-ESP marker came to UDP 4500")                  \
	X(HALF_OPEN_TIMEOUT, "ike.half_open_timeout", "the peer started but never came back with IKE_AUTH") \
	X(LIVENESS, "live.timeout", "the peer no longer answers")                                          \
	X(PEER_DELETED, "live.peer_deleted", "the peer deleted the IKE SA")                                \
	X(REPLACED, "live.replaced", "the peer started again, the former IKE SA was replaced")             \
	X(CONFIG_REMOVED, "live.config_removed", "the tunnel was deleted or changed here")                 \
	X(EXPIRED, "live.expired", "the IKE SA reached its lifetime without a rekey")                       \
	X(NO_ANSWER, "start.no_answer", "the gateway does not answer")                                     \
	X(START_NO_PROPOSAL, "start.no_proposal", "the gateway takes none of our phase 1 proposals")        \
	X(START_REFUSED, "start.refused", "the gateway refused our first message")                         \
	X(AUTH_REFUSED, "start.auth_refused", "the gateway refused our identity or pre-shared key")        \
	X(WRONG_GATEWAY, "start.wrong_gateway", "the gateway has another identity than the one expected")  \
	X(CHILD_REFUSED, "child.refused", "the peer refused the Child SA that we asked for")                \
	X(REKEY_REFUSED, "live.rekey_refused", "the peer refused our rekey")

#define MODEL_FAILURE_ENUM(name, code, text) MODEL_FAILURE_##name,
enum model_failure_code { MODEL_FAILURE_LIST(MODEL_FAILURE_ENUM) MODEL_FAILURE_CNT };
#undef MODEL_FAILURE_ENUM

#define MODEL_FAILURE_DETAIL_MAX 512

struct model_failure {
	uint8_t code;   /* enum model_failure_code */
	uint8_t stage;  /* enum model_stage */
	struct model_id account_id, tunnel_id; /* zero: belongs to no tunnel */
	struct addr_endpoint local, remote;
	char identity[MODEL_IDENTITY_TEXT_MAX]; /* what the peer sent, "" if not known */
	char offered[MODEL_FAILURE_DETAIL_MAX]; /* the peer's offer or value, in words */
	char allowed[MODEL_FAILURE_DETAIL_MAX]; /* what would have been taken */
	uint64_t first_us, last_us;
	uint32_t cnt;
};

#define MODEL_FAILURE_RECORD_MAX 2048

const char *model_failure_code_name(uint8_t code);
const char *model_failure_text(uint8_t code);
const char *model_stage_name(uint8_t stage);

MUST_USE enum err model_failure_encode(const struct model_failure *f, struct wr *w);
MUST_USE enum err model_failure_decode(struct bytes record, struct model_failure *ret);
