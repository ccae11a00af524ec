# SPDX-License-Identifier: Apache-2.0
"""An iSCSI server of a test's own: tgtd in user space, with its own control socket and port."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection
from tests.support.wait import wait_until
from tools.lib.services.service import free_port

GIB = 1 << 30


def is_missing() -> bool:
    return not (shutil.which("tgtd") and shutil.which("tgtadm"))


@dataclasses.dataclass
class IscsiTarget:
    """A server on the loopback; each volume is a target with a password of its own."""

    directory: Path
    port: int
    control: int
    process: subprocess.Popen[bytes] | None = None
    volumes: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def portal(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """With no targets: they are in memory only."""
        self.process = subprocess.Popen(
            ["tgtd", "-f", "-C", str(self.control), "--iscsi", f"portal={self.portal}", "-t", "2"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        wait_until(lambda: self.tgtadm("--op", "show", "--mode", "sys", check=False), "the iSCSI server")

    def stop(self) -> None:
        """As a crash: nothing is said to initiators."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def tgtadm(self, *words: str, check: bool = True) -> bool:
        return subprocess.run(["tgtadm", "-C", str(self.control), "--lld", "iscsi", *words], capture_output=True, timeout=30, check=check).returncode == 0

    def volume(self, *, content: bytes = b"", name: str | None = None, boot_index: int | None = None) -> GuestDisk:
        """A disk of one GiB, exported."""
        volume_id, secret = str(uuid.uuid4()), uuid.uuid4().hex[:16]
        path = self.file(volume_id)
        path.write_bytes(content)
        os.truncate(path, GIB)
        number = self.volumes[volume_id] = len(self.volumes) + 1
        data: dict[str, Any] = {
            "target_portal": self.portal, "target_iqn": f"iqn.2010-10.org.openstack:volume-{volume_id}", "target_lun": 1,
            "auth_method": "CHAP", "auth_username": f"user{number}", "auth_password": secret}
        connected = VolumeConnection(
            attachment_id=str(uuid.uuid4()), volume_id=volume_id, connection={"driver_volume_type": "iscsi", "data": data})
        disk = GuestDisk(source=DiskSource.VOLUME, size_mb=1024, name=name, boot_index=boot_index, volume=connected)
        self.export(disk)
        return disk

    def file(self, volume_id: str) -> Path:
        return self.directory / f"volume-{volume_id}"

    def export(self, disk: GuestDisk) -> None:
        """Make the volume's target; also after a restart."""
        assert disk.volume is not None
        data, number = disk.volume.data, str(self.volumes[disk.volume.volume_id])
        self.tgtadm("--op", "new", "--mode", "target", "--tid", number, "-T", data["target_iqn"])
        self.tgtadm("--op", "new", "--mode", "account", "--user", data["auth_username"], "--password", data["auth_password"])
        self.tgtadm("--op", "bind", "--mode", "account", "--tid", number, "--user", data["auth_username"])
        self.add_lun(disk)
        self.tgtadm("--op", "bind", "--mode", "target", "--tid", number, "-I", "ALL")

    def add_lun(self, disk: GuestDisk) -> None:
        assert disk.volume is not None
        self.tgtadm("--op", "new", "--mode", "logicalunit", "--tid", str(self.volumes[disk.volume.volume_id]), "--lun", "1",
                    "-b", str(self.file(disk.volume.volume_id)))

    def remove_lun(self, disk: GuestDisk) -> None:
        """Take the storage away under open sessions: their requests fail."""
        assert disk.volume is not None
        number = str(self.volumes[disk.volume.volume_id])
        wait_until(lambda: self.tgtadm("--op", "delete", "--mode", "logicalunit", "--tid", number, "--lun", "1", check=False), "the LUN to go")


@contextlib.contextmanager
def iscsi_target(directory: Path) -> Iterator[IscsiTarget]:
    directory.mkdir(exist_ok=True)
    made = IscsiTarget(directory, free_port(), control=os.getpid() % 30000 + 100)
    made.start()
    try:
        yield made
    finally:
        made.stop()
