# SPDX-License-Identifier: Apache-2.0
"""Hosts that start guests of one network at once all end up knowing each other, whoever was told first."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import sqlalchemy as sa

from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.workflow import Run
from nova_lite.context import system_context
from nova_lite.db.engine import Database
from nova_lite.db.network import networks
from nova_lite.payloads import ports
from nova_lite.rpc.network import ServerPorts
from tests.unit.network_rows import rows


@dataclasses.dataclass
class Told:
    """Stands for the services: keeps what network workers are told."""

    database: Database
    peers: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    groups: dict[str, Any] = dataclasses.field(default_factory=dict)
    agent: str = ""

    def has_other_agents(self, agent: str) -> bool:
        return True

    def network(self, agent: str) -> Told:
        return dataclasses.replace(self, agent=agent)

    def set_peers(self, ctxt: object, *, network_id: str, peers: tuple[str, ...]) -> None:
        self.peers[self.agent] = peers

    def update_groups(self, ctxt: object, *, groups: tuple[Any, ...]) -> None:
        self.groups[self.agent] = groups


def place(database: Database, server_id: str, *, at: str, known: bool) -> ServerPorts:
    """A server at the host; what its worker is told then."""
    with database.writer() as session:
        if not known:
            for number, name in enumerate(("a", "b"), start=1):
                rows.host(session, name, tunnel_ip=f"192.0.2.{number}")
            network = rows.network(session)
        else:
            network = networks.get(session, session.scalars(sa.select(networks.Network.id)).one())
        server = rows.server(session, server_id, network, at=at)
    with database.reader() as session:
        return ports.server_ports(session, server, fence=1, documents={})


def run_at(agent: str, services: Told) -> Run:
    return Run(ctxt=system_context(), server_id="s1", action_id=1, inputs={}, saved={"agent": agent}, services=cast(Any, services))


def refreshed(services: Told, sent: ServerPorts) -> Told:
    network_sync.peers(run_at("agent-a", services), sent.networks)
    network_sync.groups(run_at("agent-a", services), {g for port in sent.ports for g in port.group_ids}, known=sent.groups)
    return services


def test_the_own_host_hears_of_a_host_that_joined_since_it_was_told(database: Database) -> None:
    sent = place(database, "s1", at="a", known=False)
    place(database, "s2", at="b", known=True)
    told = refreshed(Told(database), sent)
    assert told.peers == {"agent-a": ("192.0.2.2",), "agent-b": ("192.0.2.1",)}
    assert {agent: len(groups[0].members) for agent, groups in told.groups.items()} == {"agent-a": 2, "agent-b": 2}


def test_the_own_host_is_not_told_twice(database: Database) -> None:
    place(database, "s2", at="b", known=False)
    sent = place(database, "s1", at="a", known=True)
    told = refreshed(Told(database), sent)
    assert set(told.peers) == {"agent-b"}
    assert set(told.groups) == {"agent-b"}
