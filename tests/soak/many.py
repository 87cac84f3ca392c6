#!/usr/bin/python3
"""many.py [TUNNELS [etcd|sqlite ...]]: a hundred thousand tunnels in the store, with an IKE SA and a Child SA each, and what they cost: to read,
to keep, to start with (cold, and after a kill -9), to follow, and for a second node to join. One more of them is real: it shows when
traffic passes. After each start all SAs must be there, at the gateway and in the store, and none of them made anew; times are told,
not judged. Last line: "N passed, N failed".

The tunnels are put into the store by onramp-many (tests/cluster/many.c). The members of etcd, the nodes and the one that
changes tunnels share this machine.
"""
import concurrent.futures
import json
import os
import pathlib
import signal
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / folder) for folder in ("netns", "cluster")]
from anycast import Anycast
from checks import Checks, check
from fleet import cpu_ms, resident_kb
from lab import ANYCAST4, HQ, ROOT, Gateway, Lab, wait_until
from logs import lines
from site_role import Site

BUILD = ROOT / "build" / "release"
MANY = BUILD / "tests" / "cluster" / "onramp-many"
HELD = r"(\d+) IKE SAs with (\d+) Child SAs (?:go on from the store|are shared with the other nodes)"
RATES = (31, 310)       # Child SAs and IKE SAs that 100,000 and 1,000,000 tunnels rekey in a second
SECONDS = 20
WRITERS = 12            # each with one transaction under way
INNER = "10.1.1.1"


def say(what):
    print(f"     {what}", flush=True)


def many(lab, node, *words, timeout=1800):
    return lab.run(node, MANY, *words, timeout=timeout).stdout


