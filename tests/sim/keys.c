#include "keys.h"

#include "check.h"
#include "cluster/sequence.h"
#include "cover.h"
#include "fault.h"
#include "history.h"

#define SAS_MAX 4096
#define LATE 60 /* packets between a limit and the rekey that it asks for: nodes look once a second */

struct sa {
	uint32_t spi_in;
	uint64_t last;                       /* of all nodes, */
	const struct process *last_by;       /* and whose that was */
	uint64_t own[WORLD_PROCESSES_MAX];   /* of each */
	uint32_t incarnation[WORLD_PROCESSES_MAX];
	struct cluster_sequence stored;
	uint64_t sealed, opened;             /* packets, by all nodes */
};

static struct sa sas[SAS_MAX];
static unsigned cnt;

void keys_begin(void)
{
	cnt = 0;
	memset(sas, 0, sizeof(sas));
}

static struct sa *need(uint32_t spi_in)
{
	for (unsigned i = cnt; i-- > 0;)
		if (sas[i].spi_in == spi_in)
			return &sas[i];
	must(cnt < SAS_MAX);
	sas[cnt].spi_in = spi_in;
	return &sas[cnt++];
}

/* A node that is not heard is taken for dead and does not know, and one that hears nobody takes the others for dead: what the former
 * holder still sends lies in its own block, below the new one's. */
static void note_number(const struct process *p, struct sa *sa, uint64_t number, uint64_t packet)
{
	const uint64_t key[] = { sa->spi_in, UINT64_MAX };

	if (!world_note_once(world_hash(bytes_of((const uint8_t *)key, sizeof(key))), number, packet + 1))
		check_fail(CHECK_NUMBERS, "%s uses number %llu of Child SA %08x a second time", p->name, (unsigned long long)number, sa->spi_in);
	else if (number <= sa->own[p->who] && sa->incarnation[p->who] == p->incarnation)
		check_fail(CHECK_NUMBERS, "%s goes back to number %llu of Child SA %08x", p->name, (unsigned long long)number, sa->spi_in);
	else if (number <= sa->last && !fault_crosses(p) && !fault_crosses(sa->last_by))
		check_fail(CHECK_NUMBERS, "%s sends number %llu of Child SA %08x behind %llu", p->name, (unsigned long long)number, sa->spi_in,
			   (unsigned long long)sa->last);
	sa->own[p->who] = number;
	sa->incarnation[p->who] = p->incarnation;
	if (number <= sa->last)
		return;
	sa->last = number;
	sa->last_by = p;
}

void keys_sealed(const struct process *p, const struct fwd_child *child, uint64_t number, uint64_t packet)
{
	struct sa *sa = p->kind == PROCESS_GATEWAY ? need(fwd_child_spi_in(child)) : NULL;

	if (sa == NULL)
		return;
	sa->sealed++;
	if (fwd_child_is_sequenced(child))
		note_number(p, sa, number, packet);
}

void keys_opened(const struct process *p, const struct fwd_child *child)
{
	if (p->kind == PROCESS_GATEWAY)
		need(fwd_child_spi_in(child))->opened++;
}

static uint64_t used(const struct sa *sa)
{
	return sa->sealed > sa->opened ? sa->sealed : sa->opened;
}

void keys_check(const struct process *p)
{
	uint64_t most = all.settings.rekey_packets;
	struct hmap_walk w;

	for (struct hmap_node *n = hmap_walk_first(&p->c->children, &w); n != NULL && most != 0; n = hmap_walk_next(&p->c->children, &w)) {
		const struct control_child *child = CONTAINER_OF(n, struct control_child, by_spi);
		const struct sa *sa = need(child->spi_in);
		if (used(sa) > most + LATE)
			check_fail(CHECK_LIMIT, "%s still has Child SA %08x, which is used up: %llu packets out, %llu in", p->name, sa->spi_in,
				   (unsigned long long)sa->sealed, (unsigned long long)sa->opened);
	}
}

static void note_end(uint32_t spi_in)
{
	if (all.settings.rekey_packets != 0 && used(need(spi_in)) >= all.settings.rekey_packets * 3 / 4)
		cover_add(COVER_worn);
}

/* A block is given to a node, or another node takes the next one. */
static void note_block(const struct world_event *e, uint32_t spi_in)
{
	struct sa *sa = need(spi_in);
	struct cluster_sequence now;

	must(cluster_sequence_decode(e->row.value, &now) == ERR_NONE);
	history_add("revision %llu: Child SA %08x is numbered by slot %03x up to %llu", (unsigned long long)e->row.mod_rev, spi_in,
		    (unsigned)now.slot, (unsigned long long)now.out);
	if (now.out < sa->stored.out)
		check_fail(CHECK_NUMBERS, "the store lets Child SA %08x be numbered from %llu again", spi_in, (unsigned long long)now.out);
	if (sa->stored.slot != 0 && now.slot != 0 && now.incarnation != sa->stored.incarnation)
		cover_add(COVER_took_over);
	else if (sa->stored.slot != 0 && now.out != sa->stored.out)
		cover_add(COVER_block);
	sa->stored = now;
}

void keys_stored(const struct world_event *e)
{
	uint32_t spi_in;

	if (!e->row.deleted && model_key_sequence_parse(e->row.key, &spi_in))
		note_block(e, spi_in);
	else if (e->row.deleted && model_key_child_parse(e->row.key, &spi_in))
		note_end(spi_in);
}
