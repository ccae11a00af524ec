# SPDX-License-Identifier: Apache-2.0
"""The outermost filter: gives every request its id, adds it to every response, and writes the access log."""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oslo_context import context as oslo_context
from oslo_log import log as logging

from nova_lite.api.wsgi.filters.auth import App, Environ, StartResponse
from nova_lite.context import new_request_id

LOG = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_IN_QUERY = "%!$&'()*+,;=:@/?~[]"  # what is written as it came; quotes and control characters are not
# A reader of the log must not be able to open consoles.
_SECRET = re.compile(r"(/os-console-auth-tokens/)[^/]+")


class RequestId:
    """Sets environ's `nova.request_id` and `nova.global_request_id` (the client's own, if well-formed)."""

    def __init__(self, app: App, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = self._clock()
        request_id = new_request_id()
        global_id = environ.get("HTTP_X_OPENSTACK_REQUEST_ID", "")
        environ["nova.request_id"] = request_id
        environ["nova.global_request_id"] = global_id if _REQUEST_ID.fullmatch(global_id) else ""
        oslo_context.RequestContext(
            request_id=request_id, global_request_id=environ["nova.global_request_id"] or None, overwrite=True
        )
        response = _Response(environ, started, self._clock)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # PEP 3333
            response.status = status.partition(" ")[0]
            ids = [("x-openstack-request-id", request_id), ("x-compute-request-id", request_id)]
            others = [pair for pair in headers if pair[0].lower() not in ("x-openstack-request-id", "x-compute-request-id")]
            return start_response(status, others + ids, exc_info) if exc_info else start_response(status, others + ids)

        response.chunks = self._app(environ, start)
        return response


class _Response:
    """The response's bytes on their way out; the server calls `close` after the last, or when the client has disconnected."""

    def __init__(self, environ: Environ, started: float, clock: Callable[[], float]) -> None:
        self.status = "-"
        self.chunks: Iterable[bytes] = ()
        self._environ = environ
        self._started = started
        self._clock = clock
        self._sent = 0
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self._sent += len(chunk)
            yield chunk

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            getattr(self.chunks, "close", lambda: None)()
        finally:
            query = self._environ.get("QUERY_STRING")
            # Quoted again: line feeds and escapes would let a client write log lines of its own, or move its reader's cursor.
            path = urllib.parse.quote(f"{self._environ.get('SCRIPT_NAME', '')}{self._environ.get('PATH_INFO', '')}")
            path = _SECRET.sub(r"\1***", path)
            if query:
                path = f"{path}?{urllib.parse.quote(query, safe=_IN_QUERY)}"
            LOG.info(
                '%s "%s %s" status: %s len: %d time: %.4f',
                self._environ.get("REMOTE_ADDR", "-"),
                urllib.parse.quote(self._environ["REQUEST_METHOD"]),
                path,
                self.status,
                self._sent,
                self._clock() - self._started,
            )
