#!/usr/bin/env python3
"""vrrp_receive.py INTERFACE WANTED SECONDS: prints how many VRRP packets (protocol 112, 224.0.0.18) it received.

Says `listening` first. Ends when it has WANTED, or after SECONDS.
"""
import socket
import struct
import sys
import time

interface, wanted, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
             struct.pack('4s4si', socket.inet_aton('224.0.0.18'), b'\0' * 4, socket.if_nametoindex(interface)))
print('listening', flush=True)
end, received = time.time() + seconds, 0
while received < wanted and (left := end - time.time()) > 0:
    s.settimeout(left)
    try:
        s.recv(2048)
        received += 1
    except TimeoutError:
        break
print(received)
