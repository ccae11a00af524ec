# SPDX-License-Identifier: Apache-2.0
"""Numbers such as a small guest would have, for clients that read diagnostics of simulated ones."""

from __future__ import annotations

import string

from nova_lite.rpc.compute import Guest
from nova_lite.rpc.diagnostics import DiskUse, GuestDiagnostics, NicUse

_CPU_NS = 15_000_000_000
_READ, _WRITTEN = 48 << 20, 12 << 20
_PACKETS = 1000


def of(guest: Guest) -> GuestDiagnostics:
    """The same guest always has the same numbers. `driver` is libvirt: clients know no other that is alike."""
    disks = len(guest.disks) + bool(guest.config_drive)
    used_mb = guest.ram_mb // 2
    return GuestDiagnostics(
        driver="libvirt", hypervisor="fake", config_drive=guest.config_drive,
        cpu_times_ns=tuple(_CPU_NS // (number + 1) for number in range(guest.vcpus)),
        memory_maximum_mb=guest.ram_mb, memory_used_mb=used_mb,
        memory={"actual": guest.ram_mb << 10, "available": guest.ram_mb << 10, "unused": (guest.ram_mb - used_mb) << 10,
                "rss": used_mb << 10},
        disks=tuple(DiskUse(
            name=f"vd{letter}", read_bytes=_READ, read_requests=_READ >> 14, write_bytes=_WRITTEN,
            write_requests=_WRITTEN >> 14) for letter in string.ascii_lowercase[:disks]),
        nics=tuple(NicUse(
            name=nic.tap, mac=nic.mac, rx_octets=_PACKETS * 600, rx_packets=_PACKETS, rx_errors=0, rx_drop=0,
            tx_octets=_PACKETS * 200, tx_packets=_PACKETS, tx_errors=0, tx_drop=0) for nic in guest.nics))
