// The end of a tunnel's entry: when it is configured no more and its last SA is gone.
#include "control/internal.h"

#include <stdlib.h>

void control_order_forget(struct control_account *a)
{
	free(a->sorted);
	a->sorted = NULL;
}

void control_tunnel_free(struct control *c, struct control_tunnel *t)
{
	struct control_tunnel **p = &t->account->tunnels;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	for (p = &c->dirty; *p != NULL; p = &(*p)->next_dirty) {
		if (*p == t) {
			*p = t->next_dirty;
			break;
		}
	}
	t->account->dirty = true;
	control_order_forget(t->account);
	hmap_remove(&c->tunnels, &t->by_id);
	control_address_forget(c, t);
	explain_history_free(&t->why);
	free(t);
}

void control_tunnel_idle(struct control *c, struct control_tunnel *t)
{
	if (!t->configured && !t->has_psk && t->sas == NULL)
		control_tunnel_free(c, t);
}
