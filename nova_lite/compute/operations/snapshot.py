# SPDX-License-Identifier: Apache-2.0
"""Operations that copy a guest's root disk and send the copy to the image service."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, Protocol

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase
from nova_lite.compute.uploads import UploadFailed
from nova_lite.context import Context
from nova_lite.rpc.compute import Guest, ImageUpload
from nova_lite.runtime.failpoints import fail

LOG = logging.getLogger(__name__)


class Upload(Protocol):
    """As nova_lite.compute.uploads.upload."""

    def __call__(
        self, source: BinaryIO, *, url: str, token: str, timeout_s: float, check: Callable[[], None]
    ) -> None: ...


class Snapshot:
    """RPC endpoint: a copy is made, uploaded and removed; each done twice is done once."""

    def __init__(self, host: Host, *, upload: Upload, timeout_s: float) -> None:
        self._host, self._upload, self._timeout_s = host, upload, timeout_s

    def snapshot(self, ctxt: Context, *, server_id: str, image_id: str, fence: int) -> None:
        began = self._host.clock()

        def check() -> None:
            self._check(server_id, fence)

        with self._host.locks.hold(server_id, check=check):
            check()
            guest = self._guest(server_id, "make a snapshot")
            fail("snapshot.take.before")
            self._host.driver.snapshots.take(guest, image_id, check=check)
            fail("snapshot.take.after")
        LOG.info("server %s: snapshot for image %s made in %.2f s", server_id, image_id, self._host.clock() - began)

    def upload_snapshot(self, ctxt: Context, *, server_id: str, fence: int, image: ImageUpload) -> None:
        began = self._host.clock()

        def check() -> None:
            self._check(server_id, fence)

        # One at a time: asked again after a lost answer, the second finds what the first has done.
        with self._host.locks.hold(f"upload {image.id}", check=check):
            check()
            self._guest(server_id, "upload a snapshot")
            fail("snapshot.upload.before")
            try:
                with self._host.driver.snapshots.open(server_id, image.id) as source:
                    self._upload(source, url=image.url, token=image.token, timeout_s=self._timeout_s, check=check)
            except UploadFailed as failed:
                raise errors.ImageFailed(host=self._host.name, id=image.id, reason=failed) from failed
            fail("snapshot.upload.after")
        LOG.info("server %s: snapshot uploaded as image %s in %.2f s", server_id, image.id, self._host.clock() - began)

    def discard_snapshot(self, ctxt: Context, *, server_id: str, image_id: str) -> None:
        fail("snapshot.discard.before")
        self._host.driver.snapshots.remove(server_id, image_id)

    def _guest(self, server_id: str, action: str) -> Guest:
        record = self._host.records.get(server_id)
        if record is None or record.phase is not Phase.BUILT:
            raise errors.HypervisorFailed(host=self._host.name, action=action, reason="the server is not on this host")
        return record.guest

    def _check(self, server_id: str, fence: int) -> None:
        """:raises errors.StaleRequest: the server was destroyed here by a later request."""
        known = self._host.records.fence(server_id)
        if fence <= known:
            raise errors.StaleRequest(id=server_id, fence=fence, known=known)
