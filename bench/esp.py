"""The data plane: Onramp beside plain veth, strongSwan with user-space ESP, and wireguard-go.

    client ---- site ==== gw ---- server

All stand in the same four namespaces at once, each with a network of its own at either end, and are measured in turns. What
stands idle costs nothing. Client and server, all gateways and the kernel share this machine's cores. Client and site send,
server and gw receive. Onramp's ends are `onrampd --site` and `onrampd`, with a tunnel for each suite.
"""
import json
import pathlib
import subprocess
import time

from charon import Charon
from cpu import cpu_seconds
from lab import ANYCAST4, Gateway, Lab, LabError, wait_until
from results import OURS, Results, Target, read_rows
from site_role import Site

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "release"
FLOW = BUILD / "bench" / "flow"
SITE, GW = "203.0.113.2", "203.0.113.1"
SWAN_PORT, FLOW_PORT = 1450, 9000
SECONDS_TCP, SECONDS_UDP = 2, 0.4
LOSS = 0.01
STEP = 1.15
RATE_MIN = 500  # packets a second: below this the search gives up
SIZES = (64, 512, 1372)  # of UDP payload; the last makes 1400 bytes, strongSwan's MTU
ROUND_TRIPS, ROUND_TRIP_EVERY_US = 300, 2000
LINKS = (("client", "eth0"), ("site", "lan"), ("site", "wan"), ("gw", "wan"), ("gw", "lan"), ("server", "eth0"))

TARGETS = (
    Target("one TCP stream, AES-128-GCM, to plain veth", "esp.tcp1.aes128gcm16", "veth", 0.60, 0.75),
    Target("one TCP stream, AES-128-GCM, to strongSwan", "esp.tcp1.aes128gcm16", "strongswan", 10, 14),
    Target("one TCP stream, AES-256-CBC and SHA-256, to strongSwan", "esp.tcp1.aes256-sha256", "strongswan", 15, 25),
    Target("one TCP stream, AES-128-GCM, to wireguard-go", "esp.tcp1.aes128gcm16", "wireguard-go", 5, 8),
    Target("sealing end, Gbit per CPU-second, to the raw AES-GCM rate", "esp.seal_gbit_per_cpu_s", "raw", 0.11, 0.16),
    Target("opening end, Gbit per CPU-second, to the raw AES-GCM rate", "esp.open_gbit_per_cpu_s", "raw", 0.13, 0.20),
    Target("UDP of 1372 bytes, loss below 1 %, to strongSwan", "esp.udp1372.aes128gcm16", "strongswan", 6, 12),
    Target("round trip added to plain veth's, us", "esp.rtt_added_us", None, 80, 40, at_most=True),
)
LOOP_TARGETS = (
    Target("seal loop to the raw call, 1400 bytes", "esp.loop.seal1400", "raw", 1.3, 1.15, at_most=True),
    Target("open loop to the raw call, 1400 bytes", "esp.loop.open1400", "raw", 1.3, 1.15, at_most=True),
    Target("seal loop to the raw call, 64 bytes", "esp.loop.seal64", "raw", 3, 2, at_most=True),
    Target("open loop to the raw call, 64 bytes", "esp.loop.open64", "raw", 3, 2, at_most=True),
    Target("100,000 SAs to one, 1400 bytes", "esp.sa100k_cost_ratio", None, 2.8, 2.3, at_most=True),
)


class System:
    """number: of its networks 10.1.N.0/24 at the client and 192.168.N.0/24 at the server."""

    def __init__(self, lab, number):
        self.lab, self.number = lab, number
        self.client, self.server = f"10.1.{number}.2", f"192.168.{number}.2"
        lab.ip("client", f"addr add {self.client}/32 dev eth0")
        lab.ip("server", f"addr add {self.server}/32 dev eth0")
        lab.ip("site", f"route add {self.client}/32 via 10.0.0.2")
        lab.ip("gw", f"route add {self.server}/32 via 10.0.1.2")
        self.up()
        if not lab.ping_until("client", self.client, self.server, 15):
            raise LabError(f"{self.name} ({number}): no traffic")

    def client_net(self):
        return f"10.1.{self.number}.0/24"

    def server_net(self):
        return f"192.168.{self.number}.0/24"

    def pids(self):
        """(what seals, what opens)"""
        return [], []


