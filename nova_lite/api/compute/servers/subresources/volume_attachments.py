# SPDX-License-Identifier: Apache-2.0
"""os-volume_attachments: as in a Nova without a volume service, no server has volumes and none can be attached."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.compute.legacy.volumes import missing
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi import paging
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, SERVICE, Rule
from nova_lite.lifecycle.servers import Vm

_RULE = "os_compute_api:os-volumes-attachments"
_ALL, _ONE = "/servers/{server_id}/os-volume_attachments", "/servers/{server_id}/os-volume_attachments/{volume_id}"
SWAP = Rule(f"{_RULE}:swap", SERVICE)
RULES = (SWAP,)
_CREATE = Rule(f"{_RULE}:create", MEMBER)
_SHELVED = {Vm.SHELVED, Vm.SHELVED_OFFLOADED}
_ATTACHES = {Vm.ACTIVE, Vm.PAUSED, Vm.STOPPED, Vm.RESIZED, Vm.SOFT_DELETED}

_DEVICE = {"type": ["string", "null"], "pattern": r"(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$"}
_TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
_VOLUME = {"volumeId": schemas.UUID, "device": _DEVICE}
_KEEP = {"delete_on_termination": schemas.BOOLEAN}


def _attachment(**more: schemas.Schema) -> schemas.Schema:
    return schemas.keyed("volumeAttachment", schemas.closed({**_VOLUME, **more}, required=("volumeId",)))


CREATE = {"2.0": _attachment(), "2.49": _attachment(tag=_TAG), "2.79": _attachment(tag=_TAG, **_KEEP)}
UPDATE = {
    "2.0": schemas.keyed("volumeAttachment", schemas.closed({"volumeId": schemas.UUID}, required=("volumeId",))),
    "2.85": _attachment(tag=_TAG, serverId=schemas.UUID, id=schemas.UUID, **_KEEP),
}
QUERY = schemas.queries({"2.0": ("limit", "offset")})


@route("GET", _ALL, policy=Rule(f"{_RULE}:index", READER), query=QUERY,
       response=closed(volumeAttachments=EMPTY_LIST))
def index(req: Request, server_id: str) -> Body:
    """List no volumes.

    200 with an empty list. 400: limit or offset is invalid. 404: no such server in the project.
    """
    begin_action.find(req, server_id)
    paging.offset(req)
    paging.limit(req)
    return {"volumeAttachments": []}


@route("POST", _ALL, policy=_CREATE, until="2.19", body=CREATE)
def create_unless_shelved(req: Request, body: Body, server_id: str) -> NoReturn:
    """Attach a volume to a server that is not shelved, which is refused.

    404: no such server in the project, or no such volume. 409: the server is locked, or its state forbids it.
    """
    _refuse(req, body, server_id, _ATTACHES)


@route("POST", _ALL, policy=_CREATE, since="2.20", until="2.100", body=CREATE)
@route("POST", _ALL, policy=_CREATE, since="2.101", status=202, body=CREATE)
def create(req: Request, body: Body, server_id: str) -> NoReturn:
    """Attach a volume, which is refused.

    404: no such server in the project, or no such volume. 409: the server is locked, or its state forbids it.
    """
    _refuse(req, body, server_id, _ATTACHES | _SHELVED)


@route("GET", _ONE, policy=Rule(f"{_RULE}:show", READER))
def show(req: Request, server_id: str, volume_id: str) -> NoReturn:
    """Show an attachment, which is refused.

    404: no such server in the project, or the volume is not attached to it.
    """
    server = begin_action.find(req, server_id)
    raise errors.NotFound(f"Instance {server.id} is not attached to volume {volume_id}.")


@route("PUT", _ONE, policy=Rule(f"{_RULE}:update", MEMBER), status=202, body=UPDATE)
def update(req: Request, body: Body, server_id: str, volume_id: str) -> NoReturn:
    """Swap a volume or change its attachment, which is refused.

    403: a swap, and the policy does not allow it. 404: no such server in the project, or no such volume.
    """
    if body["volumeAttachment"]["volumeId"] != volume_id:
        require(req, SWAP)
    begin_action.find(req, server_id)
    raise missing(volume_id)


@route("DELETE", _ONE, policy=Rule(f"{_RULE}:delete", MEMBER), status=202)
def delete(req: Request, server_id: str, volume_id: str) -> NoReturn:
    """Detach a volume, which is refused.

    404: no such server in the project, or no such volume.
    """
    begin_action.find(req, server_id)
    raise missing(volume_id)


def _refuse(req: Request, body: Body, server_id: str, allowed_in: set[Vm]) -> NoReturn:
    server = begin_action.find(req, server_id)
    begin_action.refuse_locked(req, server)
    for attribute, state, is_fine in (
        ("vm_state", server.vm_state, server.vm_state in allowed_in),
        ("task_state", server.task_state, server.task_state is None),
    ):
        if not is_fine:
            raise errors.WrongState(action="attach_volume", id=server.id, attribute=attribute, state=state)
    raise missing(body["volumeAttachment"]["volumeId"])
