# SPDX-License-Identifier: Apache-2.0
"""Builds the description of a guest's domain for this host."""

from __future__ import annotations

from oslo_config import cfg

from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.hardware import host_capabilities
from nova_lite.compute.virt.libvirt.storage import disk_list, serial_files
from nova_lite.compute.virt.libvirt.xml.domain import Machine, domain_xml, hardware_of
from nova_lite.rpc.compute import Guest


class DomainBuilder:
    """Guests in, domain XML out; nothing on the host is changed but the directory of a serial port's socket."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def xml(self, guest: Guest, *, pinning: CpuPinning = NO_PINS, name: str | None = None) -> str:
        """The guest's domain XML; `pinning`: the host's CPUs that are for it alone. `name`: of a domain that exists.

        :raises ValueError: the host has no pages of the required size, or its options contradict each other.
        """
        env, conf = self._env, self._env.conf
        default = "pc" if env.arch == "x86_64" else "virt"
        machine = Machine(
            owner=env.owner, virt_type=env.virt.type, arch=env.arch, machine=conf.libvirt.hw_machine_type or default,
            emulator=env.emulator, tb_cache_mb=conf.libvirt.tb_cache_mb, disk_cache=env.disk_cache,
            has_screen=conf.vnc.enabled, shared_cpus=_shared(conf),
        )
        directory = env.directory(guest.server_id)
        return domain_xml(
            guest, machine, disks=disk_list.disks_of(guest, directory, bases=env.bases, arch=env.arch, host=env.host),
            console_log=serial_files.log(directory), pins=pinning,
            name=name,
            page_kib=host_capabilities.page_kib(hardware_of(guest), ram_mb=guest.ram_mb),
            serial_socket=serial_files.make_socket_directory(directory) if conf.serial_console.enabled else None)


def _shared(conf: cfg.ConfigOpts) -> str:
    """The CPUs of guests without their own, as libvirt lists them; "": any."""
    is_divided = conf.compute.cpu_dedicated_set or conf.compute.cpu_shared_set
    return ",".join(str(cpu) for cpu in cpu_sets.shared(conf)) if is_divided else ""
