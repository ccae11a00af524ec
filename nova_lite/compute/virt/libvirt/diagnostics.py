# SPDX-License-Identifier: Apache-2.0
"""Reads what libvirt counts about a running domain, in one call for all of it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import libvirt

from nova_lite.rpc.diagnostics import DiskUse, GuestDiagnostics, NicUse

_WANTED = (
    libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
_MIB = 1024


def read(conn: Any, domain: Any, *, hypervisor: str, config_drive: bool) -> GuestDiagnostics:
    """The domain must run."""
    stats: Mapping[str, Any] = conn.domainListGetStats([domain], _WANTED, 0)[0][1]
    devices = ET.fromstring(domain.XMLDesc())
    memory = {str(name): int(value) for name, value in domain.memoryStats().items()}
    maximum = int(stats.get("balloon.maximum", 0))
    return GuestDiagnostics(
        driver="libvirt", hypervisor=hypervisor, config_drive=config_drive,
        cpu_times_ns=tuple(_cpu_times(stats)), memory_maximum_mb=maximum // _MIB, memory_used_mb=_used(memory, maximum),
        memory=memory, disks=tuple(_disk(stats, n) for n in range(int(stats.get("block.count", 0)))),
        nics=tuple(_nic(stats, n, devices) for n in range(int(stats.get("net.count", 0)))),
    )


def _cpu_times(stats: Mapping[str, Any]) -> list[int]:
    count = int(stats.get("vcpu.current", 0))
    return [int(stats.get(f"vcpu.{number}.time", 0)) for number in range(count)]


def _used(memory: Mapping[str, int], maximum: int) -> int | None:
    """What the guest's balloon driver says it uses; before it says anything, all that it has."""
    if "unused" in memory:
        return max(0, memory.get("available", maximum) - memory["unused"]) // _MIB
    return memory["actual"] // _MIB if "actual" in memory else None


def _disk(stats: Mapping[str, Any], number: int) -> DiskUse:
    def of(name: str) -> int:
        return int(stats.get(f"block.{number}.{name}", 0))

    return DiskUse(
        name=str(stats.get(f"block.{number}.name", "")), read_bytes=of("rd.bytes"), read_requests=of("rd.reqs"),
        write_bytes=of("wr.bytes"), write_requests=of("wr.reqs"), errors_count=stats.get(f"block.{number}.errors"))


def _nic(stats: Mapping[str, Any], number: int, devices: ET.Element) -> NicUse:
    def of(name: str) -> int:
        return int(stats.get(f"net.{number}.{name}", 0))

    name = str(stats.get(f"net.{number}.name", ""))
    return NicUse(
        name=name, mac=_mac(devices, name), rx_octets=of("rx.bytes"), rx_packets=of("rx.pkts"), rx_errors=of("rx.errs"),
        rx_drop=of("rx.drop"), tx_octets=of("tx.bytes"), tx_packets=of("tx.pkts"), tx_errors=of("tx.errs"),
        tx_drop=of("tx.drop"))


def _mac(devices: ET.Element, tap: str) -> str:
    for nic in devices.iterfind("devices/interface"):
        target, mac = nic.find("target"), nic.find("mac")
        if target is not None and mac is not None and target.get("dev") == tap:
            return str(mac.get("address"))
    return ""
