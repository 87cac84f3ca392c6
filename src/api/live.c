#include "api/live.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define WAIT_MS 1000u
#define QUIET_MS 2000u
#define PAGES_MAX 4096

void api_live_init(struct api_live *l, int fd)
{
	*l = (struct api_live){ .fd = fd };
}

void api_live_set(struct api_live *l, int fd)
{
	api_live_fini(l);
	api_live_init(l, fd);
}

void api_live_fini(struct api_live *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static enum err drop_link(struct api_live *l)
{
	log_warn("the gateway closed the status socket");
	api_live_fini(l);
	return ERR_AWAY;
}

/* Of a program that does not number its replies each one is taken. */
static bool is_late(const struct api_live *l, struct bytes reply)
{
	uint32_t number = model_live_reply_answers(reply);
	return number != 0 && number != l->number;
}

/* The reply to our question. A gateway that is starting reads its store for as long as that takes, and then answers all that it was asked,
 * as far as there is room in the socket: replies to former questions are passed over. */
static enum err take_reply(struct api_live *l, uint64_t deadline_ms, struct space room, size_t *ret_len)
{
	for (;;) {
		uint64_t now = clock_mono_ms();
		struct pollfd p = { .fd = l->fd, .events = POLLIN };
		int n = now >= deadline_ms ? 0 : poll(&p, 1, (int)(deadline_ms - now));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			l->quiet_until_ms = clock_mono_ms() + QUIET_MS;
			return ERR_AWAY;
		}
		ssize_t got = recv(l->fd, room.p, room.cap, MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return drop_link(l);
		if (is_late(l, bytes_of(room.p, (size_t)got)))
			continue;
		*ret_len = (size_t)got;
		return ERR_NONE;
	}
}

static enum err send_request(struct api_live *l, const struct model_live_request *request)
{
	uint8_t room[256];
	struct wr w = wr_of(SPACE_OF(room));
	enum err e = model_live_request_encode(request, &w);

	if (e != ERR_NONE)
		return e;
	ssize_t n = send(l->fd, room, wr_len(&w), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return ERR_AWAY;
	return n < 0 ? drop_link(l) : ERR_NONE;
}

/* Notes the last tunnel seen, after which the next page goes on, and hands the entries through. */
struct pager {
	const struct model_live_sink *sink;
	struct model_id last;
	bool moved;
};

static void page_tunnel(void *arg, const struct model_live_tunnel *t)
{
	struct pager *p = arg;
	p->last = t->tunnel_id;
	p->moved = true;
	if (p->sink->tunnel != NULL)
		p->sink->tunnel(p->sink->arg, t);
}

static void page_counter(void *arg, const struct model_live_counter *c)
{
	struct pager *p = arg;
	if (p->sink->counter != NULL)
		p->sink->counter(p->sink->arg, c);
}

static void page_failure(void *arg, const struct model_failure *f)
{
	struct pager *p = arg;
	if (p->sink->failure != NULL)
		p->sink->failure(p->sink->arg, f);
}

static void page_node(void *arg, const struct model_live_node *n)
{
	struct pager *p = arg;
	if (p->sink->node != NULL)
		p->sink->node(p->sink->arg, n);
}

static enum err ask_page(struct api_live *l, const struct model_live_request *request, struct pager *pager,
			 bool *ret_more)
{
	/* too big for a stack that may be small, and there is one thread */
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	const struct model_live_sink sink = { page_tunnel, page_counter, page_failure, page_node, pager };
	enum err said = ERR_NONE;
	size_t len;
	enum err e = send_request(l, request);

	if (e == ERR_NONE)
		e = take_reply(l, clock_mono_ms() + WAIT_MS, SPACE_OF(room), &len);
	if (e == ERR_NONE)
		e = model_live_reply_parse(bytes_of(room, len), &sink, &said, ret_more);
	return e != ERR_NONE ? e : said;
}

MUST_USE enum err api_live_ask(struct api_live *l, const struct model_live_request *request,
			       const struct model_live_sink *sink)
{
	struct model_live_request page = *request;
	struct pager pager = { .sink = sink };
	bool more = true;

	if (l->fd < 0 || clock_mono_ms() < l->quiet_until_ms)
		return ERR_AWAY;
	for (unsigned i = 0; more; i++) {
		if (i == PAGES_MAX)
			return ERR_SYNTAX;
		pager.moved = false;
		more = false;
		l->number = l->number == UINT32_MAX ? 1 : l->number + 1;
		page.number = l->number;
		enum err e = ask_page(l, &page, &pager, &more);
		if (e != ERR_NONE)
			return e;
		if (more && !pager.moved)
			return ERR_SYNTAX;
		page.tunnel_id = pager.last;
	}
	return ERR_NONE;
}
