# SPDX-License-Identifier: Apache-2.0
"""Finds out whether KVM runs guests here: with the device present, they may still abort or hang."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from oslo_log import log as logging

from nova_lite.compute import inventory
from nova_lite.worker import commands

LOG = logging.getLogger(__name__)
KVM, TCG = "kvm", "qemu"
_DEVICE = Path("/dev/kvm")
_LIMIT_S = 2.0
# A boot sector: mov al,0x10; out 0xf4,al; hlt; … By isa-debug-exit QEMU ends with (0x10 << 1) | 1.
_BOOT_SECTOR = (b"\xb0\x10\xe6\xf4\xf4\xeb\xfe".ljust(510, b"\0")) + b"\x55\xaa"
_RAN = 33


@dataclasses.dataclass(frozen=True)
class Virt:
    """How guests run here (kvm|qemu), and why, as a sentence."""

    type: str
    reason: str


def choose(option: str, *, emulator: str, cache: Path) -> Virt:
    """What `[libvirt] virt_type` says; `auto` probes, once per boot of the machine and version of QEMU.

    Nothing on the machine is changed.
    """
    if option != "auto":
        return Virt(option, f"[libvirt] virt_type is {option}")
    key = _key(emulator)
    try:
        earlier = json.loads(cache.read_text())
        if earlier["sign"] == key:
            return Virt(earlier["type"], earlier["reason"])
    except (OSError, ValueError, KeyError):
        LOG.debug("no earlier probe of KVM in %s", cache)
    virt = probe(emulator)
    cache.write_text(json.dumps({"sign": key, "type": virt.type, "reason": virt.reason}))
    LOG.info("guests run with %s: %s", virt.type, virt.reason)
    return virt


def probe(emulator: str) -> Virt:
    """Run a test guest on the host's CPU model for at most two seconds."""
    if not _DEVICE.exists():
        return Virt(TCG, "there is no /dev/kvm: no hardware virtualization, or nested virtualization is off")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Virt(TCG, "/dev/kvm cannot be opened by this user: add it to group kvm")
    started = time.monotonic()
    failure = _run_test_guest(emulator)
    took = time.monotonic() - started
    if failure is None:
        return Virt(KVM, f"a guest on /dev/kvm ran within {took:.1f} s")
    return Virt(TCG, f"/dev/kvm exists, but a guest on it {failure}{_missing_flags()}")


def _run_test_guest(emulator: str) -> str | None:
    """None: it ran; else what it did instead."""
    if platform.machine() not in ("x86_64", "i686"):
        return _run_idle(emulator)
    with tempfile.TemporaryDirectory(prefix="nova-kvm-probe-") as directory:
        sector = Path(directory) / "boot.img"
        sector.write_bytes(_BOOT_SECTOR)
        command = [
            "prlimit", "--core=0", emulator, "-accel", "kvm", "-cpu", "host", "-machine", "pc", "-m", "16", "-nodefaults", "-display", "none",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-drive", f"file={sector},format=raw,if=ide,snapshot=on",
        ]
        try:
            status = commands.status(command, timeout_s=_LIMIT_S)
        except commands.CommandFailed:
            return f"did not run within {_LIMIT_S:.0f} seconds"
    if status == _RAN:
        return None
    return f"was aborted by signal {-status}" if status < 0 else f"made QEMU end with status {status}"


def _run_idle(emulator: str) -> str | None:
    """Where there is no boot sector to run: QEMU with KVM must come up, and be there until it is ended."""
    command = [emulator, "-accel", "kvm", "-cpu", "host", "-machine", "virt", "-m", "64", "-nodefaults", "-display",
               "none"]
    try:
        status = commands.status(command, timeout_s=_LIMIT_S)
    except commands.CommandFailed:
        return None
    return f"made QEMU end with status {status}"


def _missing_flags() -> str:
    flags = Path("/proc/cpuinfo").read_text().split()
    if platform.machine() == "x86_64" and not {"vmx", "svm"} & set(flags):
        return "; the processor shows neither vmx nor svm"
    return ""


def _key(emulator: str) -> str:
    """Changes when the result may: another boot, another QEMU, another owner or mode of the device."""
    facts: list[object] = [inventory.boot_id(), emulator]
    for path in (Path(emulator), _DEVICE):
        if path.exists():
            stat = path.stat()
            facts += [stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size, int(stat.st_ctime)]
    return repr(facts)
