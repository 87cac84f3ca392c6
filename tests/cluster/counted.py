"""Numbered packets both ways between pairs of namespaces, counted while they are under way: for the demo and the bench.

One thread has the sockets of all namespaces, so that one clock says when a packet was sent and whether it has come.
"""
import ctypes
import os
import select
import socket
import struct
import threading
import time

MAGIC = b"count"
LATE = 0.5  # seconds after which what has not come counts as lost, until it does come
CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33


def enter(namespace):
    """Moves this thread alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    finally:
        os.close(fd)


def open_udp(address, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # what waits here was not lost on its way
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


class Stream:
    """One direction. Numbers count from 0; the time at which each was sent, and came (0: it has not)."""

    def __init__(self, source, target, number):
        self.source, self.target, self.number = source, target, number
        self.sent, self.came, self.repeated = [], [], 0

    def lost(self, begin, end):
        """When the packets were sent that were lost of those sent in this time."""
        return [sent for sent, came in zip(self.sent[:len(self.came)], self.came) if begin <= sent < end and not came]

    def longest_gap(self, begin, end):
        """The longest time in which nothing came of what was sent in this one, in seconds."""
        came = sorted(came for sent, came in zip(self.sent[:len(self.came)], self.came) if begin <= sent < end and came)
        return max((later - earlier for earlier, later in zip(came, came[1:])), default=0.0)


class Loss:
    """What was lost of all that was sent in a time: how many packets, and for how many seconds from the first to the last."""

    def __init__(self, streams, begin, end):
        lost = sorted(sent for stream in streams for sent in stream.lost(begin, end))
        self.sent = sum(begin <= sent < end for stream in streams for sent in stream.sent)
        self.times, self.packets = lost, len(lost)
        self.seconds = lost[-1] - lost[0] if lost else 0.0
        self.longest_gap = max(stream.longest_gap(begin, end) for stream in streams)


class Traffic(threading.Thread):
    """pairs: [((node, address), (node, address)), ...] of the lab. rate: packets a second in each direction.
    each_second(seconds, sent, lost), if given, is called once a second, with what there is in all.
    A context manager: sending ends with it."""

    def __init__(self, lab, pairs, rate, port=7900, each_second=None):
        super().__init__(daemon=True)
        self.lab, self.pairs, self.rate, self.port, self.each_second = lab, pairs, rate, port, each_second
        self.streams = [Stream(one, other, 2 * i + way) for i, pair in enumerate(pairs)
                        for way, (one, other) in enumerate((pair, pair[::-1]))]
        self.ending, self.opened, self.error = threading.Event(), threading.Event(), None

    def __enter__(self):
        self.start()
        self.opened.wait()
        self.check()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()

    def check(self):
        if self.error:
            raise self.error

    def run(self):
        try:
            self.open()
            self.opened.set()
            self.work()
        except Exception as error:  # told to whoever asks next
            self.error = error
            self.opened.set()

    def open(self):
        self.sockets = {}
        for i, pair in enumerate(self.pairs):
            for node, address in pair:
                enter(self.lab.ns(node))
                self.sockets[i, node] = open_udp(address, self.port + i)
        self.poll = select.epoll()
        self.by_fd = {sock.fileno(): sock for sock in self.sockets.values()}
        for fd in self.by_fd:
            self.poll.register(fd, select.EPOLLIN)

    def work(self):
        begin = time.time()
        second = 1
        while not self.ending.is_set():
            due = int((time.time() - begin) * self.rate)
            for stream in self.streams:
                self.send(stream, due)
            self.receive(0.5 / self.rate)
            if self.each_second and time.time() >= begin + second:
                self.each_second(second, *self.totals())
                second += 1

    def send(self, stream, due):
        i = stream.number // 2
        sock = self.sockets[i, stream.source[0]]
        while len(stream.sent) < due:
            data = MAGIC + struct.pack(">BI", stream.number, len(stream.sent))
            stream.sent.append(time.time())
            stream.came.append(0.0)
            try:
                sock.sendto(data, (stream.target[1], self.port + i))
            except OSError:  # no route for the moment: lost, as any other
                pass

    def receive(self, wait):
        for fd, _ in self.poll.poll(wait):
            for _ in range(64):
                try:
                    data = self.by_fd[fd].recv(64)
                except OSError:  # nothing more, or what the network says of an earlier packet
                    break
                if not data.startswith(MAGIC):
                    continue
                number, packet = struct.unpack(">BI", data[len(MAGIC):])
                stream = self.streams[number]
                stream.repeated += stream.came[packet] != 0
                stream.came[packet] = stream.came[packet] or time.time()

    def totals(self):
        """(sent, lost) so far, of what was sent long enough ago."""
        until = time.time() - LATE
        sent = lost = 0
        for stream in self.streams:
            cnt = len(stream.sent)
            while cnt and stream.sent[cnt - 1] >= until:
                cnt -= 1
            sent += cnt
            lost += stream.came[:cnt].count(0.0)
        return sent, lost

    def settle(self):
        """What was sent until now has come afterwards, or it is lost; the time."""
        now = time.time()
        time.sleep(2 * LATE)
        self.check()
        return now

    def loss(self, begin, end):
        return Loss(self.streams, begin, end)

    def repeated(self):
        return sum(stream.repeated for stream in self.streams)
