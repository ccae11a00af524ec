# SPDX-License-Identifier: Apache-2.0
"""Divides the reconcilers' work among the conductors that run, so that each piece is done by one of them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable

from oslo_log import log as logging

from nova_lite.db.engine import Database
from nova_lite.db.hosts import conductor_leases
from nova_lite.db.hosts.conductor_leases import Lease

LOG = logging.getLogger(__name__)
# Leases are renewed so many times in their duration, and read at least as often before anything is done by them.
RENEWALS = 3


class Ownership:
    """One conductor's part. A subject (a host's agent, a reconciler) belongs to the live conductor whose hash with it is the greatest.

    So conductors need agree on nothing but who lives, which a lease says: `renew` is to be called each `lease_s / RENEWALS`
    seconds. One that comes is active after `lease_s`, when all have read that it is there; one that was away too long comes anew.
    `gained()` is called when work of others may have come here.
    """

    def __init__(
        self, database: Database, *, owner: str, lease_s: float, gained: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._owner, self._lease_s, self._gained, self._monotonic = database, owner, lease_s, gained, monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._leases: tuple[Lease, ...] = ()
        self._active: frozenset[str] = frozenset()

    def renew(self) -> None:
        """Keep this conductor's lease, and read the others': one UPDATE and one SELECT."""
        with self._lock:
            before = self._active
            self._renew()
            after = self._active = self._active_now()
        if before - after or self._owner in after - before:
            LOG.info("the reconcilers' work is divided among %s", ", ".join(sorted(after)) or "nobody yet")
            self._gained()

    def owns(self, subject: str) -> bool:
        """Whether the piece of work is this conductor's now."""
        with self._lock:
            if self._monotonic() - self._read_at > self._lease_s / RENEWALS:
                self._renew()
            active = self._active_now()
        return self._owner in active and max(active, key=lambda owner: _hash(owner, subject)) == self._owner

    def release(self) -> None:
        """This conductor stops: leave its part to the others."""
        with self._lock, self._database.writer() as session:
            conductor_leases.end(session, [self._owner])
            self._leases = ()

    def _active_now(self) -> frozenset[str]:
        age_s = self._monotonic() - self._read_at
        return frozenset(lease.owner for lease in self._leases if lease.is_active(after_s=age_s))

    def _renew(self) -> None:
        with self._database.writer() as session:
            if not conductor_leases.renew(session, self._owner, lease_s=self._lease_s, at_least_s=self._lease_s / RENEWALS):
                conductor_leases.begin(session, self._owner, lease_s=self._lease_s)
        leases = self._read()
        own = next((lease for lease in leases if lease.owner == self._owner), None)
        if own is not None and own.active_in_s > 0 and not any(lease.is_live() for lease in leases if lease is not own):
            with self._database.writer() as session:
                conductor_leases.activate(session, self._owner)
            leases = self._read()
        self._leases = tuple(leases)

    def _read(self) -> list[Lease]:
        self._read_at = self._monotonic()
        with self._database.reader() as session:
            return conductor_leases.read(session, lease_s=self._lease_s)


def _hash(owner: str, subject: str) -> bytes:
    return hashlib.sha256(f"{owner}\0{subject}".encode()).digest()
