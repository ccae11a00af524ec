# SPDX-License-Identifier: Apache-2.0
"""Rules and ports become the nftables statements that they mean, and nothing that a name smuggles in."""

from __future__ import annotations

import pytest

from nova_lite.network.linux import nft_rules
from nova_lite.rpc.network import Member, Port, Rule, SecurityGroup

GROUP = "c0000001-0001-4000-8000-000000000000"
RULES = nft_rules.NftRules(table="nova_x", transit_cidr="100.64.0.0/16")
PORT = Port(
    id="a0000001-0001-4000-8000-000000000000", network_id="e0000001-0001-4000-8000-000000000000",
    mac="FA:16:3e:00:00:01", addresses=("10.0.0.5",), hostname="web", group_ids=(GROUP,),
)


@pytest.mark.parametrize(("rule", "line"), [
    (Rule(direction="ingress"), "accept"),
    (Rule(direction="ingress", protocol="tcp", port_min=22, port_max=22), "tcp dport 22-22 accept"),
    (Rule(direction="ingress", protocol="6", port_min=1, port_max=9), "tcp dport 1-9 accept"),
    (Rule(direction="ingress", protocol="UDP"), "meta l4proto 17 accept"),
    (Rule(direction="ingress", protocol="icmp"), "meta l4proto 1 accept"),
    (Rule(direction="ingress", protocol="icmp", port_min=8), "icmp type 8 accept"),
    (Rule(direction="ingress", protocol="icmp", port_min=3, port_max=4), "icmp type 3 icmp code 4 accept"),
    (Rule(direction="ingress", protocol="vrrp"), "meta l4proto 112 accept"),
    (Rule(direction="ingress", remote_cidr="10.1.0.0/16"), "ip saddr 10.1.0.0/16 accept"),
    (Rule(direction="egress", remote_cidr="10.1.2.3/16"), "ip daddr 10.1.0.0/16 accept"),
    (Rule(direction="ingress", remote_cidr="0.0.0.0/0"), "accept"),
    (Rule(direction="ingress", remote_group_id=GROUP), f"iifname . ip saddr @m-{GROUP} accept"),
    (Rule(direction="egress", protocol="tcp", port_min=80, remote_group_id=GROUP),
     f"oifname . ip daddr @m-{GROUP} tcp dport 80-80 accept"),
    (Rule(direction="ingress", remote_cidr="::/0"), None),
    (Rule(direction="ingress", protocol="ipv6-icmp"), None),
])
def test_a_rule_becomes_what_it_means(rule: Rule, line: str | None) -> None:
    assert nft_rules.accept_line(rule) == line


@pytest.mark.parametrize("rule", [
    Rule(direction="ingress", protocol="tcp; drop"),
    Rule(direction="ingress", protocol="256"),
    Rule(direction="ingress", protocol="tcp", port_min=9, port_max=8),
    Rule(direction="ingress", remote_cidr="10.0.0.0/33"),
])
def test_a_rule_that_does_not_exist_accepts_nothing(rule: Rule) -> None:
    with pytest.raises(ValueError):
        nft_rules.accept_line(rule)
    assert not any("add rule" in line for line in RULES.add_group(SecurityGroup(id=GROUP, rules=(rule,))))


def test_a_secured_port_ends_in_a_drop_both_ways() -> None:
    rules = [line for line in RULES.add_port(PORT) if line.startswith("add rule")]

    assert [rule.split()[-1] for rule in rules if f"pi-{PORT.id}" in rule] == ["accept", f"gi-{GROUP}", "drop"]
    assert [rule.split()[-1] for rule in rules if f"pe-{PORT.id}" in rule] == ["accept", "accept", f"ge-{GROUP}", "drop"]


def test_a_ports_mac_and_address_are_bound_to_its_tap() -> None:
    assert 'add element bridge nova_x source { "tapa0000001-00" . fa:16:3e:00:00:01 . 10.0.0.5 }' in RULES.add_port(PORT)


def test_whatever_is_added_for_a_port_is_removed_with_it() -> None:
    removed = RULES.remove_port(PORT)

    for line in RULES.add_port(PORT):
        if line.startswith("add element"):
            assert f"delete{line.removeprefix('add')}" in removed


def test_members_are_known_by_their_network_too() -> None:
    member = Member(network_id=PORT.network_id, address="10.0.0.5")

    assert RULES.add_members(GROUP, [member]) == [f'add element inet nova_x m-{GROUP} {{ "br-e0000001-00" . 10.0.0.5 }}']


@pytest.mark.parametrize("bad", ["10.0.0.5 }; flush ruleset", "10.0.0.256", ""])
def test_an_address_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ValueError):
        RULES.add_members(GROUP, [Member(network_id=PORT.network_id, address=bad)])
