# SPDX-License-Identifier: Apache-2.0
"""Names and values of the extra specs and image properties that shape a guest's hardware; all are Nova's.

https://docs.openstack.org/nova/latest/configuration/extra-specs.html,
https://docs.openstack.org/glance/latest/admin/useful-image-properties.html
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from nova_lite import errors

_YES = frozenset({"1", "t", "true", "on", "y", "yes"})
_NO = frozenset({"0", "f", "false", "off", "n", "no"})
_PAGE = re.compile(r"small|large|any|\d+([kmgt]i?)?b?", re.IGNORECASE)
_UNITS_KIB = {"": 1, "k": 1, "m": 1 << 10, "g": 1 << 20, "t": 1 << 30}


@dataclasses.dataclass(frozen=True)
class Wish:
    """One thing that may be asked for. `spec` and `image`: its names in extra specs and image properties, or "".

    `values`: those that there are; empty: any text. `kind`: word, flag, count (from 1), number (from 0).
    """

    spec: str
    image: str
    values: tuple[str, ...] = ()
    kind: str = "word"


_ANY = r".+"
WISHES: dict[str, Wish] = {
    "disk_bus": Wish("", "hw_disk_bus", ("virtio", "scsi", "sata", "ide", "usb")),
    "cdrom_bus": Wish("hw:cdrom_bus", "hw_cdrom_bus", ("virtio", "scsi", "sata", "ide", "usb")),
    "scsi_model": Wish("", "hw_scsi_model", ("virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "buslogic", "vmpvscsi")),
    "vif_model": Wish("", "hw_vif_model", ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3")),
    "vif_multiqueue": Wish("hw:vif_multiqueue_enabled", "hw_vif_multiqueue_enabled", kind="flag"),
    "video_model": Wish("hw:video_model", "hw_video_model", ("vga", "cirrus", "vmvga", "qxl", "virtio", "bochs", "none")),
    "video_ram_mb": Wish("", "hw_video_ram", kind="count"),
    "machine_type": Wish("", "hw_machine_type"),
    "watchdog": Wish("hw:watchdog_action", "hw_watchdog_action", ("none", "pause", "poweroff", "reset", "disabled")),
    "rng_model": Wish("", "hw_rng_model", ("virtio",)),
    "rng_allowed": Wish("hw_rng:allowed", "", kind="flag"),
    "rng_bytes": Wish("hw_rng:rate_bytes", "", kind="count"),
    "rng_period_ms": Wish("hw_rng:rate_period", "", kind="count"),
    "has_agent": Wish("", "hw_qemu_guest_agent", kind="flag"),
    "cpu_sockets": Wish("hw:cpu_sockets", "hw_cpu_sockets", kind="count"),
    "cpu_cores": Wish("hw:cpu_cores", "hw_cpu_cores", kind="count"),
    "cpu_threads": Wish("hw:cpu_threads", "hw_cpu_threads", kind="count"),
    "max_sockets": Wish("hw:cpu_max_sockets", "hw_cpu_max_sockets", kind="count"),
    "max_cores": Wish("hw:cpu_max_cores", "hw_cpu_max_cores", kind="count"),
    "max_threads": Wish("hw:cpu_max_threads", "hw_cpu_max_threads", kind="count"),
    "cpu_policy": Wish("hw:cpu_policy", "hw_cpu_policy", ("shared", "dedicated", "mixed")),
    "cpu_thread_policy": Wish("hw:cpu_thread_policy", "hw_cpu_thread_policy", ("prefer", "isolate", "require")),
    "cpu_dedicated_mask": Wish("hw:cpu_dedicated_mask", ""),
    "cpu_realtime": Wish("hw:cpu_realtime", "hw_cpu_realtime", kind="flag"),
    "cpu_realtime_mask": Wish("hw:cpu_realtime_mask", "hw_cpu_realtime_mask"),
    "emulator_threads": Wish("hw:emulator_threads_policy", "hw_emulator_threads_policy", ("share", "isolate")),
    "has_pmu": Wish("hw:pmu", "hw_pmu", kind="flag"),
    "locked_memory": Wish("hw:locked_memory", "hw_locked_memory", kind="flag"),
    "mem_encryption": Wish("hw:mem_encryption", "hw_mem_encryption", kind="flag"),
    "sound_model": Wish("hw:sound_model", "hw_sound_model", ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb")),
    "numa_nodes": Wish("hw:numa_nodes", "hw_numa_nodes", kind="count"),
    "firmware": Wish("", "hw_firmware_type", ("bios", "uefi")),
    "secure_boot": Wish("os:secure_boot", "os_secure_boot", ("required", "optional", "disabled")),
    "tpm_version": Wish("hw:tpm_version", "hw_tpm_version", ("2.0", "1.2")),
    "tpm_model": Wish("hw:tpm_model", "hw_tpm_model", ("tpm-tis", "tpm-crb")),
    "boot_menu": Wish("hw:boot_menu", "hw_boot_menu", kind="flag"),
    "has_hpet": Wish("", "hw_time_hpet", kind="flag"),
    "os_type": Wish("", "os_type"),
    "pointer": Wish("hw:pointer_model", "hw_pointer_model", ("usbtablet", "ps2mouse")),
    # Obeyed elsewhere: by the worker that powers off, and by the API that asks for a config drive.
    "shutdown_timeout": Wish("", "os_shutdown_timeout", kind="number"),
    "config_drive": Wish("", "img_config_drive", ("mandatory", "optional")),
    "input_bus": Wish("hw:input_bus", "hw_input_bus", ("usb", "virtio")),
    "is_hidden": Wish("hw:hide_hypervisor_id", "img_hide_hypervisor_id", kind="flag"),
    "serial_ports": Wish("hw:serial_port_count", "hw_serial_port_count", kind="count"),
    # Two names that Nova has had for the same.
    "is_hidden_old": Wish("hide_hypervisor_id", "", kind="flag"),
    "max_video_ram_mb": Wish("hw_video:ram_max_mb", "", kind="number"),
}
# Known to Nova and not done here: each would change what the guest is, so nobody is to believe that he has it.
NOT_OFFERED = (
    "hw:pmem", "hw:viommu_model", "hw:usb_model", "hw:redirected_usb_ports", "hw:maxphysaddr_mode", "hw:virtio_packed_ring",
    "hw:ephemeral_encryption", "hw_pmem", "hw_viommu_model", "hw_usb_model", "hw_redirected_usb_ports",
    "hw_emulation_architecture", "hw_ephemeral_encryption", "hw_maxphysaddr_mode", "hw_virtio_packed_ring",
)
QUOTA_CPU = ("cpu_shares", "cpu_period", "cpu_quota")
# Names of libvirt's <iotune> with "disk_" before them.
QUOTA_DISK = tuple(
    f"disk_{what}_{unit}_sec{more}" for what in ("total", "read", "write") for unit in ("bytes", "iops")
    for more in ("", "_max", "_max_length"))
QUOTA_VIF = tuple(f"vif_{way}_{what}" for way in ("inbound", "outbound") for what in ("average", "peak", "burst"))


def refuse(name: str, value: object, allowed: str) -> errors.BadRequest:
    """The refusal of a value."""
    return errors.BadRequest(reason=f"Invalid value '{value}' for {name}: {allowed}")


def flag(name: str, value: str) -> bool:
    """Yes or no in any of Nova's spellings."""
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise refuse(name, value, "it is yes or no")


