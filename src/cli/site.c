// onramp site: the tunnels of an onrampd --site on this host and why they fail, asked of its status socket.
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/iana.h"
#include "base/text.h"
#include "cli/commands.h"
#include "explain/verdict.h"
#include "model/live.h"

#define SOCKET_DEFAULT "/run/onramp-site/site.sock"
#define TIMEOUT_S 5

static json_t *time_json(uint64_t us)
{
	char text[CLOCK_TEXT_MAX];
	return us == 0 ? json_null() : json_string(clock_text(us, text));
}

/* What a gateway sent may hold anything: text that is no UTF-8 is not repeated. */
static json_t *peer_text_json(const char *text)
{
	json_t *j = json_string(text);
	return j != NULL ? j : json_string("(not printable)");
}

static json_t *endpoint_json(const struct addr_endpoint *e)
{
	char text[ADDR_ENDPOINT_TEXT_MAX];
	return e->addr.family == ADDR_NONE ? json_null() : json_string(addr_endpoint_format(e, text));
}

static json_t *suite_json(const struct model_suite *s)
{
	char text[MODEL_SUITE_TEXT_MAX];
	return s->encr == 0 ? json_null() : json_string(model_suite_text(s, text));
}

static json_t *verdict_json(const struct model_failure *f)
{
	const struct explain_context context = { .gateway = f->remote.addr, .customer_endpoint = f->local.addr, .site = true };
	struct explain_verdict v;

	explain_failure(f, &context, &v);
	json_t *o = json_pack("{s:s, s:s, s:s}", "code", v.code, "stage", v.stage, "side", explain_side_name(v.side));
	json_object_set_new(o, "sentence", peer_text_json(v.sentence));
	json_object_set_new(o, "change", peer_text_json(v.change));
	json_object_set_new(o, "peer", endpoint_json(&f->remote));
	json_object_set_new(o, "identity", peer_text_json(f->identity));
	json_object_set_new(o, "offered", peer_text_json(f->offered));
	json_object_set_new(o, "allowed", peer_text_json(f->allowed));
	json_object_set_new(o, "over_since", time_json(f->over_us));
	json_object_set_new(o, "first_seen", time_json(f->first_us));
	json_object_set_new(o, "last_seen", time_json(f->last_us));
	json_object_set_new(o, "count", json_integer(f->cnt));
	return o;
}

