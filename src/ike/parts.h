// What the files of ike/ share: the working state of one step, and the parts that the exchanges are made of.
// Inside ike/ only; any thread, pure. RFC 7296.
//
// A handler reads the checked payloads in ctx->in, decides, writes its answer to ctx->reply and returns the
// state that follows; step.c opens and seals the messages, keeps the window and commits the record.
#pragma once

#include "crypt/prf.h"
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

/* ---- window.c: RFC 7296 2.1 to 2.3 ---- */

enum ike_window { IKE_WINDOW_NEW, IKE_WINDOW_REPEATED, IKE_WINDOW_OUTSIDE };
bool ike_window_is_new(const struct ike_sa *sa, uint32_t msg_id); /* of a request, by its id alone */
enum ike_window ike_window_judge(const struct ike_sa *sa, uint32_t msg_id, struct bytes request);
void ike_window_keep(struct ike_sa *sa, uint32_t msg_id, struct bytes request, struct bytes reply);

/* Our own requests: one at a time. begin opens SK, commit seals, takes the next message id and sends; facts are kept in
 * sa->request with the message. At most one in a step: it takes its IVs. False: it could not be made. */
void ike_request_begin(struct ike_ctx *c, uint8_t exchange, struct wire_ike_builder *b);
bool ike_request_commit(struct ike_ctx *c, struct wire_ike_builder *b, const struct ike_request *facts);
uint64_t ike_resend_delay(unsigned tries); /* after so many */
uint8_t ike_request_exchange(const struct ike_request *q);
/* An INFORMATIONAL one. */
void ike_request_start(struct ike_ctx *c, enum ike_request_kind kind, uint32_t child_spi);
void ike_request_send(struct ike_ctx *c);     /* once more, and sets the time of the next */
void ike_request_next(struct ike_ctx *c);     /* starts what waits for the window, if it is free */
void ike_request_done(struct ike_sa *sa);
bool ike_request_waits(const struct ike_sa *sa, uint32_t msg_id); /* for the answer with that id */

/* ---- protect.c: RFC 7296 3.14 ---- */

/* Copies the message to scratch, checks and decrypts it. ERR_AUTH: the ICV; ERR_SYNTAX, ERR_SHORT, ERR_RANGE,
 * ERR_LONG: the outside is not one SK payload. */
MUST_USE enum err ike_protect_open(const struct ike_sa *sa, struct bytes msg, struct space scratch,
				   uint8_t *ret_first, struct bytes *ret_inner);
/* The n-th IV of a message of ours: a counter for GCM, random for CBC (design section 6.1). */
struct bytes ike_protect_iv(const struct ike_sa *sa, const struct ike_event *ev, bool response, unsigned n,
			    uint8_t room[static CRYPT_IV_MAX]);
/* A message of ours with its SK payload open; seal closes it, or makes fragments of it where it is long and the peer
 * takes them. *ret is what ike_out_send takes, in c->out. */
void ike_protect_begin(const struct ike_sa *sa, const struct ike_event *ev, bool response, uint8_t exchange,
		       uint32_t msg_id, struct space room, struct wire_ike_builder *b);
MUST_USE enum err ike_protect_seal(struct ike_ctx *c, struct wire_ike_builder *b, struct bytes *ret);
/* Closes the SK or SKF payload and encrypts. */
MUST_USE enum err ike_protect_close(const struct ike_sa *sa, struct wire_ike_builder *b, struct bytes *ret);
/* Checks and decrypts, in place, a message whose only payload is SK, or SKF; copied to scratch before. */
MUST_USE enum err ike_protect_open_as(const struct ike_sa *sa, enum ike_payload type, struct bytes msg,
				      struct space scratch, uint8_t *ret_first, struct bytes *ret_inner);

/* ---- frag.c: RFC 7383 ---- */

/* The message of b in fragments that the path carries; one of them more than fits is made bigger instead. */
MUST_USE enum err ike_frag_seal(struct ike_ctx *c, struct wire_ike_builder *b, struct bytes *ret);
/* Whether the message is too long for one datagram, and may be divided. */
bool ike_frag_wanted(const struct ike_ctx *c, const struct wire_ike_builder *b);

/* ---- ts.c: RFC 7296 2.9 ---- */

/* The peer's selectors narrowed to ours (any to any). False: nothing is left. */
bool ike_ts_narrow(const struct wire_ike_tss *tsi, const struct wire_ike_tss *tsr, struct ike_ts_lists *ret);
void ike_ts_put(struct wire_ike_builder *b, uint8_t payload, const struct model_ts *ts, uint8_t cnt);
void ike_ts_text(const struct wire_ike_tss *tss, const char *name, char *text, size_t cap);
/* Our own two lists. */
void ike_ts_lists_text(const struct ike_ts_lists *ts, char *text, size_t cap);

/* ---- table.c: the rules of payloads, and of states ---- */

enum ike_input { IKE_IN_REQUEST, IKE_IN_RESPONSE, IKE_ON_TIMER, IKE_ON_CLOSE, IKE_ON_ADDRESS, IKE_ON_MOVED, IKE_ON_CHILD_EXPIRED, IKE_ON_DUTY };

