# SPDX-License-Identifier: Apache-2.0
"""Whether this host has the hardware that a guest requires, and if not, what it lacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from oslo_config import cfg

from nova_lite.compute.virt.libvirt.xml import firmware
from nova_lite.values.hardware import Hardware

# QEMU's list of firmwares: docs/interop/firmware.json of its source.
_FIRMWARES = Path("/usr/share/qemu/firmware")
_PAGES = Path("/sys/kernel/mm/hugepages")
_NODES = Path("/sys/devices/system/node")
_SWTPM = ("swtpm", "swtpm_setup")


def missing(hardware: Hardware, *, ram_mb: int, arch: str, conf: cfg.ConfigOpts) -> str | None:
    """Why this host cannot have such a guest; None: it can."""
    return (_firmware(hardware, arch) or _tpm(hardware) or _pages(hardware, ram_mb) or _nodes(hardware)
            or _cpus(hardware, conf))


def _firmware(hardware: Hardware, arch: str) -> str | None:
    if hardware.firmware != "uefi":
        return None
    is_secure = firmware.is_secure(hardware)
    if has_firmware(arch, is_secure=is_secure):
        return None
    what = "os_secure_boot=required" if is_secure else "hw_firmware_type=uefi"
    return f"{what}: the host has no such firmware; its operator may install the package ovmf"


def has_firmware(arch: str, *, is_secure: bool) -> bool:
    """Whether QEMU has a UEFI firmware here for such guests, with secure boot if `is_secure`."""
    for path in sorted(_FIRMWARES.glob("*.json")):
        description = json.loads(path.read_text())
        fits = "uefi" in description["interface-types"] and arch in {target["architecture"] for target in description["targets"]}
        if fits and (not is_secure or "secure-boot" in description["features"]):
            return True
    return False


def has_tpm() -> bool:
    return all(shutil.which(program) for program in _SWTPM)


def _tpm(hardware: Hardware) -> str | None:
    if hardware.tpm_version is None or has_tpm():
        return None
    return f"hw:tpm_version={hardware.tpm_version}: the host has no swtpm; its operator may install swtpm and swtpm-tools"


def _pages(hardware: Hardware, ram_mb: int) -> str | None:
    size = hardware.page_size
    if size in (None, "small", "any"):
        return None
    if size == 4:
        return None
    sizes = {int(path.name.removeprefix("hugepages-").removesuffix("kB")): path for path in _PAGES.glob("hugepages-*")}
    usable = [size] if isinstance(size, int) else sorted(sizes)
    for kib in usable:
        free = int((sizes[kib] / "free_hugepages").read_text()) if kib in sizes else 0
        if free * kib >= ram_mb << 10:
            return None
    size_text = f"{size} KiB" if isinstance(size, int) else size
    return f"hw:mem_page_size={size_text}: the host has not enough free huge pages for {ram_mb} MiB"


def _nodes(hardware: Hardware) -> str | None:
    existing = len(list(_NODES.glob("node[0-9]*"))) or 1
    if len(hardware.numa_nodes) <= existing:
        return None
    return f"hw:numa_nodes={len(hardware.numa_nodes)}: the host has {existing}, and each of a guest's needs one of its own"


def _cpus(hardware: Hardware, conf: cfg.ConfigOpts) -> str | None:
    if not hardware.cpus.dedicated or conf.compute.cpu_dedicated_set:
        return None
    return "hw:cpu_policy: the host has no dedicated CPUs ([compute] cpu_dedicated_set is empty)"
