# SPDX-License-Identifier: Apache-2.0
"""Pages of what a worker has, so that no answer of it grows with its host."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


def page(ids: Iterable[str], *, after: str, size: int) -> tuple[set[str], str]:
    """The first `size` of the ids that sort after that one, and what the next page comes after; empty: there is none."""
    first = heapq.nsmallest(size + 1, {one for one in ids if one > after})
    return set(first[:size]), first[size - 1] if len(first) > size else ""
