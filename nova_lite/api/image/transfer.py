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
from nova_lite.context import READER
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.image import images
from nova_lite.db.quotas import image_quotas
from nova_lite.runtime.failpoints import fail

_KEEPALIVE_S = 60.0  # well below store.STALLED_AFTER
_STEP = 64 * CHUNK  # reserved at a time by an upload of unknown length
_DRAIN = 1024**3  # bytes of a refused upload that are read and discarded, so that the client reads the response
_OCTETS = "application/octet-stream"


@route("PUT", "/images/{image_id}/file", policy=Rule("upload_image", ANYONE), status=204, raw_body=True)
def upload(req: Request, image_id: str) -> None:
    """Upload the image's data; after any error the image is queued again and no data is kept.

    204. 400: formats are not set, no length, an interrupted upload, or data that is not of `disk_format`. 403: another
    project's. 404: no such image. 409: it has data, or another upload is in progress. 413: too large, over the project's quota, or no space. 415:
    another media type than bytes.

    Workers upload snapshots with a token for this image.
    """
    if MEMBER not in req.ctxt.roles:
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

    Workers have a token for this image: the server's access was checked when it was created.
    """
    if READER not in req.ctxt.roles:
        raise errors.PolicyForbids(rule="download_image")
    image = images.get(req.db, image_id, project_id=_visible_project(req))
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


def _visible_project(req: Request) -> str | None:
    """The project whose images the caller may use; None: the image is the one that a host's token is for, or any, to an admin."""
    return None if req.http.environ.get("nova.image_grant") else req.ctxt.visible_project


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
    reservation, disk_format = _begin(req, image_id, file_id, body)
    store, is_stored = open_store(req.conf), False
    try:
        fail("image.begin.after")
        keepalive = _Keepalive(functools.partial(_continue, req, image_id, file_id))
        source = _Metered(body, reservation)
        with store.receiving(source, file_id=file_id, length=body.length, on_chunk=keepalive) as incoming:
            _finish(req, image_id, file_id, incoming, disk_format)
        is_stored = True
    finally:
        if not is_stored:
            store.remove(file_id)
            with req.database.writer() as session:
                images.abandon_upload(session, image_id, file_id=file_id)


def _begin(req: Request, image_id: str, file_id: str, body: _Body) -> tuple[_Reservation, str]:
    """Claim the image and the bytes that are announced for this upload; returns its reservation and disk format."""
    with req.database.writer() as session:
        image = images.get(session, image_id, project_id=_visible_project(req))
        if _visible_project(req) not in (None, image.owner):
            raise errors.Forbidden(reason=f"Image {image_id} belongs to another project.")
        if not image.disk_format or not image.container_format:
            raise errors.BadRequest(
                reason="Properties disk_format and container_format must be set before data is uploaded")
        size = body.length or 0
        _check_free(image_quotas.free_bytes(session, req.conf, image.owner, except_for=image_id), size)
        images.begin_upload(session, image_id, file_id=file_id, size=size)
        return _Reservation(req, image_id, image.owner, file_id, size), image.disk_format


def _check_free(free: int | None, size: int) -> None:
    if free is not None and size > free:
        raise errors.TooLarge(
            f"Quota exceeded for the data of images: {size} bytes are more than the {free} that are left ({image_quotas.SIZE}).")


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


class _Reservation:
    """The bytes of its project's quota that an upload has reserved: as it announced, else in steps as they arrive."""

    def __init__(self, req: Request, image_id: str, owner: str, file_id: str, size: int) -> None:
        self._req, self._image_id, self._owner, self._file_id = req, image_id, owner, file_id
        self._size = size

    def cover(self, size: int) -> None:
        """Reserve at least `size` bytes in all. :raises errors.TooLarge: the quota has not so many left."""
        if size <= self._size:
            return
        with self._req.database.writer() as session:
            free = image_quotas.free_bytes(session, self._req.conf, self._owner, except_for=self._image_id)
            _check_free(free, size)
            step = size + _STEP if free is None else min(size + _STEP, free)
            if not images.reserve(session, self._image_id, file_id=self._file_id, size=step):
                raise _deleted(self._image_id)
        self._size = step


class _Metered:
    """A body whose bytes are reserved before they are stored."""

    def __init__(self, body: _Body, reservation: _Reservation) -> None:
        self._body, self._reservation, self._received = body, reservation, 0

    def read(self, size: int, /) -> bytes:
        chunk = self._body.read(size)
        self._received += len(chunk)
        self._reservation.cover(self._received)
        return chunk


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
    if req.http.content_length is None or req.http.content_length < 0:
        raise errors.BadRequest(reason="A Content-Length or chunked encoding is required")
    return _Body(source, int(req.http.content_length))
