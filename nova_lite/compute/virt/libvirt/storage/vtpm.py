# SPDX-License-Identifier: Apache-2.0
"""Keys of guests' TPMs: kept beside a guest's disks, given to libvirt, which encrypts the TPM's state with them."""

from __future__ import annotations

import base64
import os
import secrets
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt

from nova_lite.compute.virt.libvirt.xml.elements import text

KEY_FILE = "vtpm.key"
# Of the names of secrets: the same server has the same one on every host.
_NAMESPACE = uuid.UUID("6c2f7f0e-5d0e-4c57-9f39-8d2b6f1b2c11")


def secret_id(server_id: str) -> str:
    """The UUID of the server's secret in libvirt."""
    return str(uuid.uuid5(_NAMESPACE, server_id))


def define_secret(conn: Any, directory: Path, server_id: str) -> None:
    """Give libvirt the guest's key, which it keeps in memory only; the key is made when the guest has none."""
    element = ET.Element("secret", ephemeral="yes", private="yes")
    text(element, "uuid", secret_id(server_id))
    text(ET.SubElement(element, "usage", type="vtpm"), "name", f"nova-{server_id}")
    conn.secretDefineXML(ET.tostring(element, encoding="unicode")).setValue(_key(directory / KEY_FILE))


def undefine_secret(conn: Any, server_id: str) -> None:
    """Remove the key from libvirt; none is fine."""
    try:
        conn.secretLookupByUUIDString(secret_id(server_id)).undefine()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SECRET:
            raise


def _key(path: Path) -> bytes:
    """32 random bytes as text, as a passphrase has no zeros; written whole or not at all, readable by root only."""
    if not path.exists():
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)))
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return path.read_bytes()