/* "IKE_AUTH"; "" for what is none. */
const char *ike_exchange_name(uint8_t exchange);
/* The row for an input in a state; NULL: it is not expected. exchange is 0 for all but messages. */
ike_handler ike_table_find(enum ike_state state, enum ike_input input, uint8_t exchange);

/* 0, or the notify by which a request with these payloads is refused. *ret_type: the unknown critical payload. */
uint16_t ike_rules_check(uint8_t exchange, bool response, const struct wire_ike_payloads *in, uint8_t *ret_type);

/* ---- the exchanges ---- */

/* A plain answer to a message outside any SA, at most as long as the message itself. */
void ike_init_notify(const struct ike_event *ev, struct ike_out *out, const struct wire_ike_header *h, uint16_t type,
		     struct bytes data);

enum ike_state ike_init_repeat(struct ike_ctx *c);          /* init.c */
enum ike_state ike_auth_request(struct ike_ctx *c);         /* auth.c */
enum ike_state ike_create_request(struct ike_ctx *c);       /* child.c: CREATE_CHILD_SA of any kind */
enum ike_state ike_create_refuse(struct ike_ctx *c);
enum ike_state ike_rekey_request(struct ike_ctx *c, const struct wire_ike_sa *offer, const struct wire_ike_ke *ke,
				 struct bytes ni);          /* rekey_ike.c */
enum ike_state ike_info_request(struct ike_ctx *c);         /* info.c */
enum ike_state ike_info_response(struct ike_ctx *c);
enum ike_state ike_live_timer(struct ike_ctx *c);           /* live.c */
enum ike_state ike_live_close(struct ike_ctx *c);
enum ike_state ike_live_child_expired(struct ike_ctx *c);
enum ike_state ike_live_duty(struct ike_ctx *c);            /* REKEY_CHILD, REKEY_IKE, NEW_CHILD */

/* The answer becomes this one notify (RFC 7296 2.21: one error a request). */
void ike_reply_notify(struct ike_ctx *c, uint16_t type, struct bytes data);
/* A request that is authentic and yet not well formed: what names the payload. */
void ike_reply_syntax(struct ike_ctx *c, const char *what);
/* The step ends here with the single action IKE_ACT_DH. */
void ike_want_dh(struct ike_ctx *c, uint16_t group, struct bytes peer_public);

/* A Child SA in the making; used by IKE_AUTH and CREATE_CHILD_SA. */
struct ike_child_plan {
	struct ike_choice choice;
	struct ike_ts_lists ts;
	uint32_t replaces;     /* our SPI of the child that it rekeys, 0: none */
	bool ours;             /* we asked for it; then spi_in was in our request */
	uint32_t spi_in;
};
/* 0 with the plan filled, or the notify that refuses the child; then the step's failure is filled. */
uint16_t ike_child_decide(struct ike_ctx *c, enum ike_ke_rule rule, uint16_t ke_group,
			  struct ike_child_plan *ret);
/* Derives, adds the child to the record and the actions. ERR_CRYPTO. */
MUST_USE enum err ike_child_add(struct ike_ctx *c, const struct ike_child_plan *plan, struct bytes ni,
				struct bytes nr, struct bytes dh_secret, uint32_t *ret_spi);
void ike_child_put_sa(struct ike_ctx *c, const struct ike_child_plan *plan, uint32_t spi);
void ike_child_put_ts(struct ike_ctx *c, const struct ike_child_plan *plan);

struct ike_child_ref *ike_child_find(struct ike_sa *sa, uint32_t spi_in, uint32_t spi_out); /* 0: any */
void ike_child_forget(struct ike_sa *sa, struct ike_child_ref *ref);
/* CHILD_DELETE for each child that is still installed, and none is left in the record. */
void ike_child_delete_all(struct ike_ctx *c);

/* Ends the SA here: its children are deleted; step.c wipes the keys and keeps the cached reply for a while. */
enum ike_state ike_live_end(struct ike_ctx *c);
/* Children deleted, our Delete on its way; CLOSED follows its answer. */
enum ike_state ike_live_begin_end(struct ike_ctx *c);

/* ---- move.c: addresses that change (RFC 4555, RFC 7296 2.23, design section 6.6) ---- */

enum ike_state ike_move_address(struct ike_ctx *c);         /* the handler of IKE_ON_ADDRESS */
enum ike_state ike_move_self(struct ike_ctx *c);            /* of IKE_ON_MOVED */
/* NO_NATS_ALLOWED that does not fit the addresses of the message (RFC 4555 3.9); then the step's failure is filled. */
bool ike_move_nat_forbidden(struct ike_ctx *c);
/* What an INFORMATIONAL request says of addresses, and its part of the answer. */
void ike_move_request(struct ike_ctx *c);
/* The request is answered: the check of a new address starts where one is due. */
void ike_move_check(struct ike_ctx *c);
/* The answers to our UPDATE_SA_ADDRESSES, reachability and liveness checks, and the state that follows. */
enum ike_state ike_move_response(struct ike_ctx *c, const struct ike_request *q);
/* The candidate has not answered, or is not asked any more: what was sent there goes on as liveness check of the path. */
void ike_move_forget(struct ike_sa *sa);
/* An own request about addresses waits for the window. */
bool ike_move_due(const struct ike_sa *sa);
void ike_move_start(struct ike_ctx *c);
/* The payloads of such a request, and NAT detection in liveness checks. */
void ike_move_put(struct ike_ctx *c, enum ike_request_kind kind, const struct ike_request *facts,
		  struct wire_ike_builder *b);

