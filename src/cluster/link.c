#include "cluster/link.h"

#include "base/secret.h"
#include "crypt/ike_cipher.h"
#include "crypt/prf.h"

enum err cluster_link_init(struct cluster_link *l, struct bytes cluster_key, uint32_t self)
{
	*l = (struct cluster_link){ .self = self };
	return crypt_hkdf((struct bytes){ NULL, 0 }, cluster_key, bytes_str("onramp mesh"), l->key, sizeof(l->key));
}

void cluster_link_fini(struct cluster_link *l)
{
	secret_wipe(l, sizeof(*l));
}

/* ---- peers ---- */

static enum err derive(const struct cluster_link *l, uint32_t from, uint32_t to, uint8_t ret[static 36])
{
	uint8_t info[32];
	struct wr w = wr_of(SPACE_OF(info));

	wr_put(&w, bytes_str("onramp mesh"));
	wr_u32(&w, from);
	wr_u32(&w, to);
	return crypt_hkdf((struct bytes){ NULL, 0 }, BYTES_OF(l->key), wr_bytes(&w), ret, 36);
}

/* A free place, or that of the oldest process that is gone, or of the oldest. */
static struct cluster_link_peer *make_room(struct cluster_link *l)
{
	struct cluster_link_peer *best = &l->peers[0];

	for (unsigned i = 0; i < CLUSTER_LINK_PEERS && best->incarnation != 0; i++) {
		struct cluster_link_peer *p = &l->peers[i];
		if (p->incarnation == 0 || (p->gone == best->gone ? p->incarnation < best->incarnation : p->gone))
			best = p;
	}
	if (best->incarnation > l->floor)
		l->floor = best->incarnation;
	secret_wipe(best, sizeof(*best));
	return best;
}

void cluster_link_gone(struct cluster_link *l, uint32_t incarnation)
{
	for (unsigned i = 0; i < CLUSTER_LINK_PEERS; i++)
		if (l->peers[i].incarnation == incarnation)
			l->peers[i].gone = true;
}

static enum err find_peer(struct cluster_link *l, uint32_t incarnation, struct cluster_link_peer **ret)
{
	struct cluster_link_peer made = { .incarnation = incarnation };

	for (unsigned i = 0; i < CLUSTER_LINK_PEERS; i++)
		if (l->peers[i].incarnation == incarnation) {
			l->peers[i].gone = false;
			*ret = &l->peers[i];
			return ERR_NONE;
		}
	if (incarnation <= l->floor)
		return ERR_DENIED;
	enum err e = derive(l, l->self, incarnation, made.out);
	if (e == ERR_NONE)
		e = derive(l, incarnation, l->self, made.in);
	if (e == ERR_NONE) {
		*ret = make_room(l);
		**ret = made;
	}
	secret_wipe(&made, sizeof(made));
	return e;
}

/* ---- the window ---- */

static bool window_has(const struct cluster_link_peer *p, uint64_t counter)
{
	return (p->window[counter / 64 % ARRAY_LEN(p->window)] >> (counter % 64) & 1) != 0;
}

static bool may_take(const struct cluster_link_peer *p, uint64_t counter)
{
	if (counter >= p->top)
		return true;
	return p->top - counter <= CLUSTER_LINK_WINDOW && !window_has(p, counter);
}

static void note_taken(struct cluster_link_peer *p, uint64_t counter)
{
	/* What comes between is not there yet. */
	if (counter >= p->top && counter - p->top >= CLUSTER_LINK_WINDOW)
		memset(p->window, 0, sizeof(p->window));
	else
		for (uint64_t i = p->top; i < counter; i++)
			p->window[i / 64 % ARRAY_LEN(p->window)] &= ~(UINT64_C(1) << (i % 64));
	p->window[counter / 64 % ARRAY_LEN(p->window)] |= UINT64_C(1) << (counter % 64);
	if (counter >= p->top)
		p->top = counter + 1;
}

/* ---- datagrams ---- */

static struct crypt_ike_keys keys_of(const uint8_t key[static 36])
{
	return (struct crypt_ike_keys){ .encr_id = IKE_ENCR_AES_GCM_16, .key_bits = 256, .encr = bytes_of(key, 36) };
}

enum err cluster_link_seal(struct cluster_link *l, uint32_t to, struct bytes text, struct space out, size_t *ret_len)
{
	const struct wire_mesh_header h = { .from = l->self, .to = to, .counter = l->next };
	struct cluster_link_peer *p;
	struct wr w = wr_of(out);

	if (l->next == UINT64_MAX - 1)
		return ERR_FULL;
	must(text.len != 0 && text.len <= WIRE_MESH_TEXT_MAX);
	enum err e = find_peer(l, to, &p);
	if (e != ERR_NONE)
		return e;
	wire_mesh_header_build(&w, &h);
	struct space body = { wr_reserve(&w, text.len), text.len };
	struct space icv = { wr_reserve(&w, WIRE_MESH_ICV_LEN), WIRE_MESH_ICV_LEN };
	if (w.bad)
		return ERR_FULL;
	memcpy(body.p, text.p, text.len);
	l->next++;
	const struct crypt_ike_keys keys = keys_of(p->out);
	e = crypt_ike_seal(&keys, bytes_of(out.p, WIRE_MESH_HEADER_LEN), bytes_of(out.p + WIRE_MESH_HEADER_LEN - 8, 8), body,
			   icv);
	if (e == ERR_NONE)
		*ret_len = wr_len(&w);
	return e;
}

enum err cluster_link_open(struct cluster_link *l, const struct wire_mesh_header *h, struct space datagram,
			   struct bytes *ret_text)
{
	struct cluster_link_peer *p;

	must(datagram.cap > WIRE_MESH_HEADER_LEN + WIRE_MESH_ICV_LEN);
	if (h->to != l->self || h->from == l->self)
		return ERR_DENIED;
	enum err e = find_peer(l, h->from, &p);
	if (e != ERR_NONE)
		return e;
	if (h->counter == UINT64_MAX || !may_take(p, h->counter))
		return ERR_EXISTS;
	const struct crypt_ike_keys keys = keys_of(p->in);
	struct space body = { datagram.p + WIRE_MESH_HEADER_LEN, datagram.cap - WIRE_MESH_HEADER_LEN - WIRE_MESH_ICV_LEN };
	e = crypt_ike_open(&keys, bytes_of(datagram.p, WIRE_MESH_HEADER_LEN),
			   bytes_of(datagram.p + WIRE_MESH_HEADER_LEN - 8, 8), body, bytes_of(body.p + body.cap, WIRE_MESH_ICV_LEN));
	if (e != ERR_NONE)
		return e;
	note_taken(p, h->counter);
	*ret_text = bytes_of(body.p, body.cap);
	return ERR_NONE;
}
