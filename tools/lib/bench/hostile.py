# SPDX-License-Identifier: Apache-2.0
"""Clients that would take all of an API for themselves: silent connections, slow uploads and endless heads; and how others fare meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator

from tools.lib.bench.arrivals import OpenLoop
from tools.lib.bench.cloud import Body, Cloud, need, say
from tools.lib.bench.load import Bench, spread

SILENT, UPLOADS, HEAD_BYTES = 1000, 100, 300_000_000
_UPLOAD_BYTES, _SMALL_BYTES = 100_000_000, 1000
_PIECE = b"a" * 1_000_000
_TICK_S = 0.5


def hostile(bench: Bench, *, seconds: float, get_rate: float, memory_mib: Callable[[], float]) -> Body:
    """GETs of one server beside 1,000 silent connections, 100 slow uploads and a head of 300 MB; memory is the most seen above that before."""
    cloud, ids = bench.cloud, [boot.id for boot in bench.boots if boot.active is not None]
    begin, before = time.monotonic() + _TICK_S, memory_mib()
    gets = OpenLoop(cloud, lambda wire, number: wire.request("GET", f"{cloud.compute}/servers/{ids[number % len(ids)]}"),
                    rate=get_rate, seconds=seconds, begin=begin)
    ended, most = threading.Event(), [before]
    with _images(cloud) as images:
        crowd = _Crowd(cloud, images)
        threads = [threading.Thread(target=work, args=(ended,), daemon=True) for work in (crowd.hold, crowd.send_heads)]
        threads.append(threading.Thread(target=_watch, args=(ended, memory_mib, most), daemon=True))
        for thread in threads:
            thread.start()
        arrivals = gets.run()
        ended.set()
        for thread in threads:
            thread.join()
    answered = [one for one in arrivals if one.status == 200]
    return {"seconds": seconds, "gets": {"count": len(arrivals), "answered": len(answered), **spread([one.took_s for one in answered])},
            "silent": crowd.silent, "uploads": crowd.uploads, "heads": crowd.heads, "memory_before_mib": before, "memory_growth_mib": most[0] - before}


@contextlib.contextmanager
def _images(cloud: Cloud) -> Iterator[list[str]]:
    """Queued images, one for each slow upload of an image; removed at the end."""
    wire = cloud.wire()
    made = [str(need(wire, "POST", f"{cloud.image}/images", {"name": "bench-slow", "disk_format": "raw", "container_format": "bare"})["id"])
            for _ in range(UPLOADS // 2)]
    try:
        yield made
    finally:
        for image_id in made:
            status, body, _ = wire.request("DELETE", f"{cloud.image}/images/{image_id}")
            if status >= 300:
                say(f"left behind: image {image_id} ({status} {body})")
        wire.close()


def _watch(ended: threading.Event, memory_mib: Callable[[], float], most: list[float]) -> None:
    while not ended.wait(_TICK_S):
        most[0] = max(most[0], memory_mib())


class _Crowd:
    """The hostile clients; `silent`, `uploads`, `heads`: how many connections of each kind were opened over the time."""

    def __init__(self, cloud: Cloud, images: list[str]) -> None:
        parts = urllib.parse.urlsplit(cloud.image)
        self._address = (str(parts.hostname), parts.port or 80)
        heads = []
        for one in images:  # half of the uploads are bodies that a thread reads, and half are small ones
            heads += [("PUT", f"{parts.path}/images/{one}/file", "application/octet-stream", _UPLOAD_BYTES),
                      ("POST", f"{urllib.parse.urlsplit(cloud.compute).path}/servers", "application/json", _SMALL_BYTES)]
        self._uploads = itertools.cycle(
            f"{method} {path} HTTP/1.1\r\nHost: bench\r\nX-Auth-Token: {cloud.token}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()
            for method, path, kind, size in heads)
        self.silent = self.uploads = self.heads = 0

    def hold(self, ended: threading.Event) -> None:
        """Keep as many silent connections and slow uploads open as the server lets, and replace those that it ends."""
        selector = selectors.DefaultSelector()
        while not ended.is_set():
            open_now = [key.data for key in selector.get_map().values()]
            for is_upload, most in ((False, SILENT), (True, UPLOADS)):
                for _ in range(most - open_now.count(is_upload)):
                    self._open(selector, is_upload=is_upload)
            for key in list(selector.get_map().values()):
                if key.data:
                    with contextlib.suppress(OSError):
                        key.fileobj.send(b"a")  # type: ignore[union-attr]
            self._drop_ended(selector, time.monotonic() + _TICK_S)
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        selector.close()

    def _open(self, selector: selectors.BaseSelector, *, is_upload: bool) -> None:
        with contextlib.suppress(OSError):
            wire = socket.create_connection(self._address, timeout=5)
            if is_upload:
                wire.sendall(next(self._uploads))
                self.uploads += 1
            else:
                self.silent += 1
            wire.setblocking(False)
            selector.register(wire, selectors.EVENT_READ, is_upload)

    def _drop_ended(self, selector: selectors.BaseSelector, until: float) -> None:
        while (left_s := until - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                wire: socket.socket = key.fileobj  # type: ignore[assignment]
                with contextlib.suppress(OSError):
                    if wire.recv(65536):
                        continue
                selector.unregister(wire)
                wire.close()

    def send_heads(self, ended: threading.Event) -> None:
        """Send heads of 300 MB, one after the other, as far as the server takes them."""
        while not ended.wait(_TICK_S):
            self.heads += 1
            with contextlib.suppress(OSError), socket.create_connection(self._address, timeout=5) as wire:
                wire.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nX-A: ")
                for _ in range(HEAD_BYTES // len(_PIECE)):
                    wire.sendall(_PIECE)