class Veth(System):
    name = "veth"

    def up(self):
        self.lab.ip("site", f"route add {self.server_net()} via {GW}")
        self.lab.ip("gw", f"route add {self.client_net()} via {SITE}")


class Daemons:
    """`onrampd` and `onrampd --site`, with a tunnel for each suite."""

    def __init__(self, lab, suites, settings=None):
        """suites: {number of the networks: what stands in the site's file}"""
        self.gateway = Gateway(lab, BUILD, addresses=(ANYCAST4,), settings=settings)
        self.gateway.start()
        self.gateway.create_account("bench")
        tunnels = {}
        for number, algorithms in suites.items():
            tunnel = self.gateway.create_tunnel(f"t{number}", f"10.252.0.{2 * number}/31")
            self.gateway.create_route(f"10.1.{number}.0/24", f"10.252.0.{2 * number + 1}")
            tunnels[f"t{number}"] = {
                "identity": "fqdn:" + tunnel["remote_identities"]["fqdn_id"], "psk": self.gateway.generate_psk(tunnel),
                "addresses": f"10.252.0.{2 * number + 1}/31", "routes": f"192.168.{number}.0/24", "encap": "udp",
                "esp_algorithms": algorithms}
        self.site = Site(lab, "site", tunnels, build=BUILD)
        self.site.start()


class Onramp(System):
    """One of their tunnels."""
    name = OURS

    def __init__(self, lab, number, daemons):
        self.daemons = daemons
        super().__init__(lab, number)

    def up(self):
        if not self.daemons.site.up(f"t{self.number}"):
            raise LabError(f"onramp: not up: {self.daemons.site.log()[-2000:]}")

    def pids(self):
        return [self.daemons.site.child_pid()], [self.daemons.gateway.child_pid("gateway")]


class Strongswan(System):
    name = "strongswan"
    more = f"threads = 16\n\tport = {SWAN_PORT + 1}\n\tport_nat_t = {SWAN_PORT}"
    esp = "aes128gcm16"

    def up(self):
        self.lab.ip("site", f"addr add 10.1.{self.number}.1/32 dev lo")  # its own address in the selectors, or it sets no route
        self.lab.ip("gw", f"addr add 192.168.{self.number}.1/32 dev lo")
        self.ends = {}
        for node, own in (("gw", GW), ("site", SITE)):
            self.ends[node] = Charon(self.lab, node, own, name=f"{node}-{self.number}", log=0, more=self.more)
            self.ends[node].start()
        for net in (f"10.1.{self.number + 1}.1", f"192.168.{self.number + 1}.1"):
            self.lab.ip("site" if net.startswith("10.") else "gw", f"addr add {net}/32 dev lo")
        ike, more = "aes128gcm16-prfsha256-modp2048", f"local_port = {SWAN_PORT}\n\t\tremote_port = {SWAN_PORT}"
        self.ends["gw"].configure("gw.bench", "bench secret", gateway="%any", gateway_id="site.bench", ike=ike, esp=self.esp,
                                  more=f"local_port = {SWAN_PORT}", local_ts=self.server_net(), remote_ts=self.client_net(),
                                  more_children=self.more_children(gw=True))
        self.ends["site"].configure("site.bench", "bench secret", gateway=GW, gateway_id="gw.bench", ike=ike, esp=self.esp,
                                    more=more, local_ts=self.client_net(), remote_ts=self.server_net(),
                                    more_children=self.more_children(gw=False))
        for child in ("net", "cbc"):
            if not self.ends["site"].initiate(child=child):
                raise LabError(f"strongSwan: {child} is not up: {self.ends['site'].said}")

    def more_children(self, gw):
        """One more suite, for the networks with the next number."""
        nets = f"10.1.{self.number + 1}.0/24", f"192.168.{self.number + 1}.0/24"
        local, remote = reversed(nets) if gw else nets
        return f"cbc {{ local_ts = {local}\n remote_ts = {remote}\n esp_proposals = aes256-sha256\n replay_window = 0 }}"

    def pids(self):
        return [self.ends["site"].process.pid], [self.ends["gw"].process.pid]


class StrongswanCbc(Strongswan):
    def __init__(self, lab, number, first):
        self.first = first
        super().__init__(lab, number)

    def up(self):
        pass  # a Child SA of the first

    def pids(self):
        return self.first.pids()


