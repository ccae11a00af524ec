# SPDX-License-Identifier: Apache-2.0
"""The operation that sends a volume's content to the image service."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc.compute import ImageUpload
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Volume
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.images import Images
from nova_lite.volume.records import Phase
from nova_lite.volume.worker import Operation, Step, Worker
from nova_lite.worker.images.uploads import UploadFailed


class Upload(Protocol):
    """As nova_lite.worker.images.uploads.upload."""

    def __call__(
        self, source: BinaryIO, *, url: str, token: str, timeout_s: float, check: Callable[[], None]
    ) -> None: ...


class Uploads:
    """RPC endpoint."""

    def __init__(self, worker: Worker, *, images: Images, upload: Upload, timeout_s: float) -> None:
        self._worker, self._images, self._upload, self._timeout_s = worker, images, upload, timeout_s

    def upload_volume(self, ctxt: Context, *, volume: Volume, order: Order, image: ImageUpload, disk_format: str) -> None:
        # The volume's lock is held: what else may be requested of a volume that is uploaded is its removal, which ends this.
        def work(operation: Operation) -> None:
            with self._images.copying(check=operation.check):
                operation.put(Phase.MADE)
                fail("volume.upload.before")
                with operation.backend.pool.image_of(
                    volume, disk_format, is_in_use=operation.is_in_use, check=operation.check) as source:
                    try:
                        self._upload(source, url=image.url, token=image.token, timeout_s=self._timeout_s, check=operation.check)
                    except UploadFailed as failed:
                        raise errors.ImageFailed(host=self._worker.name, id=image.id, reason=failed) from failed
                fail("volume.upload.after")

        self._worker.run(ctxt, Step(volume, order, "upload_volume"), work)
