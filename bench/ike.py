"""Handshakes through onrampd as the responder, beside strongSwan. The initiator is strongSwan for both, on the same cores: it
bounds the rate, so the responder's CPU a handshake is the figure to compare."""
import pathlib

from charon import Charon
from cpu import cpu_seconds
from lab import ANYCAST4, HQ, SITE_A, Gateway, Lab, LabError
from results import Results
from vici import initiate_many

ROOT = pathlib.Path(__file__).resolve().parents[1]
HANDSHAKES = 200
LAN = "10.1.0.1"
IKE, ESP = "aes128gcm16-prfsha256-modp2048", "aes128gcm16"
TARGETS = ()


class Pair:
    """The gateway is another strongSwan."""
    name = "strongswan"

    def __init__(self, lab):
        self.lab = lab
        lab.build_network()
        lab.ip("site-a", f"addr add {LAN}/32 dev lo")
        self.start_gateway()
        self.site = Charon(lab, "site-a", SITE_A, log=0, more="threads = 48")
        self.site.start()
        self.connect()

    def start_gateway(self):
        self.gateway = Charon(self.lab, "gw", ANYCAST4, log=0, more="dos_protection = no\n\tcookie_threshold = 0\n\tthreads = 48")
        self.gateway.start()
        self.gateway.configure(ANYCAST4, "bench secret", gateway="%any", gateway_id="%any", ike=IKE, esp=ESP,
                               local_ts="192.168.0.0/24", remote_ts="10.1.0.0/24")
        self.first = ("site-a.bench", "bench secret")

    def connect(self):
        self.site.configure(*self.first, ike=IKE, esp=ESP)
        if not self.site.initiate() or not self.lab.ping_until("site-a", LAN, HQ):
            raise LabError(f"{self.name}: not up: {self.site.said}")

    def pids(self):
        return [self.gateway.process.pid]

    def identities(self):
        return [(f"c{i}.bench", "bench secret") for i in range(HANDSHAKES)]


class Onramp(Pair):
    name = "onramp"

    def start_gateway(self):
        self.gateway = Gateway(self.lab, ROOT / "build" / "release", settings={
            "gateway": {"half_open_per_address": 1000, "cookie_threshold": 1000}})
        self.gateway.start()
        self.gateway.create_account("bench")
        tunnel = self.gateway.create_tunnel("a", "10.252.0.2/31")
        self.gateway.create_route("10.1.0.0/24", "10.252.0.3")
        self.first = (tunnel["remote_identities"]["fqdn_id"], self.gateway.generate_psk(tunnel))
        self.made = []

    def pids(self):
        return [self.gateway.process.pid, *self.gateway.children().values()]

    def identities(self):
        for i in range(len(self.made), HANDSHAKES):
            tunnel = self.gateway.create_tunnel(f"c{i}", f"10.253.{i // 128}.{i % 128 * 2}/31", psk="bench secret of onramp")
            self.made.append((tunnel["remote_identities"]["fqdn_id"], "bench secret of onramp"))
        return self.made


def write_connections(site, identities):
    conf = ["connections {"]
    for i, (identity, _) in enumerate(identities):
        conf.append(f"""c{i} {{
	version = 2
	local_addrs = {SITE_A}
	remote_addrs = {ANYCAST4}
	proposals = {IKE}
	mobike = no
	local {{ auth = psk
		id = "{identity}" }}
	remote {{ auth = psk
		id = "{ANYCAST4}" }}
	children {{ net{i} {{ local_ts = 10.1.0.0/24
		remote_ts = 192.168.0.0/24
		esp_proposals = {ESP} }} }}
}}""")
    conf.append("}\nsecrets {")
    for i, (identity, psk) in enumerate(identities):
        conf.append(f'ike-{i} {{ id-1 = "{identity}"\n secret = "{psk}" }}')
    conf.append("}")
    (site.directory / "swanctl" / "swanctl.conf").write_text("\n".join(conf))
    site.load()


def handshakes(system):
    """(handshakes a second, the responder's CPU in ms for one)"""
    identities = system.identities()
    system.site.terminate()
    write_connections(system.site, identities)
    before = cpu_seconds(system.pids())
    done, failed, seconds = initiate_many(str(system.site.socket), len(identities), 8)
    used = cpu_seconds(system.pids()) - before
    if failed:
        raise LabError(f"{system.name}: {failed} of {len(identities)} handshakes failed")
    system.site.process.kill()
    system.site.start()
    system.connect()
    return done / seconds, used * 1000 / done


def run(path, runs):
    results = Results(path)
    with Lab() as pair, Lab(f"{pair.name}o") as ours:
        systems = [Pair(pair), Onramp(ours)]
        for number in range(runs):
            print(f"handshakes, round {number + 1} of {runs}", flush=True)
            for system in systems:
                rate, cpu = handshakes(system)
                results.note("ike.handshakes_8", "1/s", system.name, rate)
                results.note("ike.responder_cpu", "ms", system.name, cpu)
    results.print_table()
    results.write()
