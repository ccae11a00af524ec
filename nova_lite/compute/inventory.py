# SPDX-License-Identifier: Apache-2.0
"""What the machine under a compute worker has, read from the kernel."""

from __future__ import annotations

import os
from pathlib import Path

from nova_lite.worker import commands

_MEMINFO, _UPTIME, _LOAD = Path("/proc/meminfo"), Path("/proc/uptime"), Path("/proc/loadavg")
_UPTIME_S = 5.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def ram_mb() -> int:
    """Memory of the machine in MiB; libvirt's number is wrong on machines with uneven NUMA cells."""
    for line in _MEMINFO.read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) // 1024
    return 0


def disk_gb(path: Path) -> tuple[int, int]:
    """Size and free space, in GiB, of the file system that `path` is on."""
    stat = os.statvfs(path)
    return stat.f_blocks * stat.f_frsize >> 30, stat.f_bavail * stat.f_frsize >> 30


def uptime() -> str:
    """The output of `uptime`: time, how long the machine runs, users, load; without that program, from the kernel."""
    try:
        return commands.run(["env", "LC_ALL=C", "uptime"], timeout_s=_UPTIME_S).rstrip()
    except commands.CommandFailed:
        return _uptime_of_kernel()


def _uptime_of_kernel() -> str:
    """As the program, without time and users: `up 3 days, 4:05,  load average: 0.1, 0.2, 0.3`."""
    minutes = int(float(_UPTIME.read_text().split()[0])) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    loads = ", ".join(_LOAD.read_text().split()[:3])
    return f"up {days} days, {hours}:{minutes:02d},  load average: {loads}"


def boot_id() -> str:
    """The kernel's identifier of this boot of the machine; "" where it has none."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
