# SPDX-License-Identifier: Apache-2.0
"""How a server is shown: its fields by microversion and role; a page of servers takes a fixed number of queries."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from nova_lite.api.compute.common.links import micros, seconds
from nova_lite.api.compute.common.policy_checks import may
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    LINKS,
    OBJECT,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Fields,
    Property,
    Schema,
    closed,
    each,
    many,
)
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.api.wsgi.versions import Version, parse
from nova_lite.db.compute import server_detail, server_lists
from nova_lite.db.compute.servers import Server, instance_name
from nova_lite.db.volume import attachments
from nova_lite.lifecycle.servers import status_of

EXTENDED = Rule("os_compute_api:os-extended-server-attributes", ADMIN)
STATUS = Rule("os_compute_api:servers:show:host_status", ADMIN)
STATUS_UNKNOWN = Rule("os_compute_api:servers:show:host_status:unknown-only", ADMIN)
EXTRA_SPECS = Rule("os_compute_api:servers:show:flavor-extra-specs", READER)
RULES = (EXTENDED, STATUS, STATUS_UNKNOWN, EXTRA_SPECS)
_UNKNOWN = "UNKNOWN"
_ONLY_UNKNOWN = "host_status: only if unknown"  # a member of ServerView.granted
# A mapped server, or a tuple with the names of its columns.
Row = Server | sa.Row[Any]
_SHOWS_PROGRESS = {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"}
_SHOWS_FAULT = {"ERROR", "DELETED"}


@dataclasses.dataclass(slots=True)
class ServerView:
    """One server with everything its document may show; `root` is the URL without a version, for bookmarks.

    `granted`: names of the RULES that the policy allows the caller, and the caller's roles.
    """

    row: Any  # a Row: attributes of either kind
    root: str
    addresses: dict[str, list[dict[str, Any]]]
    groups: list[dict[str, str]]
    host_status: str
    granted: frozenset[str] = frozenset()
    volumes: Sequence[Body] = ()


def _linked(collection: str, resource_id: str, root: str) -> Body:
    return {"id": resource_id, "links": [{"rel": "bookmark", "href": f"{root}/{collection}/{resource_id}"}]}


def _image(server: ServerView) -> Body | str:
    return _linked("images", server.row.image_id, server.root) if server.row.image_id else ""


def _canonical(address: str | None) -> str:
    return str(ipaddress.ip_address(address)) if address else ""


def _image_with_properties(server: ServerView) -> Body | str:
    image = _image(server)
    return {**image, "properties": server.row.image_properties} if isinstance(image, dict) else image


def _embedded_flavor(server: ServerView) -> Body:
    flavor = server.row.flavor
    view = {"vcpus": flavor.vcpus, "ram": flavor.ram_mb, "disk": flavor.root_gb, "ephemeral": flavor.ephemeral_gb,
            "swap": flavor.swap_mb, "original_name": flavor.name}
    return {**view, "extra_specs": dict(flavor.extra_specs)} if EXTRA_SPECS.name in server.granted else view


def host_id(project_id: str, host: str | None) -> str:
    """An opaque id of the host, equal for all servers of the project on it."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def plain_addresses(by_network: dict[str, list[dict[str, Any]]]) -> dict[str, list[Body]]:
    """Addresses without the fields of extensions, as PUT and rebuild (before 2.75) and `ips` show them."""
    return {network: [{"version": address["version"], "addr": address["addr"]} for address in addresses]
            for network, addresses in by_network.items()}


def _updated(server: ServerView) -> str:
    return seconds(server.row.updated_at or server.row.created_at)


_STATUS: Schema = {"enum": [
    "ACTIVE", "BUILD", "DELETED", "ERROR", "HARD_REBOOT", "MIGRATING", "PASSWORD", "PAUSED", "REBOOT", "REBUILD", "RESCUE",
    "RESIZE", "REVERT_RESIZE", "SHELVED", "SHELVED_OFFLOADED", "SHUTOFF", "SOFT_DELETED", "SUSPENDED", "UNKNOWN",
    "VERIFY_RESIZE"]}
