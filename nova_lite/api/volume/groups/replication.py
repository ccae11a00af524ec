# SPDX-License-Identifier: Apache-2.0
"""Replication of groups: no backend has any, and clients are answered so."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.volume import groups

_ACTIONS = "/groups/{group_id}/action"


@action("enable_replication", path=_ACTIONS, policy=Rule("group:enable_replication", MEMBER), since="3.38")
def enable(req: Request, body: Body, group_id: str) -> None:
    """Enable replication of a group. 400 always: its type has none (202 in Cinder). 404: none of the project's."""
    raise _refusal(req, group_id)


@action("disable_replication", path=_ACTIONS, policy=Rule("group:disable_replication", MEMBER), since="3.38")
def disable(req: Request, body: Body, group_id: str) -> None:
    """Disable replication of a group. 400 always: its type has none (202 in Cinder). 404: none of the project's."""
    raise _refusal(req, group_id)


@action("failover_replication", path=_ACTIONS, policy=Rule("group:failover_replication", MEMBER), since="3.38")
def fail_over(req: Request, body: Body, group_id: str) -> None:
    """Fail a group over to its replica. 400 always: it has none (202 in Cinder). 404: none of the project's."""
    raise _refusal(req, group_id)


@action("list_replication_targets", path=_ACTIONS, policy=Rule("group:list_replication_targets", MEMBER), since="3.38", status=200,
        response=closed(replication_targets=EMPTY_LIST))
def list_targets(req: Request, body: Body, group_id: str) -> Body:
    """List replicas of a group. 400 always: it has none (200 in Cinder). 404: none of the project's."""
    raise _refusal(req, group_id)


def _refusal(req: Request, group_id: str) -> errors.BadRequest:
    found = groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    return errors.BadRequest(reason=f"Group {found.id} is of a type without replication.")
