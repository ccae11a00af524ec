# SPDX-License-Identifier: Apache-2.0
"""Secrets of volumes' connections: given to libvirt before a guest needs them; libvirt keeps them in memory only."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from nova_lite.compute.virt.libvirt.xml.elements import text
from nova_lite.values.guest_disk import VolumeConnection

# Of the names of secrets: the same attachment has the same one on every host.
_NAMESPACE = uuid.UUID("0d0f4f0c-6a2e-4b0e-9a55-3d3f6a2c8e17")
_KEYRING = re.compile(r"^\s*key\s*=\s*(\S+)\s*$", re.MULTILINE)


def secret_id(volume: VolumeConnection) -> str:
    """The UUID of the connection's secret in libvirt: the operator's own, if the connection names one without its value."""
    named = volume.data.get("secret_uuid")
    return str(named) if named and _value(volume) is None else str(uuid.uuid5(_NAMESPACE, volume.attachment_id))


def define(conn: Any, volume: VolumeConnection) -> None:  # libvirt has no types
    """Give libvirt the connection's secret, if it has one; the same again is fine.

    :raises ValueError: it is no secret of its kind.
    """
    value = _value(volume)
    if value is None:
        return
    element = ET.Element("secret", ephemeral="yes", private="yes")
    text(element, "uuid", secret_id(volume))
    # The usage is a label, unique in libvirt.
    kind, label = ("ceph", "name") if volume.type == "rbd" else ("iscsi", "target")
    text(ET.SubElement(element, "usage", type=kind), label, f"nova-{volume.attachment_id}")
    conn.secretDefineXML(ET.tostring(element, encoding="unicode")).setValue(value)


def undefine(conn: Any, volume: VolumeConnection) -> None:  # libvirt has no types
    """Remove the connection's secret from libvirt; none is fine, and one of the operator's stays."""
    if _value(volume) is None:
        return
    try:
        conn.secretLookupByUUIDString(secret_id(volume)).undefine()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
            raise


def password(volume: VolumeConnection) -> str | None:
    """Of CHAP; None: the target requires none."""
    value = volume.data.get("auth_password")
    return str(value) if value and volume.type == "iscsi" else None


def _value(volume: VolumeConnection) -> bytes | None:
    """The secret's bytes; None: there is none, or libvirt has it from the operator.

    :raises ValueError: the key of a Ceph user is not base64.
    """
    chap = password(volume)
    if chap is not None:
        return chap.encode()
    keyring = volume.data.get("keyring")
    if volume.type != "rbd" or not keyring:
        return None
    found = _KEYRING.search(str(keyring))
    try:
        return base64.b64decode(found.group(1) if found else str(keyring).strip(), validate=True)
    except binascii.Error as error:
        raise ValueError("the keyring of the volume's connection holds no key") from error
