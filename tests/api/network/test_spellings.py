# SPDX-License-Identifier: Apache-2.0
"""Values that can be written in several ways, markers that left their filter, and addresses that floating IPs lead to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api.network_cloud import NetworkCloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path)
    yield network_cloud
    network_cloud.close()


def test_a_mac_and_an_id_are_found_in_capitals(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    port = cloud.create("port", network_id=network_id, mac_address="FA:16:3E:AA:BB:0C").body
    for query in ("mac_address=FA:16:3E:AA:BB:0C", "mac_address=fa-16-3e-aa-bb-0c", f"id={port['id'].upper()}",
                  f"network_id={network_id.upper()}"):
        assert [row["id"] for row in cloud.get(f"/ports?{query}").body["ports"]] == [port["id"]], query


def test_a_page_of_ports_goes_on_after_one_that_left_the_filter(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network()
    made = [cloud.create("port", network_id=network_id, name="p").body["id"] for _ in range(3)]
    cloud.request("PUT", f"/ports/{made[0]}", {"port": {"name": "renamed"}})
    page = cloud.get(f"/ports?name=p&limit=5&marker={made[0]}")
    assert (page.status, {row["id"] for row in page.body["ports"]}) == (200, set(made[1:]))


@pytest.mark.parametrize(("first", "second"), [
    ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 2}, {"protocol": "6", "port_range_min": 1, "port_range_max": 2}),
    ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp", "ethertype": "IPv6"}),
    ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "58", "ethertype": "IPv6"}),
    ({"protocol": "udp"}, {"protocol": "udp", "remote_ip_prefix": "0.0.0.0/0"}),
    ({"remote_ip_prefix": "10.1.0.0/16"}, {"remote_ip_prefix": "10.1.2.3/16"}),
])
def test_two_spellings_of_one_rule_are_one_rule(cloud: NetworkCloud, first: dict[str, object], second: dict[str, object]) -> None:
    group = cloud.create("security_group", name="g").body
    rule = {"security_group_id": group["id"], "direction": "ingress"}
    cloud.create("security_group_rule", **rule, **first)
    assert cloud.request("POST", "/security-group-rules", {"security_group_rule": {**rule, **second}}).status == 409


@pytest.mark.parametrize(("more", "status", "words"), [
    ({"protocol": "ipv6-icmp"}, 400, "ethertype"), ({"remote_group_id": "bad_group_id"}, 404, "bad_group_id"),
    ({"protocol": "icmp", "port_range_min": 1, "port_range_max": 256}, 400, "ICMP code (port_range_max) 256. It must be 0 to 255."),
])
def test_a_rule_that_cannot_be_is_refused_as_by_neutron(cloud: NetworkCloud, more: dict[str, object], status: int, words: str) -> None:
    group = cloud.create("security_group", name="g").body
    answer = cloud.request("POST", "/security-group-rules", {"security_group_rule": {
        "security_group_id": group["id"], "direction": "ingress", **more}})
    assert (answer.status, words in answer.fault) == (status, True)


def test_a_port_keeps_the_address_that_a_floating_ip_leads_to(cloud: NetworkCloud) -> None:
    external, _ = cloud.network(user="admin", cidr="198.51.100.0/24", **{"router:external": True})
    network_id, subnet_id = cloud.network()
    router = cloud.create("router", external_gateway_info={"network_id": external}).body
    cloud.request("PUT", f"/routers/{router['id']}/add_router_interface", {"subnet_id": subnet_id})
    port = cloud.create("port", network_id=network_id, fixed_ips=[{"subnet_id": subnet_id}, {"subnet_id": subnet_id}]).body
    kept, led_to = (address["ip_address"] for address in port["fixed_ips"])
    floating = cloud.create("floatingip", floating_network_id=external, port_id=port["id"], fixed_ip_address=led_to).body
    change = {"port": {"fixed_ips": [{"ip_address": kept}]}}
    refused = cloud.request("PUT", f"/ports/{port['id']}", change)
    assert (refused.status, floating["floating_ip_address"] in refused.fault) == (409, True)
    assert cloud.request("PUT", f"/floatingips/{floating['id']}", {"floatingip": {"port_id": None}}).status == 200
    assert cloud.request("PUT", f"/ports/{port['id']}", change).status == 200
