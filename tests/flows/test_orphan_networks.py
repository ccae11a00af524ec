# SPDX-License-Identifier: Apache-2.0
"""A network that was deleted while a host was away goes from it when it is back; one in use stays, whatever rows say."""

from __future__ import annotations

import sqlalchemy as sa

from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from tests.support.flows.one_process import OneProcess


def forget_networks(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        for table in ("addresses", "port_security_groups", "ports", "subnets", "networks"):
            session.execute(sa.text(f"DELETE FROM {table}"))  # names from this line


def held(cloud: OneProcess) -> tuple[str, ...]:
    return cloud.network.owned().network_ids


def test_a_network_without_a_row_is_removed_from_hosts(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.run(cloud.begin_delete(server_id))
    orphans.remove(cloud.services, HostCalls())
    assert held(cloud) == (cloud.network_id,)
    forget_networks(cloud)
    orphans.remove(cloud.services, HostCalls())
    assert held(cloud) == ()


def test_a_network_that_a_server_on_the_host_uses_stays(cloud: OneProcess) -> None:
    _, action_id = cloud.create_server()
    cloud.run(action_id)
    forget_networks(cloud)
    orphans.remove(cloud.services, HostCalls())
    assert held(cloud) == (cloud.network_id,)
    assert cloud.network.owned().server_ids
    assert cloud.guests()
