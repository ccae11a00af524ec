# SPDX-License-Identifier: Apache-2.0
"""createImage and createBackup: the request creates the image's row, the conductor has its data uploaded."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.disks import volume_images
from nova_lite.api.compute.servers.quota_check import check_image_quota, check_metadata
from nova_lite.api.image import limits
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute import server_images
from nova_lite.db.compute.servers import Server
from nova_lite.db.quotas import quotas

_CREATE_IMAGE = Rule("os_compute_api:servers:create_image", MEMBER)
_CREATE_BACKUP = Rule("os_compute_api:os-create-backup", MEMBER)
RULES = (volume_images.ALLOWED,)
_IMAGE = schemas.keyed("createImage", schemas.closed(
    {"name": schemas.NAME, "metadata": schemas.METADATA}, required=("name",)))
_BACKUP = schemas.keyed("createBackup", schemas.closed(
    {"name": schemas.NAME, "backup_type": {"type": "string"}, "rotation": schemas.integer(0), "metadata": schemas.METADATA},
    required=("name", "backup_type", "rotation")))


@action("createImage", policy=_CREATE_IMAGE, until="2.44", body={"2.0": _IMAGE})
def create_image(req: Request, body: Body, server_id: str) -> Reply:
    """Create an image of the server's root disk.

    202 with the image's URL in `Location`. 403: too many metadata items or images. 404: no such server in the project. 409: it is on
    no host, or its state forbids it.
    """
    return Reply(headers=_location(req, _snapshot(req, body["createImage"], server_id)))


@action("createImage", policy=_CREATE_IMAGE, since="2.45", body={"2.45": _IMAGE}, response=closed(image_id=STRING))
def create_image_named(req: Request, body: Body, server_id: str) -> Body:
    """As `create_image`; 202 with `image_id` instead of `Location`."""
    return {"image_id": _snapshot(req, body["createImage"], server_id)}


@action("createBackup", policy=_CREATE_BACKUP, until="2.44", body={"2.0": _BACKUP})
def create_backup(req: Request, body: Body, server_id: str) -> Reply:
    """Create an image, then delete the oldest backups of its type beyond `rotation`.

    202 with the image's URL in `Location`, without it for rotation 0, which keeps no backup. 400: `rotation` is negative.
    403: too many metadata items or images. 404: no such server in the project. 409: it is on no host, or its state forbids it.
    """
    image_id = _backup(req, body["createBackup"], server_id)
    return Reply(headers=_location(req, image_id) if int(body["createBackup"]["rotation"]) else {})


@action("createBackup", policy=_CREATE_BACKUP, since="2.45", body={"2.45": _BACKUP}, response=closed(image_id=STRING))
def create_backup_named(req: Request, body: Body, server_id: str) -> Body:
    """As `create_backup`; 202 with `image_id` instead of `Location`."""
    return {"image_id": _backup(req, body["createBackup"], server_id)}


def _snapshot(req: Request, params: Body, server_id: str) -> str:
    return _begin(req, server_id, "create_image", params, kind=server_images.SNAPSHOT, properties={}, inputs={})


def _backup(req: Request, params: Body, server_id: str) -> str:
    inputs = {"backup_type": params["backup_type"], "rotation": int(params["rotation"])}
    if inputs["rotation"] < 0:
        raise errors.InvalidField(field="rotation", reason=f"{inputs['rotation']} is less than the minimum of 0")
    return _begin(req, server_id, "create_backup", params, kind=server_images.BACKUP,
                  properties={"backup_type": params["backup_type"]}, inputs=inputs)


def _begin(  # the action and all columns of its image
    req: Request, server_id: str, name: str, params: Body, *, kind: str, properties: Mapping[str, str],
    inputs: Mapping[str, object],
) -> str:
    """Claim the server, create the image's row and cast to the conductor; returns the image's id."""
    metadata = params.get("metadata", {})
    check_metadata(metadata, quotas.limits(req.db, req.conf, req.ctxt.project_id)["metadata_items"])
    limits.check_properties(metadata)
    server = begin_action.find(req, server_id)
    if server.flavor.root_on_volume:
        return _of_volumes(req, server, name, params)
    action_row, _ = begin_action.begin_on_host(req, server, name)
    check_image_quota(req, req.ctxt.project_id)
    image = server_images.make(req.db, server, name=params["name"], kind=kind, owner=req.ctxt.project_id,
                           user_id=req.ctxt.user_id, properties={**metadata, **properties})
    limits.check_bytes(image.properties)
    action_row.inputs = {"image_id": image.id, **inputs}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action_row.id)
    return image.id


def _of_volumes(req: Request, server: Server, name: str, params: Body) -> str:
    """:raises errors.BadRequest: a backup, which there is none of for volumes."""
    if name != "create_image":
        raise errors.BadRequest(reason=f"Backup is not supported for volume-backed instances; use volume backups for server {server.id}.")
    check_image_quota(req, req.ctxt.project_id)
    return volume_images.create(req, server, name=params["name"], metadata=params.get("metadata", {}))


def _location(req: Request, image_id: str) -> dict[str, str]:
    root = req.conf.api.public_url or req.http.host_url
    return {"Location": f"{root}/image/v2/images/{image_id}"}
