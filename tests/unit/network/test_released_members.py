# SPDX-License-Identifier: Apache-2.0
"""A released port's addresses leave its groups on the host at once, for another server may get them next."""

from __future__ import annotations

from pathlib import Path

from nova_lite.network.records import Records
from nova_lite.rpc.network import Member, Port, SecurityGroup

STAYS, GOES = Member(network_id="n", address="10.0.0.4"), Member(network_id="n", address="10.0.0.5")
GROUP = SecurityGroup(id="g", members=(STAYS, GOES), revision=7)
PORT = Port(id="p", network_id="n", mac="fa:16:3e:00:00:01", addresses=(GOES.address,), hostname="h", group_ids=("g",))


def known(directory: Path) -> Records:
    records = Records(directory)
    records.load()
    return records


def test_the_address_is_no_member_any_more_also_after_a_restart(tmp_path: Path) -> None:
    records = known(tmp_path)
    records.put_groups([GROUP])
    assert [group.members for group in records.drop_members([PORT])] == [(STAYS,)]
    assert known(tmp_path).groups["g"].members == (STAYS,)


def test_the_message_that_brought_the_member_does_not_bring_it_again(tmp_path: Path) -> None:
    records = known(tmp_path)
    records.put_groups([GROUP])
    records.drop_members([PORT])
    assert records.put_groups([GROUP]) == []
    assert records.groups["g"].members == (STAYS,)


def test_groups_without_the_address_do_not_change(tmp_path: Path) -> None:
    records = known(tmp_path)
    records.put_groups([SecurityGroup(id="g", members=(STAYS,), revision=7)])
    assert records.drop_members([PORT]) == []
    assert records.groups["g"].revision == 7
