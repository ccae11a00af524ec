# SPDX-License-Identifier: Apache-2.0
"""Finds out whether KVM really runs guests here: the device may be there and abort or hang them."""

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
_CANARY = (b"\xb0\x10\xe6\xf4\xf4\xeb\xfe".ljust(510, b"\0")) + b"\x55\xaa"
_ALIVE = 33


@dataclasses.dataclass(frozen=True)
class Virt:
    """How guests run here (kvm|qemu) and the sentence why."""

    type: str
    reason: str


def choose(option: str, *, emulator: str, cache: Path) -> Virt:
    """What `[libvirt] virt_type` says; `auto` probes, once per boot of the machine and version of QEMU.

    Nothing on the machine is changed, whatever is found.
    """
    if option != "auto":
        return Virt(option, f"[libvirt] virt_type is {option}")
    sign = _sign(emulator)
    try:
        known = json.loads(cache.read_text())
        if known["sign"] == sign:
            return Virt(known["type"], known["reason"])
    except (OSError, ValueError, KeyError):
        LOG.debug("no earlier probe of KVM in %s", cache)
    found = probe(emulator)
    cache.write_text(json.dumps({"sign": sign, "type": found.type, "reason": found.reason}))
    LOG.info("guests run with %s: %s", found.type, found.reason)
    return found


def probe(emulator: str) -> Virt:
    """Run a canary guest on the host's CPU model under a limit of two seconds."""
    if not _DEVICE.exists():
        return Virt(TCG, "there is no /dev/kvm: no hardware virtualization, or nested virtualization is off")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Virt(TCG, "/dev/kvm cannot be opened by this user: add it to group kvm")
    began = time.monotonic()
    failure = _run_canary(emulator)
    took = time.monotonic() - began
    if failure is None:
        return Virt(KVM, f"a guest on /dev/kvm ran within {took:.1f} s")
    return Virt(TCG, f"/dev/kvm exists, but a guest on it {failure}{_hint()}")


def _run_canary(emulator: str) -> str | None:
    """None: it ran. Else what it did instead."""
    if platform.machine() not in ("x86_64", "i686"):
        return _run_idle(emulator)
    with tempfile.TemporaryDirectory(prefix="nova-canary-") as directory:
        sector = Path(directory) / "canary.img"
        sector.write_bytes(_CANARY)
        command = [
            "prlimit", "--core=0", emulator, "-accel", "kvm", "-cpu", "host", "-machine", "pc", "-m", "16", "-nodefaults", "-display", "none",
            "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-drive", f"file={sector},format=raw,if=ide,snapshot=on",
        ]
        try:
            status = commands.status(command, timeout_s=_LIMIT_S)
        except commands.CommandFailed:
            return f"did not run within {_LIMIT_S:.0f} seconds"
    if status == _ALIVE:
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


def _hint() -> str:
    flags = Path("/proc/cpuinfo").read_text().split()
    if platform.machine() == "x86_64" and not {"vmx", "svm"} & set(flags):
        return "; the processor shows neither vmx nor svm"
    return ""


def _sign(emulator: str) -> str:
    """Changes when the answer may: another boot, another QEMU, another owner or mode of the device."""
    facts: list[object] = [inventory.boot_id(), emulator]
    for path in (Path(emulator), _DEVICE):
        if path.exists():
            found = path.stat()
            facts += [found.st_mode, found.st_uid, found.st_gid, found.st_size, int(found.st_ctime)]
    return repr(facts)
