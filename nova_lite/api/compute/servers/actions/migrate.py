# SPDX-License-Identifier: Apache-2.0
"""migrate, os-migrateLive and evacuate: checked and then refused, since this cloud cannot move servers between hosts yet."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MANAGER, Rule
from nova_lite.db import clock
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts
from nova_lite.lifecycle.servers import Vm

_HOST_OR_NULL = {"anyOf": [schemas.HOST, {"type": "null"}]}
_AUTO = {"anyOf": [*schemas.BOOLEAN["anyOf"], {"enum": ["auto"]}]}
_MIGRATE_TO = schemas.keyed("migrate", {**schemas.closed({"host": _HOST_OR_NULL}), "type": ["object", "null"]})
_LIVE = schemas.keyed("os-migrateLive", schemas.closed(
    {"host": _HOST_OR_NULL, "block_migration": schemas.BOOLEAN, "disk_over_commit": schemas.BOOLEAN},
    required=("host", "block_migration", "disk_over_commit")))
_LIVE_AUTO = {"host": _HOST_OR_NULL, "block_migration": _AUTO}
_EVACUATE = {"host": schemas.HOST, "adminPass": {"type": "string"}}


def _live(**more: schemas.Schema) -> schemas.Schema:
    return schemas.keyed("os-migrateLive", schemas.closed({**_LIVE_AUTO, **more}, required=tuple(_LIVE_AUTO)))


def _evacuate(*required: str, **more: schemas.Schema) -> schemas.Schema:
    return schemas.keyed("evacuate", schemas.closed({**_EVACUATE, **more}, required=required))


@action("migrate", policy=Rule("os_compute_api:os-migrate-server:migrate", MANAGER),
        body={"2.0": schemas.empty_action("migrate"), "2.56": _MIGRATE_TO})
def migrate(req: Request, body: Body, server_id: str) -> NoReturn:
    """Cold migration, which is refused.

    400: no valid host. 404: no such server. 409: it is locked, or its state forbids it.
    """
    _refuse(req, server_id, "migrate", {Vm.ACTIVE, Vm.STOPPED})


@action("os-migrateLive", policy=Rule("os_compute_api:os-migrate-server:migrate_live", MANAGER),
        body={"2.0": _LIVE, "2.25": _live(), "2.30": _live(force=schemas.BOOLEAN), "2.68": _live()})
def migrate_live(req: Request, body: Body, server_id: str) -> NoReturn:
    """Live migration, which is refused.

    400: no valid host. 404: no such server. 409: it is locked, or its state forbids it.
    """
    _refuse(req, server_id, "os-migrateLive", {Vm.ACTIVE, Vm.PAUSED})


@action("evacuate", policy=Rule("os_compute_api:os-evacuate", ADMIN), status=200, body={
    "2.0": _evacuate("onSharedStorage", onSharedStorage=schemas.BOOLEAN), "2.14": _evacuate(),
    "2.29": _evacuate(force=schemas.BOOLEAN), "2.68": _evacuate()})
def evacuate(req: Request, body: Body, server_id: str) -> NoReturn:
    """Evacuation from a host that is down, which is refused.

    400: the server's host is up, or no valid host. 404: no such server. 409: it is locked, or its state forbids it.
    """
    server = _movable(req, server_id, "evacuate", {Vm.ACTIVE, Vm.STOPPED, Vm.ERROR})
    alive = [service for service in hosts.services(req.db, binary="nova-compute", host=server.host)
             if hosts.is_alive(service, now=clock.read(req.db), down_time_s=req.conf.service_down_time)]
    if alive:
        raise errors.BadRequest(reason=f"Compute service of {server.host} is still in use.")
    raise _no_host(req, server)


def _refuse(req: Request, server_id: str, action_name: str, allowed_in: set[Vm]) -> NoReturn:
    raise _no_host(req, _movable(req, server_id, action_name, allowed_in))


def _movable(req: Request, server_id: str, action_name: str, allowed_in: set[Vm]) -> Server:
    """The server, if its state allows the move.

    :raises errors.ServerLocked: it is locked. :raises errors.WrongState: its state forbids it.
    """
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    for attribute, state, is_fine in (
        ("vm_state", server.vm_state, server.vm_state in allowed_in),
        ("task_state", server.task_state, server.task_state is None),
    ):
        if not is_fine:
            raise errors.WrongState(action=action_name, id=server_id, attribute=attribute, state=state)
    return server


def _no_host(req: Request, server: Server) -> errors.BadRequest:
    others = [host for host in hosts.hosts(req.db) if host.name != server.host]
    why = "Servers are not moved between hosts by this cloud yet." if others else "There is no other compute host."
    return errors.BadRequest(reason=f"No valid host was found. {why}")
