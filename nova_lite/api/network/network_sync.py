# SPDX-License-Identifier: Apache-2.0
"""Records what a request changes that hosts must know of, and has a conductor push it: conductor/network_sync.py."""

from __future__ import annotations

from collections.abc import Iterable

from nova_lite.api.wsgi.request import Request
from nova_lite.db.network import network_changes
from nova_lite.db.network.network_changes import Kind


def push(req: Request) -> None:
    """After the commit, wake a conductor: what db/ functions have recorded of groups, or this module, is pushed."""
    req.after_commit(req.rpc.conductor.push_network, req.ctxt)


def servers(req: Request, server_ids: Iterable[str]) -> None:
    """Ports of these servers changed."""
    _record(req, Kind.SERVER, {server_id for server_id in server_ids if server_id})


def network(req: Request, network_id: str) -> None:
    """The network or its subnets changed."""
    _record(req, Kind.NETWORK, {network_id})


def network_deleted(req: Request, network_id: str) -> None:
    """No host needs the network any more."""
    _record(req, Kind.NETWORK_DELETED, {network_id})


def _record(req: Request, kind: Kind, resource_ids: set[str]) -> None:
    if resource_ids:
        network_changes.record(req.db, kind, resource_ids)
        push(req)
