# SPDX-License-Identifier: Apache-2.0
"""The load: clients that boot servers, act on them and delete them, and one that lists servers all the time."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import random
import threading
import time
from typing import Any

from tools.lib.bench.cloud import Cloud, Wire
from tools.lib.bench.prerequisites import Prerequisites

CLIENTS = 3
# An action that has not ended by then is stuck: `[conductor] action_timeout` and a margin.
ENDS_S = 180.0
_POLL_S = 0.15
_READ_EACH_S = 0.2
_READ_LIMIT_S = 30.0
# Sequences of (action, body, the status that ends it); each begins and ends ACTIVE.
_LIVES: tuple[tuple[tuple[str, Any, str], ...], ...] = (
    (("os-stop", None, "SHUTOFF"), ("os-start", None, "ACTIVE")),
    (("pause", None, "PAUSED"), ("unpause", None, "ACTIVE")),
    (("suspend", None, "SUSPENDED"), ("resume", None, "ACTIVE")),
    (("reboot", {"type": "HARD"}, "ACTIVE"),),
    (("resize", {"flavorRef": "LARGER"}, "VERIFY_RESIZE"), ("confirmResize", None, "ACTIVE")),
    (("resize", {"flavorRef": "LARGER"}, "VERIFY_RESIZE"), ("revertResize", None, "ACTIVE")),
    (("rebuild", {"imageRef": "IMAGE"}, "ACTIVE"),),
)


@dataclasses.dataclass
class Operation:
    """An accepted request. `failed`: why; empty: it did what it should."""

    name: str
    server_id: str
    seconds: float
    failed: str = ""


@dataclasses.dataclass
class Read:
    """One list of servers. `at`: when it ended, by the monotonic clock."""

    at: float
    seconds: float
    is_good: bool


class Gone(Exception):
    """The server cannot be used any more."""


class Load:
    """All clients of one fault; `stop()` lets each end the life of its server."""

    def __init__(self, cloud: Cloud, prerequisites: Prerequisites, *, larger: str, seed: str) -> None:
        self.cloud, self.prerequisites, self.larger = cloud, prerequisites, larger
        self.operations: list[Operation] = []
        self.refused = 0
        self.reads: list[Read] = []
        self.names: list[str] = []
        self._stopping, self._reads_end = threading.Event(), threading.Event()
        self._clients = [threading.Thread(target=_Client(self, f"{seed}-{number}").work, daemon=True) for number in range(CLIENTS)]
        self._prober = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        for thread in (*self._clients, self._prober):
            thread.start()

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Returns when all servers of the load are deleted, or are given up."""
        self._stopping.set()
        for thread in self._clients:
            thread.join()
        self._reads_end.set()
        self._prober.join()

    def _read(self) -> None:
        wire = self.cloud.wire()
        while not self._reads_end.wait(_READ_EACH_S):
            wire.timeout_s = _READ_LIMIT_S
            began = time.monotonic()
            try:
                is_good = wire.request("GET", f"{self.cloud.compute}/servers")[0] == 200
            except (OSError, http.client.HTTPException, ValueError):
                is_good = False
            now = time.monotonic()
            self.reads.append(Read(now, now - began, is_good))
        wire.close()


