# SPDX-License-Identifier: Apache-2.0
"""Looks after the image store from the process that serves it: cut-off uploads, files that no image has."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite.api.image.store import clean, open_store
from nova_lite.api.wsgi.request import Parts
from nova_lite.db.base import utcnow
from nova_lite.runtime.periodic import Periodic

LOG = logging.getLogger(__name__)
INTERVAL_S = 900.0


def caretaker(parts: Parts) -> Periodic:
    """Not started yet; several processes may look after one store."""
    store = open_store(parts.conf)

    def look() -> None:
        with parts.database.writer() as session:
            requeued, removed = clean(store, session, utcnow())
        if requeued or removed:
            LOG.warning("image store: %s uploads put back to queued, %s stray files removed", len(requeued), len(removed))

    return Periodic("image store", look, interval_s=INTERVAL_S)
