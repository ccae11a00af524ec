# SPDX-License-Identifier: Apache-2.0
"""New groups: empty, or with copies of the volumes of another group or of its snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.volume.groups import views
from nova_lite.api.volume.groups.groups import require_status
from nova_lite.api.volume.groups.views import Shown
from nova_lite.api.volume.volumes import create as volume_create
from nova_lite.api.volume.volumes import sources
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, view
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.hosts import host_lists
from nova_lite.db.volume import group_types, groups, quota, volume_types
from nova_lite.db.volume.group_types import GroupType
from nova_lite.db.volume.groups import VolumeGroup

_CREATE = Rule("group:create", MEMBER)
_MAX_TYPES = 64
_NAMES = {"name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION}
CREATE = schemas.keyed("group", schemas.closed({
    **_NAMES, "group_type": schemas.NAME, "availability_zone": schemas.NAME_OR_NULL,
    "volume_types": {"type": "array", "minItems": 1, "maxItems": _MAX_TYPES, "uniqueItems": True, "items": schemas.NAME},
}, required=("group_type", "volume_types")))
COPY = schemas.keyed("create-from-src", schemas.closed({
    **_NAMES, "group_snapshot_id": schemas.UUID_OR_NULL, "source_group_id": schemas.UUID_OR_NULL}))
_MADE = closed(group=views.BRIEF)


@route("POST", "/groups", policy=_CREATE, since="3.13", status=202, body={"3.13": CREATE}, response=_MADE)
def create(req: Request, body: Body) -> Body:
    """Create an empty group.

    202 with the group, which is available at once. 400: the zone is unknown, or the group type requires snapshots of one moment.
    404: no such group type or volume type. 413: over quota.
    """
    params = body["group"]
    kind = group_types.get(req.db, params["group_type"], is_admin=req.ctxt.is_admin, is_locked=True)
    _refuse_consistent(kind)
    zone = params.get("availability_zone")
    if zone and zone not in host_lists.volume_zones(req.db):
        raise errors.BadRequest(reason=f"Invalid input received: Availability zone '{zone}' is invalid.")
    types = [volume_types.get(req.db, name, project_id=req.ctxt.visible_project).id for name in params["volume_types"]]
    quota.check(req.db, req.conf, req.ctxt.project_id, {"groups": 1})
    group = _group(req, params, kind.id, list(dict.fromkeys(types)), zone=zone or req.conf.compute.availability_zone)
    return {"group": view(views.BRIEF, Shown(group, groups.AVAILABLE), req)}


def _refuse_consistent(kind: GroupType) -> None:
    if group_types.is_consistent(kind):
        raise errors.BadRequest(reason=f"Group type {kind.name} requires that snapshots of all volumes are of one moment "
                                       "(consistent_group_snapshot_enabled), which no pool of this cloud can.")


@action("create-from-src", path="/groups/action", policy=_CREATE, since="3.14", body={"3.14": COPY}, response=_MADE)
def create_from_source(req: Request, body: Body) -> Body:
    """Create a group with copies of the volumes of another, or of its snapshot.

    202 with the group, whose status becomes available with the volumes. 400: not exactly one source, or it is busy or empty.
    404: no such group or snapshot in the project. 413: over quota.
    """
    params = body["create-from-src"]
    snapshot_id, group_id = params.get("group_snapshot_id"), params.get("source_group_id")
    if (snapshot_id is None) == (group_id is None):
        raise errors.BadRequest(reason="Either 'group_snapshot_id' or 'source_group_id' is to be given, and not both.")
    if snapshot_id is not None:
        taken = groups.get_snapshot(req.db, snapshot_id, project_id=req.ctxt.visible_project, is_locked=True)
        origin = groups.get(req.db, taken.group_id, project_id=taken.project_id)
        copied = [{"snapshot_id": one.id, "name": one.name} for one in groups.snapshots_of(req.db, taken.id)]
    else:
        origin = groups.get(req.db, str(group_id), project_id=req.ctxt.visible_project, is_locked=True)
        require_status(req, origin, "copy", (groups.AVAILABLE,))
        copied = [{"source_volid": one.id, "name": one.name} for one in groups.volumes_of(req.db, origin.id)]
    if not copied:
        raise errors.BadRequest(reason=f"Group {origin.id} has no volumes to copy.")
    group = _copies(req, params, origin, copied)
    return {"group": view(views.BRIEF, Shown(group, groups.CREATING), req)}


def _copies(req: Request, params: Body, origin: VolumeGroup, copied: Sequence[Body]) -> VolumeGroup:
    """A new group with volumes of these sources."""
    made = [(one, sources.of(req, one)) for one in copied]
    kinds = volume_types.by_ids(req.db, {source.type_id for _, source in made if source.type_id})
    default = volume_types.default(req.db, req.conf, project_id=req.ctxt.project_id)
    typed = [(one, source, kinds.get(source.type_id or "", default)) for one, source in made]
    wanted = [quota.for_volume(kind.name, source.default_gb or source.least_gb) for _, source, kind in typed]
    quota.check(req.db, req.conf, req.ctxt.project_id, {**quota.total(wanted), "groups": 1})
    group = _group(req, params, origin.group_type_id, list(origin.volume_type_ids), zone=origin.availability_zone,
                   group_snapshot_id=params.get("group_snapshot_id"), source_group_id=params.get("source_group_id"))
    for one, source, kind in typed:
        volume_create.add(req, one, source, kind, size_gb=source.default_gb or source.least_gb, zone=source.zone, group_id=group.id)
    return group


def _group(  # the columns of a group
    req: Request, params: Body, group_type_id: str, volume_type_ids: list[str], *, zone: str | None, group_snapshot_id: str | None = None,
    source_group_id: str | None = None,
) -> VolumeGroup:
    group = VolumeGroup(
        project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name=params.get("name"), description=params.get("description"),
        availability_zone=zone, group_type_id=group_type_id, volume_type_ids=volume_type_ids, group_snapshot_id=group_snapshot_id,
        source_group_id=source_group_id, status=groups.CREATING)
    req.db.add(group)
    req.db.flush()
    return group
