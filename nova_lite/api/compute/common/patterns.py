# SPDX-License-Identifier: Apache-2.0
"""Regular expressions in queries: of a bounded length and without what needs backtracking."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.db import patterns


def read_pattern(name: str, text: str) -> patterns.Pattern:
    """The pattern that the parameter `name` has.

    :raises errors.InvalidField: it is not valid, or has back references, assertions or too many repetitions.
    """
    try:
        return patterns.compiled(text)
    except patterns.PatternError as wrong:
        raise errors.InvalidField(field=name, reason=f"'{text[:patterns.MAX_LENGTH]}' is not a 'regex': {wrong}") from None
