# SPDX-License-Identifier: Apache-2.0
"""Host aggregates: there are none yet, and `openstack hypervisor show` must be able to learn that."""

from __future__ import annotations

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import ADMIN, Rule, route


@route("GET", "/os-aggregates", policy=Rule("os_compute_api:os-aggregates:index", ADMIN))
def index(req: Request) -> Body:
    """All aggregates: none."""
    return {"aggregates": []}
