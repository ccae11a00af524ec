# SPDX-License-Identifier: Apache-2.0
"""Quota classes: `default` holds for all projects without quotas of their own; other classes are stored without effect, as in Cinder."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.volume.quotas import quota_names
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.volume import quota

UPDATE = {"3.0": quota_names.update_schema("quota_class_set")}
_PATH = "/os-quota-class-sets/{class_name}"
_MAX_NAME = 255


@route("GET", _PATH, policy=Rule("volume_extension:quota_classes:get", ADMIN),
       response=closed(quota_class_set=quota_names.shape(INTEGER, id=STRING)))
def show(req: Request, class_name: str) -> Body:
    """Show the class's limits. 200."""
    return {"quota_class_set": {"id": class_name, **quota.defaults(req.db, req.conf, class_name)}}


@route("PUT", _PATH, policy=Rule("volume_extension:quota_classes:update", ADMIN), body=UPDATE,
       response=closed(quota_class_set=quota_names.LIMITS))
def update(req: Request, body: Body, class_name: str) -> Body:
    """Set limits of the class; those of `default` take effect at once and override the configuration.

    200 with all limits. 400: no such quota, or the class's name is too long.
    """
    if len(class_name) > _MAX_NAME:
        raise errors.BadRequest(reason=f"A quota class's name has {_MAX_NAME} characters at most")
    limits = quota.defaults(req.db, req.conf, class_name)
    changed = quota_names.read_limits(body["quota_class_set"], limits)
    quota.set_class(req.db, class_name, changed)
    return {"quota_class_set": {**limits, **changed}}
