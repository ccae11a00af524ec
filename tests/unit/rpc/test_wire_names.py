# SPDX-License-Identifier: Apache-2.0
"""Payloads with fields renamed since release 0.1 are sent and read under the names that its daemons know."""

from __future__ import annotations

from nova_lite.rpc.conductor import HostCapabilities, HostNumaNode, Inventory
from nova_lite.rpc.payload import from_wire, to_wire
from nova_lite.rpc.scheduler import PlacementRequest

# As a nova-compute of release 0.1 reports it.
OLD_INVENTORY = {
    "host": "h1", "vcpus": 2, "ram_mb": 1024, "disk_gb": 10, "architecture": "x86_64", "hypervisor_type": "QEMU",
    "hypervisor_version": 8, "hypervisor_hostname": "h1", "virt_type": "kvm", "virt_reason": "", "cpu_info": "{}", "host_ip": "",
    "tunnel_ip": None, "reserved_ram_mb": 0, "reserved_disk_gb": 0, "disk_free_gb": 9, "uptime": "", "pcpus": 1, "huge_mb": 512,
    "offers": {"cells": [{"cpus": [0, 1, 2], "dedicated": [2], "memory_mb": 1024}], "pages_mb": {"2048": 512},
               "traits": ["COMPUTE_NODE"], "threads": 2}}
NEW_NAMES = {"hugepages_mb": "huge_mb", "page_size_kib": "page_kib", "numa_nodes_mb": "cells", "required_traits": "requires",
             "forbidden_traits": "forbids"}


def test_an_inventory_of_release_0_1_is_read() -> None:
    inventory = from_wire(Inventory, OLD_INVENTORY)
    assert inventory.hugepages_mb == 512
    assert inventory.capabilities == HostCapabilities(
        numa_nodes=(HostNumaNode(cpus=(0, 1, 2), dedicated=(2,), memory_mb=1024),), hugepages_mb={"2048": 512},
        traits=("COMPUTE_NODE",), threads=2)


def test_an_inventory_is_sent_as_release_0_1_reads_it() -> None:
    assert to_wire(from_wire(Inventory, OLD_INVENTORY)) == OLD_INVENTORY


def test_a_placement_request_is_sent_as_release_0_1_reads_it() -> None:
    request = PlacementRequest(server_id="s", project_id="p", vcpus=1, ram_mb=2, disk_gb=3, hugepages_mb=4, page_size_kib=5,
                               numa_nodes_mb=(6,), required_traits=("A",), forbidden_traits=("B",))
    sent = to_wire(request)
    assert {old: sent[old] for old in NEW_NAMES.values()} == {
        "huge_mb": 4, "page_kib": 5, "cells": [6], "requires": ["A"], "forbids": ["B"]}
    assert not sent.keys() & NEW_NAMES.keys()
    assert from_wire(PlacementRequest, sent) == request
