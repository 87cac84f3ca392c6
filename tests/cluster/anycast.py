"""Several gateway nodes behind one anycast address, in network namespaces.

              mg: bridge 10.90.0.0/24: the mesh, and the members of etcd at 10.90.0.101...
               |   |
    c1 ---.  .-n1--|--.
           rtr    ...  core ---- hq      rtr, core   routers that send every packet to a node at random
    c2 ---'  `-n2-----'                  c1, c2 ...  customers; n1, n2 ...  nodes, each with the anycast address on lo
     `- nat, if it has one               hq          a server behind all off-ramps

The auditor (auditor.c) stands in rtr from the start to the end, and judges every packet that any node sends.
"""
import concurrent.futures
import json
import os
import pathlib
import secrets
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))
from charon import Charon  # noqa: E402
from checks import check  # noqa: E402
from etcd import Etcd  # noqa: E402
from flow import Flow  # noqa: E402
from lab import ANYCAST4, ANYCAST6, HQ, NAT_RULES, ROOT, Gateway, Lab, LabError, wait_until  # noqa: E402
from rekeying import Admin  # noqa: E402
from site_role import Site  # noqa: E402

MESH_PORT = 4501
LANS = "10.1.0.0/16"

# A packet that is under way while the rules change may find the old rule and no elements of its map any more: it goes to the first.
SPRAY = """add table ip spray
flush table ip spray
table ip spray {{
	chain pre {{
		type filter hook prerouting priority mangle; policy accept;
		ip daddr {destination} meta mark set {first}
		ip daddr {destination} meta mark set numgen random mod {count} map {{ {marks} }}
		{more}
	}}
}}
add table ip6 spray
flush table ip6 spray
table ip6 spray {{
	chain pre {{
		type filter hook prerouting priority mangle; policy accept;
		ip6 daddr {destination6} meta mark set {first}
		ip6 daddr {destination6} meta mark set numgen random mod {count} map {{ {marks} }}
	}}
}}
"""
# IKE, also behind the marker of UDP 4500 (RFC 3948 2.2), to one node.
PIN_IKE = """ip daddr {anycast} udp dport 500 meta mark set {number}
		ip daddr {anycast} udp dport 4500 @th,64,32 0 meta mark set {number}"""


def build_of(kind=None):
    return pathlib.Path(kind or os.environ.get("ONRAMP_BUILD") or ROOT / "build/release").resolve()


class Auditor:
    """In the router's namespace; sees all that the nodes send."""

    def __init__(self, lab, devices, rising=()):
        self.lab = lab
        program = build_of() / "tests/cluster/auditor"
        self.process = lab.spawn("rtr", program, ANYCAST4, ANYCAST6, *devices, *(["--rising", *rising] if rising else []), log="auditor.log")
        if not wait_until(lambda: "watching" in self.process.log_tail(), 10):
            raise LabError(f"the auditor does not start: {self.process.log_tail()}")

    def finish(self):
        """What it saw. Raises LabError if that is not as it must be."""
        status = self.process.stop()
        said = self.process.log_tail()
        found = json.loads(said.splitlines()[-1])
        check(status == 0, f"the auditor found: {said}")
        return found


