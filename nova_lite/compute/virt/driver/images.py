# SPDX-License-Identifier: Apache-2.0
"""Images on the host, from which disks are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nova_lite.rpc.compute import Guest, Image

# Called now and then during long work; raises errors.StaleRequest when the work is not needed any more.
Check = Callable[[], None]


class ImageDriver(Protocol):
    """See the package for what holds for every method."""

    def fetch(self, guest: Guest, *, check: Check) -> None:
        """Have the guest's image on the host; what `check` raises ends the download.

        :raises errors.ImageFailed: it cannot be downloaded, is damaged or unsafe, or does not fit in the root disk.
        :raises errors.HypervisorFailed: also when the host lacks hardware that the guest requires.
        """

    def cache(self, image: Image) -> None:
        """Have an image on the host before a guest needs it.

        :raises errors.ImageFailed: as `fetch`.
        """
