# SPDX-License-Identifier: Apache-2.0
"""What flavors and images require, in the domain's XML."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning
from nova_lite.compute.virt.libvirt.xml import disk_devices
from nova_lite.compute.virt.libvirt.xml.domain import Disk, domain_xml, nic_xml
from nova_lite.rpc.compute import Guest
from tests.unit.virt.test_domain_xml import CONFIG, GUEST, ROOT, SWAP, TCG

KVM = dataclasses.replace(TCG, virt_type="kvm")
Words = dict[str, str]


def guest_with(specs: Words | None = None, image: Words | None = None, **changes: object) -> Guest:
    return dataclasses.replace(
        GUEST, extra_specs=specs or {}, image=dataclasses.replace(GUEST.image, properties=image or {}), **changes)  # type: ignore[arg-type]


def described(
    specs: Words | None = None, image: Words | None = None, *, machine: object = TCG,
    disks: tuple[Disk, ...] = (ROOT, SWAP, CONFIG), pins: CpuPinning = NO_PINS, page_kib: int | None = None, **changes: object,
) -> ET.Element:
    return ET.fromstring(domain_xml(
        guest_with(specs, image, **changes), machine, disks=disks, console_log=Path("/c"), pins=pins,
        page_kib=page_kib))  # type: ignore[arg-type]


def at(domain: ET.Element, path: str) -> dict[str, str]:
    element = domain.find(path)
    assert element is not None, path
    return dict(element.attrib)


@pytest.mark.parametrize(("specs", "image", "path", "attributes"), [
    ({}, {"hw_vif_model": "e1000"}, "devices/interface/model", {"type": "e1000"}),
    ({}, {"hw_vif_multiqueue_enabled": "true"}, "devices/interface/driver", {"queues": "2"}),
    ({}, {"hw_video_model": "virtio"}, "devices/video/model", {"type": "virtio"}),
    ({"hw_video:ram_max_mb": "64"}, {"hw_video_ram": "32"}, "devices/video/model", {"type": "vga", "vram": "32768"}),
    ({"hw:watchdog_action": "reset"}, {}, "devices/watchdog", {"model": "i6300esb", "action": "reset"}),
    ({"hw_rng:rate_bytes": "2048", "hw_rng:rate_period": "500"}, {}, "devices/rng/rate", {"bytes": "2048", "period": "500"}),
    ({"hw:cpu_sockets": "1", "hw:cpu_threads": "2"}, {}, "cpu/topology", {"sockets": "1", "cores": "1", "threads": "2"}),
    ({"hw:numa_nodes": "1"}, {}, "cpu/numa/cell", {"id": "0", "cpus": "0,1", "memory": "512", "unit": "MiB"}),
    ({"hw:numa_nodes": "1"}, {}, "numatune/memnode", {"cellid": "0", "mode": "strict", "nodeset": "0"}),
    ({}, {"hw_firmware_type": "uefi"}, "os", {"firmware": "efi"}),
    ({"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}, {}, "devices/tpm", {"model": "tpm-crb"}),
    ({"hw:tpm_version": "2.0"}, {}, "devices/tpm/backend", {"type": "emulator", "version": "2.0"}),
    ({"hw:boot_menu": "true"}, {}, "os/bootmenu", {"enable": "yes"}),
    ({}, {"hw_time_hpet": "true"}, "clock/timer[@name='hpet']", {"name": "hpet", "present": "yes"}),
    ({}, {"os_type": "windows"}, "clock", {"offset": "localtime"}),
    ({}, {"hw_pointer_model": "usbtablet"}, "devices/input", {"type": "tablet", "bus": "usb"}),
    ({}, {"hw_pointer_model": "usbtablet"}, "devices/controller[@type='usb']", {"type": "usb", "model": "qemu-xhci"}),
    ({}, {"hw_input_bus": "virtio"}, "devices/input", {"type": "keyboard", "bus": "virtio"}),
    ({"hw:serial_port_count": "2"}, {}, "devices/serial[2]/target", {"port": "1"}),
    ({"quota:vif_inbound_average": "100", "quota:vif_inbound_peak": "200"}, {}, "devices/interface/bandwidth/inbound",
     {"average": "100", "peak": "200"}),
])
def test_a_requirement_is_in_the_description(specs: Words, image: Words, path: str, attributes: Words) -> None:
    assert at(described(specs, image), path) == attributes


def test_disks_are_named_by_their_bus_and_share_its_letters() -> None:
    targets = described(image={"hw_disk_bus": "scsi", "hw_cdrom_bus": "scsi"}).findall("devices/disk")
    assert [(disk.get("device"), at(disk, "target")) for disk in targets] == [
        ("disk", {"dev": "sda", "bus": "scsi"}), ("disk", {"dev": "sdb", "bus": "scsi"}),
        ("cdrom", {"dev": "sdc", "bus": "scsi"})]


def test_a_scsi_disk_has_its_controller() -> None:
    domain = described(image={"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic"})
    assert at(domain, "devices/controller[@type='scsi']")["model"] == "lsilogic"


def test_the_config_drive_is_a_cd_only_where_the_image_looks_for_one() -> None:
    disks = described(image={"hw_cdrom_bus": "ide"}).findall("devices/disk")
    assert [(disk.get("device"), at(disk, "target")["dev"]) for disk in disks] == [
        ("disk", "vda"), ("disk", "vdb"), ("cdrom", "hda")]


def test_a_disk_that_boots_first_comes_before_the_root_disk() -> None:
    rescue = disk_devices.Disk(path=Path("/r"), format="qcow2", serial="rescue", bus="scsi", boots_first=True)
    domain = described(disks=(ROOT, rescue))
    orders = [disk.find("boot") for disk in domain.findall("devices/disk")]
    assert [order.get("order") if order is not None else None for order in orders] == ["2", "1"]
    assert domain.find("os/boot") is None


def test_limits_of_disks_are_on_each_disk() -> None:
    domain = described({"quota:disk_read_bytes_sec": "1048576", "quota:disk_write_iops_sec": "100"})
    tunes = domain.findall("devices/disk/iotune")
    assert len(tunes) == 3
    assert (tunes[0].findtext("read_bytes_sec"), tunes[0].findtext("write_iops_sec")) == ("1048576", "100")


def test_limits_of_processors() -> None:
    domain = described({"quota:cpu_shares": "512", "quota:cpu_period": "20000", "quota:cpu_quota": "10000"})
    assert [domain.findtext(f"cputune/{name}") for name in ("shares", "period", "quota")] == ["512", "20000", "10000"]


def test_secure_boot_needs_smm_and_takes_q35_by_itself() -> None:
    domain = described({"os:secure_boot": "required"}, {"hw_firmware_type": "uefi"})
    assert at(domain, "os/type")["machine"] == "q35"
    assert at(domain, "os/firmware/feature[@name='secure-boot']")["enabled"] == "yes"
    assert at(domain, "features/smm") == {"state": "on"}


def test_plain_uefi_takes_no_secure_firmware() -> None:
    domain = described(image={"hw_firmware_type": "uefi"})
    assert at(domain, "os/firmware/feature[@name='secure-boot']")["enabled"] == "no"
    assert domain.find("features/smm") is None


def test_a_pcie_machine_has_slots_to_spare() -> None:
    domain = described(image={"hw_machine_type": "q35"})
    assert len(domain.findall("devices/controller[@model='pcie-root-port']")) == 12


def test_what_is_switched_off_is_not_there() -> None:
    domain = described({"hw_rng:allowed": "false", "hw:watchdog_action": "disabled"}, {"hw_qemu_guest_agent": "no"})
    assert [domain.find(f"devices/{name}") for name in ("rng", "watchdog", "channel")] == [None, None, None]


def test_the_hypervisor_hides_and_windows_is_helped_only_on_kvm() -> None:
    options = {"specs": {"hide_hypervisor_id": "true"}, "image": {"os_type": "windows"}}
    kvm, tcg = described(**options, machine=KVM), described(**options)  # type: ignore[arg-type]
    assert at(kvm, "features/kvm/hidden") == {"state": "on"}
    assert kvm.find("features/hyperv/relaxed") is not None
    assert (tcg.find("features/kvm"), tcg.find("features/hyperv")) == (None, None)


def test_own_cpus_are_pinned_one_by_one_and_others_are_kept_off_them() -> None:
    pinned = described({"hw:cpu_policy": "dedicated"}, pins=CpuPinning({0: 5, 1: 3}, (3, 5)))
    assert [(pin.get("vcpu"), pin.get("cpuset")) for pin in pinned.findall("cputune/vcpupin")] == [("0", "5"), ("1", "3")]
    machine = dataclasses.replace(TCG, shared_cpus="0,1")
    assert at(described(machine=machine), "vcpu") == {"cpuset": "0,1"}
    assert at(described(machine=machine, pins=CpuPinning({0: 5, 1: 3}, (3, 5))), "vcpu") == {}


def test_a_nic_that_comes_later_is_as_the_first_ones() -> None:
    nic = ET.fromstring(nic_xml(GUEST.nics[0], guest_with(image={"hw_vif_model": "e1000"})))
    assert at(nic, "model") == {"type": "e1000"}


def test_memory_is_in_pages_of_the_size_that_the_host_chose() -> None:
    assert at(described({"hw:mem_page_size": "large"}, page_kib=2048), "memoryBacking/hugepages/page") == {
        "size": "2048", "unit": "KiB"}


def test_mixed_guests_share_what_is_not_their_own() -> None:
    machine = dataclasses.replace(TCG, shared_cpus="0-1")
    mixed = described({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "1"}, machine=machine, pins=CpuPinning({1: 3}, (3,)))
    assert at(mixed, "vcpu") == {"cpuset": "0-1"}
    assert [pin.attrib for pin in mixed.findall("cputune/vcpupin")] == [{"vcpu": "1", "cpuset": "3"}]
    assert at(mixed, "cputune/emulatorpin") == {"cpuset": "3"}


def test_a_sharing_emulator_runs_where_all_others_do() -> None:
    machine = dataclasses.replace(TCG, shared_cpus="0-1")
    shared = described({"hw:cpu_policy": "dedicated"}, machine=machine, pins=CpuPinning({0: 2, 1: 3}))
    assert at(shared, "cputune/emulatorpin") == {"cpuset": "0-1"}


def test_real_time_cpus_come_first_and_their_memory_stays() -> None:
    domain = described({"hw:cpu_policy": "dedicated", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^0"},
                       pins=CpuPinning({0: 2, 1: 3}, (2,)))
    assert at(domain, "cputune/vcpusched") == {"vcpus": "1", "scheduler": "fifo", "priority": "1"}
    assert {child.tag for child in domain.findall("memoryBacking/*")} == {"nosharepages", "locked"}
    assert at(domain, "features/pmu") == {"state": "off"}


@pytest.mark.parametrize("model", ["sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb"])
def test_a_sound_card_is_of_the_required_model(model: str) -> None:
    domain = described({"hw:sound_model": model})
    assert at(domain, "devices/sound") == {"model": model}
    assert at(domain, "devices/controller[@type='usb']")["model"] == ("qemu-xhci" if model == "usb" else "none")
