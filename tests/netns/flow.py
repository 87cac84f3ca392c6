"""Sequence-numbered UDP packets between two namespaces of the lab, both ways at a steady pace, and what became of each.

As a program: flow.py LOCAL REMOTE PORT RATE START OUT. Sends from START (seconds since 1970) until SIGUSR1, receives until
SIGTERM, then writes OUT: {"sent": [time of number 0, 1, ...], "got": [[number, time], ...]}.

The length of packet n is BASE + 4 * (n % 64) bytes, which ESP keeps visible: so that a packet can be told from its
neighbours in a capture of what is encrypted.
"""
import json
import os
import pathlib
import select
import signal
import socket
import struct
import sys
import time

BASE, STEP, RESIDUES = 64, 4, 64
MAGIC = b"flow"


def payload(number):
    return (MAGIC + struct.pack(">I", number)).ljust(BASE + STEP * (number % RESIDUES), b".")


def run(local, remote, port, rate, start, out):
    state = {"sending": True, "running": True}
    signal.signal(signal.SIGUSR1, lambda *_: state.update(sending=False))
    signal.signal(signal.SIGTERM, lambda *_: state.update(sending=False, running=False))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: what waits here was not lost on its way
    sock.bind((local, port))
    sock.setblocking(False)
    sent, got = [], []
    while state["running"]:
        due = start + len(sent) / rate
        wait = max(0.0, due - time.time()) if state["sending"] else 0.1
        if select.select([sock], [], [], min(wait, 0.1))[0]:
            try:
                data = sock.recv(2048)
                if data[:4] == MAGIC:
                    got.append((struct.unpack(">I", data[4:8])[0], time.time()))
            except BlockingIOError:
                pass
        if state["sending"] and time.time() >= due:
            sent.append(time.time())
            sock.sendto(payload(len(sent) - 1), (remote, port))
    pathlib.Path(out + ".part").write_text(json.dumps({"sent": sent, "got": got}))
    os.rename(out + ".part", out)


class Flow:
    """Both directions between two nodes: ends is ((node, address), (node, address))."""

    def __init__(self, lab, ends, rate, port=7777):
        self.ends = ends
        start = time.time() + 2
        self.out = [lab.directory / f"flow-{node}-{time.monotonic_ns()}.json" for node, _ in ends]
        self.processes = [
            lab.spawn(node, sys.executable, __file__, address, ends[1 - i][1], port, rate, start, self.out[i], log=f"flow-{node}.log")
            for i, (node, address) in enumerate(ends)]
        time.sleep(max(0.0, start - time.time()))

    def _pids(self):
        """ip netns exec replaces itself: the process is the program."""
        return [process.pid for process in self.processes]

    def finish(self, drain=3):
        """Ends the sending, waits for what is on its way, and reads what became of it."""
        for pid in self._pids():
            os.kill(pid, signal.SIGUSR1)
        time.sleep(drain)
        for process in self.processes:
            process.stop(20)
        results = [json.loads(pathlib.Path(out).read_text()) for out in self.out]
        return [Direction(self.ends[i], self.ends[1 - i], results[i]["sent"], results[1 - i]["got"]) for i in range(2)]


class Direction:
    """What one side sent and the other one got."""

    def __init__(self, source, target, sent, got):
        self.source, self.target, self.sent, self.got = source, target, sent, got
        numbers = [number for number, _ in got]
        seen = set(numbers)
        self.lost = [number for number in range(len(sent)) if number not in seen]
        self.repeated = len(numbers) - len(seen)
        self.foreign = len([number for number in seen if number >= len(sent)])
        self.longest_gap = max((later[1] - earlier[1] for earlier, later in zip(got, got[1:])), default=0.0)

    def __str__(self):
        return (f"{self.source[0]} to {self.target[0]}: {len(self.sent)} sent, {len(self.lost)} lost, {self.repeated} repeated, "
                f"longest gap {1000 * self.longest_gap:.0f} ms")


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
