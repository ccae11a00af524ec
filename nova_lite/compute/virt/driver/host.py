# SPDX-License-Identifier: Apache-2.0
"""The hypervisor itself and the hosts that it makes a worker's."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.conductor import Inventory

# Called with server id and new state for each change of a guest's power; must not block.
PowerListener = Callable[[str, Power], None]


class HostDriver(Protocol):
    """See the package for what holds for every method."""

    def open(self, on_power: PowerListener) -> None:
        """Start to watch guests. A hypervisor that does not answer is no error: the driver connects when it does."""

    def close(self) -> None:
        """Stop watching; guests keep running."""

    def check(self, action: str) -> None:
        """Check that the hypervisor answers, before an action that a client waits for.

        :raises errors.HypervisorFailed: it does not within a few seconds, so `action` cannot be done.
        """

    def inventory(self) -> tuple[Inventory, ...]:
        """What each host of this worker has."""
        ...

    def clean(self, kept: Collection[Guest]) -> None:
        """Remove partial files, expired snapshots, and cached images that no guest in `kept` needs."""
