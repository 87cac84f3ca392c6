// The keys of the store: one function for each kind of record.
// Any thread; pure. Reference: ARCHITECTURE.md, "What is in the store".
//
//   cfg/acct/<account>            account           cfg/acctnum/<number>        account id (16 bytes)
//   cfg/ver/<account>             changes with every configuration write of the account
//   cfg/tun/<account>/<tunnel>    tunnel            cfg/psk/<account>/<tunnel>  sealed PSKs
//   cfg/route/<account>/<route>   route             cfg/tok/<sha256 hex>        token
//   cfg/next-acctnum              last account number given out (u32)
//   ike/<our spi>                 IKE SA, sealed    child/<spi in>              Child SA, sealed
//   cur/<tunnel>                  our SPI (u64) of the IKE SA that came last, in a cluster
//   seq/<spi in>                  how far the keys of that SA may be used, and by whom (cluster/sequence.h)
//   st/tun/<account>/<tunnel>     last state and last failure of a tunnel
//   st/why/<account>/<tunnel>/<slot>  the failures of a tunnel, one each
//   st/unknown/<slot>             failures that belong to no tunnel
//   meta/incarnation              last incarnation given out (u32)
//   meta/secret                   of all gateways over the store, sealed
//   meta/cookie                   the cookie secret of a cluster, sealed (cluster/record.h)
//   meta/tick                     time and slot of the node that keeps it (control/node.c)
//   meta/format                   format of SA records (u16, model/format.h)
//   meta/schema                   version of the key layout (u32)
//   meta/copying, meta/moved      a store that no gateway may use (store/copy.h)
//   node/<slot>                   a running node, under its lease (cluster/record.h); the slot in 3 hex digits
#pragma once

#include "model/id.h"

#define MODEL_KEY_MAX 96

struct model_key {
	char text[MODEL_KEY_MAX];
};

static inline struct bytes model_key_bytes(const struct model_key *k)
{
	return bytes_str(k->text);
}

struct model_key model_key_account(const struct model_id *account);
struct model_key model_key_account_number(uint32_t number);
struct model_key model_key_version(const struct model_id *account);
struct model_key model_key_tunnel(const struct model_id *account, const struct model_id *tunnel);
struct model_key model_key_psk(const struct model_id *account, const struct model_id *tunnel);
struct model_key model_key_route(const struct model_id *account, const struct model_id *route);
struct model_key model_key_token(const uint8_t hash[32]);
struct model_key model_key_ike(uint64_t our_spi);
struct model_key model_key_child(uint32_t spi_in);
struct model_key model_key_sequence(uint32_t spi_in);
struct model_key model_key_current(const struct model_id *tunnel);
struct model_key model_key_tunnel_state(const struct model_id *account, const struct model_id *tunnel);
struct model_key model_key_why(const struct model_id *account, const struct model_id *tunnel, unsigned slot);
/* The range of a tunnel's failures. */
struct model_key model_key_why_all(const struct model_id *account, const struct model_id *tunnel);
struct model_key model_key_unknown(unsigned slot);
struct model_key model_key_node(uint16_t slot);
/* All keys of a kind in one account, for ranges: kind "cfg/tun/" (or "cfg/tun") gives "cfg/tun/<account>/". */
struct model_key model_key_prefix(const char *kind, const struct model_id *account);

/* What such a key is of. False: it is none. */
bool model_key_ike_parse(struct bytes key, uint64_t *ret_spi);
bool model_key_child_parse(struct bytes key, uint32_t *ret_spi);
bool model_key_sequence_parse(struct bytes key, uint32_t *ret_spi);
bool model_key_current_parse(struct bytes key, struct model_id *ret_tunnel);

#define MODEL_KEY_IKE "ike/"
#define MODEL_KEY_CHILD "child/"
#define MODEL_KEY_SEQUENCE "seq/"
#define MODEL_KEY_CURRENT "cur/"
#define MODEL_KEY_CFG "cfg/"
#define MODEL_KEY_ACCOUNTS "cfg/acct/"
#define MODEL_KEY_TOKENS "cfg/tok/"
#define MODEL_KEY_NEXT_ACCOUNT "cfg/next-acctnum"
#define MODEL_KEY_INCARNATION "meta/incarnation"
#define MODEL_KEY_SECRET "meta/secret"
#define MODEL_KEY_COOKIE "meta/cookie"
#define MODEL_KEY_FORMAT "meta/format"
#define MODEL_KEY_TICK "meta/tick"
#define MODEL_KEY_SCHEMA "meta/schema"
#define MODEL_KEY_COPYING "meta/copying"
#define MODEL_KEY_MOVED "meta/moved"
#define MODEL_KEY_NODES "node/"
#define MODEL_KEY_STATES "st/tun/"
#define MODEL_KEY_WHY "st/why/"
#define MODEL_KEY_UNKNOWN "st/unknown/"
