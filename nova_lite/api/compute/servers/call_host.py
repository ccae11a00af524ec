# SPDX-License-Identifier: Apache-2.0
"""Calls to the worker of a server's host that a request waits for: console output, diagnostics, topology, passwords."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.compute import servers
from nova_lite.db.compute.servers import Server
from nova_lite.rpc.compute import ComputeRpc

_T = TypeVar("_T")


def call_host(req: Request, server: Server, call: Callable[[ComputeRpc], _T]) -> _T:
    """The reply of the host's worker to `call`; for Deferred replies, since the worker may take seconds.

    :raises errors.Conflict: the server is on no host, or was leaving its host meanwhile.
    :raises errors.NotFound: the server was deleted meanwhile.
    :raises errors.WorkerError: the worker failed although the server stayed. :raises errors.ServiceDown: no reply in time.
    """
    if server.agent is None:
        raise not_ready(server.id)
    try:
        return call(req.rpc.compute(server.agent))
    except errors.WorkerError:
        _refuse_moved(req, server)
        raise


def not_ready(server_id: str) -> errors.Conflict:
    """The refusal of a call to a host that the server does not have."""
    return errors.Conflict(reason=f"Instance {server_id} is not ready")


def _refuse_moved(req: Request, server: Server) -> None:
    """Explain a worker's failure by what became of the server since it was read."""
    with req.database.reader() as session:
        current = servers.get(session, server.id)
    if current.agent is None or current.agent != server.agent:
        raise not_ready(server.id)
    if current.task_state is not None:
        raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is in task_state {current.task_state}")
