# SPDX-License-Identifier: Apache-2.0
"""What of a host a flavor and an image take and ask for, as schedulers count and compare it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from nova_lite.hardware import requirements
from nova_lite.hardware.requirements import Hardware

# Without a key in one of these namespaces there is nothing to look for, as in most flavors and images.
_TELLING = ("hw", "os:", "os_secure_boot", "trait", "resources", "accel:", "pci_passthrough:", "capabilities:")
_TRAIT = re.compile(r"trait(\d+|_[\w-]+)?:(?P<name>\w+)")
_RESOURCE = re.compile(r"resources(\d+|_[\w-]+)?:(?P<name>\w+)")
_COUNTED = ("VCPU", "PCPU", "MEMORY_MB", "DISK_GB")
# What a host must have for a wish. Names in capitals are those of os-traits; it has none for the others.
SECURE_BOOT, UEFI, SEV = "COMPUTE_SECURITY_UEFI_SECURE_BOOT", "COMPUTE_FIRMWARE_UEFI", "HW_CPU_X86_AMD_SEV"
TPM = {"2.0": "COMPUTE_SECURITY_TPM_2_0", "1.2": "COMPUTE_SECURITY_TPM_1_2"}
THREADS, REALTIME, LOCKED = "HW_CPU_HYPERTHREADING", "realtime CPUs", "locked memory"
DEVICES = "accelerators (accel:device_profile)"
PCI = "PCI devices for guests (pci_passthrough:alias)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """Sizes are the flavor's, or what `resources:VCPU`, `MEMORY_MB` and `DISK_GB` count instead. `vcpus` shared with others; `pcpus`
    of the host's for itself; `huge_mb` of memory in pages of `page_kib` (0: any).

    `cells`: MiB of each NUMA node. `requires`, `forbids`: what a host must, must not offer.
    """

    vcpus: int
    ram_mb: int
    disk_gb: int
    pcpus: int = 0
    huge_mb: int = 0
    page_kib: int = 0
    cells: tuple[int, ...] = ()
    requires: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()


def of(*, specs: Mapping[str, str], image: Mapping[str, str], vcpus: int, ram_mb: int, disk_gb: int) -> ResourceRequest:
    """What a server of this flavor and image needs; `disk_gb` counts root, ephemeral and swap.

    :raises errors.BadRequest: what the API refuses.
    """
    if not any(name.startswith(_TELLING) for source in (specs, image) for name in source):
        return ResourceRequest(vcpus=vcpus, ram_mb=ram_mb, disk_gb=disk_gb)
    asked = requirements.read(specs=specs, image=image, vcpus=vcpus, ram_mb=ram_mb)
    huge = asked.page_size is not None and asked.page_size not in ("small", "any", 4)
    required, forbidden = _traits(specs, image)
    return ResourceRequest(
        vcpus=int(specs.get("resources:VCPU", vcpus - len(asked.cpus.dedicated))),
        ram_mb=int(specs.get("resources:MEMORY_MB", ram_mb)), disk_gb=int(specs.get("resources:DISK_GB", disk_gb)), pcpus=asked.cpus.host_cpus, huge_mb=ram_mb if huge else 0,
        page_kib=asked.page_size if huge and isinstance(asked.page_size, int) else 0,
        cells=tuple(cell.memory_mb for cell in asked.cells),
        requires=tuple(sorted({*_features(asked), *required, *_resources(specs), *_devices(specs)})),
        forbids=tuple(sorted({*forbidden, *([THREADS] if asked.cpus.threads == "isolate" else [])})))


def _features(asked: Hardware) -> list[str]:
    found = []
    if asked.firmware == "uefi":
        found.append(UEFI)
        if asked.secure_boot == "required":
            found.append(SECURE_BOOT)
    if asked.tpm_version is not None:
        found.append(TPM[asked.tpm_version])
    if asked.mem_encryption:
        found.append(SEV)
    if asked.cpus.threads == "require":
        found.append(THREADS)
    if asked.cpus.realtime:
        found.append(REALTIME)
    if asked.cpus.realtime or asked.locked_memory:
        found.append(LOCKED)
    return found


def _traits(specs: Mapping[str, str], image: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """trait:NAME=required|forbidden of flavor and image (there only `required`, as in Nova)."""
    required: list[str] = []
    forbidden: list[str] = []
    for name, value in (*specs.items(), *image.items()):
        match = _TRAIT.fullmatch(name)
        if match:
            (forbidden if value == "forbidden" else required).append(match["name"])
    return required, forbidden


def _resources(specs: Mapping[str, str]) -> list[str]:
    """Resources beside those that are counted here: no host offers any."""
    found = []
    for name, amount in specs.items():
        match = _RESOURCE.fullmatch(name)
        if match and match["name"] not in _COUNTED and amount != "0":
            found.append(f"resources:{match['name']}")
    return found


def _devices(specs: Mapping[str, str]) -> list[str]:
    """What no host of ours has; capabilities are Nova's older word for traits, and are not told by our hosts."""
    found = [what for name, what in (("accel:device_profile", DEVICES), ("pci_passthrough:alias", PCI)) if name in specs]
    return found + [name for name in specs if name.startswith("capabilities:")]
