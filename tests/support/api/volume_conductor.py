# SPDX-License-Identifier: Apache-2.0
"""A stand-in that carries attachments' actions out at once, as a conductor and a volume worker would."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import Action
from nova_lite.db.volume import attachments
from nova_lite.lifecycle.volumes import AttachmentStatus
from nova_lite.runtime import tokens
from tests.support.api.volume_api import VolumeApi

SECRET = "chap-secret"
CONNECTION = {"driver_volume_type": "iscsi", "data": {
    "target_portal": "10.0.0.1:3260", "target_iqn": "iqn.x", "target_lun": 1, "auth_method": "CHAP", "auth_username": "u", "auth_password": SECRET}}


class Conductor:
    """In place of the RPC client: ends each action that is cast to it; it fails with `reason`, if there is one."""

    def __init__(self, api: VolumeApi) -> None:
        self._api = api
        self.reason: str | None = None
        self.names: list[str] = []

    def run(self, _ctxt: Any, *, action_id: int) -> None:
        with self._api.database.writer() as session:
            action = session.get_one(Action, action_id)
            self.names.append(action.name)
            if self.reason is not None:
                action.state, action.message = actions.FAILED, self.reason
            elif action.name == "export_attachment":
                self._export(session, action)
            elif action.name == "delete_attachment":
                row = attachments.get(session, action.resource_id)
                attachments.delete(session, row.id)
                attachments.settle(session, str(row.volume_id))
                action.state = actions.DONE

    def _export(self, session: Session, action: Action) -> None:
        attachments.set_status(
            session, action.resource_id, AttachmentStatus.ATTACHING, among=(AttachmentStatus.RESERVED,),
            connection_info=tokens.open_tokens(self._api.conf).encrypt_secret(json.dumps(CONNECTION)))
        attachments.settle(session, str(attachments.get(session, action.resource_id).volume_id))
        action.state = actions.DONE


def attach(api: VolumeApi) -> Conductor:
    """The stand-in, in the cloud's place of its conductor."""
    made = Conductor(api)
    api.rpc.conductor = made  # type: ignore[assignment]
    return made
