// What the tests of ike/ share: cmocka, the two ends, and short ways to them.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../exchange/net.h"
#include "base/text.h"
#include "ike/exchanges.h"

#define TESTS(...)                                                        \
	int main(void)                                                    \
	{                                                                 \
		const struct CMUnitTest tests[] = { __VA_ARGS__ };        \
		return cmocka_run_group_tests(tests, NULL, NULL);         \
	}

static inline struct net *make_net(void)
{
	struct net *n = malloc(sizeof(*n));
	struct peer_options o;

	must(n != NULL);
	net_options(&o);
	net_init(n, &o);
	return n;
}

/* With IKE SA and one Child SA. */
static inline struct net *make_up(void)
{
	struct net *n = make_net();
	net_must_up(n);
	return n;
}

static inline void free_net(struct net *n)
{
	net_fini(n);
	free(n);
}

/* What the gateway keeps of the SA in use. */
static inline struct ike_sa sa_of(struct net *n)
{
	return gateway_sa(&n->g, n->p.ike[0].spi_r);
}

/* Runs what the peer has started: the error notify of the answer, 0 for none. */
static inline uint16_t notify_of(struct net *n)
{
	assert_true(net_run(n));
	return n->p.notify;
}

static inline void assert_hex(struct bytes b, const char *hex)
{
	char text[1024];
	text_hex(b, text, sizeof(text));
	assert_string_equal(text, hex);
}

static inline struct addr_endpoint endpoint(const char *text, uint16_t port)
{
	struct addr_endpoint e = { .port = port };
	must(addr_parse(bytes_str(text), &e.addr) == ERR_NONE);
	return e;
}
