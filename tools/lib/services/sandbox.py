# SPDX-License-Identifier: Apache-2.0
"""Runs a command in namespaces of its own, so that programs with fixed paths run many times on one machine.

Imported, it describes a sandbox and gives the command line that enters it. Run as a program (sandbox.py
JSON), it makes the namespaces and mounts and becomes the command: same pid, nothing left in between. Standard
library only.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

_CLONE = {"mount": 0x00020000, "uts": 0x04000000, "net": 0x40000000}  # <linux/sched.h>
_MS_BIND, _MS_REC, _MS_SLAVE, _MNT_DETACH = 0x1000, 0x4000, 0x80000, 2  # <linux/mount.h>


@dataclass(frozen=True)
class Sandbox:
    """What the command sees instead of the machine's own.

    All paths are absolute. `binds` are (source, target) pairs done in order, targets are made when missing.
    """

    binds: Sequence[tuple[str, str]] = ()
    tmpfs: Sequence[str] = ()
    """Directories that are empty and in memory; done after `binds`."""
    hostname: str | None = None
    """Given: own UTS namespace with this name, and an own network namespace with only `lo`."""
    user: str | None = None
    """Given: run as this user with its groups, else as the caller."""

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs `argv` in this sandbox."""
        spec = json.dumps({**asdict(self), "argv": list(argv)})
        return [sys.executable, "-I", "-S", __file__, spec]


@dataclass(frozen=True)
class _Mounter:
    libc: ctypes.CDLL = field(default_factory=lambda: ctypes.CDLL(None, use_errno=True))

    def check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{what}: {os.strerror(number)}")

    def unshare(self, *names: str) -> None:
        flags = 0
        for name in names:
            flags |= _CLONE[name]
        self.check(self.libc.unshare(flags), f"unshare {', '.join(names)}")
        # slave, not private: an unmount on the machine must come here too, else we would pin what it wants
        # rid of
        self.mount(None, "/", flags=_MS_REC | _MS_SLAVE)

    def mount(self, source: str | None, target: str, *, kind: str | None = None, flags: int = 0) -> None:
        words = [None if word is None else word.encode() for word in (source, target, kind)]
        self.check(
            self.libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), None),
            f"mount {source} on {target}",
        )

    def bind(self, source: str, target: str) -> None:
        place = Path(target).resolve()
        if Path(source).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        self.mount(source, str(place), flags=_MS_BIND | _MS_REC)

    def own_sys(self) -> None:
        """Show this network namespace's devices in /sys, and keep the machine's cgroups there.

        Without those libvirt refuses CPU shares.
        """
        held = os.open("/sys/fs/cgroup", os.O_PATH | os.O_DIRECTORY)
        self.mount("sysfs", "/sys", kind="sysfs")
        self.mount(f"/proc/self/fd/{held}", "/sys/fs/cgroup", flags=_MS_BIND | _MS_REC)
        os.close(held)


def _become(user: str) -> None:
    who = pwd.getpwnam(user)
    os.initgroups(user, who.pw_gid)
    os.setgid(who.pw_gid)
    os.setuid(who.pw_uid)
    os.environ.update(HOME=who.pw_dir, USER=user, LOGNAME=user)
    os.chdir("/")


def _enter(spec: Sandbox) -> None:
    mounter = _Mounter()
    if spec.hostname is None:
        mounter.unshare("mount")
    else:
        mounter.unshare("mount", "uts", "net")
        socket.sethostname(spec.hostname)
        mounter.own_sys()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=20)
    for source, target in spec.binds:
        mounter.bind(source, target)
    for target in spec.tmpfs:
        Path(target).mkdir(parents=True, exist_ok=True)
        mounter.mount("tmpfs", target, kind="tmpfs")
    if spec.user is not None:
        _become(spec.user)


def main() -> None:
    """Enter the sandbox that the argument describes and become its command."""
    given = json.loads(sys.argv[1])
    argv: list[str] = given.pop("argv")
    _enter(Sandbox(**given))
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
