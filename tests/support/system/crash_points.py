# SPDX-License-Identifier: Apache-2.0
"""Where a conductor can be killed in the middle of a workflow."""

from __future__ import annotations

from nova_lite.conductor.engine.workflow import ControlStep, RowStep
from nova_lite.conductor.workflows import WORKFLOWS


def points(name: str, *more: str, with_volumes: bool = False) -> list[str]:
    """Before and after each step, and once it is journaled; `more` are the worker's. `with_volumes`: also of steps that only volumes need.

    One write ends a step and opens the next: what lies between that and the next one's `before` is a moment of its own
    only where a report is sent meanwhile.
    """
    workflow = WORKFLOWS[name]
    found = []
    for step in workflow.steps:
        if isinstance(step, ControlStep) and step.needed is not None and not with_volumes:
            continue
        is_last = step is workflow.steps[-1]
        moments = ["before"] if isinstance(step, RowStep) else ["before", "after"]
        moments += ["journaled"] if is_last or step.after is not None else []
        found += [f"{workflow.name}.{step.key}.{moment}" for moment in moments]
    return [*found, *more]
