"""ipsec.py FOLDER DEVICE: IPsec for the namespace that it runs in, of a kernel that has none.

An IKE daemon with preload.c sets the SAs and policies, at FOLDER/xfrm (XFRM) or FOLDER/pfkey (PF_KEY). What is routed into
DEVICE is sealed and sent as ESP, natively or in UDP (RFC 3948) as the SA says, what comes of it is opened and leaves
DEVICE; IPv4 outside. At FOLDER/state everybody gets the SAs and what was dropped, as JSON.
"""
import collections
import fcntl
import json
import os
import selectors
import socket
import struct
import sys

import esp
import sadb
from pfkey import PfKey
from xfrm import Xfrm

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454ca, 1, 0x1000
IP_PKTINFO, IPPROTO_ESP = 8, 50
PATIENCE = 0.1  # seconds between two looks at the limits


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class Ipsec:
    def __init__(self, folder, device):
        self.sadb, self.drops = sadb.Sadb(), collections.Counter()
        self.select, self.clients = selectors.DefaultSelector(), {}
        self.tun = open_tun(device)
        self.esp, self.udp = (socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
                              for protocol in (IPPROTO_ESP, socket.IPPROTO_UDP))
        self.select.register(self.tun, selectors.EVENT_READ, self.read_tun)
        self.select.register(self.esp, selectors.EVENT_READ, self.read_esp)
        self.select.register(self.udp, selectors.EVENT_READ, self.read_udp)
        for name, speaks in (("xfrm", Xfrm(self.sadb)), ("pfkey", PfKey(self.sadb))):
            self.listen(f"{folder}/{name}", lambda listener, speaks=speaks: self.accept(listener, speaks), socket.SOCK_SEQPACKET)
        self.listen(f"{folder}/state", self.tell_state, socket.SOCK_STREAM)

    def listen(self, path, accept, kind):
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(path)
        listener.listen()
        self.select.register(listener, selectors.EVENT_READ, lambda: accept(listener))

    def accept(self, listener, speaks):
        client, _ = listener.accept()
        self.clients[client] = speaks
        self.select.register(client, selectors.EVENT_READ, lambda: self.read_client(client, speaks))

    def read_client(self, client, speaks):
        try:
            message = client.recv(1 << 16)
            if message:
                client.sendall(speaks.answer(message))
                return
        except OSError:
            pass
        self.select.unregister(client)
        del self.clients[client]
        client.close()

    def tell_state(self, listener):
        client, _ = listener.accept()
        with client:
            client.sendall(json.dumps({"sas": [sa.describe() for sa in self.sadb.sas.values() if sa.transform],
                                       "drops": self.drops}).encode())

    def tell_limits(self):
        for sa, hard in self.sadb.over():
            for client, speaks in self.clients.items():
                client.sendall(speaks.expiry(sa, hard))
            if hard:
                self.sadb.delete(sa.spi, sa.dst)

    # ---- packets ----

    def read_tun(self):
        packet = os.read(self.tun, 1 << 16)
        if sadb.selected_by(packet)[1].is_multicast:
            return  # the kernel's own, to see who else is on the device
        sa, why = self.sadb.outbound(packet)
        if not sa:
            self.drops[why] += 1
            return
        sa.sequence += 1
        sa.packets, sa.bytes = sa.packets + 1, sa.bytes + len(packet)
        self.send(sa, esp.seal(sa.transform, sa.spi, sa.sequence, sa.esn, packet, sa.tfc))

    def send(self, sa, sealed):
        sender = self.esp
        if sa.encap:
            sender = self.udp
            sealed = struct.pack(">HHHH", *sa.encap, 8 + len(sealed), 0) + sealed  # RFC 3948 2.1: the checksum is zero
        source = struct.pack("=I4s4x", 0, socket.inet_aton(sa.src))
        try:
            sender.sendmsg([sealed], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, (sa.dst, 0))
        except OSError as error:
            self.drops[f"not sent: {error}"] += 1

    def read_esp(self):
        packet = self.esp.recv(1 << 16)
        self.take(packet, packet[4 * (packet[0] & 15):], None)

    def read_udp(self):
        """Copies of everything in UDP: ESP is what is no IKE and no keepalive."""
        packet = self.udp.recv(1 << 16)
        data = packet[4 * (packet[0] & 15):]
        if len(data) < 16 or data[8:12] == bytes(4):
            return
        ports = struct.unpack_from(">HH", data)
        if 4500 in ports:
            self.take(packet, data[8:], ports)

    def take(self, packet, sealed, ports):
        dst = socket.inet_ntoa(packet[16:20])
        sa = self.sadb.find(int.from_bytes(sealed[:4], "big"), dst)
        if not sa or not sa.transform:
            self.drops["unknown SPI"] += 1
            return
        if bool(ports) != bool(sa.encap):
            self.drops["in UDP, or not, against the SA"] += 1
            return
        try:
            _, inner = esp.open_packet(sa.transform, sa.esn, sealed)
        except esp.EspError as error:
            self.drops[str(error)] += 1
            return
        sa.packets, sa.bytes = sa.packets + 1, sa.bytes + len(inner)
        if not inner:
            return  # a dummy (RFC 4303 2.6)
        if self.sadb.takes_in(sa, inner):
            os.write(self.tun, inner)
        else:
            self.drops["outside of the selectors"] += 1

    def run(self):
        while True:
            for key, _ in self.select.select(PATIENCE):
                try:
                    key.data()
                except BlockingIOError:
                    pass
            self.tell_limits()


if __name__ == "__main__":
    Ipsec(*sys.argv[1:]).run()
