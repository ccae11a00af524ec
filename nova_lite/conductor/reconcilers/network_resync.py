# SPDX-License-Identifier: Apache-2.0
"""Tells hosts again which peers their networks have, and the rules and members of their groups: it may have been lost."""

from __future__ import annotations

import sqlalchemy as sa

from nova_lite.conductor.engine.services import Services
from nova_lite.context import system_context
from nova_lite.db.network.ports import Port
from nova_lite.payloads import ports


def tell_again(services: Services) -> None:
    """Peers of every network that more than one host has, and every group, on a single host too: its rules change."""
    with services.database.reader() as session:
        per_network = sa.select(Port.network_id).where(Port.host.is_not(None)).group_by(Port.network_id)
        network_ids = list(session.scalars(per_network.having(sa.func.count(Port.host.distinct()) > 1)))
    ctxt = system_context()
    for network_id in network_ids:
        with services.database.reader() as session:
            peers = ports.peers_to_refresh(session, network_id)
        for agent, addresses in peers.items():
            services.network(agent).set_peers(ctxt, network_id=network_id, peers=addresses)
    with services.database.reader() as session:
        groups = ports.groups_of_agents(session)
    for agent, needed in groups.items():
        services.network(agent).update_groups(ctxt, groups=needed)
