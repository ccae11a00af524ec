# SPDX-License-Identifier: Apache-2.0
"""Names and addresses are the same on every host and fit what the kernel allows."""

from __future__ import annotations

import pytest

from nova_lite.network import names

NETWORK = "0f3c9a52-7d1e-4c55-9d0a-6a3f6c0d8e11"


@pytest.mark.parametrize("name", [
    names.bridge_name(NETWORK), names.veth_name(NETWORK), names.uplink_name(NETWORK), names.overlay_name(NETWORK),
    names.tap_name(NETWORK),
])
def test_device_names_fit_the_kernels_fifteen_bytes(name: str) -> None:
    assert len(name) <= 15


def test_the_gateway_has_a_local_unicast_mac_that_depends_on_the_network_only() -> None:
    mac = names.gateway_mac(NETWORK)

    assert mac == names.gateway_mac(NETWORK)
    assert mac != names.gateway_mac(NETWORK[::-1])
    assert int(mac[:2], 16) & 3 == 2


def test_gateway_and_bridge_have_different_macs() -> None:
    assert names.gateway_mac(NETWORK) != names.bridge_mac(NETWORK)


def test_transit_links_are_pairs_that_do_not_overlap() -> None:
    assert names.transit_pair("100.64.0.0/16", 0) == ("100.64.0.0", "100.64.0.1")
    assert names.transit_pair("100.64.0.0/16", 3) == ("100.64.0.6", "100.64.0.7")


def test_a_transit_range_that_is_used_up_is_named_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="larger .network. transit_cidr"):
        names.transit_pair("100.64.0.0/30", 2)


def test_tables_differ_by_host_and_state_directory_and_fit_nftables() -> None:
    found = {names.table_name(host=host, directory=directory) for host in ("h1", "h2") for directory in ("/a", "/b")}

    assert len(found) == 4
    assert all(name.isidentifier() for name in found)
    assert names.table_name(host="h1", directory="/a") in found