_LINKED = closed(id=STRING, links=LINKS)
_NO_IMAGE: Schema = {"const": ""}
_IMAGE: Schema = {"anyOf": [_LINKED, _NO_IMAGE]}
_IMAGE_WITH_PROPERTIES: Schema = {"anyOf": [closed({"properties": OBJECT}, id=STRING, links=LINKS), _NO_IMAGE]}
_FLAVOR = closed({"extra_specs": STRINGS}, original_name=STRING, **each("vcpus ram disk ephemeral swap", INTEGER))
_ADDRESS: dict[str, Schema] = {"version": {"enum": [4, 6]}, "addr": STRING}
PLAIN_ADDRESSES = many(closed(**_ADDRESS))
_PLAIN_ADDRESSES: Schema = {"type": "object", "additionalProperties": PLAIN_ADDRESSES}
_FULL_ADDRESSES: Schema = {"type": "object", "additionalProperties": many(closed(
    **_ADDRESS, **{"OS-EXT-IPS:type": {"enum": ["fixed", "floating"]}, "OS-EXT-IPS-MAC:mac_addr": STRING}))}
_FAULT = closed({"details": STRING}, code=INTEGER, message=STRING, created=STRING)
# What `_document` adds to the fields: links always, the others in certain states or with security groups.
_LINKS_PROPERTY = Property("links", LINKS)
_ADDED = (_LINKS_PROPERTY, Property("progress", INTEGER, is_optional=True), Property("fault", _FAULT, is_optional=True))
_SECURITY_GROUPS = many(closed(name=STRING))
_ADDED_ALL = (*_ADDED, Property("security_groups", _SECURITY_GROUPS, is_optional=True))
_ADDED_SINCE_2_75 = (*_ADDED, Property("security_groups", _SECURITY_GROUPS, since="2.75", is_optional=True))
# Fields of every response about a server; those of _EXTENDED joined the response to PUT at 2.75.
_BASE = (
    Field("id", lambda server: server.row.id, UUID),
    Field("name", lambda server: server.row.name, STRING),
    Field("status", lambda server: status_of(server.row.vm_state, server.row.task_state), _STATUS),
    Field("tenant_id", lambda server: server.row.project_id, STRING),
    Field("user_id", lambda server: server.row.user_id, STRING),
    Field("metadata", lambda server: server.row.metadata_items, STRINGS),
    Field("hostId", lambda server: host_id(server.row.project_id, server.row.host), STRING),
    Field("image", _image, _IMAGE, until="2.97"),
    Field("image", _image_with_properties, _IMAGE_WITH_PROPERTIES, since="2.98"),
    Field("flavor", lambda server: _linked("flavors", server.row.flavor.id, server.root), _LINKED, until="2.46"),
    Field("flavor", _embedded_flavor, _FLAVOR, since="2.47"),
    Field("created", lambda server: seconds(server.row.created_at), TIME),
    Field("updated", _updated, TIME),
    Field("accessIPv4", lambda server: server.row.access_ip_v4 or "", STRING),
    Field("accessIPv6", lambda server: _canonical(server.row.access_ip_v6), STRING),
    Field("OS-DCF:diskConfig", lambda server: server.row.disk_config, {"enum": ["AUTO", "MANUAL"]}),
    Field("locked", lambda server: server.row.locked_by is not None, BOOLEAN, since="2.9"),
    Field("description", lambda server: server.row.description, STRING_OR_NULL, since="2.19"),
    Field("tags", lambda server: server.row.tags, many(STRING), since="2.26"),
    Field("trusted_image_certificates", lambda _: None, {"type": ["array", "null"]}, since="2.63"),
    Field("locked_reason", lambda server: server.row.locked_reason, STRING_OR_NULL, since="2.73"),
    Field("pinned_availability_zone", lambda server: server.row.requested_az, STRING_OR_NULL, since="2.96"),
    Field("scheduler_hints", lambda server: server.row.scheduler_hints or {}, OBJECT, since="2.100"),
)
_EXTENDED = (
    Field("key_name", lambda server: server.row.key_name, STRING_OR_NULL),
    Field("config_drive", lambda server: "True" if server.row.config_drive else "", STRING),
    Field("OS-EXT-AZ:availability_zone", lambda server: server.row.availability_zone or server.row.requested_az or "", STRING),
    Field("OS-EXT-STS:task_state", lambda server: server.row.task_state, STRING_OR_NULL),
    Field("OS-EXT-STS:vm_state", lambda server: server.row.vm_state, STRING),
    Field("OS-EXT-STS:power_state", lambda server: server.row.power_state, INTEGER),
    Field("OS-SRV-USG:launched_at", lambda server: micros(server.row.launched_at), TIME_OR_NULL),
    Field("OS-SRV-USG:terminated_at", lambda server: micros(server.row.terminated_at), TIME_OR_NULL),
    Field("os-extended-volumes:volumes_attached", lambda server: [{"id": one["id"]} for one in server.volumes], many(closed(id=STRING)),
          until="2.2"),
    Field("os-extended-volumes:volumes_attached", lambda server: server.volumes, many(closed(id=STRING, delete_on_termination=BOOLEAN)),
          since="2.3"),
    Field("OS-EXT-SRV-ATTR:host", lambda server: server.row.host, STRING_OR_NULL, role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:hypervisor_hostname", lambda server: server.row.host, STRING_OR_NULL, role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:instance_name", lambda server: instance_name(server.row.number), STRING, role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:hostname", lambda server: server.row.hostname, STRING, since="2.3", until="2.89", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:hostname", lambda server: server.row.hostname, STRING, since="2.90", role=READER),
    Field("OS-EXT-SRV-ATTR:reservation_id", lambda server: server.row.reservation_id, STRING, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:launch_index", lambda server: server.row.launch_index, INTEGER, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:kernel_id", lambda _: "", STRING, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:ramdisk_id", lambda _: "", STRING, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:root_device_name", lambda server: server.row.root_device_name, STRING_OR_NULL,
          since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:user_data", lambda server: server.row.user_data, STRING_OR_NULL, since="2.3", role=EXTENDED.name),
    Field("host_status", lambda server: server.host_status, STRING, since="2.16", role=STATUS.name),
)
_ADDRESSES = Field("addresses", lambda server: server.addresses, _FULL_ADDRESSES)
_GROUPS = Field("server_groups", lambda server: [server.row.group_id] if server.row.group_id else [], many(UUID), since="2.71")

INDEX: tuple[Field, ...] = _BASE[:2]
DETAIL: tuple[Field, ...] = (*_BASE, _ADDRESSES, *_EXTENDED)
SHOW: tuple[Field, ...] = (*DETAIL, _GROUPS)
# The response to PUT got the fields of the others at 2.75: each starts at the later of the two versions.
_PLAIN = Field("addresses", lambda server: plain_addresses(server.addresses), _PLAIN_ADDRESSES, until="2.74")
UPDATE: tuple[Field, ...] = (*_BASE, _PLAIN, _GROUPS, *(
    dataclasses.replace(field, since=str(max(field.versions.since, parse("2.75"))))
    for field in (_ADDRESSES, *_EXTENDED)))
# The response to rebuild is that of PUT with its own `key_name` and `user_data`, without the user data that show has.
REBUILD: tuple[Field, ...] = (
    *(dataclasses.replace(field, since="2.54") if field.name == "key_name" else field
      for field in UPDATE if field.name != "OS-EXT-SRV-ATTR:user_data"),
    Field("user_data", lambda server: server.row.user_data, STRING_OR_NULL, since="2.57"),
)
# Shapes of the responses, with what is added to the fields.
INDEX_RESPONSE: Fields = (*INDEX, _LINKS_PROPERTY)
DETAIL_RESPONSE: Fields = (*DETAIL, *_ADDED_ALL)
SHOW_RESPONSE: Fields = (*SHOW, *_ADDED_ALL)
UPDATE_RESPONSE: Fields = (*UPDATE, *_ADDED_SINCE_2_75)
REBUILD_RESPONSE: Fields = (*REBUILD, *_ADDED_SINCE_2_75, Property("adminPass", STRING))

Reader = tuple[str, Callable[[ServerView], Any]]


@functools.lru_cache(maxsize=512)
def _readers(fields: tuple[Field, ...], version: Version, granted: frozenset[str]) -> tuple[Reader, ...]:
    """The fields that the caller sees at this version: computed once, then read for every server."""
    return tuple((field.name, field.read) for field in fields
                 if field.versions.holds(version) and (not field.role or field.role in granted))


def _granted(req: Request) -> frozenset[str]:
    """The caller's roles and the names of the rules that allow it: a field's `role` is either."""
    allowed = {rule.name for rule in RULES if may(req, rule)}
    if STATUS_UNKNOWN.name in allowed and STATUS.name not in allowed:
        allowed |= {STATUS.name, _ONLY_UNKNOWN}  # `_document` removes every other value of the field
    return req.ctxt.roles | allowed


def index(req: Request, rows: Sequence[Row]) -> list[Body]:
    """Servers with id, name and links."""
    root = req.base_url.rsplit("/", 1)[0]
    return [{"id": row.id, "name": row.name, "links": _links(req.base_url, root, row.id)} for row in rows]


def documents(req: Request, rows: Sequence[Row], fields: tuple[Field, ...] = DETAIL) -> list[Body]:
    """Servers in full; four queries at most, however many servers."""
    root = req.base_url.rsplit("/", 1)[0]
    granted = _granted(req)
    readers = _readers(fields, req.version, granted)
    ids = [row.id for row in rows]
    addresses = server_lists.addresses(req.db, ids) if ids else {}
    groups = server_lists.group_names(req.db, ids) if ids else {}
    volumes = _volumes(req, rows)
    statuses = _statuses(req, rows) if any(name == "host_status" for name, _ in readers) else {}
    return [
        _document(req, readers, ServerView(
            row, root, addresses.get(row.id, {}), groups.get(row.id, []), statuses.get(row.host or "", ""), granted,
            volumes.get(row.id, ())))
        for row in rows]


def document(req: Request, row: Row, fields: tuple[Field, ...]) -> Body:
    """One server in full, from its row."""
    return documents(req, [row], fields)[0]


def show(req: Request, server_id: str) -> Body:
    """One server in full, in two queries, and one more for volumes.

    :raises errors.NotFound: there is none, or it is another project's.
    """
    detail = server_detail.get(req.db, server_id, project_id=req.ctxt.visible_project,
                             down_time_s=req.conf.service_down_time)
    root = req.base_url.rsplit("/", 1)[0]
    granted = _granted(req)
    server = ServerView(detail.row, root, detail.addresses, detail.groups, detail.host_status, granted,
                        _volumes(req, [detail.row]).get(detail.row.id, ()))
    return _document(req, _readers(SHOW, req.version, granted), server)


def _document(req: Request, readers: tuple[Reader, ...], server: ServerView) -> Body:
    row = server.row
    body = {name: read(server) for name, read in readers}
    body["links"] = _links(req.base_url, server.root, row.id)
    if _ONLY_UNKNOWN in server.granted and body.get("host_status", _UNKNOWN) != _UNKNOWN:
        del body["host_status"]
    if server.groups and "config_drive" in body:  # responses to PUT and rebuild have neither before 2.75
        body["security_groups"] = server.groups
    if body["status"] in _SHOWS_PROGRESS:
        body["progress"] = row.progress
    if row.fault and body["status"] in _SHOWS_FAULT:
        body["fault"] = fault(row.fault, is_admin=req.ctxt.is_admin)
    return body


def fault(column: dict[str, Any], *, is_admin: bool) -> Body:
    """A server's fault; its `details` may name hosts: users see those of refusals, only admins those of failures (500)."""
    body = {"code": column.get("code", 500), "message": column.get("message", ""), "created": column.get("created", "")}
    if column.get("details") and (is_admin or body["code"] != 500):
        body["details"] = column["details"]
    return body


def _volumes(req: Request, rows: Sequence[Row]) -> dict[str, list[Body]]:
    """The volumes of each server, also those that are only reserved for it."""
    found = attachments.of_servers(req.db, [row.id for row in rows if row.has_volumes])
    return {server_id: [{"id": one.volume_id, "delete_on_termination": one.delete_on_termination} for one in its if one.volume_id]
            for server_id, its in found.items()}


def _statuses(req: Request, rows: Sequence[Row]) -> dict[str, str]:
    hosts = sorted({row.host for row in rows if row.host})
    if not hosts:
        return {}
    return server_lists.host_statuses(req.db, hosts, down_time_s=req.conf.service_down_time)


def _links(base_url: str, root: str, server_id: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"{base_url}/servers/{server_id}"},
            {"rel": "bookmark", "href": f"{root}/servers/{server_id}"}]
