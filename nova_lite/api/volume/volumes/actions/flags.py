# SPDX-License-Identifier: Apache-2.0
"""os-set_bootable and os-update_readonly_flag: two flags of a volume."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find_locked
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.lifecycle.volumes import VolumeStatus


def _flag(name: str, key: str) -> schemas.Schema:
    return schemas.keyed(name, schemas.closed({key: schemas.BOOLEAN}, required=(key,)))


@action("os-set_bootable", path=ACTIONS, policy=Rule("volume:update", MEMBER), status=200,
        body={"3.0": _flag("os-set_bootable", "bootable")})
def set_bootable(req: Request, body: Body, volume_id: str) -> None:
    """Say whether servers may boot from the volume.

    200 with no body. 400: no boolean. 404: no such volume in the project.
    """
    find_locked(req, volume_id).bootable = schemas.is_true(body["os-set_bootable"]["bootable"])


@action("os-update_readonly_flag", path=ACTIONS, policy=Rule("volume:update_readonly_flag", MEMBER),
        body={"3.0": _flag("os-update_readonly_flag", "readonly")})
def update_readonly_flag(req: Request, body: Body, volume_id: str) -> None:
    """Say whether servers may only read the volume.

    202 with no body. 400: no boolean, or the volume is not available. 404: no such volume in the project.
    """
    volume = find_locked(req, volume_id)
    if volume.status != VolumeStatus.AVAILABLE:
        raise errors.WrongStatus(action="update the readonly flag of", what="Volume", id=volume.id, status=volume.status,
                                 allowed=str(VolumeStatus.AVAILABLE))
    volume.is_read_only = schemas.is_true(body["os-update_readonly_flag"]["readonly"])
    volume.admin_metadata = {**volume.admin_metadata, "readonly": str(volume.is_read_only)}