class Many:
    """Steps that are the same for both engines. gateway: the one that is looked at; node: where the tool runs."""

    def __init__(self, lab, count):
        self.lab, self.count = lab, count

    def fill(self):
        self.empty_kb = self.memory()
        self.stop()
        said = json.loads(many(self.lab, self.gateway.node, "fill", self.gateway.conf, self.gateway.account["id"], 1000, self.count))
        listed = self.list()
        check(listed["ike"] == listed["child"] == self.count + 1, f"{listed['ike']} IKE SAs and {listed['child']} Child SAs are in the store")
        self.sas = listed["sum"]
        say(f"{self.count} tunnels written in {said['seconds']:.1f} s; {listed['keys']} keys of {listed['bytes'] / self.count:.0f} bytes a tunnel, "
            f"all read in {listed['ms'] / 1000:.2f} s{self.on_disk()}")

    def list(self):
        return json.loads(many(self.lab, self.gateway.node, "list", self.gateway.conf))

    def on_disk(self):
        return ""

    def all_held(self, gateway, begin):
        """By a process of the gateway that was started after that time."""
        found = [tuple(map(int, match.groups())) for _, match in lines(gateway.process.log, HELD, begin)]
        check(found == [(self.count + 1, self.count + 1)], f"{gateway.node} has {found} SAs")

    def none_lost(self):
        """While no gateway writes, or between its writes: the same SAs are in the store as were put there."""
        listed = self.list()
        check(listed["sum"] == self.sas, f"{listed['ike']} IKE SAs and {listed['child']} Child SAs are in the store, and not those of before")

    def memory(self):
        return {role: resident_kb([pid]) for role, pid in self.gateway.children().items()} | {"parent": resident_kb([self.gateway.process.pid])}

    def start(self, what):
        """Until it answers, and until the one real tunnel carries packets."""
        begin = time.time()
        self.gateway.start(timeout=600)
        self.started(what, begin)

    def started(self, what, begin):
        ready = time.time() - begin
        check(self.lab.ping_until(self.customer, INNER, HQ, 600), "no traffic")
        passes = time.time() - begin
        self.all_held(self.gateway, begin)
        spent = cpu_ms(self.gateway.children().values()) / 1000, cpu_ms([self.gateway.process.pid]) / 1000
        say(f"{what}: the API answers after {ready:.1f} s, packets pass after {passes:.1f} s; {spent[0]:.1f} s of processor, "
            f"{spent[1]:.1f} s of the parent's")

    def look(self):
        now = self.memory()
        say("memory a tunnel: " + ", ".join(f"{role} {(now[role] - self.empty_kb[role]) * 1024 / self.count:.0f} bytes" for role in now) +
            f"; in all {sum(now.values()) / 1024:.0f} MB")
        base = f"/accounts/{self.gateway.account['id']}/magic/ipsec_tunnels"
        begin = time.monotonic()
        status, answer = self.gateway.curl("GET", base, check=False, timeout=600)
        listed = time.monotonic()
        cnt = len(answer["result"]["ipsec_tunnels"]) if status == 200 else 0
        made, _ = self.gateway.curl("POST", base, {"name": "one-more", "cloudflare_endpoint": ANYCAST4,
                                                   "interface_address": "10.252.9.0/31"}, check=False, timeout=600)
        say(f"API of an account that has them all: a list of {cnt} in {listed - begin:.1f} s ({status}), one more made in "
            f"{time.monotonic() - listed:.2f} s ({made})")

    def kill(self):
        """The parent starts another gateway process."""
        pid, begin = self.gateway.child_pid("gateway"), time.time()
        os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: self.gateway.child_pid("gateway") not in (None, pid), 60), "not started again")
        check(self.lab.ping_until(self.customer, INNER, HQ, 600), "no traffic")
        passes, spent = time.time() - begin, cpu_ms([self.gateway.child_pid("gateway")]) / 1000
        self.all_held(self.gateway, begin)
        say(f"kill -9 of the gateway process: packets pass again after {passes:.1f} s; {spent:.1f} s of processor")

    def warm_start(self):
        """All processes of the node die at once, and it is started again."""
        pids = (self.gateway.process.pid, *self.gateway.children().values())
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        check(wait_until(lambda: not self.gateway.process.alive() and not any(pathlib.Path(f"/proc/{pid}").exists() for pid in pids[1:]), 60),
              "does not die")
        self.start("kill -9 of all its processes, and a start")

    def since(self):
        return self.site.status("hq")["since"]

    def same(self):
        check(self.since() == self.up_since, "the real tunnel was set up anew")

    def make_real(self):
        tunnel = self.gateway.create_tunnel("real", "10.252.0.2/31")
        self.gateway.create_route(f"{INNER}/32", "10.252.0.3")
        self.site = Site(self.lab, self.customer, {"hq": {
            "identity": "fqdn:" + tunnel["remote_identities"]["fqdn_id"], "psk": self.gateway.generate_psk(tunnel),
            "addresses": "10.252.0.3/31", "routes": "192.168.0.0/24", "dpd_delay": 0}}, build=BUILD)
        self.site.start()
        check(self.site.up("hq") and self.lab.ping_until(self.customer, INNER, HQ), "the real tunnel is not up")
        self.up_since = self.since()


class OverSqlite(Many):
    def on_disk(self):
        size = sum(path.stat().st_size for path in (self.gateway.directory / "state").glob("onramp.db*"))
        return f"; {size / self.count:.0f} bytes a tunnel on disk"

    def begin(self):
        self.lab.build_network()
        self.customer = "site-a"
        self.lab.ip("site-a", f"addr add {INNER}/32 dev lo")
        self.gateway = Gateway(self.lab, BUILD, settings={"gateway": {"workers": 1}})
        self.gateway.start()
        self.gateway.create_account("many")
        self.make_real()

    def stop(self):
        check(self.gateway.stop() == 0, "did not stop cleanly")