class Customer:
    """A tunnel of the account and the router at its other end, which has an outer IPv6 address as well where it is not behind a NAT."""

    def __init__(self, lab, number, behind_nat=False):
        self.lab, self.number, self.node = lab, number, f"c{number}"
        self.address, self.address6 = "10.99.0.2" if behind_nat else f"203.0.113.{4 * number + 2}", f"2001:db8:c:{number}::2"
        self.lan, self.interface = f"10.1.{number}.1", f"10.252.0.{2 * number}/31"
        self.inner = f"10.252.0.{2 * number + 1}"
        self.router = None
        lab.add_node(self.node, router=True)
        lab.ip(self.node, f"addr add {self.lan}/32 dev lo")
        if behind_nat:
            lab.add_node("nat", router=True)
            lab.link("rtr", f"to-{self.node}", ["192.0.2.1/24"], "nat", "wan", ["192.0.2.2/24"])
            lab.link("nat", "lan", ["10.99.0.1/24"], self.node, "wan", [f"{self.address}/24"])
            lab.ip("nat", "route add default via 192.0.2.1")
            lab.ip(self.node, "route add default via 10.99.0.1")
            lab.run("nat", "nft", "-f", "-", input=NAT_RULES)
        else:
            gateway = f"203.0.113.{4 * number + 1}"
            gateway6 = f"2001:db8:c:{number}::1"
            lab.link("rtr", f"to-{self.node}", [f"{gateway}/30", f"{gateway6}/64"], self.node, "wan",
                     [f"{self.address}/30", f"{self.address6}/64"])
            lab.ip(self.node, f"route add default via {gateway}")
            lab.ip(self.node, f"-6 route add default via {gateway6}")
        self.device = f"to-{self.node}"  # of the router

    def create(self, gateway, **more):
        """The tunnel, by one node's API."""
        self.tunnel = gateway.create_tunnel(self.node, self.interface, **more)
        self.psk = gateway.generate_psk(self.tunnel)
        gateway.create_route(f"{self.lan}/32", self.inner)

    def start_charon(self, esp="aes256gcm16-modp2048", conf=None, **more):
        self.router = Charon(self.lab, self.node, self.address, **(conf or {}))
        self.router.start()
        self.router.configure(self.tunnel["remote_identities"]["fqdn_id"], self.psk, esp=esp, **more)
        return self.router

    def start_site(self, **keys):
        self.router = Site(self.lab, self.node, {"hq": {
            "identity": "fqdn:" + self.tunnel["remote_identities"]["fqdn_id"], "psk": self.psk,
            "addresses": f"{self.inner}/31", "routes": "192.168.0.0/24", **keys}})
        self.router.start()
        return self.router

    def works(self, timeout=10):
        return self.lab.ping_until(self.node, self.lan, HQ, timeout)

    def flow(self, rate):
        return Flow(self.lab, ((self.node, self.lan), ("hq", HQ)), rate, 7000 + self.number)


class Node(Gateway):
    def __init__(self, lab, number, settings, seal_key):
        self.number = number
        super().__init__(lab, node=f"n{number}", addresses=(ANYCAST4, ANYCAST6), settings=settings)
        key = self.directory / "seal.key"
        key.touch(mode=0o600)
        key.write_text(seal_key + "\n")
        self.crash_file = self.directory / "state" / "crash-point"
        self.env = {"ONRAMP_CRASH_POINT": str(self.crash_file)}

    def arm(self, point):
        """The gateway process dies when it comes to this point for the next time (src/base/crash.h)."""
        new = self.crash_file.with_suffix(".new")  # it may die before the next line
        new.write_text(point + "\n")
        new.chmod(0o644)
        new.rename(self.crash_file)

    def disarm(self):
        self.crash_file.unlink(missing_ok=True)

    def crashed(self, timeout=10):
        """It came there."""
        return wait_until(lambda: not self.crash_file.exists(), timeout, 0.01)

    def pid(self):
        """The gateway process."""
        return self.child_pid("gateway")

    def kill(self):
        """SIGKILL of the gateway process: the parent starts another one."""
        os.kill(self.pid(), signal.SIGKILL)

    def back(self, pid, timeout=20):
        """The gateway process is another one than pid, and answers."""
        if not wait_until(lambda: self.pid() not in (None, pid), timeout):
            raise LabError(f"{self.node}: the gateway is not started again:\n{self.process.log_tail()}")
        self.wait_ready(timeout)

    def ask(self, path, method="GET", body=None):
        """As its administrator, without a process for each question."""
        return Admin(self).call(method, path, body)

    def tunnel_status(self, tunnel):
        for live in self.ask(f"/accounts/{self.account['id']}/onramp/status")["tunnels"]:
            if live["id"] == tunnel["id"]:
                return live
        raise LabError(f"{self.node} does not know tunnel {tunnel['name']}")

    def is_ready(self):
        """The answer to the health check of a BGP speaker."""
        return self.cli("node", "ready", check=False).returncode == 0

    def kill_all(self):
        """As a machine that loses its power: the parent first, so that nothing is started again."""
        pids = list(self.children().values())
        self.process.kill()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def freeze(self):
        """SIGSTOP of the gateway process; its pid."""
        pid = self.pid()
        os.kill(pid, signal.SIGSTOP)
        return pid


