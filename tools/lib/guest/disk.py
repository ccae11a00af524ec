# SPDX-License-Identifier: Apache-2.0
"""Makes the guest's disk from kernel and initrd with plain file writes: no loop device, no mount."""

from __future__ import annotations

from pathlib import Path

from tools.lib.guest.commands import MBR, run

_MIB = 1024 * 1024
_SECTORS = 2048                      # 512-byte sectors in a MiB
# The disk: 1 MiB for MBR and alignment | boot, FAT16 | state, ext4 | 1 MiB spare
BOOT_MIB = 24
STATE_MIB = 8
# no_timer_check: a busy host without KVM delays the ticks by which Linux tests its timer, which it then calls broken
_SYSLINUX = """\
SERIAL 0 115200
DEFAULT guest
PROMPT 0
TIMEOUT 0
LABEL guest
  KERNEL vmlinuz
  INITRD initrd
  APPEND no_timer_check console=tty0 console=ttyS0,115200 quiet
"""


def make_disk(target: Path, *, kernel: Path, initrd: Path, scratch: Path) -> None:
    """Write `target`, a compressed qcow2 that a BIOS boots."""
    raw = scratch / "disk.raw"
    with raw.open("wb") as disk:
        disk.truncate((1 + BOOT_MIB + STATE_MIB + 1) * _MIB)
    boot, state = BOOT_MIB * _SECTORS, STATE_MIB * _SECTORS
    run("sfdisk", "--quiet", raw, given=(
        "label: dos\n"
        f"start={_SECTORS}, size={boot}, type=e, bootable\n"
        f"start={_SECTORS + boot}, size={state}, type=83\n"
    ))  # fmt: skip
    _add_boot(raw, kernel=kernel, initrd=initrd, scratch=scratch)
    _add_state(raw, scratch=scratch)
    with raw.open("r+b") as disk:
        disk.write(MBR.read_bytes()[:440])   # what follows is the partition table
    run("qemu-img", "convert", "-c", "-O", "qcow2", raw, target)


def _add_boot(raw: Path, *, kernel: Path, initrd: Path, scratch: Path) -> None:
    partition = f"{raw}@@{_MIB}"
    config = scratch / "syslinux.cfg"
    config.write_text(_SYSLINUX)
    # -H: the sectors before the partition, which syslinux's boot sector adds to each address
    run("mformat", "-i", partition, "-v", "BOOT", "-T", str(BOOT_MIB * _SECTORS), "-h", "16", "-s", "63",
        "-H", str(_SECTORS), "::")  # fmt: skip
    for source, name in ((kernel, "vmlinuz"), (initrd, "initrd"), (config, "syslinux.cfg")):
        run("mcopy", "-i", partition, source, f"::{name}")
    run("syslinux", "--install", "--offset", str(_MIB), raw)


def _add_state(raw: Path, *, scratch: Path) -> None:
    state = scratch / "state.ext4"
    with state.open("wb") as file:
        file.truncate(STATE_MIB * _MIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^metadata_csum,^64bit", "-L", "state", state)
    with raw.open("r+b") as disk:
        disk.seek((1 + BOOT_MIB) * _MIB)
        disk.write(state.read_bytes())
