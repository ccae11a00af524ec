# SPDX-License-Identifier: Apache-2.0
"""Servers: the row, its queries, and the only place that assigns `vm_state` or `task_state`."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, LongText, Timestamps, for_update, new_id, utcnow
from nova_lite.db.compute import consoles
from nova_lite.db.compute.actions import Action, ActionEvent
from nova_lite.db.compute.flavors import FlavorCopy
from nova_lite.db.image import images
from nova_lite.db.image.images import Image
from nova_lite.db.network import revisions
from nova_lite.lifecycle.servers import ACTIONS, FOLLOWS_POWER, SHOWS_POWER, TASKS_OF, Power, Vm
from nova_lite.values.flavor import Flavor

_UNTRACKED: dict[str, Any] = {"synchronize_session": False}


class Server(Timestamps, Base):
    """One server. `number` names its domain; `flavor` is a copy: flavors may change or go."""

    __tablename__ = "servers"
    __table_args__ = (
        sa.Index("ix_servers_project_id_deleted_at", "project_id", "deleted_at", "created_at"),
        sa.Index("ix_servers_host_deleted_at", "host", "deleted_at"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(sa.String(36), unique=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64))
    user_id: Mapped[str] = mapped_column(sa.String(64))
    name: Mapped[str]
    description: Mapped[str | None]
    hostname: Mapped[str]
    flavor: Mapped[Flavor] = mapped_column(FlavorCopy)
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    total_gb: Mapped[int] = mapped_column("disk_gb", key="total_gb")  # of all disks: what a claim takes
    image_id: Mapped[str | None] = mapped_column(sa.String(36))
    image_properties: Mapped[dict[str, str]] = mapped_column(default=dict)
    key_name: Mapped[str | None]
    key_data: Mapped[str | None] = mapped_column(sa.Text)
    user_data: Mapped[str | None] = mapped_column(LongText)  # base64, as it came
    files: Mapped[list[dict[str, str]] | None] = mapped_column(sa.JSON(none_as_null=True))  # paths, and contents in base64
    config_drive: Mapped[bool] = mapped_column(default=False)
    metadata_items: Mapped[dict[str, str]] = mapped_column(default=dict)
    tags: Mapped[list[str]] = mapped_column(default=list)
    requested_az: Mapped[str | None] = mapped_column("wanted_zone", key="requested_az")  # at create: the server is pinned to it
    requested_host: Mapped[str | None] = mapped_column("wanted_host", key="requested_host")  # forced at create by an admin
    availability_zone: Mapped[str | None]
    host: Mapped[str | None]
    agent: Mapped[str | None]  # the host's workers' name on the message bus
    vm_state: Mapped[str] = mapped_column(sa.String(32))
    task_state: Mapped[str | None] = mapped_column(sa.String(32))
    power_state: Mapped[int] = mapped_column(default=int(Power.NOSTATE))
    progress: Mapped[int] = mapped_column(default=0)
    disk_config: Mapped[str] = mapped_column(sa.String(16), default="MANUAL")
    access_ip_v4: Mapped[str | None]
    access_ip_v6: Mapped[str | None]
    locked_by: Mapped[str | None] = mapped_column(sa.String(16))  # owner | admin
    locked_reason: Mapped[str | None]
    launch_index: Mapped[int] = mapped_column(default=0)
    reservation_id: Mapped[str] = mapped_column(sa.String(64))
    blank_disks: Mapped[list[dict[str, Any]] | None] = mapped_column(sa.JSON(none_as_null=True))  # in place of the flavor's: size_mb, format
    has_volumes: Mapped[bool] = mapped_column(default=False, server_default=sa.false())  # or had some
    group_id: Mapped[str | None] = mapped_column(sa.String(36), index=True)  # its server group
    scheduler_hints: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))  # as requested at create
    root_device_name: Mapped[str | None] = mapped_column(default="/dev/vda")
    fault: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON(none_as_null=True))
    launched_at: Mapped[datetime.datetime | None]
    terminated_at: Mapped[datetime.datetime | None]
    deleted_at: Mapped[datetime.datetime | None]
    soft_deleted_at: Mapped[datetime.datetime | None]  # when it was last requested
    shelved_at: Mapped[datetime.datetime | None]
    shelved_image_id: Mapped[str | None] = mapped_column(sa.String(36))  # the snapshot that unshelve builds from
    posted_password: Mapped[str | None] = mapped_column(sa.Text)  # by the guest, encrypted with its owner's key

    @property
    def first_disks(self) -> int:
        """How many names of devices the root disk and the flavor's own disks take."""
        own = bool(self.flavor.ephemeral_gb) + bool(self.flavor.swap_mb) if self.blank_disks is None else len(self.blank_disks)
        return 1 + own

    @property
    def root_disk_gb(self) -> int:
        """What the root disk takes: as the flavor says, or the image where the flavor leaves it to that."""
        return self.total_gb - dataclasses.replace(self.flavor, root_gb=0, image_gb=0).total_gb


