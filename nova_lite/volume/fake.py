# SPDX-License-Identifier: Apache-2.0
"""Volumes in memory, for the fake hypervisor: they have names, sizes and a few bytes, and take no space."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Protocol

from nova_lite import errors
from nova_lite.rpc.compute import Image
from nova_lite.rpc.volume import Content, ContentSource, Export, PoolReport, Snapshot, Volume
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.driver import Check, ImageFile, ImageSource, LiveSnapshot, ResizedBy
from nova_lite.worker.images.empty_qcow2 import empty_qcow2

_TOTAL_GB = 100_000.0
_FORMATS = ("raw", "qcow2")
_MAX_CONTENT = 1 << 20


class PoolOptions(Protocol):
    """What is configured of a backend."""

    name: str
    host: str
    reserved_percentage: int
    max_over_subscription_ratio: float

    @property
    def backend_name(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class _Kept:
    size_gb: int
    content: bytes = b""


class FakePool:
    """See nova_lite.volume.driver; safe for threads."""

    def __init__(self, options: PoolOptions) -> None:
        self._options = options
        self._guard = threading.Lock()
        self._volumes: dict[str, _Kept] = {}
        self._snapshots: dict[str, _Kept] = {}

    def open(self, *, volumes: Sequence[Volume], snapshots: Sequence[Snapshot]) -> None:
        """The volumes of an earlier process are here again, empty."""
        with self._guard:
            for volume in volumes:
                self._volumes.setdefault(volume.provider_name, _Kept(volume.size_gb))
            for snapshot in snapshots:
                self._snapshots.setdefault(snapshot.provider_name, _Kept(snapshot.volume.size_gb))

    def close(self) -> None:
        """Nothing runs."""

    def pools(self) -> tuple[PoolReport, ...]:
        options = self._options
        return (PoolReport(
            backend=options.name, pool=options.backend_name, total_gb=_TOTAL_GB, free_gb=_TOTAL_GB,
            reserved_percentage=options.reserved_percentage, max_over_subscription_ratio=options.max_over_subscription_ratio,
            capabilities={
                "volume_backend_name": options.backend_name, "vendor_name": "Open Source", "driver_version": "1.0",
                "multiattach": True, "QoS_support": True, "online_extend_support": True, "thin_provisioning_support": True,
                "thick_provisioning_support": False, "live_snapshot": str(LiveSnapshot.HYPERVISOR), "clone_cost": "none",
            }),)

    def names(self) -> frozenset[str]:
        with self._guard:
            return frozenset((*self._volumes, *self._snapshots))

    def create(self, volume: Volume, content: Content, *, is_in_use: bool, images: ImageSource, check: Check) -> int | None:
        check()
        fail("volume.create.make")
        with self._guard:
            if volume.provider_name in self._volumes:
                return None
            if content.source is ContentSource.BLANK or content.image is not None:
                self._check_fits(volume, content.image)
                self._volumes[volume.provider_name] = _Kept(volume.size_gb)
                return content.image.size if content.image is not None else None
            source = self._get(content.provider_name, "make a volume from another")
            self._volumes[volume.provider_name] = dataclasses.replace(source, size_gb=volume.size_gb)
        return None

    def delete(self, volume: Volume) -> None:
        with self._guard:
            self._volumes.pop(volume.provider_name, None)

    def extend(self, volume: Volume, *, is_in_use: bool) -> ResizedBy:
        with self._guard:
            kept = self._get(volume.provider_name, "extend the volume")
            self._volumes[volume.provider_name] = dataclasses.replace(kept, size_gb=max(kept.size_gb, volume.size_gb))
        return ResizedBy.HYPERVISOR if is_in_use else ResizedBy.STORAGE

    def create_snapshot(self, snapshot: Snapshot, *, is_in_use: bool) -> LiveSnapshot:
        with self._guard:
            if snapshot.provider_name not in self._snapshots:
                self._snapshots[snapshot.provider_name] = self._get(snapshot.volume.provider_name, "make a snapshot")
        return LiveSnapshot.HYPERVISOR if is_in_use else LiveSnapshot.STORAGE

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        with self._guard:
            self._snapshots.pop(snapshot.provider_name, None)

    def revert(self, volume: Volume, snapshot: Snapshot) -> None:
        with self._guard:
            kept = self._get(snapshot.provider_name, "revert the volume")
            self._volumes[volume.provider_name] = dataclasses.replace(kept, size_gb=volume.size_gb)

    def overwrite(self, volume: Volume, image: ImageFile, *, check: Check) -> None:
        check()
        content = image.path.read_bytes() if image.virtual_size <= _MAX_CONTENT else b""
        with self._guard:
            self._volumes[volume.provider_name] = dataclasses.replace(
                self._get(volume.provider_name, "overwrite the volume"), content=content.rstrip(b"\0"))

    @contextlib.contextmanager
    def image_of(self, volume: Volume, disk_format: str, *, is_in_use: bool, check: Check) -> Iterator[BinaryIO]:
        check()
        with self._guard:
            kept = self._get(volume.provider_name, "read the volume")
        if disk_format not in _FORMATS:
            raise self._refused("read the volume", f"disk format {disk_format} is none of {', '.join(_FORMATS)}")
        yield io.BytesIO(empty_qcow2(kept.size_gb << 30) if disk_format == "qcow2" else kept.content or bytes(512))

    def write(self, name: str, content: bytes) -> None:
        """As a guest of the volume would."""
        with self._guard:
            self._volumes[name] = dataclasses.replace(self._get(name, "write"), content=content)

    def size_gb(self, name: str) -> int:
        with self._guard:
            return self._get(name, "look at the volume").size_gb

    def _check_fits(self, volume: Volume, image: Image | None) -> None:
        """:raises errors.ImageFailed: it does not; only the size of its file is known here."""
        if image is not None and image.size > volume.size_gb << 30:
            raise errors.ImageFailed(host=self._options.host, id=image.id, reason=f"it does not fit in the volume's {volume.size_gb} GiB")

    def _get(self, name: str, action: str) -> _Kept:
        """:raises errors.VolumeFailed: it is not here."""
        kept = self._volumes.get(name) or self._snapshots.get(name)
        if kept is None:
            raise self._refused(action, f"there is no {name} in the pool")
        return kept

    def _refused(self, action: str, reason: str) -> errors.VolumeFailed:
        return errors.VolumeFailed(host=self._options.host, action=action, reason=reason)


class FakeExports:
    """See nova_lite.volume.driver: guests that are simulated open nothing."""

    reach = "network"

    def __init__(self, pool: FakePool) -> None:
        self._pool = pool

    @property
    def capabilities(self) -> dict[str, Any]:
        return {"storage_protocol": "fake"}

    def restore(self, exports: Sequence[Export]) -> None:
        """Nothing can be lost."""

    def export(self, export: Export) -> dict[str, Any]:
        self._pool.size_gb(export.volume.provider_name)  # which is there
        return {"driver_volume_type": "fake", "data": {"access_mode": "ro" if export.is_read_only else "rw"}}

    def unexport(self, export: Export) -> None:
        """There is nothing to end."""

    def extended(self, volume: Volume) -> None:
        """Nothing shows a size."""

    def close(self) -> None:
        """Nothing runs."""

    def remove_all(self) -> None:
        """Nothing runs."""
