"""send_udp.py SOURCE DESTINATION PORT FLOWS RATE SECONDS: small datagrams to as many ports from PORT on, RATE a second in all."""
import socket
import sys
import time

source, destination = sys.argv[1:3]
port, flows, rate, seconds = map(int, sys.argv[3:])
sockets = []
for number in range(flows):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((source, 0))
    one.connect((destination, port + number))
    sockets.append(one)
begin = time.monotonic()
for number in range(rate * seconds):
    try:
        sockets[number % flows].send(b"x" * 64)
    except OSError:
        pass  # nobody listens
    time.sleep(max(0, begin + number / rate - time.monotonic()))
