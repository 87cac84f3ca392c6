// The IKE SA as a record: one flat value with everything that is needed to go on with it, no pointer inside.
// Any thread; plain values. RFC 7296 2; design section 2.
//
// A record is changed only by ike_sa_step, which computes a new one from the old; whoever keeps the
// record commits the new one, then acts. Half-open state (struct ike_half) lives in memory alone.
#pragma once

#include "base/addr.h"
#include "crypt/suite.h"
#include "model/id.h"
#include "model/identity.h"
#include "model/sa.h"

#define IKE_MESSAGE_MAX 8192   /* the longest datagram that is looked at */
#define IKE_REPLY_MAX 2560     /* the longest message that we send, all its fragments together */
#define IKE_CHILDREN_MAX 128   /* Child SAs of one IKE SA, old ones in a rekey included */
#define IKE_ID_MAX 256         /* of an ID payload's data */
#define IKE_NONCE_LEN 32       /* ours: half the longest PRF (RFC 7296 2.10) */
#define IKE_NONCE_MAX 256
#define IKE_INIT_MAX 2048      /* the longest IKE_SA_INIT message that is kept for AUTH */

enum ike_role { IKE_RESPONDER = 0, IKE_INITIATOR = 1 };

/* HALF_OPEN exists in struct ike_half only. REKEYED: replaced by a new IKE SA, waits for the peer's Delete.
 * CLOSED: gone, kept a while so that a repeated Delete is answered alike. */
enum ike_state { IKE_STATE_HALF_OPEN, IKE_STATE_ESTABLISHED, IKE_STATE_REKEYED, IKE_STATE_CLOSED };

/* SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr (RFC 7296 2.14); lengths follow from the suite. */
struct ike_keys {
	uint8_t d[CRYPT_PRF_LEN_MAX];
	uint8_t ai[CRYPT_INTEG_KEY_MAX], ar[CRYPT_INTEG_KEY_MAX];
	uint8_t ei[CRYPT_ENCR_KEY_MAX], er[CRYPT_ENCR_KEY_MAX];
	uint8_t pi[CRYPT_PRF_LEN_MAX], pr[CRYPT_PRF_LEN_MAX];
};

/* The last answer, for a repeated request (RFC 7296 2.1). */
struct ike_reply {
	uint32_t msg_id;
	uint8_t request_hash[32]; /* SHA-256 of the request */
	uint16_t len;             /* 0: none */
	uint8_t b[IKE_REPLY_MAX]; /* one message or its fragments, one behind the other: each says its length */
};

enum ike_request_kind { IKE_REQUEST_NONE, IKE_REQUEST_LIVENESS, IKE_REQUEST_ADDRESS, IKE_REQUEST_DELETE_CHILD, IKE_REQUEST_DELETE_IKE };

/* Our own request that waits for its answer (window 1, RFC 7296 2.3). */
struct ike_request {
	uint8_t kind;            /* enum ike_request_kind */
	uint8_t tries;           /* times sent */
	uint8_t address_tries;   /* of them to the address under test */
	uint32_t msg_id;
	uint64_t resend_us;      /* when to send again, or to give up */
	struct addr_endpoint to; /* ADDRESS: the new address under test; stays when the test has failed */
	uint16_t to_port;        /* ADDRESS: our port to which it sent */
	uint32_t child_spi;      /* DELETE_CHILD: our SPI */
	uint16_t len;
	uint8_t b[256];
};

struct ike_child_ref {
	uint32_t spi_in, spi_out;
	bool replaced;           /* a rekey has replaced it; it waits for the peer's Delete */
	bool unproven;           /* the peer's next request will show that it has it (window 1) */
	bool closing;            /* removed here; our Delete is on its way or waits for the window */
};

struct ike_sa {
	uint64_t spi_i, spi_r;
	uint8_t role;            /* enum ike_role: which of the SPIs is ours */
	uint8_t state;           /* enum ike_state */
	bool auth_verified;      /* ESTABLISHED implies it (design section 6.5) */
	struct model_id account_id, tunnel_id;
	uint32_t account_number;
	struct model_suite suite;
	struct ike_keys keys;
	struct model_path path;
	uint16_t start_port;     /* to which the peer sent IKE_SA_INIT */
	bool nat_peer, nat_local; /* NAT detection: the peer is behind a NAT; we are */
	bool fragments;          /* both sides said that they take fragments (RFC 7383 2.3) */
	bool allow_null;         /* of the tunnel, when the SA was made */
	uint8_t profile;         /* enum model_profile: likewise */
	bool closing;            /* children are gone; our Delete of the SA is on its way or waits for the window */
	uint8_t id_type;         /* the peer's identity */
	uint16_t id_len;
	uint8_t id[IKE_ID_MAX];
	uint32_t rx_next, tx_next; /* message ids: next request expected, next of ours */
	struct ike_reply reply;
	struct ike_request request;
	uint8_t child_cnt;
	struct ike_child_ref children[IKE_CHILDREN_MAX];
	uint32_t dpd_delay_s, child_lifetime_s;
	uint32_t ike_rekeys, child_rekeys;
	uint64_t created_us, expires_us, last_in_us;
	uint64_t next_check_us;  /* no reachability check of a new address before this */
};

#define IKE_SA_RECORD_MAX 12288 /* holds keys: seal before it leaves the process */

static inline uint64_t ike_sa_our_spi(const struct ike_sa *sa)
{
	return sa->role == IKE_RESPONDER ? sa->spi_r : sa->spi_i;
}

MUST_USE enum err ike_sa_encode(const struct ike_sa *sa, struct wr *w);
MUST_USE enum err ike_sa_decode(struct bytes record, struct ike_sa *ret);

/* Between IKE_SA_INIT and IKE_AUTH: the record to be, and what AUTH will sign (RFC 7296 2.15). */
struct ike_half {
	struct ike_sa sa;
	uint16_t ni_len;
	uint8_t ni[IKE_NONCE_MAX];
	uint8_t nr[IKE_NONCE_LEN];
	uint16_t request_len, response_len;
	uint8_t request[IKE_INIT_MAX];   /* RealMessage1 */
	uint8_t response[IKE_INIT_MAX];  /* RealMessage2, also sent again to a repeated request */
	uint64_t expires_us;
};
