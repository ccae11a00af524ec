# SPDX-License-Identifier: Apache-2.0
"""Other devices of a domain: video adapter, input, watchdog, random numbers, TPM, agent, spare PCIe ports."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.values.hardware import Hardware

AGENT_CHANNEL = "org.qemu.guest_agent.0"
# A running PCIe machine takes devices only in root ports that it was started with.
_ROOT_PORTS = 12


def video(devices: ET.Element, hardware: Hardware, *, arch: str) -> None:
    """The adapter whose screen VNC shows."""
    model = hardware.video_model or ("vga" if arch == "x86_64" else "virtio")
    adapter = ET.SubElement(ET.SubElement(devices, "video"), "model", type=model)
    if hardware.video_ram_mb:
        adapter.set("vram", str(hardware.video_ram_mb << 10))


def write(
    devices: ET.Element, hardware: Hardware, *, machine: str, disk_buses: set[str], tpm_secret: str
) -> None:
    """All devices after disks, NICs and consoles. `disk_buses`: those that the guest's disks are on.

    `tpm_secret`: libvirt's name of the key that the state of its TPM is encrypted with.
    """
    if hardware.has_agent:
        channel = ET.SubElement(devices, "channel", type="unix")
        ET.SubElement(channel, "target", type="virtio", name=AGENT_CHANNEL)
    _controllers(devices, hardware, machine, disk_buses)
    _input(devices, hardware)
    if hardware.sound_model is not None:
        ET.SubElement(devices, "sound", model=hardware.sound_model)
    if hardware.watchdog not in (None, "disabled"):
        ET.SubElement(devices, "watchdog", model="i6300esb", action=str(hardware.watchdog))
    if hardware.tpm_version is not None:
        tpm = ET.SubElement(devices, "tpm", model=hardware.tpm_model or "tpm-tis")
        backend = ET.SubElement(tpm, "backend", type="emulator", version=hardware.tpm_version)
        ET.SubElement(backend, "encryption", secret=tpm_secret)
    if hardware.has_rng:
        _rng(devices, hardware)
    ET.SubElement(ET.SubElement(devices, "memballoon", model="virtio"), "stats", period="10")


def serial_ports(devices: ET.Element, hardware: Hardware) -> None:
    """Those after the first."""
    for number in range(1, hardware.serial_ports):
        ET.SubElement(ET.SubElement(devices, "serial", type="pty"), "target", port=str(number))


def _controllers(devices: ET.Element, hardware: Hardware, machine: str, disk_buses: set[str]) -> None:
    buses = disk_buses | {hardware.disk_bus, hardware.cdrom_bus}  # the latter two: for disks attached later
    needs_usb = hardware.pointer == "usbtablet" or hardware.input_bus == "usb" or "usb" in buses or hardware.sound_model == "usb"
    # A USB tablet costs a guest without KVM seven seconds of its boot (measured, QEMU 7.2).
    ET.SubElement(devices, "controller", type="usb", model="qemu-xhci" if needs_usb else "none")
    if "scsi" in buses:
        _scsi_controller(devices, hardware)
    if "q35" in machine:
        ET.SubElement(devices, "controller", type="pci", index="0", model="pcie-root")
        for _ in range(_ROOT_PORTS):
            ET.SubElement(devices, "controller", type="pci", model="pcie-root-port")


def scsi_controller_xml(hardware: Hardware) -> str:
    """The controller of a guest's SCSI disks, for one that was started without."""
    return ET.tostring(_scsi_controller(ET.Element("devices"), hardware), encoding="unicode")


def _scsi_controller(devices: ET.Element, hardware: Hardware) -> ET.Element:
    return ET.SubElement(devices, "controller", type="scsi", index="0", model=hardware.scsi_model or "virtio-scsi")


def _input(devices: ET.Element, hardware: Hardware) -> None:
    """x86 machines have a PS/2 keyboard and mouse without this."""
    if hardware.pointer == "usbtablet":
        ET.SubElement(devices, "input", type="tablet", bus=hardware.input_bus or "usb")
    if hardware.input_bus is not None:
        ET.SubElement(devices, "input", type="keyboard", bus=hardware.input_bus)


def _rng(devices: ET.Element, hardware: Hardware) -> None:
    rng = ET.SubElement(devices, "rng", model="virtio")
    if hardware.rng_bytes is not None:
        ET.SubElement(rng, "rate", bytes=str(hardware.rng_bytes), period=str(hardware.rng_period_ms or 1000))
    text(rng, "backend", "/dev/urandom", model="random")
