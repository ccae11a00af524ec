# SPDX-License-Identifier: Apache-2.0
"""The owner of the server that a path names, for operators' policies that depend on it (`user_id:%(user_id)s`)."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.context import Context
from nova_lite.db.compute.servers import Server


def owner(session: Session, ctxt: Context, variables: Mapping[str, str]) -> dict[str, str] | None:
    """`project_id` and `user_id` of the path's server; None: the path names none that the caller may see."""
    if "server_id" not in variables:
        return None
    query = sa.select(Server.project_id, Server.user_id).where(Server.id == variables["server_id"])
    if ctxt.visible_project is not None:
        query = query.where(Server.project_id == ctxt.visible_project)
    row = session.execute(query).one_or_none()
    return {"project_id": row.project_id, "user_id": row.user_id} if row else None
