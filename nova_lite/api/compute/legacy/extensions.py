# SPDX-License-Identifier: Apache-2.0
"""The aliases of API extensions, which old clients look for; microversions have replaced extensions."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule

LIST = Rule("os_compute_api:extensions", ANYONE)
_UPDATED = "2014-12-03T00:00:00Z"  # one date for all, as Nova has it
# Aliases and names of the extensions whose routes or fields this cloud has.
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


_EXTENSION = closed(**each("alias name description namespace updated", STRING), links=EMPTY_LIST)


def _document(alias: str, name: str) -> Body:
    return {"alias": alias, "name": name, "description": "", "namespace": "",
            "updated": _UPDATED, "links": []}


@route("GET", "/extensions", policy=LIST, response=closed(extensions=many(_EXTENSION)))
def index(req: Request) -> Body:
    """List all extensions. 200."""
    return {"extensions": [_document(alias, name) for alias, name in _ALIASES]}


@route("GET", "/extensions/{alias}", policy=LIST, response=closed(extension=_EXTENSION))
def show(req: Request, alias: str) -> Body:
    """Show one extension. 200. 404: no extension has this alias."""
    for listed, name in _ALIASES:
        if listed == alias:
            return {"extension": _document(alias, name)}
    raise errors.NotFound(f"No extension has the alias {alias}")
