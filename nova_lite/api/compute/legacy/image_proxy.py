# SPDX-License-Identifier: Apache-2.0
"""The old proxy to the image service, up to 2.35: images of the built-in service as Nova used to show them."""

from __future__ import annotations

import datetime
import urllib.parse

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import links, seconds
from nova_lite.api.image.store import open_store
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule
from nova_lite.db.image import images
from nova_lite.db.image.images import Filters, Image

_LAST = "2.35"
QUERY = schemas.queries({"2.0": ("changes-since", "limit", "marker", "minDisk", "minRam", "name", "server", "status", "type")})
# What Nova calls the states of images, and how far along each is.
_STATUSES = {images.ACTIVE: ("ACTIVE", 100), images.QUEUED: ("SAVING", 25), images.SAVING: ("SAVING", 50),
             images.DELETED: ("DELETED", 0)}


def get(req: Request, image_id: str, *, is_locked: bool = False) -> Image:
    """The image, if the caller may see it.

    :raises errors.NotFound: none.
    """
    try:
        return images.get(req.db, image_id, project_id=req.ctxt.visible_project, is_locked=is_locked)
    except errors.NotFound:
        raise errors.NotFound(f"Image {image_id} could not be found.") from None


def own(req: Request, image_id: str) -> Image:
    """The image, if it is the caller's to change.

    :raises errors.Forbidden: another project's.
    """
    image = get(req, image_id, is_locked=True)
    if req.ctxt.visible_project not in (None, image.owner):
        raise errors.Forbidden(reason=f"You are not allowed to change image {image_id}: it is another project's.")
    return image


@route("GET", "/images", policy=Rule("os_compute_api:images:index", ANYONE), until=_LAST, query=QUERY)
def index(req: Request) -> Body:
    """Names and ids."""
    found, more = _page(req, "/images")
    return {"images": [{"id": image.id, "name": image.name, "links": _links(req, image)} for image in found], **more}


@route("GET", "/images/detail", policy=Rule("os_compute_api:images:detail", ANYONE), until=_LAST, query=QUERY)
def detail(req: Request) -> Body:
    """Whole images."""
    found, more = _page(req, "/images/detail")
    return {"images": [_show(req, image) for image in found], **more}


@route("GET", "/images/{image_id}", policy=Rule("os_compute_api:images:show", ANYONE), until=_LAST)
def show(req: Request, image_id: str) -> Body:
    """One image."""
    return {"image": _show(req, get(req, image_id))}


@route("DELETE", "/images/{image_id}", policy=Rule("os_compute_api:images:delete", ANYONE), until=_LAST, status=204)
def delete(req: Request, image_id: str) -> None:
    """Delete an image of the caller's project."""
    image = own(req, image_id)
    images.delete(req.db, image_id)
    if image.file_id is not None:
        req.after_commit(open_store(req.conf).remove, image.file_id)


def _page(req: Request, path: str) -> tuple[list[Image], Body]:
    limit = paging.limit(req)
    found = images.page(req.db, project_id=req.ctxt.visible_project, filters=_filters(req), sort=[("created_at", True)],
                        limit=limit + 1, marker=req.query.get("marker"))
    if len(found) > limit > 0:
        return found[:limit], {"images_links": [paging.next_link(req, path=path, marker=found[limit - 1].id)]}
    return found[:limit], {}


def _filters(req: Request) -> Filters:
    equal: dict[str, list[object]] = {}
    properties = {name.removeprefix("property-"): value for name, value in req.query.items() if name.startswith("property-")}
    if "name" in req.query:
        equal["name"] = [req.query["name"]]
    if "status" in req.query:
        wanted = req.query["status"].upper()
        equal["status"] = [status for status, (word, _) in _STATUSES.items() if word == wanted]
    for word, column in (("minRam", "min_ram_mb"), ("minDisk", "min_disk_gb")):
        if word in req.query:
            equal[column] = [paging.minimum(req, word)]
    if "server" in req.query:
        properties["instance_uuid"] = req.query["server"].rstrip("/").rpartition("/")[2]
    if "type" in req.query:
        properties["image_type"] = req.query["type"]
    return Filters(equal=equal, properties=properties, changed_since=_since(req))


def _since(req: Request) -> datetime.datetime | None:
    text = req.query.get("changes-since")
    if text is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(urllib.parse.unquote(text))
    except ValueError:
        raise errors.BadRequest(reason=f"Invalid changes-since filter [{text}]") from None
    return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _show(req: Request, image: Image) -> Body:
    status, progress = _STATUSES.get(image.status, ("UNKNOWN", 0))
    shown: Body = {
        "id": image.id, "name": image.name, "minRam": image.min_ram_mb, "minDisk": image.min_disk_gb,
        "metadata": dict(image.properties), "created": seconds(image.created_at),
        "updated": seconds(image.updated_at or image.created_at), "status": status, "progress": progress,
        "OS-EXT-IMG-SIZE:size": image.size or 0, "links": _links(req, image),
    }
    if "auto_disk_config" in image.properties:
        shown["OS-DCF:diskConfig"] = "AUTO" if schemas.is_true(image.properties["auto_disk_config"]) else "MANUAL"
    server_id = image.properties.get("instance_uuid")
    if server_id:
        shown["server"] = {"id": server_id, "links": links(req, f"/servers/{server_id}")}
    return shown


def _links(req: Request, image: Image) -> list[dict[str, str]]:
    root = req.base_url.rsplit("/", 1)[0]
    return [*links(req, f"/images/{image.id}"), {
        "rel": "alternate", "type": "application/vnd.openstack.image", "href": f"{root}/image/v2/images/{image.id}"}]
