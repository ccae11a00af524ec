# SPDX-License-Identifier: Apache-2.0
"""Groups of volumes: shown, changed and deleted. No worker has part in a group: what it does is done to each of its volumes."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite import errors
from nova_lite.api.volume.common import listing, paging, schemas
from nova_lite.api.volume.groups import views
from nova_lite.api.volume.volumes.volumes import begin_delete
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, view
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import ADMIN, MEMBER, READER, Rule
from nova_lite.db.volume import groups, volumes
from nova_lite.db.volume.groups import GROUP_LISTS, VolumeGroup
from nova_lite.db.volume.volumes import Volume

FILTERS = dict.fromkeys(("name", "status"), "3.13")  # of every caller, with the microversion that added each
_GET_ALL = Rule("group:get_all", READER)
_ACTIONS = "/groups/{group_id}/action"
_DELETABLE = (groups.AVAILABLE, groups.ERROR, groups.ERROR_DELETING)
_MOVABLE = ("available", "in-use")
_MAX_VOLUMES = 100
_IDS = {"type": ["string", "null"], "maxLength": 37 * _MAX_VOLUMES}
UPDATE = schemas.keyed("group", schemas.closed(
    {"name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION, "add_volumes": _IDS, "remove_volumes": _IDS}))
DELETE = schemas.keyed("delete", schemas.closed({"delete-volumes": schemas.BOOLEAN}))
RESET = schemas.keyed("reset_status", schemas.closed({"status": {"enum": list(groups.STATUSES)}}, required=("status",)))


@route("GET", "/groups", policy=_GET_ALL, since="3.13", response=paging.page_of("groups", views.BRIEF))
def index(req: Request) -> Body:
    """List groups with id and name.

    200 with a page of them. 400: a filter, sort key, limit or offset is wrong. 404: the marker is no group.
    """
    rows, more = _page(req, "/groups")
    return {"groups": [view(views.BRIEF, one, req) for one in views.shown(req, rows)], **more}


@route("GET", "/groups/detail", policy=_GET_ALL, since="3.13", response=paging.page_of("groups", views.GROUP_RESPONSE))
def detail(req: Request) -> Body:
    """List groups in full, from 3.25 on with `list_volume` their volumes too. 200, 400 and 404 as for `index`."""
    rows, more = _page(req, "/groups/detail")
    return {"groups": views.group_documents(req, rows, has_volumes=paging.boolean(req, "list_volume")), **more}


def _page(req: Request, path: str) -> tuple[list[VolumeGroup], Body]:
    page = paging.read_page(req, sort_keys=GROUP_LISTS.order.keys())
    filters = listing.read(req, GROUP_LISTS, FILTERS, also=("list_volume",))
    query = GROUP_LISTS.query(filters)
    rows = paging.rows_of(req, req.db, query, GROUP_LISTS.order, page, seen=GROUP_LISTS.seen(filters))
    more = paging.links_of(req, "group", path, page, [row.id for row in rows])
    return rows, {**more, **paging.count_of(req, req.db, query)}


@route("GET", "/groups/{group_id}", policy=Rule("group:get", READER), since="3.13", response=closed(group=views.GROUP_RESPONSE))
def show(req: Request, group_id: str) -> Body:
    """Show a group, from 3.25 on with `list_volume` its volumes too. 200. 400: `list_volume` is no boolean. 404: none of the project's."""
    found = groups.get(req.db, group_id, project_id=req.ctxt.visible_project)
    (document,) = views.group_documents(req, [found], has_volumes=paging.boolean(req, "list_volume"))
    return {"group": document}


