#!/usr/bin/python3
"""`onrampd --site` as the customer: against Onramp over every way to travel, and against strongSwan; crashes, refusals, rekeys."""
import hashlib
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from charon import Charon
from checks import Checks, check
from lab import ANYCAST4, ANYCAST6, HQ, SITE_A, Gateway, Lab, LabError, wait_until
from site_role import Site

HQ6 = "fd00:0:0:1::10"
LAN = {"site-a": "10.1.0.1", "site-b": "10.2.0.1"}
FILE = 4 << 20


class Stream:
    """Echo requests every 10 ms in the background; the count of those without an answer."""

    def __init__(self, lab, node, source, target, seconds):
        self.seconds = seconds
        self.process = lab.spawn(node, "ping", "-n", "-q", "-c", seconds * 100, "-i", "0.01", "-W", "2", "-I", source,
                                 target, log=f"ping-{node}-{time.monotonic_ns()}.log")

    def lost(self):
        self.process.popen.wait(self.seconds + 30)
        sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", self.process.log_tail()).groups()
        check(int(sent) == self.seconds * 100, f"only {sent} sent")
        return int(sent) - int(received)


class Customer:
    """A tunnel at the gateway and what the site's file says of it."""

    def __init__(self, gateway, node, number):
        self.node, self.inner, self.inner6 = node, f"10.252.0.{2 * number + 1}", f"fd00:252::{2 * number + 1}"
        self.tunnel = gateway.create_tunnel(f"{node}-{number}", f"10.252.0.{2 * number}/31",
                                            interface_address6=f"fd00:252::{2 * number}/127")
        self.psk = gateway.generate_psk(self.tunnel)
        gateway.create_route(f"{LAN[node]}/32", self.inner)

    def keys(self, **more):
        return {"identity": "fqdn:" + self.tunnel["remote_identities"]["fqdn_id"], "psk": self.psk,
                "addresses": f"{self.inner}/31, {self.inner6}/127", "routes": "192.168.0.0/24, fd00:0:0:1::/64", **more}


def traffic(lab, node, customer, server_sum):
    lan = LAN[node]
    check(lab.ping_until(node, lan, HQ, 10), "no answer from hq")
    for size in (0, 56, 1300, 3000):
        check(lab.ping(node, lan, HQ, size=size) == 3, f"{size} bytes to hq lost")
    check(lab.ping("hq", HQ, lan) == 3, "no answer to hq")
    check(lab.ping(node, customer.inner, HQ) == 3, "no answer to the inner address")
    check(lab.ping("hq", HQ, customer.inner) == 3, "the inner address does not answer hq")
    check(lab.ping(node, customer.inner6, HQ6) == 3, "IPv6 inside: no answer from hq")
    check(lab.ping("hq", HQ6, customer.inner6, size=1200) == 3, "IPv6 inside: no answer to hq")
    got, _ = lab.fetch_sum(node, lan, f"http://{HQ}:8000/file")
    check(got == server_sum, "the file arrived changed")


WAYS = (
    ("start on 500, native ESP", "site-a", {}, "4500", False),
    ("the same without MOBIKE", "site-a", {"mobike": "no"}, "500", False),
    ("start on 500, ESP in UDP", "site-a", {"encap": "udp"}, "4500", True),
    ("start on 4500", "site-a", {"start_port": 4500}, "4500", True),
    ("IPv6 outside, native ESP", "site-a", {"gateway": ANYCAST6, "encap": "native"}, "500", False),
    ("IPv6 outside, ESP in UDP", "site-a", {"gateway": ANYCAST6, "encap": "udp"}, "4500", True),
    ("behind NAT, start on 500", "site-b", {}, "4500", True),
    ("behind NAT, start on 4500", "site-b", {"start_port": 4500}, "4500", True),
    ("profile modern, selectors of its own", "site-a", {"profile": "modern", "remote_ts": "192.168.0.0/16, fd00::/16",
                                                       "local_ts": "10.0.0.0/8, fd00::/16"}, "4500", False),
    ("algorithms of its own", "site-a", {"ike_algorithms": "aes256-sha256-prfsha384-modp2048",
                                         "esp_algorithms": "aes128, sha256"}, "4500", False),
)
SUITES = {"algorithms of its own": ("AES-CBC-256 / HMAC-SHA2-256-128 / PRF-HMAC-SHA2-384 / MODP-2048",
                                    "AES-CBC-128 / HMAC-SHA2-256-128")}


