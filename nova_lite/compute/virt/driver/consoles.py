# SPDX-License-Identifier: Apache-2.0
"""Consoles of guests."""

from __future__ import annotations

import socket
from typing import Protocol

from nova_lite.rpc.compute import ConsoleType


class ConsoleDriver(Protocol):
    """See the package for what holds for every method."""

    def connect(self, server_id: str, type: ConsoleType) -> socket.socket:  # noqa: A002 - Nova's name
        """A new connection to a console of a running guest: RFB (RFC 6143), or the bytes of its first serial port."""
        ...

    def output(self, server_id: str) -> str:
        """The log of the first serial port, oldest first, since the guest was last powered on; "" when there is none."""
        ...
