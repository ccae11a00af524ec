# SPDX-License-Identifier: Apache-2.0
"""Tells hosts' network workers what a change on one host means for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from nova_lite.conductor.engine.workflow import Run
from nova_lite.db.network import ports
from nova_lite.payloads import ports as port_payloads
from nova_lite.rpc.network import Network, SecurityGroup


def groups(run: Run, group_ids: set[str], *, known: Iterable[SecurityGroup] = ()) -> None:
    """Members of the groups changed: hosts that use them get the new ones.

    The run's own host was told `known`. It is told again if that is not so any more: what others said of a change
    meanwhile it may have heard before it had the group, and dropped.
    """
    if not run.services.has_other_agents(run.saved["agent"]):
        return
    with run.services.database.reader() as session:
        told = port_payloads.groups_to_refresh(session, group_ids)
    already = {_content(group) for group in known}
    for agent, changed in told.items():
        if agent != run.saved["agent"] or not already.issuperset(map(_content, changed)):
            run.services.network(agent).update_groups(run.ctxt, groups=changed)


def peers(run: Run, networks: Iterable[Network]) -> None:
    """A host joined the networks: the others' VXLANs reach it from now on.

    `networks` as the host was told of them; it is told again of one that another host joined meanwhile.
    """
    if not run.services.has_other_agents(run.saved["agent"]):
        return
    for network in networks:
        with run.services.database.reader() as session:
            told = port_payloads.peers_to_refresh(session, network.id)
        for agent, addresses in told.items():
            if agent != run.saved["agent"] or addresses != network.peers:
                run.services.network(agent).set_peers(run.ctxt, network_id=network.id, peers=addresses)


def places(run: Run) -> None:
    """The guest has been described anew: where its tagged devices are is told to it again."""
    with run.services.database.reader() as session:
        is_tagged = any(port.tag for port in ports.of_servers(session, [run.server_id])[run.server_id])
    if is_tagged:
        run.services.conductor.refresh_documents(run.ctxt, server_id=run.server_id)


def _content(group: SecurityGroup) -> SecurityGroup:
    return dataclasses.replace(group, revision=0)