def ways(checks, lab, gateway, customers):
    data = os.urandom(FILE)
    (lab.directory / "www").mkdir()
    (lab.directory / "www" / "file").write_bytes(data)
    lab.serve_files("hq", HQ, lab.directory / "www")
    for number, (name, node, more, port, in_udp) in enumerate(WAYS):
        with checks.case(name):
            customer = customers[node]
            endpoint = more.get("gateway", ANYCAST4)
            if customer.tunnel["cloudflare_endpoint"] != endpoint:
                customer.tunnel = gateway.call("PUT", f"/ipsec_tunnels/{customer.tunnel['id']}", {
                    "name": customer.tunnel["name"], "cloudflare_endpoint": endpoint,
                    "interface_address": customer.tunnel["interface_address"],
                    "interface_address6": customer.tunnel["interface_address6"]})["modified_ipsec_tunnel"]
            site = Site(lab, node, {"hq": customer.keys(**more)}, name=f"way{number}")
            site.start()
            try:
                check(site.up("hq"), f"not up: {site.log()[-2000:]}")
                status = site.status("hq")
                check(status["remote"].endswith(f":{port}"), f"talks to {status['remote']}")
                check(status["udp_encap"] == in_udp and status["encrypted"], f"{status}")
                for suite in SUITES.get(name, ()):
                    check(suite in site.log(), f"not {suite}: {site.log()[-1000:]}")
                traffic(lab, node, customer, hashlib.sha256(data).hexdigest())
            finally:
                site.stop()
            left = lab.run(node, "ip", "route").stdout
            check("onr0" not in left and "171" not in left, f"left behind: {left}")


def crashes(checks, lab, gateway, site, customer):
    def spis():
        return re.findall(r"Child SA ([0-9a-f]{8})", site.log())
    with checks.case("kill -9 of the gateway: the tunnel goes on"):
        before = spis()
        pid = gateway.child_pid("gateway")
        os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: gateway.child_pid("gateway") not in (None, pid), 10), "not started again")
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 15), "no traffic")
        gateway.wait_ready(20)
        check(spis() == before, "there was a new Child SA")
    with checks.case("kill -9 of the site: it goes on from its store"):
        before = spis()
        pid = site.child_pid()
        stream = Stream(lab, "hq", HQ, LAN["site-a"], 4)
        os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: site.child_pid() not in (None, pid), 10), "not started again")
        check(wait_until(lambda: "go on from the store" in site.log(), 10), "not from its store")
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 10) and lab.ping_until("hq", HQ, LAN["site-a"], 10), "no traffic")
        check(stream.lost() < 200, "away for more than 2 s")
        check(len(spis()) == len(before) + 1 and spis()[-1] in before, f"{before} became {spis()}")
    with checks.case("kill -9 of all of the site's processes: a new start goes on from the store"):
        old = spis()[-1]
        child = site.child_pid()
        site.process.kill()
        check(wait_until(lambda: not os.path.exists(f"/proc/{child}"), 5), "the child outlived its parent")
        site.start()
        check(site.up("hq") and lab.ping_until("site-a", LAN["site-a"], HQ, 10), "no traffic")
        check(spis()[-1] == old, "another Child SA")
    with checks.case("stop and start of the gateway: the tunnel goes on"):
        check(gateway.stop() == 0, "it did not end well")
        gateway.start()
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 30), "no traffic")


