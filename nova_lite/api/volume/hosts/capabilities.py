# SPDX-License-Identifier: Apache-2.0
"""What a backend can, for those who write extra specs of volume types."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, STRING, STRING_OR_NULL, closed, each
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import pools

_PROPERTY = closed(**each("title description type", STRING))
# Of capabilities that types may require: the title and what it means.
_PROPERTIES = {
    "multiattach": ("Multiattach", "Several servers may have a volume at once."),
    "thin_provisioning_support": ("Thin provisioning", "A volume takes the space of what is written to it."),
    "QoS_support": ("QoS", "Reads and writes of a volume can be limited."),
    "online_extend_support": ("Online extension", "A volume may grow while a server has it."),
    "compression": ("Compression", "What is written is compressed."),
    "encryption": ("Encryption", "Volumes can be encrypted."),
}


@route("GET", "/capabilities/{host_name}", policy=Rule("volume_extension:capabilities", ADMIN), response=closed(
    **each("namespace vendor_name volume_backend_name driver_version storage_protocol visibility", STRING),
    **each("pool_name display_name description", STRING_OR_NULL), replication_targets=EMPTY_LIST,
    properties={"type": "object", "additionalProperties": _PROPERTY}))
def show(req: Request, host_name: str) -> Body:
    """Show what a backend, or one of its pools, reports. 200. 404: no such backend, or it has reported nothing yet."""
    found = [pool for pool in pools.pools(req.db) if host_name in (pool.name, pool.name.partition("#")[0])]
    if not found:
        raise errors.NotFound(f"Backend {host_name} could not be found.")
    reported = {"vendor_name": "", "driver_version": "", "storage_protocol": "unknown", **found[0].capabilities}
    return {
        "namespace": f"OS::Storage::Capabilities::{host_name}", "vendor_name": str(reported["vendor_name"]),
        "volume_backend_name": str(reported.get("volume_backend_name", found[0].backend)), "pool_name": found[0].pool,
        "driver_version": str(reported["driver_version"]), "storage_protocol": str(reported["storage_protocol"]),
        "display_name": None, "description": None, "visibility": "public", "replication_targets": [],
        "properties": {name: {"title": title, "description": text, "type": "boolean"}
                       for name, (title, text) in _PROPERTIES.items() if reported.get(name)},
    }
