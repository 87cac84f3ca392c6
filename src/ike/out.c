#include "ike/ctx.h"

#include <stdarg.h>
#include <stdio.h>

void ike_out_reset(struct ike_out *out)
{
	out->cnt = 0;
	out->changed = false;
	out->asks = false;
	out->sealed = false;
	out->has_sa = false;
	out->has_half = false;
	out->has_rekeyed = false;
	out->has_redundant = false;
}

/* Where keys and plaintext can be: what was sent is ciphertext, actions hold addresses and numbers. */
void ike_out_wipe(struct ike_out *out)
{
	secret_wipe(&out->child, sizeof(out->child));
	for (unsigned i = 0; i < ARRAY_LEN(out->room); i++)
		secret_wipe(out->room[i], out->clear[i] ? sizeof(out->room[i]) : 0);
	secret_wipe(out->scratch, out->clear_len);
	out->clear[0] = out->clear[1] = false;
	out->clear_len = 0;
	ike_out_reset(out);
}

struct space ike_out_clear_room(struct ike_out *out, bool response)
{
	unsigned i = response ? 0 : 1;

	out->clear[i] = true;
	return SPACE_OF(out->room[i]);
}

struct space ike_out_scratch(struct ike_out *out, struct bytes msg)
{
	size_t len = msg.len < sizeof(out->scratch) ? msg.len : sizeof(out->scratch);

	if (len > out->clear_len)
		out->clear_len = len;
	return SPACE_OF(out->scratch);
}

struct ike_action *ike_out_add(struct ike_out *out, enum ike_action_kind kind)
{
	must(out->cnt < IKE_ACTIONS_MAX);
	struct ike_action *a = &out->actions[out->cnt++];
	*a = (struct ike_action){ .kind = kind };
	return a;
}

void ike_out_drop(struct ike_out *out, enum model_drop drop)
{
	ike_out_add(out, IKE_ACT_DROP)->drop = drop;
}

void ike_out_count(struct ike_out *out, enum model_counter counter)
{
	ike_out_add(out, IKE_ACT_COUNT)->counter = counter;
}

void ike_out_send(struct ike_out *out, struct bytes list, const struct addr_endpoint *local,
		  const struct addr_endpoint *remote)
{
	struct rd r = rd_of(list);

	while (rd_left(&r) > 0) {
		/* RFC 7296 3.1: the length stands at the end of the header. */
		struct rd header = r;
		rd_skip(&header, WIRE_IKE_HEADER_LEN - 4);
		uint32_t len = rd_u32(&header);
		must(!header.bad && len >= WIRE_IKE_HEADER_LEN);
		struct ike_action *a = ike_out_add(out, IKE_ACT_SEND);
		a->send.msg = rd_bytes(&r, len);
		must(!r.bad);
		a->send.local = *local;
		a->send.remote = *remote;
		/* RFC 7296 3.1: IKE on port 4500 stands behind four zero bytes. */
		a->send.marker = local->port == IKE_NATT_PORT;
	}
}

bool ike_out_has_failure(const struct ike_out *out)
{
	for (unsigned i = 0; i < out->cnt; i++)
		if (out->actions[i].kind == IKE_ACT_FAILURE)
			return true;
	return false;
}

struct model_failure *ike_out_fail(struct ike_out *out, const struct ike_event *ev, const struct ike_sa *sa,
				   enum model_failure_code code, enum model_stage stage)
{
	must(!ike_out_has_failure(out));
	(void)ike_out_add(out, IKE_ACT_FAILURE);

	struct model_failure *f = &out->failure;
	*f = (struct model_failure){
		.code = (uint8_t)code,
		.stage = (uint8_t)stage,
		.local = ev->local,
		.remote = ev->remote,
		.first_us = ev->now_us,
		.last_us = ev->now_us,
		.cnt = 1,
	};
	if (sa == NULL)
		return f;
	f->account_id = sa->account_id;
	f->tunnel_id = sa->tunnel_id;
	if (f->remote.addr.family == ADDR_NONE) {
		f->local = sa->path.local;
		f->remote = sa->path.remote;
	}
	if (sa->id_len != 0)
		model_identity_print(sa->id_type, bytes_of(sa->id, sa->id_len), f->identity);
	return f;
}

void ike_text_notify(char *text, size_t cap, uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} names[] = {
#define NAME(name) { IKE_N_##name, #name }
		NAME(UNSUPPORTED_CRITICAL_PAYLOAD), NAME(INVALID_IKE_SPI), NAME(INVALID_MAJOR_VERSION),
		NAME(INVALID_SYNTAX), NAME(INVALID_MESSAGE_ID), NAME(INVALID_SPI), NAME(NO_PROPOSAL_CHOSEN),
		NAME(INVALID_KE_PAYLOAD), NAME(AUTHENTICATION_FAILED), NAME(SINGLE_PAIR_REQUIRED),
		NAME(NO_ADDITIONAL_SAS), NAME(INTERNAL_ADDRESS_FAILURE), NAME(FAILED_CP_REQUIRED),
		NAME(TS_UNACCEPTABLE), NAME(INVALID_SELECTORS), NAME(UNACCEPTABLE_ADDRESSES),
		NAME(UNEXPECTED_NAT_DETECTED), NAME(TEMPORARY_FAILURE), NAME(CHILD_SA_NOT_FOUND),
#undef NAME
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].type == type) {
			ike_text_add(text, cap, "%s (%u)", names[i].name, type);
			return;
		}
	ike_text_add(text, cap, "notify %u", type);
}

void ike_text_add(char *text, size_t cap, const char *fmt, ...)
{
	static const char cut[] = "...";
	size_t len = strlen(text);
	va_list ap;

	must(cap > sizeof(cut) && len < cap);
	if (len + 1 == cap) /* was cut before */
		return;
	va_start(ap, fmt);
	int n = vsnprintf(text + len, cap - len, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n >= cap - len)
		memcpy(text + cap - sizeof(cut), cut, sizeof(cut));
}
