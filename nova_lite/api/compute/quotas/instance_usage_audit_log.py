# SPDX-License-Identifier: Apache-2.0
"""The monthly usage audits of compute hosts: none has run, since the hosts of this cloud have no such task."""

from __future__ import annotations

import datetime

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, OBJECT, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.hosts import hosts

_AUDIT = closed(
    **each("period_beginning period_ending overall_status", STRING), hosts_not_run=many(STRING), log=OBJECT,
    **each("num_hosts num_hosts_done num_hosts_running num_hosts_not_run total_instances total_errors", INTEGER))


@route("GET", "/os-instance_usage_audit_log", policy=Rule("os_compute_api:os-instance-usage-audit-log:list", ADMIN),
       response=closed(instance_usage_audit_logs=_AUDIT))
def index(req: Request) -> Body:
    """Show the audits of the last complete month. 200."""
    return {"instance_usage_audit_logs": _log(req, utcnow())}


@route("GET", "/os-instance_usage_audit_log/{before}",
       policy=Rule("os_compute_api:os-instance-usage-audit-log:show", ADMIN),
       response=closed(instance_usage_audit_log=_AUDIT))
def show(req: Request, before: str) -> Body:
    """Show the audits of the last complete month before a time, `2026-01-31 23:59:59` in UTC. 200. 400: not a time."""
    time_format = "%Y-%m-%d %H:%M:%S.%f" if "." in before else "%Y-%m-%d %H:%M:%S"
    try:
        moment = datetime.datetime.strptime(before, time_format)  # noqa: DTZ007 - UTC without a zone
    except ValueError:
        raise errors.BadRequest(reason=f"Invalid timestamp for date {before}") from None
    return {"instance_usage_audit_log": _log(req, moment)}


def _log(req: Request, before: datetime.datetime) -> Body:
    ending = before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    beginning = (ending - datetime.timedelta(days=1)).replace(day=1)
    names = sorted({service.host for service in hosts.services(req.db, binary="nova-compute")})
    return {
        "period_beginning": str(beginning), "period_ending": str(ending), "num_hosts": len(names), "num_hosts_done": 0,
        "num_hosts_running": 0, "num_hosts_not_run": len(names), "hosts_not_run": names, "total_instances": 0,
        "total_errors": 0, "overall_status": f"{0 if names else 'ALL'} hosts done. 0 errors.", "log": {},
    }