def count(name: str, value: str, *, least: int) -> int:
    """A whole number from `least` up."""
    if re.fullmatch(r"\d{1,12}", value) and int(value) >= least:
        return int(value)
    raise refuse(name, value, f"it is a whole number, {least} or more")


def page_kib(name: str, value: str) -> int | str:
    """A size of memory pages in KiB, or small, large, any."""
    if not _PAGE.fullmatch(value):
        raise refuse(name, value, "it is small, large, any, or a size such as 2048 (KiB) or 2MB")
    if not value[0].isdigit():
        return value.lower()
    digits = re.match(r"\d+", value)
    assert digits is not None
    unit = value[digits.end():].lower().rstrip("b").rstrip("i")
    return int(digits.group()) * _UNITS_KIB[unit]


def read(wish: Wish, specs: Mapping[str, str], image: Mapping[str, str]) -> dict[str, str | bool | int]:
    """What specs and image say of it, under their names.

    :raises errors.BadRequest: a value that is none; the name is in the text.
    """
    found: dict[str, str | bool | int] = {}
    for name, given in ((wish.spec, specs), (wish.image, image)):
        if not name or name not in given:
            continue
        value = str(given[name])
        if wish.kind == "flag":
            found[name] = flag(name, value)
        elif wish.kind in ("count", "number"):
            found[name] = count(name, value, least=1 if wish.kind == "count" else 0)
        else:
            word = value if not wish.values else value.lower()
            if wish.values and word not in wish.values or not re.fullmatch(_ANY, word):
                raise refuse(name, value, f"this cloud has {', '.join(wish.values)}")
            found[name] = word
    return found
