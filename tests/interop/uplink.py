#!/usr/bin/python3
"""`onrampd --site` on hosts whose routing is not simple: everything goes into the tunnel, uplinks are chosen by rules and tables,
the operator has routes of his own. Its outer packets leave by the uplink, and all that is not its own stays as it was."""
import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from flow import Flow
from lab import ANYCAST4, ANYCAST6, HQ, SITE_A, SITE_A6, Gateway, Lab, LabError, ping_argv, wait_until
from site_role import Site

HQ6 = "fd00:0:0:1::10"
LAN, LAN6 = "10.1.0.1", "fd00:1::1"
OTHER = "198.51.100.2"       # the gateway's second address
SECOND = "198.18.0.2"        # of site-a, by the second uplink
FIRST_HOP, SECOND_HOP, FIRST_HOP6 = "203.0.113.1", "198.18.0.1", "2001:db8:a::1"


class Customer:
    def __init__(self, gateway, number, endpoint=ANYCAST4, **more):
        self.inner, self.far, self.endpoint = f"10.252.0.{2 * number + 1}", f"10.252.0.{2 * number}", endpoint
        self.gateway = gateway
        self.tunnel = gateway.create_tunnel(f"t{number}", f"{self.far}/31", endpoint,
                                            interface_address6=f"fd00:252::{2 * number}/127", **more)
        self.psk = gateway.generate_psk(self.tunnel)
        for prefix, hop in ((f"{LAN}/32", self.inner), (f"{LAN6}/128", f"fd00:252::{2 * number + 1}")):
            gateway.create_route(prefix, hop)

    def keys(self, **more):
        return {"identity": "fqdn:" + self.tunnel["remote_identities"]["fqdn_id"], "psk": self.psk, "gateway": self.endpoint,
                "addresses": f"{self.inner}/31", "routes": "0.0.0.0/0, ::/0", "default_route": "yes", **more}

    def remote(self):
        """Where the gateway sends to, without the port."""
        return self.gateway.tunnel_status(self.tunnel)["remote"].rpartition(":")[0].strip("[]")


def forget_routes(gateway):
    for route in gateway.call("GET", "/routes")["routes"]:
        gateway.call("DELETE", f"/routes/{route['id']}")


def sent(lab, device):
    """How many packets have gone out by a device of the site."""
    return int(lab.run("site-a", "cat", f"/sys/class/net/{device}/statistics/tx_packets").stdout)


def routing(lab):
    """All rules and routes of the site, a line each."""
    return sorted(line.strip() for family in ("-4", "-6") for words in (("rule",), ("route", "show", "table", "all"))
                  for line in lab.run("site-a", "ip", family, *words).stdout.splitlines())


def traffic(lab, gateway_address, own, v6=True):
    """Both ways through the tunnel; to the gateway's own address beside it."""
    check(lab.ping_until("site-a", LAN, HQ, 10), "no answer from hq")
    check(lab.ping("hq", HQ, LAN, size=1300) == 3, "no answer to hq")
    if v6:
        check(lab.ping("site-a", LAN6, HQ6) == 3 and lab.ping("hq", HQ6, LAN6) == 3, "IPv6 inside: no answer")
    inside = sent(lab, "onr0")
    check(lab.ping("site-a", own, gateway_address, 5) == 5, "the gateway's own address does not answer")
    check(sent(lab, "onr0") - inside < 5, "the packets to the gateway's own address went into the tunnel")


@contextlib.contextmanager
def changed(lab, *changes):
    """What the operator does to the host: (do, undo), ..."""
    for do, _ in changes:
        lab.ip("site-a", do)
    try:
        yield
    finally:
        for _, undo in reversed(changes):
            lab.ip("site-a", undo)


