# SPDX-License-Identifier: Apache-2.0
"""Serves noVNC's files, and pages and headers with the reason if a console's URL does not work."""

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
    # A console's token is in the page's URL: it must not leak to other sites or stay in caches.
    "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN", "Connection": "close",
}
EXPIRED = "This console URL is unknown, has expired, or its server was stopped. Request a new one from the cloud."


def token_in(url: str) -> str | None:
    """The token in a URL's query: its own parameter, or in the parameter `path` of noVNC."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    if "token" in query:
        return query["token"][0]
    inner = query.get("path", [""])[0]
    return urllib.parse.parse_qs(inner.partition("?")[2]).get("token", [None])[0]


def file(web: Path, url: str) -> Response:
    """The file of the URL below `web`."""
    if not web.is_dir():
        return page(HTTPStatus.NOT_FOUND, f"noVNC is not installed in {web}. Install the package novnc, or set [vnc] web; "
                                          "WebSocket clients can connect without it.")
    name = posixpath.normpath("/" + urllib.parse.unquote(urllib.parse.urlsplit(url).path)).lstrip("/")
    path = web / name
    if not name or not path.is_file():
        return page(HTTPStatus.NOT_FOUND, "There is no such page. Consoles are opened by the URL that "
                                          "`openstack console url show` prints.")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _response(HTTPStatus.OK, kind, path.read_bytes())


def page(status: HTTPStatus, text: str) -> Response:
    """An HTML page with one sentence."""
    body = f"<!DOCTYPE html><html lang='en'><title>Console</title><p>{html.escape(text)}</p></html>"
    return _response(status, "text/html; charset=utf-8", body.encode())


def refusal(status: HTTPStatus, reason: str) -> Response:
    """The response that refuses a WebSocket: without a body, which a client would read as the first frame."""
    text = " ".join("".join(c if c.isascii() and c.isprintable() else " " for c in reason).split())
    return Response(status, status.phrase, Headers({**_COMMON, "Content-Length": "0", "X-Console-Refusal": text[:400]}))


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers({**_COMMON, "Content-Type": kind, "Content-Length": str(len(body))})
    return Response(status, status.phrase, headers, body)
