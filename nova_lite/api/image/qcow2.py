# SPDX-License-Identifier: Apache-2.0
"""Inspects a qcow2 file's header and tables, so that one that is truncated or refers to another file is refused on upload.

Offsets and bits of fields: "The QCOW2 image format" (docs/interop/qcow2 of QEMU).
"""

from __future__ import annotations

import array
import dataclasses
import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

from nova_lite import errors

_CORRUPT, _EXTERNAL_DATA, _COMPRESSION, _EXTENDED_L2 = 1 << 1, 1 << 2, 1 << 3, 1 << 4
_KNOWN_FEATURES = 1 | _CORRUPT | _EXTERNAL_DATA | _COMPRESSION | _EXTENDED_L2  # bit 0: dirty, of no concern to readers
_EXT_END, _EXT_DATA_FILE, _EXT_ENCRYPTION = 0, 0x44415441, 0x0537BE77
_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_MAX_L1 = 4 * 1024**2  # entries; QEMU's own limit is a table of 32 MiB
# Of compressed clusters that begin in one sector of 512 bytes: QEMU's smallest, of one repeated byte with zstd, have 13 bytes.
_MAX_STARTS = 64
_MAX_ENTRIES = 32 * 1024**2  # bounds the time spent on one image; 2 TiB of allocated 64 KiB clusters


@dataclasses.dataclass(frozen=True)
class _Header:
    version: int
    length: int
    cluster: int
    virtual_size: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    features: int
    backing_offset: int
    encryption: int


def inspect(file: BinaryIO, *, size: int) -> int:
    """The virtual size in bytes of a qcow2 file of `size` bytes that is complete and needs no other file.

    :raises errors.BadRequest: with the reason of the refusal.
    """
    header = _read_header(file)
    _check_extensions(file, header)
    _check_tables(header, size=size)
    _check_clusters(file, header, size=size)
    return header.virtual_size


def _read_header(file: BinaryIO) -> _Header:
    head = _read(file, 0, 104)
    if len(head) < 72:
        raise _refuse("it is truncated inside its header")
    (version, backing_offset, _, cluster_bits, virtual_size, encryption, l1_entries, l1_offset, refcount_offset,
     refcount_clusters, _, _) = struct.unpack_from(">IQIIQIIQQIIQ", head, 4)
    if version not in (2, 3):
        raise _refuse(f"qcow version {version} is not supported, only 2 and 3")
    features, length = 0, 72
    if version == 3:
        if len(head) < 104:
            raise _refuse("it is truncated inside its header")
        (features,), (length,) = struct.unpack_from(">Q", head, 72), struct.unpack_from(">I", head, 100)
    header = _Header(version, length, 1 << min(cluster_bits, 63), virtual_size, l1_entries, l1_offset, refcount_offset,
                     refcount_clusters, features, backing_offset, encryption)
    _check_header(header)
    return header


def _check_header(header: _Header) -> None:
    if header.backing_offset:
        raise _refuse("it has a backing file, which would let a guest read a file of the host; convert it first "
                      "(qemu-img convert)")
    if header.features & _EXTERNAL_DATA:
        raise _refuse("it keeps its data in another file; convert it first (qemu-img convert)")
    if header.features & _CORRUPT:
        raise _refuse("it is marked corrupt; repair it first (qemu-img check -r all)")
    if header.features & ~_KNOWN_FEATURES:
        raise _refuse(f"it needs unknown features ({header.features & ~_KNOWN_FEATURES:#x})")
    if header.encryption:
        raise _refuse("it is encrypted, which is not supported")
    if not 1 << 9 <= header.cluster <= 1 << 21:
        raise _refuse(f"its cluster size of {header.cluster} bytes is not allowed")
    if header.version == 3 and not 104 <= header.length <= header.cluster:
        raise _refuse(f"its header length of {header.length} bytes is not allowed")


def _check_extensions(file: BinaryIO, header: _Header) -> None:
    """Check the header's extensions: some refer to another file or a key, even if the feature bits do not."""
    offset = header.length
    while offset + 8 <= header.cluster:
        raw = _read(file, offset, 8)
        if len(raw) < 8:
            raise _refuse("it is truncated inside its header extensions")
        kind, length = struct.unpack(">II", raw)
        if kind == _EXT_END:
            return
        if kind == _EXT_DATA_FILE:
            raise _refuse("it refers to another file for its data; convert it first (qemu-img convert)")
        if kind == _EXT_ENCRYPTION:
            raise _refuse("it is encrypted, which is not supported")
        offset += 8 + (length + 7) // 8 * 8


