# SPDX-License-Identifier: Apache-2.0
"""Delete: wins over whatever else is under way, and leaves nothing behind."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import NETWORK, ControlStep, HostStep, RowStep, Run, WhenDown, Workflow
from nova_lite.conductor.steps import volume_connections
from nova_lite.conductor.workflows import build
from nova_lite.db.compute import actions, server_images, server_migrations, servers, shelving
from nova_lite.db.hosts import claims
from nova_lite.db.network import interfaces


@dataclasses.dataclass(frozen=True)
class DeleteState:
    """`agent` None: the server is on no host. `has_peers`: other hosts have ports on its networks. `has_volumes`: it may have some."""

    host: str | None = None
    agent: str | None = None
    has_peers: bool = True
    has_volumes: bool = False


DeleteRun = Run[DeleteState]
_PLACE = sa.select(servers.Server.host, servers.Server.agent, servers.Server.has_volumes).where(servers.Server.id == sa.bindparam("of"))


def end_other_actions(services: Services, run: DeleteRun) -> DeleteState:
    """A conductor that builds or changes the server loses its lease; what is in flight to a worker is fenced off there."""
    with services.database.writer() as session:
        actions.cancel_open(session, server_id=run.resource_id, before=run.action_id, reason="The server was deleted.")
        server_images.discard_unfinished(session, run.resource_id)
        host, agent, has_volumes = session.execute(_PLACE, {"of": run.resource_id}).one()
        has_peers = interfaces.has_peers(session, run.resource_id)
    return DeleteState(host=host, agent=agent, has_peers=has_peers, has_volumes=has_volumes)


def end_attachments(services: Services, run: DeleteRun) -> DeleteState:
    """The volumes are free, or deleted with the server, now that no guest has them."""
    volume_connections.end(services, run)
    return run.state


def record_deleted(session: Session, run: DeleteRun) -> None:
    """Nothing is left on any host: the rows go in the transaction that ends the action."""
    interfaces.release_for_server(session, run.resource_id)
    claims.release(session, server_id=run.resource_id)
    server_migrations.end_open(session, run.resource_id, status=server_migrations.CONFIRMED)
    image_id = shelving.image_of(session, run.resource_id)
    server_images.discard(session, [image_id] if image_id else [])
    servers.mark_deleted(session, run.resource_id)


def notify_peers(services: Services, run: DeleteRun) -> None:
    """What is recorded is pushed soon, unless the networks were on this host only: then the next periodic look is soon enough."""
    if run.state.has_peers:
        network_sync.changed(services, run)


def never_undone(session: Session, run: DeleteRun, error: errors.NovaLiteError) -> None:
    """A delete never ends undone: its first step is the pivot."""


DELETE = Workflow(
    "delete", DeleteState,
    (
        ControlStep("end_other_actions", end_other_actions, pivot=True),
        HostStep("destroy_guest", lambda run: run.state.agent, build.destroy_guest, when_down=WhenDown.SKIP),
        HostStep("release_network", lambda run: run.state.agent, build.release_network, binary=NETWORK, when_down=WhenDown.SKIP),
        ControlStep("end_attachments", end_attachments, needed=lambda run: run.state.has_volumes),
        RowStep("forget", record=record_deleted, after=notify_peers),
    ),
    failed=never_undone,
)
