# SPDX-License-Identifier: Apache-2.0
"""A project's limits of block storage and its usage."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, INTEGER, Field, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.volume import quota

SHOW = Rule("limits_extension:used_limits", READER)
_OTHER_PROJECT_SINCE = parse("3.39")

# Read from (limits, usage).
FIELDS = (
    Field("maxTotalVolumes", lambda found: found[0]["volumes"], INTEGER),
    Field("maxTotalSnapshots", lambda found: found[0]["snapshots"], INTEGER),
    Field("maxTotalVolumeGigabytes", lambda found: found[0]["gigabytes"], INTEGER),
    Field("maxTotalBackups", lambda found: found[0]["backups"], INTEGER),
    Field("maxTotalBackupGigabytes", lambda found: found[0]["backup_gigabytes"], INTEGER),
    Field("totalVolumesUsed", lambda found: found[1]["volumes"], INTEGER),
    Field("totalSnapshotsUsed", lambda found: found[1]["snapshots"], INTEGER),
    Field("totalGigabytesUsed", lambda found: found[1]["gigabytes"], INTEGER),
    Field("totalBackupsUsed", lambda found: found[1]["backups"], INTEGER),
    Field("totalBackupGigabytesUsed", lambda found: found[1]["backup_gigabytes"], INTEGER),
)


@route("GET", "/limits", policy=SHOW,
       response=closed(limits=closed(rate=EMPTY_LIST, absolute=FIELDS)))
def index(req: Request) -> Body:
    """Show the limits and usage of the caller's project, or from 3.39 on for an admin of `project_id`.

    200; there are no rate limits. 403: another project's, to a caller who is no admin.
    """
    project_id = req.ctxt.project_id
    if req.version >= _OTHER_PROJECT_SINCE:
        project_id = req.query.get("project_id") or req.query.get("tenant_id") or project_id
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=SHOW.name)
    found = quota.limits(req.db, req.conf, project_id), quota.usage(req.db, req.conf, project_id)
    return {"limits": {"rate": [], "absolute": view(FIELDS, found, req)}}
