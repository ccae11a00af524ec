# SPDX-License-Identifier: Apache-2.0
"""Merges the steps of an action's journal into the fewer events that Nova's clients know."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable

from nova_lite.db.compute.actions import Action, ActionEvent
from nova_lite.lifecycle.events import event_of


@dataclasses.dataclass(frozen=True)
class MergedEvent:
    """One event, from the start of its first step to the end of its last. `result` None: it is still running."""

    name: str
    host: str | None
    start_time: datetime.datetime
    finish_time: datetime.datetime | None
    result: str | None
    details: str | None


def merge(action: Action, steps: Iterable[ActionEvent]) -> list[MergedEvent]:
    """The action's events, newest first; `steps` are oldest first. Each attempt has events of its own."""
    stays_on_host = action.saved.get("offloads") is False
    groups: dict[tuple[int, str], list[ActionEvent]] = {}
    for step in steps:
        name = event_of(action.name, step.name, stays_on_host=stays_on_host)
        if name is not None:
            groups.setdefault((step.attempt, name), []).append(step)
    return [_merged(name, parts) for (_, name), parts in reversed(groups.items())]


def _merged(name: str, parts: list[ActionEvent]) -> MergedEvent:
    results = {part.result for part in parts}
    result = next((one for one in ("Error", None, "Success") if one in results), None)
    finish_times = [part.finish_time for part in parts if part.finish_time is not None]
    return MergedEvent(
        name=name, host=next((part.host for part in reversed(parts) if part.host), None),
        start_time=min(part.start_time for part in parts), result=result,
        finish_time=max(finish_times) if len(finish_times) == len(parts) else None,
        details="; ".join(part.details for part in parts if part.details) or None)
