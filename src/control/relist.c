// The store is listed again, page by page: now and then, and when changes were forgotten before they were read. What is here and
// not there goes. All of it is done beside the work: nothing stops for it.
#include "control/internal.h"

#include <stdlib.h>

#define PAGE_ROWS 64
#define PAGE_PAUSE_US 50000u          /* between two pages */
#define AGAIN_US UINT64_C(600000000)  /* between two lists */
#define RETRY_US 5000000u

/* The configuration first: SAs belong to its tunnels. It is listed only when changes were lost. */
static const char *const prefixes[] = { MODEL_KEY_CFG, MODEL_KEY_CHILD, MODEL_KEY_IKE, MODEL_KEY_SEQUENCE, MODEL_KEY_CURRENT,
					MODEL_KEY_NODES, MODEL_KEY_FORMAT };
#define PREFIX_FIRST_SHARED 1

/* The newest that came of a key since this part of the list began. */
struct seen_key {
	struct hmap_node node;
	uint64_t rev;
	bool there;
};

static void forget_seen(struct control_relist *l)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&l->seen, &w); n != NULL; n = hmap_walk_next(&l->seen, &w)) {
		hmap_remove(&l->seen, n);
		free(CONTAINER_OF(n, struct seen_key, node));
	}
}

/* It cannot go on: what is here stays as it is, until the next list. */
static void give_up(struct control *c)
{
	struct control_relist *l = &c->relist;

	forget_seen(l);
	l->on = false;
	l->next_us = c->now_us + RETRY_US;
}

static struct seen_key *find_seen(const struct control_relist *l, uint64_t hash)
{
	struct hmap_node *n = hmap_first(&l->seen, hash);
	return n == NULL ? NULL : CONTAINER_OF(n, struct seen_key, node);
}

static bool is_seen(const struct control *c, const struct model_key *key)
{
	const struct seen_key *k = find_seen(&c->relist, siphash(&c->hash_key, model_key_bytes(key)));
	return k != NULL && k->there;
}

bool control_relist_row(struct control *c, const struct store_row *row)
{
	struct control_relist *l = &c->relist;
	uint64_t hash = siphash(&c->hash_key, row->key);
	struct seen_key *k = l->on ? find_seen(l, hash) : NULL;

	if (!l->on)
		return true;
	if (k != NULL && row->mod_rev < k->rev)
		return false;
	if (k == NULL) {
		k = malloc(sizeof(*k));
		if (k == NULL) {
			give_up(c);
			return true;
		}
		hmap_add(&l->seen, &k->node, hash);
	}
	k->rev = row->mod_rev;
	k->there = !row->deleted;
	return true;
}

static void ask_page(struct control *c)
{
	struct control_relist *l = &c->relist;
	const struct bytes prefix = bytes_str(prefixes[l->prefix]);

	l->tag = ++c->next_tag;
	if (store_thread_list(c->store, prefix, bytes_of(l->after, l->after_len), PAGE_ROWS, l->tag) != ERR_NONE)
		give_up(c);
	else
		l->waits = true;
}

/* ---- what is gone ---- */

/* What was written since the list began may stand where it had come by already: the watch has told of it. */
static void sweep_sas(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->sas, &w); n != NULL; n = hmap_walk_next(&c->sas, &w)) {
		const struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
		const struct model_key key = model_key_ike(sa->r.spi);
		const struct store_row gone = { .key = model_key_bytes(&key), .mod_rev = c->relist.rev, .deleted = true };
		if (!is_seen(c, &key))
			control_mirror_change(c, &gone);
	}
}

static void sweep_children(struct control *c)
{
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&c->children, &w); n != NULL; n = hmap_walk_next(&c->children, &w)) {
		const struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		const struct model_key key = model_key_child(child->spi_in);
		const struct store_row gone = { .key = model_key_bytes(&key), .mod_rev = c->relist.rev, .deleted = true };
		if (!is_seen(c, &key))
			control_mirror_change(c, &gone);
	}
}

static void sweep(struct control *c)
{
	const char *prefix = prefixes[c->relist.prefix];

	if (strcmp(prefix, MODEL_KEY_CFG) == 0)
		control_config_sweep(c, is_seen);
	else if (strcmp(prefix, MODEL_KEY_CHILD) == 0)
		sweep_children(c);
	else if (strcmp(prefix, MODEL_KEY_IKE) == 0)
		sweep_sas(c);
	else if (strcmp(prefix, MODEL_KEY_NODES) == 0)
		control_node_sweep(c, is_seen, c->relist.rev);
}

/* ---- running ---- */

static void begin_prefix(struct control *c)
{
	struct control_relist *l = &c->relist;

	forget_seen(l);
	l->rev = 0;
	l->after_len = 0;
}

static void start(struct control *c, bool all)
{
	c->relist.on = true;
	c->relist.waits = false;
	c->relist.prefix = all ? 0 : PREFIX_FIRST_SHARED;
	begin_prefix(c);
	c->relist.next_us = c->now_us;
}

bool control_relist_done(struct control *c, const struct store_done *done)
{
	struct control_relist *l = &c->relist;

	if (done->tag != l->tag)
		return false;
	l->tag = 0;
	l->waits = false;
	if (!l->on)
		return true;
	if (done->result.err != ERR_NONE) {
		give_up(c);
		return true;
	}
	if (l->rev == 0)
		l->rev = done->result.rev;
	l->next_us = c->now_us + PAGE_PAUSE_US;
	if (done->row_cnt == PAGE_ROWS) {
		struct wr w = wr_of(SPACE_OF(l->after));
		wr_put(&w, done->last_key);
		l->after_len = wr_len(&w);
		return true;
	}
	sweep(c);
	if (++l->prefix < ARRAY_LEN(prefixes) && c->followed) {
		begin_prefix(c);
		return true;
	}
	forget_seen(l);
	l->on = l->lost = false;
	l->next_us = c->now_us + AGAIN_US;
	return true;
}

void control_relist_tick(struct control *c)
{
	struct control_relist *l = &c->relist;

	if (store_thread_lost(c->store)) {
		log_warn("changes of the store were forgotten before they were read: it is listed again");
		l->lost = true;
		l->tag = 0; /* of a list that is under way nothing is believed any more */
		start(c, true);
	}
	if (l->waits || c->now_us < l->next_us)
		return;
	if (l->on)
		ask_page(c);
	else if (l->lost || (c->followed && l->next_us != 0))
		start(c, l->lost);
	else
		l->next_us = c->now_us + AGAIN_US;
}

void control_relist_free(struct control *c)
{
	forget_seen(&c->relist);
	hmap_fini(&c->relist.seen);
}
