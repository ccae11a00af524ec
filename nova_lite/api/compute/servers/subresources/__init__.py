# SPDX-License-Identifier: Apache-2.0
"""Resources below one server's path: metadata, tags, interfaces, instance actions, migrations and more."""

from nova_lite.api.compute.servers.subresources import (
    diagnostics,
    instance_actions,
    interfaces,
    ips,
    metadata,
    migrations,
    password,
    security_groups,
    shares,
    tags,
    topology,
    volume_attachments,
)

RESOURCES = (
    diagnostics,
    instance_actions,
    interfaces,
    ips,
    metadata,
    migrations,
    password,
    security_groups,
    shares,
    tags,
    topology,
    volume_attachments,
)
# Rules that handlers check beside those of their routes.
EXTRA_RULES = (
    *instance_actions.RULES,
    *migrations.RULES,
    *topology.RULES,
    *volume_attachments.RULES,
)
