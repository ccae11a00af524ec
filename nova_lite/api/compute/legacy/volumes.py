# SPDX-License-Identifier: Apache-2.0
"""The proxies to volumes and snapshots, up to 2.35, and the volume service's assisted snapshots: this cloud has no volume service."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, SERVICE, Rule

_VOLUMES, _SNAPSHOTS = "os_compute_api:os-volumes", "os_compute_api:os-volumes:snapshots"
_ASSISTED = "os_compute_api:os-assisted-volume-snapshots"
_PROXY = "2.35"
QUERY = schemas.queries({"2.0": ("limit", "offset")})
_NAME = {"type": ["string", "null"], "maxLength": 255}
CREATE = {"2.0": schemas.keyed("volume", schemas.closed({
    "size": schemas.integer(1), "display_name": _NAME, "display_description": _NAME, "volume_type": {"type": "string"},
    "metadata": {"type": "object"}, "snapshot_id": {"type": "string"}, "availability_zone": {"type": "string"},
}, required=("size",)) | {"additionalProperties": True})}
SNAPSHOT = {"2.0": schemas.keyed("snapshot", schemas.closed({
    "volume_id": {"type": "string"}, "force": schemas.BOOLEAN, "display_name": _NAME, "display_description": _NAME,
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


def _no_service() -> errors.BadRequest:
    return errors.BadRequest(reason="This cloud has no volume service.")


@route("GET", "/os-volumes", policy=Rule(f"{_VOLUMES}:list", READER), until=_PROXY, query=QUERY,
       response=closed(volumes=EMPTY_LIST))
@route("GET", "/os-volumes/detail", policy=Rule(f"{_VOLUMES}:detail", READER), until=_PROXY, query=QUERY,
       response=closed(volumes=EMPTY_LIST))
def index(req: Request) -> Body:
    """List volumes. 200 with an empty list. 400: a wrong limit or offset."""
    _check_page(req)
    return {"volumes": []}


@route("POST", "/os-volumes", policy=Rule(f"{_VOLUMES}:create", MEMBER), until=_PROXY, body=CREATE)
def create(req: Request, body: Body) -> NoReturn:
    """Refuse. 400: this cloud has no volume service."""
    raise _no_service()


@route("GET", "/os-volumes/{volume_id}", policy=Rule(f"{_VOLUMES}:show", READER), until=_PROXY)
@route("DELETE", "/os-volumes/{volume_id}", policy=Rule(f"{_VOLUMES}:delete", MEMBER), until=_PROXY, status=202)
def show(req: Request, volume_id: str) -> NoReturn:
    """Refuse. 404: there are no volumes."""
    raise missing(volume_id)


@route("GET", "/os-snapshots", policy=Rule(f"{_SNAPSHOTS}:list", READER), until=_PROXY, query=QUERY,
       response=closed(snapshots=EMPTY_LIST))
@route("GET", "/os-snapshots/detail", policy=Rule(f"{_SNAPSHOTS}:detail", READER), until=_PROXY, query=QUERY,
       response=closed(snapshots=EMPTY_LIST))
def index_snapshots(req: Request) -> Body:
    """List snapshots. 200 with an empty list. 400: a wrong limit or offset."""
    _check_page(req)
    return {"snapshots": []}


@route("POST", "/os-snapshots", policy=Rule(f"{_SNAPSHOTS}:create", MEMBER), until=_PROXY, body=SNAPSHOT)
def create_snapshot(req: Request, body: Body) -> NoReturn:
    """Refuse. 400: this cloud has no volume service."""
    raise _no_service()


@route("GET", "/os-snapshots/{snapshot_id}", policy=Rule(f"{_SNAPSHOTS}:show", READER), until=_PROXY)
@route("DELETE", "/os-snapshots/{snapshot_id}", policy=Rule(f"{_SNAPSHOTS}:delete", MEMBER), until=_PROXY, status=202)
def show_snapshot(req: Request, snapshot_id: str) -> NoReturn:
    """Refuse. 404: there are no snapshots."""
    raise errors.NotFound(f"Snapshot {snapshot_id} could not be found.")


@route("POST", "/os-assisted-volume-snapshots", policy=Rule(f"{_ASSISTED}:create", SERVICE), body=ASSISTED)
def create_assisted(req: Request, body: Body) -> NoReturn:
    """Refuse. 400: no server has that volume."""
    raise errors.BadRequest(reason=f"No volume Block Device Mapping with id {body['snapshot']['volume_id']}.")


@route("DELETE", "/os-assisted-volume-snapshots/{snapshot_id}", policy=Rule(f"{_ASSISTED}:delete", SERVICE), status=204,
       query=ASSISTED_QUERY)
def delete_assisted(req: Request, snapshot_id: str) -> NoReturn:
    """Refuse. 400: `delete_info` is missing. 404: no server has the snapshot's volume."""
    if not req.query.get("delete_info"):
        raise errors.InvalidField(field="delete_info", reason="a JSON object with volume_id is required")
    raise errors.NotFound(f"Snapshot {snapshot_id} could not be found: no server has its volume.")


def _check_page(req: Request) -> None:
    paging.limit(req)
    paging.offset(req)
