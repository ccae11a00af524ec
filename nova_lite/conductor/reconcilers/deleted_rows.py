# SPDX-License-Identifier: Apache-2.0
"""Purges what is only kept to be looked back at: servers that were deleted long ago, tokens revoked and expired."""

from __future__ import annotations

import datetime

from oslo_log import log as logging

from nova_lite.conductor.world import World
from nova_lite.db import moves, servers, users

LOG = logging.getLogger(__name__)
BATCH = 500


def purge(world: World) -> None:
    """Remove rows of servers deleted more than `[conductor] purge_deleted_after_days` ago, with their actions."""
    before = world.now() - datetime.timedelta(days=world.conf.conductor.purge_deleted_after_days)
    with world.database.writer() as session:
        purged = servers.purge(session, deleted_before=before, limit=BATCH)
        moves.purge(session)
        users.forget_revoked(session, expired_before=world.now())
    if purged:
        LOG.info("purged %s servers that were deleted before %s", purged, before.isoformat())
