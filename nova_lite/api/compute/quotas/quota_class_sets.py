# SPDX-License-Identifier: Apache-2.0
"""Quota classes: `default` holds for all projects without quotas of their own; other classes are stored without effect, as in Nova."""

from __future__ import annotations

import operator

from nova_lite.api.compute.quotas import quota_names
from nova_lite.api.compute.quotas.quota_names import ALL_NAMES, FILE_NAMES, NAMES, NETWORK_NAMES
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, Field, Property, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.quotas import quotas

_GROUP_NAMES = ("server_groups", "server_group_members")
FIELDS = (
    *(Field(name, operator.itemgetter(name), INTEGER) for name in NAMES if name not in _GROUP_NAMES),
    *(Field(name, operator.itemgetter(name), INTEGER, since="2.50") for name in _GROUP_NAMES),
    *(Field(name, operator.itemgetter(name), INTEGER, until="2.49") for name in NETWORK_NAMES),
    *(Field(name, operator.itemgetter(name), INTEGER, until="2.56") for name in FILE_NAMES),
)
UPDATE = {
    "2.0": quota_names.update_schema("quota_class_set", ALL_NAMES),
    "2.50": quota_names.update_schema("quota_class_set", (*NAMES, *FILE_NAMES)),
    "2.57": quota_names.update_schema("quota_class_set", NAMES),
}


def _limits(req: Request, class_name: str) -> dict[str, int]:
    return {**quotas.configured(req.conf), **quotas.of_class(req.db, class_name)}


@route("GET", "/os-quota-class-sets/{class_name}", policy=Rule("os_compute_api:os-quota-class-sets:show", ADMIN),
       response=closed(quota_class_set=(Property("id", STRING), *FIELDS)))
def show(req: Request, class_name: str) -> Body:
    """Show the class's limits. 200."""
    return {"quota_class_set": {"id": class_name, **view(FIELDS, _limits(req, class_name), req)}}


@route("PUT", "/os-quota-class-sets/{class_name}", policy=Rule("os_compute_api:os-quota-class-sets:update", ADMIN),
       body=UPDATE, response=closed(quota_class_set=FIELDS))
def update(req: Request, body: Body, class_name: str) -> Body:
    """Set limits of the class; those of `default` take effect at once and override the configuration. 200 with all limits."""
    quotas.set_class(req.db, class_name, {name: int(value) for name, value in body["quota_class_set"].items()})
    return {"quota_class_set": view(FIELDS, _limits(req, class_name), req)}
