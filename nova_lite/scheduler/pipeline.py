# SPDX-License-Identifier: Apache-2.0
"""Filters, then weighs: the hosts that fit, best first, and why the others are refused."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Sequence

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.filters import FILTERS
from nova_lite.scheduler.view import Host
from nova_lite.scheduler.weighers import WEIGHERS

# Weights closer than this count as equal; a random choice among equals keeps several schedulers from colliding.
_SAME = 0.02


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why one host is refused: the filter's name and its reason."""

    host: Host
    filter: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`fitting` best first; `refusals` one per other host."""

    fitting: tuple[Host, ...]
    refusals: tuple[Refusal, ...]

    def explain(self) -> str:
        """The explanation for the user, without host names: per reason the number of hosts, then the nearest fit.

        `3 hosts: 2× not enough memory, 1× disabled by an operator. Nearest fit: not enough memory: 4096 MB requested, 3584 MB free.`
        """
        if not self.refusals:
            return "There is no compute host."
        counts = Counter(refusal.reason.split(":")[0] for refusal in self.refusals)
        parts = ", ".join(f"{count}× {reason}" for reason, count in counts.most_common())
        total = len(self.refusals)
        nearest = max(self.refusals, key=lambda refusal: (_position(refusal.filter), refusal.host.free.ram_mb))
        return f"{total} host{'s' if total != 1 else ''}: {parts}. Nearest fit: {nearest.reason}."


def _position(name: str) -> int:
    return next(number for number, check in enumerate(FILTERS) if check.__name__ == name)


def choose(hosts: Sequence[Host], request: PlacementRequest, *, rng: random.Random) -> Outcome:
    """Run the filters on every host, up to its first refusal, and order those that fit."""
    fitting, refusals = [], []
    for host in hosts:
        refusal = _refusal(host, request)
        if refusal is None:
            fitting.append(host)
        else:
            refusals.append(refusal)
    weights = {host.name: sum(weigh(host, request) for weigh in WEIGHERS) for host in fitting}
    fitting.sort(key=lambda host: (-round(weights[host.name] / _SAME), rng.random()))
    return Outcome(tuple(fitting), tuple(refusals))


def _refusal(host: Host, request: PlacementRequest) -> Refusal | None:
    for check in FILTERS:
        reason = check(host, request)
        if reason is not None:
            return Refusal(host, check.__name__, reason)
    return None
