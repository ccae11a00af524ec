# SPDX-License-Identifier: Apache-2.0
"""PUT and GET of an image's data: streams for minutes, with short transactions only."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from nova_lite import errors
from nova_lite.api.image.store import CHUNK, Incoming, Source, open_store
from nova_lite.api.wsgi.request import Reply, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, MEMBER, Rule
from nova_lite.context import READER, SERVICE
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.image import images
from nova_lite.runtime.failpoints import fail

_KEEPALIVE_S = 60.0  # well below store.STALLED_AFTER
_DRAIN = 1024**3  # bytes of a refused upload that are read and discarded, so that the client reads the response
_OCTETS = "application/octet-stream"


@route("PUT", "/images/{image_id}/file", policy=Rule("upload_image", ANYONE), status=204, raw_body=True)
def upload(req: Request, image_id: str) -> None:
    """Upload the image's data; after any error the image is queued again and no data is kept.

    204. 400: formats are not set, no length, an interrupted upload, or data that is not of `disk_format`. 403: another
    project's. 404: no such image. 409: it has data, or another upload is in progress. 413: too large, or no space. 415:
    another media type than bytes.

    Workers upload snapshots with the role `service`: their token's project is the image's owner.
    """
    if not req.ctxt.roles & {MEMBER, SERVICE}:
        raise errors.PolicyForbids(rule="upload_image")
    body = _body(req)
    try:
        _receive(req, image_id, body)
    except errors.NovaLiteError:
        body.drain()
        raise


@route("GET", "/images/{image_id}/file", policy=Rule("download_image", ANYONE))
def download(req: Request, image_id: str) -> Reply:
    """Download the image's data.

    200; 206 with the requested Range; 204 while the image has no data. 404: no such image. 416: a range outside the data. 503:
    its file cannot be read.

    Workers have the role `service` and may read every image: the server's access was checked when it was created.
    """
    if not req.ctxt.roles & {READER, SERVICE}:
        raise errors.PolicyForbids(rule="download_image")
    is_any = SERVICE in req.ctxt.roles
    image = images.get(req.db, image_id, project_id=None if is_any else req.ctxt.visible_project)
    if image.status != images.ACTIVE or image.file_id is None or image.size is None:
        return Reply(status=204)
    headers = {"Accept-Ranges": "bytes", "Content-Type": _OCTETS}
    start, stop, status = 0, image.size, 200
    if req.http.range is not None:
        span = req.http.range.range_for_length(image.size)
        if span is None:
            return Reply(status=416, headers={"Content-Range": f"bytes */{image.size}"})
        (start, stop), status = span, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{image.size}"
    headers["Content-Length"] = str(stop - start)
    file = open_store(req.conf).open(image.file_id)
    return Reply(status=status, stream=Chunks(file, start, stop), headers=headers, content_type=_OCTETS)


class Chunks:
    """The file's bytes from `start` to before `stop`, in chunks; the WSGI server closes it."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        remaining = self._stop - self._start
        while remaining and (chunk := self._file.read(min(CHUNK, remaining))):
            remaining -= len(chunk)
            yield chunk
            _yield_to_other_threads()

    def close(self) -> None:
        self._file.close()


def _receive(req: Request, image_id: str, body: _Body) -> None:
    file_id = new_id()
    disk_format = _begin(req, image_id, file_id)
    store, is_stored = open_store(req.conf), False
    try:
        fail("image.begin.after")
        keepalive = _Keepalive(functools.partial(_continue, req, image_id, file_id))
        with store.receiving(body, file_id=file_id, length=body.length, on_chunk=keepalive) as incoming:
            _finish(req, image_id, file_id, incoming, disk_format)
        is_stored = True
    finally:
        if not is_stored:
            store.remove(file_id)
            with req.database.writer() as session:
                images.abandon_upload(session, image_id, file_id=file_id)


def _begin(req: Request, image_id: str, file_id: str) -> str:
    """Claim the image for this upload; returns its disk format."""
    with req.database.writer() as session:
        image = images.get(session, image_id, project_id=req.ctxt.visible_project)
        if req.ctxt.visible_project not in (None, image.owner):
            raise errors.Forbidden(reason=f"Image {image_id} belongs to another project.")
        if not image.disk_format or not image.container_format:
            raise errors.BadRequest(
                reason="Properties disk_format and container_format must be set before data is uploaded")
        images.begin_upload(session, image_id, file_id=file_id)
        return image.disk_format


def _continue(req: Request, image_id: str, file_id: str) -> None:
    with req.database.writer() as session:
        if not images.continue_upload(session, image_id, file_id=file_id, now=utcnow()):
            raise _deleted(image_id)


def _finish(req: Request, image_id: str, file_id: str, incoming: Incoming, disk_format: str) -> None:
    try:
        contents = incoming.inspect(disk_format=disk_format)
    except errors.BadRequest as error:
        raise errors.InvalidImage(id=image_id, reason=error.text) from error
    incoming.commit()
    fail("image.activate.before")
    with req.database.writer() as session:
        if not images.finish_upload(session, image_id, file_id=file_id, contents=contents):
            raise _deleted(image_id)


def _deleted(image_id: str) -> errors.Conflict:
    return errors.Conflict(reason=f"Image {image_id} was deleted, or its upload reset, while its data was received.")


def _yield_to_other_threads() -> None:
    # A fast peer's socket is always ready, so a green thread would not yield: other requests waited for the whole
    # upload. Patched by eventlet, this yields; a native thread continues.
    time.sleep(0)


class _Keepalive:
    """Called after each chunk: yields to other threads, and calls `touch` once per _KEEPALIVE_S."""

    def __init__(self, touch: Callable[[], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._touch, self._clock = touch, clock
        self._touched_at = clock()

    def __call__(self) -> None:
        _yield_to_other_threads()
        if self._clock() - self._touched_at >= _KEEPALIVE_S:
            self._touch()
            self._touched_at = self._clock()


class _Body:
    """The request's body, never read beyond its end, which some WSGI servers do not mark; `length` None: chunked."""

    def __init__(self, source: Source, length: int | None) -> None:
        self.length = length
        self._source, self._received = source, 0

    def read(self, size: int, /) -> bytes:
        count = size if self.length is None else min(size, self.length - self._received)
        chunk = self._source.read(count) if count > 0 else b""
        self._received += len(chunk)
        return chunk

    def drain(self) -> None:
        """Read and discard the rest of the body: most clients read the response only after they have sent all.

        Bounded, and in chunks; some WSGI servers would otherwise read all the rest into memory at once.
        """
        discarded = 0
        try:
            while discarded < _DRAIN and (chunk := self.read(CHUNK)):
                discarded += len(chunk)
                _yield_to_other_threads()
        except (OSError, ValueError):
            return


def _body(req: Request) -> _Body:
    """:raises errors.UnsupportedMedia: another media type than bytes. :raises errors.BadRequest: no length."""
    if req.http.content_type and req.http.content_type != _OCTETS:
        raise errors.UnsupportedMedia(f"Unsupported Content-Type {req.http.content_type}: send {_OCTETS}")
    source = req.http.environ["wsgi.input"]
    if "chunked" in req.http.headers.get("Transfer-Encoding", "").lower():
        return _Body(source, None)
    if req.http.content_length is None:
        raise errors.BadRequest(reason="A Content-Length or chunked encoding is required")
    return _Body(source, int(req.http.content_length))
