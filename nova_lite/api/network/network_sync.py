# SPDX-License-Identifier: Apache-2.0
"""Pushes committed changes of networks to the network workers of the hosts that they concern."""

from __future__ import annotations

from collections.abc import Iterable

from nova_lite.api.wsgi.request import Request
from nova_lite.payloads import ports as port_payloads


def groups(req: Request, group_ids: Iterable[str]) -> None:
    """After the commit: push the rules and members of these groups."""
    changed = set(group_ids)
    if changed:
        req.after_commit(_groups, req, changed)


def servers(req: Request, server_ids: Iterable[str]) -> None:
    """After the commit: push the ports of these servers."""
    changed = {server_id for server_id in server_ids if server_id}
    if changed:
        req.after_commit(_servers, req, changed)


def network(req: Request, network_id: str) -> None:
    """After the commit: the network or its subnets changed; push it to each host that has it."""
    req.after_commit(_network, req, network_id)


def network_removed(req: Request, network_id: str) -> None:
    """After the commit: have all hosts remove the network."""
    req.after_commit(_network_removed, req, network_id)


def _groups(req: Request, group_ids: set[str]) -> None:
    with req.database.reader() as session:
        payloads = port_payloads.groups_to_refresh(session, group_ids)
    for agent, described in payloads.items():
        req.rpc.network(agent).update_groups(req.ctxt, groups=described)


def _servers(req: Request, server_ids: set[str]) -> None:
    with req.database.reader() as session:
        payloads = port_payloads.servers_to_refresh(session, server_ids)
    for agent, ports in payloads:
        req.rpc.network(agent).refresh(req.ctxt, ports=ports)


def _network(req: Request, network_id: str) -> None:
    with req.database.reader() as session:
        server_ids = port_payloads.one_server_per_host(session, network_id)
    _servers(req, set(server_ids))


def _network_removed(req: Request, network_id: str) -> None:
    with req.database.reader() as session:
        agents = port_payloads.agents(session, down_time_s=req.conf.service_down_time)
    for agent in agents:
        req.rpc.network(agent).remove_network(req.ctxt, network_id=network_id)
