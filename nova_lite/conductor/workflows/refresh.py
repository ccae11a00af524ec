# SPDX-License-Identifier: Apache-2.0
"""Tells other hosts' network workers what a change on one host means for them."""

from __future__ import annotations

from collections.abc import Iterable

from nova_lite.conductor.workflow import Run
from nova_lite.db import plugs


def groups(run: Run, group_ids: set[str]) -> None:
    """Members of the groups changed: hosts that use them elsewhere get the new ones."""
    if not run.world.has_other_agents(run.saved["agent"]):
        return
    with run.world.database.reader() as session:
        told = plugs.groups_to_refresh(session, group_ids)
    for agent, changed in told.items():
        if agent != run.saved["agent"]:
            run.world.network(agent).update_groups(run.ctxt, groups=changed)


def peers(run: Run, network_ids: Iterable[str]) -> None:
    """A host joined the networks: the others' VXLANs reach it from now on."""
    if not run.world.has_other_agents(run.saved["agent"]):
        return
    for network_id in network_ids:
        with run.world.database.reader() as session:
            told = plugs.peers_to_refresh(session, network_id)
        for agent, addresses in told.items():
            if agent != run.saved["agent"]:
                run.world.network(agent).set_peers(run.ctxt, network_id=network_id, peers=addresses)
