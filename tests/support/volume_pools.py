# SPDX-License-Identifier: Apache-2.0
"""Pools of every driver of volumes, for tests that hold on all of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import struct
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nova_lite import conf as options
from nova_lite.rpc.volume import Content, Snapshot, Volume
from nova_lite.volume import backends
from nova_lite.volume.directory.pool import DirectoryPool
from nova_lite.volume.driver import Backend, ExportDriver, PoolDriver
from nova_lite.volume.fake import FakePool
from nova_lite.volume.images import Images
from tools.lib.services.service import free_port

KINDS = ("fake", "directory-qcow2", "directory-raw", "tgt", "tgt-raw")


def missing_for(kind: str) -> str:
    """What this machine lacks for such a pool; empty: nothing."""
    programs = {"fake": (), "directory-qcow2": ("qemu-img", "qemu-io"), "directory-raw": ("qemu-img", "mkfs.xfs"), "tgt": ("qemu-img", "tgtd"),
                "tgt-raw": ("qemu-img", "tgtd", "mkfs.xfs")}[kind]
    lacking = [program for program in programs if shutil.which(program) is None]
    return ", ".join([*lacking, *(["root"] if kind not in ("fake", "directory-qcow2") and os.geteuid() else [])])


@dataclasses.dataclass
class Subject:
    """A pool and its exports, and how a test writes to its volumes as a guest would."""

    backend: Backend
    images: Images
    write_to: Callable[[Volume, int], None]
    size_gb: Callable[[Volume], int]
    volumes: list[Volume] = dataclasses.field(default_factory=list)
    snapshots: list[Snapshot] = dataclasses.field(default_factory=list)

    @property
    def pool(self) -> PoolDriver:
        return self.backend.pool

    @property
    def exports(self) -> ExportDriver:
        return self.backend.exports

    def volume(self, *, size_gb: int = 1) -> Volume:
        volume_id = str(uuid.uuid4())
        return Volume(volume_id=volume_id, project_id="p", backend=self.backend.name, pool=self.backend.name, size_gb=size_gb,
                      provider_name=f"volume-{volume_id}")

    def snapshot(self, volume: Volume) -> Snapshot:
        snapshot_id = str(uuid.uuid4())
        self.snapshots.append(Snapshot(snapshot_id=snapshot_id, volume=volume, provider_name=f"_snapshot-{snapshot_id}"))
        return self.snapshots[-1]

    def create(self, volume: Volume, content: Content) -> int | None:
        self.volumes.append(volume)
        return self.pool.create(volume, content, is_in_use=False, images=self.images, check=lambda: None)

    def created(self, content: Content, *, size_gb: int = 1) -> Volume:
        volume = self.volume(size_gb=size_gb)
        self.create(volume, content)
        return volume

    def snapshotted(self, volume: Volume) -> Snapshot:
        snapshot = self.snapshot(volume)
        self.pool.create_snapshot(snapshot, is_in_use=False)
        return snapshot

    def resized(self, volume: Volume, *, size_gb: int) -> Volume:
        return dataclasses.replace(volume, size_gb=size_gb)

    def write(self, volume: Volume, letter: str) -> None:
        """As a guest of the volume would."""
        self.write_to(volume, ord(letter))

    def first(self, volume: Volume) -> int:
        """The volume's first byte."""
        with self.pool.image_of(volume, "raw", is_in_use=False, check=lambda: None) as image:
            return image.read(1)[0]

    def rest(self) -> list[str]:
        """Files of the pool beside its volumes and snapshots: bases, and what is half made."""
        if not isinstance(self.pool, DirectoryPool):
            return []
        layout = self.pool.layout
        return sorted([*(path.name for path in layout.root.glob("base-*")), *(path.name for path in layout.partial.iterdir())])

    def remove_all(self) -> None:
        while self.snapshots:
            self.pool.delete_snapshot(self.snapshots.pop())
        while self.volumes:
            self.pool.delete(self.volumes.pop())


@contextlib.contextmanager
def pool_of(kind: str, directory: Path, *, min_free_gb: int = 0) -> Iterator[Subject]:
    """An open pool of that kind."""
    with _pool_directory(kind, directory) as pool_path:
        file = directory / "nova.conf"
        file.write_text(f"[DEFAULT]\nhost = node1\nstate_path = {directory}\n"
                        f"[local]\nvolume_driver = {kind.partition('-')[0]}\npool_path = {pool_path}\nmin_free_gb = {min_free_gb}\n"
                        f"target_port = {free_port()}\n")
        conf = options.load([], files=[str(file)])
        (backend,) = backends.make(conf)
        try:
            backend.pool.open(volumes=[], snapshots=[])
            backend.exports.restore([])
            yield Subject(backend, Images(conf), **_access(backend))
        finally:
            backend.exports.remove_all()
            backend.pool.close()


@contextlib.contextmanager
def _pool_directory(kind: str, directory: Path) -> Iterator[Path]:
    """Where the pool is; raw files need a file system that clones files."""
    if kind.endswith("-raw"):
        with xfs(directory) as mounted:
            yield mounted / "pool"
    else:
        yield directory / "pool"


@contextlib.contextmanager
def xfs(directory: Path) -> Iterator[Path]:
    """An XFS in a file, mounted in the mount namespace of a process that waits: it goes with that, and nobody else has it."""
    image, mount_point = directory / "xfs.img", directory / "xfs"
    mount_point.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run(["mkfs.xfs", "-q", str(image)], check=True, timeout=60)
    script = 'mount -o loop,nodiscard "$0" "$1" && echo mounted && exec cat'
    holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(image), str(mount_point)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        yield Path(f"/proc/{holder.pid}/root{mount_point.absolute()}")
    finally:
        holder.communicate(timeout=30)


def _access(backend: Backend) -> dict[str, Any]:
    pool = backend.pool
    if isinstance(pool, DirectoryPool):
        return {"write_to": lambda volume, byte: _write(pool, volume, byte), "size_gb": lambda volume: _size_gb(pool, volume)}
    assert isinstance(pool, FakePool)
    return {"write_to": lambda volume, byte: pool.write(volume.provider_name, bytes([byte])),
            "size_gb": lambda volume: pool.size_gb(volume.provider_name)}


def _write(pool: DirectoryPool, volume: Volume, byte: int) -> None:
    """Fill the volume's first 64 KiB, as QEMU does."""
    path = pool.path_of(volume)
    if pool.files.disk_format == "raw":
        with path.open("r+b") as file:
            file.write(bytes([byte]) * (64 << 10))
    else:
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", f"write -P {byte} 0 64k", str(path)], check=True, timeout=30, capture_output=True)


def _size_gb(pool: DirectoryPool, volume: Volume) -> int:
    path = pool.path_of(volume)
    if pool.files.disk_format == "raw":
        return path.stat().st_size >> 30
    with path.open("rb") as file:
        return int(struct.unpack_from(">Q", file.read(32), 24)[0] >> 30)
