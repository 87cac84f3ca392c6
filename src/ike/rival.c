// Two rekeys that met, and whose nonce decides (RFC 7296 2.8.1, 2.8.2).
#include "base/secret.h"
#include "ike/child.h"

/* By octets; where one ends it is the lower one. */
static int compare(struct bytes a, struct bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < len; i++)
		if (a.p[i] != b.p[i])
			return a.p[i] < b.p[i] ? -1 : 1;
	return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

static struct bytes lower(struct bytes ni, struct bytes nr)
{
	struct bytes low = compare(ni, nr) < 0 ? ni : nr;

	if (low.len > IKE_RIVAL_NONCE_MAX)
		low.len = IKE_RIVAL_NONCE_MAX;
	return low;
}

void ike_rival_note(struct ike_sa *sa, struct bytes ni, struct bytes nr)
{
	struct ike_rival *v = &sa->rival;
	struct bytes low = lower(ni, nr);
	struct wr w = wr_of(SPACE_OF(v->nonce));

	wr_put(&w, low);
	v->nonce_len = (uint8_t)low.len;
	v->present = true;
}

bool ike_rival_wins(const struct ike_rival *v, struct bytes ni, struct bytes nr)
{
	return v->present && compare(lower(ni, nr), bytes_of(v->nonce, v->nonce_len)) < 0;
}

void ike_rival_forget(struct ike_sa *sa)
{
	secret_wipe(&sa->rival, sizeof(sa->rival));
}
