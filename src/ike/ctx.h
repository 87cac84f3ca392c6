// The working state of one step, and what every handler does with it: actions, failures, messages under protection, answers
// and requests, the window. Inside ike/ only; any thread, pure. RFC 7296 2.1 to 2.3, 3.14, RFC 7383.
//
// A handler reads the checked payloads in ctx->in, decides, writes its answer to ctx->reply and returns the
// state that follows; step.c opens and seals the messages, keeps the window and commits the record. The sections below are
// in the order of their floors: each uses those above it alone.
#pragma once

#include "ike/step.h"
#include "wire/ike.h"

/* Where a step takes its bytes of ev->random; no two uses share a byte. */
enum ike_random_at {
	IKE_RANDOM_SPI = 0,         /* 8: our IKE SPI */
	IKE_RANDOM_NONCE = 8,       /* 32: our nonce */
	IKE_RANDOM_ESP_SPI = 40,    /* 4 x 8: our ESP SPI, and three more tries */
	IKE_RANDOM_IV_REPLY = 72,   /* 16: CBC IV of the answer */
	IKE_RANDOM_IV_REQUEST = 88, /* 16: CBC IV of our own request */
	IKE_RANDOM_IV_MORE = 104,   /* 16: of which the CBC IVs of further fragments are made */
	IKE_RANDOM_OWN_NONCE = 120, /* 32: nonce of our own request */
	IKE_RANDOM_OWN_SPI = 152,   /* 4 x 8: SPI that it offers */
	IKE_RANDOM_JITTER = 184,    /* 4 x 8: of soft limits and pauses */
};

#define IKE_HALF_OPEN_US 30000000u   /* a half-open SA waits this long for IKE_AUTH */
#define IKE_CLOSED_KEEP_US 60000000u /* a closed SA answers repeated Deletes this long */
#define IKE_REKEYED_KEEP_US 60000000u /* a rekeyed SA waits this long for the peer's Delete */
#define IKE_DRAIN_US 2000000u         /* between our rekey of a child and the Delete of the old one */
#define IKE_REPLACED_KEEP_US 120000000u /* a child that the peer replaced waits this long for its Delete */
#define IKE_RESEND_FIRST_US 500000u
#define IKE_TRIES_MAX 6              /* 0.5 0.9 1.6 2.9 5.2 9.4: given up after 20 s (RFC 7296 2.4) */
#define IKE_ADDRESS_TRIES_MAX 2      /* of them at most these go to an address that was only seen */
#define IKE_TOLD_TRIES_MAX 4         /* or to one of which the peer has told */
#define IKE_ADDRESS_PAUSE_US 10000000u
#define IKE_IDS_LOW (UINT32_C(1) << 31)          /* message ids: time for a rekey */
#define IKE_IDS_ENDING (UINT32_MAX - 1024)       /* time for the end */

struct ike_ctx {
	const struct ike_world *world;
	const struct ike_event *ev;
	struct ike_out *out;
	const struct ike_half *half;   /* in state HALF_OPEN, else NULL */
	struct ike_half *half_ret;     /* of our own half-open SA: what takes its place */
	bool has_half;                 /* that was filled */
	const struct ike_sa *before;   /* the record as it came, of ike_sa_step */
	struct ike_sa *sa;             /* the record to be: a copy that the handlers change */
	struct ike_sa *rekeyed;        /* two: filled by an IKE rekey */
	bool has_rekeyed, has_redundant; /* the first one; the second one, too */
	bool keep;                     /* the record is to be written */
	bool changed;                  /* it changed in more than ids, cached reply and last_in_us */
	bool moved;                    /* the message told of a move that is to be checked */
	bool drop;                     /* no answer, no record: the step waits for DH, or could not be done */
	struct wire_ike_header h;
	struct wire_ike_payloads in;   /* of the message, checked by ike_rules_check */
	struct wire_ike_builder reply; /* SK is open */
};

typedef enum ike_state (*ike_handler)(struct ike_ctx *c);

/* ---- out.c: actions and failures ---- */