class Anycast(Lab):
    def __init__(self, nodes=4, customers=2, members=3, behind_nat=(), rising=(), name=None, directory=None, gateway=None):
        """gateway: more settings of the nodes' section of that name."""
        super().__init__(name, directory)
        self.gateway_settings = gateway or {}
        self.node_cnt, self.member_cnt = nodes, members
        self.customer_cnt, self.behind_nat, self.rising = customers, behind_nat, rising
        self.nodes, self.customers, self.etcd, self.auditor = [], [], None, None
        self.carrying = list(range(1, nodes + 1))
        self.ike_at = None

    def build(self):
        for node in ("rtr", "core", "mg"):
            self.add_node(node, router=True)
        self.add_node("hq")
        self.link("core", "to-hq", ["192.168.0.1/24"], "hq", "eth0", [f"{HQ}/24"])
        self.ip("hq", "route add default via 192.168.0.1")
        self.ip("mg", "link add br0 type bridge")
        self.ip("mg", "link set br0 up")
        for number in range(1, self.node_cnt + 1):
            self.add_gateway_node(number)
        self.customers = [Customer(self, n, n in self.behind_nat) for n in range(1, self.customer_cnt + 1)]
        self.spray()
        self.auditor = Auditor(self, [f"n{n}" for n in range(1, self.node_cnt + 1)],
                               [self.customers[n - 1].device for n in self.rising])
        if self.member_cnt:
            addresses = [f"10.90.0.{100 + m}" for m in range(1, self.member_cnt + 1)]
            for address in addresses:
                self.ip("mg", f"addr add {address}/24 dev br0")
            self.etcd = Etcd(self, "mg", addresses)

    def add_gateway_node(self, number):
        node = f"n{number}"
        self.add_node(node, router=True)
        self.ip(node, f"addr add {ANYCAST4}/32 dev lo")
        self.ip(node, f"addr add {ANYCAST6}/128 dev lo nodad")
        for router, device, network, destination in (("rtr", "out", "10.91", f"{ANYCAST4}/32"), ("core", "in", "10.92", LANS)):
            self.link(router, node, [f"{network}.{number}.1/24"], node, device, [f"{network}.{number}.2/24"])
            self.ip(router, f"route add {destination} via {network}.{number}.2 table {100 + number}")
            self.ip(router, f"rule add fwmark {number} table {100 + number} pref {100 + number}")
        self.ip("rtr", f"addr add 2001:db8:91:{number}::1/64 dev {node} nodad")
        self.ip(node, f"addr add 2001:db8:91:{number}::2/64 dev out nodad")
        self.ip("rtr", f"-6 route add {ANYCAST6}/128 via 2001:db8:91:{number}::2 table {100 + number}")
        self.ip("rtr", f"-6 rule add fwmark {number} table {100 + number} pref {100 + number}")
        self.ip(node, f"-6 route add default via 2001:db8:91:{number}::1")
        self.ip(node, f"route add default via 10.91.{number}.1")
        self.ip(node, f"route add 192.168.0.0/24 via 10.92.{number}.1")
        self.link("mg", f"m{number}", [], node, "mesh", [f"10.90.0.{number}/24"])
        self.ip("mg", f"link set m{number} master br0")

    # ---- the routers ----

    def spray(self, numbers=None):
        """Every packet to one of these nodes at random, from one packet to the next; IKE to that one, if there is one."""
        self.carrying = sorted(numbers or range(1, self.node_cnt + 1))
        marks = ", ".join(f"{at} : {number}" for at, number in enumerate(self.carrying))
        for router, destination in (("rtr", ANYCAST4), ("core", LANS)):
            more = PIN_IKE.format(anycast=ANYCAST4, number=self.ike_at) if self.ike_at and router == "rtr" else ""
            self.run(router, "nft", "-f", "-",
                     input=SPRAY.format(destination=destination, destination6=ANYCAST6, first=self.carrying[0],
                                          count=len(self.carrying), marks=marks, more=more))

    def pin(self, number):
        self.spray([number])

    def pin_ike(self, number):
        """IKE to one node, whatever ESP does; None: as everything else."""
        self.ike_at = number
        self.spray(self.carrying)

    def withdraw(self, number):
        """The node's route is gone, as when its BGP speaker is."""
        self.spray([n for n in self.carrying if n != number])

    def announce(self, number):
        self.spray([*{*self.carrying, number}])

    def cut(self, number):
        """The node loses the management network, mesh and etcd, and nothing else."""
        self.ip("mg", f"link set m{number} down")

    def heal(self, number):
        self.ip("mg", f"link set m{number} up")

    # ---- the nodes ----

    def settings(self, number):
        tls = self.etcd.tls
        found = {"store": {"engine": "etcd", "etcd_endpoints": ", ".join(f"{a}:2379" for a in self.etcd.addresses),
                           "etcd_ca": tls / "ca.pem", "etcd_cert": tls / "client.pem", "etcd_key": tls / "client.key"},
                 "gateway": {"workers": 1, **self.gateway_settings}}
        if self.node_cnt > 1:
            found["cluster"] = {"mesh_address": f"10.90.0.{number}:{MESH_PORT}", "node": f"n{number}"}
        return found

    def start_nodes(self, account="cluster", env=None):
        """All of them, with that in the environment, and an account that one has made."""
        seal_key = secrets.token_hex(32)
        self.nodes = [Node(self, number, self.settings(number), seal_key) for number in range(1, self.node_cnt + 1)]
        for node in self.nodes:
            node.env.update(env or {})
            node.start()
        self.nodes[0].create_account(account)
        for node in self.nodes[1:]:
            node.account, node.token = self.nodes[0].account, self.nodes[0].token

    def node(self, number):
        return self.nodes[number - 1]

    def everywhere(self, what, timeout=10):
        """what(node) is true at every node that runs."""
        return wait_until(lambda: all(what(node) for node in self.nodes if node.process.alive()), timeout, 0.1)

    def wait_ready(self, node, timeout=20):
        """Routers may send there: the node says so, and the kernel leads the tunnels' prefixes to its off-ramp."""
        def done():
            routes = self.run(node.node, "ip", "route").stdout
            return node.is_ready() and all(customer.lan in routes for customer in self.customers if customer.router)
        if not wait_until(done, timeout, 0.1):
            raise LabError(f"{node.node} is not ready: {node.cli('node', 'list', check=False).stdout}\n{node.process.log_tail()}")

    def counters(self, node):
        return {one["name"]: one["value"] for one in node.ask("/admin/status")["counters"]}

    def finish_audit(self):
        """To be asked once, at the end."""
        time.sleep(0.3)
        found = self.auditor.finish()
        print(f"  auditor: {found}", flush=True)
        return found


class Flows:
    """Numbered packets of several customers at once, both ways."""

    def __init__(self, customers, rate):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self.flows = list(pool.map(lambda customer: customer.flow(rate), customers))

    def finish(self, drain=2):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return [direction for pair in pool.map(lambda flow: flow.finish(drain), self.flows) for direction in pair]


class Window:
    """While a node is dead or withdrawn without a word, and until the routers have noticed: what they send it is theirs to lose."""

    def __init__(self, before=0.1):
        self.begin, self.end = time.time() - before, None

    def close(self, after=0.3):
        self.end = time.time() + after


def lost_outside(directions, *windows):
    """The packets of flows that were lost, of which none of the windows is the reason."""
    return [f"{number} from {direction.source[0]} at {direction.sent[number]:.3f}" for direction in directions
            for number in direction.lost
            if not any(window.begin <= direction.sent[number] <= window.end for window in windows)]


def audited(checks, lab):
    """The last case of every test of a cluster."""
    with checks.case("auditor: no IV was used twice by any node, for any packet"):
        found = lab.finish_audit()
        check(found["esp"] > 100 and found["ike"] > 0, f"it saw {found}")
