# SPDX-License-Identifier: Apache-2.0
"""Changes of actions in a transaction, passed to listeners once it is committed; without listeners nothing is kept."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

from sqlalchemy.orm import Session

KEY = "changes"  # in a writer's session.info, if there are listeners


class Phase(StrEnum):
    """Phases of an action, as in notifications. ALONE: an action done by the API at once, which has no phases."""

    START = "start"
    END = "end"
    ERROR = "error"
    ALONE = ""


@dataclasses.dataclass(frozen=True)
class Change:
    """`action_id` has reached `phase`."""

    action_id: int
    phase: Phase


def are_noted(session: Session) -> bool:
    """Whether there are listeners; what is read for them alone need not be read otherwise."""
    return session.info.get(KEY) is not None


def note(session: Session, action_id: int, phase: Phase) -> None:
    """Pass the change to the listeners once the session's transaction is committed."""
    changes = session.info.get(KEY)
    if changes is not None:
        changes.append(Change(action_id, phase))
