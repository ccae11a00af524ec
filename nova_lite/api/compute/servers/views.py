# SPDX-License-Identifier: Apache-2.0
"""The server document: its fields by microversion and role, and one page of it with a fixed number of queries."""

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
from nova_lite.api.wsgi.responses import Field
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.api.wsgi.versions import Version, parse
from nova_lite.db.base import utcnow
from nova_lite.db.compute import server_detail, server_lists
from nova_lite.db.compute.servers import Server, instance_name
from nova_lite.lifecycle.servers import status_of

EXTENDED = Rule("os_compute_api:os-extended-server-attributes", ADMIN)
STATUS = Rule("os_compute_api:servers:show:host_status", ADMIN)
STATUS_UNKNOWN = Rule("os_compute_api:servers:show:host_status:unknown-only", ADMIN)
EXTRA_SPECS = Rule("os_compute_api:servers:show:flavor-extra-specs", READER)
RULES = (EXTENDED, STATUS, STATUS_UNKNOWN, EXTRA_SPECS)
_UNKNOWN = "UNKNOWN"
_ONLY_UNKNOWN = "host_status: only if unknown"  # among what is granted
# A mapped server, or a tuple with the names of its columns.
Row = Server | sa.Row[Any]
_SHOWS_PROGRESS = {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"}
_SHOWS_FAULT = {"ERROR", "DELETED"}


@dataclasses.dataclass(slots=True)
class Seen:
    """One server with all that its document shows; `root` is the URL without a version, for bookmarks.

    `granted`: the names of those of RULES that the policy lets the caller.
    """

    row: Any  # a Row: attributes of either kind
    root: str
    addresses: dict[str, list[dict[str, Any]]]
    groups: list[dict[str, str]]
    host_status: str
    granted: frozenset[str] = frozenset()


def _linked(collection: str, resource_id: str, root: str) -> Body:
    return {"id": resource_id, "links": [{"rel": "bookmark", "href": f"{root}/{collection}/{resource_id}"}]}


def _image(seen: Seen) -> Body | str:
    return _linked("images", seen.row.image_id, seen.root) if seen.row.image_id else ""


def _canonical(address: str | None) -> str:
    return str(ipaddress.ip_address(address)) if address else ""


def _image_with_properties(seen: Seen) -> Body | str:
    shown = _image(seen)
    return {**shown, "properties": seen.row.image_properties} if isinstance(shown, dict) else shown


def _embedded_flavor(seen: Seen) -> Body:
    flavor = seen.row.flavor
    shown = {"vcpus": flavor["vcpus"], "ram": flavor["ram"], "disk": flavor["disk"], "ephemeral": flavor["ephemeral"],
            "swap": flavor["swap"], "original_name": flavor["name"]}
    return {**shown, "extra_specs": flavor["extra_specs"]} if EXTRA_SPECS.name in seen.granted else shown


def host_id(project_id: str, host: str | None) -> str:
    """A word that is the same for the project's servers on one host, and tells nothing of the host."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def plain_addresses(known: dict[str, list[dict[str, Any]]]) -> dict[str, list[Body]]:
    """Without what extensions added: as PUT (before 2.75) and `ips` show them."""
    return {network: [{"version": address["version"], "addr": address["addr"]} for address in found]
            for network, found in known.items()}


def _updated(seen: Seen) -> str:
    return seconds(seen.row.updated_at or seen.row.created_at)


# Fields of every answer about a server; those of _EXTENDED joined the answer to PUT at 2.75.
_BASE = (
    Field("id", lambda seen: seen.row.id),
    Field("name", lambda seen: seen.row.name),
    Field("status", lambda seen: status_of(seen.row.vm_state, seen.row.task_state)),
    Field("tenant_id", lambda seen: seen.row.project_id),
    Field("user_id", lambda seen: seen.row.user_id),
    Field("metadata", lambda seen: seen.row.metadata_items),
    Field("hostId", lambda seen: host_id(seen.row.project_id, seen.row.host)),
    Field("image", _image, until="2.97"),
    Field("image", _image_with_properties, since="2.98"),
    Field("flavor", lambda seen: _linked("flavors", seen.row.flavor["id"], seen.root), until="2.46"),
    Field("flavor", _embedded_flavor, since="2.47"),
    Field("created", lambda seen: seconds(seen.row.created_at)),
    Field("updated", _updated),
    Field("accessIPv4", lambda seen: seen.row.access_ip_v4 or ""),
    Field("accessIPv6", lambda seen: _canonical(seen.row.access_ip_v6)),
    Field("OS-DCF:diskConfig", lambda seen: seen.row.disk_config),
    Field("locked", lambda seen: seen.row.locked_by is not None, since="2.9"),
    Field("description", lambda seen: seen.row.description, since="2.19"),
    Field("tags", lambda seen: seen.row.tags, since="2.26"),
    Field("trusted_image_certificates", lambda _: None, since="2.63"),
    Field("locked_reason", lambda seen: seen.row.locked_reason, since="2.73"),
    Field("pinned_availability_zone", lambda seen: seen.row.wanted_zone, since="2.96"),
    Field("scheduler_hints", lambda seen: seen.row.scheduler_hints or {}, since="2.100"),
)
_EXTENDED = (
    Field("key_name", lambda seen: seen.row.key_name),
    Field("config_drive", lambda seen: "True" if seen.row.config_drive else ""),
    Field("OS-EXT-AZ:availability_zone", lambda seen: seen.row.availability_zone or seen.row.wanted_zone or ""),
    Field("OS-EXT-STS:task_state", lambda seen: seen.row.task_state),
    Field("OS-EXT-STS:vm_state", lambda seen: seen.row.vm_state),
    Field("OS-EXT-STS:power_state", lambda seen: seen.row.power_state),
    Field("OS-SRV-USG:launched_at", lambda seen: micros(seen.row.launched_at)),
    Field("OS-SRV-USG:terminated_at", lambda seen: micros(seen.row.terminated_at)),
    Field("os-extended-volumes:volumes_attached", lambda _: []),
    Field("OS-EXT-SRV-ATTR:host", lambda seen: seen.row.host, role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:hypervisor_hostname", lambda seen: seen.row.host, role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:instance_name", lambda seen: instance_name(seen.row.number), role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:hostname", lambda seen: seen.row.hostname, since="2.3", until="2.89", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:hostname", lambda seen: seen.row.hostname, since="2.90", role=READER),
    Field("OS-EXT-SRV-ATTR:reservation_id", lambda seen: seen.row.reservation_id, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:launch_index", lambda seen: seen.row.launch_index, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:kernel_id", lambda _: "", since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:ramdisk_id", lambda _: "", since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:root_device_name", lambda seen: seen.row.root_device_name, since="2.3", role=EXTENDED.name),
    Field("OS-EXT-SRV-ATTR:user_data", lambda seen: seen.row.user_data, since="2.3", role=EXTENDED.name),
    Field("host_status", lambda seen: seen.host_status, since="2.16", role=STATUS.name),
)
_ADDRESSES = Field("addresses", lambda seen: seen.addresses)
_GROUPS = Field("server_groups", lambda seen: [seen.row.group_id] if seen.row.group_id else [], since="2.71")

INDEX: tuple[Field, ...] = _BASE[:2]
DETAIL: tuple[Field, ...] = (*_BASE, _ADDRESSES, *_EXTENDED)
SHOW: tuple[Field, ...] = (*DETAIL, _GROUPS)
# The answer to PUT got what the others have at 2.75; each field is there from the later of the two versions.
_PLAIN = Field("addresses", lambda seen: plain_addresses(seen.addresses), until="2.74")
UPDATE: tuple[Field, ...] = (*_BASE, _PLAIN, _GROUPS, *(
    dataclasses.replace(field, since=str(max(field.versions.since, parse("2.75"))))
    for field in (_ADDRESSES, *_EXTENDED)))
# The answer to rebuild is the same but for two fields that it got of its own; it has no user data of show's.
REBUILD: tuple[Field, ...] = (
    *(dataclasses.replace(field, since="2.54") if field.name == "key_name" else field
      for field in UPDATE if field.name != "OS-EXT-SRV-ATTR:user_data"),
    Field("user_data", lambda seen: seen.row.user_data, since="2.57"),
)

Reader = tuple[str, Callable[[Seen], Any]]


@functools.lru_cache(maxsize=512)
def _readers(fields: tuple[Field, ...], version: Version, granted: frozenset[str]) -> tuple[Reader, ...]:
    """The fields at this version that these roles and rules let the caller see: computed once, read for each server."""
    return tuple((field.name, field.read) for field in fields
                 if field.versions.holds(version) and (not field.role or field.role in granted))


def _granted(req: Request) -> frozenset[str]:
    """The caller's roles, and the names of the rules that hold for it: a field's `role` is either."""
    held = {rule.name for rule in RULES if may(req, rule)}
    if STATUS_UNKNOWN.name in held and STATUS.name not in held:
        held |= {STATUS.name, _ONLY_UNKNOWN}  # the field is there; `_document` takes it out again where it says more
    return req.ctxt.roles | held


def index(req: Request, rows: Sequence[Row]) -> list[Body]:
    """Ids, names and links."""
    root = req.base_url.rsplit("/", 1)[0]
    return [{"id": row.id, "name": row.name, "links": _links(req.base_url, root, row.id)} for row in rows]


def documents(req: Request, rows: Sequence[Row], fields: tuple[Field, ...] = DETAIL) -> list[Body]:
    """Whole documents; three queries at most, however many servers."""
    root = req.base_url.rsplit("/", 1)[0]
    granted = _granted(req)
    readers = _readers(fields, req.version, granted)
    ids = [row.id for row in rows]
    addresses = server_lists.addresses(req.db, ids) if ids else {}
    groups = server_lists.group_names(req.db, ids) if ids else {}
    statuses = _statuses(req, rows) if any(name == "host_status" for name, _ in readers) else {}
    return [
        _document(req, readers, Seen(
            row, root, addresses.get(row.id, {}), groups.get(row.id, []), statuses.get(row.host or "", ""), granted))
        for row in rows]


def document(req: Request, row: Row, fields: tuple[Field, ...]) -> Body:
    """One server's whole document, from its row."""
    return documents(req, [row], fields)[0]


def shown(req: Request, server_id: str) -> Body:
    """One server's whole document, in two queries.

    :raises errors.NotFound: none, or another project's.
    """
    found = server_detail.get(req.db, server_id, project_id=req.ctxt.visible_project, now=utcnow(),
                             down_time_s=req.conf.service_down_time)
    root = req.base_url.rsplit("/", 1)[0]
    granted = _granted(req)
    seen = Seen(found.row, root, found.addresses, found.groups, found.host_status, granted)
    return _document(req, _readers(SHOW, req.version, granted), seen)


def _document(req: Request, readers: tuple[Reader, ...], seen: Seen) -> Body:
    row = seen.row
    made = {name: read(seen) for name, read in readers}
    made["links"] = _links(req.base_url, seen.root, row.id)
    if _ONLY_UNKNOWN in seen.granted and made.get("host_status", _UNKNOWN) != _UNKNOWN:
        del made["host_status"]
    if seen.groups and "config_drive" in made:  # answers to PUT and rebuild have neither before 2.75
        made["security_groups"] = seen.groups
    if made["status"] in _SHOWS_PROGRESS:
        made["progress"] = row.progress
    if row.fault and made["status"] in _SHOWS_FAULT:
        made["fault"] = fault(row.fault, is_admin=req.ctxt.is_admin)
    return made


def fault(kept: dict[str, Any], *, is_admin: bool) -> Body:
    """A server's fault; `details` may name hosts, so that a user sees them only of refusals, not of breakdowns."""
    shown = {"code": kept.get("code", 500), "message": kept.get("message", ""), "created": kept.get("created", "")}
    if kept.get("details") and (is_admin or shown["code"] != 500):
        shown["details"] = kept["details"]
    return shown


def _statuses(req: Request, rows: Sequence[Row]) -> dict[str, str]:
    hosts = sorted({row.host for row in rows if row.host})
    if not hosts:
        return {}
    return server_lists.host_statuses(req.db, hosts, now=utcnow(), down_time_s=req.conf.service_down_time)


def _links(base_url: str, root: str, server_id: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"{base_url}/servers/{server_id}"},
            {"rel": "bookmark", "href": f"{root}/servers/{server_id}"}]
