#include "rig.h"

static struct fwd_route route(const char *prefix, uint32_t priority, uint16_t weight, unsigned tunnel)
{
	return (struct fwd_route){ .prefix = rig_prefix(prefix), .priority = priority, .weight = weight,
				   .tunnel_id = rig_id(tunnel) };
}

static void the_longest_prefix_wins_then_the_lowest_priority(void **state)
{
	struct rig *r = *state;
	const struct fwd_route routes[] = {
		route("10.0.0.0/8", 1, 0, 1),    route("10.1.0.0/16", 200, 0, 2),
		route("10.1.0.0/16", 100, 0, 3), route("0.0.0.0/0", 100, 0, 4),
		route("fd00::/8", 100, 0, 1),    route("fd00:1::/32", 100, 0, 2),
	};

	for (unsigned n = 1; n <= 4; n++)
		rig_tunnel(r, 1, n);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_OFFRAMP, 0);
	assert_int_equal(fwd_routes_set(r->fwd, 1, routes, ARRAY_LEN(routes)), ERR_NONE);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_TUNNEL, 3);
	rig_expect(r, 1, "10.2.2.3", FWD_HOP_TUNNEL, 1);
	rig_expect(r, 1, "8.8.8.8", FWD_HOP_TUNNEL, 4);
	rig_expect(r, 1, "fd00:1::9", FWD_HOP_TUNNEL, 2);
	rig_expect(r, 1, "fd01::9", FWD_HOP_TUNNEL, 1);
	rig_expect(r, 1, "2001:db8::1", FWD_HOP_OFFRAMP, 0);
	assert_int_equal(fwd_account_put(r->fwd, 1, false), ERR_NONE);
	rig_expect(r, 1, "2001:db8::1", FWD_HOP_NONE, 0);
	assert_int_equal(fwd_routes_set(r->fwd, 1, NULL, 0), ERR_NONE);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_NONE, 0);
	assert_int_equal(fwd_routes_set(r->fwd, 77, NULL, 0), ERR_NOTFOUND);
}

static void interface_addresses_are_connected_and_ours_is_local(void **state)
{
	struct rig *r = *state;
	const struct fwd_route over[] = { route("10.100.1.0/31", 1, 0, 2), route("10.100.1.0/32", 1, 0, 2),
					  route("10.100.0.0/16", 1, 0, 2) };
	struct fwd_tunnel_config c = { .tunnel_id = rig_id(5), .account_number = 1, .outer_mtu = 1500,
				       .interface4 = rig_prefix("172.31.0.5/30"),
				       .interface6 = rig_prefix("fd00:5::1/127") };

	rig_tunnel(r, 1, 1);
	rig_tunnel(r, 1, 2);
	assert_int_equal(fwd_tunnel_put(r->fwd, &c), ERR_NONE);
	assert_int_equal(fwd_routes_set(r->fwd, 1, over, ARRAY_LEN(over)), ERR_NONE);
	/* No static route takes our own addresses or the connected networks away. */
	rig_expect(r, 1, "10.100.1.0", FWD_HOP_LOCAL, 1);
	rig_expect(r, 1, "10.100.1.1", FWD_HOP_TUNNEL, 1);
	rig_expect(r, 1, "10.100.7.7", FWD_HOP_TUNNEL, 2);
	rig_expect(r, 1, "172.31.0.5", FWD_HOP_LOCAL, 5);
	rig_expect(r, 1, "172.31.0.6", FWD_HOP_TUNNEL, 5);
	rig_expect(r, 1, "172.31.0.8", FWD_HOP_OFFRAMP, 0);
	rig_expect(r, 1, "fd00:5::1", FWD_HOP_LOCAL, 5);
	rig_expect(r, 1, "fd00:5::", FWD_HOP_TUNNEL, 5);
	/* A changed address leaves nothing behind. */
	c.interface4 = rig_prefix("172.31.9.1/31");
	assert_int_equal(fwd_tunnel_put(r->fwd, &c), ERR_NONE);
	rig_expect(r, 1, "172.31.0.5", FWD_HOP_OFFRAMP, 0);
	rig_expect(r, 1, "172.31.9.1", FWD_HOP_LOCAL, 5);
	rig_expect(r, 1, "172.31.9.0", FWD_HOP_TUNNEL, 5);
}