@contextlib.contextmanager
def running(lab, site, *tunnels):
    """A site whose tunnels are up. What the host had before is there meanwhile, and nothing else after it."""
    before = routing(lab)
    try:
        site.start()
        for tunnel in tunnels:
            check(site.up(tunnel), f"{tunnel} is not up: {site.log()[-1500:]}")
        yield
        now = routing(lab)
        lost = [line for line in before if line not in now]
        check(not lost, f"gone while the site runs: {lost}")
    finally:
        status = site.stop()
    check(status == 0, f"it ended with status {status}")
    now = routing(lab)
    check(now == before, f"gone: {[line for line in before if line not in now]}; "
                         f"left behind: {[line for line in now if line not in before]}")


def over_ipv6(checks, lab, gateway):
    customer = Customer(gateway, 1, ANYCAST6)
    site = Site(lab, "site-a", {"hq": customer.keys()}, name="six")
    with checks.case("all of IPv4 and IPv6 into a tunnel over IPv6"), running(lab, site, "hq"):
        traffic(lab, ANYCAST6, SITE_A6)
        with checks.case("started a second time, it takes nothing from the first"):
            again = lab.run("site-a", site.build / "src" / "bin" / "onrampd", "--site", site.conf, check=False, timeout=10)
            check(again.returncode == 1 and "runs already" in again.stderr, f"status {again.returncode}: {again.stderr}")
            other = Site(lab, "site-a", {"hq": customer.keys()}, name="other", settings={"tun": "onr1"})
            try:
                other.start()
            except LabError as error:
                check("Address already in use" in str(error), f"{error}")
            else:
                other.stop()
                raise LabError("another one on the same address started")
            check(wait_until(lambda: "throw" in lab.run("site-a", "ip", "-6", "route").stdout, 3), "the gateway's routes are gone")
            traffic(lab, ANYCAST6, SITE_A6)


def without_an_uplink(checks, lab, gateway):
    """The default route goes by a device alone, as with PPP; then it goes away."""
    customer = Customer(gateway, 2)
    lab.run("inet", "sysctl", "-qw", "net.ipv4.conf.all.proxy_arp=1")
    site = Site(lab, "site-a", {"hq": customer.keys()}, name="ppp")
    by_device = ("route replace default dev wan", f"route replace default via {FIRST_HOP}")
    with changed(lab, by_device), checks.case("a default route without a next hop, which goes away and comes back"), \
            running(lab, site, "hq"):
        traffic(lab, ANYCAST4, SITE_A, v6=False)
        steady = lab.spawn("site-a", "ping", "-q", "-i", "0.05", "-I", LAN, HQ, log="ping-away.log")
        time.sleep(0.2)
        lab.ip("site-a", "link set wan down")
        before = sent(lab, "onr0")
        time.sleep(1)
        looped = sent(lab, "onr0") - before
        lab.ip("site-a", "link set wan up")
        lab.ip("site-a", f"-6 addr replace {SITE_A6}/64 dev wan nodad")
        lab.ip("site-a", by_device[0])
        lab.ip("site-a", f"-6 route replace default via {FIRST_HOP6}")
        check(looped < 60, f"{looped} packets went into the tunnel in a second without an uplink")
        check(lab.ping_until("hq", HQ, LAN, 10), f"no traffic after it: {site.log()[-1500:]}")
        steady.stop()
        check(site.log().count("IKE SA up") == 1, "there was a new handshake")
    lab.run("inet", "sysctl", "-qw", "net.ipv4.conf.all.proxy_arp=0")


def own_routes(checks, lab, gateway):
    customer = Customer(gateway, 3)
    site = Site(lab, "site-a", {"hq": customer.keys()}, name="own")
    with changed(lab, (f"route add {ANYCAST4}/32 via {SECOND_HOP}", f"route replace {ANYCAST4}/32 via {SECOND_HOP}")), \
            checks.case("a host route of the operator to the gateway counts, and stays"), running(lab, site, "hq"):
        check(customer.remote() == SECOND, f"at {customer.remote()}: {site.log()[-1500:]}")
        traffic(lab, ANYCAST4, SECOND, v6=False)
    lab.ip("site-a", f"route del {ANYCAST4}/32")
    with checks.case("killed with all its processes, and started when the uplink is another one"), running(lab, site, "hq"):
        check(customer.remote() == SITE_A, f"at {customer.remote()}: {site.log()[-1500:]}")
        child = site.child_pid()
        site.process.kill()
        check(wait_until(lambda: not os.path.exists(f"/proc/{child}"), 5), "the child outlived its parent")
        for hop, address in ((SECOND_HOP, SECOND), (FIRST_HOP, SITE_A)):
            lab.ip("site-a", f"route replace default via {hop}")
            if not site.process.alive():
                site.start()
            check(wait_until(lambda: site.status("hq")["up"] and customer.remote() == address, 10),
                  f"at {customer.remote()}: {site.log()[-1500:]}")
            check(lab.ping_until("hq", HQ, LAN, 10), "no traffic")


