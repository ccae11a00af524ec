# SPDX-License-Identifier: Apache-2.0
"""Notices that the database has gone back, as after a restore under running conductors: then a new epoch begins at once."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite.conductor.engine.services import Services
from nova_lite.db import database_epoch
from nova_lite.db.compute.actions import WAITING, Action
from nova_lite.db.database_epoch import DatabaseEpoch

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What the database had: its epoch, and its newest action."""

    epoch: int
    action_id: int
    nonce: str


_NEWEST = sa.select(Action).where(Action.state != WAITING).order_by(Action.id.desc()).limit(1)
# A row that waits is replaced by another when its turn comes; others stay until they are purged, weeks later.
_LOOK = sa.select(
    sa.select(DatabaseEpoch.epoch).scalar_subquery().label("epoch"),
    _NEWEST.with_only_columns(Action.id).scalar_subquery().label("action_id"),
    _NEWEST.with_only_columns(Action.nonce).scalar_subquery().label("nonce"),
    sa.select(Action.nonce).where(Action.id == sa.bindparam("of")).scalar_subquery().label("nonce_of"))


class LostRows:
    """Remembers the newest action by its number and nonce; one statement a look, whatever the number of actions.

    Every conductor looks by itself, since a restored database does not say what others have seen. That an action was
    purged looks the same, and a new epoch more does no harm.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._seen: _Seen | None = None

    def look(self) -> None:
        """Begin a new epoch if what was there at the last look is gone, though other rows may have come since."""
        seen = self._seen
        with self._services.database.reader() as session:
            row = session.execute(_LOOK, {"of": seen.action_id if seen else 0}).one()
        epoch = row.epoch or 0
        if seen is not None and (epoch < seen.epoch or (seen.action_id and row.nonce_of != seen.nonce)):
            with self._services.database.writer() as session:
                epoch = database_epoch.renew(session, above=seen.epoch)
            self._services.described.clear()
            LOG.warning("action %s of epoch %s is not in the database any more: it was restored, or has lost rows; epoch %s begins",
                        seen.action_id, seen.epoch, epoch)
        self._seen = _Seen(epoch, row.action_id or 0, row.nonce or "")
