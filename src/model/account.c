#include "model/account.h"

#include "model/check.h"
#include "model/record.h"

void model_account_init(struct model_account *a)
{
	*a = (struct model_account){ .offramp_default = true };
}

/* A network namespace is a file name under /run/netns. */
static bool netns_valid(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	return strspn(name, allowed) == strlen(name) && name[0] != '.' && name[0] != '-';
}

static enum err check_endpoints(const struct model_account *a, struct model_problem *problem)
{
	char text[ADDR_TEXT_MAX];
	must(a->endpoint_cnt <= MODEL_ACCOUNT_ENDPOINTS_MAX);
	for (size_t i = 0; i < a->endpoint_cnt; i++) {
		if (!model_addr_is_unicast(&a->endpoints[i])) {
			model_problem_set(problem, MODEL_CODE_ACCOUNT, "/endpoints",
					  "endpoints: %s is not a unicast address; give gateway addresses of "
					  "this node",
					  addr_format(&a->endpoints[i], text));
			return ERR_RANGE;
		}
		for (size_t j = 0; j < i; j++) {
			if (!addr_eq(&a->endpoints[i], &a->endpoints[j]))
				continue;
			model_problem_set(problem, MODEL_CODE_ACCOUNT, "/endpoints",
					  "endpoints: %s stands there twice; leave one of them out",
					  addr_format(&a->endpoints[i], text));
			return ERR_RANGE;
		}
	}
	return ERR_NONE;
}

enum err model_account_check(const struct model_account *a, struct model_problem *problem)
{
	if (!model_name_valid(a->name)) {
		model_problem_set(problem, MODEL_CODE_NAME, "/name",
				  "name must have 1 to 255 printable ASCII characters");
		return ERR_RANGE;
	}
	if (a->number == 0) {
		model_problem_set(problem, MODEL_CODE_ACCOUNT, "/number",
				  "number 0 is not an account number; they begin at 1");
		return ERR_RANGE;
	}
	if (!netns_valid(a->offramp_netns)) {
		model_problem_set(problem, MODEL_CODE_ACCOUNT, "/offramp_netns",
				  "offramp_netns must be the name of a network namespace as in `ip netns` "
				  "(letters, digits, '_', '.', '-'), or empty for the main one");
		return ERR_RANGE;
	}
	return check_endpoints(a, problem);
}

enum { VERSION = 1 };
enum field { F_ID = 1, F_NUMBER, F_NAME, F_NETNS, F_OFFRAMP, F_ENDPOINT, F_CREATED, F_MODIFIED };
#define REQUIRED (MODEL_RECORD_BIT(F_ID) | MODEL_RECORD_BIT(F_NUMBER) | MODEL_RECORD_BIT(F_NAME))
#define REPEATED MODEL_RECORD_BIT(F_ENDPOINT)

enum err model_account_encode(const struct model_account *a, struct wr *w)
{
	must(a->endpoint_cnt <= MODEL_ACCOUNT_ENDPOINTS_MAX);
	tlv_begin(w, VERSION);
	model_record_put_id(w, F_ID, &a->id);
	tlv_u32(w, F_NUMBER, a->number);
	tlv_text(w, F_NAME, a->name);
	tlv_text(w, F_NETNS, a->offramp_netns);
	tlv_u8(w, F_OFFRAMP, a->offramp_default);
	for (size_t i = 0; i < a->endpoint_cnt; i++)
		tlv_addr(w, F_ENDPOINT, &a->endpoints[i]);
	tlv_u64(w, F_CREATED, a->created_us);
	tlv_u64(w, F_MODIFIED, a->modified_us);
	return model_record_written(w);
}

static void take_endpoint(struct model_record *d, struct model_account *a)
{
	struct addr endpoint = model_record_addr(d);
	if (endpoint.family == ADDR_NONE || a->endpoint_cnt == MODEL_ACCOUNT_ENDPOINTS_MAX)
		d->bad = true;
	else
		a->endpoints[a->endpoint_cnt++] = endpoint;
}

enum err model_account_decode(struct bytes record, struct model_account *ret)
{
	struct model_account a;
	struct model_record d;
	enum err e = model_record_start(&d, record, VERSION);

	model_account_init(&a);
	for (unsigned type; e == ERR_NONE && (type = model_record_next(&d, REPEATED)) != 0;) {
		switch (type) {
		case F_ID: a.id = model_record_id(&d); break;
		case F_NUMBER: a.number = model_record_u32(&d); break;
		case F_NAME: model_record_text(&d, a.name, sizeof(a.name)); break;
		case F_NETNS: model_record_text(&d, a.offramp_netns, sizeof(a.offramp_netns)); break;
		case F_OFFRAMP: a.offramp_default = model_record_bool(&d); break;
		case F_ENDPOINT: take_endpoint(&d, &a); break;
		case F_CREATED: a.created_us = model_record_u64(&d); break;
		case F_MODIFIED: a.modified_us = model_record_u64(&d); break;
		}
	}
	if (e == ERR_NONE)
		e = model_record_end(&d, REQUIRED);
	if (e == ERR_NONE)
		*ret = a;
	return e;
}
