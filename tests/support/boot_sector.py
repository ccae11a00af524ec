# SPDX-License-Identifier: Apache-2.0
"""A guest of 117 bytes for tests that need no operating system: it boots in half a second of CPU where Linux takes ten.

On its serial console it says `boots=N disks=M`: how often its disk was booted, which it keeps there, and how many disks the
firmware found. It goes off, and says so, when its power button is pressed or a byte is typed, and it lets go of NICs.
It is for the BIOS of machine type pc, with a serial port.
"""

from __future__ import annotations

from pathlib import Path

OFF = "power off"
_PROGRAM = bytes.fromhex(
    "31c0 8ed8 8ec0 8ed0 bc007c"  # segments 0, stack below 7c00
    "bb007e b80102 b90200 b600 cd13"  # read sector 1, what it says, from the boot disk to 7e00
    "fe4706"  # one boot more
    "a07504 0430 88470e"  # BIOS data: the number of disks
    "b80103 cd13"  # write the sector back
    "ba0206 b80001 ef"  # PM1_EN: the power button is heard
    "89de e82a00"  # say what the sector has
    "f4"  # wait for the timer, 18 times a second
    "ba04ae 66ed b208 66ef"  # PCI hotplug: eject each device that is to go
    "ba0006 ed f6c401 7508"  # PM1_STS: the button was pressed
    "bafd03 ec a801 74e5"  # or a byte has come
    "be407e e80900"  # say that it goes off
    "ba0406 b80020 ef ebd6"  # PM1_CNT: S5
    "ac 88c3 84c0 740f"  # say: bytes from [si], up to a zero
    "bafd03 ec a820 74f8"  # when the port is free
    "b2f8 88d8 ee ebea c3"
)


def says(*, boots: int, disks: int = 1) -> str:
    """Its line after so many boots."""
    return f"boots={boots} disks={disks}"


def disk() -> bytes:
    """A raw disk that boots it, of one MiB."""
    words = says(boots=0, disks=0).encode() + b"\r\n"
    sectors = _PROGRAM.ljust(510, b"\0") + b"\x55\xaa" + words.ljust(64, b"\0") + OFF.encode() + b"\r\n"
    return sectors.ljust(1 << 20, b"\0")


def disk_file(directory: Path) -> Path:
    """That disk as a file."""
    path = directory / "boot-sector.raw"
    path.write_bytes(disk())
    return path
