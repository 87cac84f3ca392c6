"""reorder.py DEVICE DESTINATION BATCH: takes the ESP packets to DESTINATION off DEVICE and sends them on in batches, the last first.

What it takes must be dropped where it would be forwarded; the copies leave by the routes of this namespace."""
import socket
import sys

device, destination, batch = sys.argv[1], socket.inet_aton(sys.argv[2]), int(sys.argv[3])
source = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
source.bind((device, 0x0800))
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
held = []
print("ready", flush=True)
while True:
    packet, origin = source.recvfrom(65535)
    if origin[2] == socket.PACKET_OUTGOING or packet[9] != 50 or packet[16:20] != destination:
        continue
    held.append(packet)
    if len(held) == batch:
        for one in reversed(held):
            out.sendto(one, (sys.argv[2], 0))
        held.clear()
