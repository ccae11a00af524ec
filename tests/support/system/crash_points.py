# SPDX-License-Identifier: Apache-2.0
"""Where a conductor can be killed in the middle of a workflow."""

from __future__ import annotations

from nova_lite.conductor.engine.workflow import RowStep
from nova_lite.conductor.workflows import WORKFLOWS


def points(name: str, *more: str) -> list[str]:
    """Before and after each step, and once it is journaled; `more` are the worker's.

    One write ends a step and opens the next: what lies between that and the next one's `before` is a moment of its own
    only where a report is sent meanwhile.
    """
    workflow = WORKFLOWS[name]
    found = []
    for step in workflow.steps:
        is_last = step is workflow.steps[-1]
        moments = ["before"] if isinstance(step, RowStep) else ["before", "after"]
        moments += ["journaled"] if is_last or step.after is not None else []
        found += [f"{workflow.name}.{step.key}.{moment}" for moment in moments]
    return [*found, *more]