def by_each(lab, customers, devices):
    """What goes by one tunnel leaves by its own uplink."""
    for customer, device in zip(customers, devices):
        before = {name: sent(lab, name) for name in ("wan", "wan2")}
        check(lab.ping("site-a", customer.inner, customer.far, 20, interval=0.01) == 20, f"{customer.far} does not answer")
        more = {name: sent(lab, name) - count for name, count in before.items()}
        check(more[device] >= 20 and sum(more.values()) - more[device] < 20, f"to {customer.far}: {more}, not by {device}")


def rules(*selectors):
    """Each leads what it selects to the table of an uplink."""
    changes = []
    for number, selector, hop in zip((101, 102), selectors, (FIRST_HOP, SECOND_HOP)):
        changes += [(f"route add default via {hop} table {number}", f"route flush table {number}"),
                    (f"rule add pref {number} {selector} lookup {number}", f"rule del pref {number}")]
    return changes


def rules_by_target(checks, lab, gateway):
    """No default route in the main table: rules say which uplink leads to which address of the gateway."""
    customers = [Customer(gateway, 4), Customer(gateway, 5, OTHER)]
    site = Site(lab, "site-a", {f"t{n}": customer.keys() for n, customer in enumerate(customers)}, name="target")
    with changed(lab, ("route del default", f"route add default via {FIRST_HOP}"), *rules(f"to {ANYCAST4}", f"to {OTHER}")), \
            checks.case("two tunnels, each by the uplink that a rule gives its gateway"), running(lab, site, "t0", "t1"):
        check([one.remote() for one in customers] == [SITE_A, SECOND], f"{[one.remote() for one in customers]}")
        by_each(lab, customers, ("wan", "wan2"))
        traffic(lab, OTHER, SECOND, v6=False)
        with checks.case("a rule that changes moves its tunnel to the other uplink, and the other one stays"):
            flow = Flow(lab, (("site-a", LAN), ("hq", HQ)), 50)
            for do, address in (("add", SITE_A), ("del", SECOND)):
                lab.ip("site-a", f"rule {do} pref 90 to {OTHER} lookup 101")
                check(wait_until(lambda: customers[1].remote() == address, 10, 0.1),
                      f"at {customers[1].remote()}: {site.log()[-1500:]}")
            out, back = flow.finish(1)
            check(out.longest_gap < 2 and back.longest_gap < 2 and len(out.lost) + len(back.lost) < 100, f"{out}; {back}")
            check(site.log().count("IKE SA up") == 2, "there was a new handshake")
            check(customers[0].remote() == SITE_A, "the other tunnel has moved")
    with checks.case("stopped, it has deleted both at the gateway"):
        check(wait_until(lambda: not any(gateway.tunnel_status(one.tunnel)["up"] for one in customers), 3), "the gateway does not know")


def rules_by_source(checks, lab, gateway):
    customers = [Customer(gateway, 6), Customer(gateway, 7)]
    site = Site(lab, "site-a", {f"t{n}": customer.keys(local_address=address)
                                for n, (customer, address) in enumerate(zip(customers, (SITE_A, SECOND)))}, name="source")
    with changed(lab, *rules(f"from {SITE_A}", f"from {SECOND}")), \
            checks.case("two tunnels to one gateway, each from the address of its uplink"), running(lab, site, "t0", "t1"):
        by_each(lab, customers, ("wan", "wan2"))
        traffic(lab, ANYCAST4, SECOND, v6=False)


