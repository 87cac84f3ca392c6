"""A cluster beside one gateway with SQLite, on this machine.

    c1 (onrampd --site, COUNT tunnels), c2, c3 (one each) --- rtr, sprays --- n1, n2, n3 --- core --- hq;   etcd x 3

Nodes, members of etcd, routers, initiators and the kernel share this machine's cores, and everything is committed to one disk: the
rates are far below what machines of their own give. What counts is the ratio to the single gateway of the same run, and who had
the processor, which is printed.
"""
import shutil
import statistics
import time

import esp
from anycast import Anycast
from counted import Traffic
from cpu import cpu_seconds
from etcd import Etcd
from fleet import GATEWAY_SETTINGS, all_up, bulk, create_tunnels, sections
from lab import HQ, Gateway, Lab, LabError, wait_until
from logs import lines
from results import OURS, Results, Target
from site_role import Site

BUILD = esp.BUILD
NODES, MEMBERS = 3, 3
COUNT = 400       # tunnels that come up at once
REKEYS, PACE = 310, 31  # as many a second as 100,000 tunnels make
RATE, REACTION = 1000, 0.3
STREAMS = 3       # TCP streams a round, each way of ordering
SINGLE = "single"

TARGETS = (
    Target("one TCP stream with the cluster's store on, to SQLite", "cluster.tcp1_ratio", None, 0.9, 0.98),
    Target("from commit to usable on all nodes, p99, ms", "cluster.commit_to_usable_ms_p99", None, 30, 10, at_most=True),
    Target("kill -9 of a node, routers react in 300 ms: lost for, ms", "cluster.failover_lost_ms", None, 450, 350, at_most=True),
)


# ---- the cluster ----

class Cluster(Anycast):
    system = OURS

    def __init__(self):
        super().__init__(NODES, 3, MEMBERS, name=f"k{time.monotonic_ns() % 100000}")

    def settings(self, number):
        return with_fleet(super().settings(number))

    def begin(self):
        self.build()
        self.start_nodes("bench")
        self.gateway, self.where = self.node(1), "c1"
        self.make_fleet()
        for customer in self.customers[1:]:
            customer.create(self.gateway)
            customer.start_site()
            if not customer.router.up("hq", 30) or not customer.works():
                raise LabError(f"{customer.node} is not up: {customer.router.log()[-2000:]}")

    def make_fleet(self):
        self.tunnels = create_tunnels(self.gateway, 100, COUNT)
        self.site = Site(self, self.where, sections(self.tunnels, 0, self.directory), name="fleet", build=BUILD)

    def groups(self):
        nodes = [pid for node in self.nodes for pid in node.children().values()]
        return {"nodes": nodes, "etcd": [member.pid for member in self.etcd.members]}


class Single(Lab):
    system = SINGLE

    def begin(self):
        self.build_network()
        self.gateway, self.where = Gateway(self, BUILD, settings=with_fleet({"gateway": {"workers": 1}})), "site-a"
        self.gateway.start()
        self.gateway.create_account("bench")
        Cluster.make_fleet(self)

    def groups(self):
        return {"gateway": list(self.gateway.children().values())}


def with_fleet(settings):
    return {**settings, "gateway": {**settings["gateway"], **GATEWAY_SETTINGS["gateway"]}}


# ---- handshakes ----

def measure_handshakes(lab, results):
    groups = lab.groups()
    shutil.rmtree(lab.site.directory / "state", ignore_errors=True)  # or it goes on with the SAs of the round before
    before = {name: cpu_seconds(pids) for name, pids in groups.items()}
    begin = time.time()
    lab.site.start(timeout=60)
    if not all_up(lab.site, COUNT, 120):
        raise LabError(f"{lab.name}: not all {COUNT} tunnels came up: {lab.site.log()[-2000:]}")
    used = {name: cpu_seconds(pids) - before[name] for name, pids in groups.items()}
    used["initiator"] = cpu_seconds([lab.site.child_pid()])
    up = [at for at, _ in lines(lab.site.process.log, r"tunnel t\d+ is up", begin)]
    results.note("cluster.handshakes_per_s", "1/s", lab.system, (COUNT - 1) / (max(up) - min(up)))
    print("    processor: " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in used.items()), flush=True)


# ---- from commit to usable ----

