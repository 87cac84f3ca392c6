#!/usr/bin/python3
"""What a host lacks or somebody got wrong: the daemon says which key or file it is and what to do, and harms nothing."""
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "netns"))
from checks import Checks, check
from lab import ANYCAST4, ANYCAST6, PYTHON, Gateway, Lab, wait_until

FULL = """import sys
with open(sys.argv[1], "wb", buffering=0) as f:
    try:
        while True: f.write(b"x" * 65536)
    except OSError as e: print(e)
"""


def daemon(gateway, *options, before=()):
    """Runs onrampd to its end, which must come: its status and what it said."""
    done = gateway.lab.run(gateway.node, "timeout", "-s", "KILL", 30, *before, gateway.build / "src/bin/onrampd", "-c", gateway.conf, *options, check=False)
    return done.returncode, done.stdout + done.stderr


def refused(gateway, *words, options=("--check",), before=()):
    status, said = daemon(gateway, *options, before=before)
    check(status == 1 and all(word in said for word in words), f"status {status}, wanted {words}:\n{said}")


def make_pair(directory, name, days=100):
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-days", str(days), "-subj", "/CN=127.0.0.1"], check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


def files(checks, gateway):
    (cert, key), (_, other) = make_pair(gateway.directory, "api"), make_pair(gateway.directory, "other")
    soon, soon_key = make_pair(gateway.directory, "soon", 3)

    def configure(cert, key):
        gateway.write_conf({"api": {"api_listen": "127.0.0.1:8443", "api_tls_cert": cert, "api_tls_key": key}})
    with checks.case("--check reads the files that the configuration names"):
        configure(cert, key)
        status, said = daemon(gateway, "--check")
        check(status == 0 and "good" in said, said)
        configure(gateway.directory / "no.pem", key)
        refused(gateway, "api_tls_cert", "no.pem: No such file")
        configure(cert, other)
        refused(gateway, "[api]", str(other), "not that of the certificate")
        configure(key, key)
        refused(gateway, "not in PEM")
        key.chmod(0o644)
        configure(cert, key)
        refused(gateway, "api_tls_key", "chmod 0600")
        key.chmod(0o600)
        configure(soon, soon_key)
        status, said = daemon(gateway, "--check")
        check(status == 0 and "ends in" in said and "renew" in said, said)
    with checks.case("what --check refuses does not start either"):
        configure(cert, other)
        refused(gateway, "not that of the certificate", options=())
    with checks.case("a sealing key that others may read, or that is none"):
        gateway.write_conf({})
        seal = gateway.directory / "seal.key"
        seal.write_text("no key\n")
        seal.chmod(0o600)
        refused(gateway, "seal_key", str(seal), "64 hex digits")
        seal.write_text("0" * 64 + "\n")
        seal.chmod(0o640)
        refused(gateway, "seal_key", "chmod 0600")
        seal.unlink()
        status, said = daemon(gateway, "--check")
        check(status == 0 and not seal.exists(), f"--check has made a key: {said}")


