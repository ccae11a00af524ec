# SPDX-License-Identifier: Apache-2.0
"""How much work waits for a conductor."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.compute.actions import QUEUED, Action

_ACTIONS: Any = Action.__table__
_COUNT = sa.select(_ACTIONS.c.project_id, sa.func.count()).where(_ACTIONS.c.state == QUEUED).group_by(_ACTIONS.c.project_id)


def count_by_project(session: Session) -> dict[str, int]:
    """Actions that no conductor has begun, by project."""
    return {project_id: count for project_id, count in session.connection().execute(_COUNT)}
