# SPDX-License-Identifier: Apache-2.0
"""shares: as in a Nova without Manila, no server has shared file systems and none can be attached."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.lifecycle.servers import Vm

_RULE, _ALL, _ONE = "os_compute_api:os-server-shares", "/servers/{server_id}/shares", "/servers/{server_id}/shares/{share_id}"
_TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9-]*$"}
CREATE = {"2.97": schemas.keyed("share", schemas.closed({"share_id": schemas.UUID, "tag": _TAG}, required=("share_id",)))}


@route("GET", _ALL, policy=Rule(f"{_RULE}:index", READER), since="2.97", response=closed(shares=EMPTY_LIST))
def index(req: Request, server_id: str) -> Body:
    """List no shares.

    200 with an empty list. 404: no such server in the project.
    """
    begin_action.find(req, server_id)
    return {"shares": []}


@route("POST", _ALL, policy=Rule(f"{_RULE}:create", MEMBER), since="2.97", status=201, body=CREATE)
def create(req: Request, body: Body, server_id: str) -> NoReturn:
    """Attach a share, which is refused.

    404: no such server in the project, or no such share. 409: the server is not SHUTOFF, as in Nova.
    """
    server = begin_action.find(req, server_id)
    if server.vm_state != Vm.STOPPED or server.task_state is not None:
        attribute, state = ("vm_state", server.vm_state) if server.task_state is None else ("task_state", server.task_state)
        raise errors.WrongState(action="create_share", id=server.id, attribute=attribute, state=state)
    raise errors.NotFound(f"Share {body['share']['share_id']} could not be found: this cloud has no shared file systems.")


@route("GET", _ONE, policy=Rule(f"{_RULE}:show", READER), since="2.97")
def show(req: Request, server_id: str, share_id: str) -> NoReturn:
    """Show a share, which is refused.

    404: no such server in the project, or no such share.
    """
    _refuse(req, server_id, share_id)


@route("DELETE", _ONE, policy=Rule(f"{_RULE}:delete", MEMBER), since="2.97")
def delete(req: Request, server_id: str, share_id: str) -> NoReturn:
    """Detach a share, which is refused.

    404: no such server in the project, or no such share.
    """
    _refuse(req, server_id, share_id)


def _refuse(req: Request, server_id: str, share_id: str) -> NoReturn:
    begin_action.find(req, server_id)
    raise errors.NotFound(f"Share {share_id} could not be found.")
