# SPDX-License-Identifier: Apache-2.0
"""The scheduler's endpoint for volumes: picks a pool and claims it in the same transaction."""

from __future__ import annotations

import random

from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.db.engine import Database
from nova_lite.db.volume import pools, volumes
from nova_lite.rpc.scheduler import PoolPlacement, PoolRequest
from nova_lite.runtime.failpoints import fail
from nova_lite.scheduler.volumes import pipeline, view

LOG = logging.getLogger(__name__)


class PoolPlacements:
    """Pools are few, so that each request reads them; the claim's lock decides between several schedulers."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, *, rng: random.Random) -> None:
        self._conf, self._database, self._rng = conf, database, rng

    def pick_pool(self, ctxt: Context, *, request: PoolRequest) -> PoolPlacement:  # noqa: ARG002 - the contract's shape
        with self._database.writer() as session:
            placement = self._place(session, request)
        fail("scheduler.pool_claimed")
        LOG.info("volume %s: placed in pool %s", request.volume_id, placement.pool)
        return placement

    def _place(self, session: Session, request: PoolRequest) -> PoolPlacement:
        candidates = view.read(session, self._conf)
        volume = volumes.get_locked(session, request.volume_id)
        if volume.host is not None and volume.claimed_gb and volume.host not in request.excluded:
            zone = next((pool.availability_zone for pool in candidates if pool.name == volume.host), volume.availability_zone or "")
            return PoolPlacement(pool=volume.host, availability_zone=zone)
        outcome = pipeline.choose(candidates, request, rng=self._rng)
        for pool in outcome.fitting:
            if pools.claim(session, volume, pool=pool.name, size_gb=request.size_gb):
                volume.availability_zone = pool.availability_zone
                return PoolPlacement(pool=pool.name, availability_zone=pool.availability_zone)
        if outcome.fitting:
            raise errors.NoValidBackend(reason="Another volume has just claimed what the pools had left.")
        raise errors.NoValidBackend(reason=outcome.explain())
