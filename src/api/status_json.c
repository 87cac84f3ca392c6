#include "api/status_json.h"

#include <stdlib.h>

#include "api/record.h"
#include "base/clock.h"
#include "base/iana.h"
#include "explain/compare.h"
#include "explain/verdict.h"
#include "model/identity.h"

/* ---- loading ---- */

static void *grow(void *array, size_t cnt, size_t *cap, size_t size)
{
	if (cnt < *cap)
		return array;
	size_t n = *cap == 0 ? 8 : 2 * *cap;
	void *p = reallocarray(array, n, size);
	must(p != NULL);
	*cap = n;
	return p;
}

static void keep_live(void *arg, const struct model_live_tunnel *t)
{
	struct api_states *s = arg;

	s->live = grow(s->live, s->live_cnt, &s->live_cap, sizeof(*t));
	s->live[s->live_cnt++] = *t;
}

/* A state that cannot be read is passed over: the tunnel shows as unknown, which is true. */
static void keep_stored(void *arg, const struct store_row *row)
{
	struct api_states *s = arg;
	struct model_tunnel_state state;

	if (model_tunnel_state_decode(row->value, &state) != ERR_NONE)
		return;
	s->stored = grow(s->stored, s->stored_cnt, &s->stored_cap, sizeof(state));
	s->stored[s->stored_cnt++] = state;
}

static int compare_live(const void *a, const void *b)
{
	const struct model_live_tunnel *x = a, *y = b;
	return memcmp(x->tunnel_id.b, y->tunnel_id.b, sizeof(x->tunnel_id.b));
}

static int compare_stored(const void *a, const void *b)
{
	const struct model_tunnel_state *x = a, *y = b;
	return memcmp(x->tunnel_id.b, y->tunnel_id.b, sizeof(x->tunnel_id.b));
}

static enum err load_stored(struct api_call *c, const struct model_id *only, struct api_states *s)
{
	struct model_key key = only == NULL ? model_key_prefix("st/tun", &c->account.id)
					    : model_key_tunnel_state(&c->account.id, only);

	if (c->server->store == NULL)
		return ERR_AWAY;
	if (only == NULL)
		return store_range(c->server->store, model_key_bytes(&key), (struct bytes){ 0 }, 0,
				   keep_stored, s, NULL);
	enum err e = store_get(c->server->store, model_key_bytes(&key), keep_stored, s);
	return e == ERR_NOTFOUND ? ERR_NONE : e;
}

void api_states_load(struct api_call *c, const struct model_id *only, struct api_states *ret)
{
	struct model_live_request request = { .op = only == NULL ? MODEL_LIVE_TUNNELS : MODEL_LIVE_TUNNEL,
					      .account_id = c->account.id };
	const struct model_live_sink sink = { .tunnel = keep_live, .arg = ret };

	*ret = (struct api_states){ 0 };
	if (only != NULL)
		request.tunnel_id = *only;
	enum err e = api_live_ask(&c->server->live, &request, &sink);
	ret->gateway_away = e != ERR_NONE && e != ERR_NOTFOUND;
	if (ret->gateway_away) {
		ret->live_cnt = 0;
		api_message(c, API_MESSAGE_GATEWAY_AWAY,
			    "The gateway process does not answer: this is what the store has, without live "
			    "detail.");
	}
	e = load_stored(c, only, ret);
	if (e != ERR_NONE)
		api_fail_store(c, e, "the states of the tunnels could not be read");
	if (ret->live_cnt > 1)
		qsort(ret->live, ret->live_cnt, sizeof(*ret->live), compare_live);
	if (ret->stored_cnt > 1)
		qsort(ret->stored, ret->stored_cnt, sizeof(*ret->stored), compare_stored);
}

void api_states_fini(struct api_states *s)
{
	free(s->live);
	free(s->stored);
	*s = (struct api_states){ 0 };
}

static const struct model_live_tunnel *find_live(const struct api_states *s, const struct model_id *tunnel)
{
	const struct model_live_tunnel key = { .tunnel_id = *tunnel };
	return s->live_cnt == 0 ? NULL : bsearch(&key, s->live, s->live_cnt, sizeof(key), compare_live);
}

static const struct model_tunnel_state *find_stored(const struct api_states *s, const struct model_id *tunnel)
{
	const struct model_tunnel_state key = { .tunnel_id = *tunnel };
	return s->stored_cnt == 0 ? NULL
				  : bsearch(&key, s->stored, s->stored_cnt, sizeof(key), compare_stored);
}

bool api_states_up(const struct api_states *s, const struct model_id *tunnel)
{
	const struct model_live_tunnel *live = find_live(s, tunnel);
	const struct model_tunnel_state *stored = find_stored(s, tunnel);

	return live != NULL ? live->up : stored != NULL && stored->up == MODEL_TUNNEL_UP;
}

