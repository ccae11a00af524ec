# SPDX-License-Identifier: Apache-2.0
"""The hardware that a guest is to have, as flavor and image require it; nova_lite.hardware.requirements reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Topology:
    """Division of the guest's CPUs; the product of the three is their number."""

    sockets: int
    cores: int
    threads: int


@dataclasses.dataclass(frozen=True)
class NumaNode:
    """One NUMA node of a guest."""

    cpus: tuple[int, ...]
    memory_mb: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CpuPolicy:
    """`dedicated`, `realtime`: numbers of the guest's CPUs. `emulator`: share, isolate, or None: on the guest's own CPUs.

    `threads` prefer|isolate|require: how the dedicated CPUs are to lie on threads of the host's cores.
    """

    dedicated: tuple[int, ...] = ()
    realtime: tuple[int, ...] = ()
    emulator: str | None = None
    threads: str = "prefer"

    @property
    def host_cpus(self) -> int:
        """How many of the host's dedicated CPUs that takes: an isolated emulator has one more."""
        return len(self.dedicated) + (self.emulator == "isolate")


SHARED = CpuPolicy()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hardware:
    """None and empty: nothing is required, so the host's own default holds.

    `page_size`: small, large, any or KiB. `quota`: libvirt's names with cpu_, disk_ or vif_ before them.
    """

    disk_bus: str | None = None
    cdrom_bus: str | None = None
    scsi_model: str | None = None
    vif_model: str | None = None
    vif_multiqueue: bool = False
    video_model: str | None = None
    video_ram_mb: int | None = None
    machine_type: str | None = None
    watchdog: str | None = None
    has_rng: bool = True
    rng_bytes: int | None = None
    rng_period_ms: int | None = None
    has_agent: bool = True
    topology: Topology | None = None
    page_size: int | str | None = None
    cpus: CpuPolicy = SHARED
    has_pmu: bool | None = None
    locked_memory: bool = False
    mem_encryption: bool = False
    sound_model: str | None = None
    numa_nodes: tuple[NumaNode, ...] = ()
    firmware: str | None = None
    secure_boot: str | None = None
    tpm_version: str | None = None
    tpm_model: str | None = None
    boot_menu: bool | None = None
    has_hpet: bool | None = None
    os_type: str | None = None
    pointer: str | None = None
    input_bus: str | None = None
    is_hidden: bool = False
    serial_ports: int = 1
    quota: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def root_device(self) -> str:
        """The root disk's name as the API shows it."""
        return {"virtio": "/dev/vda", "ide": "/dev/hda"}.get(self.disk_bus or "virtio", "/dev/sda")
