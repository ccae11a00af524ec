# SPDX-License-Identifier: Apache-2.0
"""The words in which `answers` and `small_answers` describe answers: JSON schemas of the parts that many have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nova_lite.api.wsgi.responses import Field, Schema
from nova_lite.api.wsgi.rules import ANYONE
from nova_lite.api.wsgi.versions import Version

STRING: Schema = {"type": "string"}
WORD_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
NUMBER: Schema = {"type": "number"}
YES_NO: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?$"}
TIME_OR_NULL: Schema = {"anyOf": [TIME, {"type": "null"}]}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"}
WORDS: Schema = {"type": "object", "additionalProperties": STRING}
OBJECT: Schema = {"type": "object"}


def closed(optional: Mapping[str, Schema] | None = None, /, **properties: Schema) -> Schema:
    """An object of these properties; those of `optional` may be missing."""
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": sorted(properties),
            "additionalProperties": False}


def many(item: Schema) -> Schema:
    """A list of these."""
    return {"type": "array", "items": item}


def words(names: str, schema: Schema) -> dict[str, Schema]:
    """The same schema for each of these names."""
    return dict.fromkeys(names.split(), schema)


LINKS: Schema = many(closed({"type": STRING}, rel=STRING, href=STRING))
AGGREGATE: dict[str, Schema] = {"hosts": many(STRING), "metadata": WORDS}
SERVICE_OF_HYPERVISOR: Schema = closed(id={"type": ["integer", "string"]}, host=STRING, disabled_reason=WORD_OR_NULL)
GUESTS: Schema = many(closed(uuid=UUID, name=STRING))
_STATUSES = ("ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT", "REBUILD",
             "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF", "SOFT_DELETED", "SUSPENDED",
             "UNKNOWN", "VERIFY_RESIZE")
_FAULT: Schema = closed({"details": STRING}, code=WHOLE, message=STRING, created=STRING)
_LINKED: Schema = closed(id=STRING, links=LINKS)
_SIZES = closed({"extra_specs": WORDS}, original_name=STRING, **words("vcpus ram disk ephemeral swap", WHOLE))


def addresses(version: Version, *, is_plain: bool = False) -> Schema:
    """A server's addresses by network; `is_plain`: without what extensions added (PUT and rebuild, before 2.75)."""
    more = {} if is_plain and version.minor < 75 else {
        "OS-EXT-IPS:type": {"enum": ["fixed", "floating"]}, "OS-EXT-IPS-MAC:mac_addr": STRING}
    return {"type": "object", "additionalProperties": many(closed(version={"enum": [4, 6]}, addr=STRING, **more))}


def server(version: Version, *, is_plain: bool = False) -> dict[str, Schema]:
    """Types of a server's fields by name; `is_plain`: as of PUT and rebuild."""
    image = closed({"properties": OBJECT}, id=STRING, links=LINKS) if version.minor >= 98 else _LINKED
    volume = {"delete_on_termination": YES_NO} if version.minor >= 3 else {}
    return {
        "id": UUID, "name": STRING, "status": {"enum": list(_STATUSES)}, "metadata": WORDS, "locked": YES_NO,
        **words("tenant_id user_id hostId accessIPv4 accessIPv6 config_drive host_status", STRING),
        **words("OS-EXT-AZ:availability_zone OS-EXT-STS:vm_state OS-EXT-SRV-ATTR:instance_name", STRING),
        **words("OS-EXT-SRV-ATTR:hostname OS-EXT-SRV-ATTR:reservation_id OS-EXT-SRV-ATTR:kernel_id", STRING),
        **words("OS-EXT-SRV-ATTR:ramdisk_id", STRING), **words("created updated", TIME),
        **words("description key_name locked_reason OS-EXT-STS:task_state user_data pinned_availability_zone", WORD_OR_NULL),
        **words("OS-EXT-SRV-ATTR:host OS-EXT-SRV-ATTR:hypervisor_hostname", WORD_OR_NULL),
        **words("OS-EXT-SRV-ATTR:root_device_name OS-EXT-SRV-ATTR:user_data", WORD_OR_NULL),
        **words("OS-SRV-USG:launched_at OS-SRV-USG:terminated_at", TIME_OR_NULL),
        **words("OS-EXT-STS:power_state OS-EXT-SRV-ATTR:launch_index", WHOLE),
        "image": {"anyOf": [image, {"const": ""}]}, "flavor": _SIZES if version.minor >= 47 else _LINKED,
        "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}, "tags": many(STRING), "server_groups": many(UUID),
        "addresses": addresses(version, is_plain=is_plain), "trusted_image_certificates": {"type": ["array", "null"]},
        "os-extended-volumes:volumes_attached": many(closed(id=STRING, **volume)), "scheduler_hints": OBJECT,
    }


def of_some_servers(version: Version, *, is_plain: bool = False) -> dict[str, Schema]:
    """What only servers in certain states, or with security groups, show."""
    groups = {} if is_plain and version.minor < 75 else {"security_groups": many(closed(name=STRING))}
    return {"progress": WHOLE, "fault": _FAULT, **groups}


def shape(fields: Iterable[Field], version: Version, types: Mapping[str, Schema], **more: Schema) -> Schema:
    """The object that `responses.view` makes of these fields at this version, with `more` properties beside."""
    held = [field for field in fields if field.versions.holds(version)]
    properties = {field.name: types.get(field.name, {}) for field in held} | more
    required = sorted({field.name for field in held if field.role == ANYONE} | set(more))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
