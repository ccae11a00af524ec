# SPDX-License-Identifier: Apache-2.0
"""Refuses bodies that are too large before anything reads them."""

from __future__ import annotations

import io
from collections.abc import Iterable

from nova_lite.api.wsgi.filters.auth import App, Environ, StartResponse, answer_error


class SizeLimit:
    """Answers 413 to a body above `limit` bytes; `PUT`s to paths that end in `upload_suffix` pass.

    A body of unknown length (chunked) is read up to the limit here, so that the applications behind see a length.
    """

    def __init__(self, app: App, *, limit: int, upload_suffix: str = "") -> None:
        self._app = app
        self._limit = limit
        self._upload_suffix = upload_suffix

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        if is_chunked:
            # Servers that speak HTTP/1.1 end the stream at the last chunk; without this flag webob reads none of it.
            environ["wsgi.input_terminated"] = True
        if self._is_upload(environ):
            return self._app(environ, start_response)
        if is_chunked:
            return self._chunked(environ, start_response)
        length = environ.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            return answer_error(start_response, "400 Bad Request", 400, "Content-Length is not a number")
        if int(length) > self._limit:
            return self._refuse(start_response)
        return self._app(environ, start_response)

    def _chunked(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = b""
        while len(body) <= self._limit:
            chunk = environ["wsgi.input"].read(self._limit + 1 - len(body))
            if not chunk:
                environ["wsgi.input"] = io.BytesIO(body)
                environ["CONTENT_LENGTH"] = str(len(body))
                del environ["HTTP_TRANSFER_ENCODING"]
                return self._app(environ, start_response)
            body += chunk
        return self._refuse(start_response)

    def _is_upload(self, environ: Environ) -> bool:
        return bool(
            self._upload_suffix
            and environ["REQUEST_METHOD"] == "PUT"
            and environ.get("PATH_INFO", "").endswith(self._upload_suffix)
        )

    def _refuse(self, start_response: StartResponse) -> Iterable[bytes]:
        text = f"Request is too large: the limit is {self._limit} bytes."
        return answer_error(start_response, "413 Request Entity Too Large", 413, text)
