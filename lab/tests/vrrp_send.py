#!/usr/bin/env python3
"""vrrp_send.py INTERFACE SOURCE COUNT [MAC]: sends VRRPv3 adverts of VRID 10 for 10.10.0.250, also forged ones."""
import socket
import struct
import sys
import time

interface, source, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind((interface, 0))
mac = bytes.fromhex(sys.argv[4].replace(':', '')) if len(sys.argv) > 4 else s.getsockname()[4]


def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xffff)
    total += total >> 16
    return ~total & 0xffff


group = socket.inet_aton('224.0.0.18')
advert = struct.pack('!BBBBHH', 0x31, 10, 200, 1, 100, 0) + socket.inet_aton('10.10.0.250')
pseudo = socket.inet_aton(source) + group + struct.pack('!BBH', 0, 112, len(advert))
advert = advert[:6] + struct.pack('!H', checksum(pseudo + advert)) + advert[8:]
header = struct.pack('!BBHHHBBH4s4s', 0x45, 0xc0, 20 + len(advert), 1, 0, 255, 112, 0, socket.inet_aton(source), group)
header = header[:10] + struct.pack('!H', checksum(header)) + header[12:]
for _ in range(count):
    s.send(bytes.fromhex('01005e000012') + mac + b'\x08\x00' + header + advert)
    time.sleep(0.1)