class OverEtcd(Many):
    def begin(self):
        self.lab.build()
        self.lab.start_nodes("many")
        self.gateway, self.other = self.lab.nodes
        self.customer = "c1"
        self.make_real()

    def stop(self):
        for node in self.lab.nodes:
            check(node.stop() == 0, "did not stop cleanly")

    def start(self, what):
        """With the other node away: the routers send to this one alone."""
        self.lab.pin(1)
        super().start(what)

    def start_other(self):
        begin = time.time()
        self.other.start(timeout=600)
        check(wait_until(lambda: self.other.cli("node", "ready", check=False).returncode == 0, 600, 0.2), "n2 is not ready")
        self.lab.pin(2)
        check(self.lab.ping_until(self.customer, INNER, HQ, 600), "no traffic")
        self.lab.pin(1)
        self.all_held(self.other, begin)
        say(f"another node joins: it has all SAs and packets pass there after {time.time() - begin:.1f} s; "
            f"{cpu_ms(self.other.children().values()) / 1000:.1f} s of processor")

    def follow(self, rate):
        """Changes that come from elsewhere: how long until both nodes have each installed."""
        share = self.count // (WRITERS * len(RATES))
        first = 1000 + RATES.index(rate) * WRITERS * share
        before, begin = cpu_ms([self.gateway.child_pid("gateway")]), time.time()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            said = "".join(pool.map(lambda i: many(self.lab, "n1", "change", self.gateway.conf, self.gateway.account["id"], first + i * share,
                                                   share, rate / WRITERS, SECONDS), range(WRITERS)))
        committed = {spi: (int(asked) / 1e6, int(done) / 1e6) for spi, asked, done in map(str.split, said.splitlines())}
        time.sleep(3)
        spent = cpu_ms([self.gateway.child_pid("gateway")]) - before
        installed = [(at, found[1]) for node in self.lab.nodes for at, found in lines(node.process.log, r"Child SA ([0-9a-f]{8}) up", begin)
                     if found[1] in committed]
        check(len(installed) == 2 * len(committed), f"{len(installed)} of 2 x {len(committed)} were installed")
        answers = sorted(done - asked for asked, done in committed.values())
        whole = sorted(at - committed[spi][0] for at, spi in installed)
        lags = sorted(max(0.0, at - committed[spi][1]) for at, spi in installed)
        say(f"{len(committed) / SECONDS:.0f} changes/s: committed within p50 {at(answers, 0.5):.1f}, p99 {at(answers, 0.99):.1f} ms; installed at a node "
            f"within p50 {at(whole, 0.5):.1f}, p99 {at(whole, 0.99):.1f} ms, after the commit's answer p50 {at(lags, 0.5):.1f}, p99 {at(lags, 0.99):.1f} ms; "
            f"{spent / len(committed):.2f} ms of a node's processor each")


def at(values, share):
    return values[int(len(values) * share)] * 1000


def run(checks, many_, steps):
    for name, step in steps:
        with checks.case(f"{many_.count} tunnels: {name}"):
            step()
        if checks.failed:
            break


def over_sqlite(checks, count):
    with Lab() as lab:
        m = OverSqlite(lab, count)
        run(checks, m, (("a gateway with one", m.begin), ("put into SQLite", m.fill), ("cold start", lambda: m.start("cold start")),
                        ("memory, and the API", m.look), ("the gateway process dies", m.kill), ("all processes die", m.warm_start),
                        ("the tunnel is the same", m.same), ("no SA is lost or made anew", m.none_lost)))


def over_etcd(checks, count):
    with Anycast(nodes=2, customers=1, members=3) as lab:
        m = OverEtcd(lab, count)
        run(checks, m, (("two nodes with one", m.begin), ("put into etcd", m.fill), ("cold start", lambda: m.start("cold start")),
                        ("memory, and the API", m.look), ("the gateway process dies", m.kill), ("all processes die", m.warm_start),
                        ("a second node joins", m.start_other), ("no SA is lost or made anew", m.none_lost),
                        *((f"{rate} changes a second are followed", lambda rate=rate: m.follow(rate)) for rate in RATES),
                        ("the tunnel is the same", m.same)))


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
    checks = Checks("many")
    for engine in sys.argv[2:] or ("sqlite", "etcd"):
        print(f"== {engine}", flush=True)
        {"sqlite": over_sqlite, "etcd": over_etcd}[engine](checks, count)
    checks.finish()


if __name__ == "__main__":
    main()
