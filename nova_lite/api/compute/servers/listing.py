# SPDX-License-Identifier: Apache-2.0
"""`GET /servers` and `/servers/detail`: reads filters, order and page from the query."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.patterns import read_pattern
from nova_lite.api.compute.common.policy_checks import may, require
from nova_lite.api.compute.servers import views
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import page
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule
from nova_lite.api.wsgi.validation import integer, moment
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.compute import server_lists
from nova_lite.db.compute.server_lists import EQUAL_COLUMNS, PATTERN_COLUMNS, SORT_COLUMNS, Filters
from nova_lite.db.listing import Page
from nova_lite.lifecycle.servers import Power

INDEX = Rule("os_compute_api:servers:index", READER)
DETAIL = Rule("os_compute_api:servers:detail", READER)
ALL_TENANTS = Rule("os_compute_api:servers:index:get_all_tenants", ADMIN)
ALL_TENANTS_DETAIL = Rule("os_compute_api:servers:detail:get_all_tenants", ADMIN)
ALL_FILTERS = Rule("os_compute_api:servers:allow_all_filters", ADMIN)
RULES = (ALL_TENANTS, ALL_TENANTS_DETAIL, ALL_FILTERS)

# Parameters that Nova accepts; those about features that this cloud lacks filter nothing, as in Nova.
_KNOWN = (
    "access_ip_v4", "access_ip_v6", "all_tenants", "auto_disk_config", "availability_zone", "block_device_mapping",
    "changes-since", "config_drive", "created_at", "deleted", "description", "display_description", "display_name",
    "flavor", "host", "hostname", "image", "image_ref", "info_cache", "ip", "ip6", "kernel_id", "key_name",
    "launch_index", "launched_at", "limit", "locked_by", "marker", "metadata", "name", "node", "pci_devices",
    "power_state", "progress", "project_id", "ramdisk_id", "reservation_id", "root_device_name", "security_groups",
    "services", "soft_deleted", "sort_dir", "sort_key", "status", "system_metadata", "task_state", "tenant_id",
    "terminated_at", "user_id", "uuid", "vm_state",
)
QUERY = schemas.queries(
    {"2.0": _KNOWN, "2.26": ("tags", "tags-any", "not-tags", "not-tags-any"), "2.66": ("changes-before",), "2.73": ("locked",)},
    pattern="^_")
# Filters for callers without `allow_all_filters` by their first microversion; others are ignored.
_FOR_ALL = {
    "reservation_id": "2.0", "name": "2.0", "display_name": "2.0", "status": "2.0", "image": "2.0", "flavor": "2.0",
    "ip": "2.0", "changes-since": "2.0", "all_tenants": "2.0", "ip6": "2.5", "tags": "2.26", "tags-any": "2.26",
    "not-tags": "2.26", "not-tags-any": "2.26", "changes-before": "2.66", "locked": "2.73",
    **dict.fromkeys(("availability_zone", "config_drive", "key_name", "created_at", "launched_at", "terminated_at",
                     "power_state", "task_state", "vm_state", "progress", "user_id"), "2.83"),
}
_SINCE = {"tags": "2.26", "tags-any": "2.26", "not-tags": "2.26", "not-tags-any": "2.26", "changes-before": "2.66",
          "locked": "2.73"}
_ALIASES = {"display_name": "name", "display_description": "description", "image_ref": "image",
            "tenant_id": "project_id"}
_WITH_IMAGE_PROPERTIES = parse("2.98")
_ADMIN_SORT_KEYS = {"host", "node"}


@route("GET", "/servers", policy=INDEX, query=QUERY, response=page("servers", views.INDEX_RESPONSE))
def index(req: Request) -> Body:
    """List servers with id, name and links.

    200 with a page of them and a link to the next. 400: a filter, sort key, limit or marker is invalid. 403: `all_tenants`,
    deleted servers or an admin's sort key, and the caller may not.
    """
    rows, more = _page(req, "/servers", ALL_TENANTS)
    return {"servers": views.index(req, rows), **more}


@route("GET", "/servers/detail", policy=DETAIL, query=QUERY, response=page("servers", views.DETAIL_RESPONSE))
def detail(req: Request) -> Body:
    """List servers in full.

    200, 400 and 403 as for `index`.
    """
    rows, more = _page(req, "/servers/detail", ALL_TENANTS_DETAIL)
    return {"servers": views.documents(req, rows), **more}


def _page(req: Request, path: str, all_tenants: Rule) -> tuple[Sequence[sa.Row[Any]], Body]:
    limit = paging.limit(req)
    filters = read_filters(req, all_tenants)
    if filters is None:
        return [], {}
    page = Page(limit=limit + 1, marker=req.query.get("marker"), order=_order(req))
    rows = server_lists.find(req.db, filters, page=page, texts=_texts(req))
    if len(rows) > limit > 0:
        return rows[:limit], {"servers_links": [paging.next_link(req, path=path, marker=rows[limit - 1].id)]}
    return rows[:limit], {}


def _texts(req: Request) -> set[str]:
    """Long text columns that this caller sees at this version."""
    columns = {"user_data"} if may(req, views.EXTENDED) else set()
    return columns | ({"image_properties"} if req.version >= _WITH_IMAGE_PROPERTIES else set())


def _order(req: Request) -> tuple[tuple[str, bool], ...]:
    keys, directions = req.query.getall("sort_key"), req.query.getall("sort_dir")
    order = []
    for position, key in enumerate(keys or ["created_at"]):
        if key not in SORT_COLUMNS or parse(_SINCE.get(key, "2.0")) > req.version:
            raise errors.InvalidField(field="sort_key", reason=f"'{key}' is not one of {sorted(SORT_COLUMNS)}")
        if key in _ADMIN_SORT_KEYS and not req.ctxt.is_admin:
            raise errors.Forbidden(reason=f"Only administrators can sort servers by {key}")
        direction = directions[min(position, len(directions) - 1)] if directions else "desc"
        if direction not in ("asc", "desc"):
            raise errors.InvalidField(field="sort_dir", reason=f"'{direction}' is not one of ['asc', 'desc']")
        order.append((key, direction == "desc"))
    # Servers of one request share a creation second: their numbers break the tie, in the direction of the last key.
    return (*order, ("instance_type_id", order[-1][1]))


def read_filters(req: Request, all_tenants: Rule) -> Filters | None:
    """The query as filters; None: no server can match.

    :raises errors.BadRequest: a value is invalid. :raises errors.PolicyForbids: `all_tenants`, and the caller may not.
    """
    params = _params(req)
    is_for_all = _flag("all_tenants", params.pop("all_tenants", ["0"])[-1] or "1")
    if is_for_all:
        require(req, all_tenants)
    else:  # `project_id` of the query counts with all_tenants only
        params["project_id"] = [req.ctxt.project_id]
    filters: dict[str, Any] = {"deleted": _deleted(req, params)}
    if not _read_statuses(req, params, filters):
        return None
    for name, values in params.items():
        _READERS.get(name, _read_column)(name, values, filters)
    since, before = filters.get("changed_since"), filters.get("changed_before")
    if since and before and since > before:
        raise errors.BadRequest(reason="The value of changes-since must be less than or equal to changes-before.")
    project_id = filters.get("equal", {}).pop("project_id", None)
    return Filters(project_id=project_id, **filters)


def _params(req: Request) -> dict[str, list[str]]:
    """Parameters of the query that this caller may filter by at this version."""
    all_filters, params = may(req, ALL_FILTERS), {}
    for name in req.query:
        values = req.query.getall(name)
        if parse(_SINCE.get(name, "2.0")) > req.version:
            continue
        if all_filters or (name in _FOR_ALL and parse(_FOR_ALL[name]) <= req.version):
            params[_ALIASES.get(name, name)] = values
    return params


def _deleted(req: Request, params: dict[str, list[str]]) -> bool | None:
    """Which servers to list: False those that live, True those that are deleted, None both.

    `changes-since` lists both, so that clients notice deletions.
    """
    text = params.pop("deleted", None)
    if text is not None:
        return _flag("deleted", text[-1])
    if "deleted" in [status.lower() for status in params.get("status", [])]:
        if not req.ctxt.is_admin:
            raise errors.Forbidden(reason="Only administrators may list deleted instances")
        return True
    return None if "changes-since" in params else False


def _read_statuses(req: Request, params: dict[str, list[str]], filters: dict[str, Any]) -> bool:
    """Add the `status` filter. False: no server can have such a status; from 2.38 on, an unknown one is refused."""
    statuses = params.pop("status", None)
    if statuses is None:
        return True
    valid = tuple(status for status in statuses if server_lists.is_status(status))
    if len(valid) < len(statuses) and req.version >= parse("2.38"):
        raise errors.BadRequest(reason=f"Invalid status value: {', '.join(sorted(set(statuses) - set(valid)))}")
    filters["statuses"] = valid
    return bool(valid)


def _read_column(name: str, values: list[str], filters: dict[str, Any]) -> None:
    if name in PATTERN_COLUMNS:
        filters.setdefault("patterns", {})[name] = _pattern(name, values[-1])
    elif name in EQUAL_COLUMNS:
        read = _VALUES.get(name)
        filters.setdefault("equal", {})[name] = read(name, values) if read else values


def _read_address(name: str, values: list[str], filters: dict[str, Any]) -> None:
    filters["address"] = _pattern(name, values[-1])


def _read_flavor(_name: str, values: list[str], filters: dict[str, Any]) -> None:
    filters["flavor_id"] = values[-1]


def _read_time(name: str, values: list[str], filters: dict[str, Any]) -> None:
    filters["changed_since" if name == "changes-since" else "changed_before"] = read_time(name, values[-1])


def _read_tags(name: str, values: list[str], filters: dict[str, Any]) -> None:
    field = {"tags": "tags", "tags-any": "tags_any", "not-tags": "without_tags", "not-tags-any": "without_tags_any"}
    filters[field[name]] = tuple(tag for value in values for tag in value.split(",") if tag)


def _read_soft_deleted(name: str, values: list[str], filters: dict[str, Any]) -> None:
    filters["soft_deleted"] = _flag(name, values[-1])


def _read_locked(name: str, values: list[str], filters: dict[str, Any]) -> None:
    filters["is_locked"] = _flag(name, values[-1])


_READERS: dict[str, Callable[[str, list[str], dict[str, Any]], None]] = {
    "ip": _read_address, "ip6": _read_address, "flavor": _read_flavor, "changes-since": _read_time,
    "changes-before": _read_time, "tags": _read_tags, "tags-any": _read_tags, "not-tags": _read_tags,
    "not-tags-any": _read_tags, "locked": _read_locked, "soft_deleted": _read_soft_deleted,
}


def _flag(name: str, text: str) -> bool:
    if text.lower() not in schemas.TRUE_STRINGS + schemas.FALSE_STRINGS:
        raise errors.BadRequest(reason=f"Invalid value for {name}: '{text}' is not a boolean")
    return text.lower() in schemas.TRUE_STRINGS


def _pattern(name: str, text: str) -> str:
    read_pattern(name, text)
    return text


def read_time(name: str, text: str) -> datetime.datetime:
    """Parse an ISO 8601 time into naive UTC, as rows store it; a whole second before which something changed includes that second, as it is shown.

    :raises errors.InvalidField: it is no such time.
    """
    found = moment(text)
    if found is None:
        raise errors.InvalidField(field=name, reason=f"'{text}' is not a 'date-time'")
    return found.replace(microsecond=999_999) if name == "changes-before" and not found.microsecond else found


def _power(name: str, values: list[str]) -> list[int]:
    states = {state.name: int(state) for state in Power}
    return [states[value.upper()] if value.upper() in states else _integer(name, value) for value in values]


def _integer(name: str, text: str) -> int:
    number = integer(text)
    if number is None:
        raise errors.BadRequest(reason=f"Invalid value for {name}: '{text}' is not a number")
    return number


def _nullable(_name: str, values: list[str]) -> str | list[str] | None:
    return None if values[-1].lower() in ("", "none", "null") else values


_VALUES: dict[str, Callable[[str, list[str]], object]] = {
    "power_state": _power,
    "progress": lambda name, values: [_integer(name, value) for value in values],
    "launch_index": lambda name, values: [_integer(name, value) for value in values],
    "config_drive": lambda name, values: _flag(name, values[-1]),
    "project_id": lambda _, values: values[-1],
    "task_state": _nullable,
    "created_at": lambda name, values: read_time(name, values[-1]),
    "launched_at": lambda name, values: read_time(name, values[-1]),
    "terminated_at": lambda name, values: read_time(name, values[-1]),
}
