# SPDX-License-Identifier: Apache-2.0
"""Transfers of volumes between projects, at the old path and at the one that 3.55 added."""

from __future__ import annotations

import dataclasses
from collections import Counter

from sqlalchemy.exc import IntegrityError

from nova_lite import errors
from nova_lite.api.volume.common import links, listing, paging, schemas
from nova_lite.api.volume.common.find import find_locked, refuse_member
from nova_lite.api.volume.common.links import Link, micros
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    LINKS,
    NULL,
    STRING,
    STRING_OR_NULL,
    TIME,
    UUID,
    Field,
    Property,
    closed,
    many,
    view,
)
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.base import utcnow
from nova_lite.db.volume import attachments, quota, snapshots, transfers, volume_types, volumes
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.transfers import LISTS, VolumeTransfer
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volumes import SnapshotStatus, VolumeStatus

_OLD, _NEW, _NEW_SINCE = "/os-volume-transfer", "/volume-transfers", "3.55"
_CREATE, _GET_ALL = Rule("volume:create_transfer", MEMBER), Rule("volume:get_all_transfers", READER)
_GET, _DELETE, _ACCEPT = Rule("volume:get_transfer", READER), Rule("volume:delete_transfer", MEMBER), Rule("volume:accept_transfer", MEMBER)
FILTERS = {"name": "3.0", "volume_id": "3.0"}
_OLDEST_FIRST = (("created_at", False),)
_LINKED_SINCE = parse("3.59")
_PROPERTIES = {"volume_id": schemas.UUID, "name": schemas.NAME_OR_NULL}
_BODY = schemas.keyed("transfer", schemas.closed(_PROPERTIES, required=("volume_id",)))
_BODY_WITH_SNAPSHOTS = schemas.keyed("transfer", schemas.closed({**_PROPERTIES, "no_snapshots": schemas.BOOLEAN}, required=("volume_id",)))
_ACCEPT_BODY = schemas.keyed("accept", schemas.closed({"auth_key": {"type": "string", "minLength": 1, "maxLength": 255}}, required=("auth_key",)))


@dataclasses.dataclass(frozen=True)
class TransferView:
    """A transfer with its links; `auth_key`: of the one that was just made."""

    transfer: VolumeTransfer
    links: list[Link]
    auth_key: str = ""


BRIEF = (
    Field("id", lambda shown: shown.transfer.id, UUID),
    Field("name", lambda shown: shown.transfer.name, STRING_OR_NULL),
    Field("volume_id", lambda shown: shown.transfer.volume_id, UUID),
    Field("links", lambda shown: shown.links, LINKS),
)
DETAIL = (
    *BRIEF,
    Field("created_at", lambda shown: micros(shown.transfer.created_at), TIME),
    Field("no_snapshots", lambda shown: shown.transfer.no_snapshots, BOOLEAN, since=_NEW_SINCE),
    Field("source_project_id", lambda shown: shown.transfer.project_id, STRING, since="3.57"),
    Field("destination_project_id", lambda _: None, NULL, since="3.57"),  # an accepted transfer is gone
    Field("accepted", lambda _: False, BOOLEAN, since="3.57"),
)
MADE = (*DETAIL, Field("auth_key", lambda shown: shown.auth_key, STRING))


def _page_of(item: tuple[Field, ...]) -> tuple[Property, ...]:
    return (Property("transfers", many(item)), Property("transfers_links", LINKS, since="3.59", is_optional=True))


def _shown(req: Request, transfer: VolumeTransfer, *, auth_key: str = "") -> TransferView:
    root = _NEW if f"{_NEW}" in req.http.path_info else _OLD
    return TransferView(transfer, links.links(req, f"{root}/{transfer.id}"), auth_key)


