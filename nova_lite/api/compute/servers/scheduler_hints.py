# SPDX-License-Identifier: Apache-2.0
"""Scheduler hints of a new server: its group, and servers that it is to be beside or apart from."""

from __future__ import annotations

import dataclasses
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.compute import server_groups
from nova_lite.db.quotas import quotas

_SERVERS: schemas.Schema = {"anyOf": [schemas.UUID, {"type": "array", "items": schemas.UUID}]}
SCHEMA: schemas.Schema = {"type": "object", "properties": {
    "group": schemas.UUID, "same_host": _SERVERS, "different_host": _SERVERS}}
# Hints of Nova that no filter here heeds; refused, since a placement that ignores them is not what was asked.
_UNMET = {"query", "build_near_host_ip", "cidr", "target_cell", "different_cell"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hints:
    """`columns` of the server that keep them; `group_id` None: no group."""

    group_id: str | None
    kept: dict[str, Any]

    @property
    def columns(self) -> dict[str, Any]:
        return {"group_id": self.group_id, "scheduler_hints": self.kept or None}


def read(req: Request, body: Body) -> Hints:
    """What `os:scheduler_hints` asks.

    :raises errors.BadRequest: no such group, or a hint that nothing here heeds.
    """
    hints = {**body.get("OS-SCH-HNT:scheduler_hints", {}), **body.get("os:scheduler_hints", {})}
    unmet = sorted(_UNMET & hints.keys())
    if unmet:
        raise errors.BadRequest(reason=f"os:scheduler_hints: no filter of this cloud heeds {', '.join(unmet)}")
    group_id = hints.get("group")
    if group_id is not None:
        try:
            server_groups.get(req.db, group_id, project_id=req.ctxt.project_id)
        except errors.NotFound as missing:
            raise errors.BadRequest(reason=missing.text) from None
    return Hints(group_id=group_id, kept=hints)


def check_members(req: Request, hints: Hints, count: int) -> None:
    """Refuse more servers than a group may have; the group is locked, so that two requests do not both pass.

    :raises errors.OverQuota: the sentence is Nova's.
    """
    if hints.group_id is None:
        return
    server_groups.get(req.db, hints.group_id, project_id=req.ctxt.project_id, is_locked=True)
    limit = quotas.limits(req.db, req.conf, req.ctxt.project_id, user_id=req.ctxt.user_id)["server_group_members"]
    if 0 <= limit < count + server_groups.count_members(req.db, hints.group_id, user_id=req.ctxt.user_id):
        raise errors.OverQuota("Quota exceeded, too many servers in group")
