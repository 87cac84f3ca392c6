// IKEv2 messages as views: headers and payloads of a datagram, parsed once, and a builder for them.
// Any thread; pure, no allocation: every view borrows the datagram. RFC 7296 3.
//
// All of it is bytes from strangers. A parser either fills its view wholly or returns an error
// (ERR_SHORT, ERR_SYNTAX, ERR_RANGE for a count above its cap) and leaves the view untouched.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/iana.h"

#define WIRE_IKE_HEADER_LEN 28
#define WIRE_IKE_PAYLOAD_HEADER_LEN 4 /* RFC 7296 3.2 */
#define WIRE_IKE_TS_HEADER_LEN 4      /* type, protocol, length: RFC 7296 3.13.1 */
#define WIRE_IKE_PAYLOADS_MAX 48   /* in one chain; real peers send up to about 25 */
#define WIRE_IKE_PROPOSALS_MAX 32  /* Windows sends 18, and more when other groups are allowed */
#define WIRE_IKE_TRANSFORMS_MAX 96 /* in one proposal; strongSwan 5.9 offers 47 by default, 6.0 more */
#define WIRE_IKE_SPIS_MAX 128      /* in one Delete */
#define WIRE_IKE_TS_MAX 16
#define WIRE_IKE_NONCE_MIN 16      /* RFC 7296 3.9 */
#define WIRE_IKE_NONCE_MAX 256

/* ---- header ---- */

struct wire_ike_header {
	uint64_t spi_i, spi_r;
	uint8_t next;     /* type of the first payload */
	uint8_t major, minor;
	uint8_t exchange; /* enum ike_exchange */
	uint8_t flags;    /* enum ike_flag */
	uint32_t msg_id;
	uint32_t length;
};

/* Reads the header. ERR_SHORT: fewer than 28 bytes; ERR_SYNTAX: the length field is not the datagram's
 * length. The version is not judged here. */
MUST_USE enum err wire_ike_header_parse(struct bytes msg, struct wire_ike_header *ret);

/* ---- payload chain ---- */

struct wire_ike_payload {
	uint8_t type;
	uint8_t next;      /* of SK and SKF: type of the first payload inside */
	bool critical;
	struct bytes body; /* behind the generic header */
};

struct wire_ike_payloads {
	uint8_t cnt;
	struct wire_ike_payload p[WIRE_IKE_PAYLOADS_MAX];
};

/* Walks a chain that begins with a payload of type first. SK and SKF end the chain (RFC 7296 3.14).
 * ERR_SYNTAX also for bytes behind the last payload. Types, order and repetition are not judged here. */
MUST_USE enum err wire_ike_payloads_parse(uint8_t first, struct bytes chain, struct wire_ike_payloads *ret);

/* The n-th (from 0) payload of a type, NULL if there are not that many; and how many there are. */
const struct wire_ike_payload *wire_ike_find(const struct wire_ike_payloads *pls, uint8_t type, unsigned n);
unsigned wire_ike_count(const struct wire_ike_payloads *pls, uint8_t type);

/* ---- payloads ---- */

struct wire_ike_transform {
	uint8_t type;
	uint16_t id;
	uint16_t key_bits;     /* 0: no key length attribute */
	/* Has an attribute that we do not know, or a key length of 0: cannot be chosen (RFC 7296 3.3.6). */
	bool unknown_attribute;
};

struct wire_ike_proposal {
	uint8_t number;
	uint8_t protocol;  /* enum ike_protocol */
	struct bytes spi;
	uint8_t cnt;
	struct wire_ike_transform t[WIRE_IKE_TRANSFORMS_MAX];
};

struct wire_ike_sa {
	uint8_t cnt;
	struct wire_ike_proposal p[WIRE_IKE_PROPOSALS_MAX];
};

struct wire_ike_ke {
	uint16_t group;
	struct bytes data;
};

struct wire_ike_notify {
	uint8_t protocol;
	uint16_t type;
	struct bytes spi, data;
};

struct wire_ike_delete {
	uint8_t protocol;
	uint8_t spi_len;   /* 0 for the IKE SA, 4 for ESP */
	uint8_t cnt;
	uint32_t spis[WIRE_IKE_SPIS_MAX]; /* with spi_len 4 */
};

struct wire_ike_id {
	uint8_t type;
	struct bytes data;
	struct bytes rest; /* the whole payload body behind the generic header: IDx' of RFC 7296 2.15 */
};

struct wire_ike_auth {
	uint8_t method;
	struct bytes data;
};

struct wire_ike_ts {
	uint8_t protocol;
	uint16_t port_first, port_last;
	struct addr first, last;
};

struct wire_ike_tss {
	uint8_t cnt;
	struct wire_ike_ts ts[WIRE_IKE_TS_MAX];
};

struct wire_ike_skf {
	uint16_t number, total; /* RFC 7383 2.5 */
	struct bytes rest;      /* IV, ciphertext, ICV */
};

/* ERR_SYNTAX: also no proposal, a proposal without transforms, a key length given twice, an SPI whose length
 * is not its protocol's. Numbers of proposals are not judged: a reply carries just the chosen one's. */
MUST_USE enum err wire_ike_sa_parse(struct bytes body, struct wire_ike_sa *ret);
/* KE, ID and AUTH: ERR_SHORT also when the data is empty. */
MUST_USE enum err wire_ike_ke_parse(struct bytes body, struct wire_ike_ke *ret);
/* ERR_RANGE: not 16 to 256 bytes. */
MUST_USE enum err wire_ike_nonce_parse(struct bytes body, struct bytes *ret);
MUST_USE enum err wire_ike_notify_parse(struct bytes body, struct wire_ike_notify *ret);
/* ERR_SYNTAX: also SPIs for the IKE SA, or a protocol that is not IKE, AH or ESP. */
MUST_USE enum err wire_ike_delete_parse(struct bytes body, struct wire_ike_delete *ret);
/* ERR_SYNTAX: an address of the wrong length. Text is not judged: it may hold any byte, NUL too. */
MUST_USE enum err wire_ike_id_parse(struct bytes body, struct wire_ike_id *ret);
MUST_USE enum err wire_ike_auth_parse(struct bytes body, struct wire_ike_auth *ret);
/* Selectors of unknown type are skipped, so cnt may be 0; none at all, or a range of addresses or ports whose
 * end is before its start (but OPAQUE, 65535 to 0) is ERR_SYNTAX. */