def _check_tables(header: _Header, *, size: int) -> None:
    if header.virtual_size == 0:
        raise _refuse("its virtual size is 0")
    needed = -(-header.virtual_size // (header.cluster * _l2_entries(header)))
    if not needed <= header.l1_entries <= _MAX_L1:
        raise _refuse(f"its L1 table has {header.l1_entries} entries where its size needs {needed}")
    refcount_bytes = header.refcount_clusters * header.cluster
    for name, offset, length in (
        ("L1 table", header.l1_offset, header.l1_entries * 8), ("refcount table", header.refcount_offset, refcount_bytes),
    ):
        if offset == 0 or length == 0 or offset % header.cluster:
            raise _refuse(f"its {name} is misplaced at byte {offset}")
        if offset + length > size:
            raise _refuse(f"it is truncated: its {name} ends at byte {offset + length}, the file at {size}")


def _check_clusters(file: BinaryIO, header: _Header, *, size: int) -> None:
    """Every L2 table and data cluster must be inside the file, and each be named once.

    A small file that names one cluster many times would be written out as often on a host.
    """
    tables: set[int] = set()
    used = _Used(header.cluster, size)
    entries = 0
    for l1_entry in _entries(file, header.l1_offset, header.l1_entries):
        table = l1_entry & _OFFSET
        if not table:
            continue
        if table in tables or table % header.cluster:
            raise _refuse(f"its L2 table at byte {table} is misplaced or used twice")
        if table + header.cluster > size:
            raise _refuse(f"it is truncated: an L2 table ends at byte {table + header.cluster}, the file at {size}")
        tables.add(table)
        entries += _l2_entries(header)
        if entries > _MAX_ENTRIES:
            raise _refuse(f"it has more than {_MAX_ENTRIES} clusters; use larger clusters (qemu-img convert -o cluster_size=2M)")
        _check_l2(file, header, used, table=table, size=size)


class _Used:
    """Which parts of the file are named: clusters by a bit, and by sector how many compressed clusters begin there."""

    def __init__(self, cluster: int, size: int) -> None:
        self._shift = cluster.bit_length() - 1
        self._clusters = bytearray(size // cluster // 8 + 1)
        self._size, self._starts = size, bytearray()

    def add_cluster(self, offset: int) -> None:
        number = offset >> self._shift
        bit = 1 << (number & 7)
        if self._clusters[number >> 3] & bit:
            raise _refuse(f"it names the cluster at byte {offset} more than once; convert it first (qemu-img convert)")
        self._clusters[number >> 3] |= bit

    def add_compressed(self, offset: int) -> None:
        if not self._starts:
            self._starts = bytearray(self._size // 512 + 1)
        if self._starts[offset >> 9] == _MAX_STARTS:
            raise _refuse(f"it names more than {_MAX_STARTS} compressed clusters in the sector at byte {offset & ~511}")
        self._starts[offset >> 9] += 1


def _check_l2(file: BinaryIO, header: _Header, used: _Used, *, table: int, size: int) -> None:
    words = _words(_read(file, table, header.cluster))
    if header.features & _EXTENDED_L2:
        words = words[::2]  # the other half are bitmaps of subclusters
    # Spec, "Compressed Clusters Descriptor": the width of the offset depends on the cluster's size.
    offset_bits = 62 - (header.cluster.bit_length() - 1 - 8)
    compressed_mask = (1 << offset_bits) - 1
    for word in words:
        if word & _COMPRESSED:
            offset = word & compressed_mask
            sectors = ((word & (_COMPRESSED - 1)) >> offset_bits) + 1
            # Writers other than QEMU leave the last sector short.
            is_inside = offset < size and (offset & ~511) + sectors * 512 <= size + 511
        else:
            offset = word & _OFFSET
            is_inside = offset < size  # the last cluster of a file may be short: missing bytes read as zeros
        if not is_inside:
            raise _refuse(f"it is truncated: a cluster is at byte {offset}, the file has {size} bytes")
        if word & _COMPRESSED:
            used.add_compressed(offset)
        elif offset:
            used.add_cluster(offset)


def _l2_entries(header: _Header) -> int:
    return header.cluster // (16 if header.features & _EXTENDED_L2 else 8)


def _entries(file: BinaryIO, offset: int, count: int) -> Iterator[int]:
    for start in range(0, count, 8192):
        yield from _words(_read(file, offset + start * 8, min(8192, count - start) * 8))


def _words(raw: bytes) -> array.array[int]:
    words = array.array("Q", raw[: len(raw) // 8 * 8])
    if sys.byteorder == "little":
        words.byteswap()
    return words


def _read(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _refuse(reason: str) -> errors.BadRequest:
    return errors.BadRequest(reason=reason)