void ike_out_reset(struct ike_out *out);
/* Room for a protected message in the making, and for the plaintext of msg: wiped with the rest. */
struct space ike_out_clear_room(struct ike_out *out, bool response);
struct space ike_out_scratch(struct ike_out *out, struct bytes msg);
struct ike_action *ike_out_add(struct ike_out *out, enum ike_action_kind kind);
void ike_out_drop(struct ike_out *out, enum model_drop drop);
void ike_out_count(struct ike_out *out, enum model_counter counter);
/* list: IKE messages one behind the other, each by its own length; the fragments of one, or just one. */
void ike_out_send(struct ike_out *out, struct bytes list, const struct addr_endpoint *local,
		  const struct addr_endpoint *remote);
bool ike_out_has_failure(const struct ike_out *out);
/* The step's failure, with code, stage, endpoints and time. sa may be NULL: belongs to no tunnel yet. At most one
 * a step: the caller asks ike_out_has_failure when there may be one. */
struct model_failure *ike_out_fail(struct ike_out *out, const struct ike_event *ev, const struct ike_sa *sa,
				   enum model_failure_code code, enum model_stage stage);

/* Printable text that ends with "..." where it was cut. */
void ike_text_add(char *text, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* An error notify by the name of its RFC and its number: "NO_PROPOSAL_CHOSEN (14)". */
void ike_text_notify(char *text, size_t cap, uint16_t type);

/* ---- rules.c: RFC 7296 1.2 to 1.5 ---- */

/* "IKE_AUTH"; "" for what is none. */
const char *ike_exchange_name(uint8_t exchange);
/* 0, or the notify by which a request with these payloads is refused. *ret_type: the unknown critical payload. */
uint16_t ike_rules_check(uint8_t exchange, bool response, const struct wire_ike_payloads *in, uint8_t *ret_type);

/* ---- window.c: RFC 7296 2.1 to 2.3 ---- */

enum ike_window { IKE_WINDOW_NEW, IKE_WINDOW_REPEATED, IKE_WINDOW_OUTSIDE };
bool ike_window_is_new(const struct ike_sa *sa, uint32_t msg_id); /* of a request, by its id alone */
enum ike_window ike_window_judge(const struct ike_sa *sa, uint32_t msg_id, struct bytes request);
void ike_window_keep(struct ike_sa *sa, uint32_t msg_id, struct bytes request, struct bytes reply);
bool ike_window_awaits(const struct ike_sa *sa, uint32_t msg_id); /* the answer with that id */

/* ---- protect.c: RFC 7296 3.14 ---- */

/* Copies the message to scratch; checks and decrypts it there. Its only payload is of that type, SK or SKF. ERR_AUTH: the
 * ICV; ERR_SYNTAX, ERR_SHORT, ERR_RANGE, ERR_LONG: the outside is not that one payload. */
MUST_USE enum err ike_protect_open(const struct ike_sa *sa, enum ike_payload type, struct bytes msg,
				   struct space scratch, uint8_t *ret_first, struct bytes *ret_inner);
/* The n-th IV of a message of ours: a counter for GCM, random for CBC. */
struct bytes ike_protect_iv(const struct ike_sa *sa, const struct ike_event *ev, bool response, unsigned n,
			    uint8_t room[static CRYPT_IV_MAX]);
/* Closes the SK or SKF payload and encrypts. */
MUST_USE enum err ike_protect_close(const struct ike_sa *sa, struct wire_ike_builder *b, struct bytes *ret);

/* ---- frag.c: RFC 7383 ---- */

/* The message of b in fragments that the path carries; one of them more than fits is made bigger instead. */
MUST_USE enum err ike_frag_seal(struct ike_ctx *c, struct wire_ike_builder *b, struct bytes *ret);
/* Whether the message is too long for one datagram, and may be divided. */
bool ike_frag_wanted(const struct ike_ctx *c, const struct wire_ike_builder *b);

/* ---- message.c ---- */

/* A message of ours with its SK payload open; seal closes it, or makes fragments of it where it is long and the peer
 * takes them. *ret is what ike_out_send takes, in c->out. */
void ike_message_begin(const struct ike_sa *sa, const struct ike_event *ev, bool response, uint8_t exchange,
		       uint32_t msg_id, struct space room, struct wire_ike_builder *b);
MUST_USE enum err ike_message_seal(struct ike_ctx *c, struct wire_ike_builder *b, struct bytes *ret);

/* ---- reply.c: RFC 7296 2.21 ---- */

/* c->reply with its SK payload open, and nothing in it. */
void ike_reply_begin(struct ike_ctx *c);
/* The answer becomes this one notify (one error a request); 0: it becomes empty again. */
void ike_reply_notify(struct ike_ctx *c, uint16_t type, struct bytes data);
/* A request that is authentic and yet not well formed: what names the payload. */
void ike_reply_syntax(struct ike_ctx *c, const char *what);
/* A KE payload of another group than that of the suite: the peer is told with which to try again (RFC 7296 1.3). */
void ike_reply_wrong_group(struct ike_ctx *c, enum model_stage stage, uint16_t sent, uint16_t wanted);

/* ---- dh.c: the step ends here with the single action IKE_ACT_DH ---- */

void ike_dh_ask(struct ike_ctx *c, const struct ike_dh_job *job);
/* For what the peer asks: a pair of ours and the secret. */
void ike_dh_respond(struct ike_ctx *c, uint16_t group, struct bytes peer_public);
/* The private value of the pending request, in the record of the caller. */
struct bytes ike_dh_private(const struct ike_ctx *c);

/* ---- duty.c: what is due when, with jitter and back-off ---- */

/* The time for a rekey of an SA with this lifetime that begins now (RFC 7296 2.8: with jitter). */
uint64_t ike_duty_soft(const struct ike_ctx *c, uint32_t lifetime_s, unsigned random_at);
/* When to try again after so many tries. */
uint64_t ike_duty_again(const struct ike_ctx *c, unsigned tries);
/* Looks at message ids and IVs after each step of an SA that stands: a rekey is due when they are low. True: the SA has to
 * end before they repeat; then the step's failure is filled. */
bool ike_duty_wear(struct ike_ctx *c);

/* ---- address.c: RFC 4555, RFC 7296 2.23 ---- */

/* Another address of the peer is under test. */
bool ike_address_has_candidate(const struct ike_sa *sa);
/* The candidate has not answered, or is not asked any more: what was sent there goes on as liveness check of the path. */
void ike_address_forget(struct ike_sa *sa);
/* An own request about addresses waits for the window. */
bool ike_address_due(const struct ike_sa *sa);
/* The payloads of such a request, and NAT detection in liveness checks. */
void ike_address_put(struct ike_ctx *c, enum ike_request_kind kind, const struct ike_request *facts,
		     struct wire_ike_builder *b);

/* ---- request.c: RFC 7296 2.1, 2.3 ---- */

/* Our own requests: one at a time. begin opens SK, commit seals, takes the next message id and sends; facts are kept in
 * sa->request with the message. At most one in a step: it takes its IVs. False: it could not be made. */
void ike_request_begin(struct ike_ctx *c, uint8_t exchange, struct wire_ike_builder *b);
bool ike_request_commit(struct ike_ctx *c, struct wire_ike_builder *b, const struct ike_request *facts);
uint64_t ike_resend_delay(unsigned tries); /* after so many */
uint8_t ike_request_exchange(const struct ike_request *q);
void ike_request_send(struct ike_ctx *c);  /* once more, and sets the time of the next */
void ike_request_copy(struct ike_ctx *c);  /* to where the message of this step came from; it counts as no try */
void ike_request_done(struct ike_sa *sa);

/* ---- inform.c: RFC 7296 1.4 ---- */

/* An INFORMATIONAL request of ours. */
void ike_inform_start(struct ike_ctx *c, enum ike_request_kind kind, uint32_t child_spi);
/* Starts the one that waits for the window, if that is free. */
void ike_inform_next(struct ike_ctx *c);
