# SPDX-License-Identifier: Apache-2.0
"""Requests that hosts fetch images ahead of time."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.compute.servers import boot_image
from nova_lite.api.wsgi.request import Request


def request_caching(req: Request, image_ids: Sequence[str], hosts: Sequence[str]) -> None:
    """Cast the request to a conductor once the transaction is committed.

    :raises errors.BadRequest: an image is missing or not active, or there are no hosts.
    """
    for image_id in image_ids:
        boot_image.find(req, image_id)
    if not hosts:
        raise errors.BadRequest(reason="The aggregate has no hosts to cache images on.")
    req.after_commit(req.rpc.conductor.cache_images, req.ctxt, image_ids=tuple(image_ids), hosts=tuple(hosts))
