# SPDX-License-Identifier: Apache-2.0
"""The proxy to images of the built-in service, up to 2.35; later clients use the image API."""

from __future__ import annotations

import datetime
import urllib.parse

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import links, seconds
from nova_lite.api.image.store import open_store
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, LINKS, STRING, STRING_OR_NULL, STRINGS, closed, each, page
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule
from nova_lite.api.wsgi.validation import moment
from nova_lite.db.image import images
from nova_lite.db.image.images import Filters, Image

_LAST = "2.35"
QUERY = schemas.queries({"2.0": ("changes-since", "limit", "marker", "minDisk", "minRam", "name", "server", "status", "type")})
# Nova's status and progress for each state of an image.
_STATUSES = {images.ACTIVE: ("ACTIVE", 100), images.QUEUED: ("SAVING", 25), images.SAVING: ("SAVING", 50),
             images.DELETED: ("DELETED", 0)}


_IMAGE = closed(
    {"server": closed(id=STRING, links=LINKS), "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}},
    **each("id created updated status", STRING), name=STRING_OR_NULL, metadata=STRINGS, links=LINKS,
    **each("minRam minDisk progress OS-EXT-IMG-SIZE:size", INTEGER))


def get(req: Request, image_id: str, *, is_locked: bool = False) -> Image:
    """The image, if the caller may see it.

    :raises errors.NotFound: no such image, or the project may not see it.
    """
    try:
        return images.get(req.db, image_id, project_id=req.ctxt.visible_project, is_locked=is_locked)
    except errors.NotFound:
        raise errors.NotFound(f"Image {image_id} could not be found.") from None


def own(req: Request, image_id: str) -> Image:
    """The image, if the caller may change it.

    :raises errors.Forbidden: another project's. :raises errors.NotFound: no such image.
    """
    image = get(req, image_id, is_locked=True)
    if req.ctxt.visible_project not in (None, image.owner):
        raise errors.Forbidden(reason=f"You are not allowed to change image {image_id}: it is another project's.")
    return image


@route("GET", "/images", policy=Rule("os_compute_api:images:index", ANYONE), until=_LAST, query=QUERY,
       response=page("images", closed(id=STRING, name=STRING_OR_NULL, links=LINKS)))
def index(req: Request) -> Body:
    """List ids and names of images. 200, a page. 400: a wrong marker, limit or filter."""
    rows, next_page = _page(req, "/images")
    return {"images": [{"id": image.id, "name": image.name, "links": _links(req, image)} for image in rows], **next_page}


@route("GET", "/images/detail", policy=Rule("os_compute_api:images:detail", ANYONE), until=_LAST, query=QUERY,
       response=page("images", _IMAGE))
def detail(req: Request) -> Body:
    """List images with all fields. 200 and 400 as for the short list."""
    rows, next_page = _page(req, "/images/detail")
    return {"images": [_document(req, image) for image in rows], **next_page}


@route("GET", "/images/{image_id}", policy=Rule("os_compute_api:images:show", ANYONE), until=_LAST,
       response=closed(image=_IMAGE))
def show(req: Request, image_id: str) -> Body:
    """Show one image. 200. 404: no such image for the project."""
    return {"image": _document(req, get(req, image_id))}


@route("DELETE", "/images/{image_id}", policy=Rule("os_compute_api:images:delete", ANYONE), until=_LAST, status=204)
def delete(req: Request, image_id: str) -> None:
    """Delete an image of the project. 204. 403: another project's. 404: no such image."""
    image = own(req, image_id)
    images.delete(req.db, image_id)
    if image.file_id is not None:
        req.after_commit(open_store(req.conf).remove, image.file_id)


def _page(req: Request, path: str) -> tuple[list[Image], Body]:
    limit = paging.limit(req)
    rows = images.page(req.db, project_id=req.ctxt.visible_project, filters=_filters(req), sort=[("created_at", True)],
                       limit=limit + 1, marker=req.query.get("marker"))
    if len(rows) > limit > 0:
        return rows[:limit], {"images_links": [paging.next_link(req, path=path, marker=rows[limit - 1].id)]}
    return rows[:limit], {}


def _filters(req: Request) -> Filters:
    equal: dict[str, list[object]] = {}
    properties = {name.removeprefix("property-"): value for name, value in req.query.items() if name.startswith("property-")}
    if "name" in req.query:
        equal["name"] = [req.query["name"]]
    if "status" in req.query:
        requested = req.query["status"].upper()
        equal["status"] = [status for status, (novas, _) in _STATUSES.items() if novas == requested]
    for name, column in (("minRam", "min_ram_mb"), ("minDisk", "min_disk_gb")):
        if name in req.query:
            equal[column] = [paging.minimum(req, name)]
    if "server" in req.query:
        properties["instance_uuid"] = req.query["server"].rstrip("/").rpartition("/")[2]
    if "type" in req.query:
        properties["image_type"] = req.query["type"]
    return Filters(equal=equal, properties=properties, changed_since=_since(req))


def _since(req: Request) -> datetime.datetime | None:
    text = req.query.get("changes-since")
    if text is None:
        return None
    since = moment(urllib.parse.unquote(text))
    if since is None:
        raise errors.BadRequest(reason=f"Invalid changes-since filter [{text}]")
    return since


def _document(req: Request, image: Image) -> Body:
    status, progress = _STATUSES.get(image.status, ("UNKNOWN", 0))
    document: Body = {
        "id": image.id, "name": image.name, "minRam": image.min_ram_mb, "minDisk": image.min_disk_gb,
        "metadata": dict(image.properties), "created": seconds(image.created_at),
        "updated": seconds(image.updated_at or image.created_at), "status": status, "progress": progress,
        "OS-EXT-IMG-SIZE:size": (image.size or 0) if image.status == images.ACTIVE else 0, "links": _links(req, image),
    }
    if "auto_disk_config" in image.properties:
        document["OS-DCF:diskConfig"] = "AUTO" if schemas.is_true(image.properties["auto_disk_config"]) else "MANUAL"
    server_id = image.properties.get("instance_uuid")
    if server_id:
        document["server"] = {"id": server_id, "links": links(req, f"/servers/{server_id}")}
    return document


def _links(req: Request, image: Image) -> list[dict[str, str]]:
    root = req.base_url.rsplit("/", 1)[0]
    return [*links(req, f"/images/{image.id}"), {
        "rel": "alternate", "type": "application/vnd.openstack.image", "href": f"{root}/image/v2/images/{image.id}"}]
