# SPDX-License-Identifier: Apache-2.0
"""The daemons of block storage by the names that clients know from Cinder: a worker is one for each of its backends, and one for backups."""

from __future__ import annotations

import dataclasses

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db import clock
from nova_lite.db.hosts import hosts
from nova_lite.db.hosts.hosts import Service
from nova_lite.db.volume import backends, pools
from nova_lite.db.volume.backends import VolumeBackend

VOLUME, SCHEDULER, BACKUP = "cinder-volume", "cinder-scheduler", "cinder-backup"
_BINARIES = {hosts.VOLUME: VOLUME, "nova-scheduler": SCHEDULER}


@dataclasses.dataclass(frozen=True)
class Daemon:
    """One daemon. `host`: that of a backend is `worker@backend`; `change`: what an operator has changed of the backend, if anything."""

    binary: str
    host: str
    service: Service
    is_up: bool
    change: VolumeBackend | None = None

    @property
    def is_backend(self) -> bool:
        return self.binary == VOLUME

    @property
    def is_disabled(self) -> bool:
        return self.service.disabled or (self.change is not None and self.change.is_disabled)

    @property
    def disabled_reason(self) -> str | None:
        """The operator's, or why the worker has disabled itself."""
        return self.change.disabled_reason if self.change is not None and self.change.is_disabled else self.service.disabled_reason

    @property
    def is_frozen(self) -> bool:
        return self.change is not None and self.change.is_frozen

    @property
    def zone(self) -> str:
        return self.service.availability_zone


def find(req: Request) -> list[Daemon]:
    """All daemons, by host and binary. Four queries."""
    now, changed = clock.read(req.db), backends.changed(req.db)
    found, by_agent = [], _backends(req)
    for service in hosts.services(req.db):
        binary = _BINARIES.get(service.binary)
        if binary is None:
            continue
        is_up = hosts.is_alive(service, now=now, down_time_s=req.conf.service_down_time)
        names = [f"{service.agent}@{backend}" for backend in sorted(by_agent.get(service.agent, ()))] if binary == VOLUME else []
        found += [Daemon(binary, name, service, is_up, changed.get(name)) for name in names or [service.host]]
        if binary == VOLUME:
            found.append(Daemon(BACKUP, service.host, service, is_up))
    return sorted(found, key=lambda daemon: (daemon.host, daemon.binary))


def get(req: Request, *, host: str, binary: str) -> Daemon:
    """:raises errors.NotFound: there is none."""
    for daemon in find(req):
        if (daemon.host, daemon.binary) == (host, binary):
            return daemon
    raise errors.NotFound(f"Service {binary} could not be found on host {host}.")


def _backends(req: Request) -> dict[str, set[str]]:
    """The backends by worker."""
    found: dict[str, set[str]] = {}
    for pool in pools.pools(req.db):
        found.setdefault(pool.agent, set()).add(pool.backend)
    return found
