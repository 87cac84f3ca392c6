// An IKEv2 initiator for tests, with ESP: what a customer's router does, written a second time.
// One thread; no sockets or clock of its own (main.c adds them). RFC 7296, 4303, 3948.
//
// It stands on wire/ and crypt/ alone, so that key derivation, AUTH, NAT detection and negotiation are here
// once more, apart from src/ike, and a fault in one of the two shows as a disagreement.
#pragma once

#include "base/addr.h"
#include "base/secret.h"
#include "crypt/dh.h"
#include "crypt/suite.h"
#include "wire/ike.h"

#define PEER_MSG_MAX 4096
#define PEER_CHILDREN_MAX 128
#define PEER_FRAGS_MAX 16
#define PEER_TS_MAX 16
#define PEER_NONCE_LEN 48 /* another length than the gateway's, on purpose */
#define PEER_GROUPS_MAX 4
#define PEER_PROPOSALS_MAX 4

struct peer_suite {
	uint16_t encr, key_bits, integ, prf, group;
};

enum peer_natd { PEER_NATD_TRUE, PEER_NATD_FAKE, PEER_NATD_NONE };

/* What a test may change in a message just before it is protected and sent. */
struct peer_edit {
	struct wire_ike_header h;
	uint8_t first;              /* type of the first payload */
	struct space chain;         /* the payloads; len of it are used */
	size_t len;
};

enum peer_cookie2 { PEER_COOKIE2_ECHO, PEER_COOKIE2_OTHER, PEER_COOKIE2_NONE, PEER_COOKIE2_BESIDE_NATD };

struct peer_options {
	struct addr_endpoint local, remote; /* ports: where it starts, 500 or 4500 */
	uint8_t id_type;
	uint16_t id_len;
	uint8_t id[256];
	const char *ask_name;               /* IDr that it asks for, NULL: none */
	struct secret psk;
	unsigned ike_cnt, esp_cnt;          /* proposals, in order */
	struct peer_suite ike[PEER_PROPOSALS_MAX], esp[PEER_PROPOSALS_MAX];
	uint16_t ke_group;                  /* of the first KE payload; 0: that of ike[0] */
	bool esn, no_esn;                   /* sequence numbers that it offers: extended ones, and those of 32 bits */
	enum peer_natd natd;
	size_t fragment_size;               /* takes fragments, and sends none above this many bytes; 0: does not */
	uint8_t auth_method;                /* that it claims; 0: pre-shared key */
	bool childless;                     /* IKE_AUTH without a Child SA */
	bool no_nats;                       /* RFC 4555 3.9: NO_NATS_ALLOWED */
	bool stays_on_500;                  /* also with a NAT between */
	bool keeps_group;                   /* INVALID_KE_PAYLOAD is a refusal like any other */
	bool mobike;
	enum peer_cookie2 cookie2;          /* what it does with the gateway's (RFC 4555 3.7) */
	bool initial_contact, transport_mode, no_auth_payload, ask_config;
	uint8_t tsi_cnt, tsr_cnt;
	struct wire_ike_ts tsi[PEER_TS_MAX], tsr[PEER_TS_MAX];
	void (*edit)(void *arg, struct peer_edit *e); /* NULL: none */
	void *edit_arg;
};

struct peer_keys {
	uint8_t d[64], ai[32], ar[32], ei[36], er[36], pi[64], pr[64];
};

struct peer_child {
	uint32_t spi_in, spi_out;
	struct peer_suite suite;
	uint8_t encr_in[36], encr_out[36], integ_in[32], integ_out[32];
	bool esn;
	uint64_t seq, seq_in;               /* the last ones: sent, received */
	uint8_t tsi_cnt, tsr_cnt;
	struct wire_ike_ts tsi[PEER_TS_MAX], tsr[PEER_TS_MAX];
};

enum peer_step {
	PEER_IDLE,
	PEER_INIT,
	PEER_AUTH,
	PEER_CHILD,
	PEER_IKE_REKEY,
	PEER_INFO, /* liveness or Delete */
};

/* One IKE SA of the peer. After a rekey there are two for a while: [0] is the one in use. */
struct peer_ike {
	bool up;
	uint64_t spi_i, spi_r;
	struct peer_suite suite;
	struct peer_keys keys;
	uint32_t tx_next, rx_next;
	uint64_t iv;
	/* our request that waits for its answer */
	enum peer_step step;
	uint32_t request_id;
	size_t request_len;
	uint8_t request[PEER_MSG_MAX];
	/* our last answer to the gateway */
	size_t answer_len;
	uint8_t answer[PEER_MSG_MAX];
};

/* The fragments of one message of the gateway (RFC 7383). */
struct peer_frags {
	uint32_t msg_id;
	uint16_t total, cnt;
	uint8_t first;
	struct { size_t len; uint8_t b[PEER_MSG_MAX]; } piece[PEER_FRAGS_MAX];
};

