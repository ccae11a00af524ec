# SPDX-License-Identifier: Apache-2.0
"""Copies a guest's root disk into one qcow2 file without a backing file, at one point in time, while it runs or not."""

from __future__ import annotations

import contextlib
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import libvirt
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.rpc.compute import Guest
from nova_lite.worker import commands, files

LOG = logging.getLogger(__name__)
_PREFIX = "snapshot."
_LOOK_S = 0.2
# A guest's agent that does not answer within this is as good as none.
_AGENT_S = 10
# Longer than a copy and its upload may take: what is older belongs to an action that has ended.
_FORGOTTEN_S = 3 * 3600.0


class Snapshots:
    """The part of the driver that makes and keeps copies; see the Protocol for what each method promises."""

    _libvirt: Connection
    _instances: Path
    _host: str
    _conf: cfg.ConfigOpts

    def take_snapshot(self, guest: Guest, snapshot_id: str, *, check: Callable[[], None]) -> None:
        take(self._libvirt, guest, disks.make_directory(self._instances, guest.server_id), snapshot_id,
             host=self._host, timeout_s=self._conf.compute.image_convert_timeout, check=check)

    def open_snapshot(self, server_id: str, snapshot_id: str) -> BinaryIO:
        try:
            return path_of(disks.directory(self._instances, server_id), snapshot_id).open("rb")
        except OSError as error:
            raise errors.HypervisorFailed(host=self._host, action="read a snapshot", reason=error) from error

    def remove_snapshot(self, server_id: str, snapshot_id: str) -> None:
        try:
            path_of(disks.directory(self._instances, server_id), snapshot_id).unlink(missing_ok=True)
        except OSError as error:
            raise errors.HypervisorFailed(host=self._host, action="remove a snapshot", reason=error) from error

    def clean_snapshots(self) -> None:
        """Remove copies that no action can still want."""
        limit = time.time() - _FORGOTTEN_S
        for path in self._instances.glob(f"*/{_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    path.unlink()


def path_of(directory: Path, snapshot_id: str) -> Path:
    """Where the finished copy is: among the guest's files, so that it goes with them."""
    return directory / f"{_PREFIX}{snapshot_id}"


def take(  # noqa: PLR0913 - through what, of what, where to, how long, and until when
    connection: Connection, guest: Guest, directory: Path, snapshot_id: str, *, host: str, timeout_s: float,
    check: Callable[[], None],
) -> None:
    """Make the copy; one that is there already is kept. The caller sees to it that the guest's power does not change.

    :raises errors.HypervisorFailed: it could not be made; nothing is left of it.
    """
    target = path_of(directory, snapshot_id)
    if target.exists():
        return
    part = target.with_name(target.name + disks.PART)
    _end_job(connection, guest.server_id)
    part.unlink(missing_ok=True)
    try:
        is_live = connection.run("look at the guest", lambda conn: conn.lookupByUUIDString(guest.server_id).isActive())
        if is_live:
            _copy_live(connection, guest, part, host=host, timeout_s=timeout_s, check=check)
        else:
            _copy_file(directory / disks.ROOT, part, timeout_s=timeout_s, check=check)
        files.sync(part)
        part.rename(target)
    except (commands.CommandFailed, OSError) as error:
        raise errors.HypervisorFailed(host=host, action="make a snapshot", reason=error) from error
    finally:
        part.unlink(missing_ok=True)


def _copy_file(source: Path, target: Path, *, timeout_s: float, check: Callable[[], None]) -> None:
    """The guest is off: nobody writes to its disk, nor reads it but qemu-img."""
    commands.run(["qemu-img", "convert", "-f", "qcow2", "-O", "qcow2", str(source), str(target)], timeout_s=timeout_s,
                 check=check)


def _copy_live(  # noqa: PLR0913 - as take
    connection: Connection, guest: Guest, part: Path, *, host: str, timeout_s: float, check: Callable[[], None]
) -> None:
    """QEMU itself copies the disk as it was when the job began, under a guest that goes on."""
    with _quiet(connection, guest):
        connection.run("begin a snapshot", lambda conn: _begin(conn, guest, part))
    deadline = time.monotonic() + timeout_s
    try:
        while connection.run("look at the snapshot", lambda conn: _is_at_work(conn, guest.server_id)):
            check()
            if time.monotonic() > deadline:
                reason = f"the copy did not end within {timeout_s:.0f} s"
                raise errors.HypervisorFailed(host=host, action="make a snapshot", reason=reason)
            time.sleep(_LOOK_S)
        reason = connection.run("look at the snapshot", lambda conn: _complaint(conn, guest.server_id))
        if reason:
            raise errors.HypervisorFailed(host=host, action="make a snapshot", reason=reason)
    except BaseException:
        _end_job(connection, guest.server_id)
        raise


def _begin(conn: Any, guest: Guest, part: Path) -> None:
    domain = conn.lookupByUUIDString(guest.server_id)
    backup = ET.Element("domainbackup", mode="push")
    holder = ET.SubElement(backup, "disks")
    for device in _disks(domain):
        is_root = device.source == part.with_name(disks.ROOT)
        disk = ET.SubElement(holder, "disk", name=device.name, backup="yes" if is_root else "no")
        if is_root:
            disk.set("type", "file")
            ET.SubElement(disk, "driver", type="qcow2")
            ET.SubElement(disk, "target", file=str(part))
    domain.backupBegin(ET.tostring(backup, encoding="unicode"), None)


class _Device:
    def __init__(self, name: str, source: Path) -> None:
        self.name, self.source = name, source


def _disks(domain: Any) -> list[_Device]:
    found = []
    for disk in ET.fromstring(domain.XMLDesc()).iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is not None:
            found.append(_Device(target.get("dev", ""), Path(source.get("file", "") if source is not None else "")))
    return found


def _is_at_work(conn: Any, server_id: str) -> bool:
    domain = conn.lookupByUUIDString(server_id)
    try:
        domain.backupGetXMLDesc()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_BACKUP:
            return False
        raise
    return True


def _complaint(conn: Any, server_id: str) -> str:
    """Why the copy is not whole; empty: it is."""
    domain = conn.lookupByUUIDString(server_id)
    if not domain.isActive():
        return "the guest powered off meanwhile"
    ended = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if ended.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return "the copy ended without a word"
    if ended.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED:
        return str(ended.get("errmsg") or "the copy was broken off")
    return ""


def _end_job(connection: Connection, server_id: str) -> None:
    """Break off a copy that is under way, this worker's or one of its predecessor's."""

    def work(conn: Any) -> None:
        if _is_at_work(conn, server_id):
            conn.lookupByUUIDString(server_id).abortJob()

    with contextlib.suppress(errors.HypervisorFailed):
        connection.run("end a snapshot", work)


@contextlib.contextmanager
def _quiet(connection: Connection, guest: Guest) -> Iterator[None]:
    """The guest's file systems are frozen meanwhile, when its image says that it has an agent.

    :raises errors.HypervisorFailed: they cannot be, and the image requires it (os_require_quiesce).
    """
    wanted = guest.image.properties
    is_required = _is_yes(wanted.get("os_require_quiesce"))
    if not (is_required or _is_yes(wanted.get("hw_qemu_guest_agent"))):
        yield
        return

    def freeze(conn: Any) -> int:
        """How many file systems are frozen."""
        domain = conn.lookupByUUIDString(guest.server_id)
        domain.agentSetResponseTimeout(_AGENT_S, 0)
        return int(domain.fsFreeze())

    try:
        frozen = connection.run("freeze the guest's file systems", freeze)
    except errors.HypervisorFailed as error:
        if is_required:
            raise
        LOG.warning("server %s: its snapshot is as after a power cut: %s", guest.server_id, error.text)
        yield
        return
    LOG.info("server %s: %d of its file systems are frozen while its snapshot begins", guest.server_id, frozen)
    try:
        yield
    finally:
        with contextlib.suppress(errors.HypervisorFailed):
            connection.run("thaw the guest's file systems", lambda conn: conn.lookupByUUIDString(guest.server_id).fsThaw())


def _is_yes(text: str | None) -> bool:
    return (text or "").lower() in ("yes", "true", "1", "on", "y", "t")