static void inner_addresses_are_the_tunnels_own_or_the_accounts(void **state)
{
	struct rig *r = *state;
	struct fwd_tunnel_config c = { .tunnel_id = rig_id(2), .account_number = 1, .outer_mtu = 1500,
				       .interface4 = rig_prefix("172.31.0.1/31"),
				       .interface6 = rig_prefix("fd00:5::1/127") };

	rig_tunnel(r, 1, 1);
	struct fwd_account *a = fwd_account_find(r->fwd, 1);
	const struct model_id first = rig_id(1);
	const struct fwd_tunnel *one = fwd_tunnel_find(r->fwd, &first);
	assert_non_null(one);
	assert_int_equal(fwd_inner_address(a, one, ADDR_V6).family, ADDR_NONE);
	assert_int_equal(fwd_tunnel_put(r->fwd, &c), ERR_NONE);
	struct addr own = fwd_inner_address(a, one, ADDR_V4), other = fwd_inner_address(a, one, ADDR_V6);
	struct addr want4 = rig_addr("10.100.1.0"), want6 = rig_addr("fd00:5::1");
	assert_true(addr_eq(&own, &want4));
	assert_true(addr_eq(&other, &want6));
	assert_int_equal(fwd_inner_address(a, NULL, ADDR_V4).family, ADDR_V4);
}

static void routes_to_missing_tunnels_wait_for_them(void **state)
{
	struct rig *r = *state;
	const struct fwd_route routes[] = { route("10.1.0.0/16", 50, 0, 9), route("10.1.0.0/16", 100, 0, 1) };
	struct model_id nine = rig_id(9);

	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_routes_set(r->fwd, 1, routes, ARRAY_LEN(routes)), ERR_NONE);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_TUNNEL, 1);
	rig_tunnel(r, 1, 9);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_TUNNEL, 9);
	fwd_tunnel_delete(r->fwd, &nine);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_TUNNEL, 1);
	/* A tunnel of that name in another account is another one. */
	assert_int_equal(fwd_account_put(r->fwd, 2, true), ERR_NONE);
	rig_tunnel(r, 2, 9);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_TUNNEL, 1);
	rig_expect(r, 2, "10.1.2.3", FWD_HOP_OFFRAMP, 0);
	/* And it may move. */
	rig_tunnel(r, 1, 9);
	rig_expect(r, 1, "10.1.2.3", FWD_HOP_TUNNEL, 9);
	rig_expect(r, 2, "10.100.9.1", FWD_HOP_OFFRAMP, 0);
}

/* How many of 10000 flows each tunnel gets. */
static void count_shares(struct rig *r, unsigned cnt, unsigned *shares)
{
	struct fwd_account *a = fwd_account_find(r->fwd, 1);

	memset(shares, 0, (cnt + 1) * sizeof(*shares));
	for (uint16_t port = 1; port <= 10000; port++) {
		struct wire_ip ip = rig_ip("172.16.0.1", "10.1.2.3", port);
		struct fwd_hop hop = fwd_route_find(a, &ip), again = fwd_route_find(a, &ip);
		assert_int_equal(hop.kind, FWD_HOP_TUNNEL);
		assert_ptr_equal(hop.tunnel, again.tunnel);
		shares[fwd_tunnel_config(hop.tunnel)->tunnel_id.b[1]]++;
	}
}

static void equal_routes_share_flows_by_weight(void **state)
{
	struct rig *r = *state;
	const struct fwd_route equal[] = { route("10.1.0.0/16", 100, 0, 1), route("10.1.0.0/16", 100, 0, 2),
					   route("10.1.0.0/16", 100, 0, 3), route("10.1.0.0/16", 101, 0, 4) };
	const struct fwd_route weighted[] = { route("10.1.0.0/16", 100, 10, 1), route("10.1.0.0/16", 100, 30, 2),
					      route("10.1.0.0/16", 100, 60, 3) };
	unsigned shares[5];

	for (unsigned n = 1; n <= 4; n++) {
		rig_tunnel(r, 1, n);
		rig_install(r, n, 0x1000 * n);
	}
	assert_int_equal(fwd_routes_set(r->fwd, 1, equal, ARRAY_LEN(equal)), ERR_NONE);
	count_shares(r, 4, shares);
	for (unsigned n = 1; n <= 3; n++)
		assert_in_range(shares[n], 3000, 3700);
	assert_int_equal(shares[4], 0);
	assert_int_equal(fwd_routes_set(r->fwd, 1, weighted, ARRAY_LEN(weighted)), ERR_NONE);
	count_shares(r, 4, shares);
	assert_in_range(shares[1], 800, 1200);
	assert_in_range(shares[2], 2700, 3300);
	assert_in_range(shares[3], 5600, 6400);
	/* A tunnel that is down gives its flows to the others. */
	fwd_child_delete(r->fwd, 0x3000);
	count_shares(r, 4, shares);
	assert_int_equal(shares[3], 0);
	assert_int_equal(shares[1] + shares[2], 10000);
}

