# SPDX-License-Identifier: Apache-2.0
"""What a flavor and an image take and require of a host, in the terms in which schedulers count and compare."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from nova_lite.hardware import requirements
from nova_lite.values.hardware import Hardware
from nova_lite.values.resources import Resources

# Without a key in one of these namespaces there is nothing to read, as in most flavors and images.
_NAMESPACES = ("hw", "os:", "os_secure_boot", "trait", "resources", "accel:", "pci_passthrough:", "capabilities:")
_TRAIT = re.compile(r"trait(\d+|_[\w-]+)?:(?P<name>\w+)")
_RESOURCE = re.compile(r"resources(\d+|_[\w-]+)?:(?P<name>\w+)")
_COUNTED = ("VCPU", "PCPU", "MEMORY_MB", "DISK_GB")
# Traits that a host must have for a requirement. Names in capitals are those of os-traits, which has none for the others.
SECURE_BOOT, UEFI, SEV = "COMPUTE_SECURITY_UEFI_SECURE_BOOT", "COMPUTE_FIRMWARE_UEFI", "HW_CPU_X86_AMD_SEV"
TPM = {"2.0": "COMPUTE_SECURITY_TPM_2_0", "1.2": "COMPUTE_SECURITY_TPM_1_2"}
THREADS, REALTIME, LOCKED = "HW_CPU_HYPERTHREADING", "realtime CPUs", "locked memory"
DEVICES = "accelerators (accel:device_profile)"
PCI = "PCI devices for guests (pci_passthrough:alias)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """`resources` are the flavor's, or what `resources:VCPU`, `MEMORY_MB` and `DISK_GB` set instead.

    `page_size_kib`: of the huge pages, 0: any. `numa_nodes_mb`: memory of each NUMA node.
    `required_traits`, `forbidden_traits`: what a host must, and must not have.
    """

    resources: Resources
    page_size_kib: int = 0
    numa_nodes_mb: tuple[int, ...] = ()
    required_traits: tuple[str, ...] = ()
    forbidden_traits: tuple[str, ...] = ()


def of(*, specs: Mapping[str, str], image: Mapping[str, str], vcpus: int, ram_mb: int, disk_gb: int) -> ResourceRequest:
    """The request of a server with this flavor and image; `disk_gb` counts root, ephemeral and swap disks.

    :raises errors.BadRequest: flavor or image are such as the API refuses.
    """
    if not any(name.startswith(_NAMESPACES) for source in (specs, image) for name in source):
        return ResourceRequest(resources=Resources(vcpus=vcpus, ram_mb=ram_mb, disk_gb=disk_gb))
    hardware = requirements.read(specs=specs, image=image, vcpus=vcpus, ram_mb=ram_mb)
    is_huge = hardware.page_size is not None and hardware.page_size not in ("small", "any", 4)
    required, forbidden = _traits(specs, image)
    return ResourceRequest(
        resources=Resources(
            vcpus=int(specs.get("resources:VCPU", vcpus - len(hardware.cpus.dedicated))),
            ram_mb=int(specs.get("resources:MEMORY_MB", ram_mb)), disk_gb=int(specs.get("resources:DISK_GB", disk_gb)),
            pcpus=hardware.cpus.host_cpus, hugepages_mb=ram_mb if is_huge else 0),
        page_size_kib=hardware.page_size if is_huge and isinstance(hardware.page_size, int) else 0,
        numa_nodes_mb=tuple(node.memory_mb for node in hardware.numa_nodes),
        required_traits=tuple(sorted({*_features(hardware), *required, *_resources(specs), *_devices(specs)})),
        forbidden_traits=tuple(sorted({*forbidden, *([THREADS] if hardware.cpus.threads == "isolate" else [])})))


def _features(hardware: Hardware) -> list[str]:
    traits = []
    if hardware.firmware == "uefi":
        traits.append(UEFI)
        if hardware.secure_boot == "required":
            traits.append(SECURE_BOOT)
    if hardware.tpm_version is not None:
        traits.append(TPM[hardware.tpm_version])
    if hardware.mem_encryption:
        traits.append(SEV)
    if hardware.cpus.threads == "require":
        traits.append(THREADS)
    if hardware.cpus.realtime:
        traits.append(REALTIME)
    if hardware.cpus.realtime or hardware.locked_memory:
        traits.append(LOCKED)
    return traits


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
    """Resource classes other than the counted ones: no host has any."""
    names = []
    for name, amount in specs.items():
        match = _RESOURCE.fullmatch(name)
        if match and match["name"] not in _COUNTED and amount != "0":
            names.append(f"resources:{match['name']}")
    return names


def _devices(specs: Mapping[str, str]) -> list[str]:
    """What no host has; `capabilities:` is the older form of traits in Nova, which our hosts do not report."""
    devices = [trait for name, trait in (("accel:device_profile", DEVICES), ("pci_passthrough:alias", PCI)) if name in specs]
    return devices + [name for name in specs if name.startswith("capabilities:")]
