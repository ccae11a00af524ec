# SPDX-License-Identifier: Apache-2.0
"""The HTTP server ends when it is asked to, whenever that is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from nova_lite import concurrency, threaded_http


def _app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


def test_a_server_that_is_asked_to_end_before_it_serves_ends() -> None:
    listener = concurrency.listen("127.0.0.1", 0)
    server = concurrency.HttpServer(_app, listener, threads=2)
    server.stop()
    serving = threading.Thread(target=server.serve, daemon=True)
    serving.start()
    serving.join(timeout=20)
    assert not serving.is_alive()


def test_a_worker_does_not_wait_for_a_connection_that_another_one_accepted() -> None:
    listener = concurrency.listen("127.0.0.1", 0)
    server = threaded_http.make(_app, listener, threads=2)
    server.prepare()
    assert listener.gettimeout() == 0
    server.stop()
    listener.close()
