# SPDX-License-Identifier: Apache-2.0
"""The network service: Neutron's v2.0 API as far as stock clients need it."""

from nova_lite.api.network import (
    auto_topology,
    extensions,
    floating_ips,
    networks,
    ports,
    quotas,
    routers,
    security_group_rules,
    security_groups,
    subnets,
    tags,
)
from nova_lite.api.wsgi.request import Body

RESOURCES = (networks, subnets, ports, security_groups, security_group_rules, floating_ips, routers, tags, auto_topology, quotas, extensions)
_TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "PolicyNotAuthorized",
    404: "NotFound",
    409: "Conflict",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


def fault_body(status: int, text: str) -> Body:
    """Neutron's form of an error; clients distinguish the types `OverQuota` and `IpAddressGenerationFailure`."""
    kind = _TYPES.get(status, "HTTPError")
    if status == 409 and text.startswith("Quota exceeded"):
        kind = "OverQuota"
    elif status == 409 and text.startswith("No more IP addresses"):
        kind = "IpAddressGenerationFailure"
    return {"NeutronError": {"type": kind, "message": text, "detail": ""}}


def versions(base_url: str) -> Body:
    """The versions document of the service's root; `base_url` is that root, without a version."""
    href = f"{base_url.rstrip('/')}/v2.0/"
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}


def resources(base_url: str) -> Body:
    """The document of /v2.0 itself; `base_url` ends in it."""
    names = (
        "networks",
        "subnets",
        "ports",
        "security-groups",
        "security-group-rules",
        "floatingips",
        "routers",
        "extensions",
        "quotas",
    )
    return {
        "resources": [
            {
                "name": name.replace("-", "_").removesuffix("s"),
                "collection": name.replace("-", "_"),
                "links": [{"rel": "self", "href": f"{base_url.rstrip('/')}/{name}"}],
            }
            for name in names
        ]
    }