class _Client:
    """One client with a connection of its own; all that it does is drawn from `seed`."""

    def __init__(self, load: Load, seed: str) -> None:
        self._load, self._seed, self._rng, self._wire = load, seed, random.Random(seed), load.cloud.wire()
        self._wire.timeout_s = 60.0
        self._count = 0

    def work(self) -> None:
        while not self._load.is_stopping:
            with contextlib.suppress(Gone):
                self._live()
        self._wire.close()

    def _live(self) -> None:
        url = self._create()
        for name, body, status in self._rng.choice(_LIVES):
            if self._load.is_stopping:
                break
            self._act(url, name, self._filled(body), status)
        self._delete(url)

    def _filled(self, body: Any) -> Any:
        words = {"LARGER": self._load.larger, "IMAGE": self._load.prerequisites.image}
        return {name: words.get(value, value) for name, value in body.items()} if body else body

    def _create(self) -> str:
        """:raises Gone: it was refused, or failed."""
        self._count += 1
        name = f"chaos-{self._seed}-{self._count}"
        made = self._load.prerequisites
        body = {"server": {"name": name, "imageRef": made.image, "flavorRef": made.flavor, "networks": [{"uuid": made.network}]}}
        began = time.monotonic()
        server_id = self._post_server(body, name)
        if server_id is None:
            self._load.refused += 1
            time.sleep(0.3)
            raise Gone
        self._load.names.append(name)
        url = f"{self._load.cloud.compute}/servers/{server_id}"
        self._wait("create", url, "ACTIVE", began=began)
        return url

    def _post_server(self, body: Any, name: str) -> str | None:
        """The server's id, also if the answer was lost; None: it was refused."""
        try:
            status, answer, _ = self._wire.request("POST", f"{self._load.cloud.compute}/servers", body)
        except (OSError, http.client.HTTPException, ValueError):
            found = self._get(f"{self._load.cloud.compute}/servers?name=^{name}$", until=time.monotonic() + ENDS_S)
            return str(found["servers"][0]["id"]) if found and found["servers"] else None
        return str(answer["server"]["id"]) if status == 202 else None

    def _act(self, url: str, name: str, body: Any, status: str) -> None:
        """Repeated while it is refused."""
        while not self._load.is_stopping:
            began = time.monotonic()
            try:
                answered, _, _ = self._wire.request("POST", f"{url}/action", {name: body})
            except (OSError, http.client.HTTPException, ValueError):
                answered = 202 if self._has_begun(url, name) else 503
            if answered in (200, 202, 204):
                self._wait(name, url, status, began=began)
                return
            self._load.refused += 1
            time.sleep(0.3)

    def _has_begun(self, url: str, name: str) -> bool:
        """Whether the action is the server's newest; its answer was lost."""
        found = self._get(f"{url}/os-instance-actions", until=time.monotonic() + ENDS_S)
        newest = found["instanceActions"][0]["action"] if found else ""
        return name.removeprefix("os-").lower().startswith(newest.lower()[:5]) if newest else False

    def _delete(self, url: str) -> None:
        began = time.monotonic()
        is_accepted = False
        while time.monotonic() - began < ENDS_S:
            try:
                status = self._wire.request("DELETE", url)[0] if not is_accepted else self._wire.request("GET", url)[0]
            except (OSError, http.client.HTTPException, ValueError):
                status = 0
            if status == 404:
                break
            is_accepted = is_accepted or status == 204
            time.sleep(_POLL_S if is_accepted else 0.3)
        else:
            self._note("delete", url, began, f"not gone after {ENDS_S:.0f} s" if is_accepted else "")
            return
        self._note("delete", url, began)

    def _wait(self, name: str, url: str, status: str, *, began: float) -> None:
        """Until the server is as the action leads to.

        :raises Gone: it failed, or is stuck; the server is deleted.
        """
        idle = 0
        while time.monotonic() - began < ENDS_S:
            shown = self._get(url, until=began + ENDS_S)
            server = shown["server"] if shown else {}
            if server.get("status") == "ERROR":
                self._give_up(name, url, began, str(server.get("fault", {}).get("message", "ERROR without a fault")))
            if server and server["OS-EXT-STS:task_state"] is None:
                if server["status"] == status:
                    self._note(name, url, began)
                    return
                idle += 1
                if idle > 3:  # at rest, and elsewhere
                    self._give_up(name, url, began, f"it is {server['status']}: {self._message(url)}")
            time.sleep(_POLL_S)
        self._give_up(name, url, began, f"not {status} after {ENDS_S:.0f} s")

    def _message(self, url: str) -> str:
        found = self._get(f"{url}/os-instance-actions", until=time.monotonic() + 10)
        return str(found["instanceActions"][0]["message"]) if found else "?"

    def _give_up(self, name: str, url: str, began: float, reason: str) -> None:
        self._note(name, url, began, reason)
        self._delete(url)
        raise Gone

    def _note(self, name: str, url: str, began: float, failed: str = "") -> None:
        self._load.operations.append(Operation(name, url.rpartition("/")[2], time.monotonic() - began, failed))

    def _get(self, url: str, *, until: float) -> Any:  # JSON
        """The JSON; None: no answer by then, or 404."""
        while time.monotonic() < until:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, answer, _ = self._wire.request("GET", url)
                if status in (200, 404):
                    return answer if status == 200 else None
            time.sleep(_POLL_S)
        return None


def first_create_s(load: Load, *, since: float, limit_s: float, name: str) -> float | None:
    """Seconds from `since` until a new server, tried again and again, was ACTIVE; None: not within `limit_s`."""
    wire: Wire = load.cloud.wire()
    wire.timeout_s = 10.0
    made, compute = load.prerequisites, load.cloud.compute
    body = {"server": {"name": name, "imageRef": made.image, "flavorRef": made.flavor, "networks": [{"uuid": made.network}]}}
    ids: list[str] = []
    try:
        while time.monotonic() - since < limit_s:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, answer, _ = wire.request("POST", f"{compute}/servers", body)
                if status == 202:
                    ids.append(answer["server"]["id"])
                    seen = "BUILD"
                    while seen == "BUILD" and time.monotonic() - since < limit_s:
                        seen = str(wire.request("GET", f"{compute}/servers/{ids[-1]}")[1]["server"]["status"])
                        if seen == "ACTIVE":
                            return time.monotonic() - since
                        time.sleep(0.05)
            time.sleep(0.1)
        return None
    finally:
        for server_id in ids:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                wire.request("DELETE", f"{compute}/servers/{server_id}")
        wire.close()
