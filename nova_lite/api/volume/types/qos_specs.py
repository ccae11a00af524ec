# SPDX-License-Identifier: Apache-2.0
"""QoS specs: limits of reads and writes, and the volume types that they hold for."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import paging, schemas
from nova_lite.api.volume.common.links import links
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import LINKS, STRING, STRINGS, UUID, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import qos_specs, volume_types
from nova_lite.db.volume.qos_specs import QosSpecs
from nova_lite.db.volume.volume_types import VolumeType

_ALL = Rule("volume_extension:qos_specs_manage:get_all", ADMIN)
_UPDATE = Rule("volume_extension:qos_specs_manage:update", ADMIN)
_DELETE = Rule("volume_extension:qos_specs_manage:delete", ADMIN)
SORT_KEYS = ("consumer", "created_at", "id", "name", "updated_at")
CONSUMERS = ("front-end", "back-end", "both")
FIELDS = (
    Field("id", lambda found: found.id, UUID),
    Field("name", lambda found: found.name, STRING),
    Field("consumer", lambda found: found.consumer, {"enum": list(CONSUMERS)}),
    Field("specs", lambda found: found.specs, STRINGS),
)
_ONE = closed(qos_specs=FIELDS, links=LINKS)
_VALUES = {schemas.SPEC_KEY: {"type": ["string", "integer", "number"], "maxLength": 255}}
_SPECS = {"type": "object", "patternProperties": _VALUES, "additionalProperties": False, "maxProperties": schemas.MAX_METADATA}
CREATE = schemas.keyed("qos_specs", {
    **_SPECS, "properties": {"name": schemas.NAME, "consumer": {"enum": list(CONSUMERS)}}, "required": ["name"]})
UPDATE = schemas.keyed("qos_specs", {**_SPECS, "properties": {"consumer": {"enum": list(CONSUMERS)}}, "minProperties": 1})
DELETE_KEYS = schemas.keyed("keys", {
    "type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255}, "minItems": 1, "maxItems": schemas.MAX_METADATA})


@route("GET", "/qos-specs", policy=_ALL, response=paging.plain_page_of("qos_specs", FIELDS))
def index(req: Request) -> Body:
    """List QoS specs. 200, a page. 400: a wrong limit or order. 404: the marker is none of them."""
    page = paging.read_page(req, sort_keys=SORT_KEYS)
    listed = paging.slice_of(req, qos_specs.find(req.db), page)
    return {"qos_specs": [view(FIELDS, one, req) for one in listed],
            **paging.links_of(req, "qos_specs", "/qos-specs", page, [one.id for one in listed])}


@route("GET", "/qos-specs/{specs_id}", policy=Rule("volume_extension:qos_specs_manage:get", ADMIN), response=_ONE)
def show(req: Request, specs_id: str) -> Body:
    """Show QoS specs. 200. 404: there are none of this id."""
    return _document(req, qos_specs.get(req.db, specs_id))


@route("POST", "/qos-specs", policy=Rule("volume_extension:qos_specs_manage:create", ADMIN), body={"3.0": CREATE}, response=_ONE)
def create(req: Request, body: Body) -> Body:
    """Create QoS specs, which no type has yet. 200 with the specs. 400: a wrong name, consumer or key. 409: the name is taken."""
    params = body["qos_specs"]
    specs = {key: str(value) for key, value in params.items() if key not in ("name", "consumer")}
    return _document(req, qos_specs.add(req.db, name=params["name"].strip(), consumer=params.get("consumer", "back-end"), specs=specs))


@route("PUT", "/qos-specs/{specs_id}", policy=_UPDATE, body={"3.0": UPDATE},
       response=closed(qos_specs=STRINGS))
def update(req: Request, body: Body, specs_id: str) -> Body:
    """Add or change specs, or their consumer. 200 with what has changed. 400: a wrong key or too many. 404: none of this id."""
    changed = qos_specs.get(req.db, specs_id, is_locked=True)
    values = {key: str(value) for key, value in body["qos_specs"].items()}
    specs = {**changed.specs, **{key: value for key, value in values.items() if key != "consumer"}}
    if len(specs) > schemas.MAX_METADATA:
        raise errors.BadRequest(reason=f"QoS specs {specs_id} may have {schemas.MAX_METADATA} keys at most")
    changed.specs, changed.consumer = specs, values.get("consumer", changed.consumer)
    return {"qos_specs": values}


@route("PUT", "/qos-specs/{specs_id}/delete_keys", policy=_DELETE, status=202, body={"3.0": DELETE_KEYS})
def delete_keys(req: Request, body: Body, specs_id: str) -> None:
    """Remove keys of QoS specs. 202 with no body. 400: one of them is not there. 404: no specs of this id."""
    changed = qos_specs.get(req.db, specs_id, is_locked=True)
    for key in body["keys"]:
        if key not in changed.specs:
            raise errors.BadRequest(reason=f"QoS spec {specs_id} has no spec with key {key[:64]}.")
    changed.specs = {key: value for key, value in changed.specs.items() if key not in body["keys"]}


@route("DELETE", "/qos-specs/{specs_id}", policy=_DELETE, status=202)
def delete(req: Request, specs_id: str) -> None:
    """Delete QoS specs. 202 with no body. 400: types have them, and `force` is not set. 404: there are none of this id."""
    found = qos_specs.get(req.db, specs_id, is_locked=True)
    if volume_types.with_qos_specs(req.db, specs_id):
        if not paging.boolean(req, "force"):
            raise errors.BadRequest(reason=f"QoS Specs {specs_id} is still associated with entities.")
        volume_types.drop_qos_specs(req.db, specs_id)
    qos_specs.remove(req.db, found)


@route("GET", "/qos-specs/{specs_id}/associations", policy=_ALL,
       response=closed(qos_associations=many(closed(association_type={"const": "volume_type"}, id=UUID, name=STRING))))
def associations(req: Request, specs_id: str) -> Body:
    """List the volume types that have these QoS specs. 200. 404: there are none of this id."""
    qos_specs.get(req.db, specs_id)
    return {"qos_associations": [{"association_type": "volume_type", "id": one.id, "name": one.name}
                                 for one in volume_types.with_qos_specs(req.db, specs_id)]}


@route("GET", "/qos-specs/{specs_id}/associate", policy=_UPDATE, status=202, changes=True)
def associate(req: Request, specs_id: str) -> None:
    """Have the QoS specs hold for the type `vol_type_id`.

    202 with no body. 400: no type is named, or it has others. 404: no such type or specs.
    """
    qos_specs.get(req.db, specs_id, is_locked=True)
    changed = _named_type(req)
    if changed.qos_specs_id not in (None, specs_id):
        raise errors.BadRequest(reason=f"Invalid volume type: Type {changed.id} is already associated with another qos specs: {changed.qos_specs_id}")
    changed.qos_specs_id = specs_id


@route("GET", "/qos-specs/{specs_id}/disassociate", policy=_UPDATE, status=202, changes=True)
def disassociate(req: Request, specs_id: str) -> None:
    """Have the QoS specs not hold for the type `vol_type_id`. 202 with no body. 400: no type is named. 404: no such type or specs."""
    qos_specs.get(req.db, specs_id, is_locked=True)
    changed = _named_type(req)
    if changed.qos_specs_id == specs_id:
        changed.qos_specs_id = None


@route("GET", "/qos-specs/{specs_id}/disassociate_all", policy=_UPDATE, status=202, changes=True)
def disassociate_all(req: Request, specs_id: str) -> None:
    """Have the QoS specs hold for no type. 202 with no body. 404: there are none of this id."""
    qos_specs.get(req.db, specs_id, is_locked=True)
    volume_types.drop_qos_specs(req.db, specs_id)


def _named_type(req: Request) -> VolumeType:
    type_id = req.query.get("vol_type_id")
    if not type_id:
        raise errors.BadRequest(reason="Volume Type id must not be None: name it in vol_type_id")
    return volume_types.get_by_id(req.db, type_id, is_locked=True)


def _document(req: Request, found: QosSpecs) -> Body:
    return {"qos_specs": view(FIELDS, found, req), "links": links(req, f"/qos-specs/{found.id}")}
