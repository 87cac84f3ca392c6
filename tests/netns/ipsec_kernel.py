"""IPsec for an IKE daemon in a namespace of the lab whose kernel has none: tests/kernel. The daemons themselves are the
files of Debian's packages, taken apart by tools/install-deps: their packages do not go together with strongSwan's."""
import json
import os
import pathlib
import socket

from lab import PYTHON, ROOT, LabError, wait_until

PEERS = ROOT / "build" / "peers"


def cut_batches(lab):
    """What Onramp gives to the kernel as one piece (UDP_SEGMENT) becomes packets before it is sent: the raw socket by which
    tests/kernel takes ESP in UDP would get the piece."""
    for node in ("gw", "site-a"):
        lab.ip(node, "link set wan gso_max_segs 1")


class IpsecKernel:
    def __init__(self, lab, node, device="ipsec0"):
        self.lab, self.node, self.device = lab, node, device
        self.directory = lab.directory / f"kernel-{node}"
        self.directory.mkdir(exist_ok=True)
        self.process = None

    def start(self, *routes):
        """routes: what leads into the device."""
        for name in ("xfrm", "pfkey", "state"):
            (self.directory / name).unlink(missing_ok=True)
        self.process = self.lab.spawn(self.node, PYTHON, ROOT / "tests/kernel/ipsec.py", self.directory, self.device,
                                      log=f"kernel-{self.node}.log")
        if not wait_until((self.directory / "state").exists, 20):
            raise LabError(f"tests/kernel/ipsec.py does not start:\n{self.process.log_tail()}")
        self.lab.ip(self.node, f"link set {self.device} mtu 1400 up")
        for route in routes:
            self.lab.ip(self.node, f"{'-6 ' if ':' in route else ''}route add {route} dev {self.device}")

    def stop(self):
        self.process.stop()

    def words(self, files):
        """What stands before the command of a daemon that is to use it; files: the folder with its package's files."""
        build = pathlib.Path(os.environ.get("ONRAMP_BUILD") or ROOT / "build" / "release").resolve()
        preload = build / "tests" / "kernel" / "onramp_preload.so"
        return "env", f"LD_PRELOAD={preload}", f"ONRAMP_KERNEL={self.directory}", f"ONRAMP_FILES={files}"

    def state(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.directory / "state"))
            with sock.makefile() as answer:
                return json.loads(answer.read())

    def sas(self, src=None, dst=None):
        """The SAs between two addresses, the oldest first: what ipsec.py says of each."""
        return [sa for sa in self.state()["sas"] if src in (None, sa["src"]) and dst in (None, sa["dst"])]

    def drops(self):
        return self.state()["drops"]
