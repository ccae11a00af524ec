# SPDX-License-Identifier: Apache-2.0
"""What guests may reach beyond their host: a web server that is not the cloud's."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"versions")

    def log_message(self, *_: object) -> None:
        """Not on the tests' standard error."""


@contextlib.contextmanager
def outside_at(address: str) -> Iterator[str]:
    """The URL of a web server at an address that this machine has meanwhile; it answers `versions`."""
    subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True, timeout=10)
    try:
        with ThreadingHTTPServer((address, 0), _Answer) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://{address}:{server.server_port}/"
            server.shutdown()
    finally:
        subprocess.run(["ip", "address", "del", f"{address}/32", "dev", "lo"], check=True, timeout=10)
