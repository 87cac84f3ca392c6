"""A customer's router: strongSwan's charon with user-space ESP (kernel-libipsec) in a namespace of the lab.

charon-systemd needs neither systemd nor a pid file, so any number of them run side by side, each with its own
configuration and control socket. kernel-libipsec has one TUN (ipsec0) a charon, and its default route there takes all
of the namespace's traffic: one tunnel with 0.0.0.0/0 selectors a namespace. It always puts ESP into UDP.
"""
import os
import re
import socket

from lab import ANYCAST4, LabError, wait_until

PLUGINS = ("random nonce openssl aes sha1 sha2 hmac kdf gmp pem pkcs1 pkcs8 x509 pubkey constraints gcm aesni "
           "kernel-libipsec kernel-netlink socket-default vici updown counters")
FOLDERS = "x509 x509ca x509ocsp x509aa x509ac x509crl pubkey private rsa ecdsa bliss pkcs8 pkcs12".split()

# The two firewall marks keep charon's own packets out of ipsec0 although the selectors are 0.0.0.0/0.
STRONGSWAN_CONF = """charon {{
	load = {plugins}
	install_routes = no
	install_virtual_ip = no
	retransmit_tries = {tries}
	retransmit_timeout = {retransmit}
	retransmit_base = 1.4
	half_open_timeout = 10
	piddir = {directory}/run
	{more}
	plugins {{
		vici {{ socket = unix://{directory}/run/charon.vici }}
		kernel-netlink {{ fwmark = !0x42 }}
		socket-default {{ fwmark = 0x42 }}
		kernel-libipsec {{ load = yes
			allow_peer_ts = yes }}
	}}
	filelog {{ log {{ path = {directory}/log
		default = 1
		ike = {log}
		cfg = 1
		{sub}
		time_format = %H:%M:%S
		flush_line = yes }} }}
}}
swanctl {{ socket = unix://{directory}/run/charon.vici
	load = random nonce aes sha1 sha2 hmac gmp openssl pem pkcs1 pkcs8 x509 pubkey }}
"""

SWANCTL_CONF = """connections {{
	onramp {{
		version = {version}
		local_addrs = {local}
		remote_addrs = {remote}
		{ports}
		proposals = {ike}
		mobike = {mobike}
		reauth_time = 0
		{more}
		local {{ auth = psk
			id = "{identity}" }}
		remote {{ auth = psk
			id = "{gateway}" }}
		children {{
			net {{
				local_ts = {local_ts}
				remote_ts = {remote_ts}
				esp_proposals = {esp}
				replay_window = 0
				{child_more}
			}}
			{more_children}
		}}
	}}
}}
secrets {{ ike-onramp {{ id-1 = "{identity}"
	id-2 = "{gateway}"
	secret = "{psk}" }} }}
"""


class Charon:
    def __init__(self, lab, node, local, name=None, log=2, tries=3, retransmit=1.0, more="", sub=""):
        self.lab, self.node, self.local = lab, node, local
        self.name = name or node
        self.directory = lab.directory / f"charon-{self.name}"
        for folder in ["run"] + [f"swanctl/{folder}" for folder in FOLDERS]:
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "strongswan.conf").write_text(STRONGSWAN_CONF.format(
            plugins=PLUGINS, directory=self.directory, log=log, tries=tries, retransmit=retransmit, more=more, sub=sub))
        self.env = {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
                    "SWANCTL_DIR": str(self.directory / "swanctl")}
        self.socket = self.directory / "run" / "charon.vici"
        self.process = None

    def start(self, timeout=20):
        self.socket.unlink(missing_ok=True)  # one that a kill left behind would look like a started charon
        self.process = self.lab.spawn(self.node, "/usr/sbin/charon-systemd", log=f"charon-{self.name}.log", env=self.env)
        if not wait_until(self.listens, timeout):
            raise LabError(f"charon of {self.name} does not start:\n{self.process.log_tail()}")

    def listens(self):
        """The socket is there before anybody listens to it."""
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect_ex(str(self.socket)) == 0

    def stop(self):
        self.process.stop()

    def swanctl(self, *words, check=True, timeout=60):
        return self.lab.run(self.node, "swanctl", *words, "--uri", f"unix://{self.socket}", check=check,
                            timeout=timeout, env={**os.environ, **self.env})

    def configure(self, identity, psk, start_port=500, ike="aes128gcm16-prfsha256-modp2048", esp="aes128gcm16",
                  gateway=ANYCAST4, gateway_id=None, version=2, mobike="no", more="", child_more="", more_children="",
                  local_ts="0.0.0.0/0", remote_ts="0.0.0.0/0"):
        """Writes swanctl.conf and loads it."""
        ports = "" if start_port == 500 else f"local_port = {start_port}\n\t\tremote_port = {start_port}"
        path = self.directory / "swanctl" / "swanctl.conf"
        path.touch(mode=0o600)
        path.write_text(SWANCTL_CONF.format(
            version=version, local=self.local, remote=gateway, ports=ports, ike=ike, esp=esp, identity=identity, psk=psk,
            gateway=gateway_id or gateway, mobike=mobike, more=more, child_more=child_more, more_children=more_children,
            local_ts=local_ts, remote_ts=remote_ts))
        self.load()

    def load(self):
        self.swanctl("--load-all", "--clear")

    def initiate(self, timeout=20, child="net"):
        """True when the Child SA is up; charon's own words are in self.said."""
        done = self.swanctl("--initiate", "--child", child, "--timeout", timeout, check=False, timeout=timeout + 10)
        self.said = done.stdout + done.stderr
        return done.returncode == 0

    def terminate(self, timeout=10):
        return self.swanctl("--terminate", "--ike", "onramp", "--timeout", timeout, check=False).returncode == 0

    def drop(self):
        """Forgets its IKE SAs without a word to the other side."""
        self.swanctl("--terminate", "--ike", "onramp", "--force", "--timeout", 1, check=False)

    def rekey_child(self):
        return self.swanctl("--rekey", "--child", "net", check=False).returncode == 0

    def rekey_ike(self):
        return self.swanctl("--rekey", "--ike", "onramp", check=False).returncode == 0

    def sas(self):
        """The list of SAs as text."""
        return self.swanctl("--list-sas", check=False).stdout

    def children(self):
        """Installed Child SAs: (inbound SPI, suite). One that was rekeyed stays in the list for 5 s, as DELETED."""
        found, suite = [], None
        for line in self.sas().splitlines():
            words = line.split()
            if "reqid" in words:
                suite = words[-1].removeprefix("ESP:") if "INSTALLED," in words else None
            elif suite and words[:1] == ["in"]:
                found.append((words[1].rstrip(","), suite))
        return found

    def child_spis(self):
        return [spi for spi, _ in self.children()]

    def ike_spis(self):
        """Of each IKE SA: (initiator's, responder's)."""
        return sorted(re.findall(r"IKEv2, ([0-9a-f]{16})_i\*? ([0-9a-f]{16})_r", self.sas()))

    def sessions(self):
        """What changes when its tunnel is set up anew, and with a rekey of the IKE SA."""
        return self.ike_spis()

    def log(self):
        return (self.directory / "log").read_text(errors="replace")
