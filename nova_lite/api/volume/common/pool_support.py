# SPDX-License-Identifier: Apache-2.0
"""What a pool's worker must be able to do before a request begins it: what nobody can do would stay under way for ever."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.volume import pools

_BACKUPS, _REIMAGE = "backup_support", "reimage_support"  # capabilities that workers report


def require_backups(req: Request, pool: str | None) -> None:
    """:raises errors.Unavailable: no worker of the pool (None: of any) makes, restores and deletes backups."""
    if not _has(req, pool, _BACKUPS):
        raise errors.Unavailable(reason=f"No backup service is available for {pool or 'any pool'}: no nova-volume there reports {_BACKUPS}.")


def require_reimage(req: Request, pool: str | None) -> None:
    """:raises errors.NotImplementedHere: no worker of the pool puts images into volumes that are there."""
    if pool is None or not _has(req, pool, _REIMAGE):
        raise errors.NotImplementedHere(reason=f"Pool {pool or 'none'} does not put images into volumes that exist: create one from the image.")


def _has(req: Request, name: str | None, capability: str) -> bool:
    return any(pool.capabilities.get(capability) is True for pool in pools.pools(req.db) if name in (None, pool.name))
