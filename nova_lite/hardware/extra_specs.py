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
_PAGE = re.compile(r"small|large|any|\d{1,9}([kmgt]i?)?b?", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"\d{1,12}", re.ASCII)
_UNITS_KIB = {"": 1, "k": 1, "m": 1 << 10, "g": 1 << 20, "t": 1 << 30}


@dataclasses.dataclass(frozen=True)
class ExtraSpec:
    """One setting. `spec` and `image`: its names in extra specs and image properties, or "".

    `values`: the allowed ones; empty: any text. `kind`: word, flag, count (from 1), number (from 0), both up to `most`.
    """

    spec: str
    image: str
    values: tuple[str, ...] = ()
    kind: str = "word"
    most: int = 2**31 - 1


# Limits of numbers that tenants set. CPUs: more than any host has; nodes and ports: QEMU's own, as in Nova.
MAX_CPUS, MAX_NUMA_NODES, MAX_SERIAL_PORTS = 4096, 128, 4
MAX_VIDEO_RAM_MB = 1024
# A guest that ignores the power button holds its action for so long at most; images from before may say more.
MAX_SHUTDOWN_S = 600
MAX_TEXT = 255
MAX_CPU_LIST = 1024
_MAX_NUMBER = 10**12 - 1
_ANY = r".+"
EXTRA_SPECS: dict[str, ExtraSpec] = {
    "disk_bus": ExtraSpec("", "hw_disk_bus", ("virtio", "scsi", "sata", "ide", "usb")),
    "cdrom_bus": ExtraSpec("hw:cdrom_bus", "hw_cdrom_bus", ("virtio", "scsi", "sata", "ide", "usb")),
    "scsi_model": ExtraSpec("", "hw_scsi_model", ("virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "buslogic", "vmpvscsi")),
    "vif_model": ExtraSpec("", "hw_vif_model", ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3")),
    "vif_multiqueue": ExtraSpec("hw:vif_multiqueue_enabled", "hw_vif_multiqueue_enabled", kind="flag"),
    "video_model": ExtraSpec("hw:video_model", "hw_video_model", ("vga", "cirrus", "vmvga", "qxl", "virtio", "bochs", "none")),
    "video_ram_mb": ExtraSpec("", "hw_video_ram", kind="count", most=MAX_VIDEO_RAM_MB),
    "machine_type": ExtraSpec("", "hw_machine_type"),
    "watchdog": ExtraSpec("hw:watchdog_action", "hw_watchdog_action", ("none", "pause", "poweroff", "reset", "disabled")),
    "rng_model": ExtraSpec("", "hw_rng_model", ("virtio",)),
    "rng_allowed": ExtraSpec("hw_rng:allowed", "", kind="flag"),
    "rng_bytes": ExtraSpec("hw_rng:rate_bytes", "", kind="count"),
    "rng_period_ms": ExtraSpec("hw_rng:rate_period", "", kind="count"),
    "has_agent": ExtraSpec("", "hw_qemu_guest_agent", kind="flag"),
    "cpu_sockets": ExtraSpec("hw:cpu_sockets", "hw_cpu_sockets", kind="count", most=MAX_CPUS),
    "cpu_cores": ExtraSpec("hw:cpu_cores", "hw_cpu_cores", kind="count", most=MAX_CPUS),
    "cpu_threads": ExtraSpec("hw:cpu_threads", "hw_cpu_threads", kind="count", most=MAX_CPUS),
    "max_sockets": ExtraSpec("hw:cpu_max_sockets", "hw_cpu_max_sockets", kind="count", most=65536),
    "max_cores": ExtraSpec("hw:cpu_max_cores", "hw_cpu_max_cores", kind="count", most=65536),
    "max_threads": ExtraSpec("hw:cpu_max_threads", "hw_cpu_max_threads", kind="count", most=65536),
    "cpu_policy": ExtraSpec("hw:cpu_policy", "hw_cpu_policy", ("shared", "dedicated", "mixed")),
    "cpu_thread_policy": ExtraSpec("hw:cpu_thread_policy", "hw_cpu_thread_policy", ("prefer", "isolate", "require")),
    "cpu_dedicated_mask": ExtraSpec("hw:cpu_dedicated_mask", ""),
    "cpu_realtime": ExtraSpec("hw:cpu_realtime", "hw_cpu_realtime", kind="flag"),
    "cpu_realtime_mask": ExtraSpec("hw:cpu_realtime_mask", "hw_cpu_realtime_mask"),
    "emulator_threads": ExtraSpec("hw:emulator_threads_policy", "hw_emulator_threads_policy", ("share", "isolate")),
    "has_pmu": ExtraSpec("hw:pmu", "hw_pmu", kind="flag"),
    "locked_memory": ExtraSpec("hw:locked_memory", "hw_locked_memory", kind="flag"),
    "mem_encryption": ExtraSpec("hw:mem_encryption", "hw_mem_encryption", kind="flag"),
    "sound_model": ExtraSpec("hw:sound_model", "hw_sound_model", ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb")),
    "numa_nodes": ExtraSpec("hw:numa_nodes", "hw_numa_nodes", kind="count", most=MAX_NUMA_NODES),
    "firmware": ExtraSpec("", "hw_firmware_type", ("bios", "uefi")),
    "secure_boot": ExtraSpec("os:secure_boot", "os_secure_boot", ("required", "optional", "disabled")),
    "tpm_version": ExtraSpec("hw:tpm_version", "hw_tpm_version", ("2.0", "1.2")),
    "tpm_model": ExtraSpec("hw:tpm_model", "hw_tpm_model", ("tpm-tis", "tpm-crb")),
    "boot_menu": ExtraSpec("hw:boot_menu", "hw_boot_menu", kind="flag"),
    "has_hpet": ExtraSpec("", "hw_time_hpet", kind="flag"),
    "os_type": ExtraSpec("", "os_type"),
    "pointer": ExtraSpec("hw:pointer_model", "hw_pointer_model", ("usbtablet", "ps2mouse")),
    # Used elsewhere: by the worker that powers off, and by the API that decides on a config drive.
    "shutdown_timeout": ExtraSpec("", "os_shutdown_timeout", kind="number"),
    "config_drive": ExtraSpec("", "img_config_drive", ("mandatory", "optional")),
    "input_bus": ExtraSpec("hw:input_bus", "hw_input_bus", ("usb", "virtio")),
    "is_hidden": ExtraSpec("hw:hide_hypervisor_id", "img_hide_hypervisor_id", kind="flag"),
    "serial_ports": ExtraSpec("hw:serial_port_count", "hw_serial_port_count", kind="count", most=MAX_SERIAL_PORTS),
    # An older name of the same in Nova.
    "is_hidden_old": ExtraSpec("hide_hypervisor_id", "", kind="flag"),
    "max_video_ram_mb": ExtraSpec("hw_video:ram_max_mb", "", kind="number"),
}
# Supported by Nova and not here. Each would change the guest, so a request is refused rather than ignored.
UNSUPPORTED = (
    "hw:pmem", "hw:viommu_model", "hw:usb_model", "hw:redirected_usb_ports", "hw:maxphysaddr_mode", "hw:virtio_packed_ring",
    "hw:ephemeral_encryption", "hw_pmem", "hw_viommu_model", "hw_usb_model", "hw_redirected_usb_ports",
    "hw_emulation_architecture", "hw_ephemeral_encryption", "hw_maxphysaddr_mode", "hw_virtio_packed_ring",
)
QUOTA_CPU = ("cpu_shares", "cpu_period", "cpu_quota")
# Names of libvirt's <iotune> with "disk_" before them.
QUOTA_DISK = tuple(
    f"disk_{what}_{unit}_sec{more}" for what in ("total", "read", "write") for unit in ("bytes", "iops")
    for more in ("", "_max", "_max_length"))
QUOTA_VIF = tuple(f"vif_{direction}_{what}" for direction in ("inbound", "outbound") for what in ("average", "peak", "burst"))


def refuse(name: str, value: object, allowed: str) -> errors.BadRequest:
    """The refusal of a value, of which the text has the start."""
    return errors.BadRequest(reason=f"Invalid value '{str(value)[:MAX_TEXT]}' for {name}: {allowed}")


def flag(name: str, value: str) -> bool:
    """A boolean in any of Nova's spellings."""
    if value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise refuse(name, value, "use yes or no")


def count(name: str, value: str, *, least: int, most: int = _MAX_NUMBER) -> int:
    """A whole number from `least` to `most`."""
    if _NUMBER.fullmatch(value) and least <= int(value) <= most:
        return int(value)
    raise refuse(name, value, f"use a whole number, {least} to {most}")


def page_kib(name: str, value: str) -> int | str:
    """A size of memory pages in KiB, or small, large, any."""
    if not _PAGE.fullmatch(value):
        raise refuse(name, value, "use small, large, any, or a size such as 2048 (KiB) or 2MB")
    if not value[0].isdigit():
        return value.lower()
    digits = re.match(r"[0-9]+", value)
    assert digits is not None
    unit = value[digits.end():].lower().rstrip("b").rstrip("i")
    return int(digits.group()) * _UNITS_KIB[unit]


def read(extra_spec: ExtraSpec, specs: Mapping[str, str], image: Mapping[str, str]) -> dict[str, str | bool | int]:
    """Its values in extra specs and image properties, by their names there.

    :raises errors.BadRequest: a value is not allowed; the text has the name.
    """
    values: dict[str, str | bool | int] = {}
    for name, source in ((extra_spec.spec, specs), (extra_spec.image, image)):
        if not name or name not in source:
            continue
        value = str(source[name])
        if extra_spec.kind == "flag":
            values[name] = flag(name, value)
        elif extra_spec.kind in ("count", "number"):
            values[name] = count(name, value, least=1 if extra_spec.kind == "count" else 0, most=extra_spec.most)
        else:
            if len(value) > MAX_TEXT:
                raise refuse(name, value, f"use at most {MAX_TEXT} characters")
            word = value if not extra_spec.values else value.lower()
            if extra_spec.values and word not in extra_spec.values or not re.fullmatch(_ANY, word):
                raise refuse(name, value, f"allowed: {', '.join(extra_spec.values)}")
            values[name] = word
    return values


_BY_IMAGE_NAME = {extra_spec.image: extra_spec for extra_spec in EXTRA_SPECS.values() if extra_spec.image}
_OF_A_NODE = re.compile(r"hw_numa_(?P<what>cpus|mem)\.(?P<node>.*)", re.DOTALL)


def check_bounds(name: str, value: str) -> None:
    """Refuse an image property whose number or length no guest could have, when it is set.

    Other values are checked with the flavor of a server: an image may be meant for another cloud.

    :raises errors.BadRequest: naming the property and its limits.
    """
    if name == "os_shutdown_timeout" and value.isdecimal():
        count(name, value, least=0, most=MAX_SHUTDOWN_S)
    extra_spec = _BY_IMAGE_NAME.get(name)
    node = _OF_A_NODE.fullmatch(name)
    if extra_spec is not None and extra_spec.kind in ("count", "number") and value.isdecimal():
        count(name, value, least=1 if extra_spec.kind == "count" else 0, most=extra_spec.most)
    elif extra_spec is not None and len(value) > MAX_TEXT:
        raise refuse(name, value, f"use at most {MAX_TEXT} characters")
    elif node is not None and not (_NUMBER.fullmatch(node["node"]) and int(node["node"]) < MAX_NUMA_NODES):
        raise refuse(name, value, f"NUMA nodes have numbers from 0 to {MAX_NUMA_NODES - 1}")
    elif node is not None and node["what"] == "mem" and value.isdecimal():
        count(name, value, least=1)
    elif node is not None and len(value) > MAX_CPU_LIST:
        raise refuse(name, value, f"use at most {MAX_CPU_LIST} characters")