def instance_name(number: int) -> str:
    """The name of a server's domain on its host, as Nova names it; `number`: the server's."""
    return f"instance-{number:08x}"


def get(session: Session, server_id: str, *, project_id: str | None = None) -> Server:
    """The server that is not deleted; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    if project_id is None:
        server = session.scalars(_GET, {"of": server_id}).one_or_none()
    else:
        server = session.scalars(_GET_OF_PROJECT, {"of": server_id, "project": project_id}).one_or_none()
    if server is None:
        raise _missing(server_id)
    return server


def get_locked(session: Session, server_id: str, *, project_id: str | None = None) -> Server:
    """As `get`; other transactions wait to change the row until this one ends."""
    query = sa.select(Server).where(Server.id == server_id, Server.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(Server.project_id == project_id)
    server = session.scalars(for_update(query)).one_or_none()
    if server is None:
        raise _missing(server_id)
    return server


def _missing(server_id: str) -> errors.NotFound:
    return errors.NotFound(f"Instance {server_id} could not be found.", what="Instance", id=server_id)


def post_password(session: Session, server_id: str, password: str) -> None:
    """Store the password that the guest posted, once.

    :raises errors.NotFound: no such server. :raises errors.Conflict: it has posted one before.
    """
    get(session, server_id)
    statement = sa.update(Server).where(Server.id == server_id, Server.posted_password.is_(None))
    result = session.execute(
        statement.values(posted_password=password, updated_at=utcnow()).execution_options(synchronize_session=False))
    if not result.rowcount:  # type: ignore[attr-defined]
        raise errors.Conflict(reason=f"The guest of {server_id} has posted a password already")


# Statements of the build's path are built once: building one costs several times what running it does.
def row(session: Session, server_id: str) -> Any:  # a row
    """As `get`, read only: the row, with the names of Server's attributes, at half the cost of the object."""
    found = session.execute(_ROW, {"of": server_id}).first()
    if found is None:
        raise _missing(server_id)
    return found


class RowWithImage(NamedTuple):
    """A server as `row` gives it, and its image as `images.source` does."""

    server: Any
    image: Any


def row_with_image(session: Session, server_id: str) -> RowWithImage:
    """The server's row and its image's (None: it is gone), by one query."""
    found = session.execute(_ROW_WITH_IMAGE, {"of": server_id}).first()
    if found is None:
        raise _missing(server_id)
    image = images.Source(*found[-len(images.SOURCE):])
    return RowWithImage(found, image if image.id is not None else None)


_ROW: Any = sa.select(Server.__table__).where(
    Server.__table__.c.id == sa.bindparam("of"), Server.__table__.c.deleted_at.is_(None))
_ROW_WITH_IMAGE: Any = sa.select(Server.__table__, *(column.label(f"source_{column.name}") for column in images.SOURCE)).select_from(
    sa.outerjoin(Server.__table__, Image.__table__, sa.and_(Image.id == Server.image_id, Image.deleted_at.is_(None)))).where(
    Server.__table__.c.id == sa.bindparam("of"), Server.__table__.c.deleted_at.is_(None))
_GET = sa.select(Server).where(Server.id == sa.bindparam("of"), Server.deleted_at.is_(None))
_GET_OF_PROJECT = _GET.where(Server.project_id == sa.bindparam("project"))


def begin(session: Session, server: Server, action: str) -> None:
    """Claim the server for an action by one guarded UPDATE, so two callers cannot both win.

    :raises errors.WrongState: the action's row in lifecycle/servers.py forbids it now.
    :raises errors.NotFound: the server was deleted since it was read.
    """
    won = session.execute(_begin(action), {"of": server.id, "now": utcnow()})
    session.refresh(server)
    if won.rowcount != 1:  # type: ignore[attr-defined]
        raise _missing(server.id) if server.deleted_at is not None else wrong_state(server, action)


def wrong_state(server: Server, action: str) -> errors.WrongState:
    """The refusal that names the attribute in the way."""
    in_state = server.vm_state in ACTIONS[action].allowed_in
    attribute, state = ("task_state", server.task_state) if in_state else ("vm_state", server.vm_state)
    return errors.WrongState(action=ACTIONS[action].shown_as, id=server.id, attribute=attribute, state=state)


