# SPDX-License-Identifier: Apache-2.0
"""Copies of guests' root disks."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from nova_lite.compute.virt.driver.images import Check
from nova_lite.rpc.compute import Guest


class SnapshotDriver(Protocol):
    """See the package for what holds for every method."""

    def take(self, guest: Guest, snapshot_id: str, *, check: Check) -> None:
        """Copy the root disk as of one moment into a qcow2 image without a backing file, in any power state.

        The guest keeps running, and the copy is kept until it is removed. What `check` raises ends the copying.

        :raises errors.HypervisorFailed: also when the root disk is a volume.
        """

    def open(self, server_id: str, snapshot_id: str) -> BinaryIO:
        """The copy's bytes, seekable; they stay readable when it is removed meanwhile.

        :raises errors.HypervisorFailed: there is no such copy.
        """
        ...

    def remove(self, server_id: str, snapshot_id: str) -> None:
        """Remove the copy; none is fine."""
