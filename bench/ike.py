"""Handshakes through onrampd as the responder, beside strongSwan with its openssl plugin first.

    site (onrampd --site, COUNT tunnels at once) ==== gw (the responder)

The initiator is the same for both and comes with all tunnels at once: that is when a responder's CPU counts, after a power cut or
a restart of a whole region. Initiator and responder share the cores, so what is told is the CPU time of all the responder's
processes. In each round each responder is a fresh one. The first COUNT tunnels come up with ECP-384, which takes longest, so that most wait
at once: its heap then has the room that a rush needs. The next COUNT come with MODP-2048, and what its memory grows by then is what
a tunnel costs.
"""
import pathlib
import time

from charon import Charon
from cpu import cpu_seconds
from fleet import GATEWAY_SETTINGS, PSK, all_up, create_tunnels, pids, resident_kb, sections
from lab import ANYCAST4, SITE_A, Gateway, Lab, LabError
from results import OURS, Results, Target
from site_role import Site

ROOT = pathlib.Path(__file__).resolve().parents[1]
COUNT = 1000
LIMIT_S = 90  # for COUNT tunnels
ESP = "aes128gcm16"
GROUPS = {"ecp384": SITE_A, "modp2048": "203.0.113.3"}  # each with the site's address for it
TARGETS = (
    Target("handshakes a core-second, MODP-2048", "ike.handshakes_per_core_s.modp2048", None, 1500, 2700),
    Target("the same, to strongSwan", "ike.handshakes_per_core_s.modp2048", "strongswan", 4, 6),
    Target("handshakes a core-second, ECP-384, to strongSwan", "ike.handshakes_per_core_s.ecp384", "strongswan", 4, 6),
    Target("bytes of memory a tunnel", "ike.bytes_per_tunnel", None, 8192, 6144, at_most=True),
)


def build_network(lab):
    lab.build_network()
    for address in list(GROUPS.values())[1:]:
        lab.ip("site-a", f"addr add {address}/24 dev wan")


class Strongswan:
    name = "strongswan"

    def __init__(self, lab):
        self.lab = lab
        build_network(lab)
        lab.ip("gw", "addr add 192.168.0.1/32 dev lo")  # charon wants an address within local_ts
        self.gateway = Charon(lab, "gw", ANYCAST4, log=-1,
                              more="dos_protection = no\n\tcookie_threshold = 0\n\tblock_threshold = 0\n\tthreads = 48")
        self.tunnels = [{"name": f"t{i}", "remote_identities": {"fqdn_id": f"t{i}.bench"}} for i in range(len(GROUPS) * COUNT)]

    def start(self):
        self.gateway.start()
        self.gateway.configure(ANYCAST4, PSK, gateway="%any", gateway_id="%any",
                               ike=", ".join(f"aes128gcm16-prfsha256-{group}" for group in GROUPS), esp=ESP,
                               local_ts="192.168.0.0/24", remote_ts="10.0.0.0/8")

    def pids(self):
        return [self.gateway.process.pid]


class Onramp:
    name = OURS

    def __init__(self, lab):
        self.lab = lab
        build_network(lab)
        self.gateway = Gateway(lab, ROOT / "build" / "release", settings=GATEWAY_SETTINGS)
        self.gateway.start()
        self.gateway.create_account("bench")
        self.tunnels = create_tunnels(self.gateway, 0, len(GROUPS) * COUNT)
        self.gateway.stop()

    def start(self):
        self.gateway.start()

    def pids(self):
        return pids(self.gateway)


def bring_up(system, group, first):
    """COUNT tunnels at once: their site, and the responder's CPU seconds for all."""
    tunnels = sections(system.tunnels[first:first + COUNT], first, system.lab.directory, esp_algorithms=ESP,
                       ike_algorithms=f"aes128gcm16-prfsha256-{group}", local_address=GROUPS[group])
    site = Site(system.lab, "site-a", tunnels, name=group, build=ROOT / "build" / "release", settings={"log_level": "warn"})
    before = cpu_seconds(system.pids())
    site.start(LIMIT_S)
    if not all_up(site, COUNT, LIMIT_S):
        raise LabError(f"{system.name}: not all of {COUNT} tunnels came up in {LIMIT_S} s")
    return site, cpu_seconds(system.pids()) - before


def measure(system, results):
    system.start()
    sites = []
    for number, group in enumerate(GROUPS):
        time.sleep(1)
        memory = resident_kb(system.pids())
        site, seconds = bring_up(system, group, number * COUNT)
        sites.append(site)
        results.note(f"ike.handshakes_per_core_s.{group}", "1/s", system.name, COUNT / seconds)
    time.sleep(1)
    results.note("ike.bytes_per_tunnel", "B", system.name, (resident_kb(system.pids()) - memory) * 1024 / COUNT)
    for site in sites:
        site.stop()
    system.gateway.stop()


def run(path, runs):
    results = Results(path)
    with Lab() as pair, Lab(f"{pair.name}o") as ours:
        systems = [Strongswan(pair), Onramp(ours)]
        for number in range(runs):
            print(f"handshakes, round {number + 1} of {runs}", flush=True)
            for system in systems:
                measure(system, results)
    results.print_table()
    results.write()
