# SPDX-License-Identifier: Apache-2.0
"""The Block Storage API v3: its resources, its microversions and how it words faults."""

from __future__ import annotations

from nova_lite.api.volume import (
    attachments,
    backups,
    extensions,
    groups,
    hosts,
    messages,
    quotas,
    resource_filters,
    snapshots,
    transfers,
    types,
    volumes,
)
from nova_lite.api.volume.common.faults import fault_body
from nova_lite.api.volume.common.version_documents import versions
from nova_lite.api.volume.microversions import MAXIMUM, MINIMUM
from nova_lite.api.wsgi.versions import Negotiation

__all__ = ["EXTRA_RULES", "NEGOTIATION", "RESOURCES", "fault_body", "versions"]

RESOURCES = (
    *attachments.RESOURCES,
    *backups.RESOURCES,
    extensions,
    *groups.RESOURCES,
    *hosts.RESOURCES,
    messages,
    *quotas.RESOURCES,
    resource_filters,
    *snapshots.RESOURCES,
    *transfers.RESOURCES,
    *types.RESOURCES,
    *volumes.RESOURCES,
)
EXTRA_RULES = (
    *attachments.EXTRA_RULES,
    *backups.EXTRA_RULES,
    *groups.EXTRA_RULES,
    *hosts.EXTRA_RULES,
    *quotas.EXTRA_RULES,
    *snapshots.EXTRA_RULES,
    *transfers.EXTRA_RULES,
    *types.EXTRA_RULES,
    *volumes.EXTRA_RULES,
)
NEGOTIATION = Negotiation("volume", minimum=MINIMUM, maximum=MAXIMUM)
