# SPDX-License-Identifier: Apache-2.0
"""Writes the libvirt description of a guest: a pure function of the guest and of what the host can do."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path

from nova_lite.rpc.compute import Guest, Nic

# Ours are told from foreign domains by this; the owner inside tells two clouds on one libvirt apart.
NAMESPACE = "https://nova-lite.example/domain/1.0"
_PREFIX = "nova"
ET.register_namespace(_PREFIX, NAMESPACE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Disk:
    """One disk file: `format` raw|qcow2; `serial` is what the guest sees in /sys/block/*/serial, 20 bytes."""

    path: Path
    format: str
    serial: str
    is_readonly: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """What of the host matters to a domain.

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


def domain_xml(
    guest: Guest, machine: Machine, *, disks: tuple[Disk, ...], console_log: Path, serial_socket: Path | None = None
) -> str:
    """The domain of a guest whose disks, first the root disk, are made.

    `serial_socket`: where its first serial port is to be reached; None: only by its log.
    """
    domain = ET.Element("domain", type=machine.virt_type)
    _text(domain, "name", guest.instance_name)
    _text(domain, "uuid", guest.server_id)
    _metadata(domain, guest, machine)
    _text(domain, "memory", str(guest.ram_mb), unit="MiB")
    _text(domain, "vcpu", str(guest.vcpus))
    _firmware(domain, guest, machine)
    _processor(domain, machine)
    for event, what in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _text(domain, f"on_{event}", what)
    devices = _devices(domain, guest, machine, disks)
    _consoles(devices, machine, console_log, serial_socket)
    _rest(devices)
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def nic_xml(nic: Nic) -> str:
    """One NIC as a running domain is given it."""
    devices = ET.Element("devices")
    _nic(devices, nic)
    return ET.tostring(devices[0], encoding="unicode")


def owner_of(metadata: str) -> str:
    """The owner in a domain's metadata element of our namespace."""
    return ET.fromstring(metadata).findtext(f"{{{NAMESPACE}}}owner") or ET.fromstring(metadata).findtext("owner") or ""


def _metadata(domain: ET.Element, guest: Guest, machine: Machine) -> None:
    holder = ET.SubElement(ET.SubElement(domain, "metadata"), f"{{{NAMESPACE}}}server")
    for name, text in (
        ("owner", machine.owner), ("id", guest.server_id), ("name", _printable(guest.display_name)),
        ("project", guest.project_id), ("user", guest.user_id),
    ):
        _text(holder, f"{{{NAMESPACE}}}{name}", text)


def _firmware(domain: ET.Element, guest: Guest, machine: Machine) -> None:
    # cloud-init knows an OpenStack guest by the product name.
    system = ET.SubElement(ET.SubElement(domain, "sysinfo", type="smbios"), "system")
    for name, text in (
        ("manufacturer", "nova_lite"), ("product", "OpenStack Compute"), ("serial", guest.server_id),
        ("uuid", guest.server_id), ("family", "Virtual Machine"),
    ):
        _text(system, "entry", text, name=name)
    # The virt machine of ARM has no firmware of its own.
    boot = ET.SubElement(domain, "os", {} if machine.arch == "x86_64" else {"firmware": "efi"})
    kind = guest.image.properties.get("hw_machine_type") or machine.machine
    _text(boot, "type", "hvm", arch=machine.arch, machine=kind)
    ET.SubElement(boot, "boot", dev="hd")
    ET.SubElement(boot, "smbios", mode="sysinfo")


def _processor(domain: ET.Element, machine: Machine) -> None:
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    if machine.arch == "x86_64":
        ET.SubElement(features, "apic")
    clock = ET.Element("clock", offset="utc")
    if machine.virt_type == "kvm":
        ET.SubElement(domain, "cpu", mode="host-model")
        ET.SubElement(clock, "timer", name="pit", tickpolicy="delay")
        ET.SubElement(clock, "timer", name="rtc", tickpolicy="catchup")
        ET.SubElement(clock, "timer", name="hpet", present="no")
    else:
        # QEMU would keep 1 GiB of translated code for each guest.
        _text(ET.SubElement(features, "tcg"), "tb-cache", str(machine.tb_cache_mb), unit="MiB")
        ET.SubElement(domain, "cpu", mode="maximum")
    domain.append(clock)


def _devices(domain: ET.Element, guest: Guest, machine: Machine, disks: tuple[Disk, ...]) -> ET.Element:
    devices = ET.SubElement(domain, "devices")
    _text(devices, "emulator", machine.emulator)
    for letter, disk in zip("abcdefgh", disks, strict=False):
        _disk(devices, disk, f"vd{letter}", machine.disk_cache)
    for nic in guest.nics:
        _nic(devices, nic)
    return devices


def _consoles(devices: ET.Element, machine: Machine, console_log: Path, serial_socket: Path | None) -> None:
    """A serial port whose log goes on with nobody connected, and a screen that listens nowhere: see consoles.py."""
    serial = ET.SubElement(devices, "serial", type="unix" if serial_socket else "pty")
    if serial_socket:
        ET.SubElement(serial, "source", mode="bind", path=str(serial_socket))
    ET.SubElement(serial, "log", file=str(console_log), append="off")
    ET.SubElement(serial, "target", port="0")
    if machine.has_screen:
        ET.SubElement(ET.SubElement(devices, "graphics", type="vnc"), "listen", type="none")
    ET.SubElement(ET.SubElement(devices, "video"), "model", type="vga" if machine.arch == "x86_64" else "virtio")


def _rest(devices: ET.Element) -> None:
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    # A USB tablet costs a guest without KVM seven seconds of its boot (measured, QEMU 7.2).
    ET.SubElement(devices, "controller", type="usb", model="none")
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    ET.SubElement(ET.SubElement(devices, "memballoon", model="virtio"), "stats", period="10")


def _disk(devices: ET.Element, disk: Disk, name: str, cache: str) -> None:
    element = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(element, "driver", name="qemu", type=disk.format, cache=cache, discard="unmap")
    ET.SubElement(element, "source", file=str(disk.path))
    ET.SubElement(element, "target", dev=name, bus="virtio")
    if disk.is_readonly:
        ET.SubElement(element, "readonly")
    _text(element, "serial", disk.serial[:20])


def _nic(devices: ET.Element, nic: Nic) -> None:
    element = ET.SubElement(devices, "interface", type="bridge")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "source", bridge=nic.bridge)
    ET.SubElement(element, "model", type="virtio")
    ET.SubElement(element, "target", dev=nic.tap)
    ET.SubElement(element, "mtu", size=str(nic.mtu))


def _printable(text: str) -> str:
    """XML cannot carry control characters, not even escaped."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
