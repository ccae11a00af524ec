# SPDX-License-Identifier: Apache-2.0
"""Power of guests."""

from __future__ import annotations

from typing import Protocol

from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest


class PowerDriver(Protocol):
    """See the package for what holds for every method. A guest that is not defined is refused, except by `state`
    and by the methods that take a `Guest`, which define it."""

    def state(self, server_id: str) -> Power:
        """NOSTATE: the guest is not defined. SUSPENDED: its memory is saved on disk."""
        ...

    def start(self, guest: Guest) -> None:
        """Power on, from saved memory if there is any; a running or paused guest is not changed."""

    def stop(self, server_id: str, *, timeout_s: float) -> None:
        """Press the power button (ACPI) and power off after `timeout_s`, 0: at once. Saved memory of a guest is kept."""

    def reboot_soft(self, server_id: str, *, timeout_s: float) -> bool:
        """Press the reset button (ACPI); False: the guest is not running, or did not restart within `timeout_s`."""
        ...

    def reboot_hard(self, guest: Guest) -> None:
        """Power off at once, discard saved memory, give the guest this definition and power on, in any state."""

    def pause(self, server_id: str) -> None:
        """Freeze the CPUs of a running guest."""

    def unpause(self, server_id: str) -> None:
        """Let the CPUs of a paused guest run."""

    def suspend(self, server_id: str) -> None:
        """Save the memory of a running or paused guest to disk and power it off."""

    def resume(self, guest: Guest) -> None:
        """Power on from saved memory; the guest runs even if it was paused when it was saved."""

    def trigger_crash_dump(self, server_id: str) -> None:
        """Send an NMI to a running guest: one that is set up for it dumps its memory."""
