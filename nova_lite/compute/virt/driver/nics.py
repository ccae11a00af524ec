# SPDX-License-Identifier: Apache-2.0
"""NICs that come to guests and leave them."""

from __future__ import annotations

from typing import Protocol

from nova_lite.rpc.compute import Guest, Nic


class NicDriver(Protocol):
    """See the package for what holds for every method."""

    def attach(self, guest: Guest, nic: Nic) -> None:
        """Give the guest the NIC, with the model and limits of the guest's image and flavor: at once if it runs.

        A guest that is not defined gets it when it is.
        """

    def detach(self, server_id: str, nic: Nic, *, timeout_s: float) -> None:
        """Take the NIC from the guest; a NIC or guest that does not exist is fine.

        :raises errors.HypervisorFailed: also when the running guest does not release it within `timeout_s`, or is paused.
        """
