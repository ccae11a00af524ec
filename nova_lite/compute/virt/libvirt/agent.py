# SPDX-License-Identifier: Apache-2.0
"""The agent inside a guest: awaited while the guest still boots, then called."""

from __future__ import annotations

import queue
import time
from typing import Any

from nova_lite.compute.virt.libvirt.domains import Domains, devices_of
from nova_lite.compute.virt.libvirt.events import DomainEvents
from nova_lite.compute.virt.libvirt.xml.devices import AGENT_CHANNEL

# A guest that has just been started answers when it has booted: 22 s where two CPUs emulate several. Clients wait a minute.
WAIT_S = 45.0


def set_password(  # through what, and of whom
    domains: Domains, events: DomainEvents, server_id: str, *, user: str, password: str, wait_s: float = WAIT_S
) -> None:
    """Have the agent change a user's password, once it has connected.

    :raises errors.HypervisorFailed: it does not connect within `wait_s`, or refuses.
    """
    _wait(domains, events, server_id, wait_s)
    domains.run("set a password", lambda conn: domains.get(conn, server_id).setUserPassword(user, password))


def _wait(domains: Domains, events: DomainEvents, server_id: str, wait_s: float) -> None:
    """Wait until the agent is connected or will not be; the next call to it then fails with the reason."""
    deadline = time.monotonic() + wait_s
    with events.listen(server_id) as inbox:
        if not domains.run("look for the guest's agent", lambda conn: _may_connect(domains.get(conn, server_id))):
            return
        while (remaining := deadline - time.monotonic()) > 0:
            try:
                event = inbox.get(timeout=remaining)
            except queue.Empty:
                return
            if event.is_agent or event.is_off:
                return


def _may_connect(domain: Any) -> bool:
    """Whether the running guest has a channel for an agent that has not connected yet."""
    if not domain.isActive():
        return False
    channel = devices_of(domain).find(f"devices/channel/target[@name='{AGENT_CHANNEL}']")
    return channel is not None and channel.get("state") != "connected"
