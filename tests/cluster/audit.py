#!/usr/bin/env python3
"""The auditor finds what it is there to find. Last line: "N passed, N failed"."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from anycast import Anycast, Auditor  # noqa: E402
from checks import Checks, check  # noqa: E402
from lab import ANYCAST4, LabError  # noqa: E402

SEND = """import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((sys.argv[1], 4500))
for word in sys.argv[3:]: s.sendto(bytes.fromhex(word), (sys.argv[2], 4500))
"""


def esp(spi, seq, iv):
    return (struct.pack(">IIQ", spi, seq, iv) + bytes(32)).hex()


def ike(spi, number, iv, last, kind=46):
    head = struct.pack(">QQBBBBII", spi, 7, kind, 0x20, 37, 0x20, number, 80)
    skf = b"\0\1\0\1" if kind == 53 else b""
    return (bytes(4) + head + bytes(4) + skf + struct.pack(">Q", iv) + bytes(20) + bytes([last])).hex()


class Audit:
    """What nodes of the lab send to the customer, and what an auditor says of it."""

    def __init__(self, lab):
        self.lab, self.customer = lab, lab.customers[0]

    def judge(self, *sent, rising=False):
        auditor = Auditor(self.lab, ["n1", "n2"], [self.customer.device] if rising else [])
        for node, *packets in sent:
            self.lab.run(node, sys.executable, "-c", SEND, ANYCAST4, self.customer.address, *packets)
        try:
            return auditor.finish(), ""
        except LabError as error:
            return None, str(error)


def main():
    with Anycast(nodes=2, customers=1, members=0) as lab:
        lab.build()
        checks = Checks("auditor", lab)
        audit = Audit(lab)
        with checks.case("what is in order passes, and is counted"):
            found, said = audit.judge(("n1", esp(9, 1, 1), esp(9, 2, 2), ike(5, 0, 1, 1)), ("n2", esp(9, 1, 3), ike(5, 1, 2, 1), esp(8, 1, 1)))
            check(found and found["esp"] == 4 and found["ike"] == 2, f"{found} {said}")
        with checks.case("an IV that two nodes use under one SPI"):
            check("repeat: ESP SPI 00000009, IV 0000000000000002" in audit.judge(("n1", esp(9, 1, 2)), ("n2", esp(9, 7, 2)))[1], "missed")
        with checks.case("an IV that two messages of an IKE SA use; not the message that is sent again"):
            found, said = audit.judge(("n1", ike(5, 0, 1, 1)), ("n2", ike(5, 0, 1, 1)))
            check(found and found["sent_again"] == 1, f"{found} {said}")
            check("repeat: IKE SA" in audit.judge(("n1", ike(5, 0, 1, 1)), ("n2", ike(5, 1, 1, 2)))[1], "missed")
            check("repeat: IKE SA" in audit.judge(("n1", ike(5, 0, 1, 1, 53)), ("n2", ike(5, 0, 1, 2, 53)))[1], "missed of fragments")
        with checks.case("a sequence number that does not rise at the peer, where that is asked for"):
            rows = ("n1", esp(9, 5, 1), esp(9, 9, 2)), ("n2", esp(9, 6, 3))
            check(audit.judge(*rows)[0], "found where it was not asked for")
            check("fall: ESP SPI 00000009, 6 after 9" in audit.judge(*rows, rising=True)[1], "missed")
            late = ("n2", esp(9, 1 << 20, 1)), ("n1", esp(9, 5, 2))  # of a node that has slept
            found, said = audit.judge(*late, rising=True)
            check(found and found["late"] == 1 and found["falls"] == 0, f"{found} {said}")
            check("fall: ESP SPI 00000009, 5 twice" in audit.judge(*late, ("n1", esp(9, 5, 3)), rising=True)[1], "missed a number twice")
            found, said = audit.judge(("n1", esp(9, 5, 1)), ("n2", esp(9, 6, 3)), rising=True)
            check(found and found["rising_esp"] == 2, f"{found} {said}")
        lab.auditor.process.stop()
        checks.finish()


if __name__ == "__main__":
    main()
