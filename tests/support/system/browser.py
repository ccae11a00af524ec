# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that tests drive by its DevTools protocol: open a page, evaluate something, take a screenshot."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.wait import wait_until

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0",
    "--window-size=900,700",
)


def is_here() -> bool:
    return shutil.which("chromium") is not None


class Page:
    """One page."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._numbers = itertools.count(1)

    def request(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._wire.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self._wire.recv(60))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, script: str) -> Any:
        return self.request("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.request("Page.captureScreenshot")["data"]))


@contextlib.contextmanager
def page(directory: Path, url: str) -> Iterator[Page]:
    """The page at `url`, in a browser with an empty profile below `directory`."""
    profile = directory / "chromium"
    with open(directory / "chromium.log", "wb") as log:
        process = subprocess.Popen(
            ["chromium", *_FLAGS, f"--user-data-dir={profile}", url], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        port = _wait_for_port(profile / "DevToolsActivePort")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as answer:
            target = next(found for found in json.load(answer) if found["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None, proxy=None, open_timeout=60) as wire:
            yield Page(wire)
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_port(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text(), "chromium to start", seconds=90)
    return int(path.read_text().split()[0])
