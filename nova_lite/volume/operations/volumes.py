# SPDX-License-Identifier: Apache-2.0
"""Operations that make, remove, grow and revert volumes."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Content, ContentSource, Snapshot, Volume
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.images import Images
from nova_lite.volume.operations import other_backend
from nova_lite.volume.records import Kind, Phase
from nova_lite.volume.worker import Operation, Step, Worker


class Volumes:
    """RPC endpoint."""

    def __init__(self, worker: Worker, *, images: Images) -> None:
        self._worker, self._images = worker, images

    def create_volume(self, ctxt: Context, *, volume: Volume, order: Order, content: Content) -> None:
        locked = [content.id] if content.source is ContentSource.VOLUME else []

        def work(operation: Operation) -> None:
            self._check(operation, volume, content)
            fail("volume.create.record")
            pool = operation.backend.pool
            with operation.making(lambda: pool.delete(volume)):
                is_in_use = bool(self._worker.records.exports_of(content.id))
                if content.backend in ("", volume.backend):
                    size = pool.create(volume, content, is_in_use=is_in_use, images=self._images, check=operation.check)
                else:
                    source = other_backend.OtherBackend(self._images, self._worker.backends.get(content.backend, action=operation.name), content)
                    size = pool.create(volume, other_backend.AS_IMAGE, is_in_use=False, images=source, check=operation.check)
                fail("volume.create.made")
                operation.check()
            if operation.record is not None and size is None:  # it was made before
                operation.result |= operation.record.result
            elif size is not None:
                operation.result["virtual_size"] = size

        self._worker.run(ctxt, Step(volume, order, "create_volume", also_locks=locked), work)

    def delete_volume(self, ctxt: Context, *, volume: Volume, order: Order, snapshots: tuple[Snapshot, ...]) -> None:
        def work(operation: Operation) -> None:
            exports = self._worker.records.exports_of(volume.volume_id)
            if exports:
                raise operation.failed(f"volume {volume.volume_id} is exported for attachment {exports[0].id}")
            fail("volume.delete.record")
            operation.put(Phase.REMOVING)
            for snapshot in snapshots:
                self._worker.records.put_tombstone(snapshot.snapshot_id, order)
                operation.backend.pool.delete_snapshot(snapshot)
                self._worker.records.remove(Kind.SNAPSHOT, snapshot.snapshot_id)
            operation.backend.pool.delete(volume)
            fail("volume.delete.removed")

        self._worker.run(ctxt, Step(volume, order, "delete_volume", removes=True), work)

    def extend_volume(self, ctxt: Context, *, volume: Volume, order: Order) -> None:
        def work(operation: Operation) -> None:
            operation.put(Phase.MADE)
            fail("volume.extend.before")
            resized_by = operation.backend.pool.extend(volume, is_in_use=operation.is_in_use)
            if operation.is_in_use:
                operation.backend.exports.extended(volume)
            operation.result["resized_by"] = str(resized_by)
            fail("volume.extend.after")

        self._worker.run(ctxt, Step(volume, order, "extend_volume"), work)

    def revert_volume(self, ctxt: Context, *, volume: Volume, order: Order, snapshot: Snapshot) -> None:
        def work(operation: Operation) -> None:
            if operation.is_in_use:
                raise operation.failed(f"volume {volume.volume_id} is in use")
            operation.put(Phase.MADE)
            fail("volume.revert.before")
            operation.backend.pool.revert(volume, snapshot)
            fail("volume.revert.after")

        self._worker.run(ctxt, Step(volume, order, "revert_volume"), work)

    def _check(self, operation: Operation, volume: Volume, content: Content) -> None:
        """:raises errors.VolumeFailed: such a volume cannot be made here."""
        if content.source is ContentSource.IMAGE and content.image is None:
            raise operation.failed("the request names no image")
        if content.source in (ContentSource.SNAPSHOT, ContentSource.VOLUME) and content.size_gb > volume.size_gb:
            raise errors.VolumeFailed(
                host=self._worker.name, action=operation.name,
                reason=f"its {volume.size_gb} GiB are less than the {content.size_gb} GiB of {content.source} {content.id}")