@route("POST", _OLD, policy=_CREATE, status=202, body={"3.0": _BODY, "3.55": _BODY_WITH_SNAPSHOTS}, response=closed(transfer=MADE))
@route("POST", _NEW, policy=_CREATE, status=202, since=_NEW_SINCE, body={"3.55": _BODY_WITH_SNAPSHOTS}, response=closed(transfer=MADE))
def create(req: Request, body: Body) -> Body:
    """Offer a volume to whom the key is given, with its snapshots or without.

    202 with the transfer and its key, which is shown this once. 400: the volume is not available or has an attachment, a snapshot of it is not, it is in a
    group, or it is encrypted. 404: no such volume in the project.
    """
    params = body["transfer"]
    volume = find_locked(req, params["volume_id"])
    volumes.refuse_moved(volume)
    refuse_member(volume, "transfer")
    if attachments.of_volume(req.db, volume.id):  # whatever status an administrator has set
        raise errors.BadRequest(reason=f"Volume {volume.id} is attached: detach it before it is transferred.")
    no_snapshots = schemas.is_true(params.get("no_snapshots"))
    if volume.encryption_key_id is not None:
        raise errors.BadRequest(reason="Invalid volume: transferring encrypted volume is not supported")
    for snapshot in () if no_snapshots else snapshots.of_volume(req.db, volume.id):
        if snapshot.status != SnapshotStatus.AVAILABLE:
            raise errors.BadRequest(reason=f"Invalid snapshot: snapshot: {snapshot.id} status must be available")
        if snapshot.group_snapshot_id is not None:
            raise errors.BadRequest(reason=f"Invalid snapshot: snapshot: {snapshot.id} is part of group snapshot {snapshot.group_snapshot_id}")
    if not volumes.set_status(req.db, volume, VolumeStatus.AWAITING_TRANSFER, among=(VolumeStatus.AVAILABLE,)):
        raise errors.WrongStatus(action="transfer", what="Volume", id=volume.id, status=volume.status, allowed=str(VolumeStatus.AVAILABLE))
    name = None if params.get("name") is None else params["name"].strip()
    transfer = VolumeTransfer(volume_id=volume.id, project_id=volume.project_id, user_id=req.ctxt.user_id, name=name, no_snapshots=no_snapshots)
    try:
        key = transfers.offer(req.db, transfer)
    except IntegrityError:  # of a volume whose status was reset
        raise errors.BadRequest(reason=f"Volume {params['volume_id']} is offered already: delete that transfer first.") from None
    return {"transfer": view(MADE, _shown(req, transfer, auth_key=key), req)}


@route("GET", _OLD, policy=_GET_ALL, response=_page_of(BRIEF))
@route("GET", _NEW, policy=_GET_ALL, since=_NEW_SINCE, response=_page_of(BRIEF))
def index(req: Request) -> Body:
    """List the volumes that the project offers.

    200 with a page of them, oldest first. 400: a filter, sort key, limit or offset is wrong. 404: the marker is no transfer.
    """
    return _list(req, BRIEF, "")


@route("GET", f"{_OLD}/detail", policy=_GET_ALL, response=_page_of(DETAIL))
@route("GET", f"{_NEW}/detail", policy=_GET_ALL, since=_NEW_SINCE, response=_page_of(DETAIL))
def detail(req: Request) -> Body:
    """List the volumes that the project offers, in full.

    200, 400 and 404 as for `index`.
    """
    return _list(req, DETAIL, "/detail")


def _list(req: Request, fields: tuple[Field, ...], suffix: str) -> Body:
    page = paging.read_page(req, sort_keys=LISTS.order.keys(), order=_OLDEST_FIRST)
    filters = listing.read(req, LISTS, FILTERS)
    rows: list[VolumeTransfer] = paging.rows_of(req, req.db, LISTS.query(filters), LISTS.order, page, seen=LISTS.seen(filters))
    root = _NEW if _NEW in req.http.path_info else _OLD
    more = paging.links_of(req, "transfers", f"{root}{suffix}", page, [row.id for row in rows]) if req.version >= _LINKED_SINCE else {}
    return {"transfers": [view(fields, _shown(req, row), req) for row in rows], **more}


