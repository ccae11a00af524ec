# SPDX-License-Identifier: Apache-2.0
"""What a transaction did to actions, told to listeners once it is committed; nothing is kept when nobody listens."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

from sqlalchemy.orm import Session

KEY = "changes"  # in a writer's session.info, if anybody listens


class Phase(StrEnum):
    """What became of an action; the words are those of notifications. ALONE: an action done as it was asked for."""

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
    """Whether anybody listens: what is only found out for them need not be, else."""
    return session.info.get(KEY) is not None


def note(session: Session, action_id: int, phase: Phase) -> None:
    """Tell this once the session's transaction is committed."""
    noted = session.info.get(KEY)
    if noted is not None:
        noted.append(Change(action_id, phase))
