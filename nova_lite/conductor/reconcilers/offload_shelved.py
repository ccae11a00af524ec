# SPDX-License-Identifier: Apache-2.0
"""Takes shelved servers off their hosts once they have been shelved long enough."""

from __future__ import annotations

import datetime

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import timed_actions
from nova_lite.db.compute import shelving


def offload(services: Services) -> None:
    """Begin the offload of servers whose `[compute] shelved_offload_time` is over; -1: they stay."""
    wait_s = services.conf.compute.shelved_offload_time
    if wait_s < 0:
        return
    with services.database.reader() as session:
        due = shelving.on_hosts(
            session, shelved_before=services.now() - datetime.timedelta(seconds=wait_s), limit=timed_actions.BATCH)
    for server_id in due:
        timed_actions.begin(services, server_id, "shelve_offload", failpoint="offload",
                    reason="has been shelved long enough, and leaves its host")