def finish(
    session: Session, server_id: str, action: str, *, power_state: int | None = None, vm_state: Vm | None = None
) -> bool:
    """The action is done: state at rest, no task. False: another action (a delete) has taken the server.

    `vm_state`: where it led, when that is not what the action's row says.
    """
    row = ACTIONS[action]
    values: dict[str, Any] = {"task_state": None}
    leads_to = vm_state or row.leads_to
    if leads_to is not None:
        values["vm_state"] = str(leads_to)
    if leads_to == Vm.ACTIVE:
        values["fault"] = None
    if power_state is not None:
        values["power_state"] = power_state
    if row.leads_to not in (None, *_WITH_CONSOLES):
        consoles.forget(session, server_id)
    return _update_in_task(session, server_id, row.task, values)


def abandon(session: Session, server_id: str, action: str, *, fault: dict[str, Any] | None, is_fatal: bool) -> bool:
    """The action failed: no task; in ERROR with `fault` when `is_fatal`, else as it was before."""
    values: dict[str, Any] = {"task_state": None}
    if is_fatal:
        values |= {"vm_state": str(Vm.ERROR), "fault": fault}
    return _update_in_task(session, server_id, ACTIONS[action].task, values)


def set_fault(session: Session, server_id: str, fault: dict[str, Any]) -> None:
    """The server is in ERROR with this fault, whatever was under way; a deleted one stays as it is."""
    session.execute(sa.update(Server).where(Server.id == server_id, Server.deleted_at.is_(None)).values(
        vm_state=str(Vm.ERROR), task_state=None, fault=fault, updated_at=utcnow()).execution_options(synchronize_session=False))


def show_task(session: Session, server_id: str, *, among: tuple[str, ...], task: str) -> bool:
    """Move on within an action: the task shown becomes `task`. False: the server is not in one of `among`."""
    keys = {"of": server_id, "now": utcnow(), "new_task_state": task}
    return _changed(session, _update_in(among, ("task_state",)), keys)


def place(  # where, in the words of three resources, and the tasks before and after
    session: Session, server_id: str, *, host: str | None, agent: str | None, availability_zone: str | None, task: tuple[str, str] = ("", ""),
) -> None:
    """Record the host of the server; None: it has none. `task`: as `show_task`, from the first to the second."""
    session.execute(_PLACE, {"of": server_id, "new_host": host, "new_agent": agent, "new_az": availability_zone, "now": utcnow(),
                             "old_task": task[0], "new_task": task[1]})


def mark_deleted(session: Session, server_id: str) -> bool:
    """Mark the server deleted; its row stays for `deleted=True` queries, without what may be large or secret. False: it was already."""
    now = utcnow()
    consoles.forget(session, server_id)
    return bool(session.connection().execute(_MARK_DELETED, {"of": server_id, "now": now}).rowcount)


def sync_power(session: Session, server_id: str, *, power_state: int, vm_state: Vm | None) -> bool:
    """The guest changed its power by itself: follow it, unless an action is under way. False: nothing is changed.

    `vm_state`: the state that the power leads to, if any, where lifecycle/servers.py lets it follow.
    """
    here = (Server.id == server_id, Server.task_state.is_(None), Server.deleted_at.is_(None))
    values: dict[str, Any] = {"power_state": power_state, "updated_at": utcnow()}
    shows = sa.and_(Server.power_state != power_state, Server.vm_state.in_([str(vm) for vm in SHOWS_POWER]))
    followed = _changed(session, sa.update(Server).where(*here, shows).values(**values))
    if not followed:
        is_news = Server.power_state != power_state
        if vm_state is not None:
            values["vm_state"] = str(vm_state)
            is_news = sa.or_(is_news, Server.vm_state != str(vm_state))
        follows = sa.and_(is_news, Server.vm_state.in_([str(vm) for vm in FOLLOWS_POWER]))
        followed = _changed(session, sa.update(Server).where(*here, follows).values(**values))
    if followed and vm_state not in (None, *_WITH_CONSOLES):
        consoles.forget(session, server_id)
    return followed


def purge(session: Session, *, deleted_before: datetime.datetime, limit: int) -> int:
    """Remove up to `limit` servers that were deleted before then, with their actions and events; how many."""
    gone = list(session.scalars(sa.select(Server.id).where(Server.deleted_at < deleted_before).limit(limit)))
    if gone:
        action_ids = sa.select(Action.id).where(Action.resource_id.in_(gone))
        session.execute(sa.delete(ActionEvent).where(ActionEvent.action_id.in_(action_ids)).execution_options(**_UNTRACKED))
        session.execute(sa.delete(Action).where(Action.resource_id.in_(gone)).execution_options(**_UNTRACKED))
        session.execute(sa.delete(Server).where(Server.id.in_(gone)).execution_options(**_UNTRACKED))
        revisions.delete(session, gone)
    return len(gone)


# What counts against quotas: as in Nova, all except soft-deleted servers.
COUNTED = (Server.deleted_at.is_(None), Server.vm_state != str(Vm.SOFT_DELETED))


