# SPDX-License-Identifier: Apache-2.0
"""Images: list, create, show, change, delete, tag."""

from __future__ import annotations

import datetime
import urllib.parse
from typing import Any

from nova_lite import errors
from nova_lite.api.image import formats, patch, schemas
from nova_lite.api.image.query import filters_of, sort_of
from nova_lite.api.image.store import open_store
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.routing import MEMBER, READER, Rule, route
from nova_lite.api.wsgi.validation import Validator
from nova_lite.db.image import images
from nova_lite.db.image.images import Image

HASH_ALGO = "sha512"
_MAX_PROPERTIES = 128  # as Glance's image_property_quota and image_tag_quota
_CHECK = Validator()


@route("GET", "/images", policy=Rule("get_images", READER))
def index(req: Request) -> Body:
    """A page of the images that the caller may see, newest first unless sorted otherwise."""
    limit = paging.limit(req)
    found = images.page(
        req.db, project_id=req.ctxt.visible_project, filters=filters_of(req.query), sort=sort_of(req.query),
        limit=limit + 1, marker=req.query.get("marker"))
    body: Body = {
        "images": [_view(image) for image in found[:limit]], "first": _page_link(req, None), "schema": "/v2/schemas/images",
    }
    if limit and len(found) > limit:
        body["next"] = _page_link(req, found[limit - 1].id)
    return body


@route("POST", "/images", policy=Rule("add_image", MEMBER), status=201, body={"2.0": schemas.CREATE})
def create(req: Request, body: Body) -> Reply:
    """Make a queued image, which waits for its data."""
    values = {"visibility": images.SHARED, **body}
    patch.refuse_read_only(name for name in values if name != "id")
    image = Image(owner=req.ctxt.project_id, status=images.QUEUED, tags=[], properties={})
    if "id" in values:
        image.id = str(values.pop("id")).lower()
    for name, value in values.items():
        patch.assign(req, image, name, value)
    _check(image)
    images.create(req.db, image)
    made = _view(image)
    return Reply(body=made, headers={"Location": f"{req.base_url}/images/{image.id}"})


@route("GET", "/images/{image_id}", policy=Rule("get_image", READER))
def show(req: Request, image_id: str) -> Body:
    return _view(images.get(req.db, image_id, project_id=req.ctxt.visible_project))


@route("PATCH", "/images/{image_id}", policy=Rule("modify_image", MEMBER), raw_body=True)
def update(req: Request, image_id: str) -> Body:
    """Apply a JSON patch, all of it or nothing.

    :raises errors.Forbidden: an attribute is read-only, or the image another project's.
    :raises errors.Conflict: a property to be replaced or removed is not there.
    """
    # A list is no JSON object, so the body is read here; the transaction is this handler's.
    operations = patch.read(req.http, _CHECK)
    with req.database.writer() as session:
        image = _own(req, images.get(session, image_id, project_id=req.ctxt.visible_project, is_locked=True))
        patch.apply(req, image, operations)
        _check(image)
        session.flush()
        return _view(image)


@route("DELETE", "/images/{image_id}", policy=Rule("delete_image", MEMBER), status=204)
def delete(req: Request, image_id: str) -> None:
    """Delete the image and then its data; guests that run from it keep their hosts' copy."""
    image = _own(req, images.get(req.db, image_id, project_id=req.ctxt.visible_project))
    images.delete(req.db, image_id)
    if image.file_id is not None:
        req.after_commit(open_store(req.conf).remove, image.file_id)


@route("PUT", "/images/{image_id}/tags/{tag}", policy=Rule("modify_image", MEMBER), status=204)
def add_tag(req: Request, image_id: str, tag: str) -> None:
    """Tag the image; harmless when done again."""
    image = _own(req, images.get(req.db, image_id, project_id=req.ctxt.visible_project, is_locked=True))
    if tag not in image.tags:
        patch.assign(req, image, "tags", [*image.tags, tag])
        _check(image)


@route("DELETE", "/images/{image_id}/tags/{tag}", policy=Rule("modify_image", MEMBER), status=204)
def remove_tag(req: Request, image_id: str, tag: str) -> None:
    """Take the tag away. :raises errors.NotFound: the image has no such tag."""
    image = _own(req, images.get(req.db, image_id, project_id=req.ctxt.visible_project, is_locked=True))
    if tag not in image.tags:
        raise errors.NotFound(what="Tag", id=tag)
    image.tags = [kept for kept in image.tags if kept != tag]


@route("GET", "/images/{image_id}/tasks", policy=Rule("get_image", READER))
def tasks(req: Request, image_id: str) -> Body:
    """Uploads and imports under way as tasks: bytes come by PUT here, and what keeps them waiting is the status."""
    images.get(req.db, image_id, project_id=req.ctxt.visible_project)
    return {"tasks": []}


@route("GET", "/images/{image_id}/members", policy=Rule("get_members", READER))
def members(req: Request, image_id: str) -> Body:
    """Projects that the image is shared with: none, since sharing with single projects is not offered."""
    images.get(req.db, image_id, project_id=req.ctxt.visible_project)
    return {"members": [], "schema": "/v2/schemas/members"}


def _own(req: Request, image: Image) -> Image:
    """The image, if it is the caller's to change. :raises errors.Forbidden: it is another project's."""
    if req.ctxt.visible_project not in (None, image.owner):
        raise errors.Forbidden(reason=f"Image {image.id} belongs to another project.")
    return image


def _check(image: Image) -> None:
    formats.check_supported(image.disk_format, image.container_format)
    if len(image.properties) > _MAX_PROPERTIES:
        raise errors.TooLarge(f"An image has at most {_MAX_PROPERTIES} properties")
    if len(image.tags) > _MAX_PROPERTIES:
        raise errors.TooLarge(f"An image has at most {_MAX_PROPERTIES} tags")
    if any(len(tag) > schemas.TAG_LENGTH for tag in image.tags):
        raise errors.InvalidField(field="tags", reason=f"a tag has at most {schemas.TAG_LENGTH} characters")


def _view(image: Image) -> Body:
    has_data = image.status == images.ACTIVE
    return {
        **image.properties,
        "id": image.id, "name": image.name, "status": image.status, "visibility": image.visibility,
        "owner": image.owner, "disk_format": image.disk_format, "container_format": image.container_format,
        "min_disk": image.min_disk_gb or 0, "min_ram": image.min_ram_mb or 0,
        "size": image.size, "virtual_size": image.virtual_size, "checksum": image.checksum,
        "os_hash_algo": HASH_ALGO if has_data else None, "os_hash_value": image.hash_value,
        "protected": bool(image.protected), "os_hidden": bool(image.os_hidden), "tags": list(image.tags),
        "created_at": _time(image.created_at), "updated_at": _time(image.updated_at or image.created_at),
        "self": f"/v2/images/{image.id}", "file": f"/v2/images/{image.id}/file", "schema": "/v2/schemas/image",
    }


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _page_link(req: Request, marker: str | None) -> str:
    """Glance's form, relative to the service's unversioned root; the SDK knows it by its leading /v2."""
    query: list[tuple[str, Any]] = [(name, value) for name, value in req.query.items() if name != "marker"]
    if marker is not None:
        query.append(("marker", marker))
    return "/v2/images" + (f"?{urllib.parse.urlencode(query)}" if query else "")
