# SPDX-License-Identifier: Apache-2.0
"""Filters, then weighs: the pools that fit, best first, and why the others are refused."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence

from nova_lite.rpc.scheduler import PoolRequest
from nova_lite.scheduler.volumes.filters import FILTERS
from nova_lite.scheduler.volumes.view import PoolView

# Fractions closer than this count as equal; a random choice among equals spreads what several schedulers choose.
_SAME = 0.02


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`fitting` best first; `refusals`: the position of the filter, its reason and what the pool has left, one per other pool."""

    fitting: tuple[PoolView, ...]
    refusals: tuple[tuple[int, str, int], ...]

    def explain(self) -> str:
        """The explanation for the user, without names: per reason the number of pools, then the nearest fit."""
        if not self.refusals:
            return "There is no storage pool."
        counts = Counter(reason.split(":")[0] for _, reason, _ in self.refusals)
        parts = ", ".join(f"{count}× {reason}" for reason, count in counts.most_common())
        total = len(self.refusals)
        nearest = max(self.refusals, key=lambda refusal: (refusal[0], refusal[2]))
        return f"{total} storage pool{'s' if total != 1 else ''}: {parts}. Nearest fit: {nearest[1]}."


def choose(pools: Sequence[PoolView], request: PoolRequest, *, rng: random.Random) -> Outcome:
    """Run the filters on every pool, up to its first refusal, and order those that fit by the share that is left: Cinder's CapacityWeigher."""
    fitting, refusals = [], []
    for pool in pools:
        refusal = _refusal(pool, request)
        if refusal is None:
            fitting.append(pool)
        else:
            refusals.append(refusal)
    fitting.sort(key=lambda pool: (-round(pool.left_gb / max(pool.capacity_gb, 1) / _SAME), rng.random()))
    return Outcome(tuple(fitting), tuple(refusals))


def _refusal(pool: PoolView, request: PoolRequest) -> tuple[int, str, int] | None:
    for number, check in enumerate(FILTERS):
        reason = check(pool, request)
        if reason is not None:
            return number, reason, pool.left_gb
    return None