@route("GET", f"{_OLD}/{{transfer_id}}", policy=_GET, response=closed(transfer=DETAIL))
@route("GET", f"{_NEW}/{{transfer_id}}", policy=_GET, since=_NEW_SINCE, response=closed(transfer=DETAIL))
def show(req: Request, transfer_id: str) -> Body:
    """Show a transfer that the project offers.

    200 with it. 404: no such transfer in the project.
    """
    return {"transfer": view(DETAIL, _shown(req, transfers.get(req.db, transfer_id, project_id=req.ctxt.visible_project)), req)}


@route("DELETE", f"{_OLD}/{{transfer_id}}", policy=_DELETE, status=202)
@route("DELETE", f"{_NEW}/{{transfer_id}}", policy=_DELETE, status=202, since=_NEW_SINCE)
def delete(req: Request, transfer_id: str) -> None:
    """Withdraw the offer: the volume is available again.

    202 with no body. 404: no such transfer in the project.
    """
    transfer = transfers.get_locked(req.db, transfer_id, project_id=req.ctxt.visible_project)
    volume = volumes.get_locked(req.db, transfer.volume_id)
    volumes.set_status(req.db, volume, VolumeStatus.AVAILABLE, among=(VolumeStatus.AWAITING_TRANSFER,))
    req.db.delete(transfer)


@route("POST", f"{_OLD}/{{transfer_id}}/accept", policy=_ACCEPT, status=202, body={"3.0": _ACCEPT_BODY}, response=closed(transfer=BRIEF))
@route("POST", f"{_NEW}/{{transfer_id}}/accept", policy=_ACCEPT, status=202, since=_NEW_SINCE, body={"3.55": _ACCEPT_BODY},
       response=closed(transfer=BRIEF))
def accept(req: Request, body: Body, transfer_id: str) -> Body:
    """Take an offered volume into the caller's project, with its snapshots unless it was offered without.

    202 with the transfer. 400: the key is wrong, the volume does not await its transfer any more, or its type is not the project's to use.
    404: no such transfer. 413: over the project's quota.
    """
    transfer = transfers.get_locked(req.db, transfer_id)
    if not transfer.has_key(body["accept"]["auth_key"]):
        raise errors.BadRequest(reason=f"Invalid auth key: Attempt to transfer {transfer.id} with invalid auth key.")
    volume = volumes.get_locked(req.db, transfer.volume_id)
    if volume.status != VolumeStatus.AWAITING_TRANSFER:
        raise errors.WrongStatus(action="accept", what="Volume", id=volume.id, status=volume.status, allowed=str(VolumeStatus.AWAITING_TRANSFER))
    taken = [] if transfer.no_snapshots else snapshots.of_volume(req.db, volume.id)
    quota.check(req.db, req.conf, req.ctxt.project_id, _wanted(req, volume, taken))
    shown = view(BRIEF, _shown(req, transfer), req)
    rows: list[Volume | VolumeSnapshot] = [volume, *taken]
    for row in rows:
        row.project_id, row.user_id, row.updated_at = req.ctxt.project_id, req.ctxt.user_id, utcnow()
    req.db.delete(transfer)
    req.db.flush()
    volumes.set_status(req.db, volume, VolumeStatus.AVAILABLE, among=(VolumeStatus.AWAITING_TRANSFER,))
    return {"transfer": shown}


def _wanted(req: Request, volume: Volume, taken: list[VolumeSnapshot]) -> dict[str, int]:
    """What the taker's quota must have left.

    :raises errors.BadRequest: the taker may not use the volume's type.
    """
    name = None
    if volume.volume_type_id is not None:
        try:
            name = volume_types.get_by_id(req.db, volume.volume_type_id, project_id=req.ctxt.visible_project).name
        except errors.NotFound:
            raise errors.BadRequest(reason=f"Volume {volume.id} cannot be taken: its volume type is not available to this project.") from None
    wanted = Counter(quota.for_volume(name, volume.size_gb))
    for snapshot in taken:
        wanted.update(quota.for_snapshot(req.conf, name, snapshot.size_gb))
    return dict(wanted)
