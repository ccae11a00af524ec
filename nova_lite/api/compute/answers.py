# SPDX-License-Identifier: Apache-2.0
"""What the compute routes answer, for the OpenAPI document: the main ones' fields and their types; `small_answers` has the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from nova_lite.api.compute import (
    aggregates,
    flavors,
    hypervisors,
    instance_actions,
    keypairs,
    limits,
    server_groups,
    server_views,
    services,
    small_answers,
)
from nova_lite.api.wsgi.openapi import Schema, shape
from nova_lite.api.wsgi.routing import Field, Route
from nova_lite.api.wsgi.versions import Version

STRING: Schema = {"type": "string"}
WORD_OR_NULL: Schema = {"type": ["string", "null"]}
WHOLE: Schema = {"type": "integer"}
WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
YES_NO: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z?$"}
TIME_OR_NULL: Schema = {"anyOf": [TIME, {"type": "null"}]}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"}
WORDS: Schema = {"type": "object", "additionalProperties": STRING}
LIST: Schema = {"type": "array"}
OBJECT: Schema = {"type": "object"}
LINKS: Schema = {"type": "array", "items": {
    "type": "object", "properties": {"rel": STRING, "href": STRING, "type": STRING}, "required": ["rel", "href"],
    "additionalProperties": False}}
ADDRESSES: Schema = {"type": "object", "additionalProperties": {"type": "array", "items": {
    "type": "object", "properties": {"version": {"enum": [4, 6]}, "addr": STRING}, "required": ["version", "addr"]}}}
_STATUSES = ("ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT", "REBUILD",
             "RESCUE", "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF", "SOFT_DELETED", "SUSPENDED",
             "UNKNOWN", "VERIFY_RESIZE")

# Types by the field's name: of servers, and of the others.
SERVER: dict[str, Schema] = {
    "id": UUID, "name": STRING, "status": {"enum": list(_STATUSES)}, "tenant_id": STRING, "user_id": STRING, "metadata": WORDS,
    "hostId": STRING, "image": {"anyOf": [OBJECT, {"const": ""}]}, "flavor": OBJECT, "created": TIME, "updated": TIME,
    "accessIPv4": STRING, "accessIPv6": STRING, "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}, "locked": YES_NO,
    "description": WORD_OR_NULL, "tags": {"type": "array", "items": STRING}, "addresses": ADDRESSES, "key_name": WORD_OR_NULL,
    "config_drive": STRING, "OS-EXT-AZ:availability_zone": STRING, "OS-EXT-STS:task_state": WORD_OR_NULL,
    "OS-EXT-STS:vm_state": STRING, "OS-EXT-STS:power_state": WHOLE, "OS-SRV-USG:launched_at": TIME_OR_NULL,
    "OS-SRV-USG:terminated_at": TIME_OR_NULL, "os-extended-volumes:volumes_attached": LIST, "progress": WHOLE,
    "security_groups": {"type": "array", "items": {"type": "object", "required": ["name"]}}, "fault": OBJECT,
    "server_groups": {"type": "array", "items": UUID}, "locked_reason": WORD_OR_NULL, "host_status": STRING, "links": LINKS,
}
OTHERS: dict[str, Schema] = {
    "name": STRING, "ram": WHOLE, "disk": WHOLE, "vcpus": WHOLE, "OS-FLV-EXT-DATA:ephemeral": WHOLE,
    "OS-FLV-DISABLED:disabled": YES_NO, "os-flavor-access:is_public": YES_NO, "rxtx_factor": {"type": "number"},
    "extra_specs": WORDS, "description": WORD_OR_NULL, "public_key": STRING, "fingerprint": STRING, "type": STRING,
    "user_id": STRING, "project_id": STRING, "created_at": TIME_OR_NULL, "updated_at": TIME_OR_NULL, "deleted_at": TIME_OR_NULL,
    "deleted": YES_NO, "start_time": TIME, "finish_time": TIME_OR_NULL, "action": STRING, "instance_uuid": UUID,
    "request_id": STRING, "message": WORD_OR_NULL, "binary": STRING, "host": WORD_OR_NULL, "zone": STRING,
    "state": {"enum": ["up", "down"]}, "status": {"enum": ["enabled", "disabled"]}, "forced_down": YES_NO,
    "disabled_reason": WORD_OR_NULL, "policies": {"type": "array", "items": STRING}, "policy": STRING,
    "members": {"type": "array", "items": UUID}, "hypervisor_hostname": STRING, "hypervisor_type": STRING,
    "hypervisor_version": WHOLE, "availability_zone": WORD_OR_NULL, "uuid": UUID,
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """`{key: object}` or `{key: [object]}` with these fields; `inner`: each wrapped in one more object of this key.

    `is_open`: other properties may be there too. `links`: what the next page's link is called, where it is not `KEY_links`.
    """

    key: str
    fields: Iterable[Field]
    is_list: bool = False
    inner: str = ""
    types: dict[str, Schema] = dataclasses.field(default_factory=lambda: OTHERS)
    is_open: bool = False
    links: str = ""

    def schema(self, version: Version) -> Schema:
        """The whole body's schema."""
        one = shape(self.fields, version, self.types)
        if self.is_open:
            one["additionalProperties"] = True
        if self.inner:
            one = {"type": "object", "properties": {self.inner: one}, "required": [self.inner], "additionalProperties": False}
        value = {"type": "array", "items": one} if self.is_list else one
        more = {self.links or f"{self.key}_links": LINKS} if self.is_list else {}
        return {"type": "object", "properties": {self.key: value, **more}, "required": [self.key], "additionalProperties": False}


