# SPDX-License-Identifier: Apache-2.0
"""Reports to the conductor, in batches, guests that changed their power state by themselves."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

from oslo_log import log as logging

from nova_lite.compute.records import Record
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.conductor import PowerState
from nova_lite.rpc.order import Order

LOG = logging.getLogger(__name__)
# Long enough for the end of an operation to overtake the events that it caused; short for a person.
_GATHER_S = 0.25


class PowerSync:
    """Gathers what the driver saw and sends what is new.

    `send(host, states)` delivers; `record_of(server_id)` is None for a server that is not ours; while
    `is_busy(server_id)` an operation is at work and reports the outcome itself.
    """

    def __init__(
        self, *, send: Callable[[str, tuple[PowerState, ...]], None], record_of: Callable[[str], Record | None],
        is_busy: Callable[[str], bool],
    ) -> None:
        self._send, self._record_of, self._is_busy = send, record_of, is_busy
        self._wake = threading.Condition()
        self._seen: dict[str, Power] = {}
        self._reported: dict[str, Power] = {}
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

    def reported(self, server_id: str, power: Power) -> None:
        """Note what an operation's report says, which is newer than all seen."""
        with self._wake:
            self._reported[server_id] = power
            self._seen.pop(server_id, None)

    def report_all(self, states: Mapping[str, Power]) -> None:
        """Send these states, whether sent before or not: a message may have been lost."""
        with self._wake:
            self._reported.clear()
            self._seen = {**states, **self._seen}
            self._wake.notify()

    def forget(self, server_id: str) -> None:
        with self._wake:
            self._seen.pop(server_id, None)
            self._reported.pop(server_id, None)

    def _loop(self) -> None:
        while not self._is_closed.is_set():
            with self._wake:
                self._wake.wait_for(lambda: self._seen or self._is_closed.is_set())
            self._is_closed.wait(_GATHER_S)
            self.flush()

    def flush(self) -> None:
        """Send what is new now; servers that are busy wait for the next time.

        The order of each server's last operation is read first, so that an operation that ends meanwhile has a later one.
        """
        with self._wake:
            pending = dict(self._seen)
        orders = {server_id: record.order for server_id in pending if (record := self._record_of(server_id)) is not None}
        with self._wake:
            due = {server_id: power for server_id, power in pending.items()
                   if self._seen.get(server_id) is power and not self._is_busy(server_id)}
            for server_id in due:
                del self._seen[server_id]
            changes = {server_id: power for server_id, power in due.items() if self._reported.get(server_id) != power}
        for host, states in self._by_host(changes, orders).items():
            LOG.info("host %s: guests changed power: %s", host, ", ".join(
                f"{state.server_id} {Power(state.state).name.lower()}" for state in states
            ))
            self._send(host, states)
            with self._wake:
                for state in states:
                    if state.order == getattr(self._record_of(state.server_id), "order", None):
                        self._reported[state.server_id] = Power(state.state)

    def _by_host(self, changes: Mapping[str, Power], orders: Mapping[str, Order]) -> dict[str, tuple[PowerState, ...]]:
        hosts: defaultdict[str, tuple[PowerState, ...]] = defaultdict(tuple)
        for server_id, power in changes.items():
            record = self._record_of(server_id)
            if record is not None:
                hosts[record.guest.host] += (PowerState(server_id=server_id, state=int(power), order=orders.get(server_id)),)
        return hosts
