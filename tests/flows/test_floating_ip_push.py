# SPDX-License-Identifier: Apache-2.0
"""A host that missed a floating address, or its end, is refreshed; one that has it right is left alone."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.db.base import new_id
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.ports import Port
from nova_lite.rpc.network import FloatingIpAssociation
from tests.support.flows import resizing
from tests.support.flows.one_process import CTXT, OneProcess


def associate(cloud: OneProcess, server_id: str, address: str) -> FloatingIpAssociation:
    """As the network API writes it; the record of the change is lost."""
    port = cloud.ports(server_id)[0]
    fixed = port.addresses[0].address
    with cloud.database.writer() as session:
        outside = Port(id=new_id(), project_id=CTXT.project_id, network_id=cloud.network_id, mac_address="fa:16:3e:00:00:99")
        session.add(outside)
        session.flush()
        session.add(FloatingIp(project_id=CTXT.project_id, network_id=cloud.network_id, plug_id=outside.id, address=address,
                               port_id=port.id, fixed_address=fixed))
    return FloatingIpAssociation(server_id=server_id, address=address, fixed_address=fixed)


def test_a_host_gets_a_floating_address_and_its_end(cloud: OneProcess) -> None:
    server_id = resizing.built(cloud)
    associated = associate(cloud, server_id, "203.0.113.9")
    assert cloud.network.owned().floating == ()
    orphans.remove(cloud.services, HostCalls())
    cloud.network_sync.push()
    assert cloud.network.owned().floating == (associated,)
    with cloud.database.writer() as session:
        session.execute(sa.update(FloatingIp).values(port_id=None, fixed_address=None))
    orphans.remove(cloud.services, HostCalls())
    cloud.network_sync.push()
    assert cloud.network.owned().floating == ()


def test_no_host_is_sent_what_it_has(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id = resizing.built(cloud)
    associate(cloud, server_id, "203.0.113.9")
    orphans.remove(cloud.services, HostCalls())
    cloud.network_sync.push()
    monkeypatch.setattr(cloud.network_records, "put_server", lambda ports: pytest.fail("the host has it"))
    orphans.remove(cloud.services, HostCalls())
    cloud.network_sync.push()
