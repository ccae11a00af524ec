# SPDX-License-Identifier: Apache-2.0
"""Cleans the image store periodically in the process that serves it: interrupted uploads, files without an image."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite.api.image.store import clean, open_store
from nova_lite.api.wsgi.request import Parts
from nova_lite.db.base import utcnow
from nova_lite.runtime.periodic import Periodic

LOG = logging.getLogger(__name__)
INTERVAL_S = 900.0


def store_cleaner(parts: Parts) -> Periodic:
    """The task, not started; several processes may clean one store."""
    store = open_store(parts.conf)

    def clean_store() -> None:
        with parts.database.writer() as session:
            requeued, removed = clean(store, session, utcnow())
        if requeued or removed:
            LOG.warning("image store: %s interrupted uploads reset to queued, %s files without an image removed", len(requeued), len(removed))

    return Periodic("image store", clean_store, interval_s=INTERVAL_S)
