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
static void sweep_key(struct control *c, const struct model_key *key)
{
	const struct store_row gone = { .key = model_key_bytes(key), .mod_rev = c->relist.rev, .deleted = true };

	if (!is_seen(c, key))
		control_mirror_change(c, &gone);
}

static void sweep_sa(void *arg, struct hmap_node *n)
{
	struct control *c = arg;
	const struct control_sa *sa = CONTAINER_OF(n, struct control_sa, by_spi);
	const struct model_key key = model_key_ike(sa->r.spi);

	/* Without other nodes one that is closed answers for a while, out of memory alone. */
	if (c->clustered || sa->r.state != IKE_STATE_CLOSED)
		sweep_key(c, &key);
}

static void sweep_child(void *arg, struct hmap_node *n)
{
	const struct model_key key = model_key_child(CONTAINER_OF(n, struct control_child, by_spi)->spi_in);
	sweep_key(arg, &key);
}

/* A part of it. True: there is more. */
static bool sweep(struct control *c)
{
	const char *prefix = prefixes[c->relist.prefix];

	if (strcmp(prefix, MODEL_KEY_CHILD) == 0)
		return control_round_walk(&c->children, &c->relist.bucket, sweep_child, c);
	if (strcmp(prefix, MODEL_KEY_IKE) == 0)
		return control_round_walk(&c->sas, &c->relist.bucket, sweep_sa, c);
	if (strcmp(prefix, MODEL_KEY_CFG) == 0)
		control_config_sweep(c, is_seen);
	else if (strcmp(prefix, MODEL_KEY_NODES) == 0)
		control_node_sweep(c, is_seen, c->relist.rev);
	return false;
}

static void forget_key(void *arg, struct hmap_node *n)
{
	struct control_relist *l = arg;

	hmap_remove(&l->seen, n);
	free(CONTAINER_OF(n, struct seen_key, node));
}

/* ---- running ---- */

static void enter(struct control_relist *l, enum control_relist_phase phase)
{
	l->phase = phase;
	l->bucket = 0;
}

static void begin_prefix(struct control_relist *l)
{
	enter(l, CONTROL_RELIST_READS);
	l->rev = 0;
	l->after_len = 0;
}

static void start(struct control *c, bool all)
{
	struct control_relist *l = &c->relist;

	forget_seen(l);
	l->on = true;
	l->waits = false;
	l->prefix = all ? 0 : PREFIX_FIRST_SHARED;
	begin_prefix(l);
	l->next_us = c->now_us;
}

static void end_prefix(struct control *c)
{
	struct control_relist *l = &c->relist;

	if (++l->prefix < ARRAY_LEN(prefixes) && c->followed) {
		begin_prefix(l);
		return;
	}
	l->on = l->lost = false;
	l->next_us = c->now_us + AGAIN_US;
}

static void go_on(struct control *c)
{
	struct control_relist *l = &c->relist;

	l->next_us = c->now_us + CONTROL_PART_US;
	switch (l->phase) {
	case CONTROL_RELIST_READS:
		ask_page(c);
		break;
	case CONTROL_RELIST_SWEEPS:
		if (!sweep(c))
			enter(l, CONTROL_RELIST_FORGETS);
		break;
	case CONTROL_RELIST_FORGETS:
		if (!control_round_walk(&l->seen, &l->bucket, forget_key, l))
			end_prefix(c);
		break;
	}
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
	enter(l, CONTROL_RELIST_SWEEPS);
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
		go_on(c);
	else if (l->lost || (c->followed && l->next_us != 0))
		start(c, l->lost);
	else
		l->next_us = c->now_us + AGAIN_US;
}

uint64_t control_relist_next_us(const struct control *c)
{
	return c->relist.on && !c->relist.waits ? c->relist.next_us : UINT64_MAX;
}

void control_relist_free(struct control *c)
{
	forget_seen(&c->relist);
	hmap_fini(&c->relist.seen);
}
