# SPDX-License-Identifier: Apache-2.0
"""An image service for tests: one file over HTTP, for requests with the right token."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.rpc.compute import Guest, Image
from nova_lite.values import guest_disk
from tests.support.paths import ROOT

TOKEN = "image-token"
_TOOL = ROOT / "tools" / "guest-image"


class ImageServer:
    """`served` counts finished and begun downloads; `corrupt` flips what is sent."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests = 0
        self.status = 200
        self.cut_at: int | None = None
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.requests += 1
                if self.headers["X-Auth-Token"] != TOKEN:
                    return self.send_error(401)
                if served.status != 200:
                    return self.send_error(served.status)
                self.send_response(200)
                self.send_header("Content-Length", str(len(served.content)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(served.content[: served.cut_at])
                return None

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/image"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def image(self, *, disk_format: str = "qcow2", image_id: str = "11111111-0000-4000-8000-000000000001") -> Image:
        """The image as it is now."""
        return Image(
            id=image_id, disk_format=disk_format, size=len(self.content), hash_algo="sha512",
            checksum=hashlib.sha512(self.content).hexdigest(), url=self.url, token=TOKEN, properties={},
        )


@contextlib.contextmanager
def image_server(content: bytes | Path) -> Iterator[ImageServer]:
    made = ImageServer(content.read_bytes() if isinstance(content, Path) else content)
    try:
        yield made
    finally:
        made.close()


def guest_of(image: Image, *, server_id: str, host: str, number: int = 1, disk_gb: int = 1) -> Guest:
    """A small guest with a config drive and no network."""
    return Guest(
        server_id=server_id, host=host, instance_name=f"test-{server_id[:8]}-{number}",
        display_name="web", hostname="web", vcpus=1, ram_mb=128,
        disks=guest_disk.of_flavor(root_gb=disk_gb, ephemeral_gb=0, swap_mb=0),
        image=image, nics=(), config_drive=True,
        documents={
            "openstack/latest/meta_data.json": f'{{"uuid": "{server_id}", "hostname": "web"}}',
            "openstack/latest/user_data": "#!/bin/sh\necho USERDATA-RAN\n",
        },
        extra_specs={}, project_id="p", user_id="u",
    )


def guest_image(factory: pytest.TempPathFactory) -> Path:
    """The small guest that boots by itself; made once by all processes of a run unless NOVA_LITE_GUEST_IMAGE names one."""
    given = os.environ.get("NOVA_LITE_GUEST_IMAGE")
    if given:
        return Path(given)
    directory = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # which its processes share; the tool waits for another one's build, and keeps what is made
    return _built(directory / "guest.qcow2")


@functools.cache
def _built(image: Path) -> Path:
    subprocess.run([str(_TOOL), str(image)], check=True, timeout=300, stdout=subprocess.DEVNULL)
    return image
