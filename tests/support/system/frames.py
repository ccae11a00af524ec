# SPDX-License-Identifier: Apache-2.0
"""Frames as a hostile guest sends them, each with a number by which it is found again wherever it arrives."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

IPV4, ARP, IPV6, RARP, LLDP, EXPERIMENTAL = 0x0800, 0x0806, 0x86DD, 0x8035, 0x88CC, 0x88B5
TCP, UDP, ICMP, SCTP, UNASSIGNED = 6, 17, 1, 132, 253
SYN, RST = 0x02, 0x04
BROADCAST = "ff:ff:ff:ff:ff:ff"
_MARK = b"\xa7frame"
_FOUND = re.compile(re.escape(_MARK) + b"(..)", re.DOTALL)

# Run in a guest: sends each line of stdin, in hexadecimal, as a frame on its NIC.
SENDER = """\
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(('eth0', 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
"""


def mark(number: int) -> bytes:
    """What a capture is searched for; eight bytes."""
    return _MARK + struct.pack("!H", number)


def marks(capture: bytes) -> set[int]:
    """The numbers of the frames of which a capture has a part."""
    return {struct.unpack("!H", found)[0] for found in _FOUND.findall(capture)}


def packets(path: Path) -> list[bytes]:
    """The frames of a file that tcpdump wrote."""
    data, found, at = path.read_bytes(), [], 24
    while at + 16 <= len(data):
        (length,) = struct.unpack_from("=I", data, at + 8)
        found.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return found


def ethernet(target: str, source: str, kind: int, payload: bytes, *, tags: Iterable[int] = ()) -> bytes:
    """A frame; `tags`: the types of its VLAN headers, each for VLAN 0, from the outside in."""
    head = _mac(target) + _mac(source)
    for tag in tags:
        head += struct.pack("!HH", tag, 0)
    return head + struct.pack("!H", kind) + payload


def ip(source: str, target: str, protocol: int, payload: bytes, *, number: int, fragment: int = 0) -> bytes:
    """An IPv4 packet with the number as its identification; `fragment`: the field of flags and offset."""
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(payload), number, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + payload


def fragments(source: str, target: str, protocol: int, payload: bytes, *, number: int) -> list[bytes]:
    """The packet in two parts, the first as small as it may be."""
    return [ip(source, target, protocol, payload[:8], number=number, fragment=0x2000),
            ip(source, target, protocol, payload[8:], number=number, fragment=1)]


def udp(payload: bytes, *, port: int = 5000, source_port: int = 1000) -> bytes:
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload


def tcp(source: str, target: str, payload: bytes, *, flags: int, port: int = 5672, source_port: int = 1000) -> bytes:
    head = struct.pack("!HHIIBBHHH", source_port, port, 7, 0, 80, flags, 1024, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, TCP, 20 + len(payload))
    return head[:16] + struct.pack("!H", _sum(pseudo + head + payload)) + head[18:] + payload


def sctp(payload: bytes, *, number: int) -> bytes:
    """An INIT (RFC 9260 section 3.3.2) that offers its payload as an unknown parameter; conntrack checks the CRC32c."""
    parameter = struct.pack("!HH", 0xC000, 4 + len(payload)) + payload
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20 + len(parameter), 1, 4096, 1, 1, 1) + parameter
    head = struct.pack("!HHI", number, 5000, 0)
    return head + struct.pack("<I", _crc32c(head + bytes(4) + chunk)) + chunk


def echo_request(payload: bytes, *, number: int) -> bytes:
    head = struct.pack("!BBHHH", 8, 0, 0, number, 1)
    return head[:2] + struct.pack("!H", _sum(head + payload)) + head[4:] + payload


def vxlan(segment: int, frame: bytes) -> bytes:
    """RFC 7348 section 5, the payload of UDP."""
    return struct.pack("!II", 0x08000000, segment << 8) + frame


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str], *, number: int) -> bytes:
    """The pairs are of MAC and IP address."""
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + _mac(sender[0]) + socket.inet_aton(sender[1]) + _mac(
        target[0]) + socket.inet_aton(target[1]) + mark(number) + bytes(10)


def ip6(source: str, target: str, kind: int, payload: bytes, *, number: int) -> bytes:
    """An IPv6 packet with the number as its flow label."""
    return struct.pack("!IHBB16s16s", 6 << 28 | number, len(payload), kind, 255, socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, target)) + payload


def icmp6(source: str, target: str, kind: int, body: bytes) -> bytes:
    head = struct.pack("!BBH", kind, 0, 0) + body
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    total = _sum(pseudo + struct.pack("!II", len(head), 58) + head)
    return head[:2] + struct.pack("!H", total) + head[4:]


def dhcp(message: int, *, chaddr: str, client: str = "0.0.0.0", options: bytes = b"") -> bytes:  # no address yet
    """RFC 2131 figure 1, the payload of UDP; `message` is the DHCP message type."""
    head = struct.pack("!BBBBI", 1, 1, 6, 0, 0x1234) + bytes(4) + socket.inet_aton(client) + bytes(12)
    return head + _mac(chaddr).ljust(16, b"\0") + bytes(192) + bytes((99, 130, 83, 99, 53, 1, message)) + options + b"\xff"


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def _sum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF
