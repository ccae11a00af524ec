# SPDX-License-Identifier: Apache-2.0
"""Snapshots of groups: a snapshot of each volume, of its own moment."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.common import listing, paging, schemas
from nova_lite.api.volume.groups import views
from nova_lite.api.volume.groups.groups import require_status
from nova_lite.api.volume.groups.views import Shown
from nova_lite.api.volume.snapshots import create as snapshot_create
from nova_lite.api.volume.snapshots.snapshots import begin_delete
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, view
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.listing import Page
from nova_lite.db.volume import groups, quota, volume_types, volumes
from nova_lite.db.volume.groups import SNAPSHOT_LISTS, GroupSnapshot
from nova_lite.lifecycle.volumes import VolumeStatus

FILTERS = dict.fromkeys(("name", "status", "group_id"), "3.29")  # of every caller, with the microversion that added each
_GET_ALL = Rule("group:get_all_group_snapshots", READER)
_ONE = "/group_snapshots/{group_snapshot_id}"
_DELETABLE = (groups.AVAILABLE, groups.ERROR, groups.ERROR_DELETING)
_PAGED_SINCE = parse("3.29")
CREATE = schemas.keyed("group_snapshot", schemas.closed(
    {"group_id": schemas.UUID, "name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION}, required=("group_id",)))
UPDATE = schemas.keyed("group_snapshot", schemas.closed({"name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION}))
RESET = schemas.keyed("reset_status", schemas.closed({"status": {"enum": list(groups.STATUSES)}}, required=("status",)))


@route("POST", "/group_snapshots", policy=Rule("group:create_group_snapshot", MEMBER), since="3.14", status=202, body={"3.14": CREATE},
       response=closed(group_snapshot=views.SNAPSHOT_MADE))
def create(req: Request, body: Body) -> Body:
    """Keep the present content of all volumes of a group.

    202 with the snapshot, whose status becomes available with those of the volumes. 400: the group is busy or has no volumes, or one of
    them is not available or in use. 404: no such group in the project. 413: over quota.
    """
    params = body["group_snapshot"]
    group = groups.get(req.db, params["group_id"], project_id=req.ctxt.visible_project, is_locked=True)
    require_status(req, group, "create a snapshot of", (groups.AVAILABLE,))
    members = [volumes.get_locked(req.db, volume.id) for volume in groups.volumes_of(req.db, group.id)]
    if not members:
        raise errors.BadRequest(reason=f"Group {group.id} has no volumes to take snapshots of.")
    for volume in members:
        snapshot_create.check_volume(volume, (VolumeStatus.AVAILABLE, VolumeStatus.IN_USE))
    kinds = volume_types.by_ids(req.db, {volume.volume_type_id for volume in members if volume.volume_type_id})
    names = {volume.id: kinds[volume.volume_type_id].name if volume.volume_type_id in kinds else None for volume in members}
    quota.check(req.db, req.conf, req.ctxt.project_id, quota.total(
        quota.for_snapshot(req.conf, names[volume.id], volume.size_gb) for volume in members))
    made = GroupSnapshot(
        group_id=group.id, project_id=req.ctxt.project_id, user_id=req.ctxt.user_id, name=params.get("name"),
        description=params.get("description"), group_type_id=group.group_type_id, status=groups.CREATING)
    req.db.add(made)
    req.db.flush()
    for volume in members:
        snapshot_create.add(req, volume, params, group_snapshot_id=made.id)
    return {"group_snapshot": view(views.SNAPSHOT_MADE, Shown(made, groups.CREATING), req)}


@route("GET", "/group_snapshots", policy=_GET_ALL, since="3.14", response=paging.page_of("group_snapshots", views.BRIEF))
def index(req: Request) -> Body:
    """List snapshots of groups with id and name, from 3.29 on by pages and filters.

    200. 400: a filter, sort key, limit or offset is wrong. 404: the marker is no group snapshot.
    """
    rows, more = _page(req, "/group_snapshots")
    return {"group_snapshots": [view(views.BRIEF, one, req) for one in views.shown(req, rows)], **more}


@route("GET", "/group_snapshots/detail", policy=_GET_ALL, since="3.14", response=paging.page_of("group_snapshots", views.SNAPSHOT))
def detail(req: Request) -> Body:
    """List snapshots of groups in full. 200, 400 and 404 as for `index`."""
    rows, more = _page(req, "/group_snapshots/detail")
    return {"group_snapshots": [view(views.SNAPSHOT, one, req) for one in views.shown(req, rows)], **more}


def _page(req: Request, path: str) -> tuple[list[GroupSnapshot], Body]:
    is_paged = req.version >= _PAGED_SINCE
    page = paging.read_page(req, sort_keys=SNAPSHOT_LISTS.order.keys()) if is_paged else Page(limit=req.conf.api.max_limit, order=paging.NEWEST_FIRST)
    filters = listing.read(req, SNAPSHOT_LISTS, FILTERS)
    query = SNAPSHOT_LISTS.query(filters)
    rows = paging.rows_of(req, req.db, query, SNAPSHOT_LISTS.order, page, seen=SNAPSHOT_LISTS.seen(filters))
    more = paging.links_of(req, "group_snapshot", path, page, [row.id for row in rows])
    return rows, {**more, **paging.count_of(req, req.db, query)}


@route("GET", _ONE, policy=Rule("group:get_group_snapshot", READER), since="3.14", response=closed(group_snapshot=views.SNAPSHOT))
def show(req: Request, group_snapshot_id: str) -> Body:
    """Show a snapshot of a group. 200. 404: none of the project's."""
    (shown,) = views.shown(req, [groups.get_snapshot(req.db, group_snapshot_id, project_id=req.ctxt.visible_project)])
    return {"group_snapshot": view(views.SNAPSHOT, shown, req)}


@route("PUT", _ONE, policy=Rule("group:update_group_snapshot", MEMBER), since="3.14", status=202, body={"3.14": UPDATE})
def update(req: Request, body: Body, group_snapshot_id: str) -> None:
    """Change the name or description of a group's snapshot. 202 with no body. 400: neither is given. 404: none of the project's."""
    params = body["group_snapshot"]
    if params.get("name") is None and params.get("description") is None:
        raise errors.BadRequest(reason="A name or a description is to be given.")
    changed = groups.get_snapshot(req.db, group_snapshot_id, project_id=req.ctxt.visible_project, is_locked=True)
    changed.name, changed.description = params.get("name", changed.name), params.get("description", changed.description)


@route("DELETE", _ONE, policy=Rule("group:delete_group_snapshot", MEMBER), since="3.14", status=202)
def delete(req: Request, group_snapshot_id: str) -> None:
    """Delete a group's snapshot with those of its volumes.

    202 with no body. 400: it is busy, or a volume is being made from one of them. 404: none of the project's.
    """
    found = groups.get_snapshot(req.db, group_snapshot_id, project_id=req.ctxt.visible_project, is_locked=True)
    status = groups.statuses(req.db, [found])[found.id]
    if status not in _DELETABLE:
        raise errors.WrongStatus(action="delete", what="GroupSnapshot", id=found.id, status=status, allowed=", ".join(_DELETABLE))
    found.status = groups.DELETING
    for snapshot in groups.snapshots_of(req.db, found.id):
        begin_delete(req, snapshot, is_forced=False, is_with_group=True)


@action("reset_status", path=_ONE + "/action", policy=Rule("group:reset_group_snapshot_status", ADMIN), since="3.19", body={"3.19": RESET})
def reset_status(req: Request, body: Body, group_snapshot_id: str) -> None:
    """Set what a group's snapshot shows, without a look at its parts. 202 with no body. 400: no such status. 404: none such."""
    found = groups.get_snapshot(req.db, group_snapshot_id, project_id=req.ctxt.visible_project, is_locked=True)
    groups.reset(found, body["reset_status"]["status"])
