# SPDX-License-Identifier: Apache-2.0
"""Real guests with much of what flavors and images may require: they boot, and libvirt and the guest have it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.hardware import resource_request
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, RebootType
from tests.support import boot_sector
from tests.support.private_libvirt import missing
from tests.system.real.test_compute_worker import Cloud, cloud, typed

__all__ = ["cloud"]
pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")

# As one flavor and one image would have it; the guest's kernel has drivers for virtio and SCSI.
SPECS = {
    "hw:cpu_sockets": "1", "hw:cpu_cores": "2", "hw:watchdog_action": "reset", "hw:serial_port_count": "2",
    "hw_rng:rate_bytes": "4096", "hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb", "hw:numa_nodes": "1",
    "quota:disk_read_bytes_sec": "104857600", "quota:disk_write_iops_sec": "5000", "quota:cpu_shares": "512",
    "quota:cpu_period": "20000", "quota:cpu_quota": "40000",
}
IMAGE = {
    "hw_machine_type": "q35", "hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi", "hw_cdrom_bus": "scsi",
    "hw_video_model": "virtio", "hw_boot_menu": "true", "hw_time_hpet": "true", "os_type": "linux",
}


def guest_with(cloud: Cloud, specs: dict[str, str], image: dict[str, str], **changes: object) -> Guest:
    """It boots a boot sector: all that most of these need."""
    return _with_properties(cloud.small_guest(extra_specs=specs, **changes), image)


def _with_properties(guest: Guest, image: dict[str, str]) -> Guest:
    return dataclasses.replace(guest, image=dataclasses.replace(guest.image, properties=image))


@pytest.fixture
def mixed(cloud: Cloud) -> Iterator[Guest]:
    guest = _with_properties(cloud.guest(extra_specs=SPECS, vcpus=2), IMAGE)
    cloud.do("build", guest=guest)
    yield guest
    cloud.do("destroy", server_id=guest.server_id)


def test_a_guest_with_much_of_its_own_boots_and_has_it(cloud: Cloud, mixed: Guest) -> None:
    name = mixed.server_id
    assert cloud.says(name, "READY web")
    # From within: two CPUs of one socket, a SCSI disk, and the configuration from a CD.
    with typed(cloud, name, "\necho sockets=$(grep 'physical id' /proc/cpuinfo | sort -u | wc -l) "
                            "cpus=$(nproc) disk=$(ls -d /sys/block/sda) cd=$(ls -d /sys/block/sr0)\n"):
        assert cloud.says(name, "sockets=1 cpus=2 disk=/sys/block/sda cd=/sys/block/sr0")
    assert "USERDATA-RAN" in cloud.console(name)
    tune = (cloud.libvirt.virsh("blkdeviotune", name, "sda") or "").split()
    assert tune[tune.index("read_bytes_sec") + 2] == "104857600"
    assert tune[tune.index("write_iops_sec") + 2] == "5000"
    shares = (cloud.libvirt.virsh("schedinfo", name) or "").split()
    assert [shares[shares.index(what) + 2] for what in ("cpu_shares", "vcpu_period", "vcpu_quota")] == ["512", "20000", "40000"]
    devices = ET.fromstring(cloud.libvirt.virsh("dumpxml", name) or "").find("devices")
    assert devices is not None
    assert {child.tag for child in devices} >= {"watchdog", "tpm", "rng"}
    assert len(devices.findall("serial")) == 2


def test_a_firmware_of_uefi_starts(cloud: Cloud) -> None:
    guest = guest_with(cloud, {}, {"hw_firmware_type": "uefi", "hw_machine_type": "q35"})
    cloud.do("build", guest=guest)
    try:
        described = ET.fromstring(cloud.libvirt.virsh("dumpxml", guest.server_id) or "")
        assert "OVMF" in described.findtext("os/loader", "")
        assert Path(described.findtext("os/nvram", "")).name.endswith(".fd")
    finally:
        cloud.do("destroy", server_id=guest.server_id)


@pytest.mark.parametrize(("specs", "said"), [
    ({"hw:mem_page_size": "1GB"}, "not enough free huge pages"), ({"hw:cpu_policy": "dedicated"}, "cpu_dedicated_set is empty"),
    ({"hw:numa_nodes": "64"}, "each of a guest's needs one of its own"),
])
def test_what_the_host_lacks_is_the_builds_refusal(cloud: Cloud, specs: dict[str, str], said: str) -> None:
    guest = guest_with(cloud, specs, {}, vcpus=64)
    with pytest.raises(errors.WorkerError, match=said):
        cloud.do("build", guest=guest)
    assert guest.server_id not in cloud.compute.owned_unless(Context(), digest="").server_ids


def threads_of(server_id: str) -> dict[str, tuple[str, int]]:
    """The CPUs that each thread of the guest's QEMU may run on, as the kernel has it, and its id; by the thread's name."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"uuid\0{server_id}".encode() in command.read_bytes():
                found = {}
                for status in command.parent.glob("task/*/status"):
                    lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                    found[lines["Name"].strip()] = lines["Cpus_allowed_list"].strip(), int(lines["Pid"])
                return found
    raise AssertionError(f"no QEMU of {server_id}")


