# SPDX-License-Identifier: Apache-2.0
"""How one volume is encrypted: compute services read it before each attach."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common.find import find
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import INTEGER_OR_NULL, STRING_OR_NULL, Property
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.db.volume import volume_types

_POLICY = Rule("volume_extension:volume_encryption_metadata", READER)
_NAMES = ("control_location", "cipher", "key_size", "provider")
_RESPONSE = (
    Property("encryption_key_id", STRING_OR_NULL),
    *(Property(name, INTEGER_OR_NULL if name == "key_size" else STRING_OR_NULL, is_optional=True) for name in _NAMES))


@route("GET", "/volumes/{volume_id}/encryption", policy=_POLICY, response=_RESPONSE)
def index(req: Request, volume_id: str) -> Body:
    """Show the volume's key and its type's cipher.

    200 with them; of a plain volume the key is null, and there is nothing else. 404: no such volume in the project.
    """
    volume = find(req, volume_id)
    found: Body = {"encryption_key_id": volume.encryption_key_id}
    cipher = volume_types.encryption_of(req.db, volume.volume_type_id or "") if volume.encryption_key_id else None
    if cipher is None:
        return found
    return found | {"control_location": cipher.control_location, "cipher": cipher.cipher, "key_size": cipher.key_size, "provider": cipher.provider}


@route("GET", "/volumes/{volume_id}/encryption/{key}", policy=_POLICY)
def show(req: Request, volume_id: str, key: str) -> Reply:
    """Show one of these values, as text.

    200 with it. 404: no such volume in the project, or no such value.
    """
    found = index(req, volume_id)
    if key not in found:
        raise errors.NotFound(f"Volume {volume_id} has no encryption metadata {key}.")
    text = "" if found[key] is None else str(found[key])
    return Reply(stream=[text.encode()], content_type="text/plain")
