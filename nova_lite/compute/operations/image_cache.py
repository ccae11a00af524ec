# SPDX-License-Identifier: Apache-2.0
"""Operation that fetches an image before any guest needs it."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.context import Context
from nova_lite.rpc.compute import Image

LOG = logging.getLogger(__name__)


class ImageCaching:
    """RPC endpoint: takes its turn among builds, so that downloads do not crowd them out."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def cache_image(self, ctxt: Context, *, image: Image) -> None:
        began = self._host.clock()
        try:
            with self._host.builds:
                self._host.driver.images.cache(image)
        except errors.NovaLiteError as error:
            LOG.warning("image %s: not cached ahead of time: %s", image.id, error.text)
            return
        LOG.info("image %s: cached ahead of time in %.2f s", image.id, self._host.clock() - began)
