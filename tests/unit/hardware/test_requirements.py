# SPDX-License-Identifier: Apache-2.0
"""Hardware that flavors and images require: what is read, and what is refused with its name."""

from __future__ import annotations

import pytest

from nova_lite import errors
from nova_lite.hardware import requirements
from nova_lite.values.hardware import CpuPolicy, Hardware, NumaNode, Topology

Words = dict[str, str]


def read(specs: Words | None = None, image: Words | None = None, *, vcpus: int = 4, ram_mb: int = 1024) -> Hardware:
    return requirements.read(specs=specs or {}, image=image or {}, vcpus=vcpus, ram_mb=ram_mb)


def test_without_requirements_the_hosts_defaults_hold() -> None:
    assert read({"a": "b", "trait:X": "required"}, {"os_distro": "debian", "hw_architecture": "x86_64"}) == Hardware()


@pytest.mark.parametrize(("specs", "image", "field", "value"), [
    ({}, {"hw_disk_bus": "scsi"}, "disk_bus", "scsi"), ({}, {"hw_scsi_model": "virtio-scsi"}, "scsi_model", "virtio-scsi"),
    ({}, {"hw_cdrom_bus": "ide"}, "cdrom_bus", "ide"), ({}, {"hw_vif_model": "e1000"}, "vif_model", "e1000"),
    ({}, {"hw_video_model": "virtio"}, "video_model", "virtio"), ({}, {"hw_machine_type": "q35"}, "machine_type", "q35"),
    ({"hw:watchdog_action": "reset"}, {}, "watchdog", "reset"),
    ({"hw:watchdog_action": "reset"}, {"hw_watchdog_action": "pause"}, "watchdog", "pause"),
    ({"hw_rng:allowed": "False"}, {"hw_rng_model": "virtio"}, "has_rng", False),
    ({"hw_rng:rate_bytes": "2048"}, {}, "rng_bytes", 2048), ({}, {"hw_qemu_guest_agent": "no"}, "has_agent", False),
    ({"hw:cpu_sockets": "2"}, {}, "topology", Topology(2, 2, 1)), ({}, {"hw_cpu_threads": "2"}, "topology", Topology(2, 1, 2)),
    ({"hw:cpu_max_sockets": "1"}, {}, "topology", Topology(1, 4, 1)),
    ({"hw:cpu_cores": "3"}, {}, "topology", Topology(4, 1, 1)),
    ({"hw:mem_page_size": "2MB"}, {}, "page_size", 2048), ({"hw:mem_page_size": "1048576"}, {}, "page_size", 1048576),
    ({"hw:mem_page_size": "any"}, {"hw_mem_page_size": "large"}, "page_size", "large"),
    ({"hw:cpu_policy": "dedicated"}, {}, "cpus", CpuPolicy(dedicated=(0, 1, 2, 3))),
    ({"resources:PCPU": "4"}, {}, "cpus", CpuPolicy(dedicated=(0, 1, 2, 3))),
    ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0-1"}, {}, "cpus", CpuPolicy(dedicated=(2, 3))),
    ({"hw:cpu_policy": "dedicated", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^0"}, {}, "cpus",
     CpuPolicy(dedicated=(0, 1, 2, 3), realtime=(1, 2, 3))),
    ({"hw:cpu_policy": "mixed", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "2-3"}, {}, "cpus",
     CpuPolicy(dedicated=(2, 3), realtime=(2, 3))),
    ({"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"}, {"hw_cpu_thread_policy": "require"}, "cpus",
     CpuPolicy(dedicated=(0, 1, 2, 3), emulator="isolate", threads="require")),
    ({"hw:locked_memory": "true", "hw:mem_page_size": "small"}, {}, "locked_memory", True),
    ({}, {"hw_sound_model": "ich9"}, "sound_model", "ich9"), ({"hw:pmu": "no"}, {}, "has_pmu", False),
    ({"hw:numa_nodes": "2"}, {}, "numa_nodes", (NumaNode((0, 1), 512), NumaNode((2, 3), 512))),
    ({"hw:numa_nodes": "2", "hw:numa_cpus.0": "0", "hw:numa_cpus.1": "1-3", "hw:numa_mem.0": "256", "hw:numa_mem.1": "768"},
     {}, "numa_nodes", (NumaNode((0,), 256), NumaNode((1, 2, 3), 768))),
    ({}, {"hw_firmware_type": "uefi"}, "firmware", "uefi"),
    ({"os:secure_boot": "required"}, {"hw_firmware_type": "uefi"}, "secure_boot", "required"),
    ({"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}, {}, "tpm_model", "tpm-crb"),
    ({"hw:boot_menu": "true"}, {}, "boot_menu", True), ({}, {"hw_time_hpet": "true"}, "has_hpet", True),
    ({}, {"hw_pointer_model": "usbtablet"}, "pointer", "usbtablet"), ({"hw:input_bus": "virtio"}, {}, "input_bus", "virtio"),
    ({"hide_hypervisor_id": "true"}, {}, "is_hidden", True), ({}, {"img_hide_hypervisor_id": "yes"}, "is_hidden", True),
    ({"hw:serial_port_count": "3"}, {}, "serial_ports", 3), ({}, {"hw_vif_multiqueue_enabled": "true"}, "vif_multiqueue", True),
    ({"hw_video:ram_max_mb": "64"}, {"hw_video_ram": "32"}, "video_ram_mb", 32),
    ({"quota:cpu_shares": "512", "quota:disk_read_bytes_sec": "1000", "quota:vif_inbound_average": "10"}, {}, "quota",
     {"cpu_shares": 512, "disk_read_bytes_sec": 1000, "vif_inbound_average": 10}),
])
def test_an_extra_spec_or_property_is_read(specs: Words, image: Words, field: str, value: object) -> None:
    assert getattr(read(specs, image), field) == value


@pytest.mark.parametrize(("specs", "image", "part"), [
    ({}, {"hw_disk_bus": "floppy"}, "hw_disk_bus"), ({}, {"hw_cdrom_bus": "x"}, "hw_cdrom_bus"),
    ({}, {"hw_scsi_model": "x"}, "hw_scsi_model"), ({}, {"hw_vif_model": "spapr"}, "hw_vif_model"),
    ({}, {"hw_video_model": "gop"}, "hw_video_model"), ({"hw:watchdog_action": "explode"}, {}, "hw:watchdog_action"),
    ({}, {"hw_rng_model": "dice"}, "hw_rng_model"), ({"hw_rng:allowed": "maybe"}, {}, "hw_rng:allowed"),
    ({}, {"hw_qemu_guest_agent": "x"}, "hw_qemu_guest_agent"), ({"hw:cpu_sockets": "0"}, {}, "hw:cpu_sockets"),
    ({"hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "1", "hw:cpu_max_threads": "2"}, {}, "hw:cpu_max_sockets"),
    ({"hw:cpu_max_sockets": "2"}, {"hw_cpu_sockets": "4"}, "hw_cpu_sockets=4"),
    ({"hw:mem_page_size": "huge"}, {}, "hw:mem_page_size"), ({}, {"hw_mem_page_size": "large"}, "hw_mem_page_size"),
    ({"hw:mem_page_size": "small"}, {"hw_mem_page_size": "large"}, "hw_mem_page_size"),
    ({"hw:cpu_policy": "mixed"}, {}, "hw:cpu_policy"), ({"hw:cpu_thread_policy": "isolate"}, {}, "hw:cpu_thread_policy"),
    ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "4"}, {}, "hw:cpu_dedicated_mask"),
    ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-3"}, {}, "hw:cpu_dedicated_mask"),
    ({"hw:cpu_policy": "dedicated", "hw:cpu_dedicated_mask": "0"}, {}, "hw:cpu_policy=mixed"),
    ({"hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^0"}, {}, "hw:cpu_realtime"),
    ({"hw:cpu_policy": "dedicated", "hw:cpu_realtime": "yes"}, {}, "hw:cpu_realtime_mask"),
    ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0", "hw:emulator_threads_policy": "isolate"}, {}, "isolate"),
    ({"resources:PCPU": "2"}, {}, "resources:PCPU"), ({"resources:PCPU": "4", "hw:cpu_policy": "shared"}, {}, "resources:PCPU"),
    ({"hw:mem_encryption": "true"}, {}, "hw_firmware_type=uefi"), ({"hw:locked_memory": "true"}, {}, "hw:mem_page_size"),
    ({}, {"hw_sound_model": "theremin"}, "hw_sound_model"), ({"resources:VCPU": "many"}, {}, "resources:VCPU"),
    ({"hw:cpu_policy": "shared"}, {"hw_cpu_policy": "dedicated"}, "hw_cpu_policy"),
    ({"hw:numa_nodes": "3"}, {}, "hw:numa_nodes=3"), ({"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-3"}, {}, "hw:numa_mem"),
    ({"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-2", "hw:numa_mem.0": "1024"}, {}, "hw:numa_cpus"),
    ({"hw:numa_nodes": "1", "hw:numa_cpus.0": "zero", "hw:numa_mem.0": "1024"}, {}, "hw:numa_cpus.0"),
    ({"hw:numa_nodes": "1", "hw:numa_cpus.0": "\u0660-\u0663", "hw:numa_mem.0": "1024"}, {}, "hw:numa_cpus.0"),
    ({"hw:numa_nodes": "1", "hw:numa_cpus.0": "0-3", "hw:numa_mem.0": "1"}, {}, "hw:numa_mem"),
    ({}, {"hw_firmware_type": "coreboot"}, "hw_firmware_type"), ({}, {"os_secure_boot": "required"}, "hw_firmware_type=uefi"),
    ({"hw:tpm_model": "tpm-tis"}, {}, "hw:tpm_version"), ({"hw:tpm_version": "3"}, {}, "hw:tpm_version"),
    ({"hw:tpm_version": "1.2", "hw:tpm_model": "tpm-crb"}, {}, "tpm-crb"), ({"hw:boot_menu": "x"}, {}, "hw:boot_menu"),
    ({}, {"hw_time_hpet": "x"}, "hw_time_hpet"), ({}, {"hw_pointer_model": "mouse"}, "hw_pointer_model"),
    ({}, {"hw_input_bus": "ps2"}, "hw_input_bus"), ({"hw:serial_port_count": "many"}, {}, "hw:serial_port_count"),
    ({"hw:serial_port_count": "1"}, {"hw_serial_port_count": "2"}, "hw_serial_port_count"),
    ({}, {"hw_video_ram": "1"}, "hw_video:ram_max_mb"), ({"quota:cpu_quota": "-5"}, {}, "quota:cpu_quota"),
    ({"quota:cpu_period": "10"}, {}, "quota:cpu_period"), ({"quota:vif_inbound_peak": "5"}, {}, "quota:vif_inbound_average"),
    ({"quota:disk_total_iops_sec": "5", "quota:disk_read_iops_sec": "5"}, {}, "quota:disk_total_iops_sec"),
    ({"hw:viommu_model": "intel"}, {}, "hw:viommu_model=intel is not supported"),
    ({"hw:sound_model": "ac97"}, {"hw_sound_model": "ich9"}, "contradict"),
])
def test_a_refusal_names_the_extra_spec_or_property(specs: Words, image: Words, part: str) -> None:
    with pytest.raises(errors.BadRequest) as error:
        read(specs, image)
    assert part in error.value.text
    assert error.value.http_status == 400


def test_unsupported_settings_that_are_off_are_accepted() -> None:
    assert read({"hw:mem_encryption": "False", "hw:viommu_model": "none", "hw:virtio_packed_ring": "false"}) == Hardware()


@pytest.mark.parametrize(("bus", "device"), [("virtio", "/dev/vda"), ("scsi", "/dev/sda"), ("ide", "/dev/hda")])
def test_the_root_device_is_named_by_its_bus(bus: str, device: str) -> None:
    assert read({}, {"hw_disk_bus": bus}).root_device == device
