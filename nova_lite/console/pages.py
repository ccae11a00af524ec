# SPDX-License-Identifier: Apache-2.0
"""Serves noVNC's files, and says in words what is wrong when a console's link does not work."""

from __future__ import annotations

import html
import mimetypes
import posixpath
import urllib.parse
from http import HTTPStatus
from pathlib import Path

from websockets.datastructures import Headers
from websockets.http11 import Response

_COMMON = {
    # A console's token is in the page's URL: it is not to leak to other sites or stay in caches.
    "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN", "Connection": "close",
}
EXPIRED = "This console link is unknown, has expired, or its server was stopped. Ask the cloud for a new one."


def token_in(url: str) -> str | None:
    """The token in a URL's query: by itself, or within the path that noVNC is to connect to."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    if "token" in query:
        return query["token"][0]
    inner = query.get("path", [""])[0]
    return urllib.parse.parse_qs(inner.partition("?")[2]).get("token", [None])[0]


def file(web: Path, url: str) -> Response:
    """The file below `web` that the URL names."""
    if not web.is_dir():
        return page(HTTPStatus.NOT_FOUND, f"There is no noVNC in {web}. Install the package novnc, or set [vnc] web; "
                                          "websocket clients can connect nevertheless.")
    wanted = posixpath.normpath("/" + urllib.parse.unquote(urllib.parse.urlsplit(url).path)).lstrip("/")
    path = web / wanted
    if not wanted or not path.is_file():
        return page(HTTPStatus.NOT_FOUND, "There is no such page here. Consoles are opened by the URL that "
                                          "`openstack console url show` prints.")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _response(HTTPStatus.OK, kind, path.read_bytes())


def page(status: HTTPStatus, text: str) -> Response:
    """A page with one sentence."""
    body = f"<!DOCTYPE html><html lang='en'><title>Console</title><p>{html.escape(text)}</p></html>"
    return _response(status, "text/html; charset=utf-8", body.encode())


def refusal(status: HTTPStatus, reason: str) -> Response:
    """The answer to a websocket that is not let in: without a body, which a client would take for the first frame."""
    words = " ".join("".join(c if c.isascii() and c.isprintable() else " " for c in reason).split())
    return Response(status, status.phrase, Headers({**_COMMON, "Content-Length": "0", "X-Console-Refusal": words[:400]}))


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers({**_COMMON, "Content-Type": kind, "Content-Length": str(len(body))})
    return Response(status, status.phrase, headers, body)