/* start.c: our IKE_SA_INIT and its answers */
void ike_start_message(struct ike_ctx *c);
enum ike_state ike_start_timer(struct ike_ctx *c);
/* start_auth.c: our IKE_AUTH */
MUST_USE enum err ike_start_auth(struct ike_ctx *c);
enum ike_state ike_start_auth_response(struct ike_ctx *c);

/* ---- own_child.c: Child SAs that we ask for ---- */

/* An ESP SPI of ours that no child of the record has; 0 if none was found. */
uint32_t ike_child_spi(const struct ike_ctx *c, unsigned random_at);
/* The selectors of a child, 0: of a new one. False: they are not known. */
bool ike_child_selectors(const struct ike_ctx *c, uint32_t spi_in, struct ike_ts_lists *ret);
/* SA of a request (group NONE: without PFS), and its TSi and TSr. */
void ike_child_put_offer(struct ike_ctx *c, struct wire_ike_builder *b, uint32_t spi, uint16_t group);
void ike_child_put_selectors(struct wire_ike_builder *b, const struct ike_ts_lists *ts);
/* The answer to that: true with the plan filled. False: *ret_what says what is wrong with it. */
bool ike_child_take(struct ike_ctx *c, const struct ike_request *q, const struct ike_ts_lists *asked,
		    struct ike_child_plan *ret, const char **ret_what);
/* The first error notify of the message, 0: none. */
uint16_t ike_error_of(const struct wire_ike_payloads *in, struct wire_ike_notify *ret);
/* Makes a Delete for a child that the peer has and we never installed. */
void ike_child_disown(struct ike_ctx *c, uint32_t spi_in, uint32_t spi_out);

enum ike_state ike_own_child_response(struct ike_ctx *c, const struct ike_request *q);
/* Asks for a new one soon, where we started the tunnel and no child is left. */
void ike_child_want(struct ike_ctx *c);

/* ---- own.c, own_ike.c: CREATE_CHILD_SA that we start ---- */

/* Starts what is due and needs the window; true if that was something. Only in a step of IKE_EV_TIMER. */
bool ike_own_due(struct ike_ctx *c);
uint64_t ike_own_time(const struct ike_sa *sa);
enum ike_state ike_own_response(struct ike_ctx *c);
enum ike_state ike_own_ike_response(struct ike_ctx *c, const struct ike_request *q);
/* The failure of a request that was refused: by a notify, or what NULL is not. */
void ike_own_refused(struct ike_ctx *c, const struct ike_request *q, uint16_t type, const char *what);
/* True: the next request is made for the group that this notify names. */
bool ike_own_other_group(struct ike_ctx *c, const struct ike_request *q, const struct wire_ike_notify *n);
/* The step ends here with the single action IKE_ACT_DH. */
void ike_ask_dh(struct ike_ctx *c, const struct ike_dh_job *job);
/* The private value of the pending request, in the record of the caller. */
struct bytes ike_own_private(const struct ike_ctx *c);

/* A rekey of the peer while ours is on its way: its nonces; whether ours has the lowest of the four, so that the peer's
 * stands; whether the IKE SA that the peer made takes the place of this one, for ours came to nothing. */
void ike_rival_note(struct ike_sa *sa, struct bytes ni, struct bytes nr);
bool ike_rival_wins(const struct ike_rival *v, struct bytes ni, struct bytes nr);
bool ike_rival_promote(struct ike_ctx *c);
void ike_rival_forget(struct ike_sa *sa);

/* A record that takes the place of c->sa, with its children and without keys; and c->sa without children. */
void ike_rekey_new(const struct ike_ctx *c, enum ike_role role, const struct model_suite *suite, uint64_t spi_i,
		   uint64_t spi_r, struct ike_sa *ret);
void ike_rekey_retire(struct ike_ctx *c);

/* ---- duty.c: what is due when, with jitter and back-off ---- */

/* The time for a rekey of an SA with this lifetime that begins now (RFC 7296 2.8: with jitter). */
uint64_t ike_duty_soft(const struct ike_ctx *c, uint32_t lifetime_s, unsigned random_at);
/* Looks at message ids and IVs after each step of an SA that stands: rekeys it when they are low, ends it before they repeat. */
enum ike_state ike_duty_wear(struct ike_ctx *c);
/* When to try again after so many tries. */
uint64_t ike_duty_again(const struct ike_ctx *c, unsigned tries);
