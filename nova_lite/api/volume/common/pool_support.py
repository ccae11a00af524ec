# SPDX-License-Identifier: Apache-2.0
"""What a pool's worker must be able to do before a request begins it: what nobody can do would stay under way for ever."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.volume.pools import Pool

_REIMAGE = "reimage_support"  # a capability that workers report


def require_reimage(req: Request, pool: str | None) -> None:
    """:raises errors.NotImplementedHere: no worker of the pool puts images into volumes that are there."""
    found = None if pool is None else req.db.get(Pool, pool)
    if found is None or found.capabilities.get(_REIMAGE) is not True:
        raise errors.NotImplementedHere(reason=f"Pool {pool or 'none'} does not put images into volumes that exist: create one from the image.")
