# SPDX-License-Identifier: Apache-2.0
"""createImage and createBackup: the image's row is made at once, its bytes are the conductor's work."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.quota_check import check_metadata
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute import server_images
from nova_lite.db.quotas import quotas

_CREATE_IMAGE = Rule("os_compute_api:servers:create_image", MEMBER)
_CREATE_BACKUP = Rule("os_compute_api:os-create-backup", MEMBER)
# Asked about servers whose root disk is a volume; this cloud's boot from images.
RULES = (Rule("os_compute_api:servers:create_image:allow_volume_backed", MEMBER),)
_IMAGE = schemas.keyed("createImage", schemas.closed(
    {"name": schemas.NAME, "metadata": schemas.METADATA}, required=("name",)))
_BACKUP = schemas.keyed("createBackup", schemas.closed(
    {"name": schemas.NAME, "backup_type": {"type": "string"}, "rotation": schemas.integer(0), "metadata": schemas.METADATA},
    required=("name", "backup_type", "rotation")))


@action("createImage", policy=_CREATE_IMAGE, until="2.44", body={"2.0": _IMAGE})
def create_image(req: Request, body: Body, server_id: str) -> Reply:
    """Make an image of the server's root disk; the answer says where it will be."""
    return Reply(headers=_location(req, _snapshot(req, body["createImage"], server_id)))


@action("createImage", policy=_CREATE_IMAGE, since="2.45", body={"2.45": _IMAGE})
def create_image_named(req: Request, body: Body, server_id: str) -> Body:
    """As `create_image`; the answer names the image."""
    return {"image_id": _snapshot(req, body["createImage"], server_id)}


@action("createBackup", policy=_CREATE_BACKUP, until="2.44", body={"2.0": _BACKUP})
def create_backup(req: Request, body: Body, server_id: str) -> Reply:
    """Make an image, and let the oldest backups of its type beyond `rotation` go; with 0 none is left to point at."""
    made = _backup(req, body["createBackup"], server_id)
    return Reply(headers=_location(req, made) if int(body["createBackup"]["rotation"]) else {})


@action("createBackup", policy=_CREATE_BACKUP, since="2.45", body={"2.45": _BACKUP})
def create_backup_named(req: Request, body: Body, server_id: str) -> Body:
    """As `create_backup`; the answer names the image."""
    return {"image_id": _backup(req, body["createBackup"], server_id)}


def _snapshot(req: Request, asked: Body, server_id: str) -> str:
    return _begin(req, server_id, "create_image", asked, kind=server_images.SNAPSHOT, properties={}, inputs={})


def _backup(req: Request, asked: Body, server_id: str) -> str:
    inputs = {"backup_type": asked["backup_type"], "rotation": int(asked["rotation"])}
    if inputs["rotation"] < 0:
        raise errors.InvalidField(field="createBackup/rotation", reason=f"{inputs['rotation']} is less than the minimum of 0")
    return _begin(req, server_id, "create_backup", asked, kind=server_images.BACKUP,
                  properties={"backup_type": asked["backup_type"]}, inputs=inputs)


def _begin(  # noqa: PLR0913 - of what, what for, and what becomes of it
    req: Request, server_id: str, name: str, asked: Body, *, kind: str, properties: Mapping[str, str],
    inputs: Mapping[str, object],
) -> str:
    """Claim the server, make the image's row and hand over; the image's id."""
    metadata = asked.get("metadata", {})
    check_metadata(metadata, quotas.limits(req.db, req.conf, req.ctxt.project_id)["metadata_items"])
    server = begin_action.find(req, server_id)
    asked_for, _agent = begin_action.begin_on_host(req, server, name)
    image = server_images.make(req.db, server, name=asked["name"], kind=kind, owner=req.ctxt.project_id,
                           user_id=req.ctxt.user_id, properties={**metadata, **properties})
    asked_for.inputs = {"image_id": image.id, **inputs}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=asked_for.id)
    return image.id


def _location(req: Request, image_id: str) -> dict[str, str]:
    root = req.conf.api.public_url or req.http.host_url
    return {"Location": f"{root}/image/v2/images/{image_id}"}
