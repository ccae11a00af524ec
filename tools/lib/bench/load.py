# SPDX-License-Identifier: Apache-2.0
"""Boots, reads and deletes servers by many clients, and notes how long each took."""

from __future__ import annotations

import argparse
import base64
import dataclasses
import functools
import json
import secrets
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

from tools.lib.bench.cloud import BenchError, Body, Cloud, Wire, need
from tools.lib.bench.prerequisites import Prerequisites

# Power actions in an order in which each is allowed, with the status that ends it.
_ACTIONS = (("pause", "PAUSED"), ("unpause", "ACTIVE"), ("os-stop", "SHUTOFF"), ("os-start", "ACTIVE"))


@dataclasses.dataclass
class Boot:
    """One server's life, in seconds of the monotonic clock; None: it did not happen."""

    id: str = ""
    posted: float = 0.0
    answered: float = 0.0
    active: float | None = None
    polls: int = 0
    error: str = ""

    @property
    def post_s(self) -> float:
        return self.answered - self.posted

    @property
    def active_s(self) -> float | None:
        return None if self.active is None else self.active - self.posted


class Bench:
    """One run: boots, reads, deletes; every phase is bounded in count and in time."""

    def __init__(self, cloud: Cloud, prerequisites: Prerequisites, args: argparse.Namespace) -> None:
        self.cloud, self.prerequisites, self.args = cloud, prerequisites, args
        self.boots: list[Boot] = []
        self.name = f"bench-{secrets.token_hex(4)}"

    def boot(self, wire: Wire, number: int, *, poll_s: float) -> Boot:
        """POST, then poll until ACTIVE, ERROR or the deadline."""
        boot = Boot(posted=time.monotonic())
        status, body, _ = self.post(wire, str(number))
        boot.answered = time.monotonic()
        if status != 202:
            boot.error = f"POST answered {status}: {json.dumps(body)[:300]}"
            return boot
        boot.id = body["server"]["id"]
        self._wait(wire, boot, poll_s=poll_s)
        return boot

    def post(self, wire: Wire, suffix: str) -> tuple[int, Any, Any]:
        """POST one server; status, JSON and headers."""
        params: Body = {"name": f"{self.name}-{suffix}", "imageRef": self.prerequisites.image, "flavorRef": self.prerequisites.flavor,
                        "networks": [{"uuid": self.prerequisites.network}] if self.prerequisites.network else "none"}
        if self.args.user_data:
            params["user_data"] = base64.b64encode(bytes(self.args.user_data)).decode()
        return wire.request("POST", f"{self.cloud.compute}/servers", {"server": params})

    def adopt(self, ids: list[str]) -> None:
        """Count servers that were made otherwise as this run's, so that they are deleted at its end."""
        self.boots += [Boot(id=one) for one in ids]

    def _wait(self, wire: Wire, boot: Boot, *, poll_s: float) -> None:
        deadline = boot.posted + self.args.timeout
        while time.monotonic() < deadline:
            time.sleep(poll_s)
            status, body, _ = wire.request("GET", f"{self.cloud.compute}/servers/{boot.id}")
            boot.polls += 1
            if status != 200:
                boot.error = f"GET answered {status}"
                return
            if body["server"]["status"] == "ACTIVE":
                boot.active = time.monotonic()
                return
            if body["server"]["status"] == "ERROR":
                boot.error = body["server"].get("fault", {}).get("message", "ERROR without a fault")
                return
        boot.error = f"not ACTIVE after {self.args.timeout:.0f} s"

    def boot_many(self, count: int, clients: int, *, poll_s: float) -> list[Boot]:
        """`count` boots by `clients` threads, each with its own connection."""
        boots: list[Boot] = []
        numbers = iter(range(len(self.boots), len(self.boots) + count))
        lock = threading.Lock()

        def client() -> None:
            wire = self.cloud.wire()
            try:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    boots.append(self.boot(wire, number, poll_s=poll_s))
            finally:
                wire.close()

        in_threads([client] * min(clients, count))
        self.boots += boots
        failed = [boot for boot in boots if boot.error]
        if len(failed) > count / 2:
            raise BenchError(f"{len(failed)} of {count} servers failed, the first: {failed[0].error}")
        return boots

    def get_rate(self) -> dict[str, float]:
        """GET of one server, by `-c` threads for the given time."""
        ids = [boot.id for boot in self.boots if boot.active is not None]
        times: list[float] = []
        until = time.monotonic() + self.args.read_time

        def client() -> None:
            wire, own, number = self.cloud.wire(), [], 0
            while (start := time.monotonic()) < until:
                status, _, _ = wire.request("GET", f"{self.cloud.compute}/servers/{ids[number % len(ids)]}")
                own.append(time.monotonic() - start)
                number += 1
                if status != 200:
                    raise BenchError(f"GET server answered {status}")
            times.extend(own)
            wire.close()

        start = time.monotonic()
        in_threads([client] * self.args.read_clients)
        return {"per_s": len(times) / (time.monotonic() - start), "count": len(times), **spread(times)}

    def action_times(self) -> dict[str, dict[str, float]]:
        """Each power action on one server until its status is reached, `--actions` times, one client; by action."""
        wire = self.cloud.wire()
        url = f"{self.cloud.compute}/servers/{next(boot.id for boot in self.boots if boot.active is not None)}"
        times: dict[str, list[float]] = {name: [] for name, _ in _ACTIONS}
        for _ in range(self.args.actions):
            for name, status in _ACTIONS:
                times[name].append(self._act(wire, url, name, status))
        wire.close()
        return {name: spread(taken) for name, taken in times.items()}

    def action_rate(self) -> dict[str, float]:
        """Pause and unpause by `-c` clients, each on a server of its own; actions per second."""
        urls = [f"{self.cloud.compute}/servers/{boot.id}" for boot in self.boots if boot.active is not None][:self.args.c]

        def client(url: str) -> None:
            wire = self.cloud.wire()
            for _ in range(self.args.actions):
                self._act(wire, url, "pause", "PAUSED")
                self._act(wire, url, "unpause", "ACTIVE")
            wire.close()

        start = time.monotonic()
        in_threads([functools.partial(client, url) for url in urls])
        count = 2 * self.args.actions * len(urls)
        return {"per_s": count / (time.monotonic() - start), "count": count}

    def _act(self, wire: Wire, url: str, name: str, status: str) -> float:
        """Seconds from the POST until the server shows `status` and no task."""
        start = time.monotonic()
        answered, body, _ = wire.request("POST", f"{url}/action", {name: None})
        if answered != 202:
            raise BenchError(f"{name} answered {answered}: {json.dumps(body)[:300]}")
        while True:
            server = need(wire, "GET", url)["server"]
            if server["status"] == status and server["OS-EXT-STS:task_state"] is None:
                return time.monotonic() - start
            if time.monotonic() > start + self.args.timeout:
                raise BenchError(f"{name} did not lead to {status} within {self.args.timeout:.0f} s")
            time.sleep(self.args.poll)

    def list_times(self) -> dict[str, float]:
        """GET /servers/detail with a page of `--page`, one client."""
        wire, times, items = self.cloud.wire(), [], 0
        for _ in range(self.args.lists):
            start = time.monotonic()
            items = len(need(wire, "GET", f"{self.cloud.compute}/servers/detail?limit={self.args.page}")["servers"])
            times.append(time.monotonic() - start)
        wire.close()
        return {"servers": items, **spread(times)}

    def delete_all(self) -> dict[str, float]:
        """DELETE of all that was booted, by `-c` threads; each is waited for until GET answers 404."""
        waiting = [boot.id for boot in self.boots if boot.id]
        times: list[float] = []
        lost: list[str] = []
        lock = threading.Lock()

        def client() -> None:
            wire = self.cloud.wire()
            while True:
                with lock:
                    if not waiting:
                        break
                    server_id = waiting.pop()
                start = time.monotonic()
                url = f"{self.cloud.compute}/servers/{server_id}"
                while wire.request("DELETE", url)[0] in (429, 503):
                    time.sleep(self.args.poll_many)
                while wire.request("GET", url)[0] != 404:
                    if time.monotonic() > start + self.args.timeout:
                        lost.append(server_id)
                        break
                    time.sleep(self.args.poll)
                else:
                    times.append(time.monotonic() - start)
            wire.close()

        start = time.monotonic()
        in_threads([client] * min(self.args.c, max(1, len(waiting))))
        if not times:
            return {"lost": len(lost)}
        return {"per_s": len(times) / (time.monotonic() - start), "lost": len(lost), **spread(times)}


def in_threads(works: list[Callable[[], None]]) -> None:
    """Run all at once; the first error is raised when all have ended."""
    broken: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised below, in the caller's thread
            broken.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]


def spread(times: list[float]) -> dict[str, float]:
    """p50, p99 and the largest, in milliseconds."""
    if not times:
        return {}
    ordered = sorted(times)
    at = min(len(ordered) - 1, int(len(ordered) * 0.99))
    return {"p50_ms": statistics.median(ordered) * 1000, "p99_ms": ordered[at] * 1000, "max_ms": ordered[-1] * 1000}
