# SPDX-License-Identifier: Apache-2.0
"""A directory of this host as a pool: raw files where its file system can clone them, otherwise qcow2 files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.rpc.volume import Content, ContentSource, PoolReport, Snapshot, Volume
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.directory.layout import BadName, InUse, Layout
from nova_lite.volume.directory.qcow2_files import BadFile, Qcow2Files
from nova_lite.volume.directory.raw_files import RawFiles, can_clone
from nova_lite.volume.driver import Check, ImageFile, ImageSource, LiveSnapshot, ResizedBy
from nova_lite.worker import commands, files
from nova_lite.worker.state_lock import StateLock

LOG = logging.getLogger(__name__)
_FORMATS = ("raw", "qcow2")
_GIB = 1 << 30


class PoolOptions(Protocol):
    """What is configured of a backend."""

    name: str
    host: str
    reserved_percentage: int
    max_over_subscription_ratio: float
    min_free_gb: int

    @property
    def backend_name(self) -> str: ...

    @property
    def directory(self) -> Path: ...


class Files(Protocol):
    """How the pool keeps volumes in files. Sizes in bytes; a file that is to be made is not there yet."""

    disk_format: str
    live_snapshot: LiveSnapshot
    clone_cost: str

    def open(self) -> None: ...

    def size_of(self, path: Path) -> int: ...

    def create_blank(self, path: Path, size: int) -> None: ...

    def create_from_image(self, path: Path, size: int, image: ImageFile, *, check: Check) -> None: ...

    def create_from_volume(self, path: Path, size: int, volume: Path, *, is_in_use: bool, check: Check) -> None: ...

    def create_from_snapshot(self, path: Path, size: int, snapshot: Path, *, check: Check) -> None: ...

    def overwrite(self, path: Path, size: int, image: ImageFile, *, check: Check) -> None: ...

    def delete(self, path: Path) -> None: ...

    def extend(self, path: Path, size: int, *, is_in_use: bool) -> ResizedBy: ...

    def create_snapshot(self, snapshot: Path, volume: Path, *, is_in_use: bool) -> None: ...

    def delete_snapshot(self, snapshot: Path) -> None: ...

    def revert(self, path: Path, size: int, snapshot: Path) -> None: ...

    def reading(self, path: Path, disk_format: str, *, is_in_use: bool, check: Check) -> contextlib.AbstractContextManager[Path]: ...


class DirectoryPool:
    """See nova_lite.volume.driver.PoolDriver."""

    def __init__(self, options: PoolOptions, *, timeout_s: float, is_raw: bool = False) -> None:
        """`is_raw`: whatever the file system can, as what serves the volumes knows no other format."""
        self._options, self._timeout_s, self._is_raw = options, timeout_s, is_raw
        self.layout = Layout(options.directory)
        self._mark = options.directory / "pool.json"
        self._lock = StateLock(options.directory)
        self._files: Files | None = None

    def open(self, *, volumes: Sequence[Volume], snapshots: Sequence[Snapshot]) -> None:
        if shutil.which("qemu-img") is None:
            raise self._failed("open the pool", "qemu-img is not installed")
        if volumes and not self._mark.exists():
            raise self._failed("open the pool", f"there is no {self._mark}, and volumes were made here: is its file system mounted?")
        with self._failing("open the pool"), contextlib.ExitStack() as undo:
            self.layout.root.mkdir(mode=0o711, parents=True, exist_ok=True)
            self._lock.take()
            undo.callback(self._lock.release)
            self.layout.open()
            found = self._choose()
            found.open()
            self._files = found
            undo.pop_all()
        here = self.layout.names()
        known = [volume.provider_name for volume in volumes] + [snapshot.provider_name for snapshot in snapshots]
        for lost in [name for name in known if name not in here]:
            LOG.warning("%s: there is no file of %s, which was made here", self.layout.root, lost)

    def close(self) -> None:
        self._files = None
        self._lock.release()

    def pools(self) -> tuple[PoolReport, ...]:
        if not self._mark.exists():
            raise self._failed("report the pool", f"{self._mark} has gone: is its file system mounted?")
        options, disk = self._options, os.statvfs(self.layout.root)
        return (PoolReport(
            backend=options.name, pool=options.backend_name, total_gb=round(disk.f_blocks * disk.f_frsize / _GIB, 2),
            free_gb=round(disk.f_bavail * disk.f_frsize / _GIB, 2), reserved_percentage=options.reserved_percentage,
            max_over_subscription_ratio=options.max_over_subscription_ratio, capabilities={
                "volume_backend_name": options.backend_name, "vendor_name": "Open Source", "driver_version": "1.0",
                "multiattach": self.files.disk_format == "raw", "QoS_support": True, "online_extend_support": True,
                "thin_provisioning_support": True, "thick_provisioning_support": False,
                "live_snapshot": str(self.files.live_snapshot), "clone_cost": self.files.clone_cost, "disk_format": self.files.disk_format,
                "floor_gb": options.min_free_gb,
            }),)

    def names(self) -> frozenset[str]:
        with self._failing("list volumes"):
            return self.layout.names()

    def create(self, volume: Volume, content: Content, *, is_in_use: bool, images: ImageSource, check: Check) -> int | None:
        with self._failing("make the volume"):
            path, size = self.layout.volume(volume.provider_name), volume.size_gb * _GIB
            if path.exists():
                return None
            check = self._while_there_is_space("make the volume", check)
            check()
            fail("volume.create.make")
            if content.source is ContentSource.IMAGE:
                assert content.image is not None
                with images.fetched(content.image, max_bytes=size, check=check) as image:
                    self.files.create_from_image(path, size, image, check=check)
                    return image.virtual_size
            if content.source is ContentSource.SNAPSHOT:
                self.files.create_from_snapshot(path, size, self.layout.snapshot(content.provider_name), check=check)
            elif content.source is ContentSource.VOLUME:
                self.files.create_from_volume(
                    path, size, self.layout.volume(content.provider_name), is_in_use=is_in_use, check=check)
            else:
                self.files.create_blank(path, size)
        return None

    def delete(self, volume: Volume) -> None:
        with self._failing("delete the volume"):
            self.files.delete(self.layout.volume(volume.provider_name))

    def extend(self, volume: Volume, *, is_in_use: bool) -> ResizedBy:
        with self._failing("extend the volume"):
            path, size = self.path_of(volume), volume.size_gb * _GIB
            if self.files.size_of(path) < size:
                self._check_space("extend the volume")
            return self.files.extend(path, size, is_in_use=is_in_use)

    def create_snapshot(self, snapshot: Snapshot, *, is_in_use: bool) -> LiveSnapshot:
        with self._failing("make a snapshot"):
            path = self.layout.snapshot(snapshot.provider_name)
            if not path.is_symlink() and not path.exists():
                volume = self.path_of(snapshot.volume)
                self._check_space("make a snapshot")
                self.files.create_snapshot(path, volume, is_in_use=is_in_use)
        return self.files.live_snapshot if is_in_use else LiveSnapshot.STORAGE

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        with self._failing("delete the snapshot"):
            self.files.delete_snapshot(self.layout.snapshot(snapshot.provider_name))

    def revert(self, volume: Volume, snapshot: Snapshot) -> None:
        with self._failing("revert the volume"):
            path = self.path_of(volume)
            self.files.revert(path, volume.size_gb * _GIB, self.layout.snapshot(snapshot.provider_name))

    def overwrite(self, volume: Volume, image: ImageFile, *, check: Check) -> None:
        with self._failing("overwrite the volume"):
            path = self.path_of(volume)
            check = self._while_there_is_space("overwrite the volume", check)
            check()
            self.files.overwrite(path, volume.size_gb * _GIB, image, check=check)

    @contextlib.contextmanager
    def image_of(self, volume: Volume, disk_format: str, *, is_in_use: bool, check: Check) -> Iterator[BinaryIO]:
        if disk_format not in _FORMATS:
            raise self._failed("read the volume", f"disk format {disk_format} is none of {', '.join(_FORMATS)}")
        with contextlib.ExitStack() as stack:
            with self._failing("read the volume"):
                path = self.path_of(volume)
                check = self._while_there_is_space("read the volume", check)
                check()
                image = stack.enter_context(self.files.reading(path, disk_format, is_in_use=is_in_use, check=check))
                stream = stack.enter_context(image.open("rb"))
            yield stream

    @property
    def files(self) -> Files:
        """:raises errors.VolumeFailed: the pool is not open."""
        if self._files is None:
            raise self._failed("use the pool", "it is not open")
        return self._files

    def path_of(self, volume: Volume) -> Path:
        """The volume's file.

        :raises errors.VolumeFailed: there is none.
        """
        try:
            path = self.layout.volume(volume.provider_name)
        except BadName as error:
            raise self._failed("use the volume", error) from error
        if not path.exists():
            raise self._failed("use the volume", f"there is no file of {volume.provider_name} in the pool")
        return path

    def _choose(self) -> Files:
        """As the pool's volumes are; of a new pool as its file system can.

        :raises errors.VolumeFailed: they are to be raw, and are not.
        """
        clones = can_clone(self.layout)
        known = json.loads(self._mark.read_text())["disk_format"] if self._mark.exists() else None
        disk_format = known or ("raw" if clones or self._is_raw else "qcow2")
        if self._is_raw and disk_format != "raw":
            raise self._failed("open the pool", f"the volumes in {self.layout.root} are {disk_format} files: choose another pool_path")
        if known is None:
            files.replace(self._mark, json.dumps({"disk_format": disk_format}))
        if disk_format == "raw":
            return RawFiles(self.layout, timeout_s=self._timeout_s, clones=clones)
        return Qcow2Files(self.layout, timeout_s=self._timeout_s)

    def _while_there_is_space(self, action: str, check: Check) -> Check:
        """`check`, and that a copy leaves guests the space that they need."""
        def check_both() -> None:
            check()
            self._check_space(action)

        return check_both

    def _check_space(self, action: str) -> None:
        """:raises errors.VolumeFailed: less is free than what guests need that write to their thin volumes."""
        disk, floor = os.statvfs(self.layout.root), self._options.min_free_gb
        free = disk.f_bavail * disk.f_frsize
        if free < floor * _GIB:
            raise self._failed(action, f"pool {self._options.backend_name} has {free / _GIB:.2f} GiB free, and keeps {floor} GiB (min_free_gb)")

    def _failed(self, action: str, reason: object) -> errors.VolumeFailed:
        return errors.VolumeFailed(host=self._options.host, action=action, reason=reason)

    @contextlib.contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        """Raise failures of programs and files as errors.VolumeFailed."""
        try:
            yield
        except FileNotFoundError as error:
            raise self._failed(action, f"there is no {Path(error.filename or 'such file').name} in the pool") from error
        except OSError as error:
            raise self._failed(action, error.strerror or error) from error
        except (commands.CommandFailed, InUse, BadFile, BadName) as error:
            raise self._failed(action, error) from error
