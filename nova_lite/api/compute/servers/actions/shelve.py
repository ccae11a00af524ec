# SPDX-License-Identifier: Apache-2.0
"""shelve keeps a server as a snapshot, shelveOffload removes it from its host, unshelve brings it back."""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import requested_destination, schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.quota_check import check_image_quota
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.compute import server_images, shelving
from nova_lite.lifecycle.servers import Vm

TO_HOST = Rule("os_compute_api:os-shelve:unshelve_to_host", ADMIN)
RULES = (TO_HOST,)
_HAS_DESTINATION = parse("2.77")  # from here on the body may name zone and host; before, its value is ignored
_ZONE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255}
_TO_ZONE = schemas.keyed("unshelve", {
    "anyOf": [{"type": "null"}, schemas.closed({"availability_zone": _ZONE}, required=("availability_zone",))]})
_TO_HOST = schemas.keyed("unshelve", {"anyOf": [{"type": "null"}, schemas.closed({
    "availability_zone": {"anyOf": [{"type": "null"}, _ZONE]}, "host": schemas.HOST})]})


@action("shelve", policy=Rule("os_compute_api:os-shelve:shelve", MEMBER), body={"2.0": schemas.empty_action("shelve")})
def shelve(req: Request, body: Body, server_id: str) -> None:
    """Power the server off, take a snapshot, and remove it from its host after `[compute] shelved_offload_time`.

    One that boots from a volume needs no snapshot, and leaves its host at once.

    202 with no body. 403: the quota of images is used up. 404: no such server in the project. 409: it is locked, on no host,
    has a TPM, or its state forbids it.
    """
    server = begin_action.find(req, server_id)
    begin_action.refuse_vtpm(server, "shelve")
    action_row = begin_action.begin(req, server, "shelve")
    if server.agent is None:
        raise errors.Conflict(reason=f"Cannot 'shelve' server {server.id}: it is on no host, since its build failed")
    if server.flavor.root_on_volume:  # the volume is all that it has: it leaves its host at once
        action_row.inputs = {"image_id": "", "was": server.vm_state}
        req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)
        return
    check_image_quota(req, server.project_id)
    image = server_images.make(
        req.db, server, name=f"{server.name}-shelved", kind=server_images.SNAPSHOT, owner=server.project_id,
        user_id=req.ctxt.user_id, properties={})
    shelving.record(req.db, server.id, image_id=image.id, now=None)
    action_row.inputs = {"image_id": image.id, "was": server.vm_state}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)


@action("shelveOffload", policy=Rule("os_compute_api:os-shelve:shelve_offload", ADMIN),
        body={"2.0": schemas.empty_action("shelveOffload")})
def shelve_offload(req: Request, body: Body, server_id: str) -> None:
    """Remove a shelved server from its host now.

    202 with no body. 404: no such server. 409: it is locked, or not SHELVED.
    """
    begin_action.begin_workflow(req, begin_action.find(req, server_id), "shelve_offload")


@action("unshelve", policy=Rule("os_compute_api:os-shelve:unshelve", MEMBER),
        body={"2.0": schemas.empty_action("unshelve"), "2.77": _TO_ZONE, "2.91": _TO_HOST})
def unshelve(req: Request, body: Body, server_id: str) -> None:
    """Bring the server back: on its host, or if it was offloaded on one that the scheduler selects.

    `availability_zone` pins the server to the zone, null unpins it; zone and `host` are for offloaded servers only.
    202 with no body. 400: there is no such zone or host. 403: `host`, and the policy does not allow it. 404: no such server
    in the project. 409: it is locked, not SHELVED, or not offloaded and a zone or host is requested.
    """
    server, params = begin_action.find(req, server_id), body["unshelve"]
    destination: Body = params if isinstance(params, dict) and req.version >= _HAS_DESTINATION else {}
    zone, host = destination.get("availability_zone"), destination.get("host")
    if host is not None:
        require(req, TO_HOST)
    if destination and server.vm_state != Vm.SHELVED_OFFLOADED:
        raise errors.Conflict(reason=(
            f"Specifying an availability zone or a host when unshelving server '{server_id}' with status "
            f"'{server.vm_state}' is not supported, only when it is 'SHELVED_OFFLOADED'"))
    requested_destination.check(req, zone=zone, host=host)
    if "availability_zone" in destination:
        server.requested_az = zone
    begin_action.begin_workflow(req, server, "unshelve", {"host": host} if host else {})
