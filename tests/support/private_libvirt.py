# SPDX-License-Identifier: Apache-2.0
"""A libvirtd of a test's own, apart from the machine's, and a disk that boots: for tests on real guests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from tools.lib.services.libvirtd import LibvirtDaemons, write_configuration
from tools.lib.services.processes import end
from tools.lib.services.sandbox import Sandbox

# Parts that a real guest needs; without them the tests that use one cannot run.
PROGRAMS = ("libvirtd", "virtlogd", "qemu-img", "qemu-system-x86_64", "genisoimage")
_CACHE = Path("/var/cache/libvirt")


def missing() -> list[str]:
    """What this machine lacks to run guests."""
    found = [name for name in PROGRAMS if not shutil.which(name)]
    return found if os.geteuid() == 0 else [*found, "root"]


class PrivateLibvirt:
    """libvirtd and virtlogd with all their directories below `state_dir`; the network is the machine's."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        binds = []
        for name, target in (
            ("run", "/run/libvirt"), ("etc", "/etc/libvirt"), ("lib", "/var/lib/libvirt"),
            ("cache", "/var/cache/libvirt"), ("log", "/var/log/libvirt"), ("lock", "/run/lock"),
        ):
            binds.append((str(state_dir / name), target))
        self._sandbox = Sandbox(binds=tuple(binds))
        self._daemons = LibvirtDaemons(state_dir, enter=self._sandbox.command)

    @property
    def uri(self) -> str:
        return f"qemu+unix:///system?socket={self.state_dir}/run/libvirt-sock"

    def start(self) -> None:
        for name in ("run", "lib", "cache", "log", "lock", "pids"):
            (self.state_dir / name).mkdir(parents=True, exist_ok=True)
        write_configuration(self.state_dir / "etc", listen="127.0.0.1", tcp=False, host_uuid=str(uuid.uuid4()))
        known = _CACHE / "qemu" / "capabilities"
        if known.is_dir() and not (self.state_dir / "cache" / "qemu").exists():
            shutil.copytree(known, self.state_dir / "cache" / "qemu" / "capabilities")
        self._daemons.start(is_ready=self.is_ready)

    def is_ready(self) -> bool:
        return self.virsh("list", "--name", check=False) is not None

    def virsh(self, *words: str, check: bool = True) -> str | None:
        """What virsh printed; None: it failed, and `check` is False."""
        done = subprocess.run(
            ["virsh", "-q", "-c", self.uri, *words], capture_output=True, text=True, timeout=60, check=check,
            stdin=subprocess.DEVNULL,
        )
        return done.stdout if done.returncode == 0 else None

    def kill9(self) -> None:
        """Crash libvirtd; guests go on, `start()` brings it back."""
        self._daemons.libvirtd.crash()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """libvirtd is there, and does not answer."""
        pid = self._daemons.libvirtd.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End guests and daemons."""
        for guest in self._daemons.guests():
            end(guest)
        self._daemons.stop()


@contextlib.contextmanager
def private_libvirt(state_dir: Path) -> Iterator[PrivateLibvirt]:
    made = PrivateLibvirt(state_dir)
    try:
        made.start()
        yield made
    finally:
        made.stop()
