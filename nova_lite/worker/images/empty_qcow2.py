# SPDX-License-Identifier: Apache-2.0
"""The content of images of simulated disks: the smallest qcow2 image of an empty disk."""

from __future__ import annotations

import struct

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_L2_BYTES = _CLUSTER // 8 * _CLUSTER  # of the disk, that one L1 entry stands for


def empty_qcow2(size: int) -> bytes:
    """An image of `size` bytes, none of them written; a cluster each of header, refcounts (two) and L1 table.

    https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.rst
    """
    entries = -(-size // _L2_BYTES)
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, _CLUSTER_BITS, size, 0, entries, 3 * _CLUSTER, _CLUSTER, 1, 0, 0)
    l1_clusters = max(1, -(-entries * 8 // _CLUSTER))
    counts = struct.pack(">H", 1) * (3 + l1_clusters)
    parts = (header, struct.pack(">Q", 2 * _CLUSTER), counts)
    return b"".join(part.ljust(_CLUSTER, b"\0") for part in parts) + bytes(l1_clusters * _CLUSTER)
