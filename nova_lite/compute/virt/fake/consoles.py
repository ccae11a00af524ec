# SPDX-License-Identifier: Apache-2.0
"""Consoles of simulated guests."""

from __future__ import annotations

import socket

from nova_lite.compute.virt.fake import console_server
from nova_lite.compute.virt.fake.state import FakeState
from nova_lite.rpc.compute import ConsoleType


class FakeConsoles:
    """See nova_lite.compute.virt.driver.consoles."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def connect(self, server_id: str, type: ConsoleType) -> socket.socket:  # noqa: A002 - Nova's name
        return console_server.connect(type, self._state.get(server_id, "open a console").guest.hostname)

    def output(self, server_id: str) -> str:
        return "".join(f"{line}\n" for line in self._state.get(server_id, "read the console").console)
