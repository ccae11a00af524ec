# SPDX-License-Identifier: Apache-2.0
"""os-volume_upload_image: the request creates the image's row, the conductor has the volume's content uploaded."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.servers.quota_check import check_image_quota
from nova_lite.api.image import limits
from nova_lite.api.volume.common import begin_action, schemas
from nova_lite.api.volume.common.find import find
from nova_lite.api.volume.common.links import micros
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    OBJECT,
    STRING,
    STRING_OR_NULL,
    TIME_OR_NULL,
    UUID,
    Property,
    closed,
    nullable,
)
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, Rule
from nova_lite.db.image import images
from nova_lite.db.image.images import PRIVATE, PUBLIC, QUEUED, Image
from nova_lite.db.volume import volume_types, volumes
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import VolumeStatus

_NAME = "os-volume_upload_image"
_UPLOAD = Rule("volume_extension:volume_actions:upload_image", MEMBER)
_PUBLIC = Rule("volume_extension:volume_actions:upload_public", ADMIN)
EXTRA_RULES = (_PUBLIC,)
FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx")
# Of the volume's image metadata, what is about that image's own bytes.
_OWN = frozenset({"image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size",
                  "img_signature", "img_signature_hash_method", "img_signature_key_type", "img_signature_certificate_uuid"})
_PROPERTIES = {
    "image_name": {"type": "string", "minLength": 1, "maxLength": 255}, "force": schemas.BOOLEAN,
    "disk_format": {"enum": list(FORMATS)}, "container_format": {"enum": ["bare"]}}
_BODY = schemas.keyed(_NAME, schemas.closed(_PROPERTIES, required=("image_name",)))
_BODY_WITH_VISIBILITY = schemas.keyed(_NAME, schemas.closed({
    **_PROPERTIES, "visibility": {"enum": ["community", "public", "private", "shared"]}, "protected": schemas.BOOLEAN}, required=("image_name",)))
_FIELDS = (
    Property("id", UUID), Property("updated_at", TIME_OR_NULL), Property("status", STRING), Property("display_description", STRING_OR_NULL),
    Property("size", INTEGER), Property("volume_type", nullable(OBJECT)), Property("image_id", UUID), Property("container_format", STRING),
    Property("disk_format", STRING), Property("image_name", STRING), Property("visibility", STRING, since="3.1"),
    Property("protected", BOOLEAN, since="3.1"))


@action(_NAME, path=ACTIONS, policy=_UPLOAD, until="3.0", body={"3.0": _BODY}, response=closed(**{_NAME: _FIELDS}))
def upload(req: Request, body: Body, volume_id: str) -> Body:
    """Make an image of the volume's content.

    202 with the image's id. 400: a format that images do not have here, or the volume is not available, and not in use with `force`.
    403: over the quota of images. 404: no such volume in the project.
    """
    return {_NAME: _begin(req, find(req, volume_id), body[_NAME])}


@action(_NAME, path=ACTIONS, policy=_UPLOAD, since="3.1", body={"3.1": _BODY_WITH_VISIBILITY}, response=closed(**{_NAME: _FIELDS}))
def upload_visible(req: Request, body: Body, volume_id: str) -> Body:
    """As `upload`, with who sees the image and whether it is protected.

    202, 400, 403 and 404 as there; 403 also for a public image, which the policy forbids.
    """
    params = body[_NAME]
    if params.get("visibility") == PUBLIC:
        req.policy.check(_PUBLIC, req.ctxt)
    made = _begin(req, find(req, volume_id), params)
    return {_NAME: {**made, "visibility": params.get("visibility", PRIVATE), "protected": schemas.is_true(params.get("protected"))}}


def _begin(req: Request, volume: Volume, params: Body) -> Body:
    """Claim the volume, create the image's row and record the action; what is answered."""
    is_forced = schemas.is_true(params.get("force"))
    if volume.status == VolumeStatus.IN_USE and not is_forced:
        raise errors.WrongStatus(action="upload", what="Volume", id=volume.id, status=volume.status, allowed=str(VolumeStatus.AVAILABLE))
    updated_at = micros(volume.updated_at)
    volumes.begin(req.db, volume, "upload_volume")
    check_image_quota(req, req.ctxt.project_id)
    image = _add_image(req, volume, params)
    begin_action.record(req, begin_action.VOLUME, volume.id, "upload_volume", {"image_id": image.id, "disk_format": str(image.disk_format)})
    kind = volume_types.by_ids(req.db, {volume.volume_type_id or ""}).get(volume.volume_type_id or "")
    return {
        "id": volume.id, "updated_at": updated_at, "status": str(VolumeStatus.UPLOADING), "display_description": volume.description,
        "size": volume.size_gb, "image_id": image.id, "container_format": image.container_format, "disk_format": image.disk_format,
        "image_name": image.name, "volume_type": None if kind is None else {
            "id": kind.id, "name": kind.name, "description": kind.description, "is_public": kind.is_public, "qos_specs_id": kind.qos_specs_id,
            "extra_specs": kind.extra_specs if req.ctxt.is_admin else {}, "created_at": micros(kind.created_at), "updated_at": micros(kind.updated_at), "deleted": False,
            "deleted_at": None}}


def _add_image(req: Request, volume: Volume, params: Body) -> Image:
    properties = {name: value for name, value in volume.image_metadata.items() if name not in _OWN}
    limits.check_properties(properties)
    image = Image(
        owner=req.ctxt.project_id, name=params["image_name"], status=QUEUED, visibility=params.get("visibility", PRIVATE),
        disk_format=params.get("disk_format", "raw"), container_format="bare", min_disk_gb=0, min_ram_mb=0,
        protected=schemas.is_true(params.get("protected")), tags=[], properties=properties)
    images.create(req.db, image)
    return image
