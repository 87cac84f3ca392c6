"""A small client of charon's control socket (vici): many initiations at once, without a process for each."""
import socket
import struct
import threading
import time


def key_value(key, value):
    key, value = key.encode(), value.encode()
    return bytes([3, len(key)]) + key + struct.pack(">H", len(value)) + value


class Vici:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def command(self, name, body=b""):
        packet = bytes([0, len(name)]) + name.encode() + body
        self.socket.sendall(struct.pack(">I", len(packet)) + packet)
        return self.read(struct.unpack(">I", self.read(4))[0])

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


def each(path, numbers, parallel, command):
    """Calls command(vici, number) for each number, over several sockets at once: the numbers for which it was true."""
    numbers = iter(numbers)
    lock = threading.Lock()
    good = []

    def work():
        vici = Vici(path)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            if command(vici, number):
                good.append(number)

    threads = [threading.Thread(target=work) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return good


def initiate_many(path, count, parallel, first=0):
    """Initiates the children net<first>.. of the connections c<first>.., count of them, each until it is up: (up, failed,
    seconds). More than 8 at once wait for each other's threads inside charon."""
    def initiate(vici, number):
        return key_value("success", "yes") in vici.command(
            "initiate", key_value("ike", f"c{number}") + key_value("child", f"net{number}") +
            key_value("timeout", "20000") + key_value("loglevel", "-1"))

    begin = time.monotonic()
    up = each(path, range(first, first + count), parallel, initiate)
    return len(up), count - len(up), time.monotonic() - begin


def terminate_many(path, count, parallel):
    """Ends the IKE SAs of the connections c0.., with a Delete."""
    def terminate(vici, number):
        vici.command("terminate", key_value("ike", f"c{number}") + key_value("timeout", "5000") + key_value("loglevel", "-1"))

    each(path, range(count), parallel, terminate)
