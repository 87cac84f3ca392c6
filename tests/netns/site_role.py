"""A customer's host that runs `onrampd --site` in one namespace of the lab."""
import json
import os
import pathlib
import subprocess

from lab import ANYCAST4, ROOT, LabError, wait_until


class Site:
    """tunnels: name -> the keys of its section; psk stands for a psk_file that is written beside the configuration."""

    def __init__(self, lab, node, tunnels, name=None, build=None, settings=None):
        self.lab, self.node, self.name = lab, node, name or node
        self.build = pathlib.Path(build or os.environ.get("ONRAMP_BUILD") or ROOT / "build" / "release").resolve()
        self.directory = lab.directory / f"site-{self.name}"
        self.directory.mkdir(exist_ok=True)
        self.conf = self.directory / "onramp-site.conf"
        self.socket = self.directory / "run" / "site.sock"
        self.process = None
        self.settings = settings or {}
        self.write_conf(tunnels)

    def write_conf(self, tunnels):
        values = {"state_dir": self.directory / "state", "seal_key": self.directory / "seal.key",
                  "run_dir": self.directory / "run", "user": "nobody", "log_level": "debug", **self.settings}
        with open(self.conf, "w") as out:
            out.write("[site]\n" + "".join(f"{key} = {value}\n" for key, value in values.items()))
            for name, keys in tunnels.items():
                keys = {"gateway": ANYCAST4, **keys}
                if "psk" in keys:
                    keys["psk_file"] = self.directory / f"{name}.psk"
                    keys["psk_file"].touch(mode=0o600)
                    keys["psk_file"].write_text(keys.pop("psk") + "\n")
                out.write(f"[tunnel {name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))

    def start(self, timeout=20):
        binary = self.build / "src" / "bin" / "onrampd"
        self.process = self.lab.spawn(self.node, binary, "--site", self.conf, log=f"site-{self.name}.log")
        def ready():
            if not self.process.alive():
                raise LabError(f"onrampd --site ended with status {self.process.popen.returncode}:\n{self.process.log_tail()}")
            return self.socket.exists() and self.child_pid() and self.ask("site", "status", check=False).returncode == 0
        if not wait_until(ready, timeout, 0.1):
            raise LabError(f"onrampd --site does not answer:\n{self.process.log_tail()}")

    def stop(self):
        return self.process.stop()

    def child_pid(self):
        """Process id of the process that carries the tunnels."""
        lines = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid=,comm="],
                               capture_output=True, text=True).stdout.splitlines()
        return next((int(pid) for pid, name in map(str.split, lines) if name == "onramp-site"), None)

    def ask(self, *words, check=True):
        env = {key: value for key, value in os.environ.items() if not key.startswith("ONRAMP_")}
        return self.lab.run(self.node, self.build / "src" / "bin" / "onramp", *words, "--socket", self.socket,
                            check=check, env=env)

    def status(self, name=None):
        """What `onramp site status` says: all tunnels, or the one of that name."""
        tunnels = json.loads(self.ask("site", "status", "--json").stdout)["tunnels"]
        return tunnels if name is None else next(tunnel for tunnel in tunnels if tunnel["name"] == name)

    def why(self, name):
        """What `onramp site why` says of a tunnel, with its exit status under "status"."""
        done = self.ask("site", "why", name, "--json", check=False)
        return {**json.loads(done.stdout), "status": done.returncode}

    def failure(self, name, code):
        """The newest failure of a tunnel with this code; None if it has none."""
        return next((one for one in self.why(name)["history"] if one["code"] == code), None)

    def sessions(self):
        """What changes when a tunnel is set up anew; a rekey does not change it."""
        return self.log().count(": IKE SA up with"), [(tunnel["name"], tunnel["up"], tunnel["since"]) for tunnel in self.status()]

    def up(self, name, timeout=15):
        return wait_until(lambda: self.status(name)["up"], timeout, 0.1)

    def log(self):
        return pathlib.Path(self.process.log).read_text(errors="replace")
