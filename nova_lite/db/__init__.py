# SPDX-License-Identifier: Apache-2.0
"""All tables: one file is one resource, its model and every query on it."""

from nova_lite.db import database_epoch
from nova_lite.db.compute import actions, consoles, flavors, keypairs, server_groups, server_migrations, servers
from nova_lite.db.hosts import aggregates, conductor_leases, hosts, observation, workers
from nova_lite.db.identity import application_credentials, project_tags, token_owners, users
from nova_lite.db.image import images
from nova_lite.db.network import floating_ips, network_changes, networks, ports, revisions, routers, security_groups
from nova_lite.db.quotas import quota_locks, quotas
from nova_lite.db.volume import (
    attachments,
    backends,
    backups,
    group_types,
    groups,
    messages,
    pools,
    qos_specs,
    quota,
    snapshots,
    transfers,
    volume_types,
    volumes,
)

RESOURCES = (
    actions, aggregates, application_credentials, attachments, backends, backups, conductor_leases, consoles, database_epoch, flavors, floating_ips, group_types, groups, hosts, images, keypairs, messages, server_migrations, network_changes, networks,
    observation, pools, ports, project_tags, qos_specs, quota, quota_locks, quotas, revisions, routers, security_groups, server_groups, servers, snapshots, token_owners, transfers, users,
    volume_types, volumes, workers,
)
