// What other nodes do with the IKE SAs and Child SAs of all: each row of the store is installed here as well.
//
// Rows come from the watch, from reads and from lists, late and more than once. Of two, the one whose key was changed last counts, and
// a revision is remembered of what is gone as well: so no row brings back what was ended after it. The counters of a
// Child SA's key are kept by fwd for as long as the key may be used, so that none begins anew.
#include "control/internal.h"

#include "base/secret.h"

#define SWEEP_US 60000000u           /* SAs that nobody wants are looked for this often */
#define JUST_US 10000000u            /* else it is one of before this process */

/* ---- SAs that nobody wants ---- */

/* The goodbye of a tunnel that was deleted is one node's duty, which may have died over it. */
static void close_unwanted(struct control *c, struct control_sa *sa)
{
	if (!sa->tunnel->configured && sa->r.state == IKE_STATE_ESTABLISHED && !sa->r.closing && control_duty_sa(c, sa->r.spi))
		control_sa_close(c, sa, MODEL_FAILURE_CONFIG_REMOVED);
}

static void look_at_sa(void *arg, struct hmap_node *n)
{
	close_unwanted(arg, CONTAINER_OF(n, struct control_sa, by_spi));
}

static void close_noted(struct control *c)
{
	while (c->unwanted_cnt != 0) {
		const struct control_tunnel *t = control_tunnel_find(c, &c->unwanted_ids[--c->unwanted_cnt]);
		for (struct control_sa *sa = t == NULL ? NULL : t->sas, *next; sa != NULL; sa = next) {
			next = sa->next;
			close_unwanted(c, sa);
		}
	}
}

/* ---- IKE SAs ---- */

static void note_unreadable(const struct store_row *row, enum err e)
{
	log_warn("record %.*s: %s", (int)row->key.len, (const char *)row->key.p, err_text(e));
}

/* Sending goes on that one, the last one of all. True: there is one that the peer has, and that was replaced or was not. */
static bool prove(struct control *c, const struct ike_sa *r, bool replaced)
{
	bool any = false;

	for (unsigned i = 0; i < r->child_cnt; i++) {
		if (r->children[i].unproven || r->children[i].replaced != replaced)
			continue;
		fwd_child_prove(c->fwd, r->children[i].spi_in);
		any = true;
	}
	return any;
}

/* Of an SA that is new here sending begins where it was: on a child that was replaced only while the peer has not yet shown
 * that it has the one that comes after it. */
void control_children_prove(struct control *c, const struct ike_sa *r, bool fresh)
{
	if (!prove(c, r, false) && fresh)
		(void)prove(c, r, true);
}

/* What the record says of its Child SAs that are installed: whose they are, and where their packets go. */
static void link_children(struct control *c, const struct ike_sa *r, bool path)
{
	for (unsigned i = 0; i < r->child_cnt; i++) {
		const struct ike_child_ref *ref = &r->children[i];
		struct control_child *child = control_child_find(c, ref->spi_in);
		if (child == NULL)
			continue;
		if (path || child->ike_spi != ike_sa_our_spi(r))
			fwd_child_path(c->fwd, ref->spi_in, &r->path);
		child->ike_spi = ike_sa_our_spi(r);
	}
}

/* A rekey moves the Child SAs from one record to another, of which one comes first: what is up stays up between the two. */
static void settle_later(struct control *c, struct control_tunnel *t)
{
	if (!t->up || c->settle_cnt == CONTROL_SETTLE_MAX) {
		control_tunnel_check_up(c, t);
		return;
	}
	for (unsigned i = 0; i < c->settle_cnt; i++)
		if (model_id_eq(&c->settle[i], &t->id))
			return;
	c->settle[c->settle_cnt++] = t->id;
}

void control_mirror_settle(struct control *c)
{
	for (unsigned i = 0; i < c->settle_cnt; i++) {
		struct control_tunnel *t = control_tunnel_find(c, &c->settle[i]);
		if (t != NULL)
			control_tunnel_check_up(c, t);
	}
	c->settle_cnt = 0;
}

