# SPDX-License-Identifier: Apache-2.0
"""Tells the conductor, in batches, of guests that changed their power state by themselves."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

from oslo_log import log as logging

from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.conductor import PowerState

LOG = logging.getLogger(__name__)
# Long enough for the end of an operation to overtake the events that it caused; short for a person.
_GATHER_S = 0.25


class PowerSync:
    """Gathers what the driver saw and sends what is news.

    `send(host, states)` delivers; `host_of(server_id)` is None for a server that is not ours; while
    `is_busy(server_id)` an operation is at work and will report the outcome itself.
    """

    def __init__(
        self, *, send: Callable[[str, tuple[PowerState, ...]], None], host_of: Callable[[str], str | None],
        is_busy: Callable[[str], bool],
    ) -> None:
        self._send, self._host_of, self._is_busy = send, host_of, is_busy
        self._wake = threading.Condition()
        self._seen: dict[str, Power] = {}
        self._told: dict[str, Power] = {}
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="power-reports", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, then end."""
        self._is_closed.set()
        with self._wake:
            self._wake.notify_all()
        if self._thread:
            self._thread.join(timeout=5)

    def see(self, server_id: str, power: Power) -> None:
        """Note what the driver saw; the newest state counts."""
        with self._wake:
            self._seen[server_id] = power
            self._wake.notify()

    def told(self, server_id: str, power: Power) -> None:
        """Note what the conductor was told otherwise: the outcome of an operation, which is newer than all seen."""
        with self._wake:
            self._told[server_id] = power
            self._seen.pop(server_id, None)

    def tell_all(self, states: Mapping[str, Power]) -> None:
        """Send these states whether told before or not: a telling may have been lost."""
        with self._wake:
            self._told.clear()
            self._seen = {**states, **self._seen}
            self._wake.notify()

    def forget(self, server_id: str) -> None:
        with self._wake:
            self._seen.pop(server_id, None)
            self._told.pop(server_id, None)

    def _loop(self) -> None:
        while not self._is_closed.is_set():
            with self._wake:
                self._wake.wait_for(lambda: self._seen or self._is_closed.is_set())
            self._is_closed.wait(_GATHER_S)
            self.flush()

    def flush(self) -> None:
        """Send what is news now; servers that are busy wait for the next time."""
        with self._wake:
            due = {server_id: power for server_id, power in self._seen.items() if not self._is_busy(server_id)}
            for server_id in due:
                del self._seen[server_id]
            news = {server_id: power for server_id, power in due.items() if self._told.get(server_id) != power}
        for host, states in self._by_host(news).items():
            LOG.info("host %s: guests changed power: %s", host, ", ".join(
                f"{state.server_id} {Power(state.state).name.lower()}" for state in states
            ))
            self._send(host, states)
            with self._wake:
                self._told.update({state.server_id: Power(state.state) for state in states})

    def _by_host(self, news: Mapping[str, Power]) -> dict[str, tuple[PowerState, ...]]:
        hosts: defaultdict[str, tuple[PowerState, ...]] = defaultdict(tuple)
        for server_id, power in news.items():
            host = self._host_of(server_id)
            if host is not None:
                hosts[host] += (PowerState(server_id=server_id, state=int(power)),)
        return hosts
