# SPDX-License-Identifier: Apache-2.0
"""Looks into an uploaded image before anything trusts it: is it what it says, whole, and free of references?

Pure reading of headers and tables, bounded in time and memory; no qemu-img, whose parsers are large, on an API host.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from nova_lite import errors
from nova_lite.api.image import qcow2

DISK_FORMATS = ("qcow2", "raw", "iso", "ami", "aki", "ari")
CONTAINER_FORMATS = ("bare", "ami", "aki", "ari")
_HEAD = 512

# (offset, bytes there, what such a file is); a guest given it as raw could make the hypervisor's host probe it.
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
# The same at the file's end: (bytes back from the end, bytes there, what).
_TAIL_MAGICS: tuple[tuple[int, bytes, str], ...] = ((512, b"conectix", "vhd"), (512, b"koly", "dmg"))
_ISO_DESCRIPTOR = 0x8000  # ECMA-119 6.2.1: the first 16 sectors of 2048 bytes are not its own


def check_supported(disk_format: str | None, container_format: str | None) -> None:
    """Refuse formats that no guest here can boot from; None: not said yet.

    :raises errors.BadRequest: with the formats that are supported.
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
            field="container_format", reason=f"{container_format} holds only disk_format {container_format}")


def detect(file: BinaryIO, *, size: int) -> str:
    """What the bytes look like: a disk format's name; `raw` when like nothing known. qcow is not told from qcow2."""
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
    """The size in bytes of the disk that a guest would see, once the file has passed.

    :raises errors.BadRequest: the sentence says what is wrong: another format, a reference to another file,
        a part that is missing.
    """
    if size == 0:
        raise errors.BadRequest(reason="it has no bytes")
    found = detect(file, size=size)
    if disk_format == "qcow2":
        if found != "qcow2":
            raise errors.BadRequest(reason=f"its bytes are not qcow2 as declared but {found}")
        return qcow2.inspect(file, size=size)
    if disk_format == "iso":
        if found != "iso":
            raise errors.BadRequest(reason=f"its bytes are not iso as declared but {found}")
        _check_iso(file, size=size)
    elif found not in ("raw", "iso"):
        raise errors.BadRequest(reason=f"its bytes are not {disk_format} as declared but {found}")
    return size


def _check_iso(file: BinaryIO, *, size: int) -> None:
    """ECMA-119 8.4: the primary descriptor's volume space size (blocks) and logical block size, little-endian."""
    descriptor = _read(file, _ISO_DESCRIPTOR, 132)
    if len(descriptor) < 132:
        raise errors.BadRequest(reason="it is truncated: its volume descriptor is cut off")
    if descriptor[0] != 1:
        return  # a boot record may come first; the size stands in a later descriptor
    (blocks,), (block_bytes,) = struct.unpack_from("<I", descriptor, 80), struct.unpack_from("<H", descriptor, 128)
    if blocks * block_bytes > size:
        raise errors.BadRequest(
            reason=f"it is truncated: its volume has {blocks * block_bytes} bytes, the file only {size}")


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)
