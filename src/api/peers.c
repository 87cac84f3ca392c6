#include "api/peers.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

#define LOOK_MS 1000

struct api_peer {
	struct api_peer *next, **link; /* link: what points to this one */
	int fd;			       /* the library's; open for as long as this is in the list */
	uint64_t since_ms;
};

static void add(struct api_peers *p, struct MHD_Connection *con, void **context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct api_peer *peer = info == NULL ? NULL : calloc(1, sizeof(*peer));

	if (peer == NULL) /* then only the library's limits hold for it */
		return;
	*peer = (struct api_peer){ .next = p->first, .link = &p->first, .fd = info->connect_fd, .since_ms = clock_mono_ms() };
	if (p->first != NULL)
		p->first->link = &peer->next;
	p->first = peer;
	*context = peer;
}

static void forget(struct api_peer *peer)
{
	if (peer == NULL)
		return;
	*peer->link = peer->next;
	if (peer->next != NULL)
		peer->next->link = peer->link;
	free(peer);
}

void api_peers_notice(void *cls, struct MHD_Connection *con, void **context, enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		add(cls, con, context);
	} else {
		forget(*context);
		*context = NULL;
	}
}

void api_peers_done(struct MHD_Connection *con)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(con, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct api_peer *peer = info == NULL ? NULL : info->socket_context;

	if (peer != NULL)
		peer->since_ms = clock_mono_ms();
}

/* The library finds the end of the stream and closes the connection itself. */
void api_peers_look(struct api_peers *p)
{
	uint64_t now_ms = clock_mono_ms();

	if (now_ms - p->looked_ms < LOOK_MS && p->limit_ms >= LOOK_MS)
		return;
	p->looked_ms = now_ms;
	for (const struct api_peer *peer = p->first; peer != NULL; peer = peer->next)
		if (now_ms - peer->since_ms > p->limit_ms)
			(void)shutdown(peer->fd, SHUT_RDWR);
}
