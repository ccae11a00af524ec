# SPDX-License-Identifier: Apache-2.0
"""Volumes of pools, as administrators list them who want to take some in, at the old path and at the one that 3.8 added."""

from __future__ import annotations

from nova_lite.api.volume.common import manageable, schemas
from nova_lite.api.volume.volumes import views
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import volumes
from nova_lite.db.volume.lists import Filters

_OLD, _NEW, _KEY = "/os-volume-manage", "/manageable_volumes", "manageable-volumes"
_MANAGE, _LIST = Rule("volume_extension:volume_manage", ADMIN), Rule("volume_extension:list_manageable", ADMIN)
_TEXT: schemas.Schema = {"type": ["string", "null"], "maxLength": 255}
_BODY = schemas.keyed("volume", schemas.closed({
    "ref": manageable.REF, "host": _TEXT, "cluster": _TEXT, "name": schemas.NAME_OR_NULL, "description": schemas.DESCRIPTION,
    "volume_type": _TEXT, "metadata": schemas.METADATA_OR_NULL, "availability_zone": _TEXT, "bootable": schemas.BOOLEAN}, required=("ref",)))


@route("GET", _OLD, policy=_LIST, response=closed(**{_KEY: many(manageable.BRIEF)}))
@route("GET", _NEW, policy=_LIST, since="3.8", response=closed(**{_KEY: many(manageable.BRIEF)}))
def index(req: Request) -> Body:
    """List the volumes of a pool, `host`.

    200 with a page of them. 400: there is no such pool, or a limit or offset is wrong.
    """
    return {_KEY: [view(manageable.BRIEF, row, req) for row in _rows(req)]}


@route("GET", f"{_OLD}/detail", policy=_LIST, response=closed(**{_KEY: many(manageable.DETAIL)}))
@route("GET", f"{_NEW}/detail", policy=_LIST, since="3.8", response=closed(**{_KEY: many(manageable.DETAIL)}))
def detail(req: Request) -> Body:
    """List the volumes of a pool, with why they cannot be taken in.

    200 and 400 as for `index`.
    """
    return {_KEY: [view(manageable.DETAIL, row, req) for row in _rows(req)]}


def _rows(req: Request) -> list[volumes.Volume]:
    query = volumes.LISTS.query(Filters(is_admin=True, equal={"host": manageable.pool_of(req)}))
    return manageable.rows(req, query, volumes.BY_PROVIDER_NAME)


@route("POST", _OLD, policy=_MANAGE, status=202, body={"3.0": _BODY}, response=closed(volume=views.MADE_RESPONSE))
@route("POST", _NEW, policy=_MANAGE, status=202, since="3.8", body={"3.8": _BODY}, response=closed(volume=views.MADE_RESPONSE))
def manage(req: Request, body: Body) -> Body:
    """Take in a volume that a backend has.

    202 is never answered, since a pool has nothing that no row names: 400.
    """
    name = manageable.name_of(body["volume"])
    raise manageable.refusal(name, is_managed=volumes.is_known(req.db, name))
