# SPDX-License-Identifier: Apache-2.0
"""The proxy to properties of images, up to 2.38; later clients use the image API."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.legacy import image_proxy
from nova_lite.api.image import limits
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRINGS, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule
from nova_lite.db.image.images import Image
from nova_lite.db.quotas import quotas

_LAST = "2.38"
_ALL, _ONE = "/images/{image_id}/metadata", "/images/{image_id}/metadata/{key}"
METADATA = {"2.0": schemas.keyed("metadata", schemas.METADATA)}
META = {"2.0": schemas.keyed("meta", {**schemas.METADATA, "minProperties": 1, "maxProperties": 1})}


_METADATA, _META = closed(metadata=STRINGS), closed(meta=STRINGS)


def _rule(name: str) -> Rule:
    return Rule(f"os_compute_api:image-metadata:{name}", ANYONE)


@route("GET", _ALL, policy=_rule("index"), until=_LAST, response=_METADATA)
def index(req: Request, image_id: str) -> Body:
    """List all properties of an image. 200. 404: no such image for the project."""
    return {"metadata": dict(image_proxy.get(req, image_id).properties)}


@route("POST", _ALL, policy=_rule("create"), until=_LAST, body=METADATA, response=_METADATA)
def create(req: Request, body: Body, image_id: str) -> Body:
    """Add or replace properties. 200 with all. 400: a number is out of bounds. 403: another project's image, or the quota is exceeded. 404: no such image."""
    image = image_proxy.own(req, image_id)
    return {"metadata": _set(req, image, {**image.properties, **body["metadata"]})}


@route("PUT", _ALL, policy=_rule("update_all"), until=_LAST, body=METADATA, response=_METADATA)
def update_all(req: Request, body: Body, image_id: str) -> Body:
    """Replace all properties by these. 200 with them. 400: a number is out of bounds. 403: another project's image, or the quota is exceeded. 404: no such image."""
    return {"metadata": _set(req, image_proxy.own(req, image_id), body["metadata"])}


@route("GET", _ONE, policy=_rule("show"), until=_LAST, response=_META)
def show(req: Request, image_id: str, key: str) -> Body:
    """Show one property. 200. 404: no such image, or it has no such property."""
    return {"meta": {key: _value(image_proxy.get(req, image_id), key)}}


@route("PUT", _ONE, policy=_rule("update"), until=_LAST, body=META, response=_META)
def update(req: Request, body: Body, image_id: str, key: str) -> Body:
    """Set one property.

    200 with it. 400: the body has another key than the path, or a number is out of bounds. 403: another project's image, or the quota is exceeded.
    404: no such image.
    """
    if key not in body["meta"]:
        raise errors.BadRequest(reason="Request body and URI mismatch")
    image = image_proxy.own(req, image_id)
    _set(req, image, {**image.properties, **body["meta"]})
    return {"meta": body["meta"]}


@route("DELETE", _ONE, policy=_rule("delete"), until=_LAST, status=204)
def delete(req: Request, image_id: str, key: str) -> None:
    """Delete one property. 204. 403: another project's image. 404: no such image, or it has no such property."""
    image = image_proxy.own(req, image_id)
    _value(image, key)
    image.properties = {name: value for name, value in image.properties.items() if name != key}


def _value(image: Image, key: str) -> str:
    if key not in image.properties:
        raise errors.NotFound("Metadata item was not found")
    return image.properties[key]


def _set(req: Request, image: Image, properties: dict[str, str]) -> dict[str, str]:
    most = quotas.limits(req.db, req.conf, req.ctxt.project_id)["metadata_items"]
    if 0 <= most < len(properties):
        raise errors.OverQuota("Image metadata limit exceeded")
    limits.check_properties(properties)
    image.properties = properties
    return properties
