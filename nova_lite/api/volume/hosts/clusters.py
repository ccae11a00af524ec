# SPDX-License-Identifier: Apache-2.0
"""Clusters of volume services: there are none, since a backend belongs to one worker, and clients are answered so."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule

_LIST = Rule("clusters:get_all", ADMIN)
_UPDATE = Rule("clusters:update", ADMIN)
_NONE = closed(clusters=EMPTY_LIST)
CHANGE = schemas.opened({"name": {"type": "string", "minLength": 1, "maxLength": 255}}, required=("name",))


@route("GET", "/clusters", policy=_LIST, since="3.7", response=_NONE)
def index(req: Request) -> Body:
    """List clusters. 200 with an empty list: there are none."""
    return {"clusters": []}


@route("GET", "/clusters/detail", policy=_LIST, since="3.7", response=_NONE)
def detail(req: Request) -> Body:
    """List clusters in full. 200 with an empty list: there are none."""
    return {"clusters": []}


@route("GET", "/clusters/{name}", policy=Rule("clusters:get", ADMIN), since="3.7")
def show(req: Request, name: str) -> NoReturn:
    """Show a cluster. 404 always: there are none."""
    raise _missing(name)


@route("PUT", "/clusters/enable", policy=_UPDATE, since="3.7", body={"3.7": CHANGE})
def enable(req: Request, body: Body) -> NoReturn:
    """Enable a cluster. 404 always: there are none."""
    raise _missing(body["name"])


@route("PUT", "/clusters/disable", policy=_UPDATE, since="3.7", body={"3.7": CHANGE})
def disable(req: Request, body: Body) -> NoReturn:
    """Disable a cluster. 404 always: there are none."""
    raise _missing(body["name"])


def _missing(name: str) -> errors.NotFound:
    return errors.NotFound(f"Cluster {name} could not be found.")
