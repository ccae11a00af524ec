# SPDX-License-Identifier: Apache-2.0
"""Exports of a pool whose volumes the QEMUs of this host open themselves: nothing is to be made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nova_lite import errors
from nova_lite.rpc.volume import Export, Volume
from nova_lite.volume.directory.pool import DirectoryPool


class FileExports:
    """See nova_lite.volume.driver.ExportDriver."""

    reach = "host"

    def __init__(self, pool: DirectoryPool, *, host: str) -> None:
        self._pool, self._host = pool, host

    @property
    def capabilities(self) -> dict[str, Any]:
        return {"storage_protocol": "file"}

    def restore(self, exports: Sequence[Export]) -> None:
        """Nothing can be lost."""

    def export(self, export: Export) -> dict[str, Any]:
        if export.connector.host != self._host:
            raise errors.VolumeFailed(
                host=self._host, action="export the volume",
                reason=f"its pool is a directory of host {self._host}, and the server is on host {export.connector.host}")
        return {"driver_volume_type": "local", "data": {
            "device_path": str(self._pool.path_of(export.volume)), "format": self._pool.files.disk_format,
            "access_mode": "ro" if export.is_read_only else "rw"}}

    def unexport(self, export: Export) -> None:
        """QEMU has closed the file."""

    def extended(self, volume: Volume) -> None:
        """QEMU has the file open; its hypervisor lets the guest see the new size."""

    def close(self) -> None:
        """Nothing runs."""

    def remove_all(self) -> None:
        """Nothing runs."""
