#include "host/open.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/iana.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "crypt/pem.h"
#include "io/fragment.h"
#include "io/udp.h"

static const char *const names[] = {
	[HOST_SOCKET_IKE] = "UDP",
	[HOST_SOCKET_NATT] = "UDP",
	[HOST_SOCKET_ESP] = "IP protocol 50 on",
	[HOST_SOCKET_ESP_DF] = "IP protocol 50 on",
	[HOST_SOCKET_ICMP] = "ICMP on",
};

/* What is refused to others than root is most often tried by them. */
static const char *hint_root(void)
{
	return (errno == EACCES || errno == EPERM) && geteuid() != 0 ? " (onrampd must be started as root)" : "";
}

/* Of one address: UDP for each worker, and what all workers share. */
static unsigned sockets_of_address(unsigned workers, bool native)
{
	return 2 * workers + (native ? 3 : 1);
}

/* The n-th of them. */
static struct host_socket describe(const struct addr *a, unsigned workers, unsigned n)
{
	static const uint8_t shared[] = { HOST_SOCKET_ICMP, HOST_SOCKET_ESP, HOST_SOCKET_ESP_DF };

	if (n >= 2 * workers)
		return (struct host_socket){ -1, shared[n - 2 * workers], 0, { *a, 0 } };
	bool natt = n % 2 == 1;
	return (struct host_socket){ -1, natt ? HOST_SOCKET_NATT : HOST_SOCKET_IKE, n / 2,
				     { *a, natt ? IKE_NATT_PORT : IKE_PORT } };
}

static enum err open_unmarked(struct host_socket *s)
{
	switch ((enum host_socket_kind)s->kind) {
	case HOST_SOCKET_IKE:
	case HOST_SOCKET_NATT:
		break;
	case HOST_SOCKET_ESP:
		return io_esp_open(&s->local.addr, &s->fd);
	case HOST_SOCKET_ESP_DF:
		return io_esp_open_df(&s->local.addr, &s->fd);
	case HOST_SOCKET_ICMP:
		return io_icmp_open(&s->local.addr, &s->fd);
	}
	return io_udp_open(&s->local, &s->fd);
}

static enum err open_socket(struct host_socket *s, uint32_t mark)
{
	enum err e = open_unmarked(s);
	if (e != ERR_NONE || io_set_mark(s->fd, mark) == ERR_NONE)
		return e;
	int why = errno;
	close(s->fd);
	errno = why;
	return ERR_SYSTEM;
}

static enum err explain_open(enum err e, const struct host_socket *s)
{
	char text[ADDR_ENDPOINT_TEXT_MAX];

	if (e != ERR_NONE)
		log_error("cannot open %s %s: %s%s", names[s->kind], addr_endpoint_format(&s->local, text), strerror(errno),
			  errno == EADDRINUSE ? " (does another IKE daemon run here? see: ss -lunp)"
			  : hint_root());
	return e;
}

static enum err check_alone(const struct addr *a, unsigned workers)
{
	enum err e = ERR_NONE;

	for (unsigned i = 0; e == ERR_NONE && i < 2; i++) {
		const struct host_socket s = describe(a, workers, i);
		e = explain_open(io_udp_alone(&s.local), &s);
	}
	return e;
}

static enum err make_room(struct host_sockets *all, unsigned more)
{
	struct host_socket *s = realloc(all->s, (all->cnt + more) * sizeof(*s));
	if (s == NULL)
		return ERR_MEMORY;
	all->s = s;
	return ERR_NONE;
}

MUST_USE enum err host_open_address(const struct addr *a, unsigned workers, bool native, uint32_t mark,
				    struct host_sockets *all)
{
	unsigned cnt = sockets_of_address(workers, native), before = all->cnt;
	enum err e = make_room(all, cnt);

	for (unsigned i = 0; e == ERR_NONE && i < cnt; i++) {
		struct host_socket s = describe(a, workers, i);
		e = explain_open(open_socket(&s, mark), &s);
		if (e == ERR_NONE)
			all->s[all->cnt++] = s;
	}
	while (e != ERR_NONE && all->cnt > before)
		close(all->s[--all->cnt].fd);
	return e;
}

MUST_USE enum err host_adopt_address(const struct addr *a, unsigned workers, bool native, const int *fds, unsigned cnt,
				     struct host_sockets *all)
{
	if (cnt != sockets_of_address(workers, native))
		return ERR_RANGE;
	enum err e = make_room(all, cnt);
	for (unsigned i = 0; e == ERR_NONE && i < cnt; i++) {
		all->s[all->cnt] = describe(a, workers, i);
		all->s[all->cnt++].fd = fds[i];
	}
	return e;
}

bool host_has_address(const struct host_sockets *all, const struct addr *a)
{
	for (unsigned i = 0; i < all->cnt; i++)
		if (addr_eq(&all->s[i].local.addr, a))
			return true;
	return false;
}

