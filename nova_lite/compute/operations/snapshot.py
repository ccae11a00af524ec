# SPDX-License-Identifier: Apache-2.0
"""Operations that copy a guest's root disk and send the copy to the image service."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.context import Context
from nova_lite.rpc.compute import ImageUpload
from nova_lite.rpc.order import Order
from nova_lite.runtime.failpoints import fail
from nova_lite.worker.images.uploads import UploadFailed


class Upload(Protocol):
    """As nova_lite.worker.images.uploads.upload."""

    def __call__(
        self, source: BinaryIO, *, url: str, token: str, timeout_s: float, check: Callable[[], None]
    ) -> None: ...


class Snapshot:
    """RPC endpoint: a copy is made, uploaded and removed."""

    def __init__(self, host: Host, *, upload: Upload, timeout_s: float) -> None:
        self._host, self._upload, self._timeout_s = host, upload, timeout_s

    def snapshot(self, ctxt: Context, *, server_id: str, order: Order, image_id: str) -> None:
        with self._host.operation(ctxt, server_id, order, "snapshot") as operation:
            guest = operation.guest
            fail("snapshot.take.before")
            self._host.driver.snapshots.take(guest, image_id, check=operation.check)
            fail("snapshot.take.after")

    def upload_snapshot(self, ctxt: Context, *, server_id: str, order: Order, image: ImageUpload) -> None:
        # The server's lock is not held for hours; uploads of one image take turns.
        with self._host.operation(ctxt, server_id, order, "upload_snapshot", lock=f"upload {image.id}") as operation:
            operation.built()
            fail("snapshot.upload.before")
            try:
                with self._host.driver.snapshots.open(server_id, image.id) as source:
                    self._upload(source, url=image.url, token=image.token, timeout_s=self._timeout_s, check=operation.check)
            except UploadFailed as failed:
                raise errors.ImageFailed(host=self._host.name, id=image.id, reason=failed) from failed
            fail("snapshot.upload.after")

    def discard_snapshot(self, ctxt: Context, *, server_id: str, order: Order, image_id: str) -> None:
        with self._host.operation(ctxt, server_id, order, "discard_snapshot"):
            fail("snapshot.discard.before")
            self._host.driver.snapshots.remove(server_id, image_id)
