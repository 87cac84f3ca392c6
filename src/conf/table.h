// The tables of keys: parser, defaults, example files and man pages all read them.
// One thread, at start. Private to conf/.
#pragma once

#include "conf/conf.h"

enum conf_kind {
	CONF_ADDRESSES, /* a list; may go on in indented lines */
	CONF_DOMAIN,
	CONF_PATH,          /* absolute */
	CONF_PATH_OR_EMPTY, /* absolute, or not set */
	CONF_USER,
	CONF_LEVEL,
	CONF_ESP_CRYPTO,
	CONF_NUMBER,
	CONF_COUNT,         /* uint64_t; 0 is always fine */
	CONF_BOOL,
	CONF_ENDPOINT,
	CONF_ENDPOINT_OR_EMPTY, /* empty: all zero */
	CONF_NAME,          /* of letters, digits and ".-_"; empty where the default is */
	CONF_ETCD_ENDPOINTS, /* a list; may go on in indented lines */
	CONF_ETCD_PREFIX,    /* ends in '/' */
	/* of onramp-site.conf */
	CONF_ADDRESS,       /* struct addr; empty: none */
	CONF_IDENTITY,      /* struct conf_identity; empty: none */
	CONF_PREFIXES,      /* struct conf_prefixes; may go on in indented lines */
	CONF_WORD,          /* unsigned: the index in words */
	CONF_WORDS,         /* struct conf_words: separated by commas or hyphens */
	CONF_SECRET,        /* struct secret */
	CONF_DEVICE,        /* the name of a network interface */
	CONF_MARK,          /* unsigned: decimal, or hex behind 0x */
};

struct conf_row {
	const char *section;
	const char *key;
	enum conf_kind kind;
	size_t offset;         /* of the member in what the section writes into */
	uint64_t min, max;     /* CONF_NUMBER, CONF_COUNT: the range. Texts: max is the room with its NUL */
	const char *value;     /* the default, as one would write it */
	const char *sample;    /* for the example, where there is no default; else NULL */
	const char *help;
	const char *const *words; /* CONF_WORD: ended by NULL */
};

/* Takes one value over into the member behind base. ERR_SYNTAX, ERR_RANGE: `why` says what a value must be. */
#define CONF_WHY_MAX 256
MUST_USE enum err conf_value_apply(const struct conf_row *row, struct bytes value, void *base,
				   char why[static CONF_WHY_MAX]);
