# SPDX-License-Identifier: Apache-2.0
"""Shelve a server: off, as a snapshot, and off its host; unshelve builds it again from there."""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import requested_destination, schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.compute import server_images, shelving
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import Vm

TO_HOST = Rule("os_compute_api:os-shelve:unshelve_to_host", ADMIN)
RULES = (TO_HOST,)
_PLACED = parse("2.77")  # from here on the body may say where; before, whatever it says is heard as null
_ZONE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255}
_TO_ZONE = schemas.keyed("unshelve", {
    "anyOf": [{"type": "null"}, schemas.closed({"availability_zone": _ZONE}, required=("availability_zone",))]})
_TO_HOST = schemas.keyed("unshelve", {"anyOf": [{"type": "null"}, schemas.closed({
    "availability_zone": {"anyOf": [{"type": "null"}, _ZONE]}, "host": schemas.HOST})]})


def _hand_over(req: Request, server: Server, name: str, inputs: Body | None = None) -> None:
    asked = begin_action.begin(req, server, name)
    asked.inputs = inputs or {}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked.id)


@action("shelve", policy=Rule("os_compute_api:os-shelve:shelve", MEMBER), body={"2.0": schemas.empty_action("shelve")})
def shelve(req: Request, body: Body, server_id: str) -> None:
    """Power off, take a snapshot, and leave the host when `[compute] shelved_offload_time` says so."""
    server = begin_action.find(req, server_id)
    begin_action.refuse_vtpm(server, "shelve")
    asked = begin_action.begin(req, server, "shelve")
    if server.agent is None:
        raise errors.Conflict(reason=f"Cannot 'shelve' server {server.id}: it is on no host, since its build failed")
    image = server_images.make(
        req.db, server, name=f"{server.name}-shelved", kind=server_images.SNAPSHOT, owner=server.project_id,
        user_id=req.ctxt.user_id, properties={})
    shelving.keep(req.db, server.id, image_id=image.id, now=None)
    asked.inputs = {"image_id": image.id, "was": server.vm_state}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked.id)


@action("shelveOffload", policy=Rule("os_compute_api:os-shelve:shelve_offload", ADMIN),
        body={"2.0": schemas.empty_action("shelveOffload")})
def shelve_offload(req: Request, body: Body, server_id: str) -> None:
    """Take a shelved server off its host now."""
    _hand_over(req, begin_action.find(req, server_id), "shelve_offload")


@action("unshelve", policy=Rule("os_compute_api:os-shelve:unshelve", MEMBER),
        body={"2.0": schemas.empty_action("unshelve"), "2.77": _TO_ZONE, "2.91": _TO_HOST})
def unshelve(req: Request, body: Body, server_id: str) -> None:
    """Bring the server back, where it is or on a host that a scheduler picks; `host` and zones are for offloaded ones.

    `availability_zone` pins the server to the zone; null unpins it.
    """
    server, asked = begin_action.find(req, server_id), body["unshelve"]
    wanted: Body = asked if isinstance(asked, dict) and req.version >= _PLACED else {}
    zone, host = wanted.get("availability_zone"), wanted.get("host")
    if host is not None:
        require(req, TO_HOST)
    if wanted and server.vm_state != Vm.SHELVED_OFFLOADED:
        raise errors.Conflict(reason=(
            f"Specifying an availability zone or a host when unshelving server '{server_id}' with status "
            f"'{server.vm_state}' is not supported, only when it is 'SHELVED_OFFLOADED'"))
    requested_destination.check(req, zone=zone, host=host)
    if "availability_zone" in wanted:
        server.wanted_zone = zone
    _hand_over(req, server, "unshelve", {"host": host} if host else {})