class Wireguard(System):
    name = "wireguard-go"

    def up(self):
        keys = {node: self.make_keys() for node in ("site", "gw")}
        self.processes = {}
        for node, other, endpoint, net, far in (("site", "gw", GW, self.client_net(), self.server_net()),
                                                ("gw", "site", SITE, self.server_net(), self.client_net())):
            # Its control socket is named after the device, in a folder that all namespaces share.
            device = f"{self.lab.name[-8:]}{node[0]}w"
            self.processes[node] = self.lab.spawn(node, "wireguard-go", "-f", device, log=f"wireguard-{node}.log",
                                                  env={"LOG_LEVEL": "error", "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"})
            socket = pathlib.Path(f"/var/run/wireguard/{device}.sock")
            if not wait_until(socket.exists, 10):
                raise LabError(f"wireguard-go: {self.processes[node].log_tail()}")
            conf = self.lab.directory / f"wireguard-{node}.conf"
            conf.touch(mode=0o600)
            conf.write_text(f"[Interface]\nPrivateKey = {keys[node][0]}\nListenPort = 51820\n[Peer]\nPublicKey = {keys[other][1]}\n"
                            f"Endpoint = {endpoint}:51820\nAllowedIPs = {far}\n")
            self.lab.run(node, "wg", "setconf", device, conf)
            self.lab.ip(node, f"link set {device} mtu 1420 up")
            self.lab.ip(node, f"route add {far} dev {device}")

    def make_keys(self):
        private = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
        return private.strip(), subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True,
                                               check=True).stdout.strip()

    def pids(self):
        return [self.processes["site"].pid], [self.processes["gw"].pid]


# ---- the network ----

def build_network(lab):
    for node in ("client", "site", "gw", "server"):
        lab.add_node(node, router=node in ("site", "gw"))
    lab.link("client", "eth0", ["10.0.0.2/24"], "site", "lan", ["10.0.0.1/24"])
    lab.link("site", "wan", [f"{SITE}/24"], "gw", "wan", [f"{GW}/24"])
    lab.link("gw", "lan", ["10.0.1.1/24"], "server", "eth0", ["10.0.1.2/24"])
    lab.ip("client", "route add default via 10.0.0.1")
    lab.ip("server", "route add default via 10.0.1.1")
    lab.ip("site", f"route add default via {GW}")
    lab.ip("gw", f"addr add {ANYCAST4}/32 dev lo")


def set_plain(lab, plain):
    """Links like a device without segmentation: superpackets are cut before it and merged behind it. Else they pass whole."""
    off, on = ("off", "on") if plain else ("on", "off")
    for node, device in LINKS:
        lab.run(node, "ethtool", "-K", device, "tso", off, "tx-udp-segmentation", off, "gro", on)


# ---- measuring ----

class Bench:
    def __init__(self, lab, results, systems):
        self.lab, self.results = lab, results
        self.run_number = 0
        self.rates = {}  # packets a second, by (system, size): where the search begins
        lab.spawn("server", "iperf3", "-s", log="iperf3.log")
        self.sinks = {system: lab.spawn("server", FLOW, "sink", system.server, FLOW_PORT, log=f"sink-{system.number}.log")
                      for system in systems}
        time.sleep(0.3)

    def tcp(self, system, streams):
        """(Gbit/s, CPU seconds a Gbit of the sealing end, of the opening end)"""
        seal, open_ = system.pids()
        before = cpu_seconds(seal), cpu_seconds(open_)
        done = self.lab.run("client", "iperf3", "-c", system.server, "-B", system.client, "-J", "-t", SECONDS_TCP, "-P", streams,
                            check=False, timeout=SECONDS_TCP + 30)
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise LabError(f"{system.name}: iperf3: {answer['error']}")
        got = answer["end"]["sum_received"]
        gbit = got["bytes"] * 8 / 1e9
        return got["bits_per_second"] / 1e9, (cpu_seconds(seal) - before[0]) / gbit, (cpu_seconds(open_) - before[1]) / gbit

    def udp_once(self, system, size, rate):
        """Sends for a moment: (packets a second that were sent, that came)"""
        self.run_number += 1
        done = self.lab.run("client", FLOW, "send", system.client, system.server, FLOW_PORT, size, int(rate), SECONDS_UDP, self.run_number)
        sent = json.loads(done.stdout)
        marker = f'"run": {self.run_number},'
        line = wait_until(lambda: next((text for text in reversed(self.sinks[system].log_tail(3).splitlines()) if marker in text), None), 2)
        came = json.loads(line)["received"] if line else 0
        return sent["sent"] / sent["seconds"], came / sent["seconds"]

    def udp(self, system, size):
        """The highest rate that lost no more than LOSS, in Mbit/s of payload."""
        known = (system.number, size) in self.rates
        rate, step = self.rates.get((system.number, size), 20000), STEP if known else 2
        best, bound, low = 0, None, 0
        for _ in range(14 if not known else 7):
            sent, came = self.udp_once(system, size, rate)
            good = came >= sent * (1 - LOSS)
            if good:
                best, low = max(best, came), max(low, rate)
                if sent < rate * 0.9:  # the sender's own limit
                    break
            else:
                bound = min(bound or rate, rate)
            if (bound and low and bound / low < STEP * 1.01) or (bound and bound < RATE_MIN):
                break
            rate = (low * bound) ** 0.5 if bound and low and not known else low * step if good else rate / step
        self.rates[(system.number, size)] = max(low, 1000)
        return best * size * 8 / 1e6 if best else None

    def round_trip(self, system):
        done = self.lab.run("client", FLOW, "rtt", system.client, system.server, FLOW_PORT, ROUND_TRIPS, ROUND_TRIP_EVERY_US)
        return json.loads(done.stdout)["median_us"]


