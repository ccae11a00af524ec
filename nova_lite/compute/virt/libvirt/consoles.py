# SPDX-License-Identifier: Apache-2.0
"""Connects to the consoles of domains: the screen by a descriptor from libvirt, the serial port by its socket."""

from __future__ import annotations

import hashlib
import os
import socket
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt
from oslo_config import cfg

from nova_lite.rpc.compute import ConsoleType

_CONNECT_S = 5.0
# sun_path of Linux has room for 108 bytes with the zero at its end.
_LONGEST_PATH = 107
_SHORT = Path("/run/nova-lite")


LOG_FILE = "console.log"
_SHOWN_BYTES = 1 << 18


class NoConsole(ValueError):
    """The domain has no such console; the text says why."""


def socket_path(instances: Path, server_id: str) -> Path:
    """Where the guest's serial port is reached: beside its disks, or below /run when that path is too long."""
    path = instances / server_id / "serial.sock"
    if len(bytes(path)) <= _LONGEST_PATH:
        return path
    return _SHORT / f"{hashlib.sha256(bytes(path)).hexdigest()[:32]}.sock"


def output(log: Path) -> str:
    """The end of what the guest wrote to its first serial port."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _SHOWN_BYTES))
            return stream.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def socket_of(conf: cfg.ConfigOpts, instances: Path, server_id: str) -> Path | None:
    """Where the guest's serial port is to be reached, if anywhere; libvirt makes the socket, not its directory."""
    if not conf.serial_console.enabled:
        return None
    path = socket_path(instances, server_id)
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    return path


def connect(domain: Any, type: ConsoleType) -> socket.socket:  # noqa: A002 - the contract's word
    """:raises NoConsole: it has none. :raises libvirt.libvirtError, OSError: it cannot be reached."""
    if type is ConsoleType.NOVNC:
        return _screen(domain)
    for source in ET.fromstring(domain.XMLDesc(0)).findall("devices/serial[@type='unix']/source"):
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(_CONNECT_S)
        try:
            line.connect(source.get("path", ""))
        except OSError:
            line.close()
            raise
        return line
    raise NoConsole("it was started without a serial port that can be connected to; a hard reboot gives it one")


def _screen(domain: Any) -> socket.socket:
    """QEMU's VNC server listens nowhere: it is handed one end of a socket pair, we get the other."""
    if ET.fromstring(domain.XMLDesc(0)).find("devices/graphics[@type='vnc']") is None:
        raise NoConsole("it was started without a screen; a hard reboot gives it one, unless [vnc] enabled is off")
    return socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))
