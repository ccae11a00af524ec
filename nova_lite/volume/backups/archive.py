# SPDX-License-Identifier: Apache-2.0
"""Backups in a store: written from a volume's bytes, read back, verified and removed.

Each has the key VOLUME/BACKUP: a manifest, and compressed chunks that no backup which it adds to has. A chunk goes with
the backup that stored it, which nobody removes while others add to it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nova_lite.runtime.failpoints import fail
from nova_lite.volume.backups import manifest
from nova_lite.volume.backups.manifest import CHUNK_BYTES, Chunk, Manifest
from nova_lite.volume.backups.store import Store, StoreFailed

Check = Callable[[], None]
_MANIFEST = "manifest"
# Of a volume of 64 TiB.
_MANIFEST_BYTES = 2 << 30
# Level 1 keeps up with a disk; higher ones save a few percent of what guests usually have.
_LEVEL = 1


@dataclasses.dataclass(frozen=True)
class BackupKey:
    """Where a backup is. `volume_id`: of the volume as the API knows it."""

    volume_id: str
    backup_id: str

    def key(self, name: str) -> str:
        return f"{self.volume_id}/{self.backup_id}/{name}"

    def of(self, backup_id: str) -> BackupKey:
        """Another one of the same volume."""
        return BackupKey(self.volume_id, backup_id)


class Archive:
    """The backups in one store; safe for threads as long as one at a time writes or removes one backup."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, key: BackupKey, stream: BinaryIO, *, parent_id: str, check: Check) -> Manifest:
        """Keep the stream's bytes as a backup, of which chunks that the parent has are not stored again.

        :raises StoreFailed: there is no such parent, or the store fails.
        """
        known: dict[str, Chunk] = {}
        if parent_id:
            known = {chunk.digest: chunk for chunk in self.manifest(key.of(parent_id)).chunks if chunk is not None}
        self._remove_objects(key)
        chunks: list[Chunk | None] = []
        size = 0
        for content in _chunks(stream):
            check()
            size += len(content)
            chunks.append(self._keep(key, content, known))
        made = Manifest(backup_id=key.backup_id, volume_id=key.volume_id, parent_id=parent_id, size=size, chunks=tuple(chunks))
        fail("volume.backup.manifest")
        self._store.put(key.key(_MANIFEST), made.encode())
        return made

    def read(self, key: BackupKey, target: Path, *, digest: str = "", check: Check) -> Manifest:
        """Write the backup's bytes into the file; zeros stay holes. Each chunk is checked before it is written.

        `digest`: of the manifest, if it is known.

        :raises StoreFailed: the backup is damaged, or there is none.
        """
        found = self.manifest(key, digest=digest)
        needed, disk = sum(found.length(number) for number, chunk in enumerate(found.chunks) if chunk is not None), os.statvfs(target.parent)
        if disk.f_bavail * disk.f_frsize < needed:
            raise StoreFailed(f"there is no space for its {needed} bytes in {target.parent}")
        with target.open("wb") as file:
            for number, content in self._contents(found, check=check):
                file.seek(number * CHUNK_BYTES)
                file.write(content)
            file.truncate(found.size)
            file.flush()
            os.fsync(file.fileno())
        return found

    def verify(self, key: BackupKey, *, digest: str = "", check: Check) -> Manifest:
        """Read the whole backup as `read` does.

        :raises StoreFailed: the backup is damaged, or there is none.
        """
        found = self.manifest(key, digest=digest)
        for _ in self._contents(found, check=check):
            """Its content is as it was."""
        return found

    def remove(self, key: BackupKey) -> None:
        """Remove the backup; none is fine.

        :raises StoreFailed: others add to it.
        """
        for other in self.backup_ids(key.volume_id):
            if other != key.backup_id and self._parent_of(key.of(other)) == key.backup_id:
                raise StoreFailed(f"backup {other} adds to it")
        self._remove_objects(key)

    def manifest(self, key: BackupKey, *, digest: str = "") -> Manifest:
        """:raises StoreFailed: there is none, it is damaged, or another one than `digest` is of."""
        content = self._store.get(key.key(_MANIFEST), max_bytes=_MANIFEST_BYTES)
        if content is None:
            raise StoreFailed(f"there is no backup {key.backup_id} in the store")
        found = manifest.decode(content)
        if (found.backup_id, found.volume_id) != (key.backup_id, key.volume_id) or digest not in ("", found.digest):
            raise StoreFailed(f"the manifest of backup {key.backup_id} is not the one that was written")
        return found

    def backup_ids(self, volume_id: str) -> list[str]:
        """The backups of the volume that are whole."""
        return [one.split("/")[1] for one in self._store.keys(volume_id) if one.endswith(f"/{_MANIFEST}")]

    def all(self) -> list[BackupKey]:
        """All backups in the store that are whole."""
        found = (one.split("/") for one in self._store.keys("") if one.endswith(f"/{_MANIFEST}"))
        return [BackupKey(parts[0], parts[1]) for parts in found if len(parts) == 3]

    def _parent_of(self, key: BackupKey) -> str:
        try:
            return self.manifest(key).parent_id
        except StoreFailed:  # a damaged one adds to nothing that could be restored
            return ""

    def _keep(self, key: BackupKey, content: bytes, known: dict[str, Chunk]) -> Chunk | None:
        """The chunk, stored if no backup of the chain has it; None: it is zeros."""
        if content.count(0) == len(content):
            return None
        digest = hashlib.sha256(content).hexdigest()
        if digest not in known:
            self._store.put(key.key(digest), zlib.compress(content, _LEVEL))
            known[digest] = Chunk(digest=digest, backup_id=key.backup_id)
        return known[digest]

    def _contents(self, found: Manifest, *, check: Check) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each chunk that is not zeros.

        :raises StoreFailed: one is lost or damaged.
        """
        for number, chunk in enumerate(found.chunks):
            if chunk is not None:
                check()
                yield number, self._content(found, number, chunk)

    def _content(self, found: Manifest, number: int, chunk: Chunk) -> bytes:
        key, length = BackupKey(found.volume_id, chunk.backup_id), found.length(number)
        stored = self._store.get(key.key(chunk.digest), max_bytes=length + (length >> 4) + 1024)
        if stored is None:
            raise StoreFailed(f"chunk {number} of backup {found.backup_id} is lost: backup {chunk.backup_id} had it")
        try:
            content = zlib.decompressobj().decompress(stored, length + 1)
        except zlib.error:
            content = b""
        if len(content) != length or hashlib.sha256(content).hexdigest() != chunk.digest:
            raise StoreFailed(f"chunk {number} of backup {found.backup_id} is damaged: its digest differs")
        return content

    def _remove_objects(self, key: BackupKey) -> None:
        """The manifest first: a backup is whole, or there is none."""
        self._store.delete(key.key(_MANIFEST))
        self._store.clear(f"{key.volume_id}/{key.backup_id}")


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The stream in pieces of CHUNK_BYTES; the last may be shorter."""
    while content := stream.read(CHUNK_BYTES):
        while len(content) < CHUNK_BYTES and (more := stream.read(CHUNK_BYTES - len(content))):
            content += more
        yield content
