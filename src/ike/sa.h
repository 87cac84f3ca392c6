// The IKE SA as a record: one flat value with everything that is needed to go on with it, no pointer inside.
// Any thread; plain values. RFC 7296 2.
//
// A record is changed only by ike_sa_step, which computes a new one from the old; whoever keeps the
// record commits the new one, then acts. Half-open state (struct ike_half) lives in memory alone.
#pragma once

#include "base/addr.h"
#include "crypt/dh.h"
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
#define IKE_REQUEST_MAX 1400   /* the longest protected request of ours */
#define IKE_RIVAL_NONCE_MAX 64 /* of a nonce that decides between two rekeys: more never matters (ike/rekey.h) */

enum ike_role { IKE_RESPONDER = 0, IKE_INITIATOR = 1 };

/* In our own rekeys of Child SAs: with a fresh Diffie-Hellman where the peer takes it, or never. */
enum ike_pfs { IKE_PFS_PREFER, IKE_PFS_NEVER };

/* Of tunnels that we start. */
enum ike_encap {
	IKE_ENCAP_AUTO,   /* ESP in UDP where NAT detection finds a NAT */
	IKE_ENCAP_FORCED, /* always; we say that we are behind a NAT (RFC 7296 2.23) */
	IKE_ENCAP_NATIVE, /* never */
};

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

enum ike_request_kind {
	IKE_REQUEST_NONE,
	IKE_REQUEST_LIVENESS,
	IKE_REQUEST_ADDRESS,
	IKE_REQUEST_DELETE_CHILD,
	IKE_REQUEST_DELETE_IKE,
	IKE_REQUEST_AUTH,         /* in a half-open SA only */
	IKE_REQUEST_NEW_CHILD,
	IKE_REQUEST_REKEY_CHILD,
	IKE_REQUEST_REKEY_IKE,
	IKE_REQUEST_UPDATE,       /* UPDATE_SA_ADDRESSES */
};

/* Our own request that waits for its answer (window 1, RFC 7296 2.3). */
struct ike_request {
	uint8_t kind;            /* enum ike_request_kind */
	uint8_t tries;           /* times sent */
	uint8_t address_tries;   /* of them to the candidate */
	uint32_t msg_id;
	uint64_t resend_us;      /* when to send again, or to give up */
	uint32_t child_spi;      /* DELETE_CHILD, REKEY_CHILD: our SPI */
	/* AUTH, NEW_CHILD, REKEY_CHILD, REKEY_IKE */
	uint64_t new_spi;        /* that we offered, ESP or IKE */
	uint32_t gone_spi;       /* an SPI that we do not know and the peer has deleted meanwhile: maybe its new one */
	uint8_t nonce[IKE_NONCE_LEN]; /* ADDRESS: COOKIE2, where the peer knows it */
	uint16_t group;          /* of the KE payload, NONE: there is none */
	uint8_t private_len;
	uint8_t private[CRYPT_DH_PRIVATE_MAX];
	uint16_t len;
	uint8_t b[IKE_REQUEST_MAX];
};

/* What the peer made while our own rekey of the same SA was on its way (RFC 7296 2.8.1, 2.8.2): the lower of its two
 * nonces, to be compared with ours; and of an IKE SA all that it is to become, until it is known who wins. */
struct ike_rival {
	bool present;
	uint8_t nonce_len;
	uint8_t nonce[IKE_RIVAL_NONCE_MAX];
	uint32_t child_spi;      /* REKEY_CHILD: our SPI of the child that the peer made */
	uint64_t spi_i, spi_r;   /* REKEY_IKE: we are its responder */
	struct model_suite suite;
	struct ike_keys keys;
};

/* Where the peer seems or says to be, and has not yet answered from. */
struct ike_candidate {
	struct addr_endpoint remote; /* family none: there is none */
	uint16_t local_port;         /* ours, to which it sent */
	bool told;                   /* by UPDATE_SA_ADDRESSES (RFC 4555 3.5); else only seen */
	bool nat_peer, nat_local, udp_encap; /* told: what NAT detection says there, and what follows */
};

struct ike_child_ref {
	uint32_t spi_in, spi_out;
	bool replaced;           /* a rekey has replaced it; it waits for the peer's Delete */
	bool unproven;           /* the peer's next request will show that it has it (window 1) */
	bool closing;            /* our Delete is on its way or waits for the window */
	bool lingers;            /* closing, but still installed until the Delete was answered */
	uint8_t tries;           /* of our rekey, without success */
	/* When its rekey is due; of a replaced one: when it is deleted by us. 0: never. */
	uint64_t due_us;
};

