// What control itself sends.
#include "control/internal.h"

#include "io/udp.h"

static void send_counted(struct control *c, const struct addr_endpoint *local, const struct addr_endpoint *remote,
			 bool marker, struct bytes msg, enum model_counter counter)
{
	for (unsigned i = 0; i < c->cfg.socket_cnt; i++) {
		if (!addr_endpoint_eq(&c->cfg.sockets[i].local, local))
			continue;
		if (io_udp_send(c->cfg.sockets[i].fd, remote, marker, msg) == ERR_NONE)
			control_count(c, counter);
		else
			control_drop(c, MODEL_DROP_send_failed);
		return;
	}
	control_drop(c, MODEL_DROP_send_failed);
}

void control_send(struct control *c, const struct addr_endpoint *local, const struct addr_endpoint *remote,
		  bool marker, struct bytes msg)
{
	send_counted(c, local, remote, marker, msg, MODEL_COUNTER_ike_out);
}

void control_keepalive(struct control *c, const struct model_path *path)
{
	static const uint8_t keepalive = 0xff; /* RFC 3948 2.3 */

	send_counted(c, &path->local, &path->remote, false, bytes_of(&keepalive, 1), MODEL_COUNTER_natt_keepalives);
}