MUST_USE enum err wire_ike_tss_parse(struct bytes body, struct wire_ike_tss *ret);
/* ERR_SYNTAX: number 0 or above the total. */
MUST_USE enum err wire_ike_skf_parse(struct bytes body, struct wire_ike_skf *ret);

/* The first well formed notify of a type in the chain; false if there is none. */
bool wire_ike_notify_find(const struct wire_ike_payloads *pls, uint16_t type, struct wire_ike_notify *ret);

/* ---- building ----
 * One message after the other into caller's room. The builder patches "next payload" fields and
 * lengths; running out of room is seen once, in wire_ike_finish. */

struct wire_ike_builder {
	struct wr w;
	struct wire_ike_header h; /* as begun */
	size_t next_at;    /* where the next payload's type goes */
	size_t payload_at; /* start of the open payload, 0: none */
	size_t sk_at;      /* start of the SK or SKF payload while it is open, 0: none */
	size_t iv_at;      /* start of its IV */
	size_t text_at;    /* start of the plaintext inside SK */
};

/* Takes all of h but next and length, which the builder finds itself. */
void wire_ike_begin(struct wire_ike_builder *b, struct space room, const struct wire_ike_header *h);

/* Opens a payload: what is written to b->w until the next open, sk_close or finish is its body. */
void wire_ike_open(struct wire_ike_builder *b, uint8_t type);

/* unknown_attribute is not written. */
void wire_ike_put_sa(struct wire_ike_builder *b, const struct wire_ike_sa *sa);
void wire_ike_put_proposal(struct wire_ike_builder *b, const struct wire_ike_proposal *p); /* SA with this one alone */
void wire_ike_put_ke(struct wire_ike_builder *b, uint16_t group, struct bytes public_value);
void wire_ike_put_nonce(struct wire_ike_builder *b, struct bytes nonce);
void wire_ike_put_notify(struct wire_ike_builder *b, uint8_t protocol, struct bytes spi, uint16_t type,
			 struct bytes data);
/* One that is about no SA of AH or ESP: without protocol and SPI (RFC 7296 3.10). */
void wire_ike_put_plain_notify(struct wire_ike_builder *b, uint16_t type, struct bytes data);
void wire_ike_put_id(struct wire_ike_builder *b, uint8_t payload, uint8_t id_type, struct bytes data);
void wire_ike_put_auth(struct wire_ike_builder *b, uint8_t method, struct bytes data);
/* For the IKE SA: no SPIs (asserted). */
void wire_ike_put_delete(struct wire_ike_builder *b, uint8_t protocol, const uint32_t *spis, uint8_t cnt);
void wire_ike_put_tss(struct wire_ike_builder *b, uint8_t payload, const struct wire_ike_ts *ts, uint8_t cnt);

/* Opens the SK payload with its IV; payloads opened after it are inside. */
void wire_ike_sk_open(struct wire_ike_builder *b, struct bytes iv);

/* The payloads written inside an open SK payload: the type of the first one, and their bytes, which stay where they
 * are. For a message that goes out in fragments instead (RFC 7383): the builder is of no use afterwards.
 * ERR_FULL: the room was too small. */
MUST_USE enum err wire_ike_sk_abandon(struct wire_ike_builder *b, uint8_t *ret_first, struct bytes *ret_chain);

/* Opens the SKF payload of one fragment with its IV (RFC 7383 2.5): the part of the chain is written to b->w, then
 * wire_ike_sk_close. first: the type of the first payload of the chain in fragment 1, which says it (else ignored). */
void wire_ike_skf_open(struct wire_ike_builder *b, uint16_t number, uint16_t total, uint8_t first, struct bytes iv);

/* The parts of a message for the cipher. */
struct wire_ike_sk {
	struct bytes aad;  /* from the first byte of the message up to the IV */
	struct bytes iv;
	struct space text; /* plaintext with padding, in place */
	struct space icv;
};

/* Pads the inside to block_len (RFC 7296 3.14: padding, then its length), reserves the ICV, and
 * fills in all lengths, so that the cipher can run. ERR_FULL: the room was too small. */
MUST_USE enum err wire_ike_sk_close(struct wire_ike_builder *b, size_t block_len, size_t icv_len,
				    struct wire_ike_sk *ret);

/* Fills in the length; the message. ERR_FULL: the room was too small. After sk_close it only returns. */
MUST_USE enum err wire_ike_finish(struct wire_ike_builder *b, struct bytes *ret);

/* Splits a received SK or SKF payload for the cipher; msg is the whole datagram that sk was parsed from, and
 * writable because the cipher decrypts in place. ERR_SHORT: no room for IV, pad length and ICV; whether the
 * text is whole blocks is the cipher's to see. */
MUST_USE enum err wire_ike_sk_parse(struct space msg, const struct wire_ike_payload *sk, size_t iv_len,
				    size_t icv_len, struct wire_ike_sk *ret);

/* Takes the padding off decrypted text: the chain inside. ERR_SHORT: empty; ERR_SYNTAX: pad length above
 * the text. */
MUST_USE enum err wire_ike_sk_strip(struct bytes text, struct bytes *ret);
