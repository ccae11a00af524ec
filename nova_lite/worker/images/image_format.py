# SPDX-License-Identifier: Apache-2.0
"""Reads an image's header before any program opens it: a hostile image must not make a program open other files."""

from __future__ import annotations

import struct
from pathlib import Path

# First bytes of formats that QEMU recognises: a "raw" image that begins so would be opened as that format.
_MAGIC = {
    b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"COWD": "vmdk", b"# Disk Desc": "vmdk", b"vhdxfile": "vhdx",
    b"conectix": "vhd", b"QED\0": "qed", b"LUKS\xba\xbe": "luks", b"<<< ": "vdi",
}
# https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
_QCOW2_HEADER = struct.Struct(">4sIQIIQI")
_EXTERNAL_DATA_FILE = 1 << 2
_SECTOR = 512


class BadImage(Exception):
    """The text is what is wrong with the image."""


def virtual_size(path: Path, disk_format: str) -> int:
    """Bytes of the disk that the image describes.

    :raises BadImage: another format than recorded, one that cannot run here, or one that refers to other files.
    """
    with path.open("rb") as stream:
        head = stream.read(_SECTOR)
    actual = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "raw")
    if disk_format not in ("raw", "qcow2"):
        raise BadImage(f"disk format {disk_format} cannot run here; raw and qcow2 can")
    if actual != disk_format:
        raise BadImage(f"it is recorded as {disk_format} but is {actual}")
    if actual == "raw":
        size = path.stat().st_size
        return -(-size // _SECTOR) * _SECTOR
    return _qcow2_size(head)


def _qcow2_size(head: bytes) -> int:
    if len(head) < 104:
        raise BadImage("its qcow2 header is cut off")
    _, version, backing_offset, _, _, size, crypt = _QCOW2_HEADER.unpack_from(head)
    if version not in (2, 3):
        raise BadImage(f"qcow2 version {version} is unknown")
    if backing_offset:
        raise BadImage("it has a backing file")
    if crypt:
        raise BadImage("it is encrypted")
    if version == 3 and struct.unpack_from(">Q", head, 72)[0] & _EXTERNAL_DATA_FILE:
        raise BadImage("it has an external data file")
    return int(size)
