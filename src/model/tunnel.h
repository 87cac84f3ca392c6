// A tunnel: one configured IPsec tunnel of an account, as the API knows it. Start reading here.
// Any thread; plain values. Fields and rules: doc/api.md; Magic WAN API "ipsec_tunnels".
#pragma once

#include "base/addr.h"
#include "model/id.h"
#include "model/problem.h"
#include "model/proposal.h"

#define MODEL_TUNNEL_NAME_MAX 256         /* with the NUL: 1 to 255 characters */
#define MODEL_TUNNEL_DESCRIPTION_MAX 1025
#define MODEL_TUNNEL_TARGET_MAX ADDR_TEXT_MAX

enum model_rate { MODEL_RATE_LOW, MODEL_RATE_MID, MODEL_RATE_HIGH };
enum model_probe { MODEL_PROBE_REPLY, MODEL_PROBE_REQUEST };
enum model_direction { MODEL_DIRECTION_UNIDIRECTIONAL, MODEL_DIRECTION_BIDIRECTIONAL };

/* Kept and echoed for the API. target "" means the default. */
struct model_health_check {
	bool enabled;
	uint8_t rate;      /* enum model_rate */
	uint8_t type;      /* enum model_probe */
	uint8_t direction; /* enum model_direction */
	char target[MODEL_TUNNEL_TARGET_MAX];
};

/* What the product lacks: the object "onramp" of a tunnel. */
struct model_tunnel_onramp {
	uint32_t ike_lifetime_s;   /* hard; 300 to 604800, default 86400 (24 h) */
	uint32_t child_lifetime_s; /* hard; 120 to 604800, default 28800 (8 h) */
	uint32_t dpd_delay_s;      /* liveness check after silence; 0 off, 5 to 3600, default 30 */
	uint16_t replay_window;    /* our own check on what the peer sends; 0 off (default), 32 to 4096 */
	uint16_t mss_clamp;        /* 0 automatic, 1 off, else 536 to 9000 */
	uint16_t outer_mtu;        /* path MTU between us and the peer, 576 to 9000, default 1500 */
	uint8_t start_action;      /* enum model_start_action */
	uint8_t profile;           /* enum model_profile: the algorithms that it may be negotiated with */
	bool esn;                  /* extended sequence numbers (RFC 4304), only with replay_protection; default false */
	uint64_t child_rekey_bytes;   /* a Child SA is rekeyed after so many inner bytes, 0: what suits the cipher */
	uint64_t child_rekey_packets; /* and after so many packets, 0: what suits cipher and sequence numbers */
};

#define MODEL_REKEY_BYTES_MIN (UINT64_C(1) << 20)
#define MODEL_REKEY_PACKETS_MIN UINT64_C(100)
#define MODEL_REKEY_MAX (UINT64_C(1) << 40)

/* This gateway answers; the peer starts. */
enum model_start_action { MODEL_START_RESPOND };

struct model_tunnel {
	struct model_id id;
	struct model_id account_id;
	char name[MODEL_TUNNEL_NAME_MAX];               /* unique in the account */
	char description[MODEL_TUNNEL_DESCRIPTION_MAX];
	struct addr cloudflare_endpoint;                /* one of the account's gateway addresses, v4 or v6 */
	struct addr customer_endpoint;                  /* family none: any */
	struct addr_prefix interface_address;           /* our side, /30 or /31; host bits kept */
	struct addr_prefix interface_address6;          /* our side, /127; family none: not set */
	struct model_health_check health_check;
	bool allow_null_cipher;
	bool replay_protection;
	bool has_description;                           /* a description was given, maybe an empty one */
	struct model_tunnel_onramp onramp;
	uint64_t psk_set_us;                            /* 0: no PSK yet */
	uint64_t created_us;
	uint64_t modified_us;
};

#define MODEL_TUNNEL_RECORD_MAX 2560

/* The defaults of every field that a create may leave out. */
void model_tunnel_init(struct model_tunnel *t);

/* The rules that one tunnel alone must keep (not those against its neighbours).
 * ERR_RANGE with *problem filled. */
MUST_USE enum err model_tunnel_check(const struct model_tunnel *t, struct model_problem *problem);

/* The rules between two tunnels of one account: names, interface addresses. A tunnel never clashes with
 * itself (same id).
 * ERR_EXISTS with *problem filled. */
MUST_USE enum err model_tunnel_check_pair(const struct model_tunnel *t, const struct model_tunnel *other,
					  struct model_problem *problem);

/* The other host of the /30, /31 or /127: the customer's side. Family none if the prefix has none. */
struct addr model_tunnel_customer_side(const struct addr_prefix *interface_address);

/* The address that a health check really uses (Magic WAN API: default target). */
struct addr model_tunnel_health_target(const struct model_tunnel *t);

/* Record codec, as in model/account.h. */
MUST_USE enum err model_tunnel_encode(const struct model_tunnel *t, struct wr *w);
MUST_USE enum err model_tunnel_decode(struct bytes record, struct model_tunnel *ret);

/* Names of the small enums, as the API spells them; parse ignores letter case. */
const char *model_rate_name(uint8_t v);
const char *model_probe_name(uint8_t v);
const char *model_direction_name(uint8_t v);
MUST_USE enum err model_rate_parse(struct bytes text, uint8_t *ret);
MUST_USE enum err model_probe_parse(struct bytes text, uint8_t *ret);
MUST_USE enum err model_direction_parse(struct bytes text, uint8_t *ret);