void host_close_address(struct host_sockets *all, const struct addr *a)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < all->cnt; i++) {
		if (addr_eq(&all->s[i].local.addr, a))
			close(all->s[i].fd);
		else
			all->s[kept++] = all->s[i];
	}
	all->cnt = kept;
}

MUST_USE enum err host_open_sockets(const struct conf *c, unsigned workers, struct host_sockets *ret)
{
	struct host_sockets all = { 0 };
	enum err e = ERR_NONE;

	for (unsigned i = 0; e == ERR_NONE && i < c->gateway_address_cnt; i++)
		e = check_alone(&c->gateway_addresses[i], workers);
	for (unsigned i = 0; e == ERR_NONE && i < c->gateway_address_cnt; i++)
		e = host_open_address(&c->gateway_addresses[i], workers, c->native_esp, c->outer_mark, &all);
	if (e != ERR_NONE) {
		for (unsigned i = 0; i < all.cnt; i++)
			close(all.s[i].fd);
		free(all.s);
		return e;
	}
	*ret = all;
	return ERR_NONE;
}

MUST_USE enum err host_open_cluster(const struct conf *c, struct host_cluster_fds *ret)
{
	struct host_cluster_fds f = HOST_NO_CLUSTER;
	char text[ADDR_ENDPOINT_TEXT_MAX];

	if (c->cluster.mesh_address.port != 0 && io_udp_open(&c->cluster.mesh_address, &f.mesh) != ERR_NONE) {
		log_error("[cluster] mesh_address = %s: %s", addr_endpoint_format(&c->cluster.mesh_address, text),
			  strerror(errno));
		return ERR_SYSTEM;
	}
	if (f.mesh >= 0 && io_fragments_open(&f.fragments) != ERR_NONE) {
		log_error("[cluster]: no socket for IP fragments: %s", strerror(errno));
		host_close_cluster(&f);
		return ERR_SYSTEM;
	}
	*ret = f;
	return ERR_NONE;
}

void host_close_cluster(struct host_cluster_fds *f)
{
	if (f->mesh >= 0)
		close(f->mesh);
	io_fragments_close(&f->fragments);
	*f = HOST_NO_CLUSTER;
}

MUST_USE enum err host_open_http(const struct conf *c, int *ret_fd)
{
	char text[ADDR_ENDPOINT_TEXT_MAX];
	struct sockaddr_storage ss;
	socklen_t len;
	const int on = 1;

	io_sockaddr_from(&c->api_listen, &ss, &len);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&ss, len) != 0 || listen(fd, 128) != 0) {
		log_error("[api] api_listen = %s: %s%s", addr_endpoint_format(&c->api_listen, text), strerror(errno),
			  errno == EADDRINUSE	   ? " (another process listens there, see: ss -ltnp; give api_listen another port)"
			  : errno == EADDRNOTAVAIL ? " (this host has no such address)"
						   : "");
		if (fd >= 0)
			close(fd);
		return ERR_SYSTEM;
	}
	*ret_fd = fd;
	return ERR_NONE;
}

static enum err make_dir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return ERR_NONE;
	log_error("cannot make the directory %s: %s%s", path, strerror(errno),
		  errno == ENOENT ? " (make the directory above it first)" : hint_root());
	return ERR_SYSTEM;
}

static enum err open_unix(const struct conf *c, const char *name, int type, int *ret_fd)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	enum err e = make_dir(c->run_dir, 0755);
	if (e != ERR_NONE)
		return e;
	int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", c->run_dir, name);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path)) {
		log_error("run_dir = %s is too long for a Unix socket (at most 90 characters)", c->run_dir);
		return ERR_LONG;
	}
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	unlink(un.sun_path);
	mode_t old = umask(0077);
	int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&un, sizeof(un));
	umask(old);
	if (rc != 0 || listen(fd, 32) != 0) {
		log_error("cannot open %s: %s%s", un.sun_path, strerror(errno), hint_root());
		if (fd >= 0)
			close(fd);
		return ERR_SYSTEM;
	}
	*ret_fd = fd;
	return ERR_NONE;
}

/* Root may connect to anything; the daemon's own user, as which a health check can run, must be its owner. */
MUST_USE enum err host_open_admin(const struct conf *c, int *ret_fd)
{
	char path[CONF_PATH_MAX + 16];
	const struct passwd *pw = geteuid() == 0 ? getpwnam(c->user) : NULL;

	enum err e = open_unix(c, "admin.sock", SOCK_STREAM, ret_fd);
	if (e != ERR_NONE || pw == NULL)
		return e;
	snprintf(path, sizeof(path), "%s/admin.sock", c->run_dir);
	if (chown(path, pw->pw_uid, (gid_t)-1) == 0)
		return ERR_NONE;
	log_error("cannot give %s to user %s: %s", path, c->user, strerror(errno));
	close(*ret_fd);
	return ERR_SYSTEM;
}

