"""A customer's router: OpenIKED's iked in a namespace of the lab, over IPsec of tests/kernel."""
import re

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ipsec_kernel import PEERS, IpsecKernel
from lab import ANYCAST4, LabError, wait_until

SBIN = PEERS / "openiked" / "usr" / "sbin"

CONF = """{options}
ikev2 "onramp" active esp \\
	from {local_ts} to {remote_ts} \\
	local {local} peer {gateway} \\
	{ike} \\
	{esp} \\
	srcid {identity} dstid {gateway_id} \\
	{lifetimes} \\
	psk "{psk}"
"""


class Iked:
    def __init__(self, lab, node, local, routes=("192.168.0.0/24",)):
        self.lab, self.node, self.local, self.routes = lab, node, local, routes
        self.directory = lab.directory / f"iked-{node}"
        self.etc = self.directory / "etc" / "iked"
        for folder in ("private", "pubkeys", "certs", "ca", "crls"):
            (self.etc / folder).mkdir(parents=True, exist_ok=True)
        # It does not start without one, whatever it authenticates by.
        (self.etc / "private" / "local.key").write_bytes(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.conf, self.socket = self.directory / "iked.conf", self.directory / "iked.sock"
        self.conf.touch(mode=0o600)  # it reads no other
        self.kernel = IpsecKernel(lab, node)
        self.process, self.runs = None, 0

    def configure(self, identity, psk, gateway=ANYCAST4, gateway_id=None, local_ts="0.0.0.0/0", remote_ts="0.0.0.0/0",
                  ike="enc aes-256-gcm prf hmac-sha2-512 group modp2048", esp="enc aes-256 auth hmac-sha1 group modp2048",
                  options="set nomobike", lifetimes="ikelifetime 8h lifetime 1h"):
        self.write(CONF.format(
            identity=identity, psk=psk, gateway=gateway, gateway_id=gateway_id or gateway, local=self.local, local_ts=local_ts,
            remote_ts=remote_ts, ike=f"ikesa {ike}" if ike else "", esp=f"childsa {esp}", options=options, lifetimes=lifetimes))

    def write(self, text):
        self.conf.write_text(text)

    def start(self, *options, timeout=20):
        """It starts the tunnel by itself."""
        if not self.kernel.process:
            self.kernel.start(*self.routes)
        self.socket.unlink(missing_ok=True)
        self.runs += 1
        self.process = self.lab.spawn(self.node, *self.kernel.words(self.directory), SBIN / "iked", "-d", "-v",
                                      "-f", self.conf, "-s", self.socket, *options, log=f"iked-{self.node}-{self.runs}.log")
        if not wait_until(self.socket.exists, timeout):
            raise LabError(f"iked of {self.node} does not start:\n{self.process.log_tail()}")

    def stop(self):
        """Its IKE SAs end with a Delete."""
        self.process.stop()

    def ikectl(self, *words):
        return self.lab.run(self.node, SBIN / "ikectl", "-s", self.socket, *words, check=False).stdout

    def ike_spis(self):
        """The responder's, of the IKE SAs that are established."""
        return re.findall(r"^iked_sas: .* rspi (0x[0-9a-f]+) .* ESTABLISHED", self.ikectl("show", "sa"), re.MULTILINE)

    def child_spis(self):
        """Of the inbound SAs."""
        return [sa["spi"] for sa in self.kernel.sas(dst=self.local)]

    def log(self):
        with open(self.process.log, errors="replace") as text:
            return text.read()
