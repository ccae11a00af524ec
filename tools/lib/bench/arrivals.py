# SPDX-License-Identifier: Apache-2.0
"""The open loop: requests arrive at a rate, whether earlier ones are answered or not, as those of many clients do."""

from __future__ import annotations

import dataclasses
import http.client
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tools.lib.bench.cloud import Body, Cloud, Wire, say
from tools.lib.bench.load import Bench, spread

# A client that finds no answer within this gives up; each arrival may need a thread and a connection of its own.
GIVE_UP_S = 60.0
_MOST_THREADS = 3000
_LIST_PAGE = 1000


@dataclasses.dataclass
class Arrival:
    """One request, in seconds of the monotonic clock from the time at which it was due. `status` 0: no answer came."""

    due: float
    status: int = 0
    took_s: float = 0.0
    retry_after: bool = False
    server_id: str = ""


class OpenLoop:
    """Sends requests when they are due, by as many threads as are needed, over connections that are kept."""

    def __init__(self, cloud: Cloud, send: Callable[[Wire, int], tuple[int, Any, Any]], *, rate: float, seconds: float, begin: float) -> None:
        self._cloud, self._send = cloud, send
        self._due = [begin + number / rate for number in range(int(rate * seconds))]
        self._ready: queue.SimpleQueue[tuple[int, Arrival] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self.arrivals: list[Arrival] = []

    def run(self) -> list[Arrival]:
        """Return when all have been answered or given up."""
        for number, due in enumerate(self._due):
            time.sleep(max(0.0, due - time.monotonic()))
            arrival = Arrival(due)
            self.arrivals.append(arrival)
            with self._lock:
                if self._idle:
                    self._idle -= 1
                elif len(self._threads) < _MOST_THREADS:
                    self._threads.append(threading.Thread(target=self._client, daemon=True))
                    self._threads[-1].start()
            self._ready.put((number, arrival))
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            thread.join()
        return self.arrivals

    def _client(self) -> None:
        wire = self._cloud.wire()
        wire.timeout_s = GIVE_UP_S
        while (item := self._ready.get()) is not None:
            number, arrival = item
            try:
                arrival.status, body, headers = self._send(wire, number)
                arrival.retry_after = "Retry-After" in headers
                if arrival.status == 202:
                    arrival.server_id = body["server"]["id"]
            except (OSError, http.client.HTTPException, ValueError):
                arrival.status = 0
            arrival.took_s = time.monotonic() - arrival.due
            with self._lock:
                self._idle += 1
        wire.close()


def overload(bench: Bench, *, capacity: float, factor: float, seconds: float, get_rate: float) -> Body:
    """POSTs at `factor` times the capacity beside GETs of one server; what was answered, built, and how long it takes to recover."""
    cloud, ids = bench.cloud, [boot.id for boot in bench.boots if boot.active is not None]
    begin = time.monotonic() + 0.5
    posts = OpenLoop(cloud, lambda wire, number: bench.post(wire, f"open-{number}"), rate=factor * capacity, seconds=seconds, begin=begin)
    gets = OpenLoop(cloud, lambda wire, number: wire.request("GET", f"{cloud.compute}/servers/{ids[number % len(ids)]}"),
                    rate=get_rate, seconds=seconds, begin=begin)
    reading = threading.Thread(target=gets.run, daemon=True)
    reading.start()
    posts.run()
    reading.join()
    answered = time.monotonic()
    accepted = [one for one in posts.arrivals if one.status == 202]
    say(f"{len(accepted)} of {len(posts.arrivals)} POSTs accepted; waiting until they are built")
    report: Body = {"capacity_per_s": capacity, "posts_per_s": factor * capacity, "seconds": seconds,
                    "posts": _answers(posts.arrivals), "gets": _answers(gets.arrivals), "accepted_per_s": len(accepted) / seconds,
                    "accepted": spread([one.took_s for one in accepted]),
                    "refused": spread([one.took_s for one in posts.arrivals if one.status in (429, 503)]),
                    "refused_without_retry_after": sum(not one.retry_after for one in posts.arrivals if one.status in (429, 503))}
    report |= _built(bench, {one.server_id for one in accepted}, answered=min(answered, begin + seconds))
    return report


def _answers(arrivals: list[Arrival]) -> Body:
    return {"count": len(arrivals), "by_status": {str(status): count for status, count in sorted(Counter(one.status for one in arrivals).items())},
            **spread([one.took_s for one in arrivals])}


def _built(bench: Bench, accepted: set[str], *, answered: float) -> Body:
    """Wait until all that was accepted has ended, and compare it with what the cloud has."""
    wire = bench.cloud.wire()
    until = time.monotonic() + bench.args.timeout * 4
    while True:
        found = _named(bench, wire)
        building = [one for one, status in found.items() if status == "BUILD"]
        if not building or time.monotonic() > until:
            break
        time.sleep(0.25)
    wire.close()
    bench.adopt(sorted(found))
    return {"built_after_s": max(0.0, time.monotonic() - answered), "active": sum(status == "ACTIVE" for status in found.values()),
            "in_error": sum(status == "ERROR" for status in found.values()), "accepted_but_lost": len(accepted - set(found)),
            "built_but_not_accepted": len(set(found) - accepted)}


def _named(bench: Bench, wire: Wire) -> dict[str, str]:
    """Status by id of the servers of this open loop."""
    found: dict[str, str] = {}
    marker = ""
    while True:
        status, body, _ = wire.request("GET", f"{bench.cloud.compute}/servers/detail?limit={_LIST_PAGE}{marker}")
        if status != 200:
            time.sleep(0.5)
            continue
        found |= {one["id"]: one["status"] for one in body["servers"] if one["name"].startswith(f"{bench.name}-open-")}
        if len(body["servers"]) < _LIST_PAGE:
            return found
        marker = f"&marker={body['servers'][-1]['id']}"
