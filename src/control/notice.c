// What workers have noticed, and other nodes: a peer elsewhere, a key near its end, a path that carries less.
#include "control/internal.h"

#include "base/clock.h"

enum fwd_path_word control_path_heard(struct control *c, const struct fwd_too_big *t)
{
	enum fwd_path_word word = fwd_path_too_big(c->fwd, t, clock_mono_ms());

	if (word == FWD_PATH_LOWERED)
		fwd_count(fwd_control_counters(c->fwd), MODEL_COUNTER_path_mtu_lowered, 1);
	return word;
}

/* A router does not know which node has sent the packet. */
static void take_too_big(struct control *c, const struct fwd_too_big *t)
{
	enum fwd_path_word word = control_path_heard(c, t);

	if (word != FWD_PATH_IGNORED)
		control_mesh_too_big(c, t);
	if (word != FWD_PATH_LOWERED)
		fwd_count_drop(fwd_control_counters(c->fwd), MODEL_DROP_icmp_ignored);
}

/* A rekey has replaced it meanwhile. */
static bool is_replaced(const struct control_sa *sa, uint32_t spi_in)
{
	struct ike_sa r;

	control_record_read(&sa->r, &r);
	bool replaced = ike_sa_child_replaced(&r, spi_in);
	ike_sa_wipe(&r);
	return replaced;
}

bool control_proven(struct control *c, uint32_t spi_in)
{
	const struct control_child *child = control_child_find(c, spi_in);
	const struct control_sa *sa = child == NULL ? NULL : control_sa_find(c, child->ike_spi);

	/* A straggler on one that was replaced meanwhile must not bring sending back to it. */
	if (child == NULL || (sa != NULL && is_replaced(sa, spi_in)))
		return false;
	fwd_child_prove(c->fwd, spi_in);
	return true;
}

void control_notice(struct control *c, const struct fwd_notice *n)
{
	if (n->kind == FWD_NOTICE_TOO_BIG) {
		take_too_big(c, &n->too_big);
		return;
	}
	struct control_child *child = control_child_find(c, n->spi_in);
	if (child == NULL)
		return;
	struct control_sa *sa = control_sa_find(c, child->ike_spi);
	struct ike_event ev = { .kind = IKE_EV_ADDRESS, .now_us = c->now_us, .remote = n->remote };
	switch ((enum fwd_notice_kind)n->kind) {
	case FWD_NOTICE_FIRST:
		if (control_proven(c, n->spi_in))
			control_mesh_proven(c, n->spi_in);
		break;
	case FWD_NOTICE_ADDRESS:
		if (sa == NULL || sa->busy)
			break;
		ev.local = sa->r.path.local;
		control_sa_event(c, sa, &ev);
		break;
	case FWD_NOTICE_IV_LOW:
		if (sa != NULL)
			control_sa_rekey(c, sa, false, n->spi_in);
		break;
	case FWD_NOTICE_NUMBERS:
		control_seq_low(c, n->spi_in);
		break;
	case FWD_NOTICE_TOO_BIG:
		break;
	}
}
