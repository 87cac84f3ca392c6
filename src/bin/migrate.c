// onrampd --migrate: moves the content of one configuration's store into another's, while no gateway runs.
#include "bin/roles.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "bin/store.h"
#include "host/rights.h"
#include "store/copy.h"

/* One end of the move. */
struct end {
	const char *file; /* the configuration */
	struct conf conf;
	struct host_tls tls;
	struct store *store;
};

static bool is_file(const struct end *e)
{
	return e->conf.store_engine == CONF_STORE_SQLITE;
}

static enum err read_end(struct end *e)
{
	char error[CONF_ERROR_MAX];

	if (conf_read(e->file, &e->conf, error) != ERR_NONE) {
		log_error("%s", error);
		return ERR_SYNTAX;
	}
	if (host_admin_answers(&e->conf)) {
		log_error("%s: the daemon of this configuration runs: stop it first", e->file);
		return ERR_EXISTS;
	}
	if (access(e->conf.seal_key, R_OK) != 0) {
		log_error("%s: seal_key %s: %s; both configurations need the same key", e->file, e->conf.seal_key, strerror(errno));
		return ERR_NOTFOUND;
	}
	return host_open_etcd_tls(&e->conf, &e->tls);
}

/* What is sealed can be read at the other end only under the same key. */
static enum err compare_keys(const struct end *from, const struct end *to)
{
	struct crypt_seal_ring a = { 0 }, b = { 0 };

	enum err e = host_open_seal_keys(&from->conf, &a);
	if (e == ERR_NONE)
		e = host_open_seal_keys(&to->conf, &b);
	bool same = e == ERR_NONE && bytes_eq_ct(BYTES_OF(a.key[0].b), BYTES_OF(b.key[0].b));
	secret_wipe(&a, sizeof(a));
	secret_wipe(&b, sizeof(b));
	if (e == ERR_NONE && !same) {
		log_error("%s and %s are not the same sealing key: what the store has could not be read any more",
			  from->conf.seal_key, to->conf.seal_key);
		return ERR_CONFLICT;
	}
	return e;
}

/* As the user whose file it is or will be, so that the gateway can open it. */
static enum err drop_rights(const struct end *from, const struct end *to)
{
	const struct conf *file = is_file(from) ? &from->conf : is_file(to) ? &to->conf : NULL;
	const struct host_rights rights = { .user = file != NULL ? file->user : from->conf.user,
					    .write_dir = file != NULL ? file->state_dir : NULL, .tcp = true };
	char path[BIN_STORE_PATH_MAX];

	if (is_file(from) && is_file(to)) {
		log_error("both are SQLite files: move the file onramp.db itself");
		return ERR_RANGE;
	}
	if (is_file(from) && access(bin_store_path(&from->conf, path), F_OK) != 0) {
		log_error("%s: there is no store %s", from->file, path);
		return ERR_NOTFOUND;
	}
	enum err e = is_file(to) ? host_open_state_dir(&to->conf) : ERR_NONE;
	return e != ERR_NONE ? e : host_rights_drop(&rights);
}

static const char *say_why(enum err e)
{
	return e == ERR_EXISTS	   ? "the target is not empty; nothing was changed"
	       : e == ERR_NOTFOUND ? "there is nothing in it"
	       : e == ERR_CLOSED   ? "its content was moved before"
	       : e == ERR_CONFLICT ? "the target is not what was copied: does something else write to it? Run this again"
				   : err_text(e);
}

static enum err move(struct end *from, struct end *to)
{
	struct store_copied done;

	enum err e = bin_store_open(&from->conf, &from->tls, &from->store);
	if (e == ERR_NONE)
		e = bin_store_open(&to->conf, &to->tls, &to->store);
	if (e != ERR_NONE)
		return e;
	e = store_copy(from->store, to->store, &done);
	if (e != ERR_NONE)
		log_error("cannot move the store of %s to that of %s: %s", from->file, to->file, say_why(e));
	else
		printf("moved %zu keys, %llu bytes; read again and compared. Start onrampd with %s.\n", done.cnt,
		       (unsigned long long)done.bytes, to->file);
	return e;
}

int migrate_main(const char *from_file, const char *to_file)
{
	struct end from = { .file = from_file }, to = { .file = to_file };

	log_init("onrampd", LOG_LEVEL_INFO);
	enum err e = read_end(&from);
	if (e == ERR_NONE)
		e = read_end(&to);
	if (e == ERR_NONE)
		e = compare_keys(&from, &to);
	if (e == ERR_NONE)
		e = drop_rights(&from, &to);
	if (e == ERR_NONE)
		e = move(&from, &to);
	store_free(from.store);
	store_free(to.store);
	host_tls_fini(&from.tls);
	host_tls_fini(&to.tls);
	return e == ERR_NONE ? 0 : 1;
}
