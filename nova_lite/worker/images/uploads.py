# SPDX-License-Identifier: Apache-2.0
"""Sends the bytes of an image to the image service over HTTP."""

from __future__ import annotations

import http.client
import os
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import BinaryIO

_CHUNK = 1 << 20
_TRIES = 3
_WAIT_S = 1.0


class UploadFailed(Exception):
    """The text is the reason; `is_passing`: a retry may succeed."""

    def __init__(self, reason: str, *, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.is_passing = is_passing


def upload(
    source: BinaryIO, *, url: str, token: str, timeout_s: float, check: Callable[[], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """PUT all of `source` to `url`; the image is active when this returns.

    `timeout_s` bounds the wait for each chunk and for the response; `check` is called between chunks and may raise.

    :raises UploadFailed: no connection, or a refusal.
    """
    for remaining in reversed(range(_TRIES)):
        check()
        try:
            return _put(source, url=url, token=token, timeout_s=timeout_s, check=check)
        except UploadFailed as failed:
            if not (failed.is_passing and remaining):
                raise
            wait(_WAIT_S)


def _put(source: BinaryIO, *, url: str, token: str, timeout_s: float, check: Callable[[], None]) -> None:
    size = source.seek(0, os.SEEK_END)
    source.seek(0)
    address = urllib.parse.urlsplit(url)
    kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(address.scheme)
    if kind is None or not address.hostname:
        raise UploadFailed("its address is not an HTTP URL")
    connection = kind(address.hostname, address.port, timeout=timeout_s)
    try:
        connection.request(
            "PUT", address.path or "/", body=_chunks(source, check),
            headers={"X-Auth-Token": token, "Content-Type": "application/octet-stream", "Content-Length": str(size)})
        response = connection.getresponse()
        body = response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise UploadFailed(f"the connection to the image service failed: {error!r}", is_passing=True) from error
    finally:
        connection.close()
    if response.status != http.client.NO_CONTENT:
        # 409: the image service may not have ended the upload of a worker that died.
        is_passing = response.status >= 500 or response.status == http.client.CONFLICT
        text = body.decode(errors="replace")[:200]
        raise UploadFailed(f"the image service answered {response.status} {response.reason}: {text}", is_passing=is_passing)


def _chunks(source: BinaryIO, check: Callable[[], None]) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK):
        check()
        yield chunk
