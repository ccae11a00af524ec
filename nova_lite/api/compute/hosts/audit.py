# SPDX-License-Identifier: Apache-2.0
"""The audit, which `nova-lite audit` prints: disagreements between the database, hosts, guests and the image store."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.image import audit as image_audit
from nova_lite.api.image.store import clean, open_store
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import BOOLEAN, INTEGER, STRING, Field, closed, many, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.base import utcnow
from nova_lite.rpc.audit import Findings

# What changed within the last minute may be about to agree: reports, reconcilers and retries take seconds.
SETTLED_S = 60
QUERY = {"2.0": schemas.closed({"settled": {"type": "array", "items": {"type": "string", "pattern": "^[0-9]{1,6}$"}}})}
FIELDS = (
    Field("kind", lambda finding: finding.kind, STRING),
    Field("resource", lambda finding: finding.resource, STRING),
    Field("host", lambda finding: finding.host, STRING),
    Field("problem", lambda finding: finding.problem, STRING),
    Field("repair", lambda finding: finding.repair, STRING),
    Field("is_repairable", lambda finding: finding.is_repairable, BOOLEAN),
)
OMITTED = closed(kind=STRING, count=INTEGER)


@route("GET", "/os-audit", policy=Rule("nova_lite:audit:show", ADMIN), response=closed(findings=many(FIELDS), omitted=many(OMITTED)),
       query=QUERY, additive=True, waits=True)
def show(req: Request) -> Deferred[Body]:
    """Look for leftovers and disagreements in the whole cloud, in what has not changed for `settled` seconds (60).

    200 with what two looks, two seconds apart, have found: docs/audit.md has the kinds. Of each kind it has the first hundred by
    host and resource, and in `omitted` how many more there are. It takes as long as the slowest host. 503: no conductor answers, or too
    many requests wait for workers.
    """
    settled_s = float(req.query.get("settled", SETTLED_S))

    def look() -> Body:
        found = [req.rpc.conductor.audit(req.ctxt, settled_s=settled_s),
                 Findings(image_audit.check(open_store(req.conf), req.database, utcnow())).report()]
        return {"findings": [view(FIELDS, finding, req) for report in found for finding in report.findings],
                "omitted": [{"kind": kind, "count": count} for report in found for kind, count in report.omitted.items()]}

    return Deferred(look)


@route("POST", "/os-audit/repair", policy=Rule("nova_lite:audit:repair", ADMIN), status=202, additive=True, waits=True)
def repair(req: Request) -> Deferred[None]:
    """Run every reconciler and the cleaner of the image store now.

    202: they ran; what they requested of hosts is done soon. 503: one of them failed and the others ran, no conductor answers, or too
    many requests wait for workers.
    """
    def run() -> None:
        req.rpc.conductor.repair(req.ctxt)
        with req.database.writer() as session:
            clean(open_store(req.conf), session, utcnow())

    return Deferred(run)
