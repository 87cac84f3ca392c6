"""The lab: network namespaces, an onrampd and routers in them. One implementation for the demo, the tests and the bench.

    hq ---- gw ---- inet ---- site-a          hq      servers behind the off-ramp
                      \\                       gw      onrampd, its anycast addresses on lo
                       nat ---- site-b        inet    plain router
                                              site-a  customer with a public address
                                              site-b  customer behind a NAT that changes ports

Every namespace has the lab's own name in front, so that labs can stand side by side. Everything is ended by the
process ids that the lab started, and by the list of processes inside its own namespaces.
"""
import json
import math
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ANYCAST4 = "198.51.100.1"
ANYCAST6 = "2001:db8:1::1"
HQ = "192.168.0.10"
SITE_A, SITE_A6 = "203.0.113.2", "2001:db8:a::2"
SITE_B = "10.99.0.2"
NAT = "192.0.2.2"
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable

NAT_RULES = """table ip nat {
	chain post {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade fully-random
	}
}
"""


class LabError(Exception):
    """What was tried in the lab did not happen."""


def wait_until(what, timeout, step=0.05):
    """Calls what() until it is true; its last value."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)


def ping_argv(source, target, count, interval, deadline, size=56):
    """With a deadline ping goes on until count answers have come. Without one it gives up after twice the round trip time
    of before, which on a busy machine looks like loss."""
    return ["ping", "-n", "-c", count, "-i", interval, "-w", math.ceil(deadline), "-s", size, "-I", source, target]


def pings_lost(text, count):
    """Of the first count requests, how many have no answer in what ping said."""
    answered = {int(seq) for seq in re.findall(r" bytes from .*icmp_seq=(\d+) ", text)}
    return sum(seq not in answered for seq in range(1, count + 1))


class Process:
    """A process of the lab, ended by its own id; its output goes to a log."""

    def __init__(self, argv, log, env=None):
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **(env or {})}, start_new_session=True)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def stop(self, timeout=10):
        """SIGTERM, and SIGKILL when that is not enough; the exit status."""
        if self.alive():
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait()

    def kill(self):
        self.popen.kill()
        return self.popen.wait()

    def log_tail(self, lines=40):
        text = pathlib.Path(self.log).read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])


class Lab:
    """A context manager: leaving it ends every process and namespace."""

    def __init__(self, name=None, directory=None):
        self.name = name or f"o{os.getpid()}"
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="onramp-lab."))
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)  # the gateway's own user looks up paths below it
        self.namespaces, self.processes = [], []
        self.keep = False

    def __enter__(self):
        for sig in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(sig, lambda *_: sys.exit(143))
        return self

    def __exit__(self, kind, *_):
        try:
            if kind not in (None, SystemExit, KeyboardInterrupt):
                self.show_logs()
        finally:  # nobody may be there to read the logs
            if not self.keep:
                self.close()

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        end_namespaces(self.namespaces)
        shutil.rmtree(self.directory, ignore_errors=True)

    def show_logs(self, lines=40):
        for process in self.processes:
            print(f"---- {process.log}\n{process.log_tail(lines)}", file=sys.stderr)

    # ---- namespaces ----

    def ns(self, node):
        return f"{self.name}-{node}"

    def add_node(self, node, router=False):
        self.namespaces.append(self.ns(node))  # first: the next line may be interrupted
        subprocess.run(["ip", "netns", "add", self.ns(node)], check=True)
        # Duplicate address detection would keep IPv6 sources unusable for seconds.
        settings = ["net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                    "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                    "net.ipv4.ping_group_range=0 2147483647"]
        if router:
            settings += ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]
        self.run(node, "sysctl", "-qw", *settings)
        self.ip(node, "link set lo up")

    def link(self, node_a, device_a, addresses_a, node_b, device_b, addresses_b, mtu=1500):
        subprocess.run(f"ip link add {device_a} netns {self.ns(node_a)} mtu {mtu} type veth "
                       f"peer name {device_b} netns {self.ns(node_b)} mtu {mtu}".split(), check=True)
        for node, device, addresses in ((node_a, device_a, addresses_a), (node_b, device_b, addresses_b)):
            for address in addresses:
                self.ip(node, f"addr add {address} dev {device} {'nodad' if ':' in address else ''}")
            self.ip(node, f"link set {device} up")

    def ip(self, node, words):
        subprocess.run(["ip", "-n", self.ns(node), *words.split()], check=True)

    def argv(self, node, *command):
        return ["ip", "netns", "exec", self.ns(node), *map(str, command)]

    def run(self, node, *command, check=True, timeout=60, **more):
        """Runs a command inside a namespace; the completed process, with its output as text."""
        done = subprocess.run(self.argv(node, *command), capture_output=True, text=True, timeout=timeout,
                              errors="replace", **more)
        if check and done.returncode != 0:
            raise LabError(f"{node}: {shlex.join(map(str, command))}: status {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
        return done

    def spawn(self, node, *command, log, env=None):
        process = Process(self.argv(node, *command), str(self.directory / log), env)
        self.processes.append(process)
        return process

    # ---- the network ----

    def build_network(self, mtu=1500):
        for node in ("hq", "site-a", "site-b"):
            self.add_node(node, router=node != "hq")
        for node in ("gw", "inet", "nat"):
            self.add_node(node, router=True)
        self.link("hq", "eth0", [f"{HQ}/24", "fd00:0:0:1::10/64"], "gw", "lan", ["192.168.0.1/24", "fd00:0:0:1::1/64"])
        self.link("gw", "wan", ["100.64.0.2/30", "2001:db8:ff::2/64"], "inet", "to-gw", ["100.64.0.1/30", "2001:db8:ff::1/64"], mtu)
        self.link("inet", "to-a", ["203.0.113.1/24", "2001:db8:a::1/64"], "site-a", "wan", [f"{SITE_A}/24", f"{SITE_A6}/64"], mtu)
        self.link("inet", "to-nat", ["192.0.2.1/24"], "nat", "wan", [f"{NAT}/24"], mtu)
        self.link("nat", "lan", ["10.99.0.1/24"], "site-b", "wan", [f"{SITE_B}/24"], mtu)
        for node, gateway in (("hq", "192.168.0.1"), ("gw", "100.64.0.1"), ("site-a", "203.0.113.1"),
                              ("nat", "192.0.2.1"), ("site-b", "10.99.0.1")):
            self.ip(node, f"route add default via {gateway}")
        for node, gateway in (("hq", "fd00:0:0:1::1"), ("gw", "2001:db8:ff::1"), ("site-a", "2001:db8:a::1")):
            self.ip(node, f"-6 route add default via {gateway}")
        self.ip("gw", f"addr add {ANYCAST4}/32 dev lo")
        self.ip("gw", f"addr add {ANYCAST6}/128 dev lo nodad")
        self.ip("inet", f"route add {ANYCAST4}/32 via 100.64.0.2")
        self.ip("inet", f"-6 route add {ANYCAST6}/128 via 2001:db8:ff::2")
        self.run("nat", "nft", "-f", "-", input=NAT_RULES)

    def ping(self, node, source, target, count=3, size=56, interval=0.05, wait=2):
        """How many of the first count echo requests were answered."""
        out = self.run(node, *ping_argv(source, target, count, interval, count * interval + wait, size), check=False).stdout
        return count - pings_lost(out, count)

    def ping_until(self, node, source, target, timeout=10):
        """True as soon as one echo request is answered."""
        return wait_until(lambda: self.ping(node, source, target, 1, wait=1), timeout, 0.1) > 0

    def serve_files(self, node, address, directory, port=8000):
        """An HTTP server; returns its process once it listens."""
        process = self.spawn(node, PYTHON, ROOT / "tests/netns/serve.py", address, port, directory,
                             log=f"http-{node}.log")
        if not wait_until(lambda: f":{port}" in self.run(node, "ss", "-Hltn").stdout, 10):
            raise LabError(f"no HTTP server in {node}: {process.log_tail()}")
        return process

    def fetch_sum(self, node, source, url, timeout=120):
        """SHA-256 of what url serves to node, and the seconds that it took."""
        start = time.monotonic()
        command = f"curl -sS --fail --noproxy '*' -m {timeout} --interface {source} {url} | sha256sum"
        out = self.run(node, "bash", "-o", "pipefail", "-c", command, timeout=timeout + 10).stdout
        return out.split()[0], time.monotonic() - start


def end_namespaces(names):
    """Ends what still runs inside namespaces that a lab made, and deletes them."""
    for name in names:
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        for pid in map(int, pids):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Gateway:
    """An onrampd in one namespace of the lab, with a configuration and state of its own."""

    def __init__(self, lab, build=None, node="gw", addresses=(ANYCAST4, ANYCAST6), port=8080, settings=None):
        self.lab, self.node, self.port = lab, node, port
        self.build = pathlib.Path(build or os.environ.get("ONRAMP_BUILD") or ROOT / "build" / "release").resolve()
        self.directory = lab.directory / f"onramp-{node}"
        self.conf = self.directory / "onramp.conf"
        self.socket = self.directory / "run" / "admin.sock"
        self.process, self.env = None, None
        self.token = None
        self.account = None
        self.addresses = addresses
        self.directory.mkdir(exist_ok=True)
        self.write_conf(settings or {})

    def write_conf(self, settings):
        sections = {
            "node": {"gateway_addresses": ", ".join(self.addresses), "state_dir": self.directory / "state",
                     "seal_key": self.directory / "seal.key", "run_dir": self.directory / "run",
                     "user": "nobody", "log_level": "info"},
            "gateway": {}, "offramp": {}, "api": {"api_listen": f"127.0.0.1:{self.port}"},
        }
        for section, values in settings.items():
            sections.setdefault(section, {}).update(values)
        with open(self.conf, "w") as out:
            for section, values in sections.items():
                out.write(f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))

    def start(self, timeout=60):
        binary = self.build / "src" / "bin" / "onrampd"
        self.process = self.lab.spawn(self.node, binary, "-c", self.conf, log=f"onrampd-{self.node}.log", env=self.env)
        self.wait_ready(timeout)

    def wait_ready(self, timeout=60):
        def ready():
            if not self.process.alive():
                raise LabError(f"onrampd ended with status {self.process.popen.returncode}:\n{self.process.log_tail()}")
            return self.curl("GET", "/user/tokens/verify", check=False)[0] != 0
        if not wait_until(ready, timeout, 0.1):
            raise LabError(f"no API after {timeout} s:\n{self.process.log_tail()}")

    def stop(self):
        return self.process.stop()

    def children(self):
        """Process ids of the parent's children, by role: gateway, api."""
        lines = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid=,comm="],
                               capture_output=True, text=True).stdout.splitlines()
        return {name.removeprefix("onramp-"): int(pid) for pid, name in map(str.split, lines)}

    def child_pid(self, role):
        return self.children().get(role)

    # ---- CLI and API ----

    def cli_argv(self, *words):
        return [str(self.build / "src" / "bin" / "onramp"), *map(str, words)]

    def cli(self, *words, check=True):
        """The command onramp as the administrator of the host."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("ONRAMP_")}
        env["ONRAMP_SOCKET"] = str(self.socket)
        return self.lab.run(self.node, *self.cli_argv(*words), check=check, env=env)

    def cli_json(self, *words):
        return json.loads(self.cli(*words, "--json").stdout)

    def status(self):
        return self.cli_json("status")

    def tunnel_status(self, tunnel):
        """What `onramp status` says about one tunnel."""
        for account in self.status()["accounts"]:
            for live in account["status"]:
                if live["id"] == tunnel["id"]:
                    return live
        raise LabError(f"onramp status does not know tunnel {tunnel['name']}")

    def verdict(self, tunnel):
        """Why the tunnel is down; None when nothing is wrong."""
        return self.tunnel_status(tunnel).get("verdict")

    def why(self, tunnel):
        """What `onramp tunnel why` says of a tunnel, with its exit status under "status"."""
        done = self.cli("tunnel", "why", tunnel["id"], "--account", self.account["id"], "--json", check=False)
        if not done.stdout:
            raise LabError(f"no answer to tunnel why: {done.stderr}")
        return {**json.loads(done.stdout), "status": done.returncode}

    def failure(self, tunnel, code):
        """The newest failure of a tunnel with this code; None if it has none."""
        return next((one for one in self.why(tunnel)["history"] if one["code"] == code), None)

    def find_verdict(self, code):
        """The newest verdict with this code, of a tunnel that is down or of a peer that no tunnel knows."""
        status = self.status()
        verdicts = [live["verdict"] for account in status["accounts"] for live in account["status"] if "verdict" in live]
        found = [verdict for verdict in verdicts + status["unknown_peers"] if verdict and verdict["code"] == code]
        return max(found, key=lambda verdict: verdict["last_seen"], default=None)

    def curl(self, method, path, body=None, token=None, check=True, timeout=20):
        """One HTTP request of a customer: (status, answer). Status 0: no answer."""
        url = f"http://127.0.0.1:{self.port}/client/v4{path}"
        # The token goes in by stdin: arguments can be read by every user of a host.
        headers = f"Authorization: Bearer {token or self.token or 'none'}\nContent-Type: application/json\n"
        argv = ["curl", "-sS", "--noproxy", "*", "-m", timeout, "-X", method, "-H", "@-", "-w", "\n%{http_code}", url]
        if body is not None:
            argv += ["-d", json.dumps(body)]
        done = self.lab.run(self.node, *argv, check=False, timeout=timeout + 5, input=headers)
        text, _, code = done.stdout.rpartition("\n")
        status = int(code or 0)
        if check and not 200 <= status < 300:
            raise LabError(f"{method} {path}: {status} {text} {done.stderr}")
        return status, json.loads(text) if text.strip() else None

    def call(self, method, path, body=None):
        """A request of the present account: its result."""
        return self.curl(method, f"/accounts/{self.account['id']}/magic{path}", body)[1]["result"]

    # ---- what a customer sets up ----

    def create_account(self, name, *options):
        """Makes an account and a token that may write, and works for it from now on."""
        self.account = self.cli_json("account", "create", name, *options)
        self.token = self.cli_json("token", "create", "--account", self.account["id"], "--write")["token"]
        return self.account

    def create_tunnel(self, name, interface, endpoint=ANYCAST4, **more):
        tunnel = self.call("POST", "/ipsec_tunnels", {"name": name, "cloudflare_endpoint": endpoint,
                                                      "interface_address": interface, **more})
        return tunnel

    def generate_psk(self, tunnel):
        return self.call("POST", f"/ipsec_tunnels/{tunnel['id']}/psk_generate", {})["psk"]

    def create_route(self, prefix, nexthop, priority=100, **more):
        return self.call("POST", "/routes", {"prefix": prefix, "nexthop": nexthop, "priority": priority, **more})
