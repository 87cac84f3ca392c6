// The identities by which a peer names its tunnel, and those that we print for it.
// Any thread; pure. RFC 7296 3.5; the three documented forms of the mission.
//
//   ID_RFC822_ADDR  ipsec@<tunnel>.<account>.<domain>
//   ID_FQDN         <tunnel>.<account>.<domain>
//   ID_KEY_ID       <account>_<tunnel>
//
// <account> is the short decimal number, <tunnel> the 32-hex id. Letter case is ignored, and the
// 32-hex account id is taken in place of the number.
#pragma once

#include "base/addr.h"
#include "model/account.h"
#include "model/id.h"

#define MODEL_DOMAIN_MAX 128
#define MODEL_IDENTITY_TEXT_MAX 256 /* for logs and records: printable, cut if longer */

/* What an IDi says, before anything is looked up. */
struct model_identity {
	uint8_t type;              /* enum ike_id_type */
	bool by_address;           /* ID_IPV4_ADDR or ID_IPV6_ADDR: addr is set, the rest is not */
	struct addr addr;
	bool account_is_number;
	uint32_t account_number;
	struct model_id account_id;
	struct model_id tunnel_id;
};

/* Takes the documented forms and addresses. ERR_UNSUPPORTED: another ID type; ERR_SYNTAX: a known
 * type whose text has another form (also another domain). */
MUST_USE enum err model_identity_parse(uint8_t type, struct bytes data, const char *domain,
				       struct model_identity *ret);

/* The texts for people and for remote_identities. text holds MODEL_IDENTITY_TEXT_MAX. */
void model_identity_fqdn(uint32_t account_number, const struct model_id *tunnel, const char *domain,
			 char text[static MODEL_IDENTITY_TEXT_MAX]);
void model_identity_user(uint32_t account_number, const struct model_id *tunnel, const char *domain,
			 char text[static MODEL_IDENTITY_TEXT_MAX]);
void model_identity_key(uint32_t account_number, const struct model_id *tunnel,
			char text[static MODEL_IDENTITY_TEXT_MAX]);

/* Any ID payload as printable text ("fqdn:…", "keyid:…", "ipv4:192.0.2.1", "type 9:<hex>"). */
void model_identity_print(uint8_t type, struct bytes data, char text[static MODEL_IDENTITY_TEXT_MAX]);

/* "fqdn", "rfc822", "keyid", "ipv4", "ipv6", "other" */
const char *model_identity_type_name(uint8_t type);
