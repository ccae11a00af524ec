# SPDX-License-Identifier: Apache-2.0
"""Lets guests go on that stopped at an error of their storage, once it is back: QEMU then does the failed requests again."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.virt.libvirt.domains import Domains, is_stopped_by_storage

LOG = logging.getLogger(__name__)
_FIRST_S, _LONGEST_S = 1.0, 30.0
# A guest that has run for so long begins with the shortest delay again.
_RECOVERED_S = 120.0


@dataclasses.dataclass
class _Stopped:
    """A guest that stopped. `due`: when it is resumed; None: it was, at `resumed`, after `delay_s`."""

    due: float | None
    delay_s: float
    resumed: float = 0.0


class IoErrors:
    """Guests that stopped, each resumed after a delay that doubles while it stops again at once; safe for threads."""

    def __init__(self, domains: Domains, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._domains, self._clock = domains, clock
        self._changed = threading.Condition()
        self._stopped: dict[str, _Stopped] = {}
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="libvirt-io-errors", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def see(self, server_id: str) -> None:
        """Note that the guest stopped, or may have, at an error of its storage; does not block."""
        now = self._clock()
        with self._changed:
            for name in [name for name, one in self._stopped.items() if one.due is None and now - one.resumed >= _RECOVERED_S]:
                del self._stopped[name]
            known = self._stopped.get(server_id)
            if known is None or known.due is None:
                delay_s = min(known.delay_s * 2, _LONGEST_S) if known is not None else _FIRST_S
                self._stopped[server_id] = _Stopped(now + delay_s, delay_s)
                self._changed.notify_all()

    def see_all(self) -> None:
        """As `see`, of all guests that stopped while their events could not be heard."""
        for server_id in self._domains.run("list guests", self._domains.list_stopped):
            self.see(server_id)

    def forget(self, server_id: str) -> None:
        """The guest is not to go on by itself any more, as when its user has paused it."""
        with self._changed:
            self._stopped.pop(server_id, None)

    def _loop(self) -> None:
        while not self._is_closed:
            with self._changed:
                due = min((one.due for one in self._stopped.values() if one.due is not None), default=None)
                if due is None or due > self._clock():
                    self._changed.wait(None if due is None else due - self._clock())
                    continue
                server_id, stopped = next((name, one) for name, one in self._stopped.items() if one.due == due)
                # Only then: it may stop again before the call returns.
                stopped.due, stopped.resumed = None, self._clock()
            self._resume(server_id, stopped)

    def _resume(self, server_id: str, stopped: _Stopped) -> None:
        def work(conn: Any) -> bool:
            domain = self._domains.find(conn, server_id)
            if domain is None or not is_stopped_by_storage(domain):
                return False
            domain.resume()
            return True

        try:
            if self._domains.run("resume a guest that its storage stopped", work):
                LOG.warning("server %s: resumed after an error of its storage", server_id)
        except errors.HypervisorFailed as error:
            LOG.warning("server %s: %s", server_id, error.text)
            with self._changed:
                if self._stopped.get(server_id) is stopped:
                    stopped.delay_s = min(stopped.delay_s * 2, _LONGEST_S)
                    stopped.due = self._clock() + stopped.delay_s
