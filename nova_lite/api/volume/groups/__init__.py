# SPDX-License-Identifier: Apache-2.0
"""Groups of volumes, their types and snapshots."""

from nova_lite.api.volume.groups import (
    create,
    group_snapshots,
    group_specs,
    group_types,
    groups,
    replication,
)
from nova_lite.api.wsgi.rules import Rule

RESOURCES = (
    create,
    group_snapshots,
    group_specs,
    group_types,
    groups,
    replication,
)
EXTRA_RULES: tuple[Rule, ...] = (group_types.SPECS,)
