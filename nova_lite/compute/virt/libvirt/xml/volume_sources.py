# SPDX-License-Identifier: Apache-2.0
"""Where a volume's bytes are, as libvirt has it: a file of this host, an iSCSI target, a Ceph image, an NFS server's file."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

from nova_lite.compute.virt.libvirt.storage import volume_secrets
from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.values.guest_disk import VolumeConnection

_ISCSI_PORT = "3260"
_RAW, _QCOW2 = "raw", "qcow2"
# Limits that a volume type has for the guest's side, by Cinder's names, which are libvirt's too.
_LIMITS = tuple(f"{who}_{unit}_sec{peak}" for who in ("total", "read", "write") for unit in ("bytes", "iops") for peak in ("", "_max"))


def write(disk: ET.Element, volume: VolumeConnection, *, cache: str, initiator: str) -> None:
    """Type, driver and source of the volume's disk. `cache`: of files of this host. `initiator`: the iSCSI name of the host.

    :raises ValueError: this host cannot reach such a connection; the text says why.
    """
    if volume.data.get("encrypted"):
        raise ValueError(f"volume {volume.volume_id} is encrypted, which this host cannot read")
    writer = _WRITERS.get(volume.type)
    if writer is None:
        raise ValueError(f"volume {volume.volume_id} is connected by {volume.type or 'nothing'}; possible here: {', '.join(sorted(_WRITERS))}")
    try:
        writer(disk, volume, cache, initiator)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the connection of volume {volume.volume_id} by {volume.type} is incomplete: {error}") from error


def limit(disk: ET.Element, volume: VolumeConnection) -> None:
    """What the volume's type allows, if it limits the guest's side."""
    specs = volume.data.get("qos_specs") or {}
    found = [(name, str(specs[name])) for name in (*_LIMITS, "size_iops_sec") if str(specs.get(name, "")).isdecimal()]
    if found:
        tune = ET.SubElement(disk, "iotune")
        for name, value in found:
            text(tune, name, value)


def address_of(portal: str) -> tuple[str, str]:
    """Host and port of a portal, like 192.0.2.1:3260 or [2001:db8::1]:3260."""
    host, separator, port = portal.rpartition(":")
    if not separator or "]" in port or (":" in host and not host.startswith("[")):
        host, port = portal, _ISCSI_PORT
    return host.strip("[]"), port


def _file(disk: ET.Element, volume: VolumeConnection, cache: str, initiator: str) -> None:
    del initiator
    data = volume.data
    # Native asynchronous I/O of Linux needs files that are opened past the page cache.
    _driver(disk, type=_format(data), cache=cache, io="native" if cache == "none" else "threads")
    disk.set("type", "file")
    ET.SubElement(disk, "source", file=str(data["device_path"]))


def _iscsi(disk: ET.Element, volume: VolumeConnection, cache: str, initiator: str) -> None:
    del cache
    data = volume.data
    _network_driver(disk, _RAW)
    source = ET.SubElement(disk, "source", protocol="iscsi", name=f"{data['target_iqn']}/{int(data['target_lun'])}")
    host, port = address_of(str(data["target_portal"]))
    ET.SubElement(source, "host", name=host, port=port)
    if volume_secrets.password(volume) is not None:
        _auth(source, volume, user=str(data["auth_username"]), kind="iscsi")
    ET.SubElement(ET.SubElement(source, "initiator"), "iqn", name=initiator)


def _rbd(disk: ET.Element, volume: VolumeConnection, cache: str, initiator: str) -> None:
    del cache, initiator
    data = volume.data
    _network_driver(disk, _RAW)
    source = ET.SubElement(disk, "source", protocol="rbd", name=str(data["name"]))
    for host, port in zip(data["hosts"], data["ports"], strict=True):
        ET.SubElement(source, "host", name=str(host), port=str(port))
    if data.get("auth_enabled"):
        _auth(source, volume, user=str(data["auth_username"]), kind="ceph")


def _nfs(disk: ET.Element, volume: VolumeConnection, cache: str, initiator: str) -> None:
    """By QEMU's own client, as root: the host mounts nothing."""
    del cache, initiator
    data = volume.data
    _network_driver(disk, _format(data))
    host, _, path = str(data["export"]).rpartition(":")
    source = ET.SubElement(disk, "source", protocol="nfs", name=f"{path.rstrip('/')}/{data['name']}")
    ET.SubElement(source, "host", name=host.strip("[]"))
    ET.SubElement(source, "identity", user="+0", group="+0")


_WRITERS: dict[str, Callable[[ET.Element, VolumeConnection, str, str], None]] = {
    "local": _file, "iscsi": _iscsi, "rbd": _rbd, "nfs": _nfs}


def _format(data: dict[str, Any]) -> str:  # Any: JSON
    """raw unless the connection says qcow2: what the guest writes is never read for it."""
    name = str(data.get("format") or _RAW)
    if name not in (_RAW, _QCOW2):
        raise ValueError(f"format {name}; possible here: raw, qcow2")
    return name


def _driver(disk: ET.Element, **attributes: str) -> None:
    ET.SubElement(disk, "driver", {"name": "qemu", **attributes, "discard": "unmap"})


def _network_driver(disk: ET.Element, name: str) -> None:
    """A guest whose storage goes away stops, instead of seeing errors, and goes on when it is back."""
    disk.set("type", "network")
    _driver(disk, type=name, cache="none", error_policy="stop", rerror_policy="stop")


def _auth(source: ET.Element, volume: VolumeConnection, *, user: str, kind: str) -> None:
    ET.SubElement(ET.SubElement(source, "auth", username=user), "secret", type=kind, uuid=volume_secrets.secret_id(volume))
