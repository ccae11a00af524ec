# SPDX-License-Identifier: Apache-2.0
"""The removed proxy to the bare metal service (Ironic), which this cloud does not have."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule

_NODES, _NODE = "/os-baremetal-nodes", "/os-baremetal-nodes/{node_id}"
_ANY_TOKEN = Rule("os_compute_api:os-baremetal-nodes", ANYONE)


@route("GET", _NODES, policy=Rule("os_compute_api:os-baremetal-nodes:list", ADMIN), until="2.35")
@route("GET", _NODE, policy=Rule("os_compute_api:os-baremetal-nodes:show", ADMIN), until="2.35")
def refuse_read(_req: Request, **_ids: str) -> NoReturn:
    """Refuse. 501: this cloud has no bare metal service."""
    raise errors.NotImplementedHere(reason="Bare metal nodes are not offered: this cloud has no bare metal service.")


@route("POST", _NODES, policy=_ANY_TOKEN, until="2.35")
def create(_req: Request) -> NoReturn:
    """Refuse. 400: only the bare metal service has this command."""
    _refuse("create")


@route("DELETE", _NODE, policy=_ANY_TOKEN, until="2.35")
def delete(_req: Request, node_id: str) -> NoReturn:  # the path has it
    """Refuse. 400: only the bare metal service has this command."""
    _refuse("delete")


@action("add_interface", path=f"{_NODE}/action", status=200, policy=_ANY_TOKEN, until="2.35",
        body={"2.0": schemas.empty_action("add_interface")})
@action("remove_interface", path=f"{_NODE}/action", status=200, policy=_ANY_TOKEN, until="2.35",
        body={"2.0": schemas.empty_action("remove_interface")})
def change_interfaces(_req: Request, body: Body, node_id: str) -> NoReturn:  # the path has it
    """Refuse. 400: only the bare metal service has this command."""
    _refuse(next(iter(body)))


def _refuse(command: str) -> NoReturn:
    raise errors.BadRequest(reason=f"Command not supported: {command} is a command of the bare metal service, Ironic.")
