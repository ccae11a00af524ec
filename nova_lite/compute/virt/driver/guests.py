# SPDX-License-Identifier: Apache-2.0
"""Guests as the hypervisor knows them."""

from __future__ import annotations

from typing import Protocol

from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestPlacement
from nova_lite.rpc.diagnostics import GuestDiagnostics


class GuestDriver(Protocol):
    """See the package for what holds for every method."""

    def list_ours(self) -> dict[str, Power]:
        """Power state by server id of all guests that this worker defined; guests of others on the host are left out."""
        ...

    def define(self, guest: Guest) -> None:
        """Make the guest known to the hypervisor, or give it this definition; one that runs is not changed.

        :raises errors.HypervisorFailed: also when the host lacks hardware that the guest requires.
        """

    def destroy(self, server_id: str) -> None:
        """Power off at once and make the hypervisor forget the guest, saved memory included; its disks are kept."""

    def diagnostics(self, guest: Guest) -> GuestDiagnostics:
        """What the running guest uses."""
        ...

    def placement(self, guest: Guest) -> GuestPlacement:
        """CPUs and memory pages of the host, and PCI addresses of NICs, that the defined guest has or gets at power-on."""
        ...

    def set_password(self, server_id: str, *, user: str, password: str) -> None:
        """Change a user's password in the running guest.

        :raises errors.HypervisorFailed: also when the driver needs an agent in the guest and none answers.
        """
