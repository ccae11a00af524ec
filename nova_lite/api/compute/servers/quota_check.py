# SPDX-License-Identifier: Apache-2.0
"""Quota checks: usage is counted in the transaction that adds to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.quotas import image_quotas, quota_locks, quotas


def check_metadata(items: Mapping[str, str], limit: int) -> None:
    """:raises errors.OverQuota: there are more items than a server may have."""
    if 0 <= limit < len(items):
        raise errors.OverQuota(f"Maximum number of metadata items exceeds {limit}")


def check_image_quota(req: Request, project_id: str) -> None:
    """:raises errors.OverQuota: the project may not have one more image."""
    over = image_quotas.count_over(req.db, req.conf, project_id)
    if over is not None:
        raise errors.OverQuota(over)


class Sized(Protocol):
    """A flavor or a server: whatever has CPUs and memory."""

    @property
    def vcpus(self) -> int: ...

    @property
    def ram_mb(self) -> int: ...


@dataclasses.dataclass(frozen=True)
class QuotaUsage:
    """A project's limits (-1: unlimited) and its usage."""

    limits: dict[str, int]
    used: dict[str, int]

    @classmethod
    def of(cls, req: Request, *, project_id: str | None = None, less: Mapping[str, int] | None = None) -> QuotaUsage:
        """The usage of a project, by default the caller's, less what this transaction has added to it; one query.

        The project's quota stays locked until the commit, so that two requests cannot both take the last of it.
        """
        project_id = project_id or req.ctxt.project_id
        quota_locks.take(req.db, project_id)
        limits, used = quotas.limits_and_usage(req.db, req.conf, project_id, user_id=req.ctxt.user_id)
        return cls(limits, {name: amount - (less or {}).get(name, 0) for name, amount in used.items()})

    def servers(
        self, flavor: Sized, counts: tuple[int, int], *, ports_each: int, metadata: Mapping[str, str]
    ) -> int:
        """How many servers the quota allows of `counts` (minimum, maximum).

        :raises errors.OverQuota: less than the minimum; the text is Nova's.
        """
        check_metadata(metadata, self.limits["metadata_items"])
        each = {"instances": 1, "cores": flavor.vcpus, "ram": flavor.ram_mb, "ports": ports_each}
        minimum, maximum = counts
        allowed = min([maximum, *(self._free(name) // size for name, size in each.items() if size and self._is_limited(name))])
        if allowed >= minimum:
            return allowed
        over = [name for name, size in each.items()
                if size and self._is_limited(name) and self._free(name) < size * minimum]
        raise self._over({name: each[name] * minimum for name in over})

    def growth(self, by: Mapping[str, int]) -> None:
        """:raises errors.OverQuota: the quota does not allow a server to grow by this much."""
        over = {name: size for name, size in by.items() if self._is_limited(name) and self._free(name) < size}
        if over:
            raise self._over(over)

    def _over(self, over: Mapping[str, int]) -> errors.OverQuota:
        return errors.OverQuota("Quota exceeded for {}: Requested {}, but already used {} of {} {}".format(
            ", ".join(over), ", ".join(str(size) for size in over.values()),
            ", ".join(str(self.used[name]) for name in over), ", ".join(str(self.limits[name]) for name in over),
            ", ".join(over)))

    def _is_limited(self, name: str) -> bool:
        return self.limits[name] >= 0

    def _free(self, name: str) -> int:
        return max(0, self.limits[name] - self.used[name])