static void replace_sa(struct control *c, struct control_sa *sa, const struct ike_sa *r, struct control_record *made,
		       uint64_t rev)
{
	struct control_tunnel *t = sa->tunnel;
	bool moved = !addr_endpoint_eq(&sa->r.path.remote, &r->path.remote) ||
		     !addr_endpoint_eq(&sa->r.path.local, &r->path.local) || sa->r.path.udp_encap != r->path.udp_encap;
	struct ike_sa before;

	if (sa->r.last_in_us > sa->heard_us)
		sa->heard_us = sa->r.last_in_us;
	control_record_read(&sa->r, &before);
	t->child_rekeys += r->child_rekeys - before.child_rekeys;
	control_why_moves(c, t, &before, r);
	ike_sa_wipe(&before);
	control_record_free(&sa->r);
	sa->r = *made;
	*made = (struct control_record){ 0 };
	sa->mod_rev = rev;
	sa->gone = false;
	if (moved)
		control_why_path(t, &r->path);
	link_children(c, r, moved);
	control_children_prove(c, r, false);
	control_sa_arm(c, sa, r);
	settle_later(c, t);
}

static void install_sa(struct control *c, const struct ike_sa *r, struct control_record *made, uint64_t rev,
		       struct control_tunnel *t)
{
	bool just = r->created_us + JUST_US > c->now_us, replaced = control_why_newest(t) != NULL;
	/* The watch may be sooner than what the store says to our own commit, with which the start is counted. */
	bool own = ike_spi_slot(ike_sa_our_spi(r)) == c->world.node_slot;

	if (control_sa_add(c, r, made, rev, t) == NULL)
		return;
	if (r->ike_rekeys != 0 && just)
		t->ike_rekeys++;
	else if (just && !own)
		control_why_started(c, t, &r->path, replaced);
	control_why_path(t, &r->path);
	link_children(c, r, true);
	control_children_prove(c, r, true);
	settle_later(c, t);
	if (!t->configured && c->unwanted_cnt < CONTROL_UNWANTED_MAX) /* it was rekeyed over the goodbye, or a node had not heard of the end */
		c->unwanted_ids[c->unwanted_cnt++] = t->id;
}

static void put_sa(struct control *c, const struct store_row *row, uint64_t spi)
{
	struct control_sa *sa = control_sa_find(c, spi);
	struct control_record made = { 0 };
	struct ike_sa r;

	if ((sa != NULL && row->mod_rev <= sa->mod_rev) || control_is_buried(c, false, spi, row->mod_rev))
		return;
	enum err e = control_open_sa(c, row, &r);
	if (e == ERR_NONE && ike_sa_our_spi(&r) != spi)
		e = ERR_SYNTAX;
	if (e != ERR_NONE) {
		note_unreadable(row, e);
		return;
	}
	struct control_tunnel *t = sa != NULL ? sa->tunnel : control_tunnel_find(c, &r.tunnel_id);
	if (t == NULL)
		control_orphan_ike(c, &r, row->mod_rev);
	/* A step of ours that is under way has lost: its commit compares the revision before this one. */
	if (t != NULL && control_record_make(c, &r, &made) == ERR_NONE) {
		if (sa != NULL)
			replace_sa(c, sa, &r, &made, row->mod_rev);
		else
			install_sa(c, &r, &made, row->mod_rev, t);
	}
	control_record_free(&made);
	ike_sa_wipe(&r);
}

static void end_sa(struct control *c, uint64_t spi, uint64_t rev)
{
	struct control_sa *sa = control_sa_find(c, spi);

	if (sa != NULL && rev <= sa->mod_rev)
		return;
	control_bury(c, false, spi, rev, 0); /* also what never came by: a read may have it that was made before */
	if (sa == NULL)
		return;
	if (sa->busy)
		sa->gone = true; /* its step loses its commit, and then it goes */
	else
		control_sa_remove(c, sa);
}

/* ---- Child SAs ---- */

static const struct ike_child_ref *find_ref(const struct ike_sa *r, uint32_t spi_in)
{
	for (unsigned i = 0; i < r->child_cnt; i++)
		if (r->children[i].spi_in == spi_in)
			return &r->children[i];
	return NULL;
}

/* The IKE SA that names it: the one that made it may have been replaced since. True: the peer surely has it. */
static bool find_owner(const struct control_tunnel *t, struct model_child_sa *m)
{
	bool proven = false;
	struct ike_sa r;

	for (const struct control_sa *sa = t->sas; sa != NULL; sa = sa->next) {
		if (sa->r.child_cnt == 0)
			continue;
		control_record_read(&sa->r, &r);
		const struct ike_child_ref *ref = find_ref(&r, m->spi_in);
		if (ref != NULL) {
			m->ike_spi = sa->r.spi;
			m->path = r.path;
			proven = !ref->unproven && !ref->replaced && !ref->closing;
		}
		ike_sa_wipe(&r);
		if (ref != NULL)
			break;
	}
	return proven;
}

