# SPDX-License-Identifier: Apache-2.0
"""Volumes of running domains that are copied elsewhere by QEMU, and used from there on."""

from __future__ import annotations

import contextlib
import queue
import time
import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from nova_lite import errors
from nova_lite.compute.virt.driver import Check
from nova_lite.compute.virt.libvirt.domains import Domains
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.events import DomainEvents
from nova_lite.compute.virt.libvirt.unplug import LIVE, Find, describe

_COPY = libvirt.VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | libvirt.VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
# How often the caller of a copy checks whether it is still needed; libvirt's event says when it is complete.
_CHECK_EVERY_S = 1.0
# A copy has the guest's name of the disk, not one of its own.
_OF_THE_GUEST = ("target", "serial", "address", "iotune", "readonly", "shareable")


class VolumeCopies:
    """Copies of one disk of a domain, which `find` finds. `element`: the disk as it is to be."""

    def __init__(self, env: Environment, domains: Domains, events: DomainEvents) -> None:
        self._env, self._domains, self._events = env, domains, events

    def make(self, server_id: str, find: Find, element: ET.Element, *, check: Check) -> None:
        """Have a complete copy, unless the domain uses it already; older copies are ended.

        :raises errors.HypervisorFailed: it failed, or took too long; the domain has the old disk alone.
        """
        timeout_s: float = self._env.conf.compute.image_convert_timeout
        with self._events.listen(server_id) as inbox:
            if not self._domains.run("begin to copy a volume", lambda conn: self._begin(conn, server_id, find, element)):
                return
            deadline = time.monotonic() + timeout_s
            try:
                while not self._domains.run("look at the copy of a volume", lambda conn: self._is_complete(conn, server_id, find)):
                    check()
                    if time.monotonic() > deadline:
                        raise self._env.failed("copy a volume", f"the copy did not end within {timeout_s:.0f} s")
                    with contextlib.suppress(queue.Empty):
                        inbox.get(timeout=_CHECK_EVERY_S)
            except BaseException:
                with contextlib.suppress(errors.HypervisorFailed):
                    self._domains.run("end the copy of a volume", lambda conn: self.end(conn, server_id, find))
                raise

    def use(self, conn: Any, server_id: str, find: Find, element: ET.Element) -> None:
        """Let the running domain use the complete copy alone; one that does is fine."""
        domain, found = self._running(conn, server_id, find)
        if not _is_at(found, element):
            if not _is_ready(domain.blockJobInfo(_name(found))):
                raise self._env.failed("use the copy of a volume", "there is no complete copy")
            domain.blockJobAbort(_name(found), libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)

    def end(self, conn: Any, server_id: str, find: Find) -> None:
        """End a copy that is being made, also one that an earlier process of this worker began; none is fine."""
        domain = self._domains.find(conn, server_id)
        found = find(describe(domain, LIVE)) if domain is not None and domain.isActive() else None
        if found is not None and domain.blockJobInfo(_name(found)):
            domain.blockJobAbort(_name(found))

    def _begin(self, conn: Any, server_id: str, find: Find, element: ET.Element) -> bool:
        """False: the domain uses the copy already."""
        self.end(conn, server_id, find)
        domain, found = self._running(conn, server_id, find)
        if _is_at(found, element):
            return False
        target = ET.fromstring(ET.tostring(element))
        for child in [child for child in target if child.tag in _OF_THE_GUEST]:
            target.remove(child)
        domain.blockCopy(_name(found), ET.tostring(target, encoding="unicode"), flags=_COPY)
        return True

    def _is_complete(self, conn: Any, server_id: str, find: Find) -> bool:
        domain, found = self._running(conn, server_id, find)
        job = domain.blockJobInfo(_name(found))
        if not job:
            raise self._env.failed("copy a volume", "the copy failed; its target must be reachable, and as large as the volume")
        return _is_ready(job)

    def _running(self, conn: Any, server_id: str, find: Find) -> tuple[Any, ET.Element]:
        """The domain and its disk.

        :raises errors.HypervisorFailed: it does not run, or has no such disk.
        """
        domain = self._domains.get(conn, server_id)
        found = find(describe(domain, LIVE)) if domain.isActive() else None
        if found is None:
            raise self._env.failed("copy a volume", "the guest does not run, or has no such volume")
        return domain, found


def _is_ready(job: dict[str, int]) -> bool:
    """libvirt says that all is copied only when QEMU keeps both alike."""
    return bool(job) and job["end"] > 0 and job["cur"] == job["end"]


def _is_at(disk: ET.Element, element: ET.Element) -> bool:
    """Whether the disk's bytes are where the element says; libvirt adds attributes of its own."""
    for path in ("source", "source/host"):
        there, wanted = disk.find(path), element.find(path)
        if wanted is not None and (there is None or any(there.get(name) != value for name, value in wanted.items())):
            return False
    return disk.get("type") == element.get("type")


def _name(disk: ET.Element) -> str:
    target = disk.find("target")
    return target.get("dev", "") if target is not None else ""
