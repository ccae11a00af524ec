# SPDX-License-Identifier: Apache-2.0
"""What a soft delete settles beside the power: it is no workflow, since one host does it, but rows go with it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.conductor.workflow import Run
from nova_lite.conductor.workflows import resize
from nova_lite.conductor.world import World
from nova_lite.context import Context
from nova_lite.db import moves, servers, shelving, snapshots
from nova_lite.db.actions import Action
from nova_lite.lifecycle.table import Vm


def settle(session: Session, world: World, ctxt: Context, action: Action) -> None:
    """A resize that waited is confirmed, and a shelved server's snapshot goes, as in Nova: a restore starts the guest.

    In the transaction that ends the action, before the server's state changes.
    """
    server = servers.get(session, action.server_id)
    if server.vm_state == Vm.RESIZED and moves.latest(session, server.id).status == moves.FINISHED:
        resize.keep_new_size(session, Run(
            ctxt=ctxt, server_id=server.id, action_id=action.id, inputs={}, saved=resize.known(session, server.id),
            world=world))
    if server.shelved_image_id is not None:
        snapshots.discard(session, [server.shelved_image_id])
        shelving.keep(session, server.id, image_id=None, now=None)
