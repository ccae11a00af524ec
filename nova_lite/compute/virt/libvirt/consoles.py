# SPDX-License-Identifier: Apache-2.0
"""Consoles of domains: the screen by a descriptor from libvirt, the serial port by its socket and its log."""

from __future__ import annotations

import socket
from typing import Any

import libvirt

from nova_lite.compute.virt.libvirt.domains import Domains, devices_of
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.storage import serial_files
from nova_lite.rpc.compute import ConsoleType

_CONNECT_S = 5.0
_SHOWN_BYTES = 1 << 18


class LibvirtConsoles:
    """See nova_lite.compute.virt.driver.consoles."""

    def __init__(self, env: Environment, domains: Domains) -> None:
        self._env, self._domains = env, domains

    def connect(self, server_id: str, type: ConsoleType) -> socket.socket:  # noqa: A002 - Nova's name
        open_console = _screen if type is ConsoleType.NOVNC else _serial_port
        with self._env.failing("open a console"):
            return self._domains.run("open a console", lambda conn: open_console(self._domains.get(conn, server_id)))

    def output(self, server_id: str) -> str:
        return serial_files.end_of_log(self._env.directory(server_id), size=_SHOWN_BYTES).decode(errors="replace")


def _serial_port(domain: Any) -> socket.socket:
    """:raises ValueError: the domain has none. :raises OSError: it cannot be reached."""
    source = devices_of(domain).find("devices/serial[@type='unix']/source")
    if source is None:
        raise ValueError("it was started without a serial port that can be connected to; a hard reboot gives it one")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(_CONNECT_S)
    try:
        connection.connect(source.get("path", ""))
    except OSError:
        connection.close()
        raise
    return connection


def _screen(domain: Any) -> socket.socket:
    """QEMU's VNC server listens nowhere: it gets one end of a socket pair, the caller the other.

    :raises ValueError: the domain has none.
    """
    if devices_of(domain).find("devices/graphics[@type='vnc']") is None:
        raise ValueError("it was started without a screen; a hard reboot gives it one, unless [vnc] enabled is off")
    return socket.socket(fileno=domain.openGraphicsFD(0, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH))
