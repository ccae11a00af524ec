# SPDX-License-Identifier: Apache-2.0
"""rescue and unrescue: boot from another disk, to mend the server's own."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action, boot_image, create
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule

_RESCUE = schemas.keyed("rescue", {
    **schemas.closed({"adminPass": {"type": "string"}, "rescue_image_ref": schemas.UUID}), "type": ["object", "null"]})


@action("rescue", policy=Rule("os_compute_api:os-rescue", MEMBER), status=200, body={"2.0": _RESCUE})
def rescue(req: Request, body: Body, server_id: str) -> Body:
    """Boot from the given image, by default the server's own, with its disk as the second one.

    :raises errors.BadRequest: there is no such image to boot from.
    """
    asked = body["rescue"] or {}
    server = begin_action.find(req, server_id)
    begin_action.refuse_vtpm(server, "rescue")
    wanted = asked.get("rescue_image_ref") or server.image_id
    if wanted is None:
        raise errors.BadRequest(reason=f"Instance {server_id} cannot be rescued: name a rescue_image_ref")
    image = boot_image.find(req, wanted)
    asked_for, _agent = begin_action.begin_on_host(req, server, "rescue")
    password = asked.get("adminPass") or create.new_password()
    asked_for.inputs = {"image_id": image.id, **create.for_config_drive(req, password, has_drive=server.config_drive)}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked_for.id)
    return {"adminPass": password}


@action("unrescue", policy=Rule("os_compute_api:os-unrescue", MEMBER), body={"2.0": schemas.empty_action("unrescue")})
def unrescue(req: Request, body: Body, server_id: str) -> None:
    """Boot from the server's own disk again."""
    server = begin_action.find(req, server_id)
    asked_for, _agent = begin_action.begin_on_host(req, server, "unrescue")
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked_for.id)
