# SPDX-License-Identifier: Apache-2.0
"""What workflows on volumes share: the worker of a volume's pool, and the actions that others of its resources get."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run
from nova_lite.db.volume import volumes
from nova_lite.db.volume.volumes import Volume


@dataclasses.dataclass(frozen=True)
class OnPool:
    """Part of the state of such workflows. `host`: the pool, `worker@backend#pool`, as events name it; empty: the volume has none."""

    host: str = ""


P = TypeVar("P", bound=OnPool)


def worker(run: Run[P]) -> str | None:
    """The worker of the volume's pool; None: the volume has none."""
    return run.state.host.partition("@")[0] or None


def lock(session: Session, volume_id: str) -> Volume | None:
    """The volume with its row locked; None: it is gone."""
    try:
        return volumes.get_locked(session, volume_id)
    except errors.NotFound:
        return None
