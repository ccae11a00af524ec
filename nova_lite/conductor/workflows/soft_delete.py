# SPDX-License-Identifier: Apache-2.0
"""What a soft delete settles beside the power: it is no workflow, since one host does it, but rows go with it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import Run
from nova_lite.conductor.workflows import resize
from nova_lite.context import Context
from nova_lite.db.compute import server_images, server_migrations, servers, shelving
from nova_lite.db.compute.actions import Action
from nova_lite.lifecycle.servers import Power, Vm


def settle(session: Session, services: Services, ctxt: Context, action: Action) -> None:
    """A resize that waited is confirmed, and the snapshot of a server shelved on its host goes: a restore starts the guest.

    In the transaction that ends the action, before the server's state changes.
    """
    server = servers.get(session, action.server_id)
    if server.vm_state == Vm.RESIZED and server_migrations.latest(session, server.id).status == server_migrations.FINISHED:
        resize.keep_new_size(session, Run(
            ctxt=ctxt, server_id=server.id, action_id=action.id, inputs={}, saved=resize.known(session, server.id),
            services=services))
    if server.shelved_image_id is not None and server.agent is not None:
        server_images.discard(session, [server.shelved_image_id])
        shelving.record(session, server.id, image_id=None, now=None)


def restored(session: Session, server_id: str) -> Vm | None:
    """What a restored server is, if not what the action's row says: one that is on no host has a snapshot only."""
    return Vm.SHELVED_OFFLOADED if servers.get(session, server_id).agent is None else None


def ask_host(services: Services, ctxt: Context, name: str, *, agent: str | None, server_id: str, action_id: int) -> None:
    """Tell the server's host to `soft_delete` or `restore`; on none there is nothing to be done but to write it down."""
    if agent is None:
        services.conductor.action_done(ctxt, server_id=server_id, action_id=action_id, host="", power_state=int(Power.SHUTDOWN))
    else:
        getattr(services.compute(agent), name)(ctxt, server_id=server_id, action_id=action_id)
