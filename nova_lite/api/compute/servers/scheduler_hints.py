# SPDX-License-Identifier: Apache-2.0
"""`os:scheduler_hints` of a new server: its server group, and servers to share or not to share a host with."""

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
# Scheduler hints of Nova that no filter here implements: refused, since ignoring them would place the server wrongly.
_UNSUPPORTED = {"query", "build_near_host_ip", "cidr", "target_cell", "different_cell"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SchedulerHints:
    """The request's scheduler hints; `group_id` is None without a group. `columns`: what the server's row keeps of them."""

    group_id: str | None
    values: dict[str, Any]

    @property
    def columns(self) -> dict[str, Any]:
        return {"group_id": self.group_id, "scheduler_hints": self.values or None}


def read(req: Request, body: Body) -> SchedulerHints:
    """Read and check `os:scheduler_hints`.

    :raises errors.BadRequest: there is no such group, or no filter implements the scheduler hint.
    """
    values = {**body.get("OS-SCH-HNT:scheduler_hints", {}), **body.get("os:scheduler_hints", {})}
    unsupported = sorted(_UNSUPPORTED & values.keys())
    if unsupported:
        raise errors.BadRequest(reason=f"os:scheduler_hints: no filter of this cloud supports {', '.join(unsupported)}")
    group_id = values.get("group")
    if group_id is not None:
        try:
            server_groups.get(req.db, group_id, project_id=req.ctxt.project_id)
        except errors.NotFound as missing:
            raise errors.BadRequest(reason=missing.text) from None
    return SchedulerHints(group_id=group_id, values=values)


def check_members(req: Request, scheduler_hints: SchedulerHints, count: int) -> None:
    """Refuse more servers than a group may have; the group's row is locked, so that of two requests only one passes.

    :raises errors.OverQuota: the group would have too many members. The text is Nova's.
    """
    if scheduler_hints.group_id is None:
        return
    server_groups.get(req.db, scheduler_hints.group_id, project_id=req.ctxt.project_id, is_locked=True)
    limit = quotas.limits(req.db, req.conf, req.ctxt.project_id, user_id=req.ctxt.user_id)["server_group_members"]
    if 0 <= limit < count + server_groups.count_members(req.db, scheduler_hints.group_id, user_id=req.ctxt.user_id):
        raise errors.OverQuota("Quota exceeded, too many servers in group")
