# SPDX-License-Identifier: Apache-2.0
"""/networks/{network_id}/tags and the same of subnets, ports, security groups, routers and floating IPs.

As in Neutron a tag may have slashes; alone it is named by its path, escaped once: `%2F` for a slash, `%25` for a percent sign.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite import errors
from nova_lite.api.network import authorization
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed, many
from nova_lite.api.wsgi.routing import Handler, route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.api.wsgi.validation import Validator
from nova_lite.db.network import floating_ips, networks, ports, routers, security_groups, tags

# Collection: (variable of its paths, what finds one of its resources).
_TAGGED: dict[str, tuple[str, Callable[..., Any]]] = {  # models of one shape: id, project_id and tags
    "networks": ("network_id", networks.get), "subnets": ("subnet_id", networks.get_subnet), "ports": ("port_id", ports.get),
    "security-groups": ("group_id", security_groups.get), "routers": ("router_id", routers.get),
    "floatingips": ("floating_ip_id", floating_ips.get)}
_READ, _UPDATE = Rule("get_tags", READER), Rule("update_tags", MEMBER)
_TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,]*$"}
_TAGS = closed(tags=many(STRING))
UPDATE = {"type": "object", "required": ["tags"], "additionalProperties": False,
          "properties": {"tags": {"type": "array", "items": _TAG, "uniqueItems": True, "maxItems": tags.MAX_TAGS}}}
_CHECK = Validator()


def _each(method: str, suffix: str, **rules: Any) -> Callable[[Handler], Handler]:
    """The route of all tagged collections."""
    def mark(handler: Handler) -> Handler:
        for collection, (variable, _) in _TAGGED.items():
            handler = route(method, f"/{collection}/{{{variable}}}/tags{suffix}", **rules)(handler)
        return handler

    return mark


@_each("GET", "", policy=_READ, response=_TAGS)
def index(req: Request, **ids: str) -> Body:
    """List the tags of a resource. 200. 404: no such resource, or not visible to the project."""
    return {"tags": _find(req, ids).tags or []}


@_each("PUT", "", policy=_UPDATE, body={"2.0": UPDATE}, response=_TAGS)
def update(req: Request, body: Body, **ids: str) -> Body:
    """Replace all tags. 200. 400: too many, twice the same, or one with a comma. 403: not the owner. 404: no such resource."""
    row, _ = _own(req, ids)
    tags.replace(req.db, row, body["tags"])
    return {"tags": row.tags}


@_each("DELETE", "", policy=_UPDATE, status=204)
def delete_all(req: Request, **ids: str) -> None:
    """Remove all tags. 204. 403: not the owner. 404: no such resource."""
    tags.replace(req.db, _own(req, ids)[0], [])


@_each("GET", "/{tag}", policy=_READ, status=204)
def check(req: Request, tag: str, **ids: str) -> None:
    """Check whether the resource has the tag. 204: yes. 404: no, or no such resource."""
    if tag not in (_find(req, ids).tags or []):
        raise _not_found(tag)


@_each("PUT", "/{tag}", policy=_UPDATE, status=201)
def add(req: Request, tag: str, **ids: str) -> None:
    """Add a tag; idempotent. 201. 400: too many, or it has a comma. 403: not the owner. 404: no such resource."""
    _CHECK.body(_TAG, tag)
    row, found = _own(req, ids)
    if tag not in found:
        tags.replace(req.db, row, [*found, tag])


@_each("DELETE", "/{tag}", policy=_UPDATE, status=204)
def remove(req: Request, tag: str, **ids: str) -> None:
    """Remove a tag. 204. 403: not the owner. 404: no such resource, or it does not have the tag."""
    row, found = _own(req, ids)
    if tag not in found:
        raise _not_found(tag)
    tags.replace(req.db, row, [one for one in found if one != tag])


def _find(req: Request, ids: dict[str, str]) -> Any:
    """The resource that the path names."""
    _, find = _TAGGED[req.http.path_info.split("/")[1]]
    return find(req.db, *ids.values(), project_id=req.ctxt.visible_project)


def _own(req: Request, ids: dict[str, str]) -> tuple[Any, list[str]]:
    """The resource that the path names, locked, if the caller may change it; and its tags."""
    row = _find(req, ids)
    authorization.refuse_unless_owner(req, row.project_id, _UPDATE.name)
    return row, tags.lock(req.db, row)


def _not_found(tag: str) -> errors.NotFound:
    return errors.NotFound(f"Tag {tag} could not be found.", what="Tag", id=tag)
