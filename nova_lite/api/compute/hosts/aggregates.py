# SPDX-License-Identifier: Apache-2.0
"""Host aggregates: sets of hosts whose metadata availability zones and the scheduler's filters use."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.hosts import image_cache
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    NULL,
    STRING,
    STRING_OR_NULL,
    STRINGS,
    TIME,
    TIME_OR_NULL,
    UUID,
    Field,
    Property,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.api.wsgi.validation import integer
from nova_lite.db.base import new_id
from nova_lite.db.hosts import aggregates
from nova_lite.db.hosts.aggregates import ZONE, Aggregate

_RULE = "os_compute_api:os-aggregates"
_ZONE: schemas.Schema = {**schemas.NAME, "pattern": r"^(?!\s)[^:\x00-\x1f\x7f]+(?<!\s)$"}
_ZONE_OR_NULL: schemas.Schema = {"anyOf": [_ZONE, {"type": "null"}]}
CREATE = schemas.keyed("aggregate", schemas.closed(
    {"name": schemas.NAME, ZONE: _ZONE_OR_NULL}, required=("name",)))
UPDATE = schemas.keyed("aggregate", {**schemas.closed({"name": schemas.NAME, ZONE: _ZONE_OR_NULL}), "minProperties": 1})
_HOST = schemas.closed({"host": schemas.HOST}, required=("host",))
_ITEMS: schemas.Schema = {
    "type": "object", "additionalProperties": False,
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "null"], "maxLength": 255}}}
SET_METADATA = schemas.keyed("set_metadata", schemas.closed({"metadata": _ITEMS}, required=("metadata",)))
CACHE = schemas.closed({"cache": {"type": "array", "minItems": 1, "uniqueItems": True, "items": schemas.closed(
    {"id": schemas.UUID}, required=("id",))}}, required=("cache",))

FIELDS = (
    Field("id", lambda aggregate: aggregate.number, INTEGER),
    Field("uuid", lambda aggregate: aggregate.id, UUID, since="2.41"),
    Field("name", lambda aggregate: aggregate.name, STRING),
    Field(ZONE, lambda aggregate: aggregate.availability_zone, STRING_OR_NULL),
    Field("created_at", lambda aggregate: micros(aggregate.created_at), TIME),
    Field("updated_at", lambda aggregate: micros(aggregate.updated_at), TIME_OR_NULL),
    Field("deleted", lambda _: False, BOOLEAN),
    Field("deleted_at", lambda _: None, NULL),
)
_DOCUMENT = (*FIELDS, Property("hosts", many(STRING)), Property("metadata", STRINGS))
_AGGREGATE = closed(aggregate=_DOCUMENT)


def _show(req: Request, aggregate: Aggregate) -> Body:
    hosts = aggregates.hosts_of(req.db, [aggregate.number])[aggregate.number]
    return {"aggregate": _document(req, aggregate, hosts)}


def _document(req: Request, aggregate: Aggregate, hosts: list[str]) -> Body:
    return {**view(FIELDS, aggregate, req), "hosts": hosts, "metadata": dict(aggregate.metadata_items)}


def _get(req: Request, aggregate_id: str, *, is_locked: bool = False) -> Aggregate:
    """:raises errors.BadRequest: the id is no number. :raises errors.NotFound: no such aggregate."""
    if integer(aggregate_id.removeprefix("-")) is None:
        raise errors.BadRequest(reason=f"aggregate id must be an integer, not {aggregate_id}")
    return aggregates.get(req.db, int(aggregate_id), is_locked=is_locked)


@route("GET", "/os-aggregates", policy=Rule(f"{_RULE}:index", ADMIN), response=closed(aggregates=many(_DOCUMENT)))
def index(req: Request) -> Body:
    """List all aggregates with their hosts. 200."""
    rows = aggregates.find(req.db)
    hosts = aggregates.hosts_of(req.db, [aggregate.number for aggregate in rows])
    return {"aggregates": [_document(req, aggregate, hosts[aggregate.number]) for aggregate in rows]}


@route("POST", "/os-aggregates", policy=Rule(f"{_RULE}:create", ADMIN), body={"2.0": CREATE},
       response=closed(aggregate=FIELDS))
def create(req: Request, body: Body) -> Body:
    """Create an empty aggregate; with an availability zone, hosts that are added to it join that zone.

    200 with the aggregate. 409: the name is taken.
    """
    params = body["aggregate"]
    aggregate = Aggregate(id=new_id(), name=params["name"], metadata_items={ZONE: params[ZONE]} if params.get(ZONE) else {})
    return {"aggregate": view(FIELDS, aggregates.add(req.db, aggregate), req)}


@route("GET", "/os-aggregates/{aggregate_id}", policy=Rule(f"{_RULE}:show", ADMIN), response=_AGGREGATE)
def show(req: Request, aggregate_id: str) -> Body:
    """Show one aggregate. 200. 400: the id is no number. 404: no such aggregate."""
    return _show(req, _get(req, aggregate_id))


@route("PUT", "/os-aggregates/{aggregate_id}", policy=Rule(f"{_RULE}:update", ADMIN), body={"2.0": UPDATE},
       response=_AGGREGATE)
def update(req: Request, body: Body, aggregate_id: str) -> Body:
    """Rename the aggregate or change its availability zone.

    200 with the aggregate. 400: the id is no number, or a host is in another zone or has servers. 404: no such aggregate.
    409: the name is taken.
    """
    aggregate, params = _get(req, aggregate_id, is_locked=True), body["aggregate"]
    if "name" in params and params["name"] != aggregate.name:
        aggregates.rename(req.db, aggregate, params["name"])
    if ZONE in params:
        aggregates.set_metadata(req.db, aggregate, {ZONE: params[ZONE]})
    req.db.flush()
    return _show(req, aggregate)


@route("DELETE", "/os-aggregates/{aggregate_id}", policy=Rule(f"{_RULE}:delete", ADMIN))
def delete(req: Request, aggregate_id: str) -> None:
    """Delete an aggregate that has no hosts. 200 with no body. 400: it has hosts, or the id is no number. 404: no such aggregate."""
    aggregates.remove(req.db, _get(req, aggregate_id, is_locked=True))


@action("add_host", path="/os-aggregates/{aggregate_id}/action", status=200, policy=Rule(f"{_RULE}:add_host", ADMIN),
        body={"2.0": schemas.keyed("add_host", _HOST)}, response=_AGGREGATE)
def add_host(req: Request, body: Body, aggregate_id: str) -> Body:
    """Add a compute host to the aggregate.

    200 with the aggregate. 400: the id is no number. 404: no such aggregate or host. 409: the host is in the aggregate
    already, is in another availability zone, or has servers that would change their zone.
    """
    aggregate = _get(req, aggregate_id, is_locked=True)
    aggregates.add_host(req.db, aggregate, body["add_host"]["host"])
    req.db.flush()
    return _show(req, aggregate)


@action("remove_host", path="/os-aggregates/{aggregate_id}/action", status=200,
        policy=Rule(f"{_RULE}:remove_host", ADMIN), body={"2.0": schemas.keyed("remove_host", _HOST)},
        response=_AGGREGATE)
def remove_host(req: Request, body: Body, aggregate_id: str) -> Body:
    """Remove a compute host from the aggregate.

    200 with the aggregate. 400: the id is no number. 404: no such aggregate, or the host is not in it. 409: the host has
    servers that would change their availability zone.
    """
    aggregate = _get(req, aggregate_id, is_locked=True)
    aggregates.remove_host(req.db, aggregate, body["remove_host"]["host"])
    req.db.flush()
    return _show(req, aggregate)


@action("set_metadata", path="/os-aggregates/{aggregate_id}/action", status=200,
        policy=Rule(f"{_RULE}:set_metadata", ADMIN), body={"2.0": SET_METADATA}, response=_AGGREGATE)
def set_metadata(req: Request, body: Body, aggregate_id: str) -> Body:
    """Set metadata items, or remove those that are null.

    200 with the aggregate. 400: the id is no number, or the zone of hosts with servers would change. 404: no such aggregate.
    """
    aggregate = _get(req, aggregate_id, is_locked=True)
    aggregates.set_metadata(req.db, aggregate, body["set_metadata"]["metadata"])
    return _show(req, aggregate)


@route("POST", "/os-aggregates/{aggregate_id}/images", since="2.81", status=202, body={"2.81": CACHE},
       policy=Rule("compute:aggregates:images", ADMIN))
def cache_images(req: Request, body: Body, aggregate_id: str) -> None:
    """Have the aggregate's hosts fetch these images before a server needs them.

    202 with no body. 400: the id is no number, an image is missing or not active, or there are no hosts. 404: no such aggregate.
    """
    aggregate = _get(req, aggregate_id)
    hosts = aggregates.hosts_of(req.db, [aggregate.number])[aggregate.number]
    image_cache.request_caching(req, [entry["id"] for entry in body["cache"]], hosts)
