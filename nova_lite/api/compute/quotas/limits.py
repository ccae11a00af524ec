# SPDX-License-Identifier: Apache-2.0
"""A project's limits beside what it uses of them."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.common.policy_checks import require
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import Field, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.network import floating_ips
from nova_lite.db.quotas import quotas

OTHER_PROJECT = Rule("os_compute_api:limits:other_project", ADMIN)
RULES = (OTHER_PROJECT,)
QUERY = schemas.queries({"2.0": ("tenant_id", "reserved")})

# Read from (limits, used).
FIELDS = (
    Field("maxTotalInstances", lambda seen: seen[0]["instances"]),
    Field("maxTotalCores", lambda seen: seen[0]["cores"]),
    Field("maxTotalRAMSize", lambda seen: seen[0]["ram"]),
    Field("maxTotalKeypairs", lambda seen: seen[0]["key_pairs"]),
    Field("maxServerMeta", lambda seen: seen[0]["metadata_items"]),
    Field("maxServerGroups", lambda seen: seen[0]["server_groups"]),
    Field("maxServerGroupMembers", lambda seen: seen[0]["server_group_members"]),
    Field("totalInstancesUsed", lambda seen: seen[1]["instances"]),
    Field("totalCoresUsed", lambda seen: seen[1]["cores"]),
    Field("totalRAMUsed", lambda seen: seen[1]["ram"]),
    Field("totalServerGroupsUsed", lambda seen: seen[1]["server_groups"]),
    Field("maxSecurityGroups", lambda seen: seen[0]["security_groups"], until="2.35"),
    Field("maxSecurityGroupRules", lambda seen: seen[0]["security_group_rules"], until="2.35"),
    Field("totalSecurityGroupsUsed", lambda seen: seen[1]["security_groups"], until="2.35"),
    Field("maxTotalFloatingIps", lambda seen: seen[0]["floating_ips"], until="2.35"),
    Field("totalFloatingIpsUsed", lambda seen: seen[1].get("floating_ips", 0), until="2.35"),
    Field("maxImageMeta", lambda seen: seen[0]["metadata_items"], until="2.38"),
    Field("maxPersonality", lambda seen: seen[0]["injected_files"], until="2.56"),
    Field("maxPersonalitySize", lambda seen: seen[0]["injected_file_content_bytes"], until="2.56"),
)


@route("GET", "/limits", policy=Rule("os_compute_api:limits", ANYONE), query=QUERY)
def index(req: Request) -> Body:
    """The caller's project's, or for an admin those of the project that `tenant_id` names. There are no rate limits."""
    project_id = req.query.get("tenant_id") or req.ctxt.project_id
    if project_id != req.ctxt.project_id:
        require(req, OTHER_PROJECT)
    seen = quotas.limits(req.db, req.conf, project_id), {
        **quotas.used(req.db, project_id), "floating_ips": floating_ips.count(req.db, project_id)}
    return {"limits": {"rate": [], "absolute": view(FIELDS, seen, req)}}
