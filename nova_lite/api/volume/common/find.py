# SPDX-License-Identifier: Apache-2.0
"""Finds the volume that a request is about."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.volume import volumes
from nova_lite.db.volume.volumes import Volume


def find(req: Request, volume_id: str) -> Volume:
    """The volume, if the caller may see it.

    :raises errors.NotFound: there is none, or it is another project's.
    """
    return volumes.get(req.db, volume_id, project_id=req.ctxt.visible_project)


def find_locked(req: Request, volume_id: str) -> Volume:
    """As `find`; other requests wait to change the volume until this one ends."""
    return volumes.get_locked(req.db, volume_id, project_id=req.ctxt.visible_project)


def refuse_member(volume: Volume, action: str) -> None:
    """:raises errors.BadRequest: the volume is in a group, whose volumes are not to be parted so."""
    if volume.group_id is not None:
        raise errors.BadRequest(reason=f"Cannot {action} volume {volume.id} while it is in group {volume.group_id}: take it out of the group first.")
