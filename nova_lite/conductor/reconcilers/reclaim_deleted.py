# SPDX-License-Identifier: Apache-2.0
"""Deletes soft-deleted servers that were not restored in time."""

from __future__ import annotations

import datetime

import sqlalchemy as sa

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import timed_actions
from nova_lite.db.compute.servers import Server
from nova_lite.lifecycle.servers import Vm


def reclaim(services: Services) -> None:
    """Begin the delete of servers whose `[compute] reclaim_instance_interval` is over; 0: nothing is kept for later."""
    interval = services.conf.compute.reclaim_instance_interval
    if not interval:
        return
    before = services.now() - datetime.timedelta(seconds=interval)
    with services.database.reader() as session:
        due = list(session.scalars(sa.select(Server.id).where(
            Server.vm_state == str(Vm.SOFT_DELETED), Server.task_state.is_(None), Server.deleted_at.is_(None),
            Server.soft_deleted_at < before).limit(timed_actions.BATCH)))
    for server_id in due:
        timed_actions.begin(services, server_id, "delete", failpoint="reclaim", reason="is soft-deleted, and is reclaimed",
                    is_due=_is_left_alone)


def _is_left_alone(server: Server) -> bool:
    return server.vm_state == Vm.SOFT_DELETED and server.task_state is None
