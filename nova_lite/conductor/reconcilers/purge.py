# SPDX-License-Identifier: Apache-2.0
"""Purges what is only kept to be looked back at: servers that were deleted long ago, tokens revoked and expired."""

from __future__ import annotations

import datetime

from oslo_log import log as logging

from nova_lite.conductor.engine.services import Services
from nova_lite.db.compute import server_migrations, servers
from nova_lite.db.identity import token_owners

LOG = logging.getLogger(__name__)
BATCH = 500


def purge(services: Services) -> None:
    """Remove rows of servers deleted more than `[conductor] purge_deleted_after_days` ago, with their actions."""
    before = services.now() - datetime.timedelta(days=services.conf.conductor.purge_deleted_after_days)
    with services.database.writer() as session:
        purged = servers.purge(session, deleted_before=before, limit=BATCH)
        server_migrations.purge(session)
        token_owners.forget_revoked(session, expired_before=services.now())
    if purged:
        LOG.info("purged %s servers that were deleted before %s", purged, before.isoformat())
