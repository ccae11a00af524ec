# SPDX-License-Identifier: Apache-2.0
"""A project's limits and its usage."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, INTEGER, Field, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.network import floating_ips
from nova_lite.db.quotas import quotas

OTHER_PROJECT = Rule("os_compute_api:limits:other_project", ADMIN)
RULES = (OTHER_PROJECT,)
QUERY = schemas.queries({"2.0": ("tenant_id", "reserved")})

# Read from (limits, usage).
FIELDS = (
    Field("maxTotalInstances", lambda quotas: quotas[0]["instances"], INTEGER),
    Field("maxTotalCores", lambda quotas: quotas[0]["cores"], INTEGER),
    Field("maxTotalRAMSize", lambda quotas: quotas[0]["ram"], INTEGER),
    Field("maxTotalKeypairs", lambda quotas: quotas[0]["key_pairs"], INTEGER),
    Field("maxServerMeta", lambda quotas: quotas[0]["metadata_items"], INTEGER),
    Field("maxServerGroups", lambda quotas: quotas[0]["server_groups"], INTEGER),
    Field("maxServerGroupMembers", lambda quotas: quotas[0]["server_group_members"], INTEGER),
    Field("totalInstancesUsed", lambda quotas: quotas[1]["instances"], INTEGER),
    Field("totalCoresUsed", lambda quotas: quotas[1]["cores"], INTEGER),
    Field("totalRAMUsed", lambda quotas: quotas[1]["ram"], INTEGER),
    Field("totalServerGroupsUsed", lambda quotas: quotas[1]["server_groups"], INTEGER),
    Field("maxSecurityGroups", lambda quotas: quotas[0]["security_groups"], INTEGER, until="2.35"),
    Field("maxSecurityGroupRules", lambda quotas: quotas[0]["security_group_rules"], INTEGER, until="2.35"),
    Field("totalSecurityGroupsUsed", lambda quotas: quotas[1]["security_groups"], INTEGER, until="2.35"),
    Field("maxTotalFloatingIps", lambda quotas: quotas[0]["floating_ips"], INTEGER, until="2.35"),
    Field("totalFloatingIpsUsed", lambda quotas: quotas[1].get("floating_ips", 0), INTEGER, until="2.35"),
    Field("maxImageMeta", lambda quotas: quotas[0]["metadata_items"], INTEGER, until="2.38"),
    Field("maxPersonality", lambda quotas: quotas[0]["injected_files"], INTEGER, until="2.56"),
    Field("maxPersonalitySize", lambda quotas: quotas[0]["injected_file_content_bytes"], INTEGER, until="2.56"),
)


@route("GET", "/limits", policy=Rule("os_compute_api:limits", ANYONE), query=QUERY,
       response=closed(limits=closed(rate=EMPTY_LIST, absolute=FIELDS)))
def index(req: Request) -> Body:
    """Show the limits and usage of the caller's project, or for an admin of the project `tenant_id`.

    200; there are no rate limits. 403: another project's, and the policy does not allow it.
    """
    project_id = req.query.get("tenant_id") or req.ctxt.project_id
    if project_id != req.ctxt.project_id:
        require(req, OTHER_PROJECT)
    limits = quotas.limits(req.db, req.conf, project_id)
    usage = {**quotas.used(req.db, project_id), "floating_ips": floating_ips.count(req.db, project_id)}
    return {"limits": {"rate": [], "absolute": view(FIELDS, (limits, usage), req)}}
