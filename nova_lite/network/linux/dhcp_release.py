# SPDX-License-Identifier: Apache-2.0
"""A DHCPRELEASE on behalf of a guest: one that is destroyed does not send it itself."""

from __future__ import annotations

import os
import socket

_SO_BINDTODEVICE = getattr(socket, "SO_BINDTODEVICE", 25)
_MAGIC = bytes((99, 130, 83, 99))  # RFC 2131 section 3
_MESSAGE_TYPE, _RELEASE, _SERVER_ID, _END = 53, 7, 54, 255  # RFC 2132 9.6, 9.7


def release_packet(mac: str, address: str, server: str) -> bytes:
    """The BOOTP message (RFC 2131 figure 1) by which the client `mac` gives `address` back to `server`."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = bytes((1, 1, len(hardware), 0)) + os.urandom(4) + bytes(4) + socket.inet_aton(address) + bytes(12)
    body = hardware.ljust(16, b"\0") + bytes(192) + _MAGIC
    options = bytes((_MESSAGE_TYPE, 1, _RELEASE, _SERVER_ID, 4)) + socket.inet_aton(server) + bytes((_END,))
    return head + body + options


def send_release(mac: str, address: str, server: str) -> None:
    """Send it to the dnsmasq of the namespace that the calling thread is in; there is no answer to wait for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # dnsmasq listens on `gw` alone; to the kernel a packet to an own address comes from there when bound to it.
        sender.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, b"gw\0")
        sender.sendto(release_packet(mac, address, server), (server, 67))
