# SPDX-License-Identifier: Apache-2.0
"""The steps of an action's journal as the fewer events, in Nova's words, that clients know."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from nova_lite.db.compute.actions import Action, ActionEvent
from nova_lite.lifecycle.events import event_of


@dataclasses.dataclass(frozen=True)
class Shown:
    """One event: from the start of its first step to the end of its last. `result` None: it goes on."""

    name: str
    host: str | None
    start_time: datetime.datetime
    finish_time: datetime.datetime | None
    result: str | None
    details: str | None


def of(action: Action, steps: Iterable[ActionEvent]) -> list[Shown]:
    """The action's events, newest first; `steps` oldest first. Each attempt has its own."""
    stays = action.saved.get("offloads") is False
    found: dict[tuple[int, str], list[ActionEvent]] = {}
    for step in steps:
        name = event_of(action.name, step.name, stays_on_host=stays)
        if name is not None:
            found.setdefault((step.attempt, name), []).append(step)
    return [_merged(name, parts) for (_, name), parts in reversed(found.items())]


def _merged(name: str, parts: list[ActionEvent]) -> Shown:
    results = {part.result for part in parts}
    result = next((one for one in ("Error", None, "Success") if one in results), None)
    finished = [part.finish_time for part in parts if part.finish_time is not None]
    return Shown(
        name=name, host=next((part.host for part in reversed(parts) if part.host), None),
        start_time=min(part.start_time for part in parts), result=result,
        finish_time=max(finished) if len(finished) == len(parts) else None,
        details="; ".join(part.details for part in parts if part.details) or None)
