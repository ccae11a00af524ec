# SPDX-License-Identifier: Apache-2.0
"""What a host was to be told of its security groups, and what was lost on the way, is told again."""

from __future__ import annotations

from nova_lite.conductor.reconcilers import network_resync
from nova_lite.db.network import security_groups
from nova_lite.db.network.security_groups import SecurityGroupRule
from tests.support.flows.one_process import CTXT, OneProcess


def test_a_rule_that_a_single_host_was_not_told_of_comes_to_it(cloud: OneProcess) -> None:
    _, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        group = security_groups.default(session, CTXT.project_id)
        session.add(SecurityGroupRule(group_id=group.id, project_id=CTXT.project_id, direction="ingress", ethertype="IPv4",
                                      protocol="tcp", port_min=22, port_max=22))
    held = cloud.network_records.groups
    assert 22 not in {rule.port_min for rule in held[group.id].rules}
    network_resync.tell_again(cloud.services)
    assert 22 in {rule.port_min for rule in held[group.id].rules}


def test_a_host_is_told_of_no_group_that_is_not_its_own(cloud: OneProcess) -> None:
    _, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        other = security_groups.default(session, "another-project")
    told: list[str] = []
    cloud.network.update_groups = lambda groups: told.extend(group.id for group in groups)  # type: ignore[method-assign]
    network_resync.tell_again(cloud.services)
    assert told
    assert other.id not in told
