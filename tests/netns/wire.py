"""Captures of ESP on a link of the lab, and which packet of a flow (flow.py) each of them carries."""
import dataclasses
import pathlib
import struct
import time

from flow import RESIDUES, STEP
from lab import LabError, wait_until


@dataclasses.dataclass
class Esp:
    at: float
    source: str
    spi: int
    seq: int
    length: int  # of the IP packet


class Capture:
    """tcpdump on one device of a node."""

    def __init__(self, lab, node, device):
        self.path = lab.directory / f"{node}-{device}-{time.monotonic_ns()}.pcap"
        self.process = lab.spawn(node, "tcpdump", "-i", device, "-n", "-s", "80", "-B", "16384", "--immediate-mode", "-U",
                                 "-Z", "root", "-w", self.path,
                                 "udp port 500 or udp port 4500 or ip proto 50", log=f"tcpdump-{device}.log")
        if not wait_until(lambda: self.path.exists() and self.path.stat().st_size >= 24, 10):
            raise LabError(f"tcpdump does not start: {self.process.log_tail()}")

    def finish(self):
        """The ESP packets. A capture that itself has lost packets proves nothing; so what the kernel still holds is waited for."""
        size = -1
        while size != (size := self.path.stat().st_size):
            time.sleep(0.3)
        self.process.stop()
        if "\n0 packets dropped by kernel" not in self.process.log_tail():
            raise LabError(f"the capture is not whole: {self.process.log_tail()}")
        return list(read_esp(self.path))


def read_esp(path):
    data = pathlib.Path(path).read_bytes()
    at = 24
    while at + 16 <= len(data):
        seconds, micros, stored, _ = struct.unpack_from("<IIII", data, at)
        at += 16
        esp = parse_frame(seconds + micros / 1e6, data[at:at + stored])
        if esp is not None:
            yield esp
        at += stored


def parse_frame(when, frame):
    if len(frame) < 14 + 20 + 8 or frame[12:14] != b"\x08\x00":
        return None
    head = 14 + 4 * (frame[14] & 15)
    length, protocol = struct.unpack_from(">H", frame, 16)[0], frame[23]
    if protocol == 17:
        if 4500 not in struct.unpack_from(">HH", frame, head):
            return None
        head += 8
    if len(frame) < head + 8:
        return None
    spi, seq = struct.unpack_from(">II", frame, head)
    if spi == 0:  # the non-ESP marker
        return None
    return Esp(when, ".".join(map(str, frame[26:30])), spi, seq, length)


def match(esps, source, count):
    """Which packet of the flow each ESP packet of that source is: number -> its ESP packets. Packets of a flow leave in
    their order, and their length says their number modulo 64."""
    mine = [esp for esp in esps if esp.source == source]
    base = min((esp.length for esp in mine), default=0)
    found, expected = {}, 0
    for esp in mine:
        residue, rest = divmod(esp.length - base, STEP)
        if rest != 0 or residue >= RESIDUES:
            continue
        number = expected + (residue - expected) % RESIDUES
        if number - expected > RESIDUES // 2:  # an earlier one: late, or twice
            number -= RESIDUES
        else:
            expected = number + 1
        if 0 <= number < count:
            found.setdefault(number, []).append(esp)
    return found
