# SPDX-License-Identifier: Apache-2.0
"""Asks a worker that may just have died: one that was heard of lately is waited for, one that is down is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from nova_lite import errors
from nova_lite.conductor.engine.workflow import Run, TryLater

_T = TypeVar("_T")


def compute(run: Run, agent: str, call: Callable[[], _T]) -> _T:
    """What the call to the compute worker gives. Where no other host can do it, a restart must not undo it.

    :raises TryLater: the worker died lately: the step is to be done again.
    :raises errors.ServiceDown: it has been down for `[DEFAULT] service_down_time`.
    """
    try:
        return call()
    except errors.ServiceDown as down:
        if run.services.is_alive("nova-compute", agent):
            raise TryLater(down.text) from down
        raise
