# SPDX-License-Identifier: Apache-2.0
"""The console that a token opens, for proxies that an operator runs beside this cloud's own."""

from __future__ import annotations

from typing import NoReturn

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, NULL, STRING, UUID, Field, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute import consoles
from nova_lite.db.compute.consoles import ConsoleToken

SHOW = Rule("os_compute_api:os-console-auth-tokens", ADMIN)
FIELDS = (
    Field("instance_uuid", lambda row: row.server_id, UUID),
    Field("host", lambda row: row.host, STRING),
    Field("port", lambda row: row.port, INTEGER),
    Field("tls_port", lambda _: None, NULL, since="2.99"),
    # Null: the worker that listens there checks the token itself.
    Field("internal_access_path", lambda row: None, NULL),
)


def _find(req: Request, token: str) -> ConsoleToken:
    """:raises errors.NotFound: unknown or expired."""
    row = consoles.find(req.db, token, now=utcnow())
    if row is None:
        raise errors.NotFound("Token not found")
    return row


@route("GET", "/os-console-auth-tokens/{token}", policy=SHOW, until="2.30")
def show_rdp(req: Request, token: str) -> NoReturn:
    """Refuse: these versions show RDP consoles only, and there are none. 404: unknown or expired token. 401: of another console."""
    _find(req, token)
    raise errors.Unauthorized("The requested console type details are not accessible")


@route("GET", "/os-console-auth-tokens/{token}", policy=SHOW, since="2.31", response=closed(console=FIELDS))
def show(req: Request, token: str) -> Body:
    """Show the console's address; clients send the token and a newline there first. 200. 404: unknown or expired token."""
    return {"console": view(FIELDS, _find(req, token), req)}
