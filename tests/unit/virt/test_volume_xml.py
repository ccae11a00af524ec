# SPDX-License-Identifier: Apache-2.0
"""Volumes in a domain's description: each kind of connection, names, limits; and the place that a guest's metadata has."""

from __future__ import annotations

import base64
import dataclasses
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from nova_lite.compute.virt.libvirt.storage import volume_secrets
from nova_lite.compute.virt.libvirt.xml import addresses, disk_devices, disk_names
from nova_lite.compute.virt.libvirt.xml.disk_devices import VolumeDisk
from nova_lite.compute.virt.libvirt.xml.volume_sources import address_of
from nova_lite.values.guest_disk import VolumeConnection
from nova_lite.values.hardware import Hardware
from nova_lite.values.instance_metadata import DevicePlace

VOLUME = "0f0e0d0c-0000-4000-8000-000000000001"
ATTACHMENT = "0f0e0d0c-0000-4000-8000-000000000002"
INITIATOR = "iqn.2010-10.org.openstack:node1"
ISCSI = {"target_portal": "192.0.2.1:3260", "target_iqn": "iqn.x:volume-1", "target_lun": 1, "auth_method": "CHAP",
         "auth_username": "user", "auth_password": "s3cret"}
RBD = {"name": "volumes/volume-1", "hosts": ["192.0.2.1", "192.0.2.2"], "ports": ["6789", "6790"], "auth_enabled": True,
       "auth_username": "cinder", "secret_uuid": "0f0e0d0c-0000-4000-8000-000000000003"}


def connected(kind: str, data: dict[str, Any], **changes: Any) -> VolumeConnection:
    return VolumeConnection(
        attachment_id=ATTACHMENT, volume_id=VOLUME, connection={"driver_volume_type": kind, "data": data}, **changes)


def written(volume: VolumeConnection, *, bus: str | None = None, name: str | None = None, taken: frozenset[str] = frozenset(),
            cache: str = "none") -> ET.Element:
    disk = VolumeDisk(volume=volume, initiator=INITIATOR, bus=bus, name=name, cache=cache)
    return disk_devices.one(disk, Hardware(), taken=taken)


def child(element: ET.Element, path: str) -> dict[str, str]:
    found = element.find(path)
    assert found is not None, ET.tostring(element)
    return found.attrib


def test_an_iscsi_target_is_reached_by_qemu_itself() -> None:
    element = written(connected("iscsi", ISCSI))
    assert element.get("type") == "network"
    assert child(element, "source") == {"protocol": "iscsi", "name": "iqn.x:volume-1/1"}
    assert child(element, "source/host") == {"name": "192.0.2.1", "port": "3260"}
    assert child(element, "source/auth") == {"username": "user"}
    assert child(element, "source/auth/secret") == {"type": "iscsi", "uuid": volume_secrets.secret_id(connected("iscsi", ISCSI))}
    assert child(element, "source/initiator/iqn") == {"name": INITIATOR}
    assert element.findtext("serial") == VOLUME
    assert "s3cret" not in ET.tostring(element, encoding="unicode")


def test_a_guest_stops_when_its_storage_goes_away() -> None:
    for volume in (connected("iscsi", ISCSI), connected("rbd", RBD), connected("nfs", {"export": "192.0.2.1:/srv", "name": "v"})):
        driver = child(written(volume), "driver")
        assert (driver["error_policy"], driver["rerror_policy"], driver["cache"], driver["discard"]) == ("stop", "stop", "none", "unmap")


def test_a_target_may_require_no_password() -> None:
    open_target = connected("iscsi", {key: ISCSI[key] for key in ("target_portal", "target_iqn", "target_lun")})
    assert written(open_target).find("source/auth") is None


def test_a_ceph_image_has_its_monitors_and_user() -> None:
    element = written(connected("rbd", RBD))
    assert child(element, "source") == {"protocol": "rbd", "name": "volumes/volume-1"}
    assert [host.attrib for host in element.iterfind("source/host")] == [
        {"name": "192.0.2.1", "port": "6789"}, {"name": "192.0.2.2", "port": "6790"}]
    assert child(element, "source/auth/secret") == {"type": "ceph", "uuid": RBD["secret_uuid"]}


def test_a_key_in_the_connection_is_a_secret_of_the_attachment() -> None:
    key = base64.b64encode(b"ceph").decode()
    for keyring in (key, f"[client.cinder]\n\tkey = {key}\n"):
        volume = connected("rbd", {**RBD, "keyring": keyring})
        assert volume_secrets._value(volume) == b"ceph"
        assert volume_secrets.secret_id(volume) != RBD["secret_uuid"]
    with pytest.raises(ValueError, match="no key"):
        volume_secrets._value(connected("rbd", {**RBD, "keyring": "not base64!"}))


def test_an_nfs_file_is_opened_by_qemu_itself() -> None:
    element = written(connected("nfs", {"export": "192.0.2.1:/srv/pool", "name": "volume-1", "format": "qcow2"}))
    assert child(element, "source") == {"protocol": "nfs", "name": "/srv/pool/volume-1"}
    assert child(element, "source/host") == {"name": "192.0.2.1"}
    assert child(element, "source/identity") == {"user": "+0", "group": "+0"}
    assert child(element, "driver")["type"] == "qcow2"


@pytest.mark.parametrize(("cache", "io"), [("none", "native"), ("writeback", "threads")])
def test_a_file_of_the_host_has_the_format_that_the_connection_says(cache: str, io: str) -> None:
    element = written(connected("local", {"device_path": "/pool/volume-1", "format": "qcow2"}), cache=cache)
    assert element.get("type") == "file"
    assert child(element, "source") == {"file": "/pool/volume-1"}
    assert (child(element, "driver")["type"], child(element, "driver")["io"]) == ("qcow2", io)
    assert child(written(connected("local", {"device_path": "/pool/volume-1"})), "driver")["type"] == "raw"


