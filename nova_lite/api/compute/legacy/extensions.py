# SPDX-License-Identifier: Apache-2.0
"""The classic extensions' aliases, which old clients look for; microversions replaced them."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule

LIST = Rule("os_compute_api:extensions", ANYONE)
_UPDATED = "2014-12-03T00:00:00Z"  # one date for all, as Nova has it
# Those whose routes or fields are here.
_ALIASES = (
    ("NMN", "Multinic"), ("OS-DCF", "DiskConfig"), ("OS-EXT-AZ", "ExtendedAvailabilityZone"),
    ("OS-EXT-IPS", "ExtendedIps"), ("OS-EXT-IPS-MAC", "ExtendedIpsMac"), ("OS-EXT-SRV-ATTR", "ExtendedServerAttributes"),
    ("OS-EXT-STS", "ExtendedStatus"), ("OS-FLV-DISABLED", "FlavorDisabled"), ("OS-FLV-EXT-DATA", "FlavorExtraData"),
    ("OS-SRV-USG", "ServerUsage"), ("os-admin-actions", "AdminActions"), ("os-attach-interfaces", "AttachInterfaces"),
    ("os-aggregates", "Aggregates"), ("os-availability-zone", "AvailabilityZone"), ("os-config-drive", "ConfigDrive"),
    ("os-consoles", "Consoles"), ("os-hosts", "Hosts"), ("os-console-auth-tokens", "ConsoleAuthTokens"),
    ("os-console-output", "ConsoleOutput"), ("os-extended-hypervisors", "ExtendedHypervisors"),
    ("os-extended-quotas", "ExtendedQuotas"), ("os-extended-services", "ExtendedServices"),
    ("os-flavor-access", "FlavorAccess"), ("os-flavor-extra-specs", "FlavorExtraSpecs"),
    ("os-flavor-manage", "FlavorManage"), ("os-flavor-rxtx", "FlavorRxtx"), ("os-flavor-swap", "FlavorSwap"),
    ("os-hypervisor-status", "HypervisorStatus"), ("os-hypervisors", "Hypervisors"),
    ("os-instance-actions", "InstanceActions"), ("os-keypairs", "Keypairs"), ("os-multiple-create", "MultipleCreate"),
    ("os-quota-class-sets", "QuotaClasses"), ("os-quota-sets", "Quotas"), ("os-server-groups", "ServerGroups"), ("image-metadata", "ImageMetadata"),
    ("images", "Images"), ("os-remote-consoles", "Consoles"), ("os-server-start-stop", "ServerStartStop"),
    ("os-services", "Services"),
    ("os-used-limits", "UsedLimits"), ("os-user-data", "UserData"),
)


def _show(alias: str, name: str) -> Body:
    return {"alias": alias, "name": name, "description": "", "namespace": "",
            "updated": _UPDATED, "links": []}


@route("GET", "/extensions", policy=LIST)
def index(req: Request) -> Body:
    """All of them."""
    return {"extensions": [_show(alias, name) for alias, name in _ALIASES]}


@route("GET", "/extensions/{alias}", policy=LIST)
def show(req: Request, alias: str) -> Body:
    """One of them."""
    for known, name in _ALIASES:
        if known == alias:
            return {"extension": _show(known, name)}
    raise errors.NotFound(f"No extension has the alias {alias}")
