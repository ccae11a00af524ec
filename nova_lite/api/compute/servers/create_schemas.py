# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of `POST /servers` and `PUT /servers/{id}` by microversion; the bounds are Nova's."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute.common.schemas import (
    BOOLEAN,
    DISK_CONFIG,
    HOST,
    IPV4,
    IPV6,
    METADATA,
    NAME,
    TEXT_OR_NULL,
    UUID,
    Schema,
    closed,
    integer,
    keyed,
)
from nova_lite.api.compute.servers import scheduler_hints

MAX_USER_DATA = 65535  # characters of base64, as in Nova
_UUID_OR_NULL: Schema = {"anyOf": [UUID, {"type": "null"}]}
_TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
TAGS: Schema = {"type": "array", "items": _TAG, "maxItems": 50}
_DEVICE_TAG = {"tag": _TAG}
HOSTNAME: Schema = {"type": "string", "minLength": 2, "maxLength": 63,
                    "pattern": r"^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$"}
FQDN: Schema = {"type": "string", "minLength": 2, "maxLength": 255,
                "pattern": r"^[a-zA-Z0-9]+[a-zA-Z0-9-.]*[a-zA-Z0-9]+$"}
_NUMBER_OR_NULL = {"anyOf": [*integer(0)["anyOf"], {"type": "null"}, {"type": "string", "maxLength": 0}]}
_DEVICE = {
    "boot_index": {"anyOf": [{"type": ["integer", "null"]}, {"type": "string", "pattern": r"^-?[0-9]{1,10}$"}]},
    "connection_info": {"type": "string", "maxLength": 16777215},
    "delete_on_termination": BOOLEAN,
    "destination_type": {"enum": ["local", "volume"]},
    "device_name": {"type": ["string", "null"], "maxLength": 255, "pattern": r"^[a-zA-Z0-9._/-]*$"},
    "device_type": {"type": ["string", "null"], "maxLength": 255},
    "disk_bus": {"type": ["string", "null"], "maxLength": 255},
    "guest_format": {"type": ["string", "null"], "maxLength": 255},
    "image_id": UUID, "no_device": {}, "snapshot_id": UUID,
    "source_type": {"enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {"type": ["string", "null"], "maxLength": 36},
    "virtual_name": {"type": "string", "maxLength": 255}, "volume_id": UUID, "volume_size": _NUMBER_OR_NULL,
}
# As an image's property has one, which is made of the server that it is of.
DEVICE_OF_IMAGE = {**{name: _DEVICE[name] for name in (
    "boot_index", "delete_on_termination", "destination_type", "device_name", "device_type", "disk_bus", "guest_format", "source_type", "uuid",
    "volume_size")}, **_DEVICE_TAG, "volume_type": {"type": "string", "maxLength": 255}}
_OLD_DEVICE = {name: _DEVICE[name] for name in (
    "connection_info", "delete_on_termination", "device_name", "no_device", "snapshot_id", "virtual_name",
    "volume_id", "volume_size")}
_NETWORK: Schema = {"fixed_ip": {"anyOf": [IPV4, IPV6]}, "port": _UUID_OR_NULL, "uuid": UUID}
_PASSWORD = {"type": "string"}
_CHANGEABLE: Schema = {"name": NAME, "accessIPv4": IPV4, "accessIPv6": IPV6, "OS-DCF:diskConfig": DISK_CONFIG}

_BASE: Schema = {
    **_CHANGEABLE,
    "flavorRef": {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "integer"}]},
    "imageRef": {"anyOf": [UUID, {"type": "string", "maxLength": 0}]},
    "adminPass": _PASSWORD,
    "availability_zone": {"type": "string", "minLength": 1, "maxLength": 255},
    "block_device_mapping": {"type": "array", "items": closed(_OLD_DEVICE)},
    "config_drive": {"anyOf": [*BOOLEAN["anyOf"], {"type": "null"}, {"type": "string", "maxLength": 0}]},
    "key_name": {"type": "string", "minLength": 1, "maxLength": 255},
    "min_count": integer(1), "max_count": integer(1),
    "metadata": METADATA,
    "return_reservation_id": BOOLEAN,
    "security_groups": {"type": "array", "items": {
        "type": "object", "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 255}}}},
    "user_data": {"type": "string", "maxLength": MAX_USER_DATA},
}
PERSONALITY = {"type": "array", "items": closed(
    {"path": {"type": "string"}, "contents": {"type": "string"}}, required=("path", "contents"))}
_SCHEDULER_HINTS = {name: scheduler_hints.SCHEMA for name in ("os:scheduler_hints", "OS-SCH-HNT:scheduler_hints")}


def _create(
    *, device: Schema, network: Schema, more: Schema, is_network_needed: bool
) -> Schema:
    """The body's schema in one range of microversions."""
    networks: Schema = {"type": "array", "items": closed(network)}
    if is_network_needed:
        networks = {"anyOf": [networks, {"enum": ["none", "auto"]}]}
    properties = {
        **_BASE, **more, "networks": networks,
        "block_device_mapping_v2": {"type": "array", "items": closed(device)},
    }
    required = ("name", "flavorRef", "networks") if is_network_needed else ("name", "flavorRef")
    return keyed("server", closed(properties, required=required), **_SCHEDULER_HINTS)


def _creates() -> dict[str, Schema]:
    """The schema of each microversion that changed the body."""
    state: dict[str, Any] = {"device": _DEVICE, "network": _NETWORK, "more": {"personality": PERSONALITY},
                             "is_network_needed": False}
    schemas_by_version = {"2.0": _create(**state)}

    def change(version: str, **changes: Any) -> None:
        state.update(changes)
        schemas_by_version[version] = _create(**state)

    change("2.19", more={**state["more"], "description": TEXT_OR_NULL})
    change("2.32", device={**_DEVICE, **_DEVICE_TAG}, network={**_NETWORK, **_DEVICE_TAG})
    change("2.33", device=_DEVICE)
    change("2.37", network=_NETWORK, is_network_needed=True)
    change("2.42", device={**_DEVICE, **_DEVICE_TAG}, network={**_NETWORK, **_DEVICE_TAG})
    change("2.52", more={**state["more"], "tags": TAGS})
    change("2.57", more={name: value for name, value in state["more"].items() if name != "personality"})
    change("2.63", more={**state["more"], "trusted_image_certificates": {
        "type": ["array", "null"], "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": 50}})
    change("2.67", device={**state["device"], "volume_type": {"type": ["string", "null"], "maxLength": 255}})
    change("2.74", more={**state["more"], "host": HOST, "hypervisor_hostname": HOST})
    change("2.90", more={**state["more"], "hostname": HOSTNAME})
    change("2.94", more={**state["more"], "hostname": FQDN})
    return schemas_by_version


CREATE = _creates()
_ZONE_OR_NULL: Schema = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}
UPDATE = {
    "2.0": keyed("server", closed(_CHANGEABLE)),  # Nova accepts an empty object, which changes nothing
    "2.19": keyed("server", closed({**_CHANGEABLE, "description": TEXT_OR_NULL})),
    "2.90": keyed("server", closed({**_CHANGEABLE, "description": TEXT_OR_NULL, "hostname": HOSTNAME})),
    "2.94": keyed("server", closed({**_CHANGEABLE, "description": TEXT_OR_NULL, "hostname": FQDN})),
    "2.104": keyed("server", closed({
        **_CHANGEABLE, "description": TEXT_OR_NULL, "hostname": FQDN, "pinned_availability_zone": _ZONE_OR_NULL})),
}
