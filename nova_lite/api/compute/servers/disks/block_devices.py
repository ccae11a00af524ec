# SPDX-License-Identifier: Apache-2.0
"""Reads block_device_mapping and block_device_mapping_v2 of `POST /servers`: which disk is what, and what cannot be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers.create_schemas import DEVICE_OF_IMAGE as _DEVICE
from nova_lite.api.wsgi import validation
from nova_lite.api.wsgi.request import Body
from nova_lite.values.flavor import Flavor

_BUSES = ("fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml")
_SEQUENCE = "Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid."
_OF_IMAGE = schemas.closed({"block_device_mapping": {"type": "array", "maxItems": 256, "items": schemas.closed(_DEVICE)}})
_VALIDATOR = validation.Validator()
_SOURCES_WITH_SIZE = ("image", "blank")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockDevice:
    """One entry that is not the local root disk. `source`: volume, snapshot, image or blank; `source_id` None for blank.

    `size_gb` None: not given. `boot_index` None: no disk to boot from. `name`: the device's that the client wants.
    """

    source: str
    destination: str
    source_id: str | None
    size_gb: int | None = None
    boot_index: int | None = None
    name: str | None = None
    tag: str | None = None
    delete_on_termination: bool = False
    guest_format: str | None = None
    disk_bus: str | None = None
    device_type: str | None = None
    volume_type: str | None = None

    @property
    def is_root(self) -> bool:
        return self.boot_index == 0


@dataclasses.dataclass(frozen=True)
class BlockDevices:
    """`image_id`: of the image that the request names or maps; `has_local_root`: the root disk is a copy of it on the host.

    `volumes`: those on volumes, the root disk first. `local`: blank ones on the host.
    """

    image_id: str | None
    has_local_root: bool
    volumes: tuple[BlockDevice, ...] = ()
    local: tuple[BlockDevice, ...] = ()


def read(params: Body, *, image_mapping: Sequence[Mapping[str, Any]] = ()) -> BlockDevices:
    """The disks that the request describes; `image_mapping`: those of its image, as a snapshot of a server on volumes has them.

    :raises errors.BadRequest: they contradict themselves or each other; the reason names the entry.
    """
    old = [entry for entry in params.get("block_device_mapping", ()) if entry]
    new = [entry for entry in params.get("block_device_mapping_v2", ()) if entry]
    image_id = params.get("imageRef") or None
    if old and new:
        raise errors.BadRequest(reason="Using different block_device_mapping syntaxes is not allowed in the same request.")
    if image_id is None and not old and not new:
        raise errors.BadRequest(reason="Invalid imageRef provided.")
    if old:
        devices, is_local = _of_old(old, image_id)
        return _checked(devices, image_id, has_local_root=is_local)
    if image_mapping:
        return _of_image(new, image_id, image_mapping)
    if not new:
        return BlockDevices(image_id, has_local_root=True)
    return _of_new(new, image_id)


def _of_new(entries: Sequence[Body], image_id: str | None) -> BlockDevices:
    devices, has_local_root = [], False
    for entry in entries:
        if entry.get("no_device"):
            continue
        device = _device(entry)
        if device.source == "image" and device.destination == "local":
            if not device.is_root or device.source_id != (image_id or device.source_id) or has_local_root:
                raise errors.BadRequest(reason=_SEQUENCE if device.is_root else "Mapping image to local is not supported.")
            if image_id is None:
                raise errors.BadRequest(reason="Mapping image to local is not supported without imageRef.")
            has_local_root = True
        else:
            devices.append(device)
    return _checked(devices, image_id, has_local_root=has_local_root)


def _device(entry: Body) -> BlockDevice:
    """One entry of the new syntax.

    :raises errors.BadRequest: a field does not fit the others.
    """
    source, destination = entry.get("source_type"), entry.get("destination_type")
    if source is None:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: source_type is missing.")
    destination = destination or ("volume" if source in ("volume", "snapshot") else "local")
    source_id = entry.get("uuid") or None
    size_gb = _size(entry)
    if source == "blank" and source_id is not None:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: invalid device UUID: a blank disk has none.")
    if source != "blank" and source_id is None:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: missing device UUID.")
    if destination == "local" and source in ("volume", "snapshot"):
        raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: Mapping {source} to local is not supported.")
    if entry.get("volume_type") and (destination == "local" or source == "volume"):
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: volume_type is only for volumes that are made with the server.")
    if destination == "volume" and source in _SOURCES_WITH_SIZE and not size_gb:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: Images with destination_type 'volume' need to have a non-zero size specified."
                                if source == "image" else "Block Device Mapping is Invalid: Blank volumes (source: 'blank', dest: 'volume') need to have non-zero size.")
    bus = entry.get("disk_bus") or None
    if bus is not None and bus not in _BUSES:
        raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: disk_bus {bus} is none of {', '.join(_BUSES)}.")
    return BlockDevice(
        source=source, destination=destination, source_id=source_id, size_gb=size_gb, boot_index=_boot_index(entry.get("boot_index")),
        name=entry.get("device_name") or None, tag=entry.get("tag"), disk_bus=bus, device_type=entry.get("device_type") or None,
        delete_on_termination=schemas.is_true(entry.get("delete_on_termination", False)), guest_format=entry.get("guest_format") or None,
        volume_type=entry.get("volume_type") or None)


def _size(entry: Body) -> int | None:
    size = entry.get("volume_size")
    return None if size in (None, "") else int(size)


def _boot_index(value: object) -> int | None:
    """None: the disk is no one to boot from, which is also what a negative number says."""
    number = None if value in (None, "") else int(str(value))
    return number if number is not None and number >= 0 else None


def _of_old(entries: Sequence[Body], image_id: str | None) -> tuple[list[BlockDevice], bool]:
    """The entries of the first syntax, and whether the image is the root disk.

    The entry of the root device's name, or the only one where there is no image, is the root disk.
    """
    devices = []
    for entry in entries:
        if entry.get("no_device"):
            continue
        name = str(entry.get("device_name") or "")
        if str(entry.get("virtual_name") or "").startswith(("ephemeral", "swap")):
            is_swap = str(entry["virtual_name"]) == "swap"
            devices.append(BlockDevice(source="blank", destination="local", source_id=None, size_gb=_size(entry), name=name or None,
                                       guest_format="swap" if is_swap else None))
            continue
        of_snapshot = entry.get("snapshot_id")
        source_id = of_snapshot or entry.get("volume_id")
        if source_id is None:
            raise errors.BadRequest(reason="Block Device Mapping is Invalid: an entry names neither volume_id nor snapshot_id.")
        is_root = name.rstrip("0123456789").endswith("a") if name else image_id is None and len(entries) == 1
        devices.append(BlockDevice(
            source="snapshot" if of_snapshot else "volume", destination="volume", source_id=source_id, size_gb=_size(entry),
            boot_index=0 if is_root else None, name=name or None,
            delete_on_termination=schemas.is_true(entry.get("delete_on_termination", False))))
    return devices, image_id is not None and not any(device.is_root for device in devices)


def _of_image(entries: Sequence[Body], image_id: str | None, mapping: Sequence[Mapping[str, Any]]) -> BlockDevices:
    """The disks of an image that was made of a server on volumes; entries of the request with the same device's name take their place."""
    own = [_device(entry) for entry in entries if not entry.get("no_device") and not _is_local_root(entry, image_id)]
    names = {entry.get("device_name") for entry in entries}
    inherited = [_device(dict(entry)) for entry in mapping if entry.get("device_name") not in names or entry.get("device_name") is None]
    has_own_root = any(device.is_root for device in own)
    return _checked([*own, *(device for device in inherited if not (device.is_root and has_own_root))], image_id, has_local_root=False)


