# SPDX-License-Identifier: Apache-2.0
"""/images: list, create, show, update, delete, tags and members."""

from __future__ import annotations

import datetime
import urllib.parse
from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.api.image import formats, limits, patch, schemas
from nova_lite.api.image.query import HASH_ALGO, filters_of, sort_of
from nova_lite.api.image.store import open_store
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Reply, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.api.wsgi.validation import Validator
from nova_lite.db.image import images
from nova_lite.db.image.images import Image
from nova_lite.db.quotas import image_quotas

_CHECK = Validator()


@route("GET", "/images", policy=Rule("get_images", READER), response=schemas.LIST)
def index(req: Request) -> Body:
    """List the images that the project may see, newest first unless `sort` or `sort_key` is given.

    200, one page. 400: a wrong filter value, sort key, direction or marker.
    """
    limit = paging.limit(req)
    rows = images.page(
        req.db, project_id=req.ctxt.visible_project, filters=filters_of(req.query), sort=sort_of(req.query),
        limit=limit + 1, marker=req.query.get("marker"))
    body: Body = {
        "images": [_view(image) for image in rows[:limit]], "first": _page_link(req, None), "schema": "/v2/schemas/images",
    }
    if limit and len(rows) > limit:
        body["next"] = _page_link(req, rows[limit - 1].id)
    return body


@route("POST", "/images", policy=Rule("add_image", MEMBER), status=201, body={"2.0": schemas.CREATE}, response=schemas.SHOW)
def create(req: Request, body: Body) -> Reply:
    """Create an image in status queued; its data is uploaded afterwards.

    201 with Location. 400: a value or format that is not supported. 403: a read-only attribute, or `visibility` public or
    another `owner` by a caller who is no admin. 409: the id is in use. 413: too many properties or tags, or too many
    bytes of them, or the project's quota of images is used up.
    """
    values = {"visibility": images.SHARED, **body}
    patch.refuse_read_only(name for name in values if name != "id")
    image = Image(owner=req.ctxt.project_id, status=images.QUEUED, tags=[], properties={})
    if "id" in values:
        image.id = str(values.pop("id")).lower()
    for name, value in values.items():
        patch.assign(req, image, name, value)
    _check(image)
    over = image_quotas.count_over(req.db, req.conf, image.owner)
    if over is not None:
        raise errors.TooLarge(over)
    images.create(req.db, image)
    return Reply(body=_view(image), headers={"Location": f"{req.base_url}/images/{image.id}"})


@route("GET", "/images/{image_id}", policy=Rule("get_image", READER), response=schemas.SHOW)
def show(req: Request, image_id: str) -> Body:
    """Show one image. 200. 404: no such image, or not visible to the project."""
    return _view(images.get(req.db, image_id, project_id=req.ctxt.visible_project))


@route("PATCH", "/images/{image_id}", policy=Rule("modify_image", MEMBER), raw_body=True, response=schemas.SHOW)
def update(req: Request, image_id: str) -> Body:
    """Apply a JSON patch, completely or not at all.

    200. 400: not a patch, or a value that is not supported. 403: a read-only attribute, an admin's, or another project's image.
    404: no such image. 409: a property to replace or remove does not exist. 413: too large, or too many properties or tags.
    415: another media type.
    """
    # The body is a list, not an object, so it is read here; the transaction is this handler's.
    operations = patch.read(req.http, _CHECK)
    with req.database.writer() as session:
        image = _own(req, images.get(session, image_id, project_id=req.ctxt.visible_project, is_locked=True))
        before = image.properties
        patch.apply(req, image, operations)
        _check(image, before=before)
        session.flush()
        return _view(image)


@route("DELETE", "/images/{image_id}", policy=Rule("delete_image", MEMBER), status=204)
def delete(req: Request, image_id: str) -> None:
    """Delete the image, then its data; guests created from it keep the copy on their hosts.

    204. 403: protected, or another project's. 404: no such image.
    """
    image = _own(req, images.get(req.db, image_id, project_id=req.ctxt.visible_project))
    images.delete(req.db, image_id)
    if image.file_id is not None:
        req.after_commit(open_store(req.conf).remove, image.file_id)