static void set_count(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void set_peer(json_t *o, const struct model_live_tunnel *l)
{
	json_object_set_new(o, "local", endpoint_json(&l->path.local));
	json_object_set_new(o, "remote", endpoint_json(&l->path.remote));
	json_object_set_new(o, "identity", peer_text_json(l->identity));
	json_object_set_new(o, "start_port", json_integer(l->start_port));
	json_object_set_new(o, "nat_claimed", json_boolean(l->nat_claimed));
	json_object_set_new(o, "nat_seen", json_boolean(l->nat_seen));
	json_object_set_new(o, "udp_encap", json_boolean(l->path.udp_encap));
	json_object_set_new(o, "ike_suite", suite_json(&l->ike_suite));
	json_object_set_new(o, "child_suite", suite_json(&l->child_suite));
	json_object_set_new(o, "encrypted",
			    json_boolean(l->child_suite.encr != 0 && l->child_suite.encr != IKE_ENCR_NULL));
}

/* The members are those of the API's status, so that the same tables print them. */
static json_t *tunnel_json(const struct model_live_tunnel *l)
{
	char id[MODEL_ID_TEXT_MAX];
	json_t *o = json_pack("{s:s, s:b, s:o}", "id", model_id_text(&l->tunnel_id, id), "up", l->up, "since",
			      time_json(l->since_us));

	json_object_set_new(o, "name", peer_text_json(l->name));
	json_object_set_new(o, "psk_set", json_true());
	set_peer(o, l);
	set_count(o, "child_count", l->child_cnt);
	set_count(o, "effective_mtu", l->effective_mtu);
	set_count(o, "ike_rekeys", l->ike_rekeys);
	set_count(o, "child_rekeys", l->child_rekeys);
	set_count(o, "in_packets", l->in_packets);
	set_count(o, "in_bytes", l->in_bytes);
	set_count(o, "out_packets", l->out_packets);
	set_count(o, "out_bytes", l->out_bytes);
	json_object_set_new(o, "last_in", time_json(l->last_in_us));
	json_t *told = l->has_failure ? verdict_json(&l->failure) : json_null();
	/* a failure from before the tunnel came up explains nothing any more, but is kept for the curious */
	bool now = l->has_failure && (!l->up || (l->failure.last_us >= l->since_us && l->failure.over_us == 0));
	json_object_set(o, "verdict", now ? told : json_null());
	json_object_set_new(o, "last_failure", told);
	return o;
}

/* ---- the socket ---- */

static int open_socket(const char *path)
{
	const struct timeval wait = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = -1;

	if (strlen(path) >= sizeof(un.sun_path)) {
		fprintf(stderr, "onramp: the socket's path %s is too long\n", path);
		return -1;
	}
	memcpy(un.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0 &&
	    connect(fd, (const struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	fprintf(stderr, "onramp: cannot reach onrampd --site at %s: %s\n", path,
		errno == ENOENT || errno == ECONNREFUSED ? "it does not run, or --socket names another run_dir"
							 : strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

struct listing {
	json_t *tunnels;
	struct model_id last;
};

static void add_tunnel(void *arg, const struct model_live_tunnel *t)
{
	struct listing *l = arg;
	json_array_append_new(l->tunnels, tunnel_json(t));
	l->last = t->tunnel_id;
}

static enum err ask(int fd, const struct model_live_request *q, const struct model_live_sink *sink, bool *ret_more)
{
	static uint8_t room[MODEL_LIVE_MESSAGE_MAX];
	uint8_t request[128];
	struct wr w = wr_of(SPACE_OF(request));
	enum err answered;

	enum err e = model_live_request_encode(q, &w);
	if (e != ERR_NONE)
		return e;
	if (send(fd, request, wr_len(&w), MSG_NOSIGNAL) < 0)
		return ERR_AWAY;
	ssize_t n = recv(fd, room, sizeof(room), 0);
	if (n <= 0)
		return ERR_AWAY;
	e = model_live_reply_parse(bytes_of(room, (size_t)n), sink, &answered, ret_more);
	return e != ERR_NONE ? e : answered;
}

/* One page of tunnels. */
static enum err ask_page(int fd, struct listing *l, bool *ret_more)
{
	const struct model_live_request q = { .op = MODEL_LIVE_TUNNELS, .account_id = model_live_site_account(),
					      .tunnel_id = l->last };
	const struct model_live_sink sink = { .tunnel = add_tunnel, .arg = l };

	return ask(fd, &q, &sink, ret_more);
}

static int connect_site(const struct cli *cli)
{
	return open_socket(cli->args.socket != NULL ? cli->args.socket : SOCKET_DEFAULT);
}

static int tell_silence(enum err e)
{
	fprintf(stderr, "onramp: onrampd --site did not answer: %s\n", err_text(e));
	return CLI_UNREACHABLE;
}

int cli_site_status(struct cli *cli)
{
	struct listing l = { .tunnels = json_array() };
	enum err e = ERR_NONE;
	bool more = true;
	int fd = connect_site(cli);

	while (fd >= 0 && e == ERR_NONE && more)
		e = ask_page(fd, &l, &more);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && e != ERR_NONE)
		(void)tell_silence(e);
	cli_sort_by_name(l.tunnels); /* the socket has them by id */
	json_t *result = json_pack("{s:o}", "tunnels", l.tunnels);
	if (fd >= 0 && e == ERR_NONE && cli->args.json)
		cli_print_json(result);
	else if (fd >= 0 && e == ERR_NONE)
		cli_print_tunnels(json_object_get(result, "tunnels"), true);
	json_decref(result);
	return fd >= 0 && e == ERR_NONE ? CLI_OK : CLI_UNREACHABLE;
}

/* ---- one tunnel ---- */

struct search {
	const char *name;
	struct model_live_tunnel tunnel;
	struct model_id last;
	bool found;
};

static void match_tunnel(void *arg, const struct model_live_tunnel *t)
{
	struct search *s = arg;

	if (strcmp(t->name, s->name) == 0) {
		s->tunnel = *t;
		s->found = true;
	}
	s->last = t->tunnel_id;
}

static enum err find_tunnel(int fd, struct search *s)
{
	const struct model_live_sink sink = { .tunnel = match_tunnel, .arg = s };
	bool more = true;
	enum err e = ERR_NONE;

	while (e == ERR_NONE && more && !s->found) {
		const struct model_live_request q = { .op = MODEL_LIVE_TUNNELS, .account_id = model_live_site_account(),
						      .tunnel_id = s->last };
		e = ask(fd, &q, &sink, &more);
	}
	return e == ERR_NONE && !s->found ? ERR_NOTFOUND : e;
}

static int tell_stranger(const char *name)
{
	fprintf(stderr, "onramp: the site has no tunnel \"");
	cli_print_text(stderr, name);
	fprintf(stderr, "\"; \"onramp site status\" shows them\n");
	return CLI_REFUSED;
}

/* ---- why ---- */

static void add_failure(void *arg, const struct model_failure *f)
{
	json_array_append_new(arg, verdict_json(f));
}

/* The tunnel as the API's "why" has one. */
static int show_why(const struct cli *cli, const struct search *s, json_t *history)
{
	json_t *t = tunnel_json(&s->tunnel);
	json_t *w = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}", "id", json_object_get(t, "id"), "name",
			      json_object_get(t, "name"), "up", json_object_get(t, "up"), "since",
			      json_object_get(t, "since"), "verdict", json_object_get(t, "verdict"), "history", history);
	int r = cli_show_why(cli, w, true);

	json_decref(w);
	json_decref(t);
	return r;
}

int cli_site_why(struct cli *cli)
{
	struct search s = { .name = cli->args.words[0] };
	json_t *history = json_array();
	const struct model_live_sink sink = { .failure = add_failure, .arg = history };
	bool more = false;
	int fd = connect_site(cli), r;

	enum err e = fd < 0 ? ERR_NONE : find_tunnel(fd, &s);
	if (fd >= 0 && e == ERR_NONE) {
		const struct model_live_request q = { .op = MODEL_LIVE_WHY, .account_id = model_live_site_account(),
						      .tunnel_id = s.tunnel.tunnel_id };
		e = ask(fd, &q, &sink, &more);
	}
	if (fd < 0)
		r = CLI_UNREACHABLE;
	else if (e == ERR_NOTFOUND)
		r = tell_stranger(s.name);
	else
		r = e != ERR_NONE ? tell_silence(e) : show_why(cli, &s, history);
	if (fd >= 0)
		close(fd);
	json_decref(history);
	return r;
}

/* ---- rekey ---- */

static int tell_rekey(const struct cli *cli, enum err e, bool ike)
{
	if (e == ERR_NONE && cli->args.json) {
		json_t *o = json_pack("{s:s, s:s}", "name", cli->args.words[0], "rekey", ike ? "ike" : "child");
		cli_print_json(o);
		json_decref(o);
	} else if (e == ERR_NONE) {
		printf("The site rekeys %s.\n", ike ? "the IKE SA" : "the Child SAs");
	} else if (e == ERR_NOTFOUND) {
		return tell_stranger(cli->args.words[0]);
	} else if (e == ERR_CONFLICT) {
		fprintf(stderr, "onramp: the tunnel is not up: there is nothing to rekey\n");
	} else {
		return tell_silence(e);
	}
	return e == ERR_NONE ? CLI_OK : CLI_REFUSED;
}

int cli_site_rekey(struct cli *cli)
{
	const bool ike = cli_args_value(&cli->args, "ike") != NULL;
	const struct model_live_sink sink = { 0 };
	struct search s = { .name = cli->args.words[0] };
	bool more = false;
	int fd = connect_site(cli);

	if (fd < 0)
		return CLI_UNREACHABLE;
	enum err e = find_tunnel(fd, &s);
	if (e == ERR_NONE) {
		const struct model_live_request q = { .op = ike ? MODEL_LIVE_REKEY_IKE : MODEL_LIVE_REKEY_CHILD,
						      .account_id = model_live_site_account(), .tunnel_id = s.tunnel.tunnel_id };
		e = ask(fd, &q, &sink, &more);
	}
	close(fd);
	return tell_rekey(cli, e, ike);
}