def _is_local_root(entry: Body, image_id: str | None) -> bool:
    return entry.get("source_type") == "image" and entry.get("destination_type", "local") == "local" and entry.get("uuid") == image_id


def mapping_of(properties: Mapping[str, str]) -> list[dict[str, Any]]:
    """The disks that an image describes by its property `block_device_mapping`; empty: none.

    :raises errors.BadRequest: it is no list of block devices. Any owner of an image may write there what they like.
    """
    if not schemas.is_true(properties.get("bdm_v2", False)):
        return []
    found = validation.parse_json(properties.get("block_device_mapping", "[]"), "The image's property block_device_mapping")
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise errors.BadRequest(reason="The image's property block_device_mapping is no list of block devices.")
    devices = [_of_property(entry) for entry in found]
    _VALIDATOR.body(_OF_IMAGE, {"block_device_mapping": devices})
    return devices


def _of_property(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have a value and that new servers may have."""
    known = {name: value for name, value in entry.items() if name in _DEVICE and value is not None}
    source = entry.get("snapshot_id") or entry.get("volume_id") or entry.get("image_id")
    return {**known, "uuid": source} if source else known


def _checked(devices: list[BlockDevice], image_id: str | None, *, has_local_root: bool) -> BlockDevices:
    """:raises errors.BadRequest: the disks to boot from are not numbered 0 to n, or two have a name."""
    order = sorted(device.boot_index for device in devices if device.boot_index is not None) if not has_local_root else sorted(
        [0, *(device.boot_index for device in devices if device.boot_index is not None)])
    if order != list(range(len(order))) or not order:
        raise errors.BadRequest(reason=_SEQUENCE)
    if sum(1 for device in devices if device.guest_format == "swap") > 1:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: More than one swap drive requested.")
    names = [device.name for device in devices if device.name]
    if len(names) != len(set(names)):
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: two entries have the same device_name.")
    volumes = sorted((device for device in devices if device.destination == "volume"), key=lambda device: not device.is_root)
    local = tuple(device for device in devices if device.destination == "local")
    return BlockDevices(image_id, has_local_root=has_local_root, volumes=tuple(volumes), local=local)


def check_local(devices: BlockDevices, flavor: Flavor, *, limit: int) -> None:
    """:raises errors.BadRequest: the local disks are more, or larger, than the flavor and the cloud allow."""
    swap_mb = sum((device.size_gb or 0) for device in devices.local if device.guest_format == "swap")
    if swap_mb > flavor.swap_mb:
        raise errors.BadRequest(reason="Block Device Mapping is Invalid: The swap drive requested is larger than instance type allows.")
    ephemeral = [device.size_gb if device.size_gb is not None else flavor.ephemeral_gb for device in devices.local if device.guest_format != "swap"]
    if sum(ephemeral) > flavor.ephemeral_gb:
        raise errors.BadRequest(
            reason="Block Device Mapping is Invalid: The ephemeral drives requested are larger than the flavor allows.")
    if 0 <= limit < len(devices.local) + devices.has_local_root:
        raise errors.BadRequest(reason=f"Block Device Mapping is Invalid: You specified more local devices than the limit of {limit} allows")