@pytest.mark.parametrize(("kind", "data", "reason"), [
    ("fibre_channel", {}, "by fibre_channel; possible here: iscsi, local, nfs, rbd"), ("", {}, "by nothing"),
    ("iscsi", {}, "by iscsi is incomplete: 'target_iqn'"), ("local", {"device_path": "/x", "format": "vmdk"}, "format vmdk"),
    ("iscsi", {**ISCSI, "encrypted": True}, "is encrypted"),
])
def test_a_connection_that_cannot_be_is_refused(kind: str, data: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        written(connected(kind, data))


def test_read_only_and_shared_volumes_say_so() -> None:
    element = written(connected("iscsi", ISCSI, is_read_only=True, is_shared=True))
    assert element.find("readonly") is not None
    assert element.find("shareable") is not None
    plain = written(connected("iscsi", ISCSI))
    assert plain.find("readonly") is None
    assert plain.find("shareable") is None


def test_limits_of_the_volumes_type_are_the_guests() -> None:
    specs = {"total_bytes_sec": "1048576", "read_iops_sec_max": "300", "size_iops_sec": "4096", "unknown": "1", "write_iops_sec": "many"}
    tune = written(connected("iscsi", {**ISCSI, "qos_specs": specs})).find("iotune")
    assert tune is not None
    assert {limit.tag: limit.text for limit in tune} == {
        "total_bytes_sec": "1048576", "read_iops_sec_max": "300", "size_iops_sec": "4096"}
    assert written(connected("iscsi", {**ISCSI, "qos_specs": None})).find("iotune") is None


@pytest.mark.parametrize(("bus", "requested", "taken", "name"), [
    (None, "/dev/vdc", set(), "vdc"), (None, "/dev/vdc", {"vdc", "vda"}, "vdb"), (None, "/dev/sdc", {"vda"}, "vdb"),
    (None, None, {"vda", "vdb"}, "vdc"), ("scsi", "/dev/sdb", set(), "sdb"), ("usb", None, {"sda"}, "sdb"), ("ide", "/dev/xvdb", set(), "hda"),
    (None, "/dev/vd", set(), "vda"), (None, None, {f"vd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"}, "vdaa"),
])
def test_a_volume_has_its_name_or_the_next_free_one(bus: str | None, requested: str | None, taken: set[str], name: str) -> None:
    assert child(written(connected("iscsi", ISCSI), bus=bus, name=requested, taken=frozenset(taken)), "target")["dev"] == name


def test_requested_names_go_before_all_but_the_disk_that_is_booted() -> None:
    assert disk_names.assign([("virtio", None), ("virtio", None), ("virtio", "/dev/vdb"), ("virtio", "/dev/vda"), ("scsi", None)]) == [
        "vda", "vdd", "vdb", "vdc", "sda"]
    assert disk_names.assign([]) == []


def test_scsi_disks_are_all_on_the_one_controller() -> None:
    address = child(written(connected("iscsi", ISCSI), bus="scsi", name="/dev/sdj"), "address")
    assert (address["controller"], address["unit"]) == ("0", "9")
    lsi = disk_devices.one(VolumeDisk(volume=connected("iscsi", ISCSI), initiator=INITIATOR, bus="scsi"), Hardware(scsi_model="lsilogic"), taken=())
    assert lsi.find("address") is None


@pytest.mark.parametrize(("portal", "address"), [
    ("192.0.2.1:3261", ("192.0.2.1", "3261")), ("192.0.2.1", ("192.0.2.1", "3260")), ("[2001:db8::1]:3260", ("2001:db8::1", "3260")),
    ("[2001:db8::1]", ("2001:db8::1", "3260")), ("2001:db8::1", ("2001:db8::1", "3260")),
])
def test_a_portal_has_a_host_and_a_port(portal: str, address: tuple[str, str]) -> None:
    assert address_of(portal) == address


def test_where_disks_are_is_read_by_their_serial_numbers() -> None:
    domain = ET.fromstring("""<domain><devices>
      <disk><target dev='vdb' bus='virtio'/><serial>one</serial><address type='pci' domain='0x0000' bus='0x00' slot='0x07' function='0x0'/></disk>
      <disk><target dev='sda' bus='scsi'/><serial>two</serial><address type='drive' controller='0' bus='0' target='0' unit='2'/></disk>
      <disk><target dev='sdb' bus='usb'/><serial>three</serial><address type='usb' bus='0' port='1'/></disk>
      <disk><target dev='sdc' bus='sata'/><serial>four</serial><address type='drive' controller='0' bus='0' target='0' unit='2'/></disk>
      <disk><target dev='vdc' bus='virtio'/></disk></devices></domain>""")
    assert addresses.of_disks(domain) == {
        "one": DevicePlace("pci", "0000:00:07.0", "/dev/vdb"), "two": DevicePlace("scsi", "0:0:0:2", "/dev/sda"),
        "three": DevicePlace("usb", "0:1", "/dev/sdb"), "four": DevicePlace("none", "none", "/dev/sdc")}


def test_the_same_attachment_has_the_same_secret_and_another_has_another() -> None:
    volume = connected("iscsi", ISCSI)
    other = dataclasses.replace(volume, attachment_id=VOLUME)
    assert volume_secrets.secret_id(volume) == volume_secrets.secret_id(dataclasses.replace(volume))
    assert volume_secrets.secret_id(volume) != volume_secrets.secret_id(other)
