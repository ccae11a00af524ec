# SPDX-License-Identifier: Apache-2.0
"""Takes shelved servers off their hosts once they have been shelved long enough."""

from __future__ import annotations

import datetime

from nova_lite.conductor.reconcilers import overdue
from nova_lite.conductor.world import World
from nova_lite.db import shelving


def offload(world: World) -> None:
    """Ask for the offload of servers whose `[compute] shelved_offload_time` is over; -1: they stay."""
    wait_s = world.conf.compute.shelved_offload_time
    if wait_s < 0:
        return
    with world.database.reader() as session:
        due = shelving.on_hosts(
            session, shelved_before=world.now() - datetime.timedelta(seconds=wait_s), limit=overdue.BATCH)
    for server_id in due:
        overdue.ask(world, server_id, "shelve_offload", point="offload",
                    because="has been shelved long enough, and leaves its host")
