# SPDX-License-Identifier: Apache-2.0
"""Runs the host's tools for the guest image, so that every failure names the command, its words and a remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

# Which Debian package has each command; all of them are in tools/install's list.
COMMANDS: Mapping[str, str] = {
    "cpio": "cpio",
    "depmod": "kmod",
    "lz4": "lz4",
    "mcopy": "mtools",
    "mformat": "mtools",
    "mke2fs": "e2fsprogs",
    "modprobe": "kmod",
    "objcopy": "binutils",
    "objdump": "binutils",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "syslinux": "syslinux",
}
MBR = Path("/usr/lib/syslinux/mbr/mbr.bin")
# Debian keeps half of these in sbin, which a user's PATH may lack. mtools refuses our geometry without the second.
_ENVIRONMENT = {
    **os.environ,
    "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin",
    "MTOOLS_SKIP_CHECK": "1",
    "LC_ALL": "C",
}
_TIMEOUT_S = 300


class BuildError(Exception):
    """The image cannot be made; `str()` says why, `remedy` what to do."""

    def __init__(self, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def missing_packages() -> list[str]:
    """Return the Debian packages whose commands this host lacks, sorted."""
    missing = {
        package for name, package in COMMANDS.items() if not shutil.which(name, path=_ENVIRONMENT["PATH"])
    }
    if not MBR.exists():
        missing.add("syslinux-common")
    return sorted(missing)


def run(*command: str | Path, given: str | None = None, directory: Path | None = None) -> str:
    """Run a command with `given` on its standard input and return its standard output.

    :raises BuildError: it failed, or took more than five minutes.
    """
    name = str(command[0])
    try:
        done = subprocess.run(
            [str(word) for word in command], input=given, cwd=directory, env=_ENVIRONMENT,
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{name}: {error}", remedy="see the message; tools/install installs the tools") from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise BuildError(
            f"{name} failed ({done.returncode}): {' / '.join(words)}",
            remedy="see the message: the network, the disk's free space, or a damaged --work directory (remove it)",
        )
    return done.stdout
