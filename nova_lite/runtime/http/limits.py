# SPDX-License-Identifier: Apache-2.0
"""How long clients may take, and how many sockets they may hold."""

from __future__ import annotations

import dataclasses
import resource


def _connections() -> int:
    """Half of the files that this process may have open."""
    return max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)


@dataclasses.dataclass(frozen=True)
class Limits:
    """`head_s`: from the first byte (or the connection) to the whole head and small body. `rate`: least bytes per second.

    `writes`: so many are answered at once at most, and `writes_of_tenant` of these for one tenant, but never all.
    `waits`: so many more requests may wait for workers without a place.
    `max_wait_s`: who would wait for longer is refused at once; `late_s`: who has waited for longer, whatever was expected.
    `grace_s`: for so long a client may be slower. `lingering`: threads that wait with an idle connection.
    """

    head_s: float = 10.0
    keep_alive_s: float = 60.0
    grace_s: float = 10.0
    rate: int = 4096
    connections_of_address: int = 512
    connections: int = dataclasses.field(default_factory=lambda: min(4096, _connections()))
    lingering: int = 16
    writes: int = 1000
    writes_of_tenant: int = 4
    waits: int = 0
    max_wait_s: float = 1.0
    late_s: float = 3.0
    end_s: float = 10.0
