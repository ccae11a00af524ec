# SPDX-License-Identifier: Apache-2.0
"""Confirms resizes that nobody has confirmed or reverted in time."""

from __future__ import annotations

import datetime

from nova_lite.conductor.reconcilers import overdue
from nova_lite.conductor.world import World
from nova_lite.db import moves


def confirm(world: World) -> None:
    """Ask for the confirmation of resizes older than `[compute] resize_confirm_window`; 0: none is confirmed unasked."""
    window = world.conf.compute.resize_confirm_window
    if not window:
        return
    before = world.now() - datetime.timedelta(seconds=window)
    with world.database.reader() as session:
        due = moves.waiting(session, finished_before=before, limit=overdue.BATCH)
    for _, server in due:
        overdue.ask(world, server.id, "confirm_resize", point="confirm_window",
                    because="its resize is confirmed, since nobody did in time")
