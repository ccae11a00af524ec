# SPDX-License-Identifier: Apache-2.0
"""Assisted snapshots: for volume services that cannot take a snapshot of a volume in use without its guest.

The one of this cloud needs no such request: its conductor has the guest switch as part of each snapshot.
"""

from __future__ import annotations

import json
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import SERVICE, Rule
from nova_lite.db.volume import attachments

_POLICY = "os_compute_api:os-assisted-volume-snapshots"
_TEXT = {"type": "string", "minLength": 1, "maxLength": 255}
_CREATE = {"2.0": schemas.keyed("snapshot", schemas.closed({
    "volume_id": _TEXT,
    "create_info": schemas.closed({"snapshot_id": _TEXT, "type": {"enum": ["qcow2"]}, "new_file": _TEXT, "id": _TEXT},
                                  required=("snapshot_id", "type", "new_file")) | {"additionalProperties": True},
}, required=("volume_id", "create_info")) | {"additionalProperties": True})}
_QUERY = schemas.queries({"2.0": ("delete_info",)})
_MAX_TEXT = 4000  # characters of `delete_info`


@route("POST", "/os-assisted-volume-snapshots", policy=Rule(f"{_POLICY}:create", SERVICE), body=_CREATE,
       response=closed(snapshot=closed(id=STRING, volumeId=STRING)))
def create(req: Request, body: Body) -> Body:
    """Accept that a guest takes a snapshot of its volume. No file is made: guests of this cloud switch with the snapshots of `POST /snapshots`.

    200 with the ids. 400: no server on a host has that volume.
    """
    params = body["snapshot"]
    if not _is_attached(req, params["volume_id"]):
        raise errors.BadRequest(reason=f"No volume Block Device Mapping with id {params['volume_id']}.")
    info = params["create_info"]
    return {"snapshot": {"id": info.get("id", info["snapshot_id"]), "volumeId": params["volume_id"]}}


@route("DELETE", "/os-assisted-volume-snapshots/{snapshot_id}", policy=Rule(f"{_POLICY}:delete", SERVICE), status=204, query=_QUERY)
def delete(req: Request, snapshot_id: str) -> None:
    """Accept that a guest merges the snapshot's file, of which this cloud has none.

    204 with no body. 400: `delete_info` is missing or no JSON object with a volume_id. 404: no server on a host has that volume.
    """
    if not _is_attached(req, _volume_id(req.query.get("delete_info", ""))):
        raise errors.NotFound(f"Snapshot {snapshot_id} could not be found: no server has its volume.")


def _volume_id(text: str) -> str:
    """:raises errors.InvalidField: there is none."""
    try:
        info: Any = json.loads(text) if len(text) <= _MAX_TEXT else None  # of any JSON
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict) or not isinstance(info.get("volume_id"), str):
        raise errors.InvalidField(field="delete_info", reason="a JSON object with volume_id is required")
    return str(info["volume_id"])


def _is_attached(req: Request, volume_id: str) -> bool:
    return any(one.server_id is not None and one.host is not None for one in attachments.of_volume(req.db, volume_id))
