# SPDX-License-Identifier: Apache-2.0
"""/auth/catalog, /services, /endpoints and /regions, and identity's version documents.

URLs have the form that stock clients need: compute with its version, block storage with its version and the project, the others without.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, NULL, STRING, Schema, Shape, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule

ROOT = "/identity/v3"
INTERFACES = (
    "public",
    "internal",
    "admin",
)  # all with the same URL: clients and keystonemiddleware differ in which one they use
_NAMESPACE = uuid.UUID("6f1f4c1c-5d0e-4c0b-9c53-1f3f1d0c2a77")  # ids are the same after a restart and in all API processes
PROJECT = "$(project_id)s"  # as Keystone writes it
_VERSION_ID = "v3.14"  # the version of Keystone's API that clients expect: Train's


@dataclasses.dataclass(frozen=True)
class Service:
    """One catalog entry; `path` follows the public URL. In it PROJECT stands for the project of a token."""

    name: str
    type: str
    path: str
    description: str

    @property
    def id(self) -> str:
        return uuid.uuid5(_NAMESPACE, self.type).hex


SERVICES = (
    Service("keystone", "identity", "/identity", "Identity"),
    Service("nova", "compute", "/v2.1", "Compute"),
    Service("glance", "image", "/image", "Image"),
    Service("neutron", "network", "/network", "Network"),
    Service("cinder", "block-storage", f"/volume/v3/{PROJECT}", "Block Storage"),
    Service("cinderv3", "volumev3", f"/volume/v3/{PROJECT}", "Block Storage, by its older name"),
)


SELF = closed(self=STRING)
_ENDPOINT_FIELDS = each("id interface region region_id url", STRING)
CATALOG = many(closed(**each("id name type", STRING), endpoints=many(closed(**_ENDPOINT_FIELDS))))
_SERVICE = closed(**each("id name type description", STRING), enabled=BOOLEAN, links=SELF)
_ENDPOINT = closed(**_ENDPOINT_FIELDS, service_id=STRING, enabled=BOOLEAN, links=SELF)
_REGION = closed(id=STRING, description=STRING, parent_region_id=NULL, links=SELF)


def listed(name: str, item: Shape) -> Schema:
    """The response of a list in Keystone's form."""
    return closed(links=closed(next=NULL, previous=NULL, self=STRING), **{name: many(item)})


def versions(base_url: str) -> Body:
    """The document of `GET /identity` (sent with 300); `base_url`: the URL of `/identity`."""
    return {"versions": {"values": [version(f"{base_url.rstrip('/')}/v3")["version"]]}}


def version(base_url: str) -> Body:
    """The document of `GET /identity/v3`; `base_url`: the URL of that root."""
    return {
        "version": {
            "id": _VERSION_ID,
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": f"{base_url.rstrip('/')}/"}],
            "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
        }
    }


def catalog(req: Request, project_id: str) -> list[Body]:
    """Each service with its endpoints, as in the catalog of a token of that project."""
    return [
        {
            "id": service.id,
            "name": service.name,
            "type": service.type,
            "endpoints": [
                {**{name: endpoint[name] for name in ("id", "interface", "region", "region_id")},
                 "url": endpoint["url"].replace(PROJECT, project_id)}
                for endpoint in _endpoints(req)
                if endpoint["service_id"] == service.id
            ],
        }
        for service in SERVICES
    ]


def collection(req: Request, name: str, path: str, items: Sequence[Body] | Sequence[str]) -> Body:
    """A list in Keystone's form; it has one page."""
    return {name: list(items), "links": {"next": None, "previous": None, "self": f"{req.base_url}{path}"}}


def _endpoints(req: Request) -> list[Body]:
    public, region = req.base_url.removesuffix(ROOT), req.conf.api.region
    return [
        {
            "id": uuid.uuid5(_NAMESPACE, f"{service.type}/{interface}").hex,
            "interface": interface,
            "region": region,
            "region_id": region,
            "service_id": service.id,
            "enabled": True,
            "url": f"{public}{service.path}",
        }
        for service in SERVICES
        for interface in INTERFACES
    ]


def _linked(req: Request, path: str, item: Body) -> Body:
    return {**item, "links": {"self": f"{req.base_url}/{path}/{item['id']}"}}


def _services(req: Request) -> list[Body]:
    return [
        _linked(
            req,
            "services",
            {
                "id": service.id,
                "name": service.name,
                "type": service.type,
                "description": service.description,
                "enabled": True,
            },
        )
        for service in SERVICES
    ]


def _regions(req: Request) -> list[Body]:
    return [_linked(req, "regions", {"id": req.conf.api.region, "description": "", "parent_region_id": None})]


def _only(items: list[Body], what: str, item_id: str) -> Body:
    for item in items:
        if item["id"] == item_id:
            return item
    raise errors.NotFound(what=what, id=item_id)


def _matching(req: Request, items: list[Body], *names: str) -> list[Body]:
    filters: dict[str, Any] = {name: req.query[name] for name in names if name in req.query}
    return [item for item in items if all(item[name] == value for name, value in filters.items())]


@route(
    "GET", "/auth/catalog", policy=Rule("identity:get_auth_catalog", ANYONE),
    response=closed(links=closed(next=NULL, previous=NULL, self=STRING), catalog=CATALOG),
)
def auth_catalog(req: Request) -> Body:
    """Show the catalog. 200."""
    return collection(req, "catalog", "/auth/catalog", catalog(req, req.ctxt.project_id))


@route("GET", "/services", policy=Rule("identity:list_services", ADMIN), response=listed("services", _SERVICE))
def list_services(req: Request) -> Body:
    """List services; `name` and `type` filter. 200."""
    return collection(req, "services", "/services", _matching(req, _services(req), "name", "type"))


@route("GET", "/services/{service_id}", policy=Rule("identity:get_service", ADMIN), response=closed(service=_SERVICE))
def show_service(req: Request, service_id: str) -> Body:
    """Show one service. 200. 404: no such service."""
    return {"service": _only(_services(req), "Service", service_id)}


@route("GET", "/endpoints", policy=Rule("identity:list_endpoints", ADMIN), response=listed("endpoints", _ENDPOINT))
def list_endpoints(req: Request) -> Body:
    """List endpoints; `interface`, `service_id` and `region_id` filter. 200."""
    items = _matching(req, _endpoints(req), "interface", "service_id", "region_id")
    return collection(req, "endpoints", "/endpoints", [_linked(req, "endpoints", item) for item in items])


@route(
    "GET", "/endpoints/{endpoint_id}", policy=Rule("identity:get_endpoint", ADMIN),
    response=closed(endpoint=_ENDPOINT),
)
def show_endpoint(req: Request, endpoint_id: str) -> Body:
    """Show one endpoint. 200. 404: no such endpoint."""
    return {"endpoint": _linked(req, "endpoints", _only(_endpoints(req), "Endpoint", endpoint_id))}


@route("GET", "/regions", policy=Rule("identity:list_regions", ANYONE), response=listed("regions", _REGION))
def list_regions(req: Request) -> Body:
    """List regions: there is one; `parent_region_id` filters. 200."""
    return collection(req, "regions", "/regions", _matching(req, _regions(req), "parent_region_id"))


@route("GET", "/regions/{region_id}", policy=Rule("identity:get_region", ANYONE), response=closed(region=_REGION))
def show_region(req: Request, region_id: str) -> Body:
    """Show one region. 200. 404: no such region."""
    return {"region": _only(_regions(req), "Region", region_id)}
