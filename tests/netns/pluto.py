"""A customer's router: libreswan's pluto in a namespace of the lab, over IPsec of tests/kernel."""
import re

from ipsec_kernel import PEERS, IpsecKernel
from lab import ANYCAST4, LabError, wait_until

LIBEXEC = PEERS / "libreswan" / "usr" / "libexec" / "ipsec"

# What the tests change stands in `more`, and overrides.
CONNECTION = {"ikev2": "insist", "authby": "secret", "leftsubnet": "0.0.0.0/0", "rightsubnet": "0.0.0.0/0",
              "ike": "aes_gcm256-sha2_512-modp2048", "esp": "aes_gcm256;modp2048", "replay-window": "0", "esn": "no",
              "mobike": "no", "leftupdown": "%disabled", "retransmit-timeout": "6s", "keyingtries": "1",
              "auto": "ignore"}


class Pluto:
    def __init__(self, lab, node, local, routes=("192.168.0.0/24",)):
        self.lab, self.node, self.local, self.routes = lab, node, local, routes
        self.directory = lab.directory / f"pluto-{node}"
        (self.directory / "nss").mkdir(parents=True, exist_ok=True)
        self.conf, self.secrets = self.directory / "ipsec.conf", self.directory / "ipsec.secrets"
        self.kernel = IpsecKernel(lab, node)
        self.process, self.said = None, ""
        self.secrets.touch(mode=0o600)
        self.conf.write_text("config setup\n")
        lab.run(node, "certutil", "-N", "-d", f"sql:{self.directory}/nss", "--empty-password")

    def start(self, timeout=20):
        if not self.kernel.process:
            self.kernel.start(*self.routes)
        (self.directory / "pluto.ctl").unlink(missing_ok=True)
        (self.directory / "pluto.pid").unlink(missing_ok=True)
        self.process = self.lab.spawn(
            self.node, *self.kernel.words(PEERS / "libreswan"), LIBEXEC / "pluto", "--nofork", "--stderrlog", "--config", self.conf,
            "--rundir", self.directory, "--nssdir", self.directory / "nss", "--secretsfile", self.secrets, "--ipsecdir",
            self.directory, "--no-dnssec", "--log-no-audit", log=f"pluto-{self.node}.log")
        if not wait_until(lambda: self.whack("--status").returncode == 0, timeout):
            raise LabError(f"pluto of {self.node} does not start:\n{self.process.log_tail()}")
        self.whack("--listen")

    def stop(self):
        self.process.stop()

    def command(self, name, *words, timeout=30):
        return self.lab.run(self.node, "timeout", timeout, LIBEXEC / name, "--ctlsocket", self.directory / "pluto.ctl",
                            *words, check=False, timeout=timeout + 10)

    def whack(self, *words, timeout=30):
        return self.command("whack", *words, timeout=timeout)

    def configure(self, identity, psk, gateway=ANYCAST4, gateway_id=None, name="onramp", **more):
        """Writes the connection and its secret, and loads both. A _ in the name of a setting stands for a -."""
        gateway_id = gateway_id or gateway
        settings = {**CONNECTION, "left": self.local, "leftid": identity, "right": gateway, "rightid": gateway_id,
                    **{key.replace("_", "-"): value for key, value in more.items()}}
        self.secrets.write_text(f'{identity} {gateway_id} : PSK "{psk}"\n')
        self.conf.write_text("config setup\n\n" + f"conn {name}\n" +
                             "".join(f"\t{key}={value}\n" for key, value in settings.items() if value != ""))
        self.whack("--rereadsecrets")
        done = self.command("addconn", "--config", self.conf, name)
        if done.returncode != 0 or "error" in done.stdout + done.stderr:
            raise LabError(f"addconn: {done.stdout}{done.stderr}")

    def initiate(self, name="onramp", timeout=15):
        """True when the Child SA is up; pluto's own words are in self.said."""
        done = self.whack("--name", name, "--initiate", timeout=timeout)
        self.said = done.stdout + done.stderr
        return done.returncode == 0 and "established Child SA" in self.said

    def terminate(self, name="onramp"):
        """With a Delete."""
        return self.whack("--name", name, "--terminate")

    def delete(self, name="onramp"):
        """Also forgets the connection, which initiate() and rekey() need."""
        return self.whack("--name", name, "--delete")

    def rekey(self, ike, name="onramp"):
        """Only begins it: pluto deletes what is old a second later."""
        return self.whack("--rekey-ike" if ike else "--rekey-ipsec", "--name", name, "--asynchronous").returncode == 0

    def impair(self, *what):
        """Makes it misbehave (ipsec_whack(8), --impair); without words no longer."""
        for one in what or ("none",):
            done = self.whack("--impair", one)
            if done.returncode != 0:
                raise LabError(f"--impair {one}: {done.stdout}{done.stderr}")

    def states(self):
        return self.whack("--showstates").stdout

    def ike_numbers(self):
        """pluto's numbers of its established IKE SAs: a rekeyed one has another."""
        return re.findall(r"#(\d+): .*STATE_V2_ESTABLISHED_IKE_SA", self.states())

    def child_spis(self):
        """Of the inbound SAs."""
        return [sa["spi"] for sa in self.kernel.sas(dst=self.local)]

    def log(self):
        with open(self.process.log, errors="replace") as text:
            return text.read()
