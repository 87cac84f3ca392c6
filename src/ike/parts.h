// What exchanges are made of and what knows of no step: keys, the choice of a suite, cookies, NAT detection, selectors.
// Inside ike/ only; any thread, pure. RFC 7296; the sections stand below.
#pragma once

#include "crypt/prf.h"
#include "ike/step.h"
#include "wire/ike.h"

/* ---- keys.c: RFC 7296 2.14, 2.15, 2.17, 2.18 ---- */

MUST_USE enum err ike_keys_of_init(const struct model_suite *suite, struct bytes ni, struct bytes nr,
				   struct bytes dh_secret, uint64_t spi_i, uint64_t spi_r, struct ike_keys *ret);
MUST_USE enum err ike_keys_of_rekey(const struct ike_sa *old, const struct model_suite *suite, struct bytes ni,
				    struct bytes nr, struct bytes dh_secret, uint64_t spi_i, uint64_t spi_r,
				    struct ike_keys *ret);
/* dh_secret is empty without PFS. ret_i: keys of what the initiator of this exchange sends. */
MUST_USE enum err ike_keys_of_child(const struct ike_sa *sa, const struct model_suite *suite, struct bytes ni,
				    struct bytes nr, struct bytes dh_secret, struct model_child_keys *ret_i,
				    struct model_child_keys *ret_r);
/* prf(prf(psk, "Key Pad for IKEv2"), message | nonce | prf(sk_p, id_rest)) */
MUST_USE enum err ike_keys_auth(uint16_t prf, struct bytes psk, struct bytes message, struct bytes nonce,
				struct bytes sk_p, struct bytes id_rest, uint8_t ret[static CRYPT_PRF_LEN_MAX]);

/* ---- select.c: RFC 7296 2.7, 3.3.6 ---- */

/* What to do with the Diffie-Hellman transforms of a proposal. */
enum ike_ke_rule {
	IKE_KE_NEEDED,   /* IKE SA: one group must be chosen */
	IKE_KE_OPTIONAL, /* CREATE_CHILD_SA: PFS or not */
	IKE_KE_IGNORED,  /* IKE_AUTH: there is no KE payload (RFC 7296 1.2) */
};

struct ike_ask {
	enum model_phase phase;
	enum ike_ke_rule ke_rule;
	uint16_t ke_group;  /* of the KE payload, NONE: there is none */
	uint8_t spi_len;    /* 0, 4 or 8: what the proposal must carry */
	uint8_t profiles;   /* MODEL_PROFILE_BIT of those that the tunnel may have, 0: the default one */
	uint8_t opt_ins;    /* enum model_opt_in: what the tunnel allows */
	uint32_t rows;      /* of model_transforms, 0: all */
};

struct ike_choice {
	struct model_suite suite;
	struct wire_ike_proposal answer; /* number, protocol, the chosen transforms; spi is the peer's */
	uint64_t peer_spi;
	bool wrong_ke;      /* the KE payload is for another group than suite.group: INVALID_KE_PAYLOAD */
};

/* What the tunnel allowed when the SA was made; enum model_opt_in. */
uint8_t ike_opt_ins(const struct ike_sa *sa);

/* True with *ret filled, or false with the failure code. */
bool ike_select(const struct wire_ike_sa *offer, const struct ike_ask *ask, struct ike_choice *ret,
		enum model_failure_code *ret_code);

/* The texts of a refusal: what was offered, what would have been taken. */
void ike_select_explain(const struct wire_ike_sa *offer, const struct ike_ask *ask, enum model_failure_code code,
			struct model_failure *f);
void ike_select_explain_profile(const struct model_suite *chosen, enum model_profile profile, struct model_failure *f);
/* What we offered ourselves, where the peer took none of it. */
void ike_select_explain_own(enum model_phase phase, const struct ike_sa *sa, uint32_t rows, bool with_group,
			    struct model_failure *f);
/* The rows that the SA's tunnel may be negotiated with, 0: all of its profile. */
uint32_t ike_rows(const struct ike_world *world, const struct ike_sa *sa, enum model_phase phase);

/* ---- offer.c: what we offer where we start ---- */

struct ike_offer {
	enum model_phase phase;
	uint8_t profile;     /* enum model_profile */
	uint8_t opt_ins;     /* enum model_opt_in */
	uint32_t rows;       /* of model_transforms, 0: all */
	uint16_t ke_group;   /* of our KE payload; NONE: without PFS, or in IKE_AUTH */
	struct bytes spi;    /* ours: 0, 4 or 8 bytes */
};

bool ike_offer_has_group(const struct ike_offer *o, uint16_t group);
uint16_t ike_offer_first_group(const struct ike_offer *o);
/* With PFS also the same without a group, behind. */
void ike_offer_build(const struct ike_offer *o, struct wire_ike_sa *ret);
/* The peer's SA payload as an answer to that offer; *ret_spi is the peer's. */
bool ike_offer_take(const struct ike_offer *o, struct bytes sa_payload, struct model_suite *ret, uint64_t *ret_spi);

/* ---- cookie.c: RFC 7296 2.6 ---- */

#define IKE_COOKIE_LEN 9
void ike_cookie_make(const struct ike_world *world, struct bytes ni, const struct addr *remote, uint64_t spi_i,
		     uint8_t ret[static IKE_COOKIE_LEN]);
bool ike_cookie_check(const struct ike_world *world, struct bytes cookie, struct bytes ni,
		      const struct addr *remote, uint64_t spi_i);

/* ---- natd.c: RFC 7296 2.23 ---- */

MUST_USE enum err ike_natd_hash(uint64_t spi_i, uint64_t spi_r, const struct addr_endpoint *e,
				uint8_t ret[static 20]);
struct ike_natd {
	bool present;
	bool nat_peer, nat_local;
};
MUST_USE enum err ike_natd_judge(const struct wire_ike_payloads *in, const struct wire_ike_header *h,
				 const struct ike_event *ev, struct ike_natd *ret);
/* Keeps where the peer sees us. True: elsewhere than before (RFC 4555 3.8). */
bool ike_natd_seen_as(const struct wire_ike_payloads *in, uint8_t seen_as[static 20]);
/* Both notifies for a message from local to remote; ERR_CRYPTO leaves b as it was. */
MUST_USE enum err ike_natd_put(struct wire_ike_builder *b, uint64_t spi_i, uint64_t spi_r,
			       const struct addr_endpoint *local, const struct addr_endpoint *remote);

/* ---- ts.c: RFC 7296 2.9 ---- */

/* The peer's selectors narrowed to ours (any to any). False: nothing is left. */
bool ike_ts_narrow(const struct wire_ike_tss *tsi, const struct wire_ike_tss *tsr, struct ike_ts_lists *ret);
void ike_ts_put(struct wire_ike_builder *b, uint8_t payload, const struct model_ts *ts, uint8_t cnt);
void ike_ts_text(const struct wire_ike_tss *tss, const char *name, char *text, size_t cap);
/* Our own two lists. */
void ike_ts_lists_text(const struct ike_ts_lists *ts, char *text, size_t cap);