def _server(fields: Iterable[Field], *, is_list: bool = False) -> Answer:
    return Answer("servers" if is_list else "server", fields, is_list=is_list, types=SERVER, is_open=True)


ANSWERS: dict[str, Answer] = {
    "GET /servers": _server(server_views.INDEX, is_list=True),
    "GET /servers/detail": _server(server_views.DETAIL, is_list=True),
    "GET /servers/{server_id}": _server(server_views.SHOW),
    "PUT /servers/{server_id}": _server(server_views.UPDATE),
    "GET /flavors": Answer("flavors", flavors.INDEX_FIELDS, is_list=True, is_open=True),
    "GET /flavors/detail": Answer("flavors", flavors.FIELDS, is_list=True, is_open=True),
    "POST /flavors": Answer("flavor", flavors.FIELDS, is_open=True),
    "GET /flavors/{flavor_id}": Answer("flavor", flavors.FIELDS, is_open=True),
    "PUT /flavors/{flavor_id}": Answer("flavor", flavors.FIELDS, is_open=True),
    "GET /os-keypairs": Answer("keypairs", keypairs.LIST_FIELDS, is_list=True, inner="keypair"),
    "GET /os-keypairs/{name}": Answer("keypair", keypairs.SHOW_FIELDS),
    "POST /os-keypairs": Answer("keypair", keypairs.CREATE_FIELDS, is_open=True),
    "GET /os-server-groups": Answer("server_groups", server_groups.FIELDS, is_list=True),
    "POST /os-server-groups": Answer("server_group", server_groups.FIELDS),
    "GET /os-server-groups/{server_group_id}": Answer("server_group", server_groups.FIELDS),
    "GET /os-aggregates": Answer("aggregates", aggregates.FIELDS, is_list=True, is_open=True),
    "POST /os-aggregates": Answer("aggregate", aggregates.FIELDS, is_open=True),
    "GET /os-aggregates/{aggregate_id}": Answer("aggregate", aggregates.FIELDS, is_open=True),
    "PUT /os-aggregates/{aggregate_id}": Answer("aggregate", aggregates.FIELDS, is_open=True),
    "GET /os-services": Answer("services", services.FIELDS, is_list=True, is_open=True),
    "GET /os-hypervisors": Answer("hypervisors", hypervisors.NAME_FIELDS, is_list=True, is_open=True),
    "GET /os-hypervisors/detail": Answer("hypervisors", hypervisors.FIELDS, is_list=True, is_open=True),
    "GET /os-hypervisors/{hypervisor_id}": Answer("hypervisor", hypervisors.FIELDS, is_open=True),
    "GET /servers/{server_id}/os-instance-actions": Answer(
        "instanceActions", instance_actions.FIELDS, is_list=True, links="links"),
    "GET /servers/{server_id}/os-instance-actions/{request_id}": Answer("instanceAction", instance_actions.FIELDS, is_open=True),
}
_LIMITS: Schema = {"type": "object", "properties": {"rate": LIST, "absolute": {}}, "required": ["rate", "absolute"]}


def answers(route: Route, version: Version) -> Schema | None:
    """The schema of what the route answers with at this version; None: nothing."""
    key = f"{route.method} {route.path}"
    if key == "GET /limits":
        absolute = shape(limits.FIELDS, version, {field.name: WHOLE for field in limits.FIELDS})
        return {"type": "object", "properties": {"limits": {**_LIMITS, "properties": {"rate": LIST, "absolute": absolute}}},
                "required": ["limits"], "additionalProperties": False}
    if route.action is None and key in ANSWERS:
        return ANSWERS[key].schema(version)
    small = small_answers.SMALL.get(f"{key} {route.action}" if route.action else key)
    return small(version) if small else None
