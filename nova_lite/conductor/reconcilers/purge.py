# SPDX-License-Identifier: Apache-2.0
"""Purges what is only kept to be looked back at: deleted servers, the oldest of very many actions, tokens revoked and expired, old messages."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable

from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite.conductor.engine.services import Services
from nova_lite.db.compute import actions, server_migrations, servers
from nova_lite.db.identity import token_owners
from nova_lite.db.volume import groups, messages

LOG = logging.getLogger(__name__)
BATCH = 500
# Actions and migrations that one transaction removes.
ROWS = 500
# Of one run, so that other work goes on: half a million rows, and the servers that have very many.
_BATCHES, _CROWDED = 1000, 1000
# Ended actions and migrations of one server. Users begin as many as they like, and each is a row as long as the server lives.
KEPT_ACTIONS, KEPT_MIGRATIONS = 1000, 100


def purge(services: Services) -> None:
    """Remove rows of servers deleted more than `[conductor] purge_deleted_after_days` ago, with their actions, and as old actions of volumes."""
    before = services.now() - datetime.timedelta(days=services.conf.conductor.purge_deleted_after_days)
    purged = _in_batches(services, lambda session: servers.purge(session, deleted_before=before, limit=BATCH))
    _in_batches(services, functools.partial(actions.purge_storage, ended_before=before, limit=ROWS))
    trimmed = _trim(services, actions.crowded, actions.trim, kept=KEPT_ACTIONS)
    trimmed += _trim(services, server_migrations.crowded, server_migrations.trim, kept=KEPT_MIGRATIONS)
    _in_batches(services, functools.partial(messages.purge, now=services.now(), limit=ROWS))
    _in_batches(services, functools.partial(groups.purge, limit=ROWS))
    with services.database.writer() as session:
        server_migrations.purge(session)
        token_owners.forget_revoked(session, expired_before=services.now())
    if purged or trimmed:
        LOG.info("purged %s servers that were deleted before %s, and %s old actions and migrations of others", purged, before.isoformat(), trimmed)


def _trim(services: Services, crowded: Callable[..., list[str]], trim: Callable[..., int], *, kept: int) -> int:
    """Leave the newest `kept` rows of each owner that has more; how many went."""
    with services.database.reader() as session:
        owners = crowded(session, kept=kept, limit=_CROWDED)
    return sum(_in_batches(services, functools.partial(trim, owner=owner, kept=kept, limit=ROWS)) for owner in owners)


def _in_batches(services: Services, remove: Callable[[Session], int]) -> int:
    """Call it, in a transaction each, until there is no more; how many rows went."""
    total = 0
    for _ in range(_BATCHES):
        with services.database.writer() as session:
            removed = remove(session)
        total += removed
        if not removed:
            break
    return total
