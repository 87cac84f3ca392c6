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


def initiate_many(path, count, parallel):
    """Initiates the children net0..net<count-1> of the connections c0.., each until it is up: (up, failed, seconds).
    More than 8 at once wait for each other's threads inside charon."""
    numbers = iter(range(count))
    lock = threading.Lock()
    up = []

    def work():
        vici = Vici(path)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            answer = vici.command("initiate", key_value("ike", f"c{number}") + key_value("child", f"net{number}") +
                                  key_value("timeout", "20000") + key_value("loglevel", "-1"))
            if key_value("success", "yes") in answer:
                up.append(number)

    begin = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(up), count - len(up), time.monotonic() - begin
