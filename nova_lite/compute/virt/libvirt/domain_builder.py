# SPDX-License-Identifier: Apache-2.0
"""The part of the driver that tells libvirt what a guest is, and refuses one that this host cannot be home to."""

from __future__ import annotations

import json
import threading
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning
from nova_lite.compute.virt.libvirt import capability_check, consoles, cpu_pinning, host_capabilities
from nova_lite.compute.virt.libvirt.capability_probe import Virt
from nova_lite.compute.virt.libvirt.connection import go_on
from nova_lite.compute.virt.libvirt.storage import disks, vtpm
from nova_lite.compute.virt.libvirt.xml.domain import Disk, Machine, domain_xml, hardware_of
from nova_lite.rpc.compute import Guest


class DomainBuilder:
    """See the Protocol for what the driver promises."""

    _conf: cfg.ConfigOpts
    _host: str
    _instances: Path
    _arch: str
    _virt: Virt
    _emulator: str
    _disk_cache: str

    def __init__(self) -> None:
        self._pinning = threading.Lock()

    def disks_of(self, guest: Guest) -> tuple[Disk, ...]:
        """The guest's disks; the part of the driver that replaces them knows."""
        raise NotImplementedError

    @property
    def _owner(self) -> str:
        return f"{self._host}:{self._instances}"

    def refuse_what_is_missing(self, guest: Guest) -> None:
        """:raises errors.HypervisorFailed: this host lacks something that the guest's flavor or image asks for."""
        lack = capability_check.missing(hardware_of(guest), ram_mb=guest.ram_mb, arch=self._arch, conf=self._conf)
        if lack is not None:
            raise errors.HypervisorFailed(host=self._host, action="make such a guest", reason=lack)

    def define_anew(self, conn: Any, guest: Guest) -> Any:
        """Describe a guest that does not run; its domain."""
        if hardware_of(guest).tpm_version is not None:
            try:
                vtpm.lend(conn, disks.directory(self._instances, guest.server_id), guest.server_id)
            except OSError as error:
                raise errors.HypervisorFailed(host=self._host, action="keep the key of a TPM", reason=error) from error
        with self._pinning:
            try:
                own = cpu_pinning.choose(conn, guest.server_id, hardware_of(guest), among=cpu_sets.of_host(self._conf))
                go_on()
                return conn.defineXML(self.describe(guest, own=own))
            except ValueError as lack:
                raise errors.HypervisorFailed(host=self._host, action="make such a guest", reason=lack) from lack

    def describe(self, guest: Guest, *, own: CpuPinning = NO_PINS) -> str:
        """The guest's domain XML; `own`: the host's CPUs that are its alone.

        :raises ValueError: the host has no pages that would do, or its options contradict each other.
        """
        default = "pc" if self._arch == "x86_64" else "virt"
        machine = Machine(
            owner=self._owner, virt_type=self._virt.type, arch=self._arch,
            machine=self._conf.libvirt.hw_machine_type or default, emulator=self._emulator,
            tb_cache_mb=self._conf.libvirt.tb_cache_mb, disk_cache=self._disk_cache,
            has_screen=self._conf.vnc.enabled, shared_cpus=_shared(self._conf),
        )
        log = disks.directory(self._instances, guest.server_id) / consoles.LOG_FILE
        return domain_xml(guest, machine, disks=self.disks_of(guest), console_log=log, pins=own, page_kib=host_capabilities.page_kib(hardware_of(guest), ram_mb=guest.ram_mb),
                          serial_socket=consoles.socket_of(self._conf, self._instances, guest.server_id))


def _shared(conf: cfg.ConfigOpts) -> str:
    """As libvirt lists them; "": any."""
    is_divided = conf.compute.cpu_dedicated_set or conf.compute.cpu_shared_set
    return ",".join(str(cpu) for cpu in cpu_sets.shared(conf)) if is_divided else ""


def cpu_info(capabilities: str) -> str:
    """The host's processor as JSON text, in the shape of os-hypervisors."""
    cpu = ET.fromstring(capabilities).find("host/cpu")
    if cpu is None:
        return "{}"
    topology = cpu.find("topology")
    return json.dumps({
        "arch": cpu.findtext("arch", ""), "model": cpu.findtext("model", ""), "vendor": cpu.findtext("vendor", ""),
        "topology": {name: int(topology.get(name, "1")) for name in ("sockets", "cores", "threads")}
        if topology is not None else {},
        "features": sorted(feature.get("name", "") for feature in cpu.findall("feature")),
    })