def second_one(checks, lab):
    with checks.case("a second daemon on an address that one has does not start, and takes none of its packets"):
        second = Site(lab, "site-a", {"hq": {"identity": "fqdn:second.test", "psk": "the key of the second one"}}, name="second",
                      settings={"tun": "onr1"})
        try:
            second.start()
        except LabError as error:
            check(f"cannot open UDP {SITE_A}:500: Address already in use" in str(error), f"{error}")
        else:
            second.stop()
            raise LabError("it started")


def deletions(checks, lab, gateway, site, customer):
    with checks.case("the gateway ends the tunnel by a Delete: the site is back at once"):
        path = f"/ipsec_tunnels/{customer.tunnel['id']}"
        put = {key: customer.tunnel[key] for key in ("name", "cloudflare_endpoint", "interface_address", "interface_address6")}
        begin = len(re.findall("IKE SA up", site.log()))
        gateway.call("PUT", path, {**put, "customer_endpoint": SITE_A})
        check(wait_until(lambda: len(re.findall("IKE SA up", site.log())) > begin, 4), f"not back: {site.log()[-1500:]}")
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 5), "no traffic")
    with checks.case("the gateway's tunnel is deleted: the verdict says so, and the site tries with back-off"):
        for route in gateway.call("GET", "/routes")["routes"]:
            if route["nexthop"] == customer.inner:
                gateway.call("DELETE", f"/routes/{route['id']}")
        gateway.call("DELETE", f"/ipsec_tunnels/{customer.tunnel['id']}")
        check(wait_until(lambda: (site.status("hq")["verdict"] or {}).get("code") == "start.auth_refused", 10),
              f"{site.status('hq')}")
        check(wait_until(lambda: site.status("hq")["verdict"]["count"] >= 3, 12), "no further attempts")
        seen = site.status("hq")["verdict"]["count"]
        time.sleep(2)
        check(site.status("hq")["verdict"]["count"] <= seen + 1, "no back-off")
    with checks.case("made again, with another identity and key: up after a restart of the site"):
        again = Customer(gateway, "site-a", 40)
        site.write_conf({"hq": again.keys()})
        site.stop()
        site.start()
        check(site.up("hq") and lab.ping_until("site-a", LAN["site-a"], HQ, 10), f"{site.log()[-1500:]}")
    return again


def refusals(checks, lab, gateway, site, customer):
    with checks.case("a wrong PSK: the verdict in status and log, the right one brings it up"):
        site.stop()
        site = Site(lab, "site-a", {"hq": {**customer.keys(), "psk": "wrong"}}, name="wrong")
        site.start()
        check(wait_until(lambda: site.status("hq")["verdict"], 10), "no verdict")
        verdict = site.status("hq")["verdict"]
        check(verdict["code"] == "start.auth_refused" and "pre-shared key" in verdict["sentence"], f"{verdict}")
        check("refused our identity or pre-shared key" in site.log(), "not in the log")
        check("start.auth_refused" in site.ask("site", "status").stdout, "not in the table")
        check(wait_until(lambda: gateway.find_verdict("auth.wrong_psk"), 5), "the gateway does not say why")
        site.stop()
    with checks.case("a gateway that does not answer: the verdict, and the next attempt"):
        site = Site(lab, "site-a", {"away": customer.keys(gateway="203.0.113.99"),
                                    "hq": customer.keys(addresses="", routes="192.168.0.0/24")}, name="away")
        site.start()
        check(site.up("hq"), "the other tunnel is held up")
        check(wait_until(lambda: (site.status("away")["verdict"] or {}).get("code") == "start.no_answer", 60),
              f"{site.status('away')}")
        site.stop()


