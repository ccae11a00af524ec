# SPDX-License-Identifier: Apache-2.0
"""PUT and GET of an image's bytes: minutes of streaming with no transaction open but for moments."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from nova_lite import errors
from nova_lite.api.image.store import PIECE, Incoming, Source, open_store
from nova_lite.api.wsgi.request import Reply, Request
from nova_lite.api.wsgi.routing import ANYONE, MEMBER, Rule, route
from nova_lite.context import READER, SERVICE
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.image import images
from nova_lite.runtime.failpoints import fail

_SIGN_OF_LIFE_S = 60.0  # well below store.STALLED_AFTER
_DRAIN = 1024**3  # bytes of a refused upload that are read and dropped, so that the client reads the answer
_OCTETS = "application/octet-stream"


@route("PUT", "/images/{image_id}/file", policy=Rule("upload_image", ANYONE), status=204, raw_body=True)
def upload(req: Request, image_id: str) -> None:
    """Take the image's bytes; on any refusal the image is queued again and nothing is left.

    Workers come with the role `service`, for snapshots: the token's project is the image's owner.

    :raises errors.Conflict: it has data, or another upload is under way.
    :raises errors.InvalidImage: the bytes are not what disk_format says.
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
    """The image's bytes, or the range of them that was asked for; 204 while it has none.

    Workers come with the role `service` and may read every image: what a server boots from was checked at its
    creation.
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
        wanted = req.http.range.range_for_length(image.size)
        if wanted is None:
            return Reply(status=416, headers={"Content-Range": f"bytes */{image.size}"})
        (start, stop), status = wanted, 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{image.size}"
    headers["Content-Length"] = str(stop - start)
    file = open_store(req.conf).open(image.file_id)
    return Reply(status=status, stream=Pieces(file, start, stop), headers=headers, content_type=_OCTETS)


class Pieces:
    """The file's bytes from `start` to before `stop`, a piece at a time; the server closes it."""

    def __init__(self, file: BinaryIO, start: int, stop: int) -> None:
        self._file, self._start, self._stop = file, start, stop

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        remaining = self._stop - self._start
        while remaining and (piece := self._file.read(min(PIECE, remaining))):
            remaining -= len(piece)
            yield piece
            _let_others_run()

    def close(self) -> None:
        self._file.close()


def _receive(req: Request, image_id: str, body: _Body) -> None:
    file_id = new_id()
    disk_format = _begin(req, image_id, file_id)
    store, has_it = open_store(req.conf), False
    try:
        fail("image.begin.after")
        alive = _SignOfLife(functools.partial(_continue, req, image_id, file_id))
        with store.receiving(body, file_id=file_id, length=body.length, on_piece=alive) as incoming:
            _finish(req, image_id, file_id, incoming, disk_format)
        has_it = True
    finally:
        if not has_it:
            store.remove(file_id)
            with req.database.writer() as session:
                images.abandon_upload(session, image_id, file_id=file_id)


def _begin(req: Request, image_id: str, file_id: str) -> str:
    """Claim the image; its disk format."""
    with req.database.writer() as session:
        image = images.get(session, image_id, project_id=req.ctxt.visible_project)
        if req.ctxt.visible_project not in (None, image.owner):
            raise errors.Forbidden(reason=f"Image {image_id} belongs to another project.")
        if not image.disk_format or not image.container_format:
            raise errors.BadRequest(
                reason="Properties disk_format and container_format must be set before the image can take data")
        images.begin_upload(session, image_id, file_id=file_id)
        return image.disk_format


def _continue(req: Request, image_id: str, file_id: str) -> None:
    with req.database.writer() as session:
        if not images.continue_upload(session, image_id, file_id=file_id, now=utcnow()):
            raise _lost(image_id)


def _finish(req: Request, image_id: str, file_id: str, incoming: Incoming, disk_format: str) -> None:
    try:
        contents = incoming.inspect(disk_format=disk_format)
    except errors.BadRequest as refused:
        raise errors.InvalidImage(id=image_id, reason=refused.text) from refused
    incoming.keep()
    fail("image.activate.before")
    with req.database.writer() as session:
        if not images.finish_upload(session, image_id, file_id=file_id, contents=contents):
            raise _lost(image_id)


def _lost(image_id: str) -> errors.Conflict:
    return errors.Conflict(reason=f"Image {image_id} was deleted, or given up, while its data came in.")


def _let_others_run() -> None:
    # A fast peer's socket is always ready, so a green thread would never give way: other requests waited for the
    # whole upload. Patched by eventlet, this yields; a native thread passes.
    time.sleep(0)


class _SignOfLife:
    """Called after each piece: lets others run, and calls `tell` when enough time went by since its last call."""

    def __init__(self, tell: Callable[[], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._told = clock()

    def __call__(self) -> None:
        _let_others_run()
        if self._clock() - self._told >= _SIGN_OF_LIFE_S:
            self._tell()
            self._told = self._clock()


class _Body:
    """The request's body: never read past its end, whatever the server does there; `length` None: chunked."""

    def __init__(self, source: Source, length: int | None) -> None:
        self.length = length
        self._source, self._taken = source, 0

    def read(self, size: int, /) -> bytes:
        wanted = size if self.length is None else min(size, self.length - self._taken)
        piece = self._source.read(wanted) if wanted > 0 else b""
        self._taken += len(piece)
        return piece

    def drain(self) -> None:
        """Read and drop what the client is still sending: it reads no answer before it has sent all.

        Bounded here, in pieces; some servers would otherwise read all the rest into memory at once.
        """
        dropped = 0
        try:
            while dropped < _DRAIN and (piece := self.read(PIECE)):
                dropped += len(piece)
                _let_others_run()
        except (OSError, ValueError):
            return


def _body(req: Request) -> _Body:
    """:raises errors.UnsupportedMedia: not sent as bytes. :raises errors.BadRequest: nobody says where it ends."""
    if req.http.content_type and req.http.content_type != _OCTETS:
        raise errors.UnsupportedMedia(f"Unsupported Content-Type {req.http.content_type}: send {_OCTETS}")
    source = req.http.environ["wsgi.input"]
    if "chunked" in req.http.headers.get("Transfer-Encoding", "").lower():
        return _Body(source, None)
    if req.http.content_length is None:
        raise errors.BadRequest(reason="Send the data with a Content-Length, or chunked")
    return _Body(source, int(req.http.content_length))