def measure_tcp(bench, systems, cbc, strong):
    note, streams = bench.results.note, {}
    raw = {row["name"]: row["median"] for row in read_rows(bench.results.path) if row["name"].startswith("esp.raw.")}
    for system in systems:
        streams[system.name], seal, open_ = bench.tcp(system, 1)
        note("esp.tcp1.aes128gcm16", "Gbit/s", system.name, streams[system.name])
        if system.pids()[0]:
            note("esp.seal_gbit_per_cpu_s", "Gbit/s", system.name, 1 / seal)
            note("esp.open_gbit_per_cpu_s", "Gbit/s", system.name, 1 / open_)
            note("esp.cpu_s_per_gbit", "s", system.name, seal + open_)
    for way in ("seal", "open"):
        if f"esp.raw.{way}1400" in raw:
            note(f"esp.{way}_gbit_per_cpu_s", "Gbit/s", "raw", 1400 * 8 / raw[f"esp.raw.{way}1400"])
    for system in systems:
        note("esp.tcp8.aes128gcm16", "Gbit/s", system.name, bench.tcp(system, 8)[0])
    for name in ("esp.tcp1.aes256-sha256", "esp.tcp1.aes256gcm16"):
        note(name, "Gbit/s", "veth", streams["veth"])
    note("esp.tcp1.aes256gcm16", "Gbit/s", OURS, bench.tcp(strong, 1)[0])
    for system in cbc:
        note("esp.tcp1.aes256-sha256", "Gbit/s", system.name, bench.tcp(system, 1)[0])


def measure_round(bench, systems, cbc, strong):
    note = bench.results.note
    measure_tcp(bench, systems, cbc, strong)
    set_plain(bench.lab, True)
    for system in systems:
        note("esp.plain_nic.tcp1.aes128gcm16", "Gbit/s", system.name, bench.tcp(system, 1)[0])
    set_plain(bench.lab, False)
    for size in SIZES:
        for system in systems:
            note(f"esp.udp{size}.aes128gcm16", "Mbit/s", system.name, bench.udp(system, size))
    trips = {system.name: bench.round_trip(system) for system in systems}
    for name, value in trips.items():
        note("esp.rtt_us", "us", name, value)
        if name != "veth":
            note("esp.rtt_added_us", "us", name, value - trips["veth"])


def run(path, runs):
    results = Results(path)
    with Lab(f"e{time.monotonic_ns() % 100000}") as lab:
        build_network(lab)
        swan = Strongswan(lab, 2)
        daemons = Daemons(lab, {1: "aes256gcm16", 5: "aes128gcm16", 6: "aes256-sha256"})
        systems = [Veth(lab, 0), Onramp(lab, 5, daemons), swan, Wireguard(lab, 4)]
        cbc = [Onramp(lab, 6, daemons), StrongswanCbc(lab, 3, swan)]
        strong = Onramp(lab, 1, daemons)
        bench = Bench(lab, results, systems)
        for number in range(runs):
            print(f"data plane, round {number + 1} of {runs}", flush=True)
            measure_round(bench, systems, cbc, strong)
    results.print_table()
    results.write()
