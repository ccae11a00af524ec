# SPDX-License-Identifier: Apache-2.0
"""The one way in which tests wait: until a condition holds, with a deadline that no test that passes comes near."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
# Far above what anything here takes on a machine that is busy with other tests.
DEADLINE_S = 60.0
# Looking takes the processor from what is waited for: seldom after a while.
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.25


def wait_until(
    condition: Callable[[], _T], what: str = "the condition", *, seconds: float = DEADLINE_S, details: Callable[[], str] = lambda: "",
) -> _T:
    """The first true value of `condition()`, called every 50 ms at first, and four times a second after two seconds.

    `what` names what is waited for; `details()` is added when it does not come, such as the end of a log.

    :raises AssertionError: it did not come within `seconds`.
    """
    deadline, pause_s = time.monotonic() + seconds, _PAUSE_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}\n{details()}".rstrip())
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.1, _LONGEST_PAUSE_S)
    return value
