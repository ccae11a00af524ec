# SPDX-License-Identifier: Apache-2.0
"""Lists of servers: filters, order and pages over the servers' table, and what a page shows of other tables.

Rows come as plain tuples with the columns' names, not as mapped objects: so a page of 200 takes milliseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from nova_lite.db import clock, listing, patterns
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Service
from nova_lite.db.hosts.observation import Observed
from nova_lite.db.network.floating_ips import FloatingIp
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Address, Port, PortSecurityGroup
from nova_lite.db.network.security_groups import SecurityGroup
from nova_lite.lifecycle.servers import ACTIONS, Vm, status_of

# Long texts that lists do not show unless the caller requests them.
_NOT_LISTED = frozenset({"user_data", "key_data", "image_properties", "posted_password"})
_TASKS = sorted({row.task for row in ACTIONS.values() if row.task})
_PATTERNS_S = 5
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - rows keep UTC without a zone


def _filled(column: sa.ColumnElement[Any], instead: object) -> sa.ColumnElement[Any]:
    """Pages need an order without NULLs."""
    return sa.func.coalesce(column, instead)


def _column(name: str) -> sa.ColumnElement[Any]:
    column = Server.__table__.c[name]
    if isinstance(column.type, sa.Boolean):
        return sa.case((column, 1), else_=0)  # PostgreSQL has no order between a boolean and a bound value
    if not column.nullable:
        return column
    return _filled(column, _EPOCH if isinstance(column.type, sa.DateTime) else "")


# Attributes that no server has; PostgreSQL does not order by a bare constant.
_NOTHING = sa.func.coalesce(sa.literal(""), sa.literal(""))
# Nova's sort keys; those of attributes that no server has do not change the order.
SORT_COLUMNS: dict[str, sa.ColumnElement[Any]] = {
    "id": Server.__table__.c.id, "uuid": Server.__table__.c.id,
    "access_ip_v4": _column("access_ip_v4"), "access_ip_v6": _column("access_ip_v6"),
    "auto_disk_config": _column("disk_config"), "availability_zone": _column("availability_zone"),
    "config_drive": _column("config_drive"), "created_at": _column("created_at"),
    "display_description": _column("description"), "display_name": _column("name"), "host": _column("host"),
    "hostname": _column("hostname"), "image_ref": _column("image_id"), "key_name": _column("key_name"),
    "instance_type_id": _column("number"), "launch_index": _column("launch_index"),
    "launched_at": _column("launched_at"), "locked": _column("locked_by"), "locked_by": _column("locked_by"),
    "node": _column("host"), "power_state": _column("power_state"), "progress": _column("progress"),
    "project_id": _column("project_id"), "root_device_name": _column("root_device_name"),
    "task_state": _column("task_state"), "terminated_at": _column("terminated_at"), "user_id": _column("user_id"),
    "updated_at": _filled(Server.__table__.c.updated_at, Server.__table__.c.created_at),
    "vm_state": _column("vm_state"),
    "kernel_id": _NOTHING, "ramdisk_id": _NOTHING,
}
# Filters by equality of one column.
EQUAL_COLUMNS = {
    "uuid": "id", "project_id": "project_id", "user_id": "user_id", "image": "image_id", "host": "host",
    "node": "host", "reservation_id": "reservation_id", "availability_zone": "availability_zone",
    "key_name": "key_name", "vm_state": "vm_state", "task_state": "task_state", "power_state": "power_state",
    "progress": "progress", "launch_index": "launch_index", "config_drive": "config_drive",
    "locked_by": "locked_by", "root_device_name": "root_device_name", "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6", "created_at": "created_at", "launched_at": "launched_at",
    "terminated_at": "terminated_at", "auto_disk_config": "disk_config",
}
# Filters that are regular expressions over one column.
PATTERN_COLUMNS = {"name": "name", "hostname": "hostname", "description": "description"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """What to list. `project_id` None: of all projects. `deleted` None: deleted ones or not.
    Soft-deleted ones are listed with `soft_deleted`, among the deleted, or when a filter names their state.

    `equal` and `patterns` are keyed as EQUAL_COLUMNS and PATTERN_COLUMNS; `statuses` as clients write them.
    """

    project_id: str | None = None
    deleted: bool | None = False
    soft_deleted: bool = False
    equal: dict[str, object] = dataclasses.field(default_factory=dict)
    patterns: dict[str, str] = dataclasses.field(default_factory=dict)
    statuses: tuple[str, ...] = ()
    flavor_id: str | None = None
    address: str | None = None
    changed_since: datetime.datetime | None = None
    changed_before: datetime.datetime | None = None
    tags: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    without_tags: tuple[str, ...] = ()
    without_tags_any: tuple[str, ...] = ()
    is_locked: bool | None = None


def find(
    session: Session, filters: Filters, *, page: listing.Page, texts: Collection[str] = ()
) -> Sequence[sa.Row[Any]]:
    """One page of servers, each a tuple with the names of Server's columns, without long texts other than `texts`.

    :raises errors.InvalidMarker: the marker is not, and was not, a server of the project.
    :raises patterns.PatternError: a pattern needs too much to be compared with these servers.
    """
    skipped = _NOT_LISTED.difference(texts)
    columns = [column for column in Server.__table__.c if column.name not in skipped]
    query: sa.Select[Any] = sa.select(*columns).where(*_conditions(filters))
    # A marker may have been deleted since its page was shown, as in Nova.
    seen: sa.Select[Any] = sa.select(Server.__table__.c.id)
    if filters.project_id is not None:
        seen = seen.where(Server.project_id == filters.project_id)
    with _bounded(session, filters):
        return session.execute(listing.paged(session, query, SORT_COLUMNS, page, seen=seen)).all()


@contextlib.contextmanager
def _bounded(session: Session, filters: Filters) -> Iterator[None]:
    """Patterns are given up after a time on MariaDB, which backtracks, and after a number of steps in SQLite's REGEXP."""
    is_mariadb = bool(filters.patterns or filters.address) and session.get_bind().dialect.name in ("mysql", "mariadb")
    if is_mariadb:
        session.execute(sa.text("SET max_statement_time = :seconds"), {"seconds": _PATTERNS_S})
    try:
        yield
    except OperationalError as error:
        if any(reason in str(error.orig) for reason in ("max_statement_time", "user-defined function raised exception")):
            raise patterns.PatternError(patterns.TOO_COMPLEX) from error
        raise
    finally:
        if is_mariadb:
            session.execute(sa.text("SET max_statement_time = DEFAULT"))


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.project_id is not None:
        found.append(Server.project_id == filters.project_id)
    found += _living(filters)
    found += [_equal(name, value) for name, value in filters.equal.items()]
    found += [Server.__table__.c[PATTERN_COLUMNS[name]].regexp_match(pattern) for name, pattern in filters.patterns.items()]
    if filters.statuses:
        found.append(sa.or_(*(_has_status(status) for status in filters.statuses)))
    if filters.flavor_id is not None:
        found.append(sa.type_coerce(Server.flavor, sa.JSON)["id"].as_string() == filters.flavor_id)
    if filters.address is not None:
        found.append(Server.id.in_(
            sa.select(Port.device_id).join(Address).where(Address.address.regexp_match(filters.address))))
    if filters.is_locked is not None:
        found.append(Server.locked_by.is_not(None) if filters.is_locked else Server.locked_by.is_(None))
    return found + _changed(filters) + _tagged(filters)


