# SPDX-License-Identifier: Apache-2.0
"""Makes the guest's whole root file system, an initramfs: busybox, ssh server, agent, kernel modules, our scripts."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tools.lib.guest.commands import BuildError, run
from tools.lib.guest.packages import Unpacked

OVERLAY = Path(__file__).with_name("root")
# What the cloud kernel does not have built in; modprobe adds what these need. The kernel has no AHCI at all, so on
# machine q35 a config drive must be a virtio disk or a CD on virtio-scsi.
MODULES = (
    "button", "evdev",                                    # the power button, and how acpid hears it
    "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio-rng", "virtio_balloon",
    "virtio_scsi", "sd_mod", "sr_mod", "ata_piix",        # config drives: CD on virtio-scsi or IDE
    "isofs", "fat", "vfat", "nls_cp437", "nls_iso8859-1", "nls_ascii",
    "crc32c-intel",                                       # ext4 needs crc32c
)  # fmt: skip
# busybox has a blkid, but not by label, and no lsblk: Tempest calls both in guests.
PROGRAMS = ("usr/sbin/dropbear", "usr/bin/dropbearkey", "usr/bin/dbclient", "usr/sbin/qemu-ga", "sbin/blkid", "bin/lsblk")
_LIBRARIES = "lib/x86_64-linux-gnu"
_LOADER = "ld-linux-x86-64.so.2"
_DIRECTORIES = (
    "bin", "config-drive", "dev", "etc/dropbear", "lib64", "lib/modules", _LIBRARIES, "proc", "root", "run", "sbin",
    "state", "sys", "tmp", "usr/bin", "usr/sbin", "var/log",
)  # fmt: skip


def make_initrd(target: Path, *, packages: Unpacked, scratch: Path) -> None:
    """Write the lz4-packed cpio archive `target`; `scratch` is an empty directory to build in.

    :raises BuildError: a module or a library is not in the packages.
    """
    root = scratch / "root"
    shutil.copytree(OVERLAY, root)
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "root").chmod(0o700)           # dropbear ignores keys in a home that others can write
    (root / "etc" / "shadow").chmod(0o600)
    _add_busybox(root, packages=packages)
    _add_programs(root, packages=packages)
    _add_modules(root, packages=packages)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    archive = scratch / "initrd.cpio"
    # owner 0:0, no matter which user builds
    run("cpio", "--create", "--format=newc", "--quiet", "--owner=0:0", "-F", archive,
        given=names + "\n", directory=root)  # fmt: skip
    run("lz4", "-l", "-9", "-q", "-f", archive, target)   # -l: the old frame, the only one that the kernel reads


def _add_busybox(root: Path, *, packages: Unpacked) -> None:
    busybox = root / "bin" / "busybox"
    shutil.copy2(packages.root / "bin" / "busybox", busybox)
    for applet in run(busybox, "--list").split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")


def _add_programs(root: Path, *, packages: Unpacked) -> None:
    """Copy the programs and every library that they need, and the libraries that those need."""
    libraries = {path.name: path for path in packages.root.rglob("*.so*")}
    todo: list[Path] = []
    for name in PROGRAMS:
        (root / "bin" / Path(name).name).unlink(missing_ok=True)  # busybox's
        shutil.copy2(packages.root / name, root / name)
        todo.append(root / name)
    names = [_LOADER, "libnss_files.so.2"]   # opened by name, so no NEEDED entry names them
    while todo or names:
        for library in names:
            if library not in libraries:
                raise BuildError(f"no package of the guest has {library}", remedy="add it to PACKAGES in tools/lib/guest")
            copied = root / _LIBRARIES / library
            if not copied.exists():
                shutil.copy2(libraries[library], copied)
                todo.append(copied)
        names = re.findall(r"NEEDED\s+(\S+)", run("objdump", "-p", *todo)) if todo else []
        todo = []
    (root / "lib64" / _LOADER).symlink_to(f"/{_LIBRARIES}/{_LOADER}")


def _add_modules(root: Path, *, packages: Unpacked) -> None:
    """Copy the modules, stripped, and write lib/modules/order: names in the order in which insmod takes them."""
    order: list[str] = []
    for module in MODULES:
        shown = run("modprobe", "-d", packages.kernel, "-S", packages.version, "--show-depends", module)
        for source in re.findall(r"^insmod (\S+)", shown, re.MULTILINE):
            name = Path(source).name
            if name not in order:
                order.append(name)
                run("objcopy", "--strip-debug", source, root / "lib" / "modules" / name)
    (root / "lib" / "modules" / "order").write_text("\n".join(order) + "\n")
