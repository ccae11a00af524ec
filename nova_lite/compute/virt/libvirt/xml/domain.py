# SPDX-License-Identifier: Apache-2.0
"""Writes domain XML: a pure function of the guest and of what the host can do."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

from nova_lite.compute.virt.cpu_sets import NO_PINS, CpuPinning
from nova_lite.compute.virt.libvirt.storage import vtpm
from nova_lite.compute.virt.libvirt.xml import devices as xml_devices
from nova_lite.compute.virt.libvirt.xml import disk_devices, firmware, nics, processor
from nova_lite.compute.virt.libvirt.xml.disk_devices import Disk, VolumeDisk
from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.hardware import requirements
from nova_lite.rpc.compute import Guest, Nic
from nova_lite.values.hardware import Hardware

__all__ = ["NAMESPACE", "Disk", "Machine", "VolumeDisk", "domain_name", "domain_xml", "hardware_of", "nic_xml", "owner_of"]

# Metadata elements of this namespace mark our domains; their owner distinguishes two clouds on one libvirt.
NAMESPACE = "https://nova-lite.example/domain/1.0"
_PREFIX = "nova"
ET.register_namespace(_PREFIX, NAMESPACE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What a domain depends on of its host.

    `owner` names this worker among all that use the same libvirt. `disk_cache`: none bypasses the host's page
    cache, where the file system can.
    """

    owner: str
    virt_type: str
    arch: str
    machine: str
    emulator: str
    tb_cache_mb: int
    disk_cache: str = "none"
    has_screen: bool = True
    shared_cpus: str = ""  # of the host, for guests that have none of their own; "": any


def hardware_of(guest: Guest) -> Hardware:
    """What the guest's flavor and image require.

    :raises errors.BadRequest: what the API refuses today, of a server that an earlier release accepted.
    """
    return requirements.read(
        specs=guest.extra_specs, image=guest.image.properties, vcpus=guest.vcpus, ram_mb=guest.ram_mb)


def domain_xml(  # noqa: PLR0913 - each is of another origin
    guest: Guest, machine: Machine, *, disks: tuple[Disk | VolumeDisk, ...], console_log: Path, serial_socket: Path | None = None,
    pins: CpuPinning = NO_PINS, page_kib: int | None = None, name: str | None = None,
) -> str:
    """The domain of a guest with these disks, first the one that it boots.

    `serial_socket`: of its first serial port; None: the port is reached by its log only. `pins`: the host's CPUs
    that are to be the guest's own. `page_kib`: the size of its memory's huge pages. `name`: None: `domain_name`.
    """
    hardware = hardware_of(guest)
    is_kvm = machine.virt_type == "kvm"
    domain = ET.Element("domain", type=machine.virt_type)
    text(domain, "name", name or domain_name(guest))
    text(domain, "uuid", guest.server_id)
    _metadata(domain, guest, machine)
    text(domain, "memory", str(guest.ram_mb), unit="MiB")
    text(domain, "vcpu", str(guest.vcpus), **(
        {"cpuset": machine.shared_cpus} if machine.shared_cpus and len(pins.cpus) < guest.vcpus else {}))
    firmware.write(domain, hardware, server_id=guest.server_id, arch=machine.arch, machine=machine.machine,
                       is_ordered=any(disk.boots_first for disk in disks))
    processor.write(
        domain, hardware, arch=machine.arch, is_kvm=is_kvm, tb_cache_mb=machine.tb_cache_mb, pins=pins,
        shared=machine.shared_cpus, page_kib=page_kib)
    for event, what in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        text(domain, f"on_{event}", what)
    devices = ET.SubElement(domain, "devices")
    text(devices, "emulator", machine.emulator)
    disk_devices.write(devices, disks, hardware, cache=machine.disk_cache)
    for nic in guest.nics:
        nics.write(devices, nic, hardware, vcpus=guest.vcpus)
    _consoles(devices, machine, console_log, serial_socket)
    xml_devices.serial_ports(devices, hardware)
    xml_devices.video(devices, hardware, arch=machine.arch)
    xml_devices.write(devices, hardware, machine=firmware.machine_type(hardware, default=machine.machine),
                      disk_buses=disk_devices.buses(disks, hardware), tpm_secret=vtpm.secret_id(guest.server_id))
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def domain_name(guest: Guest) -> str:
    """The name of a new domain, unique on the host: instance names are unique within a cloud only.

    A domain keeps its name, as libvirt refuses to define one under another; those of release 0.1 have the instance name.
    """
    return f"{guest.instance_name}-{guest.server_id[:8]}"


def nic_xml(nic: Nic, guest: Guest | None = None) -> str:
    """One NIC to attach to a domain, with the model and limits that the guest's flavor and image require."""
    devices = ET.Element("devices")
    nics.write(devices, nic, hardware_of(guest) if guest else Hardware(), vcpus=guest.vcpus if guest else 1)
    return ET.tostring(devices[0], encoding="unicode")


def owner_of(metadata: str) -> str:
    """The owner in a domain's metadata element of our namespace."""
    return ET.fromstring(metadata).findtext(f"{{{NAMESPACE}}}owner") or ET.fromstring(metadata).findtext("owner") or ""


def _metadata(domain: ET.Element, guest: Guest, machine: Machine) -> None:
    holder = ET.SubElement(ET.SubElement(domain, "metadata"), f"{{{NAMESPACE}}}server")
    for name, value in (
        ("owner", machine.owner), ("id", guest.server_id), ("name", _printable(guest.display_name)),
        ("project", guest.project_id), ("user", guest.user_id),
    ):
        text(holder, f"{{{NAMESPACE}}}{name}", value)


def _consoles(devices: ET.Element, machine: Machine, console_log: Path, serial_socket: Path | None) -> None:
    """A serial port whose log is written while no client is connected, and a screen that listens nowhere: see consoles.py."""
    serial = ET.SubElement(devices, "serial", type="unix" if serial_socket else "pty")
    if serial_socket:
        ET.SubElement(serial, "source", mode="bind", path=str(serial_socket))
    ET.SubElement(serial, "log", file=str(console_log), append="off")
    ET.SubElement(serial, "target", port="0")
    if machine.has_screen:
        ET.SubElement(ET.SubElement(devices, "graphics", type="vnc"), "listen", type="none")


def _printable(text: str) -> str:
    """XML cannot carry control characters, not even escaped."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
