# SPDX-License-Identifier: Apache-2.0
"""Operations that make, remove, restore and verify backups of volumes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Backup, Content, ContentSource, Snapshot, Volume
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.backups.archive import Archive, BackupKey
from nova_lite.volume.backups.copies import copy_for
from nova_lite.volume.backups.manifest import Manifest
from nova_lite.volume.backups.store import StoreFailed
from nova_lite.volume.driver import ImageFile
from nova_lite.volume.images import Images
from nova_lite.volume.records import Phase
from nova_lite.volume.worker import Operation, Step, Worker


class Backups:
    """RPC endpoint. `archive`: of the store that nova.conf names."""

    def __init__(self, worker: Worker, *, images: Images, archive: Archive) -> None:
        self._worker, self._images, self._archive = worker, images, archive

    def create_backup(self, ctxt: Context, *, backup: Backup, order: Order, snapshot: Snapshot | None) -> None:
        # The volume's lock is held: what else may be requested of a volume that is backed up is its removal, which ends this.
        def work(operation: Operation) -> None:
            with self._images.copying(check=operation.check), operation.making(lambda: self._archive.remove(_key(backup))), _failing(operation):
                fail("volume.create_backup.record")
                with self._content(operation, backup, snapshot) as stream:
                    made = self._archive.write(_key(backup), stream, parent_id=backup.parent_id, check=operation.check)
                fail("volume.create_backup.made")
                operation.check()
            operation.result |= _described(made)

        self._worker.run(ctxt, Step(backup, order, "create_backup"), work)

    def delete_backup(self, ctxt: Context, *, backup: Backup, order: Order) -> None:
        def work(operation: Operation) -> None:
            operation.put(Phase.REMOVING)
            fail("volume.delete_backup.record")
            with _failing(operation):
                self._archive.remove(_key(backup))
            fail("volume.delete_backup.removed")

        self._worker.run(ctxt, Step(backup, order, "delete_backup", removes=True), work)

    def restore_backup(self, ctxt: Context, *, volume: Volume, order: Order, backup: Backup) -> None:
        def work(operation: Operation) -> None:
            if operation.is_in_use:
                raise operation.failed(f"volume {volume.volume_id} is in use")
            with self._images.copying(check=operation.check), self._images.directory_for_one() as directory, _failing(operation):
                operation.put(Phase.MADE)
                fail("volume.restore_backup.before")
                path = directory / "image"
                found = self._archive.read(_key(backup), path, digest=backup.digest, check=operation.check)
                if found.size > volume.size_gb << 30:
                    raise operation.failed(f"the volume's {volume.size_gb} GiB are less than the {found.size} bytes of the backup")
                operation.backend.pool.overwrite(volume, ImageFile(path, "raw", found.size), check=operation.check)
                fail("volume.restore_backup.after")

        self._worker.run(ctxt, Step(volume, order, "restore_backup"), work)

    def verify_backup(self, ctxt: Context, *, backup: Backup, order: Order) -> None:
        def work(operation: Operation) -> None:
            with self._images.copying(check=operation.check), _failing(operation):
                found = self._archive.verify(_key(backup), digest=backup.digest, check=operation.check)
            operation.result |= _described(found)

        self._worker.run(ctxt, Step(backup, order, "verify_backup"), work)

    @contextlib.contextmanager
    def _content(self, operation: Operation, backup: Backup, snapshot: Snapshot | None) -> Iterator[BinaryIO]:
        """The volume's bytes, or those of a copy of its snapshot, which pools read as a volume."""
        pool, check = operation.backend.pool, operation.check
        if snapshot is None:
            with pool.image_of(backup.volume, "raw", is_in_use=operation.is_in_use, check=check) as stream:
                yield stream
            return
        copy = copy_for(backup)
        content = Content(source=ContentSource.SNAPSHOT, id=snapshot.snapshot_id, provider_name=snapshot.provider_name,
                          size_gb=snapshot.volume.size_gb)
        try:
            pool.create(copy, content, is_in_use=False, images=self._images, check=check)
            fail("volume.create_backup.copied")
            with pool.image_of(copy, "raw", is_in_use=False, check=check) as stream:
                yield stream
        finally:
            pool.delete(copy)


@contextlib.contextmanager
def _failing(operation: Operation) -> Iterator[None]:
    """Raise failures of the store as errors.VolumeFailed."""
    try:
        yield
    except StoreFailed as error:
        raise operation.failed(error) from error
    except OSError as error:
        raise operation.failed(error.strerror or error) from error


def _key(backup: Backup) -> BackupKey:
    return BackupKey(volume_id=backup.volume_id, backup_id=backup.backup_id)


def _described(made: Manifest) -> dict[str, Any]:  # plain JSON types
    """The result of a step: what rows keep of a backup."""
    return {"size": made.size, "object_count": len(made.own), "digest": made.digest}
