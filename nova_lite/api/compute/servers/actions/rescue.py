# SPDX-License-Identifier: Apache-2.0
"""rescue and unrescue: boot from another disk, so that the server's own can be repaired."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action, boot_image, create
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.api.wsgi.versions import Version

_OF_VOLUMES = Version(2, 87)
_RESCUE_DISK = frozenset({"hw_rescue_device", "hw_rescue_bus"})
_RESCUE = schemas.keyed("rescue", {
    **schemas.closed({"adminPass": {"type": "string"}, "rescue_image_ref": schemas.UUID}), "type": ["object", "null"]})


@action("rescue", policy=Rule("os_compute_api:os-rescue", MEMBER), status=200, body={"2.0": _RESCUE},
        response=closed(adminPass=STRING))
def rescue(req: Request, body: Body, server_id: str) -> Body:
    """Boot from an image, by default the server's own, with the server's root disk as the second disk.

    200 with the administrator's password. 400: the image cannot be used. 404: no such server in the project. 409: it is
    locked, on no host, has a TPM, or its state forbids it.
    """
    params = body["rescue"] or {}
    server = begin_action.find(req, server_id)
    begin_action.refuse_vtpm(server, "rescue")
    image_id = params.get("rescue_image_ref") or server.image_id
    if image_id is None:
        raise errors.BadRequest(reason=f"Instance {server_id} cannot be rescued: name a rescue_image_ref")
    image = boot_image.find(req, image_id)
    if server.flavor.root_on_volume and (req.version < _OF_VOLUMES or not _RESCUE_DISK & image.properties.keys()):
        raise errors.BadRequest(reason=f"Instance {server_id} cannot be rescued: it boots from a volume, which takes microversion 2.87 and an "
                                       "image with hw_rescue_device or hw_rescue_bus.")
    action_row, _ = begin_action.begin_on_host(req, server, "rescue")
    password = params.get("adminPass") or create.new_password()
    action_row.inputs = {"image_id": image.id, **create.for_config_drive(req, password, has_drive=server.config_drive)}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)
    return {"adminPass": password}


@action("unrescue", policy=Rule("os_compute_api:os-unrescue", MEMBER), body={"2.0": schemas.empty_action("unrescue")})
def unrescue(req: Request, body: Body, server_id: str) -> None:
    """Boot from the server's own root disk again.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or not in RESCUE.
    """
    server = begin_action.find(req, server_id)
    action_row, _ = begin_action.begin_on_host(req, server, "unrescue")
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)
