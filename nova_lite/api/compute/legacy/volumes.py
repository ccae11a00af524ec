# SPDX-License-Identifier: Apache-2.0
"""The old proxies to the volume service, and its hooks into servers' disks: this cloud has none, so none holds a volume."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, SERVICE, Rule

_VOLUMES, _SNAPSHOTS = "os_compute_api:os-volumes", "os_compute_api:os-volumes:snapshots"
_ASSISTED = "os_compute_api:os-assisted-volume-snapshots"
_PROXY = "2.35"
QUERY = schemas.queries({"2.0": ("limit", "offset")})
_WORDS = {"type": ["string", "null"], "maxLength": 255}
CREATE = {"2.0": schemas.keyed("volume", schemas.closed({
    "size": schemas.integer(1), "display_name": _WORDS, "display_description": _WORDS, "volume_type": {"type": "string"},
    "metadata": {"type": "object"}, "snapshot_id": {"type": "string"}, "availability_zone": {"type": "string"},
}, required=("size",)) | {"additionalProperties": True})}
SNAPSHOT = {"2.0": schemas.keyed("snapshot", schemas.closed({
    "volume_id": {"type": "string"}, "force": schemas.BOOLEAN, "display_name": _WORDS, "display_description": _WORDS,
}, required=("volume_id",)) | {"additionalProperties": True})}
ASSISTED = {"2.0": schemas.keyed("snapshot", schemas.closed({
    "volume_id": {"type": "string", "minLength": 1},
    "create_info": schemas.closed({
        "snapshot_id": {"type": "string", "minLength": 1}, "type": {"enum": ["qcow2"]},
        "new_file": {"type": "string", "minLength": 1}, "id": {"type": "string", "minLength": 1},
    }, required=("snapshot_id", "type", "new_file")) | {"additionalProperties": True},
}, required=("volume_id", "create_info")) | {"additionalProperties": True})}
ASSISTED_QUERY = schemas.queries({"2.0": ("delete_info",)})


def missing(volume_id: str) -> errors.NotFound:
    """The refusal in Nova's words."""
    return errors.NotFound(f"Volume {volume_id} could not be found.")


def _none() -> errors.BadRequest:
    return errors.BadRequest(reason="This cloud has no volume service.")


@route("GET", "/os-volumes", policy=Rule(f"{_VOLUMES}:list", READER), until=_PROXY, query=QUERY)
@route("GET", "/os-volumes/detail", policy=Rule(f"{_VOLUMES}:detail", READER), until=_PROXY, query=QUERY)
def index(req: Request) -> Body:
    """None."""
    _check_page(req)
    return {"volumes": []}


@route("POST", "/os-volumes", policy=Rule(f"{_VOLUMES}:create", MEMBER), until=_PROXY, body=CREATE)
def create(req: Request, body: Body) -> NoReturn:
    """:raises errors.BadRequest: nobody could make it."""
    raise _none()


@route("GET", "/os-volumes/{volume_id}", policy=Rule(f"{_VOLUMES}:show", READER), until=_PROXY)
@route("DELETE", "/os-volumes/{volume_id}", policy=Rule(f"{_VOLUMES}:delete", MEMBER), until=_PROXY, status=202)
def one(req: Request, volume_id: str) -> NoReturn:
    """:raises errors.NotFound: there is none."""
    raise missing(volume_id)


@route("GET", "/os-snapshots", policy=Rule(f"{_SNAPSHOTS}:list", READER), until=_PROXY, query=QUERY)
@route("GET", "/os-snapshots/detail", policy=Rule(f"{_SNAPSHOTS}:detail", READER), until=_PROXY, query=QUERY)
def snapshots(req: Request) -> Body:
    """None."""
    _check_page(req)
    return {"snapshots": []}


@route("POST", "/os-snapshots", policy=Rule(f"{_SNAPSHOTS}:create", MEMBER), until=_PROXY, body=SNAPSHOT)
def create_snapshot(req: Request, body: Body) -> NoReturn:
    """:raises errors.BadRequest: nobody could make it."""
    raise _none()


@route("GET", "/os-snapshots/{snapshot_id}", policy=Rule(f"{_SNAPSHOTS}:show", READER), until=_PROXY)
@route("DELETE", "/os-snapshots/{snapshot_id}", policy=Rule(f"{_SNAPSHOTS}:delete", MEMBER), until=_PROXY, status=202)
def snapshot(req: Request, snapshot_id: str) -> NoReturn:
    """:raises errors.NotFound: there is none."""
    raise errors.NotFound(f"Snapshot {snapshot_id} could not be found.")


@route("POST", "/os-assisted-volume-snapshots", policy=Rule(f"{_ASSISTED}:create", SERVICE), body=ASSISTED)
def create_assisted(req: Request, body: Body) -> NoReturn:
    """:raises errors.BadRequest: no server has that volume."""
    raise errors.BadRequest(reason=f"No volume Block Device Mapping with id {body['snapshot']['volume_id']}.")


@route("DELETE", "/os-assisted-volume-snapshots/{snapshot_id}", policy=Rule(f"{_ASSISTED}:delete", SERVICE), status=204,
       query=ASSISTED_QUERY)
def delete_assisted(req: Request, snapshot_id: str) -> NoReturn:
    """:raises errors.BadRequest: `delete_info` names no volume of a server."""
    if not req.query.get("delete_info"):
        raise errors.InvalidField(field="delete_info", reason="a JSON object with volume_id is needed")
    raise errors.NotFound(f"Snapshot {snapshot_id} could not be found: no server has its volume.")


def _check_page(req: Request) -> None:
    paging.limit(req)
    paging.offset(req)
