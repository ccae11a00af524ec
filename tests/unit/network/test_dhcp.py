# SPDX-License-Identifier: Apache-2.0
"""dnsmasq is configured with exactly the guests that are here, and a release looks as RFC 2131 wants it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.network.linux import dhcp
from nova_lite.network.linux.dhcp_release import release_packet
from nova_lite.rpc.network import Port, Subnet

SUBNET = Subnet(id="s1", cidr="10.0.0.0/24", gateway="10.0.0.1")


def plug(address: str, *, hostname: str = "web", mac: str = "FA:16:3E:00:00:01") -> Port:
    return Port(id="p1", network_id="n1", mac=mac, addresses=(address,), hostname=hostname)


def test_a_guest_is_a_line_of_mac_name_and_address() -> None:
    assert dhcp._hosts([SUBNET], [plug("10.0.0.5")], domain="d") == "fa:16:3e:00:00:01,web,10.0.0.5\n"


def test_a_name_that_is_no_label_is_replaced() -> None:
    assert dhcp._hosts([SUBNET], [plug("10.0.0.5", hostname="a,b\n#")], domain="d") == "fa:16:3e:00:00:01,host-10-0-0-5,10.0.0.5\n"


def test_a_name_is_its_first_holders_and_others_are_called_by_their_address() -> None:
    first, second = plug("10.0.0.9", hostname="db"), plug("10.0.0.5", hostname="DB", mac="fa:16:3e:00:00:02")
    before = dhcp._hosts([SUBNET], [first], domain="d")

    assert dhcp._hosts([SUBNET], [second, first], before, domain="d") == (
        "fa:16:3e:00:00:01,db,10.0.0.9\nfa:16:3e:00:00:02,host-10-0-0-5,10.0.0.5\n")
    assert dhcp._hosts([SUBNET], [second], before, domain="d") == "fa:16:3e:00:00:02,DB,10.0.0.5\n"


def test_a_name_made_of_an_address_is_nobodys_to_choose() -> None:
    assert dhcp._hosts([SUBNET], [plug("10.0.0.5", hostname="Host-10-0-0-9")], domain="d") == "fa:16:3e:00:00:01,host-10-0-0-5,10.0.0.5\n"


def test_a_guest_outside_the_served_subnets_gets_no_line() -> None:
    assert dhcp._hosts([SUBNET], [plug("192.168.0.5")], domain="d") == ""


def test_a_mac_that_is_none_gets_no_line() -> None:
    assert dhcp._hosts([SUBNET], [plug("10.0.0.5", mac="x,ignore")], domain="d") == ""


def test_a_lease_of_an_address_that_went_to_another_mac_is_stale(tmp_path: Path) -> None:
    leases = tmp_path / "leases"
    leases.write_text(
        "1795456989 fa:16:3e:00:00:02 10.0.0.5 old 01:fa\n1795456989 fa:16:3e:00:00:03 10.0.0.6 other *\n"
    )

    stale = dhcp._stale_leases(leases, [plug("10.0.0.5")])
    dhcp._drop_leases(leases, stale)

    assert stale == {("fa:16:3e:00:00:02", "10.0.0.5")}
    assert leases.read_text() == "1795456989 fa:16:3e:00:00:03 10.0.0.6 other *\n"


def test_a_release_names_client_address_and_server() -> None:
    packet = release_packet("fa:16:3e:00:00:01", "10.0.0.5", "10.0.0.1")

    assert packet[0] == 1  # BOOTREQUEST
    assert packet[12:16] == bytes((10, 0, 0, 5))  # ciaddr
    assert packet[28:34] == bytes.fromhex("fa163e000001")  # chaddr
    assert packet[236:] == bytes((99, 130, 83, 99, 53, 1, 7, 54, 4, 10, 0, 0, 1, 255))


@pytest.mark.parametrize("name", ["ignore", "infinite", "42", "0", "5m", "10h", "Ignore"])
def test_a_name_that_looks_like_an_option_is_a_name(name: str) -> None:
    port = plug("10.0.0.5", hostname=name)
    lines = dhcp._hosts([SUBNET], [port], domain="novalocal")
    assert lines == f"fa:16:3e:00:00:01,{name}.novalocal,10.0.0.5\n"
    second = plug("10.0.0.6", mac="fa:16:3e:00:00:00", hostname=name)
    assert f"fa:16:3e:00:00:01,{name}.novalocal,10.0.0.5\n" in dhcp._hosts([SUBNET], [second, port], lines, domain="novalocal")


def test_without_a_domain_it_is_called_by_its_address() -> None:
    assert dhcp._hosts([SUBNET], [plug("10.0.0.5", hostname="ignore")], domain="") == "fa:16:3e:00:00:01,host-10-0-0-5,10.0.0.5\n"


@pytest.mark.parametrize("name", ["web", "5mm", "m5", "42-1", "ignored", "infinite-1"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert dhcp._hosts([SUBNET], [plug("10.0.0.5", hostname=name)], domain="novalocal") == f"fa:16:3e:00:00:01,{name},10.0.0.5\n"
