# SPDX-License-Identifier: Apache-2.0
"""The first step of operations on a server where it is."""

from __future__ import annotations

import dataclasses
from typing import Protocol, TypeVar

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import Run, State
from nova_lite.db.compute import servers


@dataclasses.dataclass(frozen=True)
class OnHost:
    """Part of the state of such operations."""

    host: str = ""
    agent: str = ""


H = TypeVar("H", bound=OnHost)


class OfWorker(State, Protocol):
    """A state that says which workers the server has; None: it is on no host."""

    @property
    def agent(self) -> str | None: ...


W = TypeVar("W", bound=OfWorker)


def agent(run: Run[H]) -> str | None:
    """The worker of the server's host."""
    return run.state.agent or None


def find_host(services: Services, server_id: str) -> tuple[str, str]:
    """The server's host and its worker.

    :raises errors.WorkerError: it is on none.
    """
    with services.database.reader() as session:
        server = servers.get(session, server_id)
    if server.agent is None or server.host is None:
        raise errors.WorkerError(reason="the server is on no host")
    return server.host, server.agent
