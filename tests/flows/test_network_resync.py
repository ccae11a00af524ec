# SPDX-License-Identifier: Apache-2.0
"""A host that missed a push of network state fetches what it lacks, and nothing else."""

from __future__ import annotations

import pytest

from nova_lite.conductor.reconcilers import network_resync
from nova_lite.db.network import network_changes, security_groups
from nova_lite.db.network.network_changes import Kind
from nova_lite.db.network.security_groups import SecurityGroupRule
from tests.support.flows.one_process import CTXT, OneProcess

LOST = {"change_groups": "changes", "update_networks": "networks", "refresh": "ports"}


@pytest.fixture
def server_id(cloud: OneProcess) -> str:
    """A server that runs."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    return server_id


def lose_pushes(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pending is sent and never arrives."""
    with monkeypatch.context() as patched:
        for method in LOST:
            patched.setattr(cloud.network, method, lambda *_: None)
        cloud.network_sync.push()


def add_rule(cloud: OneProcess) -> str:
    """The group's id."""
    with cloud.database.writer() as session:
        group = security_groups.default(session, CTXT.project_id)
        security_groups.add_rule(session, SecurityGroupRule(
            group_id=group.id, project_id=CTXT.project_id, direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22))
        return group.id


def has_ssh(cloud: OneProcess, group_id: str) -> bool:
    return 22 in {rule.port_min for rule in cloud.network_records.groups[group_id].rules}


def test_a_rule_whose_push_was_lost_comes_to_the_host(
    cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group_id = add_rule(cloud)
    lose_pushes(cloud, monkeypatch)
    assert not has_ssh(cloud, group_id)
    network_resync.resync(cloud.services)
    assert has_ssh(cloud, group_id)


def test_a_missed_change_is_made_up_for_by_the_next(cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    group_id = add_rule(cloud)
    lose_pushes(cloud, monkeypatch)
    _, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.network_sync.push()  # nobody hurries for a network that is on one host only
    assert has_ssh(cloud, group_id)
    assert len(cloud.network_records.groups[group_id].members) == 2


def test_ports_whose_refresh_was_lost_come_to_the_host(
    cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud.database.writer() as session:
        port = cloud.ports(server_id)[0]
        session.merge(port).port_security_enabled = False
        network_changes.record(session, Kind.SERVER, [server_id])
    lose_pushes(cloud, monkeypatch)
    assert cloud.network_records.servers[server_id].ports[0].is_secured
    network_resync.resync(cloud.services)
    assert not cloud.network_records.servers[server_id].ports[0].is_secured


def test_a_host_that_missed_nothing_fetches_nothing(
    cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_rule(cloud)
    cloud.network_sync.push()
    monkeypatch.setattr(cloud.network_sync, "network_state", lambda *_, **__: pytest.fail("the host has it all"))
    network_resync.resync(cloud.services)


def test_a_host_is_sent_no_group_that_is_not_its_own(cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add_rule(cloud)
    cloud.network_sync.push()
    with cloud.database.writer() as session:
        other = security_groups.default(session, "another-project")
    sent: list[str] = []
    monkeypatch.setattr(cloud.network, "check_revisions", lambda revisions: sent.extend(revisions.groups))
    network_resync.resync(cloud.services)
    assert sent
    assert other.id not in sent
