# SPDX-License-Identifier: Apache-2.0
"""What a server shows of the growth of one of its volumes: Nova's action of the name, which clients wait for."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from nova_lite.conductor.engine.workflow import Run
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import ActionEvent

_ACTION, _EVENT = "extend_volume", "compute_extend_volume"


def record(session: Session, run: Run[Any], *, server_id: str, host: str | None) -> None:
    """The server's guest has a larger volume: an action that is over."""
    requester = actions.Requester(run.ctxt.request_id, run.ctxt.user_id, run.ctxt.project_id)
    made = actions.begin(session, (actions.SERVER, server_id), _ACTION, requester, inputs={"volume_id": run.resource_id}, state=actions.DONE)
    session.add(ActionEvent(action_id=made.id, name=_EVENT, host=host, finish_time=utcnow(), result="Success"))
