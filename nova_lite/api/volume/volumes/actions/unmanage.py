# SPDX-License-Identifier: Apache-2.0
"""os-unmanage: a volume would be left in its pool, and be nobody's."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.common.find import find
from nova_lite.api.volume.common.paths import ACTIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, Rule


@action("os-unmanage", path=ACTIONS, policy=Rule("volume_extension:volume_unmanage", ADMIN), body={"3.0": schemas.keyed("os-unmanage", {})})
def unmanage(req: Request, body: Body, volume_id: str) -> None:
    """Forget a volume and leave it in its pool.

    202 is never answered: a pool's worker removes what no row names, so that nothing can be left to others: 400. 404: no such volume.
    """
    volume = find(req, volume_id)
    raise errors.BadRequest(reason=f"Volume {volume.id} cannot be left in its pool: no backend of this cloud has unmanaged volumes.")