def strongswan(checks, lab):
    charon = Charon(lab, "gw", ANYCAST4, name="gateway")
    charon.start()
    identity, psk = "branch.example.net", "a key for strongSwan"
    charon.configure(ANYCAST4, psk, gateway="%any", gateway_id=identity, ike="aes256gcm16-prfsha256-modp2048",
                     esp="aes256gcm16-modp2048", local_ts="192.168.0.0/24", remote_ts=f"{LAN['site-a']}/32")
    site = Site(lab, "site-a", {"swan": {"identity": f"fqdn:{identity}", "psk": psk, "routes": "192.168.0.0/24"}}, name="swan")
    site.start()
    with checks.case("strongSwan as the gateway: up, narrowed to its selectors, traffic"):
        check(site.up("swan"), f"not up: {site.log()[-1500:]} {charon.log()[-1500:]}")
        check(lab.ping_until("site-a", LAN["site-a"], HQ, 10), "no traffic")
        check(lab.ping("hq", HQ, LAN["site-a"]) == 3, "no traffic from hq")
        check(f"{LAN['site-a']}/32" in charon.sas() and "192.168.0.0/24" in charon.sas(), charon.sas())
    with checks.case("strongSwan rekeys Child and IKE SA: nothing lost"):
        stream = Stream(lab, "site-a", LAN["site-a"], HQ, 5)
        for rekey, what in ((charon.rekey_child, "child"), (charon.rekey_ike, "ike"), (charon.rekey_child, "child again")):
            time.sleep(1)
            old = site.status("swan")
            check(rekey(), f"{what}: swanctl --rekey failed")
            key = "ike_rekeys" if what == "ike" else "child_rekeys"
            check(wait_until(lambda: site.status("swan")[key] > old[key], 5), f"{what}: not rekeyed: {charon.log()[-1500:]}")
        lost = stream.lost()
        check(lost == 0, f"{lost} of 500 lost")
    site.stop()
    with checks.case("the site rekeys Child and IKE SA against strongSwan: nothing lost"):
        # The shortest lifetimes that the file takes: both rekeys come due after about 30 s.
        site = Site(lab, "site-a", {"swan": {"identity": f"fqdn:{identity}", "psk": psk, "routes": "192.168.0.0/24",
                                             "child_lifetime": 60, "ike_lifetime": 60}}, name="swan2")
        site.start()
        check(site.up("swan") and lab.ping_until("site-a", LAN["site-a"], HQ, 10), "not up")
        stream = Stream(lab, "site-a", LAN["site-a"], HQ, 45)
        check(wait_until(lambda: site.status("swan")["child_rekeys"] >= 1 and site.status("swan")["ike_rekeys"] >= 1, 44, 1),
              f"no rekey: {site.status('swan')}")
        lost = stream.lost()
        check(lost == 0, f"{lost} lost")
        site.stop()
    charon.stop()


def main():
    with Lab() as lab:
        lab.build_network()
        for node, address in LAN.items():
            lab.ip(node, f"addr add {address}/32 dev lo")
        gateway = Gateway(lab)
        gateway.start()
        checks = Checks("site", lab)
        gateway.create_account("site")
        customers = {node: Customer(gateway, node, number) for number, node in enumerate(LAN, 1)}
        ways(checks, lab, gateway, customers)
        customer = Customer(gateway, "site-a", 20)
        for route in gateway.call("GET", "/routes")["routes"]:
            if route["nexthop"] == customers["site-a"].inner:
                gateway.call("DELETE", f"/routes/{route['id']}")
        site = Site(lab, "site-a", {"hq": customer.keys()})
        site.start()
        with checks.case("up for the crashes"):
            check(site.up("hq") and lab.ping_until("site-a", LAN["site-a"], HQ, 10), f"{site.log()[-1500:]}")
        crashes(checks, lab, gateway, site, customer)
        second_one(checks, lab)
        again = deletions(checks, lab, gateway, site, customer)
        refusals(checks, lab, gateway, site, again)
        gateway.stop()
        strongswan(checks, lab)
        checks.finish()


if __name__ == "__main__":
    main()
