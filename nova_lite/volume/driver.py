# SPDX-License-Identifier: Apache-2.0
"""What drivers of volumes promise: a pool, where volumes and snapshots are, and the exports by which hosts reach them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from nova_lite.rpc.compute import Image
from nova_lite.rpc.volume import Content, Export, PoolReport, Snapshot, Volume

# Called now and then while something takes long: raises when its result is not needed any more.
Check = Callable[[], None]


class ResizedBy(StrEnum):
    """Who lets a guest see that its volume has grown: what serves it to its host, or the guest's hypervisor."""

    STORAGE = "storage"
    HYPERVISOR = "hypervisor"


class LiveSnapshot(StrEnum):
    """Who makes a snapshot of a volume in use; with the hypervisor: it lets the guest write to what the volume has become."""

    STORAGE = "storage"
    HYPERVISOR = "hypervisor"
    NONE = "none"


@dataclasses.dataclass(frozen=True)
class ImageFile:
    """An image on this host, which refers to no other file; `virtual_size` in bytes."""

    path: Path
    disk_format: str
    virtual_size: int


class ImageSource(Protocol):
    """Where images come from."""

    def fetched(self, image: Image, *, max_bytes: int, check: Check) -> contextlib.AbstractContextManager[ImageFile]:
        """The image as a file, for the while; its bytes are those that the image service recorded.

        :raises errors.ImageFailed: it cannot be downloaded, is damaged, unsafe, or its disk larger than `max_bytes`.
        """


class PoolDriver(Protocol):
    """One backend's volumes and snapshots, by their provider names.

    Each method may be called again with the same effect, also after a crash in its middle; one that fails leaves nothing behind,
    and raises errors.VolumeFailed. The caller holds the lock of each volume that is named. `is_in_use`: the volume is exported.
    """

    def open(self, *, volumes: Sequence[Volume], snapshots: Sequence[Snapshot]) -> None:
        """After a start: see that the pool can be used, and remove what is half made. Given is what the worker has records of.

        :raises errors.VolumeFailed: it cannot; the reason says what it lacks.
        """

    def close(self) -> None:
        """End what lives in this process only; volumes stay, and so does what guests have open."""

    def pools(self) -> tuple[PoolReport, ...]:
        """What the backend has and can."""

    def names(self) -> frozenset[str]:
        """The provider names of what is there."""

    def create(self, volume: Volume, content: Content, *, is_in_use: bool, images: ImageSource, check: Check) -> int | None:
        """Make the volume of its size, with that content; one that is there is kept as it is.

        `is_in_use`: of the volume that it is made from.

        Returns the bytes of the image's disk, where it is made from one and was not there.
        """

    def delete(self, volume: Volume) -> None:
        """Remove the volume, which nobody uses; none is fine. What was made from it stays whole."""

    def extend(self, volume: Volume, *, is_in_use: bool) -> ResizedBy:
        """Grow the volume to its size; one as large is fine."""

    def create_snapshot(self, snapshot: Snapshot, *, is_in_use: bool) -> LiveSnapshot:
        """Keep the volume's present content; one of that name is kept as it is.

        Of a volume in use: as after a power cut. HYPERVISOR: the guest writes to the snapshot until its hypervisor does its part.
        Refused where `live_snapshot` is none.
        """

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Remove the snapshot; none is fine. What was made from it stays whole."""

    def revert(self, volume: Volume, snapshot: Snapshot) -> None:
        """Give the volume, which nobody uses, the snapshot's content; its size stays."""

    def overwrite(self, volume: Volume, image: ImageFile, *, check: Check) -> None:
        """Give the volume, which nobody uses, the image's content in place of its own; its size stays, and so do its snapshots."""

    def image_of(
        self, volume: Volume, disk_format: str, *, is_in_use: bool, check: Check
    ) -> contextlib.AbstractContextManager[BinaryIO]:
        """The volume's content as an image in that format, which can be read again, for the while."""


class ExportDriver(Protocol):
    """Makes volumes of one pool reachable for hosts. Idempotent by the attachment's id, as the methods of a pool."""

    @property
    def capabilities(self) -> dict[str, Any]:  # by Cinder's names
        """What exports add to the pool's report."""

    @property
    def reach(self) -> str:
        """`host`: only guests of this host can have them; `network`: those of every host."""

    def restore(self, exports: Sequence[Export]) -> None:
        """After a start: make again what is lost, and end what is none of these."""

    def export(self, export: Export) -> dict[str, Any]:  # Cinder's connection_info
        """Make the volume reachable for the attachment; `driver_volume_type` and `data`, the same when called again."""

    def unexport(self, export: Export) -> None:
        """End it, its open sessions too; none is fine."""

    def extended(self, volume: Volume) -> None:
        """The volume has grown: its exports, if there are any, show the new size."""

    def close(self) -> None:
        """As of a pool."""

    def remove_all(self) -> None:
        """As `close`, and end what outlives this process too."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """One of the worker's backends."""

    name: str
    pool: PoolDriver
    exports: ExportDriver
    keeps_volumes: bool = True  # when the worker ends
