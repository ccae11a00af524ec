# SPDX-License-Identifier: Apache-2.0
"""What a network worker finds of its networks on the host: namespaces and devices that are gone, or that it does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.network.linux import audit, bridges, namespaces
from nova_lite.network.records import Records
from nova_lite.rpc.network import Network

KNOWN, OTHER = "6c9b1a52-0000-4000-8000-000000000001", "7d9b1a52-0000-4000-8000-000000000002"

BRIDGES = bridges.Bridges(tunnel_ip="", vxlan_port=4789, transit_cidr="198.18.0.0/16")


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    """Of one network, on a host that has it and unrelated devices."""
    for place, names in {"netns": [f"nova-{KNOWN}", "blue"], "net": ["br-6c9b1a52-00", "gw-6c9b1a52-00", "up-6c9b1a52-00", "eth0", "br-lan"]}.items():
        (tmp_path / place).mkdir()
        for name in names:
            (tmp_path / place / name).touch()
    monkeypatch.setattr(namespaces, "_DIRECTORY", tmp_path / "netns")
    monkeypatch.setattr(namespaces, "exists", lambda name: (tmp_path / "netns" / name).exists())
    monkeypatch.setattr(bridges, "is_here", lambda name: (tmp_path / "net" / name).exists())
    monkeypatch.setattr(audit, "devices", lambda: sorted(path.name for path in (tmp_path / "net").iterdir()))
    made = Records(None)
    made.add_network(Network(id=KNOWN, segment=1, mtu=1450, subnets=()))
    return made


def found(records: Records) -> list[tuple[str, str]]:
    return [(one.kind, one.resource) for one in audit.compare(records, BRIDGES, host="node1")]


def test_a_host_that_has_its_networks_has_no_findings(records: Records) -> None:
    assert found(records) == []


def test_a_network_that_lost_a_part_is_found(records: Records, tmp_path: Path) -> None:
    (tmp_path / "netns" / f"nova-{KNOWN}").unlink()
    assert found(records) == [(audit.NETWORK_NOT_MADE, KNOWN)]


def test_a_network_that_is_being_removed_need_not_be_whole(records: Records, tmp_path: Path) -> None:
    (tmp_path / "net" / "br-6c9b1a52-00").unlink()
    records.mark_leaving(KNOWN)
    assert found(records) == []


@pytest.mark.parametrize("name", ["br-7d9b1a52-00", "vx-7d9b1a52-00", f"nova-{OTHER}"])
def test_what_no_record_knows_is_found(records: Records, tmp_path: Path, name: str) -> None:
    (tmp_path / ("netns" if name.startswith("nova-") else "net") / name).touch()
    assert found(records) == [(audit.DEVICE_WITHOUT_RECORD, name)]