def measure_usable(cluster, results):
    """Child SAs that one node makes: from the first node that has it installed to the last."""
    begin = time.time()
    bulk(cluster.gateway, [("POST", f"/onramp/tunnels/{tunnel['id']}/rekey", None) for tunnel in cluster.tunnels[:REKEYS]], pace=PACE)
    time.sleep(1)
    seen = {}
    for node in cluster.nodes:
        for at, found in lines(node.process.log, r"Child SA ([0-9a-f]{8}) (?:up|rekeyed)", begin):
            seen.setdefault(found[1], []).append(at)
    took = sorted((max(times) - min(times)) * 1000 for times in seen.values() if len(times) == NODES)
    if len(took) < REKEYS * 0.9:
        raise LabError(f"of {REKEYS} rekeyed Child SAs only {len(took)} were seen on all nodes, {len(seen)} on some")
    results.note("cluster.commit_to_usable_ms_p50", "ms", cluster.system, statistics.median(took))
    results.note("cluster.commit_to_usable_ms_p99", "ms", cluster.system, took[int(len(took) * 0.99)])


# ---- failover ----

def wait_ready(cluster, node):
    def ready():
        routes = cluster.run(node.node, "ip", "route").stdout
        return (node.cli("node", "ready", check=False).returncode == 0 and
                all(customer.lan in routes for customer in cluster.customers[1:]))
    if not wait_until(ready, 30, 0.1):
        raise LabError(f"{node.node} is not ready")


def measure_failover(cluster, results):
    pairs = [((customer.node, customer.lan), ("hq", HQ)) for customer in cluster.customers[1:]]
    node = cluster.node(2)
    with Traffic(cluster, pairs, RATE) as traffic:
        time.sleep(1)
        begin = time.time()
        node.kill_all()
        time.sleep(REACTION)
        cluster.withdraw(2)
        time.sleep(1)
        loss = traffic.loss(begin - 0.5, traffic.settle())
    results.note("cluster.failover_lost_ms", "ms", cluster.system, loss.seconds * 1000)
    results.note("cluster.failover_gap_ms", "ms", cluster.system, loss.longest_gap * 1000)
    results.note("cluster.failover_lost_packets", "1", cluster.system, loss.packets)
    node.start()
    wait_ready(cluster, node)
    cluster.announce(2)


# ---- throughput ----

class Road:
    """client, site, gw, server with one tunnel, and what the gateway keeps its state in."""

    def __init__(self, lab, name, settings=None):
        self.lab = lab
        esp.build_network(lab)
        if settings is not None:
            self.etcd = Etcd(lab, "gw", [f"127.0.0.{i + 1}" for i in range(MEMBERS)])
            tls = self.etcd.tls
            settings = {"store": {"engine": "etcd", "etcd_endpoints": ", ".join(f"{a}:2379" for a in self.etcd.addresses),
                                  "etcd_ca": tls / "ca.pem", "etcd_cert": tls / "client.pem", "etcd_key": tls / "client.key"}, **settings}
        daemons = esp.Daemons(lab, {5: "aes128gcm16"}, settings)
        self.system = esp.Onramp(lab, 5, daemons)
        self.bench, self.name = esp.Bench(lab, None, [self.system]), name

    def gbit(self):
        return self.bench.tcp(self.system, 1)[0]


def measure_streams(roads, results):
    """In turns, and in turns the one or the other first."""
    got = {road.name: [] for road in roads}
    for number in range(2 * STREAMS):
        for road in roads if number % 2 else roads[::-1]:
            got[road.name].append(road.gbit())
    for name, values in got.items():
        results.note("cluster.tcp1.aes128gcm16", "Gbit/s", name, statistics.median(values))
    results.note("cluster.tcp1_ratio", "1", OURS, statistics.median(a / b for a, b in zip(got[OURS], got[SINGLE])))


# ---- the whole ----

def run_streams(results, runs):
    with Lab(f"q{time.monotonic_ns() % 100000}") as one, Lab(f"r{time.monotonic_ns() % 100000}") as two:
        roads = [Road(one, SINGLE), Road(two, OURS, {"cluster": {"mesh_address": "127.0.0.1:4501", "node": "n1"}})]
        for number in range(runs):
            print(f"one TCP stream, round {number + 1} of {runs}", flush=True)
            measure_streams(roads, results)


def run_nodes(results, runs):
    with Single(f"s{time.monotonic_ns() % 100000}") as single, Cluster() as cluster:
        single.begin()
        cluster.begin()
        for number in range(runs):
            print(f"cluster, round {number + 1} of {runs}", flush=True)
            measure_handshakes(single, results)
            single.site.stop()
            measure_handshakes(cluster, results)
            measure_usable(cluster, results)
            cluster.site.stop()
            measure_failover(cluster, results)
        cluster.finish_audit()


def run(path, runs):
    results = Results(path)
    print(f"{NODES} nodes, {MEMBERS} members of etcd with TLS, routers, initiators and the kernel share this machine's cores and disk", flush=True)
    run_nodes(results, runs)
    run_streams(results, runs)
    results.print_table()
    results.write()