/* ---- showing ---- */

static json_t *time_json(uint64_t us)
{
	char text[CLOCK_TEXT_MAX];
	return us == 0 ? json_null() : json_string(clock_text(us, text));
}

/* What peers sent may hold anything: text that is no UTF-8 is not repeated. */
static json_t *peer_text_json(const char *text)
{
	json_t *j = json_string(text);
	return j != NULL ? j : json_string("(not printable)");
}

static json_t *endpoint_json(const struct addr_endpoint *e)
{
	char text[ADDR_ENDPOINT_TEXT_MAX];
	return e->addr.family == ADDR_NONE ? json_null() : json_string(addr_endpoint_format(e, text));
}

/* ---- evidence: the offer against what is allowed, transform by transform ---- */

static json_t *transform_json(const struct model_offered *o)
{
	char name[MODEL_TRANSFORM_TEXT_MAX];
	return json_string(model_transform_text(o->type, o->id, o->key_bits, name));
}

/* Of one proposal, or with number 0 of what is allowed: by kind, each with whether it is allowed. */
static json_t *kinds_json(const struct model_failure *f, uint8_t number)
{
	const struct model_offered *list = number == 0 ? f->allow : f->offer;
	unsigned cnt = number == 0 ? f->allow_cnt : f->offer_cnt;
	json_t *o = json_object();

	for (unsigned k = 0; k < EXPLAIN_KINDS; k++) {
		json_t *names = json_array();
		for (unsigned i = 0; i < cnt; i++) {
			const struct model_offered *t = &list[i];
			if (t->proposal != number || t->type != explain_kind_type(k))
				continue;
			bool allowed = explain_offered_has(f->allow, f->allow_cnt, 0, t->type, t->id, t->key_bits);
			json_array_append_new(names, number == 0 ? transform_json(t)
								 : json_pack("{s:o, s:b}", "name", transform_json(t),
									     "allowed", (int)allowed));
		}
		if (json_array_size(names) != 0)
			json_object_set(o, explain_kind_name(k), names);
		json_decref(names);
	}
	return o;
}

static json_t *proposal_json(const struct model_failure *f, const struct explain_proposal *p)
{
	json_t *misfits = json_array();

	for (unsigned k = 0; k < EXPLAIN_KINDS; k++)
		if ((p->bad & 1u << k) != 0)
			json_array_append_new(misfits, json_string(explain_kind_name(k)));
	return json_pack("{s:i, s:o, s:o}", "number", (int)p->number, "misfits", misfits, "offered",
			 kinds_json(f, p->number));
}

/* null for a failure that is no refused offer */
static json_t *evidence_json(const struct model_failure *f)
{
	struct explain_compare c;
	char suite[MODEL_SUITE_TEXT_MAX];
	json_t *proposals;

	explain_compare_offer(f, &c);
	if (c.proposal_cnt == 0)
		return json_null();
	proposals = json_array();
	for (unsigned i = 0; i < c.proposal_cnt; i++)
		json_array_append_new(proposals, proposal_json(f, &c.proposals[i]));
	return json_pack("{s:i, s:o, s:o, s:{s:i, s:s, s:s}}", "phase", c.ike ? 1 : 2, "proposals", proposals, "allowed",
			 kinds_json(f, 0), "nearest", "of_proposal", (int)c.proposals[c.nearest].number, "swanctl",
			 c.swanctl, "suite", model_suite_text(&c.suite, suite));
}

/* The tunnel that an unknown identity probably meant; null if none is near. */
static json_t *near_json(const struct api_call *c, const struct model_failure *f)
{
	char tunnel[MODEL_ID_TEXT_MAX], account[MODEL_ID_TEXT_MAX], identity[MODEL_IDENTITY_TEXT_MAX];

	if (model_id_is_zero(&f->near_tunnel_id))
		return json_null();
	model_identity_user(f->near_account_number, &f->near_tunnel_id, c->server->conf->identity_domain, identity);
	return json_pack("{s:s, s:s, s:s}", "account_id", model_id_text(&f->near_account_id, account), "tunnel_id",
			 model_id_text(&f->near_tunnel_id, tunnel), "identity", identity);
}