/* Nobody has a use for it any more, or will have: whoever should have deleted it has died. */
static void delete_expired(struct control *c, const struct store_row *row, uint32_t spi_in, uint64_t expires_us)
{
	if (c->store == NULL || expires_us + CONTROL_GRAVE_US > c->now_us || !control_duty_sa(c, spi_in))
		return;
	if (!control_orphan_end_child(c, spi_in, row->mod_rev))
		log_debug("an SA that has expired stays in the store for now");
}

static void put_child(struct control *c, const struct store_row *row, uint32_t spi_in)
{
	struct control_child *child = control_child_find(c, spi_in);
	struct model_child_sa m;

	if (bytes_eq(row->value, bytes_str(CONTROL_LARVAL))) {
		c->larval_spi = spi_in;
		return;
	}
	if ((child != NULL && row->mod_rev <= child->rev) || control_is_buried(c, true, spi_in, row->mod_rev))
		return;
	enum err e = control_open_child(c, row, &m);
	if (e == ERR_NONE && m.spi_in != spi_in)
		e = ERR_SYNTAX;
	if (e != ERR_NONE) {
		note_unreadable(row, e);
		return;
	}
	/* Deleted and made anew meanwhile, or only written again. */
	if (child != NULL && row->create_rev > child->rev)
		control_child_remove(c, spi_in, row->create_rev - 1);
	else if (child != NULL)
		child->rev = row->mod_rev;
	const struct control_tunnel *t = control_tunnel_find(c, &m.tunnel_id);
	if (t != NULL && t->configured && m.expires_us > c->now_us && control_child_find(c, spi_in) == NULL) {
		bool proven = find_owner(t, &m);
		control_child_install(c, &m, 0, row->mod_rev);
		if (proven)
			fwd_child_prove(c->fwd, spi_in);
	} else if (control_child_find(c, spi_in) == NULL && t != NULL && t->configured) {
		delete_expired(c, row, spi_in, m.expires_us);
	} else if (control_child_find(c, spi_in) == NULL) {
		control_orphan_child(c, &m, row->mod_rev);
	}
	secret_wipe(&m, sizeof(m));
}

static void end_child(struct control *c, uint32_t spi_in, uint64_t rev)
{
	const struct control_child *child = control_child_find(c, spi_in);

	if (child == NULL)
		control_bury(c, true, spi_in, rev, 0);
	else if (rev > child->rev)
		control_child_remove(c, spi_in, rev);
}

/* ---- the IKE SA that came last ---- */

static void change_current(struct control *c, const struct store_row *row, const struct model_id *tunnel)
{
	struct control_tunnel *t = control_tunnel_find(c, tunnel);
	struct rd r = rd_of(row->value);
	uint64_t spi = rd_u64(&r);

	if (t == NULL || row->mod_rev <= t->cur_seen)
		return;
	t->cur_seen = row->mod_rev;
	t->cur_rev = row->deleted ? 0 : row->mod_rev;
	t->cur_spi = row->deleted || !rd_done(&r) ? 0 : spi;
}

/* ---- the door ---- */

void control_mirror_change(struct control *c, const struct store_row *row)
{
	struct model_id tunnel;
	uint64_t ike;
	uint32_t child;

	if (model_key_ike_parse(row->key, &ike)) {
		if (row->deleted) {
			control_orphan_forget(c, false, ike);
			end_sa(c, ike, row->mod_rev);
		} else {
			put_sa(c, row, ike);
		}
	} else if (model_key_child_parse(row->key, &child)) {
		if (row->deleted) {
			control_orphan_forget(c, true, child);
			end_child(c, child, row->mod_rev);
		} else {
			put_child(c, row, child);
		}
	} else if (model_key_sequence_parse(row->key, &child)) {
		control_seq_row(c, row, child);
	} else if (model_key_current_parse(row->key, &tunnel)) {
		change_current(c, row, &tunnel);
	}
}

void control_mirror_tick(struct control *c)
{
	control_graves_tick(c);
	if (!c->clustered)
		return;
	close_noted(c);
	(void)control_round_part(&c->unwanted, c->now_us, SWEEP_US, &c->sas, look_at_sa, c);
}
