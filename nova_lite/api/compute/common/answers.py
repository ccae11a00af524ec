# SPDX-License-Identifier: Apache-2.0
"""What the compute routes answer, for the OpenAPI document: the main ones' fields and their types; `small_answers` has the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from nova_lite.api.compute.common import answer_schemas, small_answers
from nova_lite.api.compute.common.answer_schemas import (
    LINKS,
    STRING,
    TIME,
    TIME_OR_NULL,
    UUID,
    WHOLE,
    WORD_OR_NULL,
    WORDS,
    YES_NO,
    closed,
    many,
    shape,
    words,
)
from nova_lite.api.compute.hosts import aggregates, hypervisors, services
from nova_lite.api.compute.keypairs import keypairs
from nova_lite.api.compute.quotas import limits
from nova_lite.api.wsgi.responses import Field, Schema
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.versions import Version

Parts = Callable[[Version], Mapping[str, Schema]]

# Types by the field's name, of all but servers.
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
    "hypervisor_version": WHOLE, "availability_zone": WORD_OR_NULL, "uuid": UUID, "service": answer_schemas.SERVICE_OF_HYPERVISOR, "host_ip": WORD_OR_NULL,
    "rules": closed({"max_server_per_host": WHOLE}), "metadata": WORDS, "uptime": WORD_OR_NULL, "private_key": STRING,
    "cpu_info": {"type": ["string", "object"]}, "swap": {"anyOf": [WHOLE, {"const": ""}]}, "event": STRING, "result": WORD_OR_NULL,
    "traceback": WORD_OR_NULL, "hostId": STRING, "details": WORD_OR_NULL, **words(
        "vcpus_used memory_mb memory_mb_used free_ram_mb local_gb local_gb_used free_disk_gb disk_available_least running_vms "
        "current_workload", WHOLE),
}


def _others(_version: Version) -> Mapping[str, Schema]:
    return OTHERS


def _nothing(_version: Version) -> Mapping[str, Schema]:
    return {}


@dataclasses.dataclass(frozen=True)
class Answer:
    """`{key: object}` or `{key: [object]}` with these fields; `inner`: each wrapped in one more object of this key.

    `always` is beside the fields, `sometimes` may be. `links`: what the next page's link is called, where it is not
    `KEY_links`.
    """

    key: str
    fields: Iterable[Field]
    is_list: bool = False
    inner: str = ""
    types: Parts = _others
    always: Mapping[str, Schema] = dataclasses.field(default_factory=dict)
    sometimes: Parts = _nothing
    links: str = ""

    def schema(self, version: Version) -> Schema:
        """The whole body's schema."""
        one = shape(self.fields, version, self.types(version), **self.always)
        one["properties"] |= self.sometimes(version)
        if self.inner:
            one = closed(**{self.inner: one})
        if self.is_list:
            return closed({self.links or f"{self.key}_links": LINKS}, **{self.key: many(one)})
        return closed(**{self.key: one})


def _guests(version: Version) -> Mapping[str, Schema]:
    return {"servers": answer_schemas.GUESTS} if version.minor >= 53 else {}


def _hypervisors(key: str, fields: Iterable[Field], *, is_list: bool = False) -> Answer:
    return Answer(key, fields, is_list=is_list, sometimes=_guests)


def _private_key(version: Version) -> Mapping[str, Schema]:
    """Of a pair that was made here, not imported; from 2.92 on all are imported."""
    return {"private_key": STRING} if version.minor < 92 else {}


ANSWERS: dict[str, Answer] = {
    "GET /os-keypairs": Answer("keypairs", keypairs.LIST_FIELDS, is_list=True, inner="keypair"),
    "GET /os-keypairs/{name}": Answer("keypair", keypairs.SHOW_FIELDS),
    "POST /os-keypairs": Answer("keypair", keypairs.CREATE_FIELDS, sometimes=_private_key),
    "GET /os-aggregates": Answer("aggregates", aggregates.FIELDS, is_list=True, always=answer_schemas.AGGREGATE),
    "POST /os-aggregates": Answer("aggregate", aggregates.FIELDS),
    "GET /os-aggregates/{aggregate_id}": Answer("aggregate", aggregates.FIELDS, always=answer_schemas.AGGREGATE),
    "PUT /os-aggregates/{aggregate_id}": Answer("aggregate", aggregates.FIELDS, always=answer_schemas.AGGREGATE),
    **{f"POST /os-aggregates/{{aggregate_id}}/action {name}": Answer("aggregate", aggregates.FIELDS, always=answer_schemas.AGGREGATE)
       for name in ("add_host", "remove_host", "set_metadata")},
    "GET /os-services": Answer("services", services.FIELDS, is_list=True),
    "GET /os-hypervisors": _hypervisors("hypervisors", hypervisors.NAME_FIELDS, is_list=True),
    "GET /os-hypervisors/detail": _hypervisors("hypervisors", hypervisors.FIELDS, is_list=True),
    "GET /os-hypervisors/{hypervisor_id}": _hypervisors("hypervisor", hypervisors.FIELDS),
}


def answers(route: Route, version: Version) -> Schema | None:
    """The schema of what the route answers with at this version; None: nothing."""
    key = f"{route.method} {route.path} {route.action or ''}".rstrip()
    if key == "GET /limits":
        absolute = shape(limits.FIELDS, version, {field.name: WHOLE for field in limits.FIELDS})
        return closed(limits=closed(rate={"type": "array", "maxItems": 0}, absolute=absolute))
    if key in ANSWERS:
        return ANSWERS[key].schema(version)
    small = small_answers.SMALL.get(key)
    return small(version) if small else None