json_t *api_verdict_json(const struct api_call *c, const struct model_failure *f,
			 const struct model_tunnel *t)
{
	struct explain_context context = { .identity_domain = c->server->conf->identity_domain };
	struct explain_verdict v;

	if (t != NULL) {
		context.gateway = t->cloudflare_endpoint;
		context.customer_endpoint = t->customer_endpoint;
		context.account_number = c->account.number;
	}
	explain_failure(f, &context, &v);
	json_t *o = json_pack("{s:s, s:s, s:s}", "code", v.code, "stage", v.stage, "side",
			      explain_side_name(v.side));
	json_object_set_new(o, "sentence", peer_text_json(v.sentence));
	json_object_set_new(o, "change", peer_text_json(v.change));
	json_object_set_new(o, "peer", endpoint_json(&f->remote));
	json_object_set_new(o, "gateway", endpoint_json(&f->local));
	json_object_set_new(o, "identity", peer_text_json(f->identity));
	json_object_set_new(o, "offered", peer_text_json(f->offered));
	json_object_set_new(o, "allowed", peer_text_json(f->allowed));
	json_object_set_new(o, "evidence", evidence_json(f));
	json_object_set_new(o, "nearest_tunnel", near_json(c, f));
	json_object_set_new(o, "over_since", time_json(f->over_us));
	json_object_set_new(o, "first_seen", time_json(f->first_us));
	json_object_set_new(o, "last_seen", time_json(f->last_us));
	json_object_set_new(o, "count", json_integer(f->cnt));
	return o;
}

static json_t *suite_json(const struct model_suite *s)
{
	char text[MODEL_SUITE_TEXT_MAX];
	return s->encr == 0 ? json_null() : json_string(model_suite_text(s, text));
}

static void set_peer(json_t *o, const struct model_live_tunnel *l)
{
	json_object_set_new(o, "local", endpoint_json(&l->path.local));
	json_object_set_new(o, "remote", endpoint_json(&l->path.remote));
	json_object_set_new(o, "identity_type",
			    l->identity_type == 0 ? json_null()
						  : json_string(model_identity_type_name(l->identity_type)));
	json_object_set_new(o, "identity", peer_text_json(l->identity));
	json_object_set_new(o, "start_port", json_integer(l->start_port));
	json_object_set_new(o, "nat_claimed", json_boolean(l->nat_claimed));
	json_object_set_new(o, "nat_seen", json_boolean(l->nat_seen));
	json_object_set_new(o, "udp_encap", json_boolean(l->path.udp_encap));
}

static void set_count(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_live(struct api_call *c, json_t *o, const struct model_live_tunnel *l,
		     const struct model_tunnel *t)
{
	bool null_cipher = l->child_suite.encr == IKE_ENCR_NULL;

	set_peer(o, l);
	json_object_set_new(o, "ike_suite", suite_json(&l->ike_suite));
	json_object_set_new(o, "child_suite", suite_json(&l->child_suite));
	json_object_set_new(o, "encrypted", json_boolean(l->child_suite.encr != 0 && !null_cipher));
	set_count(o, "child_count", l->child_cnt);
	set_count(o, "effective_mtu", l->effective_mtu);
	set_count(o, "ike_rekeys", l->ike_rekeys);
	set_count(o, "child_rekeys", l->child_rekeys);
	set_count(o, "in_packets", l->in_packets);
	set_count(o, "in_bytes", l->in_bytes);
	set_count(o, "out_packets", l->out_packets);
	set_count(o, "out_bytes", l->out_bytes);
	json_object_set_new(o, "last_in", time_json(l->last_in_us));
	if (null_cipher)
		api_message(c, API_MESSAGE_UNENCRYPTED,
			    "UNENCRYPTED: tunnel \"%.255s\" is up with NULL encryption.", t->name);
}

json_t *api_status_json(struct api_call *c, const struct api_states *s, const struct model_tunnel *t)
{
	const struct model_live_tunnel *live = find_live(s, &t->id);
	const struct model_tunnel_state *stored = find_stored(s, &t->id);
	const struct model_failure *failure = NULL;
	char id[MODEL_ID_TEXT_MAX];
	uint64_t since = live != NULL ? live->since_us : stored != NULL ? stored->since_us : 0;
	bool up = api_states_up(s, &t->id);

	if (live != NULL && live->has_failure)
		failure = &live->failure;
	else if (stored != NULL && stored->has_failure)
		failure = &stored->failure;
	json_t *o = json_pack("{s:s, s:s, s:b, s:s, s:o}", "id", model_id_text(&t->id, id), "name", t->name,
			      "up", up, "source",
			      live != NULL     ? "gateway"
			      : stored != NULL ? "store"
					       : "none",
			      "since", time_json(since));
	json_object_set_new(o, "allow_null_cipher", json_boolean(t->allow_null_cipher));
	json_object_set_new(o, "psk_set", json_boolean(t->psk_set_us != 0));
	if (live != NULL)
		set_live(c, o, live, t);
	/* a failure from before the tunnel came up explains nothing any more, but is kept for the curious */
	json_t *told = failure == NULL ? json_null() : api_verdict_json(c, failure, t);
	bool stands = failure != NULL && (!up || (failure->last_us >= since && failure->over_us == 0));
	json_object_set(o, "verdict", stands ? told : json_null());
	json_object_set_new(o, "last_failure", told);
	return o;
}
