# SPDX-License-Identifier: Apache-2.0
"""The agent inside a guest: waited for while the guest still boots, then asked."""

from __future__ import annotations

import queue
import time
import xml.etree.ElementTree as ET
from typing import Any

from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.events import Waiters
from nova_lite.compute.virt.libvirt.xml.devices import AGENT_CHANNEL

# A guest that has just been started answers when its boot is over: 22 s where two CPUs emulate several. Clients wait a minute.
WAIT_S = 45.0


def set_password(
    connection: Connection, waiters: Waiters, server_id: str, *, user: str, password: str, wait_s: float = WAIT_S
) -> None:
    """Ask the agent to change a user's password, once it is there.

    :raises errors.HypervisorFailed: it does not come within `wait_s`, or refuses.
    """
    _wait(connection, waiters, server_id, wait_s)
    connection.run("set a password", lambda conn: conn.lookupByUUIDString(server_id).setUserPassword(user, password))


def _wait(connection: Connection, waiters: Waiters, server_id: str, wait_s: float) -> None:
    """Until the agent is there or there is nothing to wait for; who asks it next hears why it is not."""
    deadline = time.monotonic() + wait_s
    with waiters.listen(server_id) as inbox:
        if not connection.run("look for the guest's agent", lambda conn: _is_coming(conn.lookupByUUIDString(server_id))):
            return
        while (left := deadline - time.monotonic()) > 0:
            try:
                happening = inbox.get(timeout=left)
            except queue.Empty:
                return
            if happening.is_agent or happening.is_off:
                return


def _is_coming(domain: Any) -> bool:
    """Whether the running guest has a channel for an agent that has not connected yet."""
    if not domain.isActive():
        return False
    channel = ET.fromstring(domain.XMLDesc()).find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return channel is not None and channel.get("state") != "connected"