static bool answers(const char *run_dir, const char *name, int type)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", run_dir, name);
	int fd = n < 0 || (size_t)n >= sizeof(un.sun_path) ? -1 : socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	bool connected = fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0;
	if (fd >= 0)
		close(fd);
	return connected;
}

bool host_admin_answers(const struct conf *c)
{
	return answers(c->run_dir, "admin.sock", SOCK_STREAM);
}

bool host_site_answers(const char *run_dir)
{
	return answers(run_dir, "site.sock", SOCK_SEQPACKET);
}

MUST_USE enum err host_open_status(const struct conf *c, int *ret_fd)
{
	return open_unix(c, "site.sock", SOCK_SEQPACKET, ret_fd);
}

MUST_USE enum err host_open_state_dir(const struct conf *c)
{
	enum err e = make_dir(c->state_dir, 0700);
	if (e != ERR_NONE || geteuid() != 0)
		return e;
	const struct passwd *pw = getpwnam(c->user);
	if (pw == NULL) {
		log_error("[node] user: there is no user \"%s\" on this host; create it with: "
			  "useradd --system --no-create-home --shell /usr/sbin/nologin %s", c->user, c->user);
		return ERR_NOTFOUND;
	}
	if (chown(c->state_dir, pw->pw_uid, pw->pw_gid) != 0) {
		log_error("cannot give %s to user %s: %s", c->state_dir, c->user, strerror(errno));
		return ERR_SYSTEM;
	}
	return ERR_NONE;
}

#define CERT_DAYS_WARN 14 /* a certificate that ends sooner is told of */
#define SEAL_TEXT_LEN (2 * CRYPT_SEAL_KEY_LEN)

/* Written under another name and renamed: a crash leaves no half key behind. */
static enum err make_seal_key(const char *path, struct crypt_seal_private *ret)
{
	char text[SEAL_TEXT_LEN + 2], tmp[CONF_PATH_MAX + 8], dir[CONF_PATH_MAX];
	struct crypt_seal_private key;

	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir) {
		*slash = 0;
		(void)mkdir(dir, 0755);
	}
	enum err e = crypt_seal_generate(&key);
	if (e != ERR_NONE)
		return e;
	text_hex(BYTES_OF(key.b), text, SEAL_TEXT_LEN + 1);
	text[SEAL_TEXT_LEN] = '\n';
	snprintf(tmp, sizeof(tmp), "%s.new", path);
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write(fd, text, SEAL_TEXT_LEN + 1) == SEAL_TEXT_LEN + 1 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	secret_wipe(text, sizeof(text));
	if (!ok || rename(tmp, path) != 0) {
		log_error("[node] seal_key: cannot make %s: %s%s", path, strerror(errno), hint_root());
		secret_wipe(&key, sizeof(key));
		return ERR_SYSTEM;
	}
	log_info("made the sealing key %s: keep a copy apart from the database; without it no pre-shared key can be read",
		 path);
	*ret = key;
	secret_wipe(&key, sizeof(key));
	return ERR_NONE;
}

/* Lines of 64 digits, of which the last may lack its end. */
static enum err parse_seal_keys(struct bytes text, struct crypt_seal_ring *ret)
{
	struct crypt_seal_ring ring = { 0 };
	struct rd r = rd_of(text);
	enum err e = ERR_NONE;

	while (e == ERR_NONE && rd_left(&r) != 0) {
		e = ring.cnt == CRYPT_SEAL_KEYS_MAX ? ERR_FULL
						    : text_hex_parse(rd_bytes(&r, SEAL_TEXT_LEN), ring.key[ring.cnt].b, CRYPT_SEAL_KEY_LEN);
		ring.cnt++;
		if (rd_left(&r) != 0 && rd_u8(&r) != '\n')
			e = ERR_SYNTAX;
	}
	if (e == ERR_NONE && (ring.cnt == 0 || r.bad))
		e = ERR_SYNTAX;
	if (e == ERR_NONE)
		*ret = ring;
	secret_wipe(&ring, sizeof(ring));
	return e;
}

