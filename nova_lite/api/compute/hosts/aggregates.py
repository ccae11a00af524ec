# SPDX-License-Identifier: Apache-2.0
"""Host aggregates: sets of hosts with metadata that zones and the scheduler's filters read."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.links import micros
from nova_lite.api.compute.hosts import image_cache
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
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
    Field("id", lambda aggregate: aggregate.number),
    Field("uuid", lambda aggregate: aggregate.id, since="2.41"),
    Field("name", lambda aggregate: aggregate.name),
    Field(ZONE, lambda aggregate: aggregate.zone),
    Field("created_at", lambda aggregate: micros(aggregate.created_at)),
    Field("updated_at", lambda aggregate: micros(aggregate.updated_at)),
    Field("deleted", lambda _: False),
    Field("deleted_at", lambda _: None),
)


def _show(req: Request, aggregate: Aggregate) -> Body:
    hosts = aggregates.hosts_of(req.db, [aggregate.number])[aggregate.number]
    return {"aggregate": _document(req, aggregate, hosts)}


def _document(req: Request, aggregate: Aggregate, hosts: list[str]) -> Body:
    return {**view(FIELDS, aggregate, req), "hosts": hosts, "metadata": dict(aggregate.metadata_items)}


def _get(req: Request, aggregate_id: str, *, is_locked: bool = False) -> Aggregate:
    """:raises errors.BadRequest: no number. :raises errors.NotFound: there is none."""
    if integer(aggregate_id.removeprefix("-")) is None:
        raise errors.BadRequest(reason=f"aggregate id must be a whole number, not {aggregate_id}")
    return aggregates.get(req.db, int(aggregate_id), is_locked=is_locked)


@route("GET", "/os-aggregates", policy=Rule(f"{_RULE}:index", ADMIN))
def index(req: Request) -> Body:
    """All aggregates."""
    found = aggregates.find(req.db)
    hosts = aggregates.hosts_of(req.db, [aggregate.number for aggregate in found])
    return {"aggregates": [_document(req, aggregate, hosts[aggregate.number]) for aggregate in found]}


@route("POST", "/os-aggregates", policy=Rule(f"{_RULE}:create", ADMIN), body={"2.0": CREATE})
def create(req: Request, body: Body) -> Body:
    """Make an empty aggregate; with a zone, hosts that come to it come to that zone."""
    asked = body["aggregate"]
    made = Aggregate(id=new_id(), name=asked["name"], metadata_items={ZONE: asked[ZONE]} if asked.get(ZONE) else {})
    return {"aggregate": view(FIELDS, aggregates.add(req.db, made), req)}


@route("GET", "/os-aggregates/{aggregate_id}", policy=Rule(f"{_RULE}:show", ADMIN))
def show(req: Request, aggregate_id: str) -> Body:
    """One aggregate."""
    return _show(req, _get(req, aggregate_id))


@route("PUT", "/os-aggregates/{aggregate_id}", policy=Rule(f"{_RULE}:update", ADMIN), body={"2.0": UPDATE})
def update(req: Request, body: Body, aggregate_id: str) -> Body:
    """Rename it or change its zone."""
    aggregate, asked = _get(req, aggregate_id, is_locked=True), body["aggregate"]
    if "name" in asked and asked["name"] != aggregate.name:
        aggregates.rename(req.db, aggregate, asked["name"])
    if ZONE in asked:
        aggregates.set_metadata(req.db, aggregate, {ZONE: asked[ZONE]})
    req.db.flush()
    return _show(req, aggregate)


@route("DELETE", "/os-aggregates/{aggregate_id}", policy=Rule(f"{_RULE}:delete", ADMIN))
def delete(req: Request, aggregate_id: str) -> None:
    """Forget an aggregate that has no hosts."""
    aggregates.remove(req.db, _get(req, aggregate_id, is_locked=True))


@action("add_host", path="/os-aggregates/{aggregate_id}/action", status=200, policy=Rule(f"{_RULE}:add_host", ADMIN),
        body={"2.0": schemas.keyed("add_host", _HOST)})
def add_host(req: Request, body: Body, aggregate_id: str) -> Body:
    """Put a compute host into it."""
    aggregate = _get(req, aggregate_id, is_locked=True)
    aggregates.add_host(req.db, aggregate, body["add_host"]["host"])
    req.db.flush()
    return _show(req, aggregate)


@action("remove_host", path="/os-aggregates/{aggregate_id}/action", status=200,
        policy=Rule(f"{_RULE}:remove_host", ADMIN), body={"2.0": schemas.keyed("remove_host", _HOST)})
def remove_host(req: Request, body: Body, aggregate_id: str) -> Body:
    """Take a compute host out of it."""
    aggregate = _get(req, aggregate_id, is_locked=True)
    aggregates.remove_host(req.db, aggregate, body["remove_host"]["host"])
    req.db.flush()
    return _show(req, aggregate)


@action("set_metadata", path="/os-aggregates/{aggregate_id}/action", status=200,
        policy=Rule(f"{_RULE}:set_metadata", ADMIN), body={"2.0": SET_METADATA})
def set_metadata(req: Request, body: Body, aggregate_id: str) -> Body:
    """Set items, or remove those that are null."""
    aggregate = _get(req, aggregate_id, is_locked=True)
    aggregates.set_metadata(req.db, aggregate, body["set_metadata"]["metadata"])
    return _show(req, aggregate)


@route("POST", "/os-aggregates/{aggregate_id}/images", since="2.81", status=202, body={"2.81": CACHE},
       policy=Rule("compute:aggregates:images", ADMIN))
def cache_images(req: Request, body: Body, aggregate_id: str) -> None:
    """Let the aggregate's hosts fetch these images before a server asks for them."""
    aggregate = _get(req, aggregate_id)
    hosts = aggregates.hosts_of(req.db, [aggregate.number])[aggregate.number]
    image_cache.fetch(req, [entry["id"] for entry in body["cache"]], hosts)
