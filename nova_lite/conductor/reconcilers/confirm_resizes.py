# SPDX-License-Identifier: Apache-2.0
"""Confirms resizes that nobody has confirmed or reverted in time."""

from __future__ import annotations

import datetime

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import timed_actions
from nova_lite.db.compute import server_migrations


def confirm(services: Services) -> None:
    """Begin the confirmation of resizes older than `[compute] resize_confirm_window`; 0: none is confirmed by itself."""
    window = services.conf.compute.resize_confirm_window
    if not window:
        return
    before = services.now() - datetime.timedelta(seconds=window)
    with services.database.reader() as session:
        due = server_migrations.waiting(session, finished_before=before, limit=timed_actions.BATCH)
    for _, server in due:
        timed_actions.begin(services, server.id, "confirm_resize", failpoint="confirm_window",
                    reason="its resize is confirmed, since nobody did in time")
