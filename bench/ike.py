"""Handshakes through onrampd as the responder, beside strongSwan with its openssl plugin first.

    site (strongSwan, 2 x COUNT connections) ==== gw (the responder)

The initiator is strongSwan for both, on the same cores: it bounds the rate, so the CPU time of all the responder's processes
is what counts. In each round each responder is a fresh one; the first COUNT tunnels come up with MODP-2048 and warm it, the
next COUNT with ECP-384, and what its memory grows by then is what a tunnel costs. Then all of Onramp's tunnels come up at once with
MODP-2048, from `onrampd --site`, which brings them ten times as fast as strongSwan does.
"""
import pathlib
import time

from charon import Charon
from cpu import cpu_seconds
from fleet import GATEWAY_SETTINGS, PSK, all_up, create_tunnels, pids, resident_kb, sections
from lab import ANYCAST4, SITE_A, Gateway, Lab, LabError
from results import OURS, Results, Target
from site_role import Site
from vici import initiate_many, terminate_many

ROOT = pathlib.Path(__file__).resolve().parents[1]
COUNT = 500
AT_ONCE = 8
ESP = "aes128gcm16"
GROUPS = ("modp2048", "ecp384")
TARGETS = (
    Target("handshakes a core-second, MODP-2048", "ike.handshakes_per_core_s.modp2048", None, 1500, 2700),
    Target("the same, to strongSwan", "ike.handshakes_per_core_s.modp2048", "strongswan", 4, 6),
    Target("handshakes a core-second, ECP-384, to strongSwan", "ike.handshakes_per_core_s.ecp384", "strongswan", 4, 6),
    Target("bytes of memory a tunnel", "ike.bytes_per_tunnel", None, 8192, 6144, at_most=True),
)


class Strongswan:
    name = "strongswan"

    def __init__(self, lab):
        self.lab = lab
        lab.build_network()
        lab.ip("site-a", "addr add 10.1.0.1/32 dev lo")  # charon wants an address within local_ts
        self.identities = [f"c{i}.bench" for i in range(2 * COUNT)]
        self.site = Charon(lab, "site-a", SITE_A, log=0, more="threads = 48")
        self.prepare()

    def prepare(self):
        self.gateway = Charon(self.lab, "gw", ANYCAST4, log=-1,
                              more="dos_protection = no\n\tcookie_threshold = 0\n\tblock_threshold = 0\n\tthreads = 48")

    def start(self):
        self.gateway.start()
        self.gateway.configure(ANYCAST4, PSK, gateway="%any", gateway_id="%any",
                               ike=", ".join(f"aes128gcm16-prfsha256-{group}" for group in GROUPS), esp=ESP,
                               local_ts="192.168.0.0/24", remote_ts="10.1.0.0/24")

    def stop(self):
        self.gateway.stop()

    def pids(self):
        return [self.gateway.process.pid]


class Onramp(Strongswan):
    name = OURS

    def prepare(self):
        self.gateway = Gateway(self.lab, ROOT / "build" / "release", settings=GATEWAY_SETTINGS)
        self.gateway.start()
        self.gateway.create_account("bench")
        self.tunnels = create_tunnels(self.gateway, 0, 2 * COUNT)
        self.identities = [tunnel["remote_identities"]["fqdn_id"] for tunnel in self.tunnels]
        self.gateway.stop()

    def start(self):
        self.gateway.start()

    def pids(self):
        return pids(self.gateway)


def start_site(system):
    connections, secrets = [], []
    for i, identity in enumerate(system.identities):
        connections.append(f"""c{i} {{
	version = 2
	local_addrs = {SITE_A}
	remote_addrs = {ANYCAST4}
	proposals = aes128gcm16-prfsha256-{GROUPS[i // COUNT]}
	mobike = no
	local {{ auth = psk
		id = "{identity}" }}
	remote {{ auth = psk
		id = "{ANYCAST4}" }}
	children {{ net{i} {{ local_ts = 10.1.0.0/24
		remote_ts = 192.168.0.0/24
		esp_proposals = {ESP} }} }}
}}""")
        secrets.append(f'ike-{i} {{ id-1 = "{identity}"\n secret = "{PSK}" }}')
    system.site.start()
    (system.site.directory / "swanctl" / "swanctl.conf").write_text(
        "connections {\n" + "\n".join(connections) + "\n}\nsecrets {\n" + "\n".join(secrets) + "\n}\n")
    system.site.load()


def bring_up(system, first):
    """COUNT tunnels; the responder's CPU seconds for all."""
    before = cpu_seconds(system.pids())
    done, failed, _ = initiate_many(str(system.site.socket), COUNT, AT_ONCE, first)
    if failed:
        raise LabError(f"{system.name}: {failed} of {COUNT} handshakes failed")
    return cpu_seconds(system.pids()) - before


def measure(system, results):
    system.start()
    start_site(system)
    for number, group in enumerate(GROUPS):
        time.sleep(1)
        memory = resident_kb(system.pids())
        results.note(f"ike.handshakes_per_core_s.{group}", "1/s", system.name, COUNT / bring_up(system, number * COUNT))
    time.sleep(1)
    results.note("ike.bytes_per_tunnel", "B", system.name, (resident_kb(system.pids()) - memory) * 1024 / COUNT)
    terminate_many(str(system.site.socket), len(system.identities), AT_ONCE)
    system.site.stop()
    system.stop()


def measure_rush(system, results):
    tunnels = sections(system.tunnels, 0, system.lab.directory, ike_algorithms=f"aes128gcm16-prfsha256-{GROUPS[0]}")
    site = Site(system.lab, "site-a", tunnels, name="rush", build=ROOT / "build" / "release", settings={"log_level": "warn"})
    system.start()
    time.sleep(1)
    before = cpu_seconds(system.pids())
    site.start(60)
    if not all_up(site, len(tunnels), 60):
        raise LabError(f"not all of the {len(tunnels)} tunnels came up")
    results.note(f"ike.rush_per_core_s.{GROUPS[0]}", "1/s", system.name, len(tunnels) / (cpu_seconds(system.pids()) - before))
    site.stop()
    system.stop()


def run(path, runs):
    results = Results(path)
    with Lab() as pair, Lab(f"{pair.name}o") as ours:
        systems = [Strongswan(pair), Onramp(ours)]
        for number in range(runs):
            print(f"handshakes, round {number + 1} of {runs}", flush=True)
            for system in systems:
                measure(system, results)
            measure_rush(systems[-1], results)
    results.print_table()
    results.write()