def led_into_itself(checks, lab, gateway):
    """Rules of the operator that forgot the outer packets."""
    customer = Customer(gateway, 8)
    site = Site(lab, "site-a", {"hq": customer.keys()}, name="loop", settings={"install_routes": "no"})
    with checks.case("outer packets that the host's own rules lead into the tunnel are not sealed again and again"), \
            running(lab, site, "hq"):
        with changed(lab, ("route add default dev onr0 table 300", "route flush table 300"),
                     ("rule add pref 80 lookup 300", "rule del pref 80")):
            before = sent(lab, "onr0")
            lab.run("site-a", *map(str, ping_argv(LAN, HQ, 20, 0.05, 2)), check=False)
            looped = sent(lab, "onr0") - before
            check(20 <= looped < 120, f"20 pings became {looped} packets")
            check(wait_until(lambda: "through the tunnels themselves" in site.log(), 3), "it does not say so")
        lab.ip("site-a", f"route replace {HQ}/32 dev onr0")
        check(lab.ping_until("site-a", LAN, HQ, 5), "no traffic when the rule is gone")


def table_of_its_own(checks, lab):
    """strongSwan is the gateway."""
    identity, psk = "branch.example.net", "a key for strongSwan"
    charon = Charon(lab, "gw", ANYCAST4, name="gateway")
    charon.start()
    charon.configure(ANYCAST4, psk, gateway="%any", gateway_id=identity, ike="aes256gcm16-prfsha256-modp2048",
                     esp="aes256gcm16-modp2048", remote_ts=f"{LAN}/32")
    keys = {"identity": f"fqdn:{identity}", "psk": psk, "routes": "0.0.0.0/0", "default_route": "yes"}
    for what, selector, settings in (("a table of their own", "", {}),
                                     ("a table for what bears no mark", "not fwmark 0x17", {"mark": "0x17"})):
        site = Site(lab, "site-a", {"swan": keys}, name=what.split()[-1], settings={"route_table": 200, **settings})
        with changed(lab, (f"rule add pref 100 {selector} lookup 200", "rule del pref 100")), \
                checks.case(f"the tunnel's routes stand in {what}: strongSwan as the gateway"), running(lab, site, "swan"):
            check(lab.ping_until("site-a", LAN, HQ, 10) and lab.ping("hq", HQ, LAN) == 3, "no traffic")
            check(lab.ping("site-a", LAN, "192.168.0.1") == 3, "no answer from the gateway's inner side")
            check("171" not in lab.run("site-a", "ip", "route").stdout, "something is in the main table")
            way = lab.run("site-a", "ip", "route", "get", ANYCAST4, "mark", settings.get("mark", "0")).stdout
            check("dev wan " in way, f"outer packets go elsewhere: {way}")
        check(wait_until(lambda: not charon.ike_spis(), 3), f"strongSwan still has it: {charon.sas()}")
    charon.stop()


def main():
    with Lab() as lab:
        lab.build_network()
        for address in (f"{LAN}/32", f"{LAN6}/128"):
            lab.ip("site-a", f"addr add {address} dev lo")
        lab.link("inet", "to-a2", [f"{SECOND_HOP}/24"], "site-a", "wan2", [f"{SECOND}/24"])
        lab.ip("gw", f"addr add {OTHER}/32 dev lo")
        lab.ip("inet", f"route add {OTHER}/32 via 100.64.0.2")
        gateway = Gateway(lab, addresses=(ANYCAST4, OTHER, ANYCAST6))
        gateway.start()
        checks = Checks("uplink", lab)
        gateway.create_account("uplink")
        for part in (over_ipv6, without_an_uplink, own_routes, rules_by_target, rules_by_source, led_into_itself):
            part(checks, lab, gateway)
            forget_routes(gateway)
        gateway.stop()
        table_of_its_own(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()
