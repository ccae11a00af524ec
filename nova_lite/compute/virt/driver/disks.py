# SPDX-License-Identifier: Apache-2.0
"""Disks of guests: made, replaced by a rescue's, resized, removed."""

from __future__ import annotations

from typing import Protocol

from nova_lite.rpc.compute import Guest


class DiskDriver(Protocol):
    """See the package for what holds for every method. The guest is off, except for `make_config_drive`."""

    def owners(self) -> frozenset[str]:
        """Ids of the servers that have files on this host."""
        ...

    def make(self, guest: Guest) -> None:
        """Make all disks of the guest; one that exists is kept as it is.

        :raises errors.ImageFailed: the guest's image is not on the host.
        """

    def make_config_drive(self, guest: Guest) -> None:
        """Make the disk that carries `guest.documents` anew; while the guest is rescued, the rescue's own."""

    def clear(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        """Remove the disks of a destroyed guest, so that they are made anew; its other files are kept."""

    def remove(self, server_id: str) -> None:
        """Remove all files of a destroyed guest; none is fine."""

    def make_rescue(self, guest: Guest) -> None:
        """Make the disk of `guest.rescue`; one that exists is kept as it is.

        :raises errors.ImageFailed: the image is not on the host, or requires a device that no guest here can have.
        """

    def remove_rescue(self, server_id: str) -> None:
        """Remove the rescue disk and its config drive; none is fine."""

    def set_aside(self, server_id: str) -> None:
        """Keep the disks as they are until `restore` or `discard`; what is set aside already is kept."""

    def resize(self, guest: Guest) -> None:
        """Make the guest's disks in its new sizes, from copies of those set aside; one that exists is kept as it is.

        :raises errors.HypervisorFailed: a disk would have to shrink.
        """

    def restore(self, guest: Guest) -> None:
        """Replace the guest's disks by those set aside; none is fine. `guest` has the old sizes."""

    def discard(self, server_id: str) -> None:
        """Remove what was set aside; none is fine."""