def _living(filters: Filters) -> list[sa.ColumnElement[bool]]:
    waits = Server.vm_state == str(Vm.SOFT_DELETED)
    if filters.deleted is None:
        return []
    if filters.deleted:
        return [sa.or_(Server.deleted_at.is_not(None), waits)]
    names_states = bool(filters.statuses) or "vm_state" in filters.equal
    return [Server.deleted_at.is_(None)] + ([] if filters.soft_deleted or names_states else [~waits])


def _equal(name: str, value: object) -> sa.ColumnElement[bool]:
    column = Server.__table__.c[EQUAL_COLUMNS[name]]
    if value is None:
        return column.is_(None)
    return column.in_(value) if isinstance(value, list) else column == value


def _changed(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.changed_since is not None:
        found.append(SORT_COLUMNS["updated_at"] >= filters.changed_since)
    if filters.changed_before is not None:
        found.append(SORT_COLUMNS["updated_at"] <= filters.changed_before)
    return found


def _tagged(filters: Filters) -> list[sa.ColumnElement[bool]]:
    found = [_has_tag(tag) for tag in filters.tags]
    if filters.tags_any:
        found.append(sa.or_(*(_has_tag(tag) for tag in filters.tags_any)))
    if filters.without_tags:
        found.append(sa.not_(sa.and_(*(_has_tag(tag) for tag in filters.without_tags))))
    if filters.without_tags_any:
        found.append(sa.not_(sa.or_(*(_has_tag(tag) for tag in filters.without_tags_any))))
    return found


def _has_tag(tag: str) -> sa.ColumnElement[bool]:
    return listing.has_tag(Server.__table__.c.tags, tag)


def _has_status(status: str) -> sa.ColumnElement[bool]:
    """The pairs of vm_state and task_state that show as the status; none for an unknown one."""
    upper, conditions = status.upper(), []
    for vm in Vm:
        tasks = [task for task in _TASKS if (status_of(vm, task) == upper) != (status_of(vm, None) == upper)]
        if status_of(vm, None) == upper:
            is_otherwise = Server.task_state.in_(tasks)
            usual = sa.or_(Server.task_state.is_(None), sa.not_(is_otherwise)) if tasks else sa.true()
            conditions.append(sa.and_(Server.vm_state == str(vm), usual))
        elif tasks:
            conditions.append(sa.and_(Server.vm_state == str(vm), Server.task_state.in_(tasks)))
    return sa.or_(*conditions) if conditions else sa.false()


def is_status(status: str) -> bool:
    """Whether any server could ever show this status."""
    return any(status_of(vm, task) == status.upper() for vm in Vm for task in (None, *_TASKS))


# Built once: to build a query costs more than to run it, and every response about servers runs these two.
_ADDRESSES = (
    sa.select(Port.device_id, Network.name, Port.mac_address, Address.address, FloatingIp.address)
    .select_from(Port).join(Address, Address.port_id == Port.id).join(Network, Network.id == Port.network_id)
    .outerjoin(FloatingIp, sa.and_(FloatingIp.port_id == Port.id, FloatingIp.fixed_address == Address.address))
    .where(Port.device_id.in_(sa.bindparam("server_ids", expanding=True)))
    .order_by(Port.position, Port.created_at, Address.id))
_GROUP_NAMES = (
    sa.select(Port.device_id, SecurityGroup.id, SecurityGroup.name).distinct()
    .select_from(Port).join(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
    .join(SecurityGroup, SecurityGroup.id == PortSecurityGroup.group_id)
    .where(Port.device_id.in_(sa.bindparam("server_ids", expanding=True)))
    .order_by(SecurityGroup.name, SecurityGroup.id))


def addresses(session: Session, server_ids: Sequence[str]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """By server and network name: each address as the API shows it, in the order of the servers' NICs."""
    found: dict[str, dict[str, dict[tuple[str, str, str], None]]] = {}
    for server_id, network, mac, address, floating in session.execute(_ADDRESSES, {"server_ids": list(server_ids)}):
        held = found.setdefault(server_id, {}).setdefault(network, {})
        held[mac, address, "fixed"] = None
        if floating is not None:
            held[mac, floating, "floating"] = None
    return {server_id: {network: [shown_address(*one) for one in held] for network, held in by_network.items()}
            for server_id, by_network in found.items()}


def shown_address(mac: str, address: str, kind: str) -> dict[str, Any]:
    """An address as the API shows it; `kind` is fixed or floating."""
    return {"version": 6 if ":" in address else 4, "addr": address, "OS-EXT-IPS:type": kind,
            "OS-EXT-IPS-MAC:mac_addr": mac}


def group_names(session: Session, server_ids: Sequence[str]) -> dict[str, list[dict[str, str]]]:
    """By server: the names of the security groups that its ports are in."""
    found: dict[str, list[dict[str, str]]] = {}
    for server_id, _, name in session.execute(_GROUP_NAMES, {"server_ids": list(server_ids)}):
        found.setdefault(server_id, []).append({"name": name})
    return found


_SERVICES = (
    sa.select(Service.host, Service.seen_at, Service.forced_down, Service.disabled, clock.now().label("now"))
    .where(Service.binary == "nova-compute", Service.host.in_(sa.bindparam("hosts", expanding=True))))


def host_statuses(
    session: Session, hosts: Sequence[str], *, down_time_s: float
) -> dict[str, str]:
    """By host: its `host_status`."""
    return {
        host: host_status(seen_at, forced_down=forced_down, disabled=disabled, now=now, down_time_s=down_time_s)
        for host, seen_at, forced_down, disabled, now in session.execute(_SERVICES, {"hosts": list(hosts)})}


def host_status(
    seen_at: datetime.datetime, *, forced_down: bool, disabled: bool, now: datetime.datetime, down_time_s: float
) -> str:
    """UP, DOWN (forced), UNKNOWN (silent) or MAINTENANCE (disabled), as Nova's host_status has them."""
    if forced_down:
        return "DOWN"
    if not Observed(now, now).is_recent(seen_at, within_s=down_time_s):
        return "UNKNOWN"
    return "MAINTENANCE" if disabled else "UP"