@route("PUT", "/groups/{group_id}", policy=Rule("group:update", MEMBER), since="3.13", status=202, body={"3.13": UPDATE})
def update(req: Request, body: Body, group_id: str) -> None:
    """Change a group's name, description or volumes.

    202 with no body. 400: nothing to change, the group is busy, or a volume is of another type, busy, in another group or not in this
    one. 404: no such group or volume in the project.
    """
    params = body["group"]
    if all(params.get(name) is None for name in ("name", "description", "add_volumes", "remove_volumes")):
        raise errors.BadRequest(reason="At least one of name, description, add_volumes and remove_volumes is to be given.")
    changed = groups.get(req.db, group_id, project_id=req.ctxt.visible_project, is_locked=True)
    require_status(req, changed, "update", (groups.AVAILABLE,))
    added, removed = _ids(params, "add_volumes"), _ids(params, "remove_volumes")
    both = sorted(set(added) & set(removed))
    if both:
        raise errors.BadRequest(reason=f"Volume {both[0]} is both to be added and to be removed.")
    for volume_id in sorted({*added, *removed}):
        volume = volumes.get_locked(req.db, volume_id, project_id=changed.project_id)
        if volume_id in added:
            _add(changed, volume)
        else:
            _remove(changed, volume)
    for name in ("name", "description"):
        if params.get(name) is not None:
            setattr(changed, name, params[name].strip())


def _ids(params: Body, name: str) -> Sequence[str]:
    found = [one.strip() for one in (params.get(name) or "").split(",") if one.strip()]
    if len(found) > _MAX_VOLUMES:
        raise errors.InvalidField(field=name, reason=f"{_MAX_VOLUMES} volumes at most are changed at once")
    return found


def _add(group: VolumeGroup, volume: Volume) -> None:
    if volume.group_id is not None:
        raise errors.BadRequest(reason=f"Volume {volume.id} is in group {volume.group_id} already.")
    if volume.volume_type_id not in group.volume_type_ids:
        raise errors.BadRequest(reason=f"Group {group.id} is not for volumes of the type of volume {volume.id}.")
    if volume.status not in _MOVABLE:
        raise errors.WrongStatus(action="add to a group", what="Volume", id=volume.id, status=volume.status, allowed=", ".join(_MOVABLE))
    volume.group_id = group.id


def _remove(group: VolumeGroup, volume: Volume) -> None:
    if volume.group_id != group.id:
        raise errors.BadRequest(reason=f"Volume {volume.id} is not in group {group.id}.")
    if volume.status not in (*_MOVABLE, "error"):
        raise errors.WrongStatus(action="remove from a group", what="Volume", id=volume.id, status=volume.status, allowed=", ".join((*_MOVABLE, "error")))
    volume.group_id = None


@action("delete", path=_ACTIONS, policy=Rule("group:delete", MEMBER), since="3.13", body={"3.13": DELETE})
def delete(req: Request, body: Body, group_id: str) -> None:
    """Delete a group, with `delete-volumes` all of its volumes too.

    202 with no body. 400: it is busy, has snapshots, or volumes that are not to be deleted or cannot be. 404: none of the project's.
    """
    found = groups.get(req.db, group_id, project_id=req.ctxt.visible_project, is_locked=True)
    require_status(req, found, "delete", _DELETABLE)
    if groups.has_snapshots(req.db, found.id):
        raise errors.BadRequest(reason=f"Group {found.id} has snapshots: delete them first.")
    members = groups.volumes_of(req.db, found.id)
    if members and not schemas.is_true(body["delete"].get("delete-volumes")):
        raise errors.BadRequest(reason=f"Group {found.id} is not empty: delete it with delete-volumes, or take its volumes out first.")
    found.status = groups.DELETING
    for volume in members:
        begin_delete(req, volume, is_cascade=False, is_forced=False, is_with_group=True)


@action("reset_status", path=_ACTIONS, policy=Rule("group:reset_status", ADMIN), since="3.20", body={"3.20": RESET})
def reset_status(req: Request, body: Body, group_id: str) -> None:
    """Set what a group shows, without a look at its volumes. 202 with no body. 400: no such status. 404: no such group."""
    groups.reset(groups.get(req.db, group_id, project_id=req.ctxt.visible_project, is_locked=True), body["reset_status"]["status"])


def require_status(req: Request, group: VolumeGroup, what: str, allowed: Sequence[str]) -> None:
    """:raises errors.WrongStatus: the group shows none of these."""
    status = groups.statuses(req.db, [group])[group.id]
    if status not in allowed:
        raise errors.WrongStatus(action=what, what="Group", id=group.id, status=status, allowed=", ".join(allowed))
