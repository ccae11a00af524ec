# SPDX-License-Identifier: Apache-2.0
"""What a console's token opens, for proxies that an operator runs himself."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute import consoles
from nova_lite.db.compute.consoles import ConsoleToken

SHOW = Rule("os_compute_api:os-console-auth-tokens", ADMIN)
FIELDS = (
    Field("instance_uuid", lambda row: row.server_id),
    Field("host", lambda row: row.host),
    Field("port", lambda row: row.port),
    Field("tls_port", lambda _: None, since="2.99"),
    # The worker that listens there asks for the token itself.
    Field("internal_access_path", lambda row: None),
)


def _find(req: Request, token: str) -> ConsoleToken:
    found = consoles.find(req.db, token, now=utcnow())
    if found is None:
        raise errors.NotFound("Token not found")
    return found


@route("GET", "/os-console-auth-tokens/{token}", policy=SHOW, until="2.30")
def show_rdp(req: Request, token: str) -> Body:
    """Only RDP consoles can be asked for in these versions, and there are none."""
    _find(req, token)
    raise errors.Unauthorized("The requested console type details are not accessible")


@route("GET", "/os-console-auth-tokens/{token}", policy=SHOW, since="2.31")
def show(req: Request, token: str) -> Body:
    """Where the console is; the token is to be sent there first, and a newline."""
    return {"console": view(FIELDS, _find(req, token), req)}
