# SPDX-License-Identifier: Apache-2.0
"""Inspects an uploaded image before it is used: that its format is as declared, complete, and refers to no other file.

Reads headers and tables only, bounded in time and memory, without qemu-img: its parsers are too large an attack surface for an API host.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from nova_lite import errors
from nova_lite.api.image import qcow2

# Guests boot from the first two (api/compute/servers/boot_image.py); the others are stored.
DISK_FORMATS = ("qcow2", "raw", "iso", "ami", "aki", "ari")
CONTAINER_FORMATS = ("bare", "ami", "aki", "ari")
_HEAD = 512

# (offset, magic bytes, format); such a file declared as raw could make QEMU on the host probe it.
_MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vhd"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"QED\0", "qed"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (0, b"Bochs Virtual HD Image", "bochs"),
    (0, b"#!/bin/sh\n#V2.0 Format\n", "cloop"),
)
# The same at the file's end: (bytes before the end, magic bytes, format).
_TAIL_MAGICS: tuple[tuple[int, bytes, str], ...] = ((512, b"conectix", "vhd"), (512, b"koly", "dmg"))
_ISO_DESCRIPTOR = 0x8000  # ECMA-119 6.2.1: the first 16 sectors of 2048 bytes are the system area


def check_supported(disk_format: str | None, container_format: str | None) -> None:
    """Refuse formats that this service does not store; None: not set yet.

    :raises errors.InvalidField: with the supported formats.
    """
    if disk_format is not None and disk_format not in DISK_FORMATS:
        raise errors.InvalidField(
            field="disk_format", reason=f"{disk_format} is not supported; supported are {', '.join(DISK_FORMATS)}")
    if container_format is not None and container_format not in CONTAINER_FORMATS:
        raise errors.InvalidField(
            field="container_format",
            reason=f"{container_format} is not supported; supported are {', '.join(CONTAINER_FORMATS)}")
    amazon = ("ami", "aki", "ari")
    if disk_format and container_format and disk_format != container_format and container_format in amazon:
        raise errors.InvalidField(
            field="container_format", reason=f"{container_format} requires disk_format {container_format}")


def detect(file: BinaryIO, *, size: int) -> str:
    """The disk format that the data has; `raw` if it matches no other. qcow is not distinguished from qcow2."""
    file.seek(0)
    head = file.read(_HEAD)
    for offset, magic, name in _MAGICS:
        if head[offset:offset + len(magic)] == magic:
            return name
    for back, magic, name in _TAIL_MAGICS:
        if size >= back and _read(file, size - back, len(magic)) == magic:
            return name
    return "iso" if _read(file, _ISO_DESCRIPTOR + 1, 5) == b"CD001" else "raw"


def inspect(file: BinaryIO, *, size: int, disk_format: str) -> int:
    """The virtual size in bytes: of the disk that a guest would see, if the file is accepted. An empty file is a raw disk.

    :raises errors.BadRequest: the reason: another format, a reference to another file, or missing data.
    """
    if size == 0 and disk_format in ("qcow2", "iso"):
        raise errors.BadRequest(reason=f"it is empty, not {disk_format} as declared")
    detected = detect(file, size=size)
    if disk_format == "qcow2":
        if detected != "qcow2":
            raise errors.BadRequest(reason=f"its data is {detected}, not qcow2 as declared")
        return qcow2.inspect(file, size=size)
    if disk_format == "iso":
        if detected != "iso":
            raise errors.BadRequest(reason=f"its data is {detected}, not iso as declared")
        _check_iso(file, size=size)
    elif detected not in ("raw", "iso"):
        raise errors.BadRequest(reason=f"its data is {detected}, not {disk_format} as declared")
    return size


def _check_iso(file: BinaryIO, *, size: int) -> None:
    """ECMA-119 8.4: the primary descriptor's volume space size (blocks) and logical block size, little-endian."""
    descriptor = _read(file, _ISO_DESCRIPTOR, 132)
    if len(descriptor) < 132:
        raise errors.BadRequest(reason="it is truncated inside its volume descriptor")
    if descriptor[0] != 1:
        return  # a boot record may come first; the size is in a later descriptor
    (blocks,), (block_bytes,) = struct.unpack_from("<I", descriptor, 80), struct.unpack_from("<H", descriptor, 128)
    if blocks * block_bytes > size:
        raise errors.BadRequest(
            reason=f"it is truncated: its volume has {blocks * block_bytes} bytes, the file only {size}")


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)
