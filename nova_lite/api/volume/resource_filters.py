# SPDX-License-Identifier: Apache-2.0
"""The filters of lists that every caller may use, by resource."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.volume import messages
from nova_lite.api.volume.attachments import listing as attachments
from nova_lite.api.volume.backups import listing as backups
from nova_lite.api.volume.groups import group_snapshots, groups
from nova_lite.api.volume.hosts import pools
from nova_lite.api.volume.snapshots import listing as snapshots
from nova_lite.api.volume.volumes import listing as volumes
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, closed, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule
from nova_lite.api.wsgi.versions import parse

_FILTERS: dict[str, Mapping[str, str]] = {
    "attachment": attachments.FILTERS, "backup": backups.FILTERS,
    "group": groups.FILTERS, "group_snapshot": group_snapshots.FILTERS,
    "message": messages.FILTERS, "pool": pools.FILTERS, "snapshot": snapshots.FILTERS, "volume": volumes.FILTERS,
}
_PARTS_SINCE = parse("3.34")
_PARTS = {"backup": ("name",), "snapshot": ("name",), "volume": ("name",)}  # also by a part of the value: `name~`


@route("GET", "/resource_filters", policy=Rule("volume_extension:resource_filters", READER), since="3.33",
       response=closed(resource_filters=many(closed(resource=STRING, filters=many(STRING)))))
def index(req: Request) -> Body:
    """List the filters of each kind of resource, or of one `resource`. 200. 400: there is no such kind."""
    requested = req.query.get("resource")
    if requested is not None and requested not in _FILTERS:
        raise errors.BadRequest(reason=f"Resource {requested[:64]!r} has no list with filters: there are {', '.join(sorted(_FILTERS))}")
    return {"resource_filters": [{"resource": name, "filters": _names(req, name)} for name in sorted(_FILTERS) if requested in (None, name)]}


def _names(req: Request, resource: str) -> list[str]:
    names = [name for name, since in _FILTERS[resource].items() if parse(since) <= req.version]
    return names + [f"{name}~" for name in _PARTS.get(resource, ()) if req.version >= _PARTS_SINCE]