struct ike_sa {
	uint64_t spi_i, spi_r;
	uint8_t role;            /* enum ike_role: which of the SPIs is ours */
	uint8_t state;           /* enum ike_state */
	bool auth_verified;      /* ESTABLISHED implies it */
	struct model_id account_id, tunnel_id;
	uint32_t account_number;
	struct model_suite suite;
	struct ike_keys keys;
	struct model_path path;
	uint16_t start_port;     /* to which the peer sent IKE_SA_INIT */
	bool nat_peer, nat_local; /* NAT detection: the peer is behind a NAT; we are */
	bool fragments;          /* both sides said that they take fragments (RFC 7383 2.3) */
	bool started;            /* we started the tunnel, and ask for its Child SA when there is none */
	uint8_t encap;           /* enum ike_encap, if started */
	bool mobike;             /* both sides said that they speak RFC 4555 */
	bool fixed_peer;         /* the tunnel has a customer_endpoint: the peer's port may change, its address not */
	bool update_due;         /* we moved, and have yet to say so ("pending_update" of RFC 4555 3.5) */
	uint8_t seen_as[20];     /* the peer's last NAT_DETECTION_DESTINATION_IP (RFC 4555 3.8); zero: not known */
	struct ike_candidate candidate;
	bool allow_null;         /* of the tunnel, when the SA was made */
	bool allow_esn;          /* likewise: extended sequence numbers */
	uint8_t profile;         /* enum model_profile: likewise */
	uint8_t pfs;             /* enum ike_pfs */
	bool closing;            /* children are gone; our Delete of the SA is on its way or waits for the window */
	uint8_t id_type;         /* the peer's identity */
	uint16_t id_len;
	uint8_t id[IKE_ID_MAX];
	uint32_t rx_next, tx_next; /* message ids: next request expected, next of ours */
	struct ike_reply reply;
	struct ike_request request;
	struct ike_rival rival;
	uint16_t next_group;     /* for which the peer wants the KE of our next CREATE_CHILD_SA, 0: no wish */
	uint8_t rekey_tries;     /* of our IKE rekey, without success */
	uint8_t child_tries;     /* of our request for a new Child SA, without success */
	uint64_t rekey_us;       /* when the IKE SA is rekeyed, 0: never */
	uint64_t new_child_us;   /* when a new Child SA is asked for, 0: none is wanted */
	uint8_t child_cnt;
	struct ike_child_ref children[IKE_CHILDREN_MAX];
	uint32_t dpd_delay_s, child_lifetime_s, ike_lifetime_s;
	uint32_t ike_rekeys, child_rekeys;
	uint32_t moves;          /* of the peer, of which it has not told: it was seen elsewhere, and has answered from there */
	uint64_t created_us, expires_us, last_in_us;
	uint64_t next_check_us;  /* no reachability check of an address that was only seen before this */
};

#define IKE_SA_RECORD_MAX 12288 /* holds keys: seal before it leaves the process */

static inline uint64_t ike_sa_our_spi(const struct ike_sa *sa)
{
	return sa->role == IKE_RESPONDER ? sa->spi_r : sa->spi_i;
}

/* Wipes what is secret in it: its keys and those of rekeys under way. Messages in it are ciphertext. */
void ike_sa_wipe(struct ike_sa *sa);

/* A rekey has replaced the child: nothing is sent on it any more. */
bool ike_sa_child_replaced(const struct ike_sa *sa, uint32_t spi_in);

MUST_USE enum err ike_sa_encode(const struct ike_sa *sa, uint16_t format, struct wr *w);
MUST_USE enum err ike_sa_decode(struct bytes record, struct ike_sa *ret);

struct ike_start;

/* Between IKE_SA_INIT and IKE_AUTH: the record to be, and what AUTH will sign (RFC 7296 2.15). Ours, too: then
 * sa.request is IKE_AUTH once that is on its way. */
struct ike_half {
	struct ike_sa sa;
	uint16_t ni_len, nr_len;
	uint8_t ni[IKE_NONCE_MAX];
	uint8_t nr[IKE_NONCE_MAX];
	uint16_t request_len, response_len;
	uint8_t request[IKE_INIT_MAX];   /* RealMessage1 */
	uint8_t response[IKE_INIT_MAX];  /* RealMessage2, also sent again to a repeated request */
	uint64_t expires_us;
	/* ours */
	const struct ike_start *start;   /* borrowed */
	uint8_t tries;                   /* IKE_SA_INIT sent */
	uint8_t restarts;                /* cookies and other groups that were asked for */
	bool refused;                    /* an answer said no; the failure was given */
	uint64_t resend_us;
	uint16_t group;
	uint8_t private_len;
	uint8_t private[CRYPT_DH_PRIVATE_MAX];
	uint8_t cookie_len;
	uint8_t cookie[64];              /* RFC 7296 2.6 */
};

void ike_half_wipe(struct ike_half *half); /* likewise */
