# SPDX-License-Identifier: Apache-2.0
"""Fetches an image's bytes over HTTP into a file, hashed as they arrive; blocks of zeros become holes."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from oslo_log import log as logging

from nova_lite.rpc.compute import Image

LOG = logging.getLogger(__name__)
_CHUNK = 1 << 20
_TRIES = 3
_WAIT_S = 1.0
_ZEROS = bytes(_CHUNK)


class DownloadFailed(Exception):
    """The text is the reason; `is_passing`: a retry may succeed."""

    def __init__(self, reason: str, *, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


def download(
    image: Image, target: Path, *, timeout_s: float, check: Callable[[], None], wait: Callable[[float], None] = time.sleep,
) -> None:
    """As `download_once`, tried again where that may help."""
    for remaining in reversed(range(_TRIES)):
        try:
            return download_once(image, target, timeout_s=timeout_s, check=check)
        except DownloadFailed as error:
            if not (error.is_passing and remaining):
                raise
            LOG.warning("image %s: %s; trying again", image.id, error)
            wait(_WAIT_S)


def download_once(image: Image, target: Path, *, timeout_s: float, check: Callable[[], None]) -> None:
    """Write the image's bytes to `target`, replacing it; size and checksum are right when this returns.

    `timeout_s` bounds the wait for each chunk; `check` is called between chunks and may raise.

    :raises DownloadFailed: no connection, a refusal, or other bytes than the image service recorded.
    """
    address = urllib.parse.urlsplit(image.url)
    kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(address.scheme)
    if kind is None or not address.hostname:
        raise DownloadFailed("its address is not an HTTP URL")
    connection = kind(address.hostname, address.port, timeout=timeout_s)
    path = urllib.parse.urlunsplit(("", "", address.path or "/", address.query, ""))
    try:
        # Redirects are not followed: the token is for this server only.
        connection.request("GET", path, headers={"X-Auth-Token": image.token, "Accept": "application/octet-stream"})
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise DownloadFailed(
                f"the image service answered {response.status} {response.reason}", is_passing=response.status >= 500
            )
        _save(response, image, target, check)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadFailed(f"the connection to the image service failed: {error!r}", is_passing=True) from error
    finally:
        connection.close()


def _save(
    response: http.client.HTTPResponse, image: Image, target: Path, check: Callable[[], None]
) -> None:
    digest = hashlib.new(image.hash_algo)
    size = 0
    with target.open("wb") as stream:
        while chunk := response.read(_CHUNK):
            check()
            digest.update(chunk)
            size += len(chunk)
            if size > image.size:
                raise DownloadFailed(f"it is longer than the {image.size} bytes that it should have")
            if chunk == _ZEROS:
                stream.seek(len(chunk), os.SEEK_CUR)
            else:
                stream.write(chunk)
        stream.truncate(size)
    if size != image.size:
        raise DownloadFailed(f"it ended after {size} of {image.size} bytes", is_passing=True)
    if digest.hexdigest() != image.checksum.lower():
        raise DownloadFailed(f"its {image.hash_algo} checksum is not the one that the image service recorded")
