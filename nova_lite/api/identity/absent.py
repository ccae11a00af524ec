# SPDX-License-Identifier: Apache-2.0
"""Collections that every Keystone has and clients read without looking: always empty here. Groups of users are in users.py."""

from __future__ import annotations

from nova_lite.api.identity.catalog import collection, listed
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import OBJECT
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule


@route("GET", "/OS-TRUST/trusts", policy=Rule("identity:list_trusts", ANYONE), response=listed("trusts", OBJECT))
@route("GET", "/credentials", policy=Rule("identity:list_credentials", ANYONE), response=listed("credentials", OBJECT))
@route("GET", "/limits", policy=Rule("identity:list_limits", ANYONE), response=listed("limits", OBJECT))
@route("GET", "/policies", policy=Rule("identity:list_policies", ADMIN), response=listed("policies", OBJECT))
@route("GET", "/registered_limits", policy=Rule("identity:list_registered_limits", ANYONE), response=listed("registered_limits", OBJECT))
def index(req: Request) -> Body:
    """List what this service does not have. 200 with an empty list."""
    path = req.http.path_info.rstrip("/")
    return collection(req, path.rpartition("/")[2], path, [])
