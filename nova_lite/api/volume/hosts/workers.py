# SPDX-License-Identifier: Apache-2.0
"""Cleanup of what services left half done: reconcilers do it by themselves, and clients are answered so."""

from __future__ import annotations

from nova_lite.api.volume.common import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule

CLEANUP = schemas.opened({})


@route("POST", "/workers/cleanup", policy=Rule("workers:cleanup", ADMIN), since="3.24", status=202, body={"3.24": CLEANUP},
       response=closed(cleaning=EMPTY_LIST, unavailable=EMPTY_LIST))
def cleanup(req: Request, body: Body) -> Body:
    """Finish or undo what was cut off. 202 with two empty lists: reconcilers do so at once, whenever a service was away."""
    return {"cleaning": [], "unavailable": []}
