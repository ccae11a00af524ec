# SPDX-License-Identifier: Apache-2.0
"""Dedicated CPUs and huge pages through the life of servers: given by a scheduler, never twice, and given back."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.hosts.hosts import Host
from nova_lite.rpc.conductor import ServiceReport
from nova_lite.values.flavor import Flavor
from tests.support.flows import one_process, resizing, shelving
from tests.support.flows.one_process import CTXT, OneProcess

OWN = {"hw:cpu_policy": "dedicated"}


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneProcess]:
    """Two hosts with four dedicated CPUs and 256 MiB of huge pages each."""
    plain = one_process._conf  # the one place where its options are made

    def with_hardware(directory: Path, hosts: int) -> Any:
        conf = plain(directory, hosts)
        conf.set_override("cpu_dedicated_set", "4-7", group="compute")
        conf.set_override("fake_huge_pages_mb", 256, group="compute")
        conf.set_override("custom_traits", ["CUSTOM_FAST"], group="compute")
        return conf

    monkeypatch.setattr(one_process, "_conf", with_hardware)
    made = OneProcess(tmp_path)
    yield made
    made.database.close()


def claimed(cloud: OneProcess) -> tuple[list[int], list[int]]:
    """Dedicated CPUs and MiB of huge pages that are taken on each host."""
    with cloud.database.reader() as session:
        rows = session.scalars(sa.select(Host).order_by(Host.name)).all()
    return sorted(row.pcpus_claimed for row in rows), sorted(row.hugepages_mb_claimed for row in rows)


def build(cloud: OneProcess, specs: dict[str, str], *, vcpus: int = 2, image: dict[str, str] | None = None) -> str:
    flavor = Flavor(id="1", name="f", vcpus=vcpus, ram_mb=128, root_gb=1, extra_specs=specs)
    server_id, action_id = cloud.create_server(flavor=flavor, vcpus=vcpus, image_properties=image or {})
    cloud.run(action_id)
    return server_id


def fault(cloud: OneProcess, server_id: str) -> str:
    server = cloud.server(server_id)
    assert server.vm_state == "error"
    return str((server.fault or {})["message"])


def test_dedicated_cpus_are_counted_apart_and_never_overcommitted(cloud: OneProcess) -> None:
    made = [build(cloud, OWN, vcpus=4) for _ in range(2)]
    assert {cloud.server(server_id).vm_state for server_id in made} == {"active"}
    assert claimed(cloud)[0] == [4, 4]
    with cloud.database.reader() as session:
        assert set(session.scalars(sa.select(Host.vcpus_claimed))) == {0}
    assert "2 hosts: 2× not enough dedicated CPUs. Nearest fit: not enough dedicated CPUs: 1 requested, 0 free." in fault(
        cloud, build(cloud, OWN, vcpus=1))
    assert cloud.server(build(cloud, {}, vcpus=1)).vm_state == "active"


def test_no_two_guests_of_a_host_have_one_cpu(cloud: OneProcess) -> None:
    guests = [build(cloud, OWN) for _ in range(4)]
    pins = [(cloud.server(server_id).host, cpu) for server_id in guests
            for cpu in cloud.driver.guests.placement(cloud.driver.guests.find(server_id)).pins.values()]
    assert len(pins) == len(set(pins)) == 8
    assert {cpu for _, cpu in pins} == {4, 5, 6, 7}


@pytest.mark.parametrize(("specs", "pcpus"), [
    ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0"}, 1), ({**OWN, "hw:emulator_threads_policy": "isolate"}, 3),
    ({"resources:PCPU": "2"}, 2), ({**OWN, "hw:cpu_realtime": "1", "hw:cpu_realtime_mask": "^0"}, 2),
])
def test_each_policy_takes_its_number(cloud: OneProcess, specs: dict[str, str], pcpus: int) -> None:
    server_id = build(cloud, specs)
    assert cloud.server(server_id).vm_state == "active"
    assert claimed(cloud)[0] == [0, pcpus]
    cloud.run(cloud.begin_delete(server_id))
    assert claimed(cloud)[0] == [0, 0]


def test_huge_pages_are_given_and_given_back(cloud: OneProcess) -> None:
    made = [build(cloud, {"hw:mem_page_size": "2MB"}) for _ in range(4)]
    assert claimed(cloud)[1] == [256, 256]
    assert "not enough huge pages of 2048 KiB: 128 MB requested, 0 MB free" in fault(cloud, build(cloud, {"hw:mem_page_size": "2MB"}))
    assert "not enough huge pages of 1048576 KiB" in fault(cloud, build(cloud, {"hw:mem_page_size": "1GB"}))
    cloud.run(cloud.begin_delete(made[0]))
    assert cloud.server(build(cloud, {"hw:mem_page_size": "large"})).vm_state == "active"


@pytest.mark.parametrize(("end", "pcpus"), [("confirm_resize", 4), ("revert_resize", 2)])
def test_a_resize_claims_for_both_sizes_until_it_ends(cloud: OneProcess, end: str, pcpus: int) -> None:
    server_id = build(cloud, OWN)
    flavor = dataclasses.replace(resizing.LARGE, vcpus=4, ram_mb=128, extra_specs=OWN)
    cloud.run(resizing.begin_resize(cloud, server_id, flavor))
    assert cloud.server(server_id).vm_state == "resized"
    assert claimed(cloud)[0] == [0, 4]
    assert len(cloud.driver.guests.placement(cloud.driver.guests.find(server_id)).pins) == 4
    cloud.run(cloud.begin_action(server_id, end))
    assert claimed(cloud)[0] == [0, pcpus]
    assert len(cloud.driver.guests.placement(cloud.driver.guests.find(server_id)).pins) == pcpus


def test_a_resize_to_more_than_there_is_says_so(cloud: OneProcess) -> None:
    server_id = build(cloud, OWN)
    action_id = resizing.begin_resize(cloud, server_id, dataclasses.replace(resizing.LARGE, vcpus=5, ram_mb=128, extra_specs=OWN))
    cloud.run(action_id)
    assert "not enough dedicated CPUs: 5 requested, 4 free" in str(cloud.events(action_id)[-1].details)
    assert claimed(cloud)[0] == [0, 2]


def test_what_left_its_host_has_given_its_cpus_back(cloud: OneProcess) -> None:
    server_id = build(cloud, OWN)
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    cloud.run(shelving.request(cloud, server_id))
    assert (cloud.server(server_id).vm_state, claimed(cloud)[0]) == ("shelved_offloaded", [0, 0])
    cloud.run(cloud.begin_action(server_id, "unshelve"))
    assert (cloud.server(server_id).vm_state, claimed(cloud)[0]) == ("active", [0, 2])


@pytest.mark.parametrize(("specs", "image", "says"), [
    ({"hw:mem_encryption": "true"}, {"hw_firmware_type": "uefi"}, "requires: HW_CPU_X86_AMD_SEV"),
    ({"accel:device_profile": "gpu"}, {}, "accelerators (accel:device_profile)"),
    ({"pci_passthrough:alias": "gpu:1"}, {}, "PCI devices for guests (pci_passthrough:alias)"),
    ({"capabilities:cpu_info:vendor": "Intel"}, {}, "requires: capabilities:cpu_info:vendor"),
    ({"resources:VGPU": "1"}, {}, "requires: resources:VGPU"), ({"trait:CUSTOM_SLOW": "required"}, {}, "requires: CUSTOM_SLOW"),
    ({}, {"trait:CUSTOM_SLOW": "required"}, "requires: CUSTOM_SLOW"), ({"trait:CUSTOM_FAST": "forbidden"}, {}, "forbids: CUSTOM_FAST"),
    ({**OWN, "hw:cpu_thread_policy": "require"}, {}, "requires: HW_CPU_HYPERTHREADING"),
    ({"hw:numa_nodes": "2"}, {}, "fewer NUMA nodes than the flavor: 2 requested, the host has 1"),
])
def test_what_no_host_offers_is_no_valid_host(cloud: OneProcess, specs: dict[str, str], image: dict[str, str], says: str) -> None:
    assert says in fault(cloud, build(cloud, specs, image=image))


@pytest.mark.parametrize(("specs", "image"), [
    ({"trait:CUSTOM_FAST": "required"}, {}), ({"hw:tpm_version": "2.0"}, {"hw_firmware_type": "uefi"}),
    ({**OWN, "hw:cpu_thread_policy": "isolate"}, {}), ({"trait:CUSTOM_SLOW": "forbidden", "resources:MEMORY_MB": "64"}, {}),
])
def test_what_a_host_offers_is_there(cloud: OneProcess, specs: dict[str, str], image: dict[str, str]) -> None:
    assert cloud.server(build(cloud, specs, image=image)).vm_state == "active"


def test_a_host_that_reports_less_gets_no_more_than_that(cloud: OneProcess) -> None:
    less = tuple(dataclasses.replace(one, pcpus=0) for one in cloud.driver.host.inventory())
    cloud.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="node", inventories=less))
    cloud.heartbeats.flush()
    assert "not enough dedicated CPUs: 2 requested, 0 free" in fault(cloud, build(cloud, OWN))