@pytest.fixture
def one_dedicated(cloud: Cloud) -> Iterator[None]:
    """Of the host's two CPUs one is kept for single guests."""
    conf = cloud.service._conf  # as if the worker had been started with it
    conf.set_override("cpu_dedicated_set", "1", group="compute")
    conf.set_override("cpu_shared_set", "0", group="compute")
    yield
    conf.clear_override("cpu_dedicated_set", group="compute")
    conf.clear_override("cpu_shared_set", group="compute")


def test_a_mixed_guest_runs_where_it_was_pinned(cloud: Cloud, one_dedicated: None) -> None:
    (offered,) = cloud.service.report().inventories
    assert (offered.vcpus, offered.pcpus, [node.dedicated for node in offered.capabilities.numa_nodes]) == (1, 1, [(1,)])
    guest = guest_with(cloud, {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "1", "hw:emulator_threads_policy": "share"},
                   {"hw_sound_model": "ac97"}, vcpus=2)
    plain = guest_with(cloud, {}, {})
    try:
        for one in (guest, plain):
            cloud.do("build", guest=one)
        seen = threads_of(guest.server_id)
        assert (seen["CPU 0/TCG"][0], seen["CPU 1/TCG"][0]) == ("0", "1")
        assert {cpus for name, (cpus, _) in seen.items() if name.startswith("qemu-system")} == {"0"}
        assert {cpus for cpus, _ in threads_of(plain.server_id).values()} == {"0"}
        lies = cloud.compute.placement(Context(), server_id=guest.server_id)
        assert (lies.pins, lies.nodes, lies.page_kib) == ({"1": 1}, {"1": 0}, 4)
        # The firmware begins with the disk when it has heard of all CPUs.
        assert cloud.says(guest.server_id, boot_sector.says(boots=1))
    finally:
        for one in (guest, plain):
            cloud.do("destroy", server_id=one.server_id)


def test_the_state_of_a_tpm_is_encrypted_and_outlives_a_hard_reboot(cloud: Cloud) -> None:
    guest = guest_with(cloud, {"hw:tpm_version": "2.0"}, {})
    name = guest.server_id
    key = next(Path(str(cloud.service._conf.state_path)).glob("instances")) / name / "vtpm.key"  # where it is
    cloud.do("build", guest=guest)
    try:
        kept = key.read_bytes()
        assert (key.stat().st_mode & 0o777, len(kept)) == (0o600, 44)
        described = ET.fromstring(cloud.libvirt.virsh("dumpxml", name) or "")
        secret = described.find("devices/tpm/backend/encryption")
        assert secret is not None
        assert secret.get("secret") in (cloud.libvirt.virsh("secret-list") or "")
        (state,) = (cloud.libvirt.state_dir / "lib" / "swtpm" / name).rglob("tpm2-00.permall")
        before = state.read_bytes()
        assert cloud.act("reboot", name, reboot_type=RebootType.HARD) is Power.RUNNING
        assert (key.read_bytes(), state.exists(), len(before) > 1000) == (kept, True, True)
    finally:
        cloud.do("destroy", server_id=name)
    assert not key.exists()
    assert str(secret.get("secret")) not in (cloud.libvirt.virsh("secret-list") or "")


def test_what_the_host_says_of_real_time_is_true(cloud: Cloud, one_dedicated: None) -> None:
    guest = guest_with(cloud, {"hw:cpu_policy": "mixed", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "1"}, {}, vcpus=2)
    (offered,) = cloud.service.report().inventories
    try:
        if not {resource_request.REALTIME, resource_request.LOCKED} <= set(offered.capabilities.traits):
            with pytest.raises(errors.WorkerError):
                cloud.do("build", guest=guest)
            return
        cloud.do("build", guest=guest)
        threads = threads_of(guest.server_id)
        assert [os.sched_getscheduler(threads[f"CPU {number}/TCG"][1]) for number in (0, 1)] == [os.SCHED_OTHER, os.SCHED_FIFO]
    finally:
        cloud.do("destroy", server_id=guest.server_id)


def test_dedicated_cpus_are_one_guests_alone(cloud: Cloud) -> None:
    conf = cloud.service._conf  # as if the worker had been started with it
    conf.set_override("cpu_dedicated_set", "1", group="compute")
    first, second = (guest_with(cloud, {"hw:cpu_policy": "dedicated"}, {}) for _ in range(2))
    try:
        cloud.do("build", guest=first)
        assert (cloud.libvirt.virsh("vcpupin", first.server_id) or "").split()[-1] == "1"
        with pytest.raises(errors.WorkerError, match="0 of the host's 1 dedicated CPUs are free, 1 are needed"):
            cloud.do("build", guest=second)
    finally:
        conf.clear_override("cpu_dedicated_set", group="compute")
        cloud.do("destroy", server_id=first.server_id)