static void accounts_share_nothing(void **state)
{
	struct rig *r = *state;
	const struct fwd_route one[] = { route("10.1.0.0/16", 100, 0, 1) };
	const struct fwd_route two[] = { route("10.1.0.0/16", 100, 0, 2) };
	struct model_id id = rig_id(2);

	assert_int_equal(fwd_account_put(r->fwd, 2, false), ERR_NONE);
	rig_tunnel(r, 1, 1);
	rig_tunnel(r, 2, 2);
	assert_int_equal(fwd_routes_set(r->fwd, 1, one, 1), ERR_NONE);
	assert_int_equal(fwd_routes_set(r->fwd, 2, two, 1), ERR_NONE);
	rig_expect(r, 1, "10.1.0.1", FWD_HOP_TUNNEL, 1);
	rig_expect(r, 2, "10.1.0.1", FWD_HOP_TUNNEL, 2);
	rig_expect(r, 1, "10.100.2.1", FWD_HOP_OFFRAMP, 0);
	rig_expect(r, 2, "10.100.1.1", FWD_HOP_NONE, 0);
	/* A route to the other account's tunnel does not count. */
	assert_int_equal(fwd_routes_set(r->fwd, 1, two, 1), ERR_NONE);
	rig_expect(r, 1, "10.1.0.1", FWD_HOP_OFFRAMP, 0);
	fwd_tunnel_delete(r->fwd, &id);
	fwd_account_delete(r->fwd, 2);
	assert_null(fwd_account_find(r->fwd, 2));
}

/* What is held is made once, at the end; a deleted tunnel lives for readers until then. */
static void held_tables_change_at_the_end_of_it(void **state)
{
	struct rig *r = *state;
	const struct fwd_route routes[] = { route("10.1.0.0/16", 100, 0, 1), route("10.2.0.0/16", 100, 0, 2) };
	struct model_id one = rig_id(1), two = rig_id(2);

	rig_tunnel(r, 1, 1);
	assert_int_equal(fwd_routes_set(r->fwd, 1, routes, 2), ERR_NONE);
	fwd_hold(r->fwd);
	rig_tunnel(r, 1, 2);
	rig_expect(r, 1, "10.2.0.1", FWD_HOP_OFFRAMP, 0);
	rig_expect(r, 1, "10.100.2.0", FWD_HOP_OFFRAMP, 0);
	assert_int_equal(fwd_routes_set(r->fwd, 1, &routes[1], 1), ERR_NONE);
	rig_expect(r, 1, "10.1.0.1", FWD_HOP_TUNNEL, 1);
	fwd_tunnel_delete(r->fwd, &one);
	rig_tunnel(r, 1, 3);
	assert_int_equal(fwd_release(r->fwd), ERR_NONE);
	rig_expect(r, 1, "10.1.0.1", FWD_HOP_OFFRAMP, 0);
	rig_expect(r, 1, "10.2.0.1", FWD_HOP_TUNNEL, 2);
	rig_expect(r, 1, "10.100.3.0", FWD_HOP_LOCAL, 3);
	/* An account that goes while its tunnels are held takes them along. */
	assert_int_equal(fwd_account_put(r->fwd, 2, false), ERR_NONE);
	fwd_hold(r->fwd);
	rig_tunnel(r, 2, 2);
	fwd_tunnel_delete(r->fwd, &two);
	fwd_account_delete(r->fwd, 2);
	assert_int_equal(fwd_release(r->fwd), ERR_NONE);
	rig_expect(r, 1, "10.2.0.1", FWD_HOP_OFFRAMP, 0);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, rig_start, rig_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RUN(the_longest_prefix_wins_then_the_lowest_priority),
		RUN(interface_addresses_are_connected_and_ours_is_local),
		RUN(inner_addresses_are_the_tunnels_own_or_the_accounts),
		RUN(routes_to_missing_tunnels_wait_for_them),
		RUN(equal_routes_share_flows_by_weight),
		RUN(accounts_share_nothing),
		RUN(held_tables_change_at_the_end_of_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
