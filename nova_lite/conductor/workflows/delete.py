# SPDX-License-Identifier: Apache-2.0
"""Delete: wins over whatever else is under way, and leaves nothing behind."""

from __future__ import annotations

import functools

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.workflow import Run, Saved, Step, Workflow
from nova_lite.db.compute import actions, server_images, server_migrations, servers, shelving
from nova_lite.db.hosts import claims
from nova_lite.db.network import interfaces


def end_other_actions(run: Run) -> Saved:
    """Whoever builds or changes the server loses its lease; what is in flight to a worker is fenced off there."""
    with run.services.database.writer() as session:
        actions.cancel_open(session, server_id=run.server_id, before=run.action_id, reason="The server was deleted.",
                            now=run.services.now())
        server_images.discard_unfinished(session, run.server_id)
        server = session.scalars(sa.select(servers.Server).where(servers.Server.id == run.server_id)).one()
    return {"host": server.host, "agent": server.agent}


def destroy_guest(run: Run) -> None:
    if run.saved["agent"] is None:
        return
    destroy = functools.partial(
        run.services.compute(run.saved["agent"]).destroy, run.ctxt, server_id=run.server_id, fence=run.fence)
    run.services.unless_down("nova-compute", run.saved["agent"], destroy)


def release_network(run: Run) -> None:
    if run.saved["agent"] is None:
        return
    release = functools.partial(
        run.services.network(run.saved["agent"]).release, run.ctxt, server_id=run.server_id, fence=run.fence)
    run.services.unless_down("nova-network", run.saved["agent"], release)


def forget(run: Run) -> None:
    """Nothing is left on any host: the rows go in the transaction that ends the action."""


def record_deleted(session: Session, run: Run) -> None:
    interfaces.release_for_server(session, run.server_id)
    claims.release(session, server_id=run.server_id)
    server_migrations.end_open(session, run.server_id, status=server_migrations.CONFIRMED)
    shelved_as = shelving.image_of(session, run.server_id)
    server_images.discard(session, [shelved_as] if shelved_as else [])
    servers.mark_deleted(session, run.server_id)


def nothing_to_tell(session: Session, run: Run, error: errors.NovaLiteError) -> None:
    """A delete never ends undone: its first step is the pivot."""


DELETE = Workflow(
    "delete",
    (
        Step(end_other_actions, pivot=True),
        Step(destroy_guest),
        Step(release_network),
        Step(forget, record=record_deleted, after=network_sync.changed),
    ),
    failed=nothing_to_tell,
)