enum peer_event {
	PEER_EV_IGNORED, /* not for us, forged, or repeated without need of an answer */
	PEER_EV_DONE,    /* the answer to our request was taken; notify tells a refusal */
	PEER_EV_AGAIN,   /* cookie or other group: a new request stands ready */
	PEER_EV_ANSWER,  /* a request of the gateway was taken; the answer stands in ike->answer */
};

struct peer {
	struct peer_options o;
	struct peer_ike ike[2];
	bool fragments;             /* both sides take fragments */
	struct peer_frags in;
	unsigned fragmented_in;     /* messages of the gateway that came in fragments */
	bool nat_local, nat_remote; /* by NAT detection: we, the gateway */
	struct addr_endpoint local, remote; /* now; on 4500 after a float */
	uint16_t notify;            /* error notify of the last answer, 0: none */
	uint8_t child_cnt;
	struct peer_child child[PEER_CHILDREN_MAX]; /* [0] oldest */
	unsigned deleted_by_gateway; /* Child SAs */
	bool closed_by_gateway;
	unsigned requests_taken;    /* of the gateway */
	bool mobike;                /* the gateway said that it speaks it, too */
	unsigned cookies_taken;     /* COOKIE2 in its requests */
	size_t cookie2_len;         /* of the last answer to an INFORMATIONAL request; 0: none */
	uint8_t cookie2[64];
	bool answer_natd;           /* it had NAT detection in it */
	/* of the exchange under way */
	uint16_t group;
	struct crypt_dh_key *dh;
	uint8_t ni[PEER_NONCE_LEN], nr[WIRE_IKE_NONCE_MAX];
	size_t nr_len;
	uint8_t cookie[64];
	size_t cookie_len;
	uint8_t init_request[PEER_MSG_MAX], init_response[PEER_MSG_MAX];
	size_t init_request_len, init_response_len;
	uint32_t new_spi, rekeys_spi;
	uint64_t new_ike_spi;
	uint32_t deletes_spi;
	bool deletes_ike, pfs;
	bool one_offer;             /* one_suite was offered instead of the options' */
	struct peer_suite one_suite;
};

/* Any address to any address, of a family. */
struct wire_ike_ts peer_ts_any(uint8_t family);
/* Defaults: AES-GCM-16-256, PRF-SHA2-256, MODP-2048; ESP AES-GCM-16-256; any to any in v4 and v6. */
void peer_options_init(struct peer_options *o);

void peer_init(struct peer *p, const struct peer_options *o);
void peer_fini(struct peer *p);

/* Each makes a request in p->ike[0].request (delete_ike: of the given one). None may be under way. */
void peer_start_init(struct peer *p);
void peer_start_auth(struct peer *p);
/* rekeys: NULL for a new Child SA. suite NULL: the options' proposals, without PFS. */
void peer_start_child(struct peer *p, const struct peer_child *rekeys, const struct peer_suite *suite);
void peer_start_ike_rekey(struct peer *p, const struct peer_suite *suite);
void peer_start_liveness(struct peer *p);
void peer_start_delete_child(struct peer *p, const struct peer_child *child);
void peer_start_delete_ike(struct peer *p, unsigned which);
/* An INFORMATIONAL request with these payloads. */
void peer_start_info(struct peer *p, uint8_t first, struct bytes chain);

/* A request or answer is one IKE message, or its fragments one behind the other: takes the next one off the list. */
bool peer_next(struct bytes *list, struct bytes *ret);

/* Takes an IKE message. *ret_which: of which of the two SAs. */
enum peer_event peer_input(struct peer *p, struct bytes msg, unsigned *ret_which);

struct peer_child *peer_child_find(struct peer *p, uint32_t spi_in);
/* The newest one, NULL if there is none. */
struct peer_child *peer_child_last(struct peer *p);

/* ---- peer_keys.c: RFC 7296 2.13 to 2.18 ---- */

void peer_prf_plus(uint16_t prf, struct bytes key, struct bytes seed, uint8_t *out, size_t len);
/* old NULL: of IKE_SA_INIT */
void peer_derive_ike(const struct peer_ike *old, struct peer_ike *sa, struct bytes secret, struct bytes ni,
		     struct bytes nr);
void peer_derive_child(const struct peer_ike *sa, struct peer_child *c, struct bytes secret, struct bytes ni,
		       struct bytes nr);
/* What AUTH has to be: message | nonce | prf(sk_p, id_rest) under the PSK. */
size_t peer_auth(uint16_t prf, struct bytes psk, struct bytes message, struct bytes nonce, struct bytes sk_p,
		 struct bytes id_rest, uint8_t out[static 64]);

/* ---- peer_esp.c ---- */

/* An inner packet as ESP, with tfc bytes of padding behind it (RFC 4303 2.7). Returns its length; 0 if the room is too small. */
size_t peer_esp_seal(struct peer_child *c, struct bytes inner, size_t tfc, struct space room);
/* A dummy packet with so many bytes of nothing (RFC 4303 2.6). */
size_t peer_esp_dummy(struct peer_child *c, size_t len, struct space room);
/* Decrypts in place; the inner packet. ERR_AUTH and others. */
MUST_USE enum err peer_esp_open(struct peer_child *c, struct space packet, struct bytes *ret_inner);