def usage(session: Session, project_id: str) -> dict[str, int]:
    """What counts against the project's quota: `instances`, `cores`, `ram` (MiB)."""
    count, cores, ram = session.execute(
        sa.select(sa.func.count(), sa.func.sum(Server.vcpus), sa.func.sum(Server.ram_mb))
        .where(Server.project_id == project_id, *COUNTED)).one()
    return {"instances": int(count), "cores": int(cores or 0), "ram": int(ram or 0)}


def _update_in_task(session: Session, server_id: str, task: str | None, values: dict[str, Any]) -> bool:
    tasks = _TASKS.get(task or "", (task,))
    new = {f"new_{column}": value for column, value in values.items()}
    statement = _update_in(tasks, tuple(values), launches=values.get("vm_state") == Vm.ACTIVE)
    return _changed(session, statement, {"of": server_id, "now": utcnow()} | new)


@functools.cache
def _begin(action: str) -> sa.Update:
    """The update that claims a server for the action; built once, and without lists, which would be rendered at every use."""
    row, table = ACTIONS[action], _SERVERS.c
    tasks = [table.task_state.is_(None), *(table.task_state == task for task in sorted(row.over_tasks))]
    return sa.update(_SERVERS).where(
        table.id == sa.bindparam("of"), table.deleted_at.is_(None),
        sa.or_(sa.false(), *(table.vm_state == str(vm) for vm in sorted(row.allowed_in))),
        *(() if row.over_task else (sa.or_(*tasks),)),
    ).values(task_state=row.task or table.task_state, updated_at=sa.bindparam("now"))


@functools.cache
def _update_in(among: tuple[str | None, ...], columns: tuple[str, ...], *, launches: bool = False) -> sa.Update:
    """An update of these columns of a server that is in one of the tasks; a list for IN would be rendered at every use."""
    table = Server.__table__
    values: dict[str, Any] = {column: sa.bindparam(f"new_{column}", type_=table.c[column].type) for column in columns}
    values["updated_at"] = sa.bindparam("now")
    if launches:
        values["launched_at"] = sa.func.coalesce(table.c.launched_at, sa.bindparam("now"))
    return sa.update(_SERVERS).where(
        table.c.id == sa.bindparam("of"), sa.or_(sa.false(), *(table.c.task_state == task for task in among if task)),
        table.c.deleted_at.is_(None)).values(values)


# States whose guests run: tokens that open a console do not outlive them.
_WITH_CONSOLES = (Vm.ACTIVE, Vm.PAUSED)
_SERVERS: Any = Server.__table__
_PLACE = sa.update(_SERVERS).where(_SERVERS.c.id == sa.bindparam("of")).values(
    host=sa.bindparam("new_host"), agent=sa.bindparam("new_agent"), availability_zone=sa.bindparam("new_az"),
    task_state=sa.case((_SERVERS.c.task_state == sa.bindparam("old_task"), sa.bindparam("new_task")), else_=_SERVERS.c.task_state),
    updated_at=sa.bindparam("now"))
_TASKS: dict[str, tuple[str | None, ...]] = {tasks[0]: tasks for tasks in TASKS_OF.values()}


def _changed(session: Session, statement: sa.Update, values: dict[str, Any] | None = None) -> bool:
    if values is None:
        statement = statement.execution_options(synchronize_session=False)
    return bool(session.execute(statement, values).rowcount)  # type: ignore[attr-defined]


def create(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add servers in the state in which the action `create` begins; each row has the same columns."""
    state = {"vm_state": str(Vm.BUILDING), "task_state": ACTIONS["create"].task, "created_at": utcnow()}
    session.execute(_CREATE, [{**row, **state} for row in rows])


_DELETED_AT = sa.bindparam("now", type_=_SERVERS.c.deleted_at.type)
_MARK_DELETED = sa.update(_SERVERS).where(_SERVERS.c.id == sa.bindparam("of"), _SERVERS.c.deleted_at.is_(None)).values(
    vm_state=str(Vm.DELETED), task_state=None, power_state=int(Power.NOSTATE), terminated_at=_DELETED_AT,
    deleted_at=_DELETED_AT, updated_at=_DELETED_AT, user_data=None, files=sa.null(), posted_password=None)
_CREATE = sa.insert(_SERVERS).inline()  # their numbers are not needed


def reset(session: Session, server: Server, vm_state: Vm) -> None:
    """Set the state at an operator's request: at rest in `vm_state`, whatever it was."""
    server.vm_state, server.task_state = str(vm_state), None
    session.flush()


def get_any(session: Session, server_id: str, *, project_id: str | None = None) -> Server:
    """As `get`, and deleted servers too.

    :raises errors.NotFound: none, or another project's.
    """
    query = sa.select(Server).where(Server.id == server_id)
    if project_id is not None:
        query = query.where(Server.project_id == project_id)
    server = session.scalars(query).one_or_none()
    if server is None:
        raise _missing(server_id)
    return server