def start(checks, lab, gateway):
    with checks.case("somebody else has the API's port"):
        with_port = lab.spawn("gw", PYTHON, lab.directory / "listen.py", log="listen.log")
        check(wait_until(lambda: ":8080" in lab.run("gw", "ss", "-Hltn").stdout, 10), with_port.log_tail())
        refused(gateway, "api_listen = 127.0.0.1:8080", "ss -ltnp", options=())
        with_port.stop()
    with checks.case("the gateway's addresses come after the daemon, as where a BGP speaker sets them when it is ready"):
        gateway.start()
        check(gateway.status()["gateway"] == "up", gateway.process.log_tail())
        for address, length in ((ANYCAST4, 32), (ANYCAST6, 128)):
            lab.ip("gw", f"addr add {address}/{length} dev lo")
        gateway.stop()
    with checks.case("not root"):
        refused(gateway, "as root", options=(), before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    with checks.case("the service manager is told when it serves, and when it stops"):
        path = lab.directory / "notify"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(str(path))
        listener.settimeout(20)
        gateway.env = {"NOTIFY_SOCKET": str(path)}
        gateway.start()
        check(listener.recv(100) == b"READY=1", "not ready")
        gateway.stop()
        check(listener.recv(100) == b"STOPPING=1", "not stopping")
        gateway.env = None


def running(checks, lab, gateway):
    gateway.start()
    gateway.create_account("mistakes")
    with checks.case("a second daemon with the same run_dir ends, and leaves the first one its socket"):
        gateway.write_conf({"api": {"api_listen": "127.0.0.1:9090"}})
        refused(gateway, "runs already", str(gateway.directory / "run"), options=())
        gateway.write_conf({})
        check(gateway.status()["gateway"] == "up", "the administrator's socket is gone")
    with checks.case("a namespace that is not there"):
        gateway.cli("account", "create", "lost", "--netns", "no-such-namespace")
        check(wait_until(lambda: "ip netns add" in gateway.process.log_tail(), 10), gateway.process.log_tail())
        lines = [line for line in gateway.process.log_tail().splitlines() if "no-such-namespace" in line or "has no off-ramp" in line]
        check(len(lines) == 1, lines)
    gateway.stop()
    with checks.case("no /dev/net/tun"):
        binary = gateway.build / "src/bin/onrampd"
        gateway.process = lab.spawn("gw", "unshare", "-m", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$0" "$@"',
                                    binary, "-c", gateway.conf, log="no-tun.log")
        gateway.wait_ready()
        check(wait_until(lambda: "modprobe tun" in gateway.process.log_tail(), 10), gateway.process.log_tail())
        gateway.stop()


def full_disk(checks, lab, gateway):
    """The store on a small disk of its own, in a mount namespace that the daemon and those who fill it share."""
    gateway.write_conf({"node": {"state_dir": "/mnt/state"}})
    binary = gateway.build / "src/bin/onrampd"
    gateway.process = lab.spawn("gw", "unshare", "-m", "--propagation", "private", "sh", "-c",
                                'mount -t tmpfs -o size=2m none /mnt && mkdir -m 711 /mnt/state && exec "$0" "$@"', binary, "-c", gateway.conf, log="full.log")
    gateway.wait_ready()
    gateway.create_account("full")
    gateway.create_tunnel("before", "10.252.0.0/31")
    inside = ("nsenter", "-m", "-t", gateway.process.pid)
    with checks.case("a full disk: changes are refused with the reason, the rest goes on, and afterwards all is as before"):
        lab.run("gw", *inside, PYTHON, "-c", FULL, "/mnt/fill")
        status, answer, said = 200, None, []
        for i in range(1, 60):  # what the database has room for is still taken
            status, answer = gateway.curl("POST", f"/accounts/{gateway.account['id']}/magic/ipsec_tunnels", {
                "name": f"t{i}", "cloudflare_endpoint": ANYCAST4, "interface_address": f"10.252.{i}.0/31", "description": "x" * 1000}, check=False)
            if status != 200:
                break
        check(status >= 500 and answer["errors"] and not answer["success"], (status, answer))
        said = gateway.process.log_tail()
        check("full" in said or "No space" in said, said)
        count = len(gateway.call("GET", "/ipsec_tunnels")["ipsec_tunnels"])
        check(count == i, f"{count} tunnels after {i - 1} good creations")
        lab.run("gw", *inside, "rm", "/mnt/fill")
        check(wait_until(lambda: gateway.curl("POST", f"/accounts/{gateway.account['id']}/magic/ipsec_tunnels", {
            "name": "after", "cloudflare_endpoint": ANYCAST4, "interface_address": "10.253.0.0/31"}, check=False)[0] == 200, 10), "still refused")
        check(gateway.process.alive() and gateway.status()["gateway"] == "up", gateway.process.log_tail())
    gateway.stop()


def main():
    with Lab() as lab:
        lab.add_node("gw")
        (lab.directory / "listen.py").write_text("import socket, time\ns = socket.create_server(('127.0.0.1', 8080))\ntime.sleep(60)\n")
        gateway = Gateway(lab)
        checks = Checks("mistakes", lab)
        files(checks, gateway)
        start(checks, lab, gateway)
        running(checks, lab, gateway)
        full_disk(checks, lab, gateway)
        checks.finish()


if __name__ == "__main__":
    main()