@route("PUT", "/images/{image_id}/tags/{tag}", policy=Rule("modify_image", MEMBER), status=204)
def add_tag(req: Request, image_id: str, tag: str) -> None:
    """Add a tag; idempotent.

    204. 400: the tag is too long. 403: another project's image. 404: no such image. 413: too many tags.
    """
    image = _own(req, images.get(req.db, image_id, project_id=req.ctxt.visible_project, is_locked=True))
    if tag not in image.tags:
        patch.assign(req, image, "tags", [*image.tags, tag])
        _check(image, before=image.properties)


@route("DELETE", "/images/{image_id}/tags/{tag}", policy=Rule("modify_image", MEMBER), status=204)
def remove_tag(req: Request, image_id: str, tag: str) -> None:
    """Remove a tag. 204. 403: another project's image. 404: no such image or tag."""
    image = _own(req, images.get(req.db, image_id, project_id=req.ctxt.visible_project, is_locked=True))
    if tag not in image.tags:
        raise errors.NotFound(what="Tag", id=tag)
    image.tags = [other for other in image.tags if other != tag]


@route("GET", "/images/{image_id}/tasks", policy=Rule("get_image", READER), response=closed(tasks=EMPTY_LIST))
def tasks(req: Request, image_id: str) -> Body:
    """List the image's tasks. 200 with an empty list: imports, which have tasks, are not implemented. 404: no such image."""
    images.get(req.db, image_id, project_id=req.ctxt.visible_project)
    return {"tasks": []}


@route(
    "GET", "/images/{image_id}/members", policy=Rule("get_members", READER), response=closed(members=EMPTY_LIST, schema=STRING)
)
def members(req: Request, image_id: str) -> Body:
    """List the image's members. 200 with an empty list: sharing with single projects is not implemented. 404: no such image."""
    images.get(req.db, image_id, project_id=req.ctxt.visible_project)
    return {"members": [], "schema": "/v2/schemas/members"}


def _own(req: Request, image: Image) -> Image:
    """The image, if the caller may change it. :raises errors.Forbidden: it is another project's."""
    if req.ctxt.visible_project not in (None, image.owner):
        raise errors.Forbidden(reason=f"Image {image.id} belongs to another project.")
    return image


def _check(image: Image, *, before: Mapping[str, str] | None = None) -> None:
    """Check what the caller has set; properties that are as `before` stay, also if they are those of a snapshot and many."""
    formats.check_supported(image.disk_format, image.container_format)
    if image.properties != before:
        limits.check_properties(image.properties)
    limits.check_tags(image)


def _view(image: Image) -> Body:
    has_data = image.status == images.ACTIVE
    return {
        **image.properties,
        "id": image.id, "name": image.name, "status": image.status, "visibility": image.visibility,
        "owner": image.owner, "disk_format": image.disk_format, "container_format": image.container_format,
        "min_disk": image.min_disk_gb or 0, "min_ram": image.min_ram_mb or 0,
        "size": image.size if has_data else None, "virtual_size": image.virtual_size, "checksum": image.checksum,
        "os_hash_algo": HASH_ALGO if has_data else None, "os_hash_value": image.hash_value,
        "protected": bool(image.protected), "os_hidden": bool(image.os_hidden), "tags": list(image.tags),
        "created_at": _time(image.created_at), "updated_at": _time(image.updated_at or image.created_at),
        "self": f"/v2/images/{image.id}", "file": f"/v2/images/{image.id}/file", "schema": "/v2/schemas/image",
    }


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _page_link(req: Request, marker: str | None) -> str:
    """Glance's form, relative to the service's unversioned root; the SDK recognizes it by its leading /v2."""
    query: list[tuple[str, Any]] = [(name, value) for name, value in req.query.items() if name != "marker"]
    if marker is not None:
        query.append(("marker", marker))
    return "/v2/images" + (f"?{urllib.parse.urlencode(query)}" if query else "")
