"""A private etcd of one or three members with TLS, inside a namespace of its own: for the tests of this folder."""
import base64
import contextlib
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))
from lab import LabError, wait_until  # noqa: E402


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def make_certificates(directory, addresses):
    """An authority, a certificate for the members at these addresses, and one for clients; and another authority."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "other-ca"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", f"/CN=test {name}", "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.pem")
    names = ",".join(f"IP:{a}" for a in addresses)
    for name, extension in (("member", f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth"),
                            ("client", "extendedKeyUsage=clientAuth")):
        (directory / f"{name}.ext").write_text(extension)
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-subj", f"/CN={name}", "-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.csr")
        openssl("x509", "-req", "-in", f"{directory}/{name}.csr", "-CA", f"{directory}/ca.pem",
                "-CAkey", f"{directory}/ca.key", "-CAcreateserial", "-days", "2", "-extfile",
                f"{directory}/{name}.ext", "-out", f"{directory}/{name}.pem")


class Etcd:
    """Members in the namespace of `node`, which the lab has; each listens on addresses[i]:2379. Their certificate is
    good for 127.0.0.9 as well, where a test may put itself in between."""

    def __init__(self, lab, node, addresses=("127.0.0.1",), name="etcd", more=()):
        self.lab, self.node, self.addresses, self.name, self.more = lab, node, list(addresses), name, more
        self.tls = lab.directory / f"{name}-tls"
        self.members = []
        make_certificates(self.tls, [*self.addresses, "127.0.0.9"])
        for i in range(len(self.addresses)):
            self.members.append(self.spawn(i))
        if not wait_until(lambda: self.healthy(len(self.addresses)), 20, 0.1):
            raise LabError("etcd does not come up:\n" + self.members[0].log_tail())

    def spawn(self, i):
        a, tls = self.addresses[i], self.tls
        cluster = ",".join(f"m{n}=https://{b}:2380" for n, b in enumerate(self.addresses))
        return self.lab.spawn(
            self.node, "etcd", "--name", f"m{i}", "--data-dir", self.lab.directory / f"{self.name}-m{i}",
            "--listen-client-urls", f"https://{a}:2379", "--advertise-client-urls", f"https://{a}:2379",
            "--listen-peer-urls", f"https://{a}:2380", "--initial-advertise-peer-urls", f"https://{a}:2380",
            "--initial-cluster", cluster, "--initial-cluster-state", "new", "--initial-cluster-token", self.name,
            "--client-cert-auth", "--trusted-ca-file", tls / "ca.pem", "--cert-file", tls / "member.pem",
            "--key-file", tls / "member.key", "--peer-client-cert-auth", "--peer-trusted-ca-file", tls / "ca.pem",
            "--peer-cert-file", tls / "member.pem", "--peer-key-file", tls / "member.key",
            "--logger", "zap", "--log-level", "warn", *self.more, log=f"{self.name}-m{i}.log")

    def ask(self, i, path, body=None):
        """Member i's JSON gateway, for what only the tests ask."""
        done = self.lab.run(
            self.node, "curl", "-s", "-m", "3", "--cacert", self.tls / "ca.pem", "--cert", self.tls / "client.pem",
            "--key", self.tls / "client.key", "-d", json.dumps(body or {}), f"https://{self.addresses[i]}:2379{path}",
            check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else {}

    def status(self, i):
        return self.ask(i, "/v3/maintenance/status")

    def healthy(self, cnt):
        return sum("leader" in self.status(i) for i in range(len(self.addresses))) == cnt

    def leader(self):
        """The index of the member that leads."""
        for i, member in enumerate(self.members):
            status = self.status(i) if member.alive() else {}
            if status and status["leader"] == status["header"]["member_id"]:
                return i
        raise LabError("no member of etcd leads")

    def environment(self, first=0):
        """For the test programs: the endpoints, beginning with one, and the pids in the same order."""
        order = [(first + i) % len(self.addresses) for i in range(len(self.addresses))]
        return {"ONRAMP_ETCD": " ".join(f"{self.addresses[i]}:2379" for i in order),
                "ONRAMP_ETCD_PIDS": " ".join(str(self.members[i].pid) for i in order),
                "ONRAMP_ETCD_TLS": str(self.tls)}

    def allow_only(self, prefix):
        """From now on the client, by the CN of its certificate, may read and write keys with this prefix alone."""
        def text(b):
            return base64.b64encode(b).decode()
        end = prefix.encode()[:-1] + bytes([prefix.encode()[-1] + 1])
        for path, body in (
                ("role/add", {"name": "root"}), ("role/add", {"name": "gateway"}),
                ("role/grant", {"name": "gateway", "perm": {"permType": "READWRITE", "key": text(prefix.encode()),
                                                            "range_end": text(end)}}),
                ("user/add", {"name": "root", "password": "only for this test"}), ("user/grant", {"user": "root", "role": "root"}),
                ("user/add", {"name": "client", "options": {"no_password": True}}),
                ("user/grant", {"user": "client", "role": "gateway"}), ("enable", {})):
            if "header" not in self.ask(0, f"/v3/auth/{path}", body):
                raise LabError(f"etcd refused {path}")

    def kill(self, i):
        self.members[i].kill()

    def freeze(self, i):
        self.members[i].popen.send_signal(signal.SIGSTOP)

    def thaw(self, i):
        self.members[i].popen.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self):
        """All of them, meanwhile."""
        for i in range(len(self.members)):
            self.freeze(i)
        try:
            yield
        finally:
            for i in range(len(self.members)):
                self.thaw(i)

    def count(self, prefix):
        """How many keys of the gateways' store begin like that."""
        def text(b):
            return base64.b64encode(b).decode()
        start = b"onramp/kv/" + prefix.encode()
        for i in range(len(self.members)):
            answer = self.ask(i, "/v3/kv/range", {"key": text(start), "range_end": text(start[:-1] + bytes([start[-1] + 1])),
                                                  "count_only": True})
            if "header" in answer:
                return int(answer.get("count", 0))
        raise LabError("no member of etcd answers")

    def restart(self, i):
        self.members[i] = self.spawn(i)
        if not wait_until(lambda: self.healthy(len(self.addresses)), 20, 0.1):
            raise LabError("etcd does not come back:\n" + self.members[i].log_tail())
