# SPDX-License-Identifier: Apache-2.0
"""The next server with a released address on the same host is not taken for a member of its groups."""

from __future__ import annotations

from pathlib import Path

from tests.support.system.network_lab import NET, OUT, Rule, group, needs_programs, port, running, server, uuid

pytestmark = needs_programs


def test_the_next_owner_of_an_address_does_not_inherit_its_groups(tmp_path: Path) -> None:
    goes = port(1, NET, "10.0.0.11", groups=(group(1).id,))
    stays = port(2, NET, "10.0.0.12", groups=(group(1).id,))
    same = group(1, OUT, Rule(direction="ingress", remote_group_id=group(1).id), members=(goes, stays), revision=1)
    stranger = port(3, NET, "10.0.0.11", groups=(group(2).id,))
    with running(tmp_path) as lab:
        lab.request("prepare", server(1, NET, goes, groups=(same,)))
        lab.request("prepare", server(2, NET, stays, groups=(same,)))
        first, second = lab.plug("g1", goes), lab.plug("g2", stays)
        assert first.dhcp()
        assert second.dhcp()
        assert first.reaches("10.0.0.12")

        lab.sh("ip netns del g1")
        lab.request("release", uuid(1, "b"), fence=2)
        lab.request("prepare", server(3, NET, stranger, groups=(group(2, OUT, revision=1),)))
        third = lab.plug("g3", stranger)

        assert third.dhcp().startswith("10.0.0.11/24")
        assert not third.reaches("10.0.0.12")
        assert third.reaches("10.0.0.1")
