# SPDX-License-Identifier: Apache-2.0
"""All tables: one file is one resource, its model and every query on it."""

from nova_lite.db import (
    actions,
    aggregates,
    consoles,
    flavors,
    floating_ips,
    hosts,
    images,
    keypairs,
    moves,
    networks,
    ports,
    quota_locks,
    quotas,
    routers,
    security_groups,
    server_groups,
    servers,
    users,
)

RESOURCES = (
    actions, aggregates, consoles, flavors, floating_ips, hosts, images, keypairs, moves, networks, ports, quota_locks,
    quotas, routers, security_groups, server_groups, servers, users,
)
