# SPDX-License-Identifier: Apache-2.0
"""Copies of guests' root disks as of one moment, in qcow2 files without a backing file, while the guest runs or not."""

from __future__ import annotations

import contextlib
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import libvirt
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.images import Base, ImageCache
from nova_lite.compute.virt.driver import Check
from nova_lite.compute.virt.libvirt.domains import Domains, devices_of
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.worker import files, qemu_img

LOG = logging.getLogger(__name__)
_PREFIX = "snapshot."
_POLL_S = 0.2
# An agent that does not answer within this counts as none.
_AGENT_S = 10
# Longer than a copy and its upload may take: what is older belongs to an action that has ended.
_LIFETIME_S = 3 * 3600.0


class LibvirtSnapshots:
    """See nova_lite.compute.virt.driver.snapshots. Copies are among the guest's files, so that they go with them."""

    def __init__(self, env: Environment, domains: Domains, cache: ImageCache) -> None:
        self._env, self._domains, self._cache = env, domains, cache

    def take(self, guest: Guest, snapshot_id: str, *, check: Check) -> None:
        if not guest_disk.image_is_used(guest.disks):
            raise self._env.failed("make a snapshot", "the guest boots from a volume, whose snapshots its storage makes")
        directory = self._env.make_directory(guest.server_id)
        target = _path_of(directory, snapshot_id)
        if target.exists():
            return
        part = target.with_name(target.name + disks.PART)
        _end_job(self._domains, guest.server_id)
        part.unlink(missing_ok=True)
        timeout_s: float = self._env.conf.compute.image_convert_timeout
        try:
            with self._env.failing("make a snapshot"):
                if self._domains.run(
                    "look at the guest", lambda conn: bool(self._domains.get(conn, guest.server_id).isActive())):
                    _LiveCopy(self._env, self._domains, guest, part).run(timeout_s=timeout_s, check=check)
                else:
                    _copy_file(directory / disks.ROOT, part, base=self._cache.get(guest.image), timeout_s=timeout_s, check=check)
                files.sync(part)
                part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def open(self, server_id: str, snapshot_id: str) -> BinaryIO:
        with self._env.failing("read a snapshot"):
            return _path_of(self._env.directory(server_id), snapshot_id).open("rb")

    def remove(self, server_id: str, snapshot_id: str) -> None:
        with self._env.failing("remove a snapshot"):
            _path_of(self._env.directory(server_id), snapshot_id).unlink(missing_ok=True)

    def remove_expired(self) -> None:
        """Remove copies that no action needs any more."""
        limit = time.time() - _LIFETIME_S
        for path in self._env.instances.glob(f"*/{_PREFIX}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    path.unlink()


def _path_of(directory: Path, snapshot_id: str) -> Path:
    return directory / f"{_PREFIX}{snapshot_id}"


def _copy_file(source: Path, target: Path, *, base: Base, timeout_s: float, check: Check) -> None:
    """Copy the disk of a guest that is off, an overlay on `base`."""
    size = qemu_img.virtual_size(source, "qcow2", has_backing=True, check=check)
    qemu_img.convert(source, target, formats=("qcow2", "qcow2"), size=size, timeout_s=timeout_s, backing=base.path, check=check)


class _LiveCopy:
    """A copy that QEMU makes of the disk as it was when the job began, while the guest goes on."""

    def __init__(self, env: Environment, domains: Domains, guest: Guest, part: Path) -> None:
        self._env, self._domains, self._guest, self._part = env, domains, guest, part

    def run(self, *, timeout_s: float, check: Check) -> None:
        """:raises errors.HypervisorFailed: it failed or took too long; the job is ended."""
        domains, server_id = self._domains, self._guest.server_id
        with quiesced(domains, self._guest):
            domains.run("begin a snapshot", lambda conn: _begin(domains.get(conn, server_id), self._part))
        deadline = time.monotonic() + timeout_s
        try:
            while domains.run("look at the snapshot", lambda conn: _has_job(domains.get(conn, server_id))):
                check()
                if time.monotonic() > deadline:
                    raise self._env.failed("make a snapshot", f"the copy did not end within {timeout_s:.0f} s")
                time.sleep(_POLL_S)
            reason = domains.run("look at the snapshot", lambda conn: _failure(domains.get(conn, server_id)))
            if reason:
                raise self._env.failed("make a snapshot", reason)
        except BaseException:
            _end_job(domains, server_id)
            raise


def _begin(domain: Any, part: Path) -> None:
    backup = ET.Element("domainbackup", mode="push")
    parent = ET.SubElement(backup, "disks")
    for name, source in _disks(domain):
        is_root = source == part.with_name(disks.ROOT)
        disk = ET.SubElement(parent, "disk", name=name, backup="yes" if is_root else "no")
        if is_root:
            disk.set("type", "file")
            ET.SubElement(disk, "driver", type="qcow2")
            ET.SubElement(disk, "target", file=str(part))
    domain.backupBegin(ET.tostring(backup, encoding="unicode"), None)


def _disks(domain: Any) -> list[tuple[str, Path]]:
    """Name and file of each disk."""
    found = []
    for disk in devices_of(domain).iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is not None:
            found.append((target.get("dev", ""), Path(source.get("file", "") if source is not None else "")))
    return found


def _has_job(domain: Any) -> bool:
    """Whether a copy is being made."""
    try:
        domain.backupGetXMLDesc()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_BACKUP:
            return False
        raise
    return True


def _failure(domain: Any) -> str:
    """Why the copy is not complete; "": it is."""
    if not domain.isActive():
        return "the guest powered off meanwhile"
    job = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if job.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP:
        return "libvirt has no result of the copy"
    if job.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED:
        return str(job.get("errmsg") or "the copy was cancelled")
    return ""


def _end_job(domains: Domains, server_id: str) -> None:
    """End a copy that is being made, also by an earlier process of this worker."""

    def work(conn: Any) -> None:
        domain = domains.get(conn, server_id)
        if _has_job(domain):
            domain.abortJob()

    with contextlib.suppress(errors.HypervisorFailed):
        domains.run("end a snapshot", work)


@contextlib.contextmanager
def quiesced(domains: Domains, guest: Guest) -> Iterator[None]:
    """Freeze the guest's file systems meanwhile, when its image says that it has an agent.

    :raises errors.HypervisorFailed: that fails, and the image requires it (os_require_quiesce).
    """
    properties = guest.image.properties
    is_required = _is_true(properties.get("os_require_quiesce"))
    if not (is_required or _is_true(properties.get("hw_qemu_guest_agent"))):
        yield
        return

    def freeze(conn: Any) -> int:
        """How many file systems are frozen."""
        domain = domains.get(conn, guest.server_id)
        domain.agentSetResponseTimeout(_AGENT_S, 0)
        return int(domain.fsFreeze())

    try:
        frozen = domains.run("freeze the guest's file systems", freeze)
    except errors.HypervisorFailed as error:
        if is_required:
            raise
        LOG.warning("server %s: its snapshot is crash-consistent only: %s", guest.server_id, error.text)
        yield
        return
    LOG.info("server %s: %d of its file systems are frozen while its snapshot begins", guest.server_id, frozen)
    try:
        yield
    finally:
        with contextlib.suppress(errors.HypervisorFailed):
            domains.run("thaw the guest's file systems", lambda conn: domains.get(conn, guest.server_id).fsThaw())


def _is_true(text: str | None) -> bool:
    return (text or "").lower() in ("yes", "true", "1", "on", "y", "t")
