# SPDX-License-Identifier: Apache-2.0
"""The list of API extensions, which old clients look at; microversions have replaced extensions."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import READER, Rule

_RULE = Rule("volume_extension:extension_list", READER)
_UPDATED = "2016-02-08T00:00:00Z"  # one date for all: that of version 3
# Alias, name, and what it is about.
EXTENSIONS = (
    ("backups", "Backups", "Backups of volumes"),
    ("capabilities", "Capabilities", "What backends can"),
    ("encryption", "VolumeEncryptionMetadata", "How a volume is encrypted"),
    ("os-admin-actions", "AdminActions", "Actions of operators on volumes, snapshots and backups"),
    ("os-availability-zone", "AvailabilityZones", "Zones of volumes"),
    ("os-extended-services", "ExtendedServices", "Why a service is disabled"),
    ("os-extended-snapshot-attributes", "ExtendedSnapshotAttributes", "Progress and project of snapshots"),
    ("os-hosts", "Hosts", "Hosts of block storage"),
    ("os-quota-class-sets", "QuotaClasses", "Quotas of all projects"),
    ("os-quota-sets", "Quotas", "Quotas of projects"),
    ("os-services", "Services", "Services of block storage"),
    ("os-snapshot-actions", "SnapshotActions", "Actions of services on snapshots"),
    ("os-snapshot-manage", "SnapshotManage", "Snapshots that storage has already"),
    ("os-snapshot-unmanage", "SnapshotUnmanage", "Snapshots that storage keeps"),
    ("os-types-extra-specs", "TypesExtraSpecs", "Extra specs of volume types"),
    ("os-types-manage", "TypesManage", "Changes of volume types"),
    ("os-used-limits", "UsedLimits", "What is used of limits"),
    ("os-vol-host-attr", "VolumeHostAttribute", "The pool of a volume"),
    ("os-vol-image-meta", "VolumeImageMetadata", "Metadata of a volume's image"),
    ("os-vol-mig-status-attr", "VolumeMigStatusAttribute", "Whether a volume migrates"),
    ("os-vol-tenant-attr", "VolumeTenantAttribute", "The project of a volume"),
    ("os-volume-actions", "VolumeActions", "Actions on volumes"),
    ("os-volume-encryption-metadata", "VolumeEncryptionMetadata", "How a volume is encrypted"),
    ("os-volume-manage", "VolumeManage", "Volumes that storage has already"),
    ("os-volume-transfer", "VolumeTransfer", "Transfers of volumes to other projects"),
    ("os-volume-type-access", "VolumeTypeAccess", "Projects with access to volume types"),
    ("os-volume-unmanage", "VolumeUnmanage", "Volumes that storage keeps"),
    ("qos-specs", "Qos_specs_manage", "QoS specs of volume types"),
    ("scheduler-stats", "Scheduler_stats", "Pools of the scheduler"),
)
_EXTENSION = closed(**each("alias name description updated", STRING), links=EMPTY_LIST)


def _document(alias: str, name: str, description: str) -> Body:
    return {"alias": alias, "name": name, "description": description, "updated": _UPDATED, "links": []}


@route("GET", "/extensions", policy=_RULE, response=closed(extensions=many(_EXTENSION)))
def index(req: Request) -> Body:
    """List all extensions. 200."""
    return {"extensions": [_document(*extension) for extension in EXTENSIONS]}


@route("GET", "/extensions/{alias}", policy=_RULE, response=closed(extension=_EXTENSION))
def show(req: Request, alias: str) -> Body:
    """Show one extension. 200. 404: no extension has this alias."""
    for extension in EXTENSIONS:
        if extension[0] == alias:
            return {"extension": _document(*extension)}
    raise errors.NotFound(f"No extension has the alias {alias}")
