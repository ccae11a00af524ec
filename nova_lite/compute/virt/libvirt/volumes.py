# SPDX-License-Identifier: Apache-2.0
"""Volumes attached to domains, resized and detached: in the running one at once, and in what libvirt keeps of it."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt
from oslo_utils import uuidutils

from nova_lite.compute.virt.driver import Check
from nova_lite.compute.virt.libvirt.domains import Domains, devices_of
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.storage import disk_list, open_files, volume_secrets
from nova_lite.compute.virt.libvirt.storage.snapshots import quiesced
from nova_lite.compute.virt.libvirt.storage.volume_check import VolumeCheck
from nova_lite.compute.virt.libvirt.storage.volume_copies import VolumeCopies
from nova_lite.compute.virt.libvirt.unplug import CONFIG, LIVE, Find, Unplug, describe
from nova_lite.compute.virt.libvirt.xml import disk_devices
from nova_lite.compute.virt.libvirt.xml.devices import scsi_controller_xml
from nova_lite.compute.virt.libvirt.xml.domain import hardware_of
from nova_lite.rpc.compute import Guest
from nova_lite.values.guest_disk import GuestDisk, VolumeConnection
from nova_lite.worker import image_lock

_SWITCH = (
    libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT
    | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
)


class LibvirtVolumes:
    """See nova_lite.compute.virt.driver.volumes. A domain's disk is found by its serial number, which is the volume's id."""

    def __init__(self, env: Environment, domains: Domains, unplug: Unplug, check: VolumeCheck, copies: VolumeCopies) -> None:
        self._env, self._domains, self._unplug, self._check, self._copies = env, domains, unplug, check, copies

    def attach(self, guest: Guest, disk: GuestDisk) -> None:
        volume = _volume(disk)
        if self._domains.run("look at the guest", lambda conn: self._must_open(conn, guest.server_id, volume)):
            self._check.volume(volume)

        def work(conn: Any) -> None:
            domain = self._domains.find(conn, guest.server_id)
            if domain is not None:
                volume_secrets.define(conn, volume)
                self._plug(domain, guest, disk)

        with self._env.failing("attach a volume"):
            self._domains.run("attach a volume", work)

    def detach(self, server_id: str, disk: GuestDisk, *, timeout_s: float) -> None:
        volume = _volume(disk)
        self._domains.run("end the copy of a volume", lambda conn: self._copies.end(conn, server_id, _of_volume(volume)))
        self._unplug.detach(server_id, _of_volume(volume), what=f"volume {volume.volume_id}", timeout_s=timeout_s)
        self.forget(disk)

    def resize(self, server_id: str, disk: GuestDisk, *, size_gb: int) -> None:
        volume, size = _volume(disk), size_gb << 30

        def work(conn: Any) -> None:
            domain = self._domains.find(conn, server_id)
            found = _of_volume(volume)(describe(domain, LIVE)) if domain is not None and domain.isActive() else None
            # One that is larger has grown again since; QEMU would cut it.
            if found is not None and int(domain.blockInfo(_name(found))[0]) <= size:
                domain.blockResize(_name(found), size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

        self._domains.run("resize a volume", work)

    def snapshot(self, guest: Guest, disk: GuestDisk) -> None:
        volume = _volume(disk)
        path = open_files.path_of(volume)
        if path is None or not open_files.is_replaced(volume):
            raise self._env.failed("make a snapshot of a volume", f"volume {volume.volume_id} is no qcow2 file of this host")

        def work(conn: Any) -> None:
            domain = self._domains.find(conn, guest.server_id)
            described = describe(domain, LIVE) if domain is not None and domain.isActive() else ET.Element("domain")
            found = _of_volume(volume)(described)
            if found is not None and not image_lock.is_held(path):
                _check_name(found)
                domain.snapshotCreateXML(_switch(described, _name(found), open_files.link(path)), _SWITCH)

        with self._env.failing("make a snapshot of a volume"), quiesced(self._domains, guest):
            self._domains.run("make a snapshot of a volume", work)

    def copy(self, guest: Guest, disk: GuestDisk, target: GuestDisk, *, check: Check) -> None:
        volume = _volume(target)
        self._check.volume(volume)
        with self._env.failing("copy a volume"):
            self._domains.run("give libvirt a secret", lambda conn: volume_secrets.define(conn, volume))
            self._copies.make(guest.server_id, _of_volume(_volume(disk)), self._element(guest, target), check=check)

    def pivot(self, guest: Guest, disk: GuestDisk, target: GuestDisk) -> None:
        find = _of_volume(_volume(disk))

        def work(conn: Any) -> None:
            self._copies.use(conn, guest.server_id, find, self._element(guest, target))
            domain = self._domains.get(conn, guest.server_id)
            kept = find(describe(domain, CONFIG)) if domain.isPersistent() else None
            if kept is not None:
                domain.detachDeviceFlags(ET.tostring(kept, encoding="unicode"), CONFIG)
                named = self._element(guest, dataclasses.replace(target, name=_name(kept)))
                domain.attachDeviceFlags(ET.tostring(named, encoding="unicode"), CONFIG)

        with self._env.failing("use the copy of a volume"):
            self._domains.run("use the copy of a volume", work)

    def forget(self, disk: GuestDisk) -> None:
        volume = _volume(disk)
        self._domains.run("drop the secret of a volume", lambda conn: volume_secrets.undefine(conn, volume))
        with self._env.failing("drop the names of a volume"):
            open_files.forget(volume)

    def attached(self) -> dict[str, frozenset[str]]:
        def work(conn: Any) -> dict[str, frozenset[str]]:
            found = {}
            for server_id in self._domains.list_ours(conn):
                domain = self._domains.find(conn, server_id)
                if domain is not None:
                    serials = (disk.findtext("serial", "") for disk in devices_of(domain).iterfind("devices/disk"))
                    found[server_id] = frozenset(serial for serial in serials if uuidutils.is_uuid_like(serial))
            return found

        return self._domains.run("list volumes", work)

    def _element(self, guest: Guest, disk: GuestDisk) -> ET.Element:
        """:raises ValueError: this host cannot reach the volume."""
        return disk_devices.one(disk_list.volume_disk(disk, _volume(disk), host=self._env.host), hardware_of(guest), taken=())

    def _must_open(self, conn: Any, server_id: str, volume: VolumeConnection) -> bool:
        """Whether QEMU is to open the volume now."""
        domain = self._domains.find(conn, server_id)
        return domain is not None and bool(domain.isActive()) and _of_volume(volume)(describe(domain, LIVE)) is None

    def _plug(self, domain: Any, guest: Guest, disk: GuestDisk) -> None:
        """Where the disk is missing, under one name.

        :raises ValueError: this host cannot reach the volume.
        """
        volume = _volume(disk)
        states = [flag for flag, exists in ((LIVE, domain.isActive()), (CONFIG, domain.isPersistent())) if exists]
        described = {flag: describe(domain, flag) for flag in states}
        found = {flag: _of_volume(volume)(described[flag]) for flag in states}
        known = next((_name(one) for one in found.values() if one is not None), None)
        taken = {_name(one) for state in described.values() for one in state.iterfind("devices/disk")} - {known}
        wanted = dataclasses.replace(disk, name=known or disk.name)
        element = disk_devices.one(disk_list.volume_disk(wanted, volume, host=self._env.host), hardware_of(guest), taken=taken)
        for flag in states:
            if found[flag] is None:
                if _bus(element) == "scsi" and described[flag].find("devices/controller[@type='scsi']") is None:
                    # libvirt would add one of a model that guests of today have no driver for.
                    domain.attachDeviceFlags(scsi_controller_xml(hardware_of(guest)), flag)
                domain.attachDeviceFlags(ET.tostring(element, encoding="unicode"), flag)


def _check_name(disk: ET.Element) -> None:
    """:raises ValueError: QEMU would get another file by the name of the one that it has open."""
    source = disk.find("source")
    if source is None or not open_files.is_link(Path(source.get("file", ""))):
        raise ValueError("the guest has the volume open by a name that is another file's now; stop and start it before")


def _switch(domain: ET.Element, name: str, path: Path) -> str:
    """A snapshot of this disk alone, after which the guest writes to the file."""
    snapshot = ET.Element("domainsnapshot")
    parent = ET.SubElement(snapshot, "disks")
    for other in domain.iterfind("devices/disk"):
        is_meant = _name(other) == name
        element = ET.SubElement(parent, "disk", name=_name(other), snapshot="external" if is_meant else "no")
        if is_meant:
            ET.SubElement(element, "driver", type="qcow2")
            ET.SubElement(element, "source", file=str(path))
    return ET.tostring(snapshot, encoding="unicode")


def _volume(disk: GuestDisk) -> VolumeConnection:
    assert disk.volume is not None
    return disk.volume


def _of_volume(volume: VolumeConnection) -> Find:
    return lambda domain: next(
        (disk for disk in domain.iterfind("devices/disk") if disk.findtext("serial") == volume.volume_id), None)


def _bus(disk: ET.Element) -> str:
    target = disk.find("target")
    return target.get("bus", "") if target is not None else ""


def _name(disk: ET.Element) -> str:
    target = disk.find("target")
    return target.get("dev", "") if target is not None else ""