MUST_USE enum err host_open_seal_keys(const struct conf *c, struct crypt_seal_ring *ret)
{
	char text[CRYPT_SEAL_KEYS_MAX * (SEAL_TEXT_LEN + 1) + 1];
	struct stat st;

	int fd = open(c->seal_key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT) {
		ret->cnt = 1;
		return make_seal_key(c->seal_key, &ret->key[0]);
	}
	if (fd < 0 || fstat(fd, &st) != 0) {
		log_error("[node] seal_key: cannot read %s: %s%s", c->seal_key, strerror(errno), hint_root());
		if (fd >= 0)
			close(fd);
		return ERR_SYSTEM;
	}
	ssize_t n = read(fd, text, sizeof(text));
	close(fd);
	if ((st.st_mode & 077) != 0) {
		secret_wipe(text, sizeof(text));
		log_error("[node] seal_key: others may read %s: chmod 0600 it", c->seal_key);
		return ERR_DENIED;
	}
	enum err e = n < 0 ? ERR_SYSTEM : parse_seal_keys(bytes_of(text, (size_t)n), ret);
	secret_wipe(text, sizeof(text));
	if (e != ERR_NONE) {
		log_error("[node] seal_key: %s does not hold 64 hex digits in a line, or has more than %d lines", c->seal_key,
			  CRYPT_SEAL_KEYS_MAX);
		return ERR_SYNTAX;
	}
	return ERR_NONE;
}

/* A whole file as a NUL-ended heap string, at most 64 KiB; key: of the configuration, for the log. NULL: it was told there. */
static char *open_text(const char *key, const char *path)
{
	enum { TEXT_MAX = 65536 };
	char *text = malloc(TEXT_MAX + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = text == NULL || fd < 0 ? -1 : read(fd, text, TEXT_MAX);

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		log_error("%s: cannot read %s: %s", key, path, strerror(errno));
		free(text);
		return NULL;
	}
	text[n] = 0;
	return text;
}

/* Of a pair that TLS would only refuse without a word of the reason. */
static enum err check_pair(const char *section, const char *cert_path, const char *key_path, const struct host_tls *t)
{
	const char *why;
	int days;

	enum err e = crypt_pem_check(t->cert_pem, t->key_pem, &why, &days);
	if (e != ERR_NONE)
		log_error("%s: certificate %s, key %s: %s", section, cert_path, key_path, why);
	else if (days < 0)
		log_warn("%s: the certificate %s has ended: those who check it refuse it; renew it and restart onrampd", section,
			 cert_path);
	else if (days < CERT_DAYS_WARN)
		log_warn("%s: the certificate %s ends in %d days; renew it and restart onrampd", section, cert_path, days);
	return e;
}

/* ca_path NULL: none. The keys' names are for the log. */
static enum err open_tls(const char *section, const char *prefix, const char *ca_path, const char *cert_path,
			 const char *key_path, struct host_tls *ret)
{
	struct host_tls t = { 0 };
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "%s %s_key", section, prefix);
	if (stat(key_path, &st) == 0 && (st.st_mode & 07) != 0) {
		log_error("%s: others may read %s: chmod 0600 it", name, key_path);
		return ERR_DENIED;
	}
	t.key_pem = open_text(name, key_path);
	snprintf(name, sizeof(name), "%s %s_cert", section, prefix);
	t.cert_pem = open_text(name, cert_path);
	snprintf(name, sizeof(name), "%s %s_ca", section, prefix);
	t.ca_pem = ca_path == NULL ? NULL : open_text(name, ca_path);
	enum err e = t.key_pem == NULL || t.cert_pem == NULL || (ca_path != NULL && t.ca_pem == NULL) ? ERR_SYSTEM : ERR_NONE;
	if (e == ERR_NONE)
		e = check_pair(section, cert_path, key_path, &t);
	if (e == ERR_NONE)
		*ret = t;
	else
		host_tls_fini(&t);
	return e;
}

MUST_USE enum err host_open_etcd_tls(const struct conf *c, struct host_tls *ret)
{
	if (c->store_engine != CONF_STORE_ETCD)
		return ERR_NONE;
	return open_tls("[store]", "etcd", c->etcd_ca, c->etcd_cert, c->etcd_key, ret);
}

MUST_USE enum err host_open_api_tls(const struct conf *c, struct host_tls *ret)
{
	if (c->api_tls_cert[0] == 0)
		return ERR_NONE;
	return open_tls("[api]", "api_tls", NULL, c->api_tls_cert, c->api_tls_key, ret);
}

void host_tls_fini(struct host_tls *t)
{
	if (t->key_pem != NULL)
		secret_wipe(t->key_pem, strlen(t->key_pem));
	free(t->key_pem);
	free(t->cert_pem);
	free(t->ca_pem);
	*t = (struct host_tls){ 0 };
}

MUST_USE enum err host_check_files(const struct conf *c)
{
	struct crypt_seal_ring keys = { 0 };
	struct host_tls api = { 0 }, etcd = { 0 };
	enum err e = host_open_api_tls(c, &api);

	if (e == ERR_NONE)
		e = host_open_etcd_tls(c, &etcd);
	/* that there is none yet is fine: the first start makes it */
	if (e == ERR_NONE && access(c->seal_key, F_OK) == 0)
		e = host_open_seal_keys(c, &keys);
	secret_wipe(&keys, sizeof(keys));
	host_tls_fini(&api);
	host_tls_fini(&etcd);
	return e;
}
